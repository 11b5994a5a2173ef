//! Whose word counts how much, and what a repository of another hub needs before it is believed.

use std::collections::{BTreeMap, BTreeSet};

use huddle_protocol::{Authority, PublisherId, RepoId};
use serde::Serialize;

use super::Book;
use crate::config::{self, UpstreamWord};

/// The most votes that one word may count, and that may be asked for.
const MOST_VOTES: u32 = 1000;
/// How many votes a word may count.
pub(super) const VOTES: std::ops::RangeInclusive<u32> = 1..=MOST_VOTES;

/// Whose word is believed beside the publishers' own.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    attestors: BTreeMap<PublisherId, u32>,
    /// Keys of this node: who vouches for something believes it.
    own: Vec<PublisherId>,
    /// Who signed what is false; their word counts nothing.
    frauds: BTreeSet<PublisherId>,
    rule: Rule,
    /// By the namespace, in lower case.
    namespaces: BTreeMap<String, Rule>,
}

/// What it takes to believe what a branch or tag of another hub's repository is. A commit that the user pinned needs
/// none of it if its commit object proves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// How many votes trusted mirrors who say the same must have together; with 0 no number is enough.
    pub votes: u32,
    /// Whether the commit object must prove the files on top of that.
    pub proven: bool,
    /// What the word of the hub itself counts.
    pub upstream: UpstreamWord,
}

impl Default for Rule {
    fn default() -> Self {
        Self { votes: 1, proven: false, upstream: UpstreamWord::Enough }
    }
}

impl Rule {
    fn with(self, set: &config::Namespace) -> Self {
        Self {
            votes: set.votes.unwrap_or(self.votes),
            proven: set.proven.unwrap_or(self.proven),
            upstream: set.upstream.unwrap_or(self.upstream),
        }
    }
}

/// Why `[trust]` makes no sense.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// An attestor is not a publisher id, or its weight no number.
    #[error("trust.attestors: `{text}` is not a publisher id, or one with its votes such as `<publisher id>=2`")]
    Attestor { text: String },
    /// Too many votes.
    #[error("trust: {votes} votes; at most {MOST_VOTES} can be asked for, and a word counts 1 to {MOST_VOTES}")]
    Votes { votes: u32 },
    /// The hub must agree, and none is named.
    #[error("trust asks for the hub's own word, and upstream.endpoint names no hub")]
    NoHub,
    /// More is asked for than all attestors have together.
    #[error("{place} asks for {votes} votes, and all attestors together have {all}: nothing would ever be believed")]
    OutOfReach { place: String, votes: u32, all: u32 },
}

impl Policy {
    /// Reads the configuration.
    ///
    /// # Errors
    /// If it makes no sense.
    pub fn new(config: &config::Trust) -> Result<Self, PolicyError> {
        let attestors = config.attestors.iter().map(|text| attestor(text)).collect::<Result<BTreeMap<_, _>, _>>()?;
        let rule = Rule { votes: config.votes, proven: config.proven, upstream: config.upstream };
        let of_namespace = |(name, set): (&String, &config::Namespace)| (name.to_lowercase(), rule.with(set));
        let policy = Self {
            attestors,
            own: Vec::new(),
            frauds: BTreeSet::new(),
            rule,
            namespaces: config.namespaces.iter().map(of_namespace).collect(),
        };
        Ok(policy)
    }

    /// Believes these mirrors, with one vote each.
    #[cfg(test)]
    pub(crate) fn believing(attestors: impl IntoIterator<Item = PublisherId>) -> Self {
        Self { attestors: attestors.into_iter().map(|attestor| (attestor, 1)).collect(), ..Self::default() }
    }

    /// Adds what the trust book says; what it says of a mirror or a namespace wins over the configuration.
    pub(crate) fn with_book(&self, book: &Book) -> Self {
        let mut policy = self.clone();
        policy.attestors.extend(&book.attestors);
        for (name, set) in &book.namespaces {
            policy.namespaces.insert(name.to_lowercase(), self.rule.with(set));
        }
        policy.frauds = book.frauds.iter().filter(|fraud| !fraud.is_forgiven).map(|fraud| fraud.signer).collect();
        policy
    }

    /// Reports whether a key signed what is false.
    pub(crate) fn is_fraud(&self, signer: PublisherId) -> bool {
        self.frauds.contains(&signer)
    }

    /// Checks that what is asked for can be had at all.
    ///
    /// # Errors
    /// If it cannot.
    pub fn check(&self) -> Result<(), PolicyError> {
        let all = self.attestors.values().fold(0_u32, |sum, weight| sum.saturating_add(*weight));
        let general = (!self.attestors.is_empty()).then(|| ("trust.votes".to_owned(), self.rule));
        let special = self.namespaces.iter().map(|(name, rule)| (format!("trust.namespaces.{name}"), *rule));
        for (place, Rule { votes, .. }) in general.into_iter().chain(special) {
            match votes {
                votes if votes > MOST_VOTES => return Err(PolicyError::Votes { votes }),
                votes if votes > all.max(1) => return Err(PolicyError::OutOfReach { place, votes, all }),
                _ => {}
            }
        }
        Ok(())
    }

    /// Believes the keys of this node, with one vote each, beside the mirrors it is told of.
    pub(crate) fn with_own(self, own: Vec<PublisherId>) -> Self {
        Self { own, ..self }
    }

    /// Returns the mirrors whose word counts.
    pub fn attestors(&self) -> impl Iterator<Item = PublisherId> {
        self.attestors.keys().copied().filter(|attestor| !self.is_fraud(*attestor))
    }

    /// Returns how much the word of a mirror counts: nothing unless the operator named it.
    pub fn weight(&self, attestor: PublisherId) -> u32 {
        if self.is_fraud(attestor) {
            return 0;
        }
        self.attestors.get(&attestor).copied().unwrap_or(u32::from(self.own.contains(&attestor)))
    }

    /// Reports whether anything needs the word of a hub.
    pub(crate) fn needs_upstream(&self) -> bool {
        self.namespaces.values().chain([&self.rule]).any(|rule| rule.upstream == UpstreamWord::Required)
    }

    /// Returns what is different for single namespaces.
    pub(crate) fn namespaces(&self) -> impl Iterator<Item = (&str, Rule)> {
        self.namespaces.iter().map(|(name, rule)| (name.as_str(), *rule))
    }

    /// Returns what repositories in all other namespaces need.
    pub(crate) fn general(&self) -> Rule {
        self.rule
    }

    /// Returns what a repository needs.
    pub fn rule(&self, repo: &RepoId) -> Rule {
        let Authority::Upstream { org: Some(org), .. } = &repo.authority else { return self.rule };
        self.namespaces.get(&org.as_str().to_lowercase()).copied().unwrap_or(self.rule)
    }
}

fn attestor(text: &str) -> Result<(PublisherId, u32), PolicyError> {
    let (id, votes) = text.split_once('=').unwrap_or((text, "1"));
    let bad = || PolicyError::Attestor { text: text.to_owned() };
    let votes = votes.trim().parse().map_err(|_| bad())?;
    let id = id.trim().parse().map_err(|_| bad())?;
    if VOTES.contains(&votes) { Ok((id, votes)) } else { Err(PolicyError::Votes { votes }) }
}

#[cfg(test)]
mod tests {
    use huddle_protocol::SecretKey;

    use super::*;

    fn read(text: &str) -> Result<Policy, PolicyError> {
        let [ada, bob] = [1, 2].map(|seed| SecretKey::from_bytes([seed; 32]).public());
        let text = text.replace("ADA", &ada.to_string()).replace("BOB", &bob.to_string());
        let policy = Policy::new(&toml::from_str(&text).unwrap())?;
        policy.check().map(|()| policy)
    }

    #[test]
    fn a_namespace_has_its_own_rule_in_any_case() {
        let text = "attestors = [\"ADA\", \"BOB=2\"]\nvotes = 2\n[namespaces.Meta-llama]\nvotes = 3\nproven = true";
        let policy = read(text).unwrap();
        let rule = |repo: &str| policy.rule(&repo.parse().unwrap());
        let rest = Rule::default();
        assert_eq!(rule("hf:gpt2"), Rule { votes: 2, ..rest });
        assert_eq!(rule("hf:org/x"), Rule { votes: 2, ..rest });
        assert_eq!(rule("datasets/hf:meta-LLAMA/x"), Rule { votes: 3, proven: true, ..rest });
        let weights = [1, 2, 3].map(|seed| policy.weight(SecretKey::from_bytes([seed; 32]).public().into()));
        assert_eq!(weights, [1, 2, 0]);
    }

    #[test]
    fn what_can_never_be_reached_is_told_at_the_start() {
        assert!(matches!(
            read("attestors = [\"ADA\"]\nvotes = 2"),
            Err(PolicyError::OutOfReach { votes: 2, all: 1, .. })
        ));
        let namespace = "attestors = [\"ADA\"]\n[namespaces.x]\nvotes = 2";
        assert!(matches!(read(namespace), Err(PolicyError::OutOfReach { .. })));
        assert!(matches!(read("attestors = [\"ADA=0\"]"), Err(PolicyError::Votes { .. })));
        assert!(matches!(read("attestors = [\"ADA=x\"]"), Err(PolicyError::Attestor { .. })));
        assert!(read("votes = 0\nproven = true").is_ok());
    }
}
