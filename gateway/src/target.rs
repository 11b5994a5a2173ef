//! Which repository, revision and path a URL names.
//!
//! Paths are split while they are still percent-encoded, then each part is decoded: `refs%2Fpr%2F1` is one part, and a
//! file may be called `a?b#c%.txt`. Clients that leave the slashes of a revision as they are get the meaning that the
//! repository's references allow.

use axum::extract::{FromRequestParts, MatchedPath};
use http::request::Parts;
use huddle_protocol::{PublisherId, RepoKind, Revision};
use percent_encoding::percent_decode_str;

use crate::{
    Gateway,
    authoring::Visibility,
    caller::Caller,
    error::ApiError,
    hub::{HubError, Reference, Snapshot},
};

/// The revision a client means that names none.
pub(crate) const DEFAULT_REVISION: &str = "main";

/// What a URL names, after decoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Model, dataset or space.
    pub(crate) kind: RepoKind,
    /// `namespace/name`, or the single name of old repositories such as `gpt2`.
    pub(crate) id: String,
    /// The parts after the verb: a revision and, where the route has one, a path.
    place: Vec<String>,
    /// Whether the client may see private repositories.
    is_insider: bool,
}

impl Target {
    /// Reads `path`, the raw path of a request that matched `pattern`, one of the patterns in `lib.rs`.
    fn parse(pattern: &str, path: &str) -> Result<Self, ApiError> {
        let mut target = Self { kind: RepoKind::Model, id: String::new(), place: Vec::new(), is_insider: false };
        let mut parts = path.split('/');
        for name in pattern.split('/') {
            if name == "{*place}" {
                target.place = parts.by_ref().map(decode).collect::<Result<_, _>>()?;
                break;
            }
            let part = parts.next().unwrap_or_default();
            if name == "{namespace}" {
                target.id = decode(part)? + "/";
            } else if name == "{name}" {
                // So git clients write it; no name ends like this.
                target.id += decode(part)?.trim_end_matches(".git");
            } else if let Some(kind) = RepoKind::ALL.into_iter().find(|kind| kind.plural() == name) {
                target.kind = kind;
            }
        }
        Ok(target)
    }

    /// Returns the revision for routes that name no path: all parts together, or the default.
    pub(crate) fn revision(&self) -> String {
        if self.place.is_empty() { DEFAULT_REVISION.to_owned() } else { self.place.join("/") }
    }

    /// Looks up the repository for routes that name no path.
    pub(crate) async fn snapshot(&self, gateway: &Gateway) -> Result<Snapshot, ApiError> {
        Ok(self.at(gateway, &self.revision()).await?)
    }

    /// Returns the branches and tags of the repository.
    pub(crate) async fn references(&self, gateway: &Gateway) -> Result<Vec<Reference>, HubError> {
        let references = self.known_references(gateway).await?;
        match references.first() {
            Some(reference) if self.may_be_hidden(gateway).await => {
                self.at(gateway, &reference.revision.to_string()).await?;
            }
            _ => {}
        }
        Ok(references)
    }

    /// Looks up the repository at a revision.
    pub(crate) async fn at(&self, gateway: &Gateway, revision: &str) -> Result<Snapshot, HubError> {
        match gateway.hub.snapshot(self.kind, &self.id, revision).await {
            Ok(snapshot) if snapshot.visibility == Visibility::Private && !self.is_insider => Err(self.hidden()),
            // That there is no such revision says that there is such a repository.
            Err(error @ HubError::RevisionNotFound { .. }) if self.may_be_hidden(gateway).await => {
                let known = self.known_references(gateway).await?;
                match known.first().map(|known| known.revision.to_string()) {
                    Some(known) if known != revision => match Box::pin(self.at(gateway, &known)).await {
                        Err(error @ HubError::RepoNotFound { .. }) => Err(error),
                        _ => Err(error),
                    },
                    _ => Err(error),
                }
            }
            Err(error) => Err(self.veil(gateway, error).await),
            snapshot => snapshot,
        }
    }

    /// Asks the node for the branches and tags; a repository that is not shown may have some, too.
    async fn known_references(&self, gateway: &Gateway) -> Result<Vec<Reference>, HubError> {
        match gateway.hub.references(self.kind, &self.id).await {
            Ok(known) => Ok(known),
            Err(error) => Err(self.veil(gateway, error).await),
        }
    }

    /// Reports whether this client is not shown all there is: only a publisher's own repository can be private, whatever
    /// the client calls the publisher.
    async fn may_be_hidden(&self, gateway: &Gateway) -> bool {
        let is_key = || self.id.split('/').next().is_some_and(|org| org.parse::<PublisherId>().is_ok());
        !self.is_insider && (is_key() || gateway.hub.standing(self.kind, &self.id).await.is_publishers)
    }

    /// Makes a repository that does not exist look like one that is not shown.
    async fn veil(&self, gateway: &Gateway, error: HubError) -> HubError {
        match error {
            HubError::RepoNotFound { .. } if self.may_be_hidden(gateway).await => self.hidden(),
            error => error,
        }
    }

    fn hidden(&self) -> HubError {
        let reason = "nobody on the network offers it; is the name right, is a node that has it online, and is a token of \
                      this node needed to see it?";
        HubError::RepoNotFound { id: self.id.clone(), reason: reason.to_owned() }
    }

    /// Returns the branch that a client writes to; a commit cannot be written to.
    pub(crate) fn branch(&self) -> Result<String, HubError> {
        let branch = self.revision();
        match branch.parse() {
            Ok(Revision::Commit(_)) => Err(HubError::RevisionNotFound { revision: branch }),
            _ => Ok(branch),
        }
    }

    /// Looks up the repository for routes that name a path too, and returns that path.
    pub(crate) async fn locate(&self, gateway: &Gateway) -> Result<(Snapshot, String), ApiError> {
        let revision = self.place.first().map_or(DEFAULT_REVISION, String::as_str);
        let may_go_on = self.place.len() > 1 && !revision.contains('/');
        // Git allows no branch `a` beside `a/b`, so the first part alone is right whenever it names anything.
        if !(may_go_on && revision == "refs") {
            match self.at(gateway, revision).await {
                Err(HubError::RevisionNotFound { .. }) if may_go_on => {}
                snapshot => return Ok((snapshot?, self.path(1))),
            }
        }
        let references = self.references(gateway).await?;
        let length = revision_length(&self.place, &references)
            .ok_or_else(|| HubError::RevisionNotFound { revision: revision.to_owned() })?;
        let revision = self.place[..length].join("/");
        Ok((self.at(gateway, &revision).await?, self.path(length)))
    }

    fn path(&self, skip: usize) -> String {
        self.place.get(skip..).unwrap_or_default().join("/")
    }
}

/// Returns how many of the parts are the revision: the longest reference they start with, else the form
/// `refs/<what>/<name>`, which a node may know without listing it.
fn revision_length(place: &[String], references: &[Reference]) -> Option<usize> {
    let starts_with = |name: &str| {
        let length = name.split('/').count();
        let start = place.get(..length)?;
        name.split('/').eq(start.iter().map(String::as_str)).then_some(length)
    };
    references
        .iter()
        .flat_map(|reference| ["", "refs/", "refs/heads/", "refs/tags/"].map(|cut| reference.name.strip_prefix(cut)))
        .flatten()
        .filter_map(starts_with)
        .max()
        .or_else(|| (place.len() >= 3 && place[0] == "refs").then_some(3))
}

fn decode(part: &str) -> Result<String, ApiError> {
    let text = percent_decode_str(part).decode_utf8();
    text.map(Into::into).map_err(|_| ApiError::BadRequest { reason: "the path is not UTF-8".to_owned() })
}

impl<S: Sync> FromRequestParts<S> for Target {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let pattern = parts.extensions.get::<MatchedPath>().ok_or(ApiError::NoSuchRoute)?;
        let target = Self::parse(pattern.as_str(), parts.uri.path())?;
        Ok(Self { is_insider: parts.extensions.get().is_some_and(Caller::is_known), ..target })
    }
}

#[cfg(test)]
mod tests {
    use huddle_protocol::GitOid;

    use super::*;

    fn target(pattern: &str, path: &str) -> (RepoKind, String, Vec<String>) {
        let Target { kind, id, place, .. } = Target::parse(pattern, path).unwrap();
        (kind, id, place)
    }

    fn parts(place: &str) -> Vec<String> {
        place.split('/').map(str::to_owned).collect()
    }

    #[test]
    fn each_part_is_decoded_after_splitting() {
        let place = ["refs/pr/1", "a?b#c%.txt"].map(str::to_owned).to_vec();
        assert_eq!(
            target(
                "/datasets/{namespace}/{name}/resolve/{*place}",
                "/datasets/o/n/resolve/refs%2Fpr%2F1/a%3Fb%23c%25.txt"
            ),
            (RepoKind::Dataset, "o/n".to_owned(), place)
        );
        let legacy = target("/{name}/resolve/{*place}", "/gpt2/resolve/main/x//y");
        assert_eq!(legacy, (RepoKind::Model, "gpt2".to_owned(), parts("main/x//y")));
        let (kind, id, _) = target("/api/spaces/{name}", "/api/spaces/o%2Fn");
        assert_eq!((kind, id.as_str()), (RepoKind::Space, "o/n"));
        assert!(Target::parse("/{name}/resolve/{*place}", "/a/resolve/%ff").is_err());
    }

    #[test]
    fn the_longest_reference_is_the_revision() {
        let references = ["refs/heads/main", "refs/heads/a", "refs/tags/a/b", "refs/convert/parquet", "refs/pr/1"]
            .map(|name| Reference { name: name.to_owned(), revision: GitOid([0; 20]) });
        for (place, expected) in [
            ("main/x", Some(1)),
            ("a/b/c", Some(2)),
            ("a/bc", Some(1)),
            ("a", Some(1)),
            ("refs/heads/main/x", Some(3)),
            ("refs/heads/a/b", Some(3)),
            ("refs/convert/parquet", Some(3)),
            ("pr/1/x", Some(2)),
            ("refs/pr/77/x", Some(3)),
            ("refs/pr", None),
            ("b/c", None),
        ] {
            assert_eq!(revision_length(&parts(place), &references), expected, "{place}");
        }
    }
}
