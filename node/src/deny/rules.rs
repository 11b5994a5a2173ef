//! What the lists say about one thing: one's own word first, the narrower before the wider, then that of others.

use std::{collections::HashMap, fmt};

use huddle_protocol::{BlobHash, DenyList, FileEntry, PublicKey, PublisherId, RepoId, Signed, Subject};
use serde::{Deserialize, Serialize};

use super::{Entry, Verdict};

/// Why something is denied, and who says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// What is denied.
    pub subject: Subject,
    /// Why.
    pub reason: String,
    /// Whose list it is on; nobody's but one's own if there is none.
    pub by: Option<PublisherId>,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, reason, by } = self;
        match by {
            None => write!(f, "this node denies {subject}: {reason}"),
            Some(by) => write!(f, "{subject} is on the deny list of {by}, which this node follows: {reason}"),
        }
    }
}

/// All lists together.
#[derive(Debug, Default)]
pub struct Rules {
    own: HashMap<String, Entry>,
    others: HashMap<String, Denial>,
    has_sha256: bool,
}

impl Rules {
    pub(super) fn new(own: Vec<Entry>, lists: &[Signed<DenyList>]) -> Self {
        let mut others = HashMap::new();
        for list in lists {
            for (subject, reason) in list.entries() {
                let (by, key) = (Some(list.signer().into()), subject.folded());
                let denial = || Denial { subject: subject.clone(), reason: reason.clone(), by };
                others.entry(key).or_insert_with(denial);
            }
        }
        let own: HashMap<_, _> = own.into_iter().map(|entry| (entry.subject.folded(), entry)).collect();
        let has_sha256 = own.keys().chain(others.keys()).any(|key| key.starts_with("sha256:"));
        Self { own, others, has_sha256 }
    }

    /// Reports whether anything is denied.
    pub(crate) fn is_empty(&self) -> bool {
        self.others.is_empty() && self.own.is_empty()
    }

    /// Reports whether files have to be known by their SHA-256.
    pub(crate) fn has_sha256(&self) -> bool {
        self.has_sha256
    }

    /// Judges the same thing under several names, the narrowest first.
    fn judge(&self, subjects: &[Subject]) -> Option<Denial> {
        if self.is_empty() {
            return None;
        }
        let keys: Vec<_> = subjects.iter().map(Subject::folded).collect();
        if let Some(entry) = keys.iter().find_map(|key| self.own.get(key)) {
            let Entry { subject, reason, .. } = entry.clone();
            return (entry.verdict == Verdict::Deny).then_some(Denial { subject, reason, by: None });
        }
        keys.iter().find_map(|key| self.others.get(key)).cloned()
    }

    /// Judges bytes by their BLAKE3.
    pub(crate) fn blob(&self, blob: BlobHash) -> Option<Denial> {
        self.judge(&[Subject::Blob(blob)])
    }

    /// Judges bytes by their SHA-256.
    #[cfg(feature = "gateway")]
    pub(crate) fn sha256(&self, sha256: huddle_protocol::Sha256) -> Option<Denial> {
        self.judge(&[Subject::Sha256(sha256)])
    }

    /// Judges a file.
    pub(crate) fn file(&self, file: &FileEntry) -> Option<Denial> {
        let sha256 = file.sha256.map(Subject::Sha256);
        self.judge(&[Subject::Blob(file.blake3)].into_iter().chain(sha256).collect::<Vec<_>>())
    }

    /// Judges a repository.
    pub(crate) fn repo(&self, repo: &RepoId) -> Option<Denial> {
        let publisher = repo.publisher().map(Subject::Publisher);
        self.judge(&[Subject::Repo(repo.clone())].into_iter().chain(publisher).collect::<Vec<_>>())
    }

    /// Judges what somebody signed about a repository.
    pub(crate) fn signed(&self, repo: &RepoId, signer: PublicKey) -> Option<Denial> {
        self.repo(repo).or_else(|| {
            let signer = PublisherId::from(signer);
            if repo.publisher() == Some(signer) { None } else { self.judge(&[Subject::Publisher(signer)]) }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use huddle_protocol::SecretKey;

    use super::*;

    #[test]
    fn ones_own_word_wins_and_the_narrower_before_the_wider() {
        let (ada, eve) = (SecretKey::from_bytes([1; 32]), SecretKey::from_bytes([2; 32]));
        let repo = |name: &str| format!("{}/{name}", eve.public()).parse::<RepoId>().unwrap();
        let publisher = Subject::Publisher(eve.public().into());
        let blob = BlobHash([7; 32]);
        let reason = "malware".to_owned();
        let theirs = [(publisher.clone(), reason.clone()), (Subject::Blob(blob), reason.clone())];
        let list = DenyList::new(1, 1, BTreeMap::from(theirs)).unwrap();
        let list = [Signed::sign(list, &ada).unwrap()];
        let own = |subject, verdict| Entry { subject, verdict, reason: "mine".to_owned(), added: 0 };

        let rules = Rules::new(Vec::new(), &list);
        let denial = rules.repo(&repo("x")).unwrap();
        assert_eq!((denial.by, &denial.subject), (Some(ada.public().into()), &publisher));
        assert!(rules.blob(blob).is_some() && rules.blob(BlobHash([8; 32])).is_none());

        let rules = Rules::new(vec![own(Subject::Repo(repo("X")), Verdict::Allow)], &list);
        assert_eq!(rules.repo(&repo("x")), None, "case does not matter");
        assert!(rules.repo(&repo("y")).is_some(), "others of the publisher stay denied");

        let allows = own(publisher.clone(), Verdict::Allow);
        let rules = Rules::new(vec![allows, own(Subject::Repo(repo("x")), Verdict::Deny)], &list);
        assert_eq!(rules.repo(&repo("x")).unwrap().by, None);
        assert_eq!(rules.repo(&repo("y")), None);
        let upstream = "hf:org/x".parse().unwrap();
        assert_eq!(Rules::new(Vec::new(), &list).signed(&upstream, eve.public()).unwrap().subject, publisher);
    }
}
