//! What a client is told when something is not as it wished: status, `X-Error-Code`, `X-Error-Message` and JSON.
//!
//! Clients choose an exception by the code, and read nothing but headers of an answer to HEAD, so an answer without
//! them would surface as "check your connection".

use std::time::Duration;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use huddle_protocol::{GitOid, RepoKind};
use serde_json::json;

use crate::{Rate, authoring::WriteError, header as safe, hub::HubError, refusal};

/// Why a request is not answered as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApiError {
    /// The node says no.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// The node writes nothing.
    #[error(transparent)]
    Write(WriteError),
    /// The repository exists, here; clients that do not mind read where.
    #[error("You already created this {kind} repo: {id}")]
    RepoExists { kind: RepoKind, id: String, url: String },
    /// A repository cannot get a name that another one has.
    #[error("A {kind} repository called {id} already exists")]
    NameTaken { kind: RepoKind, id: String },
    /// This revision has no such file or folder: certain, as its file list is known.
    #[error("entry not found: `{path}`")]
    EntryNotFound { path: String, commit: GitOid },
    /// The request makes no sense.
    #[error("{reason}")]
    BadRequest { reason: String },
    /// The body is larger than any honest one.
    #[error("the request body is too large")]
    TooLarge,
    /// The body takes longer than any honest one.
    #[error("the request body took too long to come")]
    TooSlow,
    /// The body is compressed, so its size says nothing about what it becomes.
    #[error("request bodies must come as they are, not with the content encoding `{encoding}`")]
    Encoded { encoding: String },
    /// The client asked more than it may.
    #[error("too many requests; wait a little")]
    TooManyRequests { rate: Rate, wait: Duration },
    /// The client reads too many files that have to be fetched first.
    #[error("{most} files are being fetched for you already; wait until one is here")]
    TooManyFiles { most: usize, wait: Duration },
    /// As many clients are told what happens as can be.
    #[error("too many clients listen already; ask now and then instead")]
    TooManyListeners,
    /// The node would have to fetch it, and does not for this client.
    #[error("`{what}` is not here yet, and {policy}")]
    NotFetched { what: String, policy: &'static str },
    /// There is nobody to tell about.
    #[error("Invalid username or password.")]
    Anonymous,
    /// The token is not one of this node's.
    #[error("Invalid credentials in Authorization header")]
    UnknownToken,
    /// This gateway lets nobody in without a token.
    #[error("this gateway answers only who has a token of its node: see `hf auth login`")]
    TokenNeeded,
    /// The token may read and no more.
    #[error("this token may only read; writing needs one with the role `write`")]
    ReadOnlyToken,
    /// The token may write, but in another namespace.
    #[error("your token may not write to `{id}`: its namespace is another's")]
    NotYours { id: String },
    /// A page somewhere on the web wants to write in the name of whoever looks at it.
    #[error("a page of {origin} may do this only with a token")]
    ForeignOrigin { origin: String },
    /// A large file was announced and never came.
    #[error("the file did not arrive")]
    NotArrived,
    /// A link that this gateway gave to somebody, changed or too old.
    #[error("the link is not valid or has expired; ask for a new one")]
    InvalidLink,
    /// The gateway was not given what this takes.
    #[error("this gateway has no folder for uploads")]
    NoUploads,
    /// The request came under a name that is not ours: a page that turned its own name into our address.
    #[error("`{host}` is not a name of this gateway; if it should be, add it to the allowed hosts")]
    ForeignHost { host: String },
    /// Nobody of that name has published anything that is here.
    #[error("nobody called `{name}` is known here")]
    NoSuchPerson { name: String },
    /// A kind of repository nobody keeps here.
    #[error("repository not found: only models, datasets and spaces are kept here")]
    UnknownKind,
    /// Nobody talks about repositories here.
    #[error("discussions and pull requests are not kept here: commit to a branch, without `create_pr`")]
    NoDiscussions,
    /// Nothing is served here.
    #[error("not found")]
    NoSuchRoute,
    /// Something is served here, but not with this method.
    #[error("method not allowed")]
    WrongMethod,
    /// Our own fault; the log has more under the request's id.
    #[error("internal error; the log has more under this answer's X-Request-Id")]
    OurFault,
}

impl ApiError {
    /// Returns that the node is still looking, and that asking again is worth while.
    pub(crate) fn still_looking() -> Self {
        let reason = "still looking for peers that have it; ask again".to_owned();
        HubError::Unavailable { reason, retry_after: Duration::from_secs(1) }.into()
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Hub(HubError::RepoNotFound { .. } | HubError::RevisionNotFound { .. })
            | Self::EntryNotFound { .. }
            | Self::NoSuchPerson { .. }
            | Self::UnknownKind
            | Self::NotArrived
            | Self::NoSuchRoute => StatusCode::NOT_FOUND,
            Self::Hub(HubError::Untrusted { .. } | HubError::Refused { .. })
            | Self::ForeignHost { .. }
            | Self::ReadOnlyToken
            | Self::NoUploads
            | Self::NotYours { .. }
            | Self::ForeignOrigin { .. }
            | Self::InvalidLink
            | Self::NoDiscussions
            | Self::NotFetched { .. } => StatusCode::FORBIDDEN,
            Self::Hub(HubError::Unavailable { .. }) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Hub(HubError::Internal { .. }) | Self::OurFault => StatusCode::INTERNAL_SERVER_ERROR,
            Self::BadRequest { .. } => StatusCode::BAD_REQUEST,
            Self::Write(error) => refusal::status(error),
            Self::RepoExists { .. } | Self::NameTaken { .. } => StatusCode::CONFLICT,
            Self::Encoded { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooManyRequests { .. } | Self::TooManyFiles { .. } | Self::TooManyListeners => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Anonymous | Self::UnknownToken | Self::TokenNeeded => StatusCode::UNAUTHORIZED,
            Self::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    /// Returns what the client chooses its exception by.
    fn code(&self) -> Option<&'static str> {
        match self {
            Self::Hub(HubError::RepoNotFound { .. }) | Self::UnknownKind => Some("RepoNotFound"),
            Self::Hub(HubError::RevisionNotFound { .. }) => Some("RevisionNotFound"),
            Self::EntryNotFound { .. } => Some("EntryNotFound"),
            // Python raises GatedRepoError at once and shows our words; without a code it would fall back to its
            // cache and blame the connection.
            Self::Hub(HubError::Untrusted { .. } | HubError::Refused { .. })
            | Self::TokenNeeded
            | Self::NotFetched { .. } => Some("GatedRepo"),
            Self::Write(error) => refusal::code(error),
            _ => None,
        }
    }
}

impl From<WriteError> for ApiError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Hub(error) => Self::Hub(error),
            error => Self::Write(error),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let message = self.to_string();
        let mut body = json!({ "error": message });
        if let Self::RepoExists { url, .. } = &self {
            body["url"] = url.as_str().into();
        }
        let mut response = (self.status(), Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert("x-error-message", safe::text(&message));
        if let Some(code) = self.code() {
            headers.insert("x-error-code", HeaderValue::from_static(code));
        }
        match &self {
            // Clients remember, per commit, that a file does not exist.
            Self::EntryNotFound { commit, .. } => {
                headers.insert("x-repo-commit", safe::text(&commit.to_string()));
            }
            Self::Hub(HubError::Unavailable { retry_after: wait, .. }) | Self::TooManyFiles { wait, .. } => {
                headers.insert(header::RETRY_AFTER, seconds(*wait).into());
            }
            Self::TooManyListeners => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("15"));
            }
            // The form is the Hub's: clients read from it how long to wait.
            Self::TooManyRequests { rate, wait } => {
                let (burst, wait) = (rate.burst, seconds(*wait));
                let window = burst.get().div_ceil(rate.per_second.get());
                headers.insert(header::RETRY_AFTER, wait.into());
                headers.insert("ratelimit", safe::text(&format!("\"api\";r=0;t={wait}")));
                let policy = format!("\"token bucket\";\"api\";q={burst};w={window}");
                headers.insert("ratelimit-policy", safe::text(&policy));
            }
            // Not `WWW-Authenticate: Basic`: a browser would ask for a password, and then send it with whatever any page
            // wants to write.
            Self::Anonymous | Self::TokenNeeded => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"huddle\""));
                headers.insert("lfs-authenticate", HeaderValue::from_static("Basic realm=\"huddle\""));
            }
            _ => {}
        }
        response
    }
}

/// Returns whole seconds, rounded up; zero would invite a storm.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(error: impl Into<ApiError>) -> (u16, Option<String>, Response) {
        let response = error.into().into_response();
        let code = response.headers().get("x-error-code").map(|code| code.to_str().unwrap().to_owned());
        (response.status().as_u16(), code, response)
    }

    #[test]
    fn each_refusal_has_its_status_and_code() {
        let text = || "x".to_owned();
        let wait = Duration::from_millis(1500);
        for (error, status, code) in [
            (HubError::RepoNotFound { id: text(), reason: text() }, 404, Some("RepoNotFound")),
            (HubError::RevisionNotFound { revision: text() }, 404, Some("RevisionNotFound")),
            (HubError::Untrusted { id: text(), reason: text() }, 403, Some("GatedRepo")),
            (HubError::Refused { reason: text() }, 403, Some("GatedRepo")),
            (HubError::Unavailable { reason: text(), retry_after: wait }, 503, None),
            (HubError::Internal { id: text() }, 500, None),
        ] {
            let (actual, actual_code, _) = answer(error.clone());
            assert_eq!((actual, actual_code.as_deref()), (status, code), "{error}");
        }
    }

    #[test]
    fn the_wait_is_in_whole_seconds_and_never_zero() {
        for (wait, expected) in [(Duration::ZERO, "1"), (Duration::from_millis(1500), "2")] {
            let (_, _, response) = answer(HubError::Unavailable { reason: String::new(), retry_after: wait });
            assert_eq!(response.headers()[header::RETRY_AFTER], expected);
        }
    }

    #[test]
    fn a_missing_entry_names_the_commit_and_no_word_breaks_a_header() {
        let commit = GitOid([0xab; 20]);
        let (status, code, response) = answer(ApiError::EntryNotFound { path: "a\r\nb: ü".into(), commit });
        assert_eq!((status, code.as_deref()), (404, Some("EntryNotFound")));
        assert_eq!(response.headers()["x-repo-commit"], "ab".repeat(20));
        assert_eq!(response.headers()["x-error-message"], "entry not found: `a??b: ?`");
    }
}
