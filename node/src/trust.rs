//! Which manifest to believe, and why. Pure: what is known goes in, reasons or a refusal come out.

pub mod book;
mod live;
mod policy;
mod reason;
mod tally;
#[cfg(test)]
mod tests;
mod upstream;

use std::sync::Arc;

use huddle_protocol::{Authority, GitOid, Manifest, PublicKey, RepoId, Revision, Signed};

use self::tally::Tally;
pub use self::{
    book::{Book, Fraud},
    live::LivePolicy,
    policy::{Policy, PolicyError, Rule},
    reason::Reason,
    tally::Voice,
    upstream::{Content, Statement},
};

/// A manifest that somebody offers as what was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The manifest.
    pub manifest: &'a Signed<Manifest>,
    /// When its signer last said so, in seconds since 1970-01-01 UTC.
    pub time: u64,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The revision, as it was asked for.
    pub revision: &'a Revision,
    /// What the hub that the repository is mirrored from says it is, if that decides.
    pub upstream: Option<&'a Statement>,
}

impl<'a> From<&'a Revision> for Question<'a> {
    fn from(revision: &'a Revision) -> Self {
        Self { revision, upstream: None }
    }
}

/// What is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Which of the candidates.
    pub index: usize,
    /// Why.
    pub reasons: Vec<Reason>,
    /// What each trusted mirror says, of a repository of another hub.
    pub voices: Vec<Voice>,
}

/// A manifest nobody has to believe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
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
    /// Trusted mirrors vouch for it, but not enough of them for the same.
    #[error(
        "it needs {} of mirrors you trust, and {}; pin a revision (`REPO@<40 hex digits>`), or see [trust] in the \
         configuration",
        crate::output::count(u64::from(*needed), "vote"),
        tally::sentence(voices)
    )]
    TooFewVotes { needed: u32, voices: Vec<Voice> },
    /// Mirrors who vouch for a commit object are asked for, and these have none.
    #[error(
        "mirrors you trust vouch for it, but without the commit object that would prove its files, which [trust] asks \
         for; pin a revision (`REPO@<40 hex digits>`) that is proven"
    )]
    NotProven,
    /// Its signer signed what is false before.
    #[error("only {signer} offers it, who signed what is false before: `huddle trust evidence` shows what")]
    Fraud { signer: PublicKey },
    /// The hub says otherwise than everybody who offers it.
    #[error("{hub} says it is {revision}, and nobody offers that with the files it has there")]
    NotAsUpstream { hub: Arc<str>, revision: GitOid },
    /// The configuration accepts nobody's word.
    #[error("[trust] accepts nobody's word for it; pin a revision (`REPO@<40 hex digits>`)")]
    OnlyPinned,
    /// A manifest of another repository.
    #[error("the manifest is of {actual}")]
    OtherRepo { actual: RepoId },
    /// A manifest of another revision.
    #[error("the manifest is of another revision")]
    OtherRevision,
}

/// Decides which of `candidates` is what was asked for, and says why.
///
/// The publisher's own word comes first, then a pinned commit that its commit object proves, then the votes of mirrors.
///
/// # Errors
/// The reason to believe none, with the way out.
pub fn judge(
    candidates: &[Candidate<'_>],
    repo: &RepoId,
    question: Question<'_>,
    policy: &Policy,
) -> Result<Verdict, Refusal> {
    let asked = question.revision;
    let is_asked = |manifest: &Manifest| !matches!(asked, Revision::Commit(id) if manifest.revision() != *id);
    let is_same = |manifest: &Manifest| manifest.repo().folded() == repo.folded();
    let fitting: Vec<_> =
        candidates.iter().enumerate().filter(|(_, candidate)| is_asked(candidate.manifest.value())).collect();
    let Some((_, first)) = fitting.first() else { return Err(Refusal::OtherRevision) };
    // Of what is his own a publisher may say what he likes: who asks for it asks for his word.
    let is_heard = |manifest: &Signed<Manifest>| {
        repo.publisher().is_some_and(|publisher| publisher.0 == manifest.signer())
            || !policy.is_fraud(manifest.signer().into())
    };
    let signer = first.manifest.signer();
    let fitting: Vec<_> = fitting.into_iter().filter(|(_, candidate)| is_heard(candidate.manifest)).collect();
    let Some((_, first)) = fitting.first() else { return Err(Refusal::Fraud { signer }) };
    let is_pinned = |manifest: &Manifest| matches!(asked, Revision::Commit(_)) && manifest.is_proven();
    if let Authority::Publisher(publisher) = repo.authority {
        let own = fitting
            .iter()
            .find(|(_, candidate)| candidate.manifest.signer() == publisher.0 && is_same(candidate.manifest.value()));
        if let Some((index, candidate)) = own {
            let manifest = candidate.manifest.value();
            let mut reasons = vec![Reason::Signed(publisher)];
            if is_pinned(manifest) {
                reasons.insert(0, Reason::Pinned);
            } else if manifest.is_proven() {
                reasons.push(Reason::Proven);
            }
            return Ok(Verdict { index: *index, reasons, voices: Vec::new() });
        }
    }
    let tally = match repo.authority {
        Authority::Publisher(_) => Tally::default(),
        Authority::Upstream { .. } => {
            Tally::count(fitting.iter().filter(|(_, candidate)| is_same(candidate.manifest.value())), policy)
        }
    };
    if let Some((index, candidate)) = fitting.iter().find(|(_, candidate)| is_pinned(candidate.manifest.value())) {
        let reasons = [Reason::Pinned].into_iter().chain(tally.of(candidate.manifest.value())).collect();
        return Ok(Verdict { index: *index, reasons, voices: tally.voices(Some(candidate.manifest.value())) });
    }
    if let Some(said) = question.upstream {
        return agreeing(&fitting, said, &tally, policy.rule(repo));
    }
    if !tally.is_empty() {
        return tally.decide(policy.rule(repo));
    }
    let signer = first.manifest.signer();
    Err(match repo.authority {
        _ if !is_same(first.manifest.value()) => Refusal::OtherRepo { actual: first.manifest.value().repo().clone() },
        Authority::Publisher(_) => Refusal::NotThePublisher { signer },
        Authority::Upstream { .. } => Refusal::UnknownAttestor { signer },
    })
}

/// Finds what agrees with the hub's own word, best with the commit object that proves it.
fn agreeing(
    fitting: &[(usize, &Candidate<'_>)],
    said: &Statement,
    tally: &Tally<'_>,
    rule: Rule,
) -> Result<Verdict, Refusal> {
    let agreeing = fitting.iter().filter_map(|(index, candidate)| {
        let manifest = candidate.manifest.value();
        Some((*index, manifest, said.confirms(manifest).ok()?))
    });
    let best = agreeing.max_by_key(|(_, manifest, _)| manifest.is_proven());
    let Some((index, manifest, word)) = best else { return Err(said.refusal()) };
    if rule.proven && !manifest.is_proven() {
        return Err(Refusal::NotProven);
    }
    let proof = manifest.is_proven().then_some(Reason::Proven);
    let reasons = [word].into_iter().chain(tally.of(manifest)).chain(proof).collect();
    Ok(Verdict { index, reasons, voices: tally.voices(Some(manifest)) })
}

/// Reports whether bytes must be hashed in full before they are passed on: a stranger's manifest proves git ids and
/// SHA-256, but its BLAKE3 names, by which bytes are fetched, are only the stranger's word.
pub fn must_hash(reasons: &[Reason]) -> bool {
    !reasons.iter().any(|reason| matches!(reason, Reason::Signed(_) | Reason::Attested(..)))
}

/// Reports whether bytes must be hashed in full once they are here: a mirror may be trusted, and wrong about what the
/// hub's hashes name.
pub fn must_check(reasons: &[Reason]) -> bool {
    !reasons.iter().any(|reason| matches!(reason, Reason::Signed(_)))
}
