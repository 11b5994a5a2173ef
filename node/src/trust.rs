//! Which manifest to believe, and why. Pure: what is known goes in, reasons or a refusal come out.

use huddle_protocol::{Authority, Manifest, PublicKey, PublisherId, RepoId, Revision, Signed};

/// Whose word is believed beside the publishers' own.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Mirrors whose attestations of upstream repositories are accepted.
    pub attestors: Vec<PublisherId>,
}

/// One reason to believe a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The commit id was pinned by the user, and proves the file list.
    Pinned,
    /// The publisher named in the repository's name signed it.
    Signed(PublisherId),
    /// A trusted mirror vouches for it.
    Attested(PublisherId),
    /// The commit id proves the file list; who named the commit is another reason's matter.
    Proven,
}

impl Reason {
    /// Returns the reason in one word, for machines.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pinned | Self::Proven => "proven",
            Self::Signed(_) => "signed",
            Self::Attested(_) => "attested",
        }
    }

    /// Returns whose word it is, if it is somebody's.
    pub fn by(self) -> Option<PublicKey> {
        match self {
            Self::Pinned | Self::Proven => None,
            Self::Signed(publisher) | Self::Attested(publisher) => Some(publisher.0),
        }
    }

    /// Returns the reason in a sentence, for people.
    pub fn sentence(self) -> String {
        match self {
            Self::Pinned => "proven: the commit object hashes to the revision you pinned, and its tree is exactly \
                             these files, whoever sent them"
                .to_owned(),
            Self::Proven => {
                "proven: the commit object hashes to this revision, and its tree is exactly these files".to_owned()
            }
            Self::Signed(publisher) => format!("signed: by {publisher}, the key in the repository's name"),
            Self::Attested(attestor) => format!("attested: by {attestor}, a mirror you trust"),
        }
    }
}

/// A manifest nobody has to believe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Signed by somebody other than the publisher, and not pinned.
    #[error(
        "it is signed by {signer}, not by its publisher; pin a revision (`REPO@<40 hex digits>`) to accept it from anybody"
    )]
    NotThePublisher { signer: PublicKey },
    /// An upstream repository that only mirrors this node does not trust vouch for.
    #[error(
        "only {signer} vouches for it, whom you do not trust; pin a revision (`REPO@<40 hex digits>`), or add that key \
         to trust.attestors in the configuration"
    )]
    UnknownAttestor { signer: PublicKey },
    /// A manifest of another repository.
    #[error("the manifest is of {actual}")]
    OtherRepo { actual: RepoId },
    /// A manifest of another revision.
    #[error("the manifest is of another revision")]
    OtherRevision,
}

/// Decides whether `manifest` is what was asked for, and says why.
///
/// # Errors
/// The reason not to believe it, with the way out.
pub fn judge(
    manifest: &Signed<Manifest>,
    repo: &RepoId,
    asked: &Revision,
    policy: &Policy,
) -> Result<Vec<Reason>, Refusal> {
    let (value, signer) = (manifest.value(), manifest.signer());
    let is_same_repo = value.repo().folded() == repo.folded();
    let mut reasons = Vec::new();
    if let Revision::Commit(id) = asked {
        if value.revision() != *id {
            return Err(Refusal::OtherRevision);
        }
        if value.is_proven() {
            reasons.push(Reason::Pinned);
        }
    }
    if is_same_repo {
        match repo.authority {
            Authority::Publisher(publisher) if publisher.0 == signer => reasons.push(Reason::Signed(publisher)),
            Authority::Upstream { .. } if policy.attestors.contains(&signer.into()) => {
                reasons.push(Reason::Attested(signer.into()));
            }
            _ => {}
        }
    }
    if reasons.is_empty() {
        return Err(match repo.authority {
            _ if !is_same_repo => Refusal::OtherRepo { actual: value.repo().clone() },
            Authority::Publisher(_) => Refusal::NotThePublisher { signer },
            Authority::Upstream { .. } => Refusal::UnknownAttestor { signer },
        });
    }
    if value.is_proven() && !reasons.contains(&Reason::Pinned) {
        reasons.push(Reason::Proven);
    }
    Ok(reasons)
}

/// Reports whether bytes must be hashed in full before they are believed: a stranger's manifest proves git ids and
/// SHA-256, but its BLAKE3 names, by which bytes are fetched, are only the stranger's word.
pub fn must_hash(reasons: &[Reason]) -> bool {
    !reasons.iter().any(|reason| matches!(reason, Reason::Signed(_) | Reason::Attested(_)))
}

#[cfg(test)]
mod tests {
    use huddle_protocol::{Card, Commit, ManifestParts, Person, RepoKind, SecretKey, commit_oid, tree_oid};

    use super::*;

    fn manifest(repo: &RepoId, signer: &SecretKey, with_commit: bool) -> Signed<Manifest> {
        let author = Person { name: "a".into(), email: "b".into() };
        let tree = tree_oid([]).unwrap();
        let raw = Commit { tree, parents: vec![], author, time: 1, message: "m\n".into() }.to_raw();
        let parts = ManifestParts {
            repo: repo.clone(),
            revision: commit_oid(&raw).unwrap(),
            commit: with_commit.then_some(raw),
            time: 1,
            files: vec![],
            card: Card::default(),
        };
        Signed::sign(Manifest::new(parts).unwrap(), signer).unwrap()
    }

    fn words(result: Result<Vec<Reason>, Refusal>) -> Vec<&'static str> {
        result.unwrap().into_iter().map(Reason::word).collect()
    }

    #[test]
    fn a_publisher_is_believed_about_its_own_repository_only() {
        let (ours, theirs) = (SecretKey::from_bytes([1; 32]), SecretKey::from_bytes([2; 32]));
        let repo = RepoId::native(RepoKind::Model, ours.public().into(), "x".parse().unwrap());
        let policy = Policy::default();
        let main = Revision::default();
        assert_eq!(words(judge(&manifest(&repo, &ours, true), &repo, &main, &policy)), ["signed", "proven"]);
        let refused = judge(&manifest(&repo, &theirs, true), &repo, &main, &policy);
        assert!(matches!(refused, Err(Refusal::NotThePublisher { .. })));
        let other = RepoId::native(RepoKind::Model, ours.public().into(), "y".parse().unwrap());
        assert!(matches!(judge(&manifest(&other, &ours, true), &repo, &main, &policy), Err(Refusal::OtherRepo { .. })));
    }

    #[test]
    fn a_pinned_revision_is_believed_from_anybody_if_it_is_proven() {
        let (ours, theirs) = (SecretKey::from_bytes([1; 32]), SecretKey::from_bytes([2; 32]));
        let repo = RepoId::native(RepoKind::Model, ours.public().into(), "x".parse().unwrap());
        let proven = manifest(&repo, &theirs, true);
        let pinned = Revision::Commit(proven.value().revision());
        let reasons = judge(&proven, &repo, &pinned, &Policy::default()).unwrap();
        assert_eq!(reasons, [Reason::Pinned]);
        assert!(must_hash(&reasons), "the BLAKE3 names are a stranger's word");
        let unproven = manifest(&repo, &theirs, false);
        assert!(judge(&unproven, &repo, &pinned, &Policy::default()).is_err());
        let another = Revision::Commit(huddle_protocol::GitOid([9; 20]));
        assert_eq!(judge(&proven, &repo, &another, &Policy::default()), Err(Refusal::OtherRevision));
    }

    #[test]
    fn an_upstream_repository_needs_a_mirror_that_is_trusted() {
        let mirror = SecretKey::from_bytes([3; 32]);
        let repo: RepoId = "hf:org/x".parse().unwrap();
        let attested = manifest(&repo, &mirror, false);
        let main = Revision::default();
        let refused = judge(&attested, &repo, &main, &Policy::default());
        assert!(matches!(refused, Err(Refusal::UnknownAttestor { .. })));
        let policy = Policy { attestors: vec![mirror.public().into()] };
        assert_eq!(words(judge(&attested, &repo, &main, &policy)), ["attested"]);
    }
}
