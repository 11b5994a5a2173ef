//! Asking the hub that a repository is mirrored from what one of its revisions is. Only names are asked for there; the
//! bytes come from peers.

mod answer;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use huddle_protocol::{RepoId, Revision};
use reqwest::{Client, StatusCode, Url};

use crate::{clock::unix_now, config, together::Together, trust::Statement, web};

/// How long connecting, and everything, may take; hub clients give up after 10 s.
const CONNECT: Duration = Duration::from_secs(3);
const TOTAL: Duration = Duration::from_secs(8);
/// How long what the hub said of a branch or tag is used again, and that it did not answer.
const FRESH: Duration = Duration::from_secs(60);
const FAILED: Duration = Duration::from_secs(30);
/// The largest answer that is read: 32 MiB, a hundred thousand files.
const MAX_ANSWER: usize = 32 << 20;
/// How many answers are remembered, and how many files they may have together.
const MOST: usize = 256;
const MOST_FILES: usize = 200_000;

/// Why the hub did not say anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// It cannot be reached.
    #[error("{hub} does not answer: {reason}")]
    Silent { hub: Arc<str>, reason: String },
    /// It refuses, or is out of order.
    #[error("{hub} answers {status}")]
    Status { hub: Arc<str>, status: u16 },
    /// What it says is not what a hub says.
    #[error("{hub} does not answer as a hub does: {reason}")]
    Nonsense { hub: Arc<str>, reason: String },
    /// Too much is asked at once.
    #[error("too much is asked at once")]
    Busy,
}

/// The address of the hub is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("upstream.endpoint: `{text}` is not an address such as https://huggingface.co; \"\" asks no hub")]
pub struct EndpointError {
    text: String,
}

/// Reads the address of the configured hub, if there is one.
///
/// # Errors
/// If it is none.
pub(crate) fn endpoint(config: &config::Upstream) -> Result<Option<Url>, EndpointError> {
    let is_hub = |url: &Url| ["http", "https"].contains(&url.scheme()) && url.host_str().is_some();
    match config.endpoint.as_str() {
        "" => Ok(None),
        text => {
            let url = Url::parse(text).ok().filter(is_hub);
            url.map(Some).ok_or_else(|| EndpointError { text: text.to_owned() })
        }
    }
}

/// What a hub said, if it has such a revision.
type Said = Result<Option<Arc<Statement>>, UpstreamError>;

/// A hub. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Upstream {
    client: Result<Client, Arc<reqwest::Error>>,
    endpoint: Url,
    name: Arc<str>,
    said: Arc<Mutex<HashMap<Question, (Instant, Said)>>>,
    together: Together<Question, Said>,
}

/// A repository, in lower case, and a revision.
type Question = (String, String);

impl Upstream {
    /// Prepares to ask a hub. `tls` says which certificates are accepted.
    pub(crate) fn new<T: Clone + 'static>(endpoint: Url, tls: &T) -> Self {
        let name = endpoint.host_str().unwrap_or_default().into();
        let client = Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .user_agent(concat!("huddle/", env!("CARGO_PKG_VERSION")))
            .redirect(web::same_origin()) // repositories that were renamed are found under their new name
            .referer(false)
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            .build()
            .map_err(Arc::new);
        Self { client, endpoint, name, said: Arc::default(), together: Together::default() }
    }

    /// Returns the hub's host name.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Returns what the hub says a revision is; nothing if it has no such repository or revision, or does not show it.
    pub(crate) async fn ask(&self, repo: &RepoId, revision: &Revision) -> Said {
        let question = (repo.folded(), revision.to_string());
        if let Some((until, said)) = self.lock().get(&question)
            && *until > Instant::now()
        {
            return said.clone();
        }
        let (this, url) = (self.clone(), self.url(repo, revision));
        let work = async move { this.fetch(url).await };
        let said = self.together.ask(question.clone(), work).await.unwrap_or(Err(UpstreamError::Busy));
        self.remember(question, &said);
        said
    }

    fn url(&self, repo: &RepoId, revision: &Revision) -> Url {
        let mut url = self.endpoint.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["api", repo.kind.plural()]);
            path.extend(repo.hub_id().split('/')).extend(["revision", &revision.to_string()]);
        }
        url.query_pairs_mut().append_pair("blobs", "true");
        url
    }

    async fn fetch(&self, url: Url) -> Said {
        let silent = |error: reqwest::Error| {
            let mut reason = String::from(if error.is_timeout() { "it takes too long" } else { "no connection" });
            if let Some(source) = std::error::Error::source(&error.without_url()) {
                reason = format!("{reason} ({source})");
            }
            UpstreamError::Silent { hub: self.name.clone(), reason }
        };
        let client = self.client.as_ref().map_err(|error| UpstreamError::Silent {
            hub: self.name.clone(),
            reason: format!("this node cannot ask: {error}"),
        })?;
        let answer = client.get(url).send().await.map_err(silent)?;
        match answer.status() {
            StatusCode::OK => {}
            // It does not tell strangers which private repositories there are.
            StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Ok(None),
            status => return Err(UpstreamError::Status { hub: self.name.clone(), status: status.as_u16() }),
        }
        let nonsense = |reason| UpstreamError::Nonsense { hub: self.name.clone(), reason };
        let bytes = web::body(answer, MAX_ANSWER).await.map_err(silent)?;
        let bytes = bytes.ok_or_else(|| nonsense(format!("more than {MAX_ANSWER} bytes")))?;
        let statement = answer::read(&bytes, &self.name, unix_now()).map_err(nonsense)?;
        Ok(Some(Arc::new(statement)))
    }

    fn remember(&self, question: Question, said: &Said) {
        let lasts = if said.is_ok() { FRESH } else { FAILED };
        let mut known = self.lock();
        known.retain(|_, (until, _)| *until > Instant::now());
        let files = |said: &Said| said.as_ref().ok().and_then(Option::as_ref).map_or(0, |said| said.files.len());
        let in_all = known.values().map(|(_, said)| files(said)).sum::<usize>() + files(said);
        if known.len() >= MOST || in_all > MOST_FILES {
            known.clear();
        }
        known.insert(question, (Instant::now() + lasts, said.clone()));
    }

    #[cfg(test)]
    pub(crate) fn forget(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Question, (Instant, Said)>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner) // nothing here panics half-way
    }
}
