//! What the signed documents in the store say: heads, manifests, and which bytes were hashed in full.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use huddle_protocol::{
    BlobHash, GitOid, Head, HeadPointer, Inspection, Manifest, Precedence, PublicKey, RepoId, Sha256, Signed,
};
use serde::{Deserialize, Serialize};

use super::{
    peers::PeerTable,
    table::{IndexError, Table},
    verified::Verified,
};

/// How much memory sled may use for its cache, in bytes.
const CACHE: u64 = 16 << 20;
/// Which way of looking at files found what is kept; one more whenever another would find more.
const INSPECTOR: u8 = 1;

/// A manifest in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The repository it is of.
    pub repo: RepoId,
    /// The commit it is of.
    pub revision: GitOid,
    /// Who signed it.
    pub signer: PublicKey,
    /// Whether this node tells others that it has (part of) it.
    pub is_provided: bool,
}

/// The index of one home.
#[derive(Clone, Debug)]
pub struct Index {
    db: Db,
    heads: Table,
    verified_heads: Verified<Head>,
    pointers: Table,
    verified_pointers: Verified<HeadPointer>,
    manifests: Table,
    revisions: Table,
    hashed: Table,
    large: Table,
    inspected: Table,
    numbers: Table,
    pub(super) said: Table,
    /// Held from the look at what is known to the write: answers come side by side.
    replacing: Arc<Mutex<()>>,
    peers: PeerTable,
}

#[derive(Clone)]
pub(super) struct Db(pub(super) sled::Db);

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("sled")
    }
}

impl Index {
    pub(super) fn open(path: &Path) -> Result<Self, IndexError> {
        let db = sled::Config::new().path(path).cache_capacity(CACHE).flush_every_ms(Some(1000)).open()?;
        let shared = Db(db.clone());
        Ok(Self {
            heads: Table::open(&db, "heads")?,
            verified_heads: Verified::default(),
            pointers: Table::open(&db, "pointers")?,
            verified_pointers: Verified::default(),
            manifests: Table::open(&db, "manifests")?,
            revisions: Table::open(&db, "revisions")?,
            hashed: Table::open(&db, "hashed")?,
            large: Table::open(&db, "large")?,
            inspected: Table::open(&db, "inspected")?,
            numbers: Table::open(&db, "numbers")?,
            said: Table::open(&db, "said")?,
            replacing: Arc::default(),
            peers: PeerTable::open(&shared)?,
            db: shared,
        })
    }

    /// Writes everything to disk.
    ///
    /// # Errors
    /// If the disk is full or the index damaged.
    pub async fn flush(&self) -> Result<(), IndexError> {
        self.db.0.flush_async().await?;
        Ok(())
    }

    /// Returns the part that is about other nodes.
    pub(crate) fn peers(&self) -> &PeerTable {
        &self.peers
    }

    /// Compares a head with the one known by the same signer.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn head_precedence(&self, head: &Signed<Head>) -> Result<Precedence, IndexError> {
        let known = self.heads.value(&head_key(head.value().repo(), Some(head.signer())))?;
        Ok(match known.as_deref().map(Signed::<Head>::from_bytes) {
            Some(Ok(known)) => head.pointer().precedence(&known.pointer()),
            Some(Err(_)) | None => Precedence::Newer,
        })
    }

    /// Keeps a head unless a newer one by the same signer is known; returns how it compares with the known one.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn put_head(&self, head: &Signed<Head>) -> Result<Precedence, IndexError> {
        let _replacing = self.replacing.lock().unwrap_or_else(PoisonError::into_inner); // nothing is half done
        let precedence = self.head_precedence(head)?;
        if precedence == Precedence::Newer {
            let (repo, signer) = (head.value().repo(), head.signer());
            let put = self.heads.put(&head_key(repo, Some(signer)), head.bytes());
            self.verified_heads.changed(&head_key(repo, None));
            put?;
        }
        Ok(precedence)
    }

    /// Returns every known head of a repository: the publisher's, or each mirror's.
    pub fn heads(&self, repo: &RepoId) -> Vec<Arc<Signed<Head>>> {
        let key = head_key(repo, None);
        self.verified_heads.list(&key, || self.heads.entries(&key).map(|(_, value)| value))
    }

    /// Returns the publisher's own head of its repository.
    pub fn head(&self, repo: &RepoId) -> Option<Arc<Signed<Head>>> {
        self.head_by(repo, repo.publisher()?.0)
    }

    /// Returns the head that somebody signed.
    pub(crate) fn head_by(&self, repo: &RepoId, signer: PublicKey) -> Option<Arc<Signed<Head>>> {
        self.heads(repo).into_iter().find(|head| head.signer() == signer)
    }

    /// Takes the next number for a head by this signer, above `known` and above every one taken before. It is taken on
    /// disk: a number can be seen as soon as it is used, and a kill must not let it be used again.
    ///
    /// # Errors
    /// If the disk is full or the index damaged.
    pub(crate) async fn take_number(&self, repo: &RepoId, signer: PublicKey, known: u64) -> Result<u64, IndexError> {
        let key = head_key(repo, Some(signer));
        let taken = self.numbers.value(&key)?.and_then(|taken| taken.try_into().ok()).map_or(0, u64::from_be_bytes);
        let number = known.max(taken).saturating_add(1);
        self.numbers.put(&key, &number.to_be_bytes())?;
        self.flush().await?;
        Ok(number)
    }

    /// Returns every known head.
    pub(crate) fn all_heads(&self) -> impl Iterator<Item = Signed<Head>> + use<> {
        self.heads.entries(b"").filter_map(|(_, value)| Signed::<Head>::from_bytes(&value).ok())
    }

    /// Compares a pointer with the one known by the same signer.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn pointer_precedence(&self, pointer: &Signed<HeadPointer>) -> Result<Precedence, IndexError> {
        let known = self.pointers.value(&head_key(&pointer.value().repo, Some(pointer.signer())))?;
        Ok(match known.as_deref().map(Signed::<HeadPointer>::from_bytes) {
            Some(Ok(known)) => pointer.value().precedence(known.value()),
            Some(Err(_)) | None => Precedence::Newer,
        })
    }

    /// Keeps a pointer unless a newer one by the same signer is known; returns how it compares with the known one.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn put_pointer(&self, pointer: &Signed<HeadPointer>) -> Result<Precedence, IndexError> {
        let _replacing = self.replacing.lock().unwrap_or_else(PoisonError::into_inner); // nothing is half done
        let precedence = self.pointer_precedence(pointer)?;
        if precedence == Precedence::Newer {
            let (repo, signer) = (&pointer.value().repo, pointer.signer());
            let put = self.pointers.put(&head_key(repo, Some(signer)), pointer.bytes());
            self.verified_pointers.changed(&head_key(repo, None));
            put?;
        }
        Ok(precedence)
    }

    /// Returns the newest known pointers of a repository: the publisher's, or each mirror's.
    pub fn pointers(&self, repo: &RepoId) -> Vec<Arc<Signed<HeadPointer>>> {
        let key = head_key(repo, None);
        self.verified_pointers.list(&key, || self.pointers.entries(&key).map(|(_, value)| value))
    }

    /// Returns up to `limit` pointers in the order of their repositories' names, after `after`, of those that `may` be told.
    pub fn pointers_after(
        &self,
        after: Option<&RepoId>,
        limit: usize,
        may: impl Fn(&RepoId) -> bool,
    ) -> Vec<Signed<HeadPointer>> {
        let after = after.map(RepoId::folded);
        let is_after = |key: &[u8]| {
            let name = key.split(|byte| *byte == 0).next().unwrap_or_default();
            after.as_ref().is_none_or(|after| name > after.as_bytes())
        };
        let later = self.pointers.entries(b"").filter(|(key, _)| is_after(key));
        let pointers = later.filter_map(|(_, value)| Signed::<HeadPointer>::from_bytes(&value).ok());
        pointers.filter(|pointer| may(&pointer.value().repo)).take(limit).collect()
    }

    /// Keeps what a manifest is of.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn put_manifest(
        &self,
        hash: BlobHash,
        manifest: &Signed<Manifest>,
        is_provided: bool,
    ) -> Result<(), IndexError> {
        let value = manifest.value();
        let held =
            Held { repo: value.repo().clone(), revision: value.revision(), signer: manifest.signer(), is_provided };
        let bytes = serde_ipld_dagcbor::to_vec(&held).unwrap_or_default();
        self.revisions.put(&[&value.revision().0[..], &hash.0].concat(), &[])?;
        self.manifests.put(&hash.0, &bytes)
    }

    /// Reports whether a manifest is here. What it is of has two keys in it, and a key takes longer to read than to find.
    pub(crate) fn has_manifest(&self, hash: BlobHash) -> bool {
        self.manifests.value(&hash.0).is_ok_and(|value| value.is_some())
    }

    /// Returns what a manifest is of, if it is here.
    pub fn manifest(&self, hash: BlobHash) -> Option<Held> {
        let bytes = self.manifests.value(&hash.0).ok()??;
        serde_ipld_dagcbor::from_slice(&bytes).ok()
    }

    /// Returns every manifest that is here.
    pub fn manifests(&self) -> impl Iterator<Item = (BlobHash, Held)> + use<> {
        self.manifests.entries(b"").filter_map(|(key, value)| {
            Some((BlobHash(key.try_into().ok()?), serde_ipld_dagcbor::from_slice(&value).ok()?))
        })
    }

    /// Returns the manifests of a commit that are here.
    pub fn manifests_of(&self, revision: GitOid) -> Vec<BlobHash> {
        let keys = self.revisions.entries(&revision.0).map(|(key, _)| key);
        keys.filter_map(|key| key[GitOid::LEN..].try_into().ok().map(BlobHash)).collect()
    }

    /// Keeps what git calls the bytes of a blob, which were hashed in full.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn put_git(&self, blob: BlobHash, git: GitOid) -> Result<(), IndexError> {
        self.hashed.put(&[&blob.0[..], b"g"].concat(), &git.0)
    }

    /// Keeps the SHA-256 of the bytes of a blob of this size, which were hashed in full.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn put_sha256(&self, blob: BlobHash, size: u64, sha256: Sha256) -> Result<(), IndexError> {
        self.hashed.put(&[&blob.0[..], b"s"].concat(), &sha256.0)?;
        self.large.put(&sha256.0, &[&blob.0[..], &size.to_be_bytes()].concat())
    }

    /// Returns the blob, and its size, whose bytes were hashed here to this SHA-256. They may be gone.
    pub fn by_sha256(&self, sha256: Sha256) -> Option<(BlobHash, u64)> {
        let value = self.large.value(&sha256.0).ok()??;
        let (blob, size) = value.split_first_chunk()?;
        Some((BlobHash(*blob), u64::from_be_bytes(size.try_into().ok()?)))
    }

    /// Keeps what was found in a blob.
    ///
    /// # Errors
    /// If the index is damaged.
    pub(super) fn put_inspection(&self, blob: BlobHash, found: &Inspection) -> Result<(), IndexError> {
        let found = serde_ipld_dagcbor::to_vec(found).unwrap_or_default();
        self.inspected.put(&blob.0, &[&[INSPECTOR][..], &found].concat())
    }

    /// Returns what was found in a blob by the way of looking that is used now.
    pub(super) fn inspection(&self, blob: BlobHash) -> Option<Inspection> {
        let value = self.inspected.value(&blob.0).ok()??;
        let (_, found) = value.split_first().filter(|(inspector, _)| **inspector == INSPECTOR)?;
        serde_ipld_dagcbor::from_slice(found).ok()
    }

    /// Returns the git id of a blob's bytes, if they were hashed here.
    pub fn hashed_git(&self, blob: BlobHash) -> Option<GitOid> {
        self.hashed.value(&[&blob.0[..], b"g"].concat()).ok()??.try_into().ok().map(GitOid)
    }

    /// Returns the SHA-256 of a blob's bytes, if they were hashed here.
    pub fn hashed_sha256(&self, blob: BlobHash) -> Option<Sha256> {
        self.hashed.value(&[&blob.0[..], b"s"].concat()).ok()??.try_into().ok().map(Sha256)
    }
}

fn head_key(repo: &RepoId, signer: Option<PublicKey>) -> Vec<u8> {
    let mut key = repo.folded().into_bytes();
    key.push(0); // no name has a zero byte, so no name is a prefix of another's key
    if let Some(signer) = signer {
        key.extend_from_slice(signer.as_bytes());
    }
    key
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use huddle_protocol::{RepoKind, SecretKey};

    use super::*;

    fn head(key: &SecretKey, name: &str, seq: u64, time: u64) -> Signed<Head> {
        let repo = RepoId::native(RepoKind::Model, key.public().into(), name.parse().unwrap());
        Signed::sign(Head::new(repo, seq, time, BTreeMap::new()).unwrap(), key).unwrap()
    }

    #[test]
    fn an_older_head_never_replaces_a_newer_one_and_a_fork_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let index = Index::open(dir.path()).unwrap();
        let key = SecretKey::from_bytes([1; 32]);
        assert_eq!(index.put_head(&head(&key, "a", 2, 0)).unwrap(), Precedence::Newer);
        assert_eq!(index.put_head(&head(&key, "a", 1, 0)).unwrap(), Precedence::Older);
        assert_eq!(index.put_head(&head(&key, "a", 2, 0)).unwrap(), Precedence::Same);
        assert_eq!(index.put_head(&head(&key, "a", 2, 1)).unwrap(), Precedence::Fork);
        let repo = head(&key, "A", 1, 0).value().repo().clone();
        assert_eq!(index.head(&repo).unwrap().value().seq(), 2, "look-ups ignore case");
    }

    #[test]
    fn of_heads_that_arrive_side_by_side_the_newest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let index = Index::open(dir.path()).unwrap();
        let key = SecretKey::from_bytes([1; 32]);
        for round in 0..40 {
            let name = format!("m{round}");
            index.put_head(&head(&key, &name, 1, 0)).unwrap(); // to be read and verified by all of them
            index.put_pointer(&Signed::sign(head(&key, &name, 1, 0).pointer(), &key).unwrap()).unwrap();
            let heads: Vec<_> = (2..=5).map(|seq| head(&key, &name, seq, 0)).collect();
            let barrier = std::sync::Barrier::new(heads.len());
            std::thread::scope(|scope| {
                for head in &heads {
                    let (index, barrier) = (&index, &barrier);
                    scope.spawn(move || {
                        let pointer = Signed::sign(head.pointer(), &SecretKey::from_bytes([1; 32])).unwrap();
                        barrier.wait();
                        index.put_head(head).unwrap();
                        index.put_pointer(&pointer).unwrap();
                    });
                }
            });
            let repo = heads[0].value().repo();
            assert_eq!(index.head(repo).unwrap().value().seq(), 5, "round {round}");
            assert_eq!(index.pointers(repo)[0].value().seq, 5, "round {round}");
        }
    }

    #[tokio::test]
    async fn a_number_is_never_taken_twice() {
        let dir = tempfile::tempdir().unwrap();
        let (key, open) = (SecretKey::from_bytes([1; 32]), || Index::open(dir.path()).unwrap());
        let (repo, signer) = (head(&key, "a", 1, 0).value().repo().clone(), key.public());
        assert_eq!(open().take_number(&repo, signer, 0).await.unwrap(), 1);
        assert_eq!(open().take_number(&repo, signer, 0).await.unwrap(), 2, "what it was taken for is not known");
        assert_eq!(open().take_number(&repo, signer, 7).await.unwrap(), 8, "another machine was ahead");
    }

    #[test]
    fn pointers_are_listed_page_by_page() {
        let dir = tempfile::tempdir().unwrap();
        let index = Index::open(dir.path()).unwrap();
        let key = SecretKey::from_bytes([1; 32]);
        for name in ["c", "a", "b", "ab"] {
            index.put_pointer(&Signed::sign(head(&key, name, 1, 0).pointer(), &key).unwrap()).unwrap();
        }
        let first = index.pointers_after(None, 2, |_| true);
        let rest = index.pointers_after(Some(&first[1].value().repo), 10, |_| true);
        let names: Vec<_> = first.iter().chain(&rest).map(|pointer| pointer.value().repo.name.to_string()).collect();
        assert_eq!(names, ["a", "ab", "b", "c"]);
    }
}
