//! The file that says which repositories are private, renamed or taken back.

use std::collections::{BTreeMap, BTreeSet};

use huddle_protocol::{BlobHash, Invitation, NodeId, RepoId};
use serde::{Deserialize, Serialize};

/// How many renames in a row are followed.
const RENAMES: usize = 16;

/// What is known of repositories beside what is signed; names in the form that ignores case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Notes {
    pub(super) private: BTreeSet<String>,
    /// Those of them that some nodes may read.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) shared: BTreeMap<String, Shared>,
    /// Those of them that are of others, who let this node read them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) joined: BTreeMap<String, Invitation>,
    pub(super) taken_back: BTreeSet<String>,
    /// Old names, and what they lead to.
    pub(super) renamed: BTreeMap<String, RepoId>,
    /// Manifests that are no longer of the repository whose name they bear, for the name may be used anew: the one they
    /// are of now, or `None` if it was taken back. At most one entry for each manifest signed here.
    former: BTreeMap<BlobHash, Option<RepoId>>,
}

/// Who may read a private repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shared {
    /// What those are told who may; it names no nodes.
    pub(super) invitation: Invitation,
    /// The nodes that may.
    pub(super) readers: BTreeSet<NodeId>,
}

impl Notes {
    /// Returns the name a repository has now, if it was renamed.
    pub(super) fn renamed(&self, repo: &RepoId) -> Option<&RepoId> {
        self.names(repo).last()
    }

    /// Returns the names a repository had after this one, in order.
    fn names(&self, repo: &RepoId) -> impl Iterator<Item = &RepoId> {
        let first = self.renamed.get(&repo.folded());
        std::iter::successors(first, |name| self.renamed.get(&name.folded())).take(RENAMES)
    }

    /// Reports whether what bears a name is of the repository that has, or had, another one.
    pub(super) fn leads_through(&self, name: &RepoId, other: &RepoId) -> bool {
        let other = other.folded();
        name.folded() == other || self.names(name).any(|name| name.folded() == other)
    }

    pub(super) fn withholds_anything(&self) -> bool {
        let is_gone = |owner: &Option<RepoId>| owner.is_none();
        !(self.private.is_empty() && self.taken_back.is_empty()) || self.former.values().any(is_gone)
    }

    /// Returns the repository a manifest is of now, by the name it bears; `None` if that was taken back.
    pub(super) fn owner<'a>(&'a self, manifest: BlobHash, name: &'a RepoId) -> Option<&'a RepoId> {
        let owner = self.former.get(&manifest).map_or(Some(name), Option::as_ref)?;
        let owner = self.renamed(owner).unwrap_or(owner);
        (!self.taken_back.contains(&owner.folded())).then_some(owner)
    }

    /// Reports whether a manifest is withheld, by the name it bears.
    pub(super) fn is_withheld(&self, manifest: BlobHash, name: &RepoId) -> bool {
        self.owner(manifest, name).is_none_or(|owner| self.private.contains(&owner.folded()))
    }

    /// Parts a name from all that was of the repository it named until now, `signed` under it or another: what comes to be
    /// of this name has nothing to do with that.
    pub(super) fn part(&mut self, name: &RepoId, signed: impl Iterator<Item = BlobHash>) {
        let (folded, owner) = (name.folded(), self.renamed(name).cloned());
        for former in self.former.values_mut() {
            if former.as_ref().is_some_and(|former| former.folded() == folded) {
                former.clone_from(&owner);
            }
        }
        for manifest in signed {
            self.former.entry(manifest).or_insert_with(|| owner.clone());
        }
    }

    /// Says that a manifest is of the repository whose name it bears, for it is signed under it just now.
    pub(super) fn claim(&mut self, manifest: BlobHash) {
        self.former.remove(&manifest);
    }

    /// Reports whether a manifest is said not to be of the repository whose name it bears.
    pub(super) fn is_former(&self, manifest: BlobHash) -> bool {
        self.former.contains_key(&manifest)
    }
}

#[cfg(test)]
mod tests {
    use huddle_protocol::{RepoKind, SecretKey};

    use super::*;

    fn repo(name: &str) -> RepoId {
        RepoId::native(RepoKind::Model, SecretKey::from_bytes([1; 32]).public().into(), name.parse().unwrap())
    }

    #[test]
    fn a_name_in_the_middle_of_two_renames_can_be_used_anew() {
        let [first, middle, last] = ["first", "middle", "last"].map(repo);
        let manifest = BlobHash([1; 32]);
        let mut notes = Notes::default();
        notes.private.insert(last.folded());
        // As a file from before manifests were noted has it.
        notes.renamed = [(first.folded(), middle.clone()), (middle.folded(), last.clone())].into();
        assert!(notes.is_withheld(manifest, &first) && notes.leads_through(&first, &middle));
        notes.part(&middle, [manifest].into_iter());
        notes.renamed.remove(&middle.folded());
        assert_eq!(notes.owner(manifest, &first), Some(&last));
        assert!(notes.is_withheld(manifest, &first), "it is of the private one still");
        assert!(!notes.is_withheld(BlobHash([2; 32]), &middle));
        notes.part(&last, std::iter::empty());
        notes.private.clear();
        assert!(notes.is_withheld(manifest, &first) && notes.withholds_anything(), "and gone with it");
    }

    #[test]
    fn what_was_noted_is_read_again() {
        let mut notes = Notes::default();
        notes.part(&repo("a"), [BlobHash([1; 32])].into_iter());
        notes.renamed.insert(repo("b").folded(), repo("c"));
        notes.part(&repo("b"), [BlobHash([2; 32])].into_iter());
        let read: Notes = serde_json::from_slice(&serde_json::to_vec_pretty(&notes).unwrap()).unwrap();
        assert_eq!(read, notes);
        let old: Notes = serde_json::from_str(r#"{"private":[],"taken_back":[],"renamed":{}}"#).unwrap();
        assert_eq!(old, Notes::default());
    }
}
