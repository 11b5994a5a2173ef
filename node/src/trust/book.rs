//! The trust book: whose word the user added to the configuration's, and who signed what turned out false. A file of the
//! home, so that it works with and without a running node, which reads it anew when it changes.

use std::collections::BTreeMap;

use huddle_protocol::{BlobHash, FilePath, FraudProof, NodeId, PublicKey, PublisherId, RepoId};
use serde::{Deserialize, Serialize};

use crate::{
    clock::unix_now,
    config::Namespace,
    home::{
        Home,
        file::{self, FileError},
    },
};

/// The most mirrors, namespaces and proofs of one book.
const MOST: usize = 1024;
/// The most proofs of one signer that are kept.
const MOST_OF_ONE: usize = 16;

/// Why the trust book stays as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// Nothing is said about a key.
    #[error("nothing is said about {publisher} in the trust book; `huddle trust list` shows all")]
    Unknown { publisher: PublisherId },
    /// No rule of a namespace.
    #[error("the trust book has no rule for `{namespace}`; `huddle trust list` shows all")]
    NoRule { namespace: String },
    /// Somebody who signed what is false.
    #[error(
        "{publisher} signed what is false; `huddle trust evidence` shows it, `huddle trust forgive {publisher}` lets that pass"
    )]
    Fraud { publisher: PublisherId },
    /// Too many.
    #[error("there are {MOST} entries already")]
    TooMany,
    /// What would come of it makes no sense.
    #[error(transparent)]
    Policy(#[from] super::PolicyError),
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
}

/// What the user said, and what was found out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Book {
    /// Mirrors, and how many votes each has.
    pub attestors: BTreeMap<PublisherId, u32>,
    /// What is different for single namespaces of other hubs.
    pub namespaces: BTreeMap<String, Namespace>,
    /// Who signed what is false.
    pub frauds: Vec<Fraud>,
}

/// A signature under something false, with what proves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fraud {
    /// Who signed.
    pub signer: PublisherId,
    /// The BLAKE3 of the signed manifest.
    pub manifest: BlobHash,
    /// What it is said to be of.
    pub repo: RepoId,
    /// The file whose bytes are not what the manifest says.
    pub path: FilePath,
    /// When it was found, in seconds since 1970-01-01 UTC.
    pub found: u64,
    /// Who hinted at it, if this node did not come upon it by itself; it was checked here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<NodeId>,
    /// Whether the user lets it pass.
    #[serde(default)]
    pub is_forgiven: bool,
}

impl Fraud {
    /// Returns what others need to see it for themselves.
    pub fn proof(&self) -> FraudProof {
        FraudProof { manifest: self.manifest, path: self.path.clone() }
    }
}

impl Book {
    /// Reads the book of a home; one that is not there is empty.
    ///
    /// # Errors
    /// If it is damaged, or others can change it.
    pub fn read(home: &Home) -> Result<Self, FileError> {
        file::read(&home.trust())
    }

    /// Returns what was found out about a key and not forgiven.
    pub fn fraud_of(&self, signer: PublisherId) -> Option<&Fraud> {
        self.frauds.iter().find(|fraud| fraud.signer == signer && !fraud.is_forgiven)
    }

    /// Returns proofs against some keys, for others.
    pub(crate) fn proofs<'a>(&'a self, signers: &'a [PublicKey]) -> impl Iterator<Item = FraudProof> + 'a {
        self.frauds.iter().filter(|fraud| signers.contains(&fraud.signer.0)).map(Fraud::proof)
    }

    /// Reports whether a manifest is known to be false.
    pub(crate) fn has_false(&self, manifest: BlobHash) -> bool {
        self.frauds.iter().any(|fraud| fraud.manifest == manifest)
    }

    fn add(&mut self, fraud: Fraud) {
        let of_same = self.frauds.iter().filter(|other| other.signer == fraud.signer).count();
        let is_known = self.frauds.iter().any(|other| other.manifest == fraud.manifest);
        // One proof is enough; who signs many false things fills no disk.
        if !is_known && of_same < MOST_OF_ONE && self.frauds.len() < MOST {
            self.frauds.push(fraud);
        }
    }
}

/// Counts the word of a mirror, in place of what was said of it before.
///
/// # Errors
/// If it signed what is false, or the file cannot be written.
pub fn add(home: &Home, publisher: PublisherId, votes: u32) -> Result<(), TrustError> {
    change(home, |book| {
        if book.fraud_of(publisher).is_some() {
            return Err(TrustError::Fraud { publisher });
        }
        if !super::policy::VOTES.contains(&votes) {
            return Err(super::PolicyError::Votes { votes }.into());
        }
        if book.attestors.len() >= MOST && !book.attestors.contains_key(&publisher) {
            return Err(TrustError::TooMany);
        }
        book.attestors.insert(publisher, votes);
        Ok(())
    })
}

/// Counts the word of a mirror no more, unless the configuration names it.
///
/// # Errors
/// If it is not in the book, or the file cannot be written.
pub fn remove(home: &Home, publisher: PublisherId) -> Result<(), TrustError> {
    change(home, |book| match book.attestors.remove(&publisher) {
        Some(_) => Ok(()),
        None => Err(TrustError::Unknown { publisher }),
    })
}

/// Sets what repositories in a namespace need; `None` takes it back.
///
/// # Errors
/// If there is nothing to take back, or the file cannot be written.
pub fn set_rule(home: &Home, namespace: &str, rule: Option<Namespace>) -> Result<(), TrustError> {
    let namespace = namespace.to_lowercase();
    change(home, |book| match rule {
        Some(_) if book.namespaces.len() >= MOST => Err(TrustError::TooMany),
        Some(rule) => {
            book.namespaces.insert(namespace, rule);
            Ok(())
        }
        None => match book.namespaces.remove(&namespace) {
            Some(_) => Ok(()),
            None => Err(TrustError::NoRule { namespace }),
        },
    })
}

/// Keeps who signed what is false, and counts his word no more.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn found(home: &Home, fraud: Fraud) -> Result<(), TrustError> {
    change(home, |book| {
        book.add(fraud);
        Ok(())
    })
}

/// Lets pass what a key signed; the proofs are kept. Returns how many there are.
///
/// # Errors
/// If there is none, or the file cannot be written.
pub fn forgive(home: &Home, publisher: PublisherId) -> Result<usize, TrustError> {
    change(home, |book| {
        let of_him = book.frauds.iter_mut().filter(|fraud| fraud.signer == publisher && !fraud.is_forgiven);
        let forgiven = of_him.map(|fraud| fraud.is_forgiven = true).count();
        if forgiven == 0 { Err(TrustError::Unknown { publisher }) } else { Ok(forgiven) }
    })
}

/// Describes what was found.
pub(crate) fn fraud(
    signer: PublicKey,
    (manifest, repo): (BlobHash, &RepoId),
    path: &FilePath,
    hint: Option<NodeId>,
) -> Fraud {
    Fraud {
        signer: signer.into(),
        manifest,
        repo: repo.clone(),
        path: path.clone(),
        found: unix_now(),
        hint,
        is_forgiven: false,
    }
}

fn change<T>(home: &Home, change: impl FnOnce(&mut Book) -> Result<T, TrustError>) -> Result<T, TrustError> {
    file::change(&home.trust(), change)
}

#[cfg(test)]
mod tests {
    use huddle_protocol::SecretKey;

    use super::*;

    fn publisher(seed: u8) -> PublisherId {
        SecretKey::from_bytes([seed; 32]).public().into()
    }

    fn lie(seed: u8, manifest: u8) -> Fraud {
        let (repo, path) = ("hf:org/x".parse().unwrap(), "w.bin".parse().unwrap());
        fraud(publisher(seed).0, (BlobHash([manifest; 32]), &repo), &path, None)
    }

    #[test]
    fn who_signed_what_is_false_is_not_added_until_he_is_forgiven() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path());
        add(&home, publisher(1), 2).unwrap();
        found(&home, lie(1, 1)).unwrap();
        assert!(matches!(add(&home, publisher(1), 1), Err(TrustError::Fraud { .. })));
        assert_eq!(forgive(&home, publisher(1)).unwrap(), 1);
        assert!(matches!(forgive(&home, publisher(1)), Err(TrustError::Unknown { .. })));
        add(&home, publisher(1), 1).unwrap();
        found(&home, lie(1, 1)).unwrap(); // heard of again
        let book = Book::read(&home).unwrap();
        assert_eq!((book.frauds.len(), book.fraud_of(publisher(1))), (1, None));
        assert_eq!(book.proofs(&[publisher(1).0]).count(), 1, "others are told all the same");
        remove(&home, publisher(1)).unwrap();
        assert!(matches!(remove(&home, publisher(1)), Err(TrustError::Unknown { .. })));
    }

    #[test]
    fn who_signs_much_that_is_false_fills_no_disk() {
        let mut book = Book::default();
        for manifest in 0..100 {
            book.add(lie(1, manifest));
        }
        assert_eq!(book.frauds.len(), MOST_OF_ONE);
        book.add(lie(2, 200));
        assert!(book.fraud_of(publisher(2)).is_some());
    }
}
