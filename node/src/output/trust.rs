//! What `huddle trust` prints.

use std::{
    collections::BTreeMap,
    fmt::{self, Display},
};

use huddle_protocol::{FraudProof, PublisherId};
use serde::Serialize;

use super::{clean, count};
use crate::{
    clock,
    config::UpstreamWord,
    trust::{Fraud, Policy, Rule},
};

/// Whose word counts, and what for.
#[derive(Serialize)]
pub(crate) struct Trusting {
    attestors: BTreeMap<PublisherId, u32>,
    rule: Rule,
    namespaces: BTreeMap<String, Rule>,
    hub: String,
    frauds: Vec<Fraud>,
}

impl Trusting {
    pub(crate) fn new(policy: &Policy, hub: String, frauds: Vec<Fraud>) -> Self {
        let attestors = policy.attestors().map(|attestor| (attestor, policy.weight(attestor))).collect();
        let namespaces = policy.namespaces().map(|(name, rule)| (name.to_owned(), rule)).collect();
        Self { attestors, rule: policy.general(), namespaces, hub, frauds }
    }
}

impl Display for Trusting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (attestor, votes) in &self.attestors {
            writeln!(f, "mirror     {attestor}  {}", count(u64::from(*votes), "vote"))?;
        }
        if self.attestors.is_empty() {
            writeln!(f, "mirror     none; `huddle trust add <publisher>` counts the word of one")?;
        }
        let hub = if self.hub.is_empty() { "no hub is asked" } else { &self.hub };
        write!(f, "needed     {}\nhub        {}", sentence(self.rule), clean(hub))?;
        for (name, rule) in &self.namespaces {
            write!(f, "\nneeded     {}  for {}", sentence(*rule), clean(name))?;
        }
        for fraud in self.frauds.iter().filter(|fraud| !fraud.is_forgiven) {
            write!(f, "\nfraud      {}  `huddle trust evidence` shows what was signed", fraud.signer)?;
        }
        Ok(())
    }
}

fn sentence(Rule { votes, proven, upstream }: Rule) -> String {
    let votes = match votes {
        0 => "no number of votes is enough".to_owned(),
        votes => count(u64::from(votes), "vote"),
    };
    let upstream = match upstream {
        UpstreamWord::Off => "",
        UpstreamWord::Enough => ", or the word of the hub",
        UpstreamWord::Required => ", and the word of the hub",
    };
    let proven = if proven { ", and a commit object" } else { "" };
    format!("{votes}{upstream}{proven}")
}

/// A mirror whose word was added or removed.
#[derive(Serialize)]
pub(crate) struct Trusted {
    pub(crate) publisher: PublisherId,
    pub(crate) votes: u32,
}

impl Display for Trusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.votes {
            0 => write!(f, "removed    {}", self.publisher),
            votes => write!(f, "trusted    {}  {}", self.publisher, count(u64::from(votes), "vote")),
        }
    }
}

/// Who signed what is false.
#[derive(Serialize)]
pub(crate) struct Evidence {
    pub(crate) frauds: Vec<Fraud>,
}

impl Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.frauds.is_empty() {
            return f.write_str("nobody was found to have signed what is false");
        }
        for (n, fraud) in self.frauds.iter().enumerate() {
            if n > 0 {
                f.write_str("\n\n")?;
            }
            one(f, fraud)?;
        }
        Ok(())
    }
}

fn one(f: &mut fmt::Formatter<'_>, fraud: &Fraud) -> fmt::Result {
    let path = clean(fraud.path.as_str());
    let forgiven = if fraud.is_forgiven { "  (forgiven)" } else { "" };
    writeln!(f, "signer     {}{forgiven}", fraud.signer)?;
    writeln!(f, "signed     that the file {path} of {} has hashes which its bytes do not have", fraud.repo)?;
    writeln!(
        f,
        "found      {}{}",
        clock::date(fraud.found),
        match fraud.hint {
            Some(node) => format!(", after a hint by {node}"),
            None => String::new(),
        }
    )?;
    write!(f, "see it     huddle trust check {} {path}", fraud.manifest)
}

/// What was found out about a manifest.
#[derive(Serialize)]
pub(crate) struct Checked {
    pub(crate) proof: FraudProof,
    pub(crate) fraud: Option<Fraud>,
}

impl Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fraud {
            Some(fraud) => {
                one(f, fraud)?;
                write!(f, "\ntrust      its signer is believed no more")
            }
            None => write!(
                f,
                "true       {} is what the manifest {} says",
                clean(self.proof.path.as_str()),
                self.proof.manifest
            ),
        }
    }
}

/// Somebody whose lies the user lets pass.
#[derive(Serialize)]
pub(crate) struct Pardon {
    pub(crate) publisher: PublisherId,
    pub(crate) proofs: u64,
}

impl Display for Pardon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "forgiven   {}, of whom {} are kept", self.publisher, count(self.proofs, "proof"))
    }
}
