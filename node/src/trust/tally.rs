//! The words of trusted mirrors about one revision, those who say the same together.

use std::fmt;

use huddle_protocol::{FileEntry, GitOid, Manifest, PublisherId};
use serde::{Deserialize, Serialize};

use super::{Candidate, Policy, Reason, Refusal, Rule, Verdict};
use crate::{clock, output::count};

/// What a trusted mirror says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voice {
    /// Who says it.
    pub signer: PublisherId,
    /// How many votes its word counts.
    pub votes: u32,
    /// The commit that it says it is.
    pub revision: GitOid,
    /// When it said so, in seconds since 1970-01-01 UTC.
    pub time: u64,
    /// Whether that is what is believed.
    pub is_followed: bool,
}

/// Who says what.
#[derive(Debug, Default)]
pub(super) struct Tally<'a>(Vec<Camp<'a>>);

/// Mirrors who say the same.
#[derive(Debug)]
struct Camp<'a> {
    members: Vec<Member<'a>>,
}

#[derive(Clone, Copy, Debug)]
struct Member<'a> {
    signer: PublisherId,
    votes: u32,
    index: usize,
    candidate: Candidate<'a>,
}

impl<'a> Tally<'a> {
    /// Counts what mirrors with a vote say; of each what it said last.
    pub(super) fn count<'c>(candidates: impl Iterator<Item = &'c (usize, &'c Candidate<'a>)>, policy: &Policy) -> Self
    where
        'a: 'c,
    {
        let mut members: Vec<Member<'a>> = Vec::new();
        for (index, candidate) in candidates {
            let signer = PublisherId::from(candidate.manifest.signer());
            let member = Member { signer, votes: policy.weight(signer), index: *index, candidate: **candidate };
            match members.iter_mut().find(|other| other.signer == signer) {
                _ if member.votes == 0 => {}
                Some(other) if other.candidate.time < candidate.time => *other = member,
                Some(_) => {}
                None => members.push(member),
            }
        }
        let mut camps: Vec<Camp<'a>> = Vec::new();
        for member in members {
            let manifest = member.candidate.manifest.value();
            match camps.iter_mut().find(|camp| camp.says(manifest)) {
                Some(camp) => camp.members.push(member),
                None => camps.push(Camp { members: vec![member] }),
            }
        }
        Self(camps)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns who vouches for exactly this.
    pub(super) fn of(&self, manifest: &Manifest) -> impl Iterator<Item = Reason> {
        self.0.iter().find(|camp| camp.says(manifest)).into_iter().flat_map(Camp::reasons)
    }

    /// Returns what everybody says.
    pub(super) fn voices(&self, followed: Option<&Manifest>) -> Vec<Voice> {
        let of_camp = |camp: &Camp<'_>| {
            let is_followed = followed.is_some_and(|manifest| camp.says(manifest));
            let voice = |member: &Member<'_>| Voice {
                signer: member.signer,
                votes: member.votes,
                revision: member.candidate.manifest.value().revision(),
                time: member.candidate.time,
                is_followed,
            };
            camp.members.iter().map(voice).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of_camp).collect()
    }

    /// Finds the newest that has enough votes: a mirror may be behind without lying.
    pub(super) fn decide(&self, rule: Rule) -> Result<Verdict, Refusal> {
        if rule.votes == 0 {
            return Err(Refusal::OnlyPinned);
        }
        let enough: Vec<_> = self.0.iter().filter(|camp| camp.votes() >= u64::from(rule.votes)).collect();
        if enough.is_empty() {
            return Err(Refusal::TooFewVotes { needed: rule.votes, voices: self.voices(None) });
        }
        let proven =
            enough.into_iter().filter(|camp| !rule.proven || camp.best().candidate.manifest.value().is_proven());
        let camp = proven.max_by_key(|camp| camp.newest()).ok_or(Refusal::NotProven)?;
        let best = camp.best();
        let manifest = best.candidate.manifest.value();
        let proof = manifest.is_proven().then_some(Reason::Proven);
        Ok(Verdict {
            index: best.index,
            reasons: camp.reasons().chain(proof).collect(),
            voices: self.voices(Some(manifest)),
        })
    }
}

impl Camp<'_> {
    fn says(&self, manifest: &Manifest) -> bool {
        self.members.first().is_some_and(|member| is_same(member.candidate.manifest.value(), manifest))
    }

    fn votes(&self) -> u64 {
        self.members.iter().map(|member| u64::from(member.votes)).sum()
    }

    fn newest(&self) -> u64 {
        self.members.iter().map(|member| member.candidate.time).max().unwrap_or_default()
    }

    /// The member whose manifest says most: one with the commit object if there is one.
    fn best(&self) -> Member<'_> {
        let proven = self.members.iter().find(|member| member.candidate.manifest.value().is_proven());
        *proven.unwrap_or(&self.members[0]) // a camp is made with its first member
    }

    fn reasons(&self) -> impl Iterator<Item = Reason> {
        self.members.iter().map(|member| Reason::Attested(member.signer, member.votes))
    }
}

/// Reports whether two manifests say the same of one commit. Their BLAKE3 names are not compared: what they name is hashed
/// when it arrives.
fn is_same(one: &Manifest, other: &Manifest) -> bool {
    fn content(file: &FileEntry) -> impl PartialEq {
        (file.path.clone(), file.mode, file.size, file.git, file.sha256)
    }
    if one.revision() != other.revision() {
        return false;
    }
    let are_proven = one.is_proven() && other.is_proven();
    are_proven || one.files().iter().map(content).eq(other.files().iter().map(content))
}

/// Says who says what.
pub(super) fn sentence(voices: &[Voice]) -> String {
    format!("no revision has that many: {}", voices.iter().map(Voice::to_string).collect::<Vec<_>>().join("; "))
}

impl fmt::Display for Voice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { signer, votes, revision, time, .. } = self;
        write!(f, "{signer} ({}) says {revision} since {}", count(u64::from(*votes), "vote"), clock::date(*time))
    }
}
