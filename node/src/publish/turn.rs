//! One change of one repository: these files on that branch, with this message, by this key.
//!
//! The head is written last: until then nothing of a change that fails is visible.

use std::{collections::BTreeMap, sync::Arc};

use huddle_protocol::{
    BlobHash, Card, Commit, FileEntry, GitOid, Head, Manifest, ManifestParts, Person, Precedence, PublisherId, Record,
    RefName, RepoId, SecretKey, Signed, Target, commit_oid, tree_oid,
};
use tokio::sync::MutexGuard;

use super::PublishError;
use crate::{
    announce::{self, Announcement, Provided},
    clock::unix_now,
    events::Events,
    node::Node,
    resolve::ResolveError,
};

/// The largest README whose card is read, in bytes.
const MAX_README: usize = 4 << 20;

/// A repository that nobody else changes meanwhile: two changes must not sign the same sequence number.
pub(crate) struct Turn<'a> {
    node: &'a Node,
    repo: RepoId,
    key: SecretKey,
    head: Option<Arc<Signed<Head>>>,
    /// It was taken back, whatever the head says: a change may have broken off in between.
    is_gone: bool,
    /// Held from the look at the newest head to the new one.
    turn: MutexGuard<'a, ()>,
}

/// What a branch points to.
#[derive(Clone, Debug)]
pub(crate) struct Tip {
    pub(crate) target: Target,
    pub(crate) manifest: Arc<Signed<Manifest>>,
    /// It was there before, and nothing was written.
    pub(crate) is_unchanged: bool,
}

impl Node {
    /// Waits for its turn to change a repository, and looks for the newest head: the key may be in use on another
    /// machine too.
    ///
    /// # Errors
    /// If the newest head is out of reach, or the repository is written in another case.
    pub(crate) async fn turn(&self, repo: RepoId, key: SecretKey, events: &Events) -> Result<Turn<'_>, PublishError> {
        let turn = self.publishing().lock().await;
        Turn::begin(self, repo, key, turn, events).await
    }

    /// Waits for its turn to make a repository, whose visibility is settled before anybody is asked for it. It may turn out
    /// to exist.
    ///
    /// # Errors
    /// As for [`Node::turn`].
    pub(crate) async fn first_turn(
        &self,
        repo: RepoId,
        key: SecretKey,
        is_private: bool,
        events: &Events,
    ) -> Result<Turn<'_>, PublishError> {
        let turn = self.publishing().lock().await;
        settle(self, &repo, is_private).await?;
        Turn::begin(self, repo, key, turn, events).await
    }

    /// Tells the network what is here of a revision; under the repository's name only if who signed has a say in it,
    /// for a stranger can put any name into a manifest.
    pub(crate) async fn make_known(&self, hash: BlobHash, manifest: &Signed<Manifest>) {
        let value = manifest.value();
        let is_believed = self.resolver().is_believed(value.repo(), manifest.signer());
        let offer = &self.store().offer;
        if !offer.withholds(hash) {
            self.announcer().announce(announce::of_manifest(hash, value, |blob| !offer.withholds(blob))).await;
        }
        if is_believed {
            self.tell_head(value.repo()).await;
        }
    }

    /// Tells the network where a repository stands; of one that was taken back, just that.
    pub(crate) async fn tell_head(&self, repo: &RepoId) {
        if self.store().offer.is_hidden(repo) {
            if let Some(key) = self.store().offer.shared_key(repo) {
                let private = Announcement::Provide(Provided::Private(repo.clone(), key));
                self.announcer().announce(vec![private]).await;
            }
            return;
        }
        let pointers = self.store().index.pointers(repo).into_iter().map(Arc::unwrap_or_clone);
        let pointers = pointers.map(|pointer| Announcement::Put(Box::new(Record::Head(pointer))));
        let announcements = [Announcement::Provide(Provided::Repo(repo.clone()))].into_iter().chain(pointers).collect();
        self.announcer().announce(announcements).await;
    }

    fn author(&self, publisher: PublisherId) -> Person {
        let config = &self.config().publisher;
        let or = |text: &str, default: String| if text.is_empty() { default } else { text.to_owned() };
        Person {
            name: or(&config.author, publisher.to_string()),
            email: or(&config.email, format!("{publisher}@huddle")),
        }
    }
}

impl<'a> Turn<'a> {
    async fn begin(
        node: &'a Node,
        repo: RepoId,
        key: SecretKey,
        turn: MutexGuard<'a, ()>,
        events: &Events,
    ) -> Result<Self, PublishError> {
        if let Some(denial) = node.store().deny.rules().repo(&repo) {
            return Err(PublishError::Denied { what: repo.to_string(), denial: Box::new(denial) });
        }
        let is_private = node.store().offer.is_private(&repo); // others are not even asked for it
        match if is_private { Ok(Vec::new()) } else { node.resolver().heads_from_network(&repo).await } {
            Ok(_) | Err(ResolveError::NotFound { .. }) => {}
            // Readers use neither of two heads with one number; a newer one is the only way out.
            Err(error @ ResolveError::Fork { .. }) => {
                events.warn(format!("{error}; this change replaces both")).await;
            }
            Err(error) => return Err(error.into()),
        }
        let (head, is_gone) =
            (node.store().index.head_by(&repo, key.public()), node.store().offer.is_taken_back(&repo));
        match &head {
            Some(head) if head.value().repo() != &repo && !head.value().refs().is_empty() => {
                Err(PublishError::Case { existing: head.value().repo().clone() })
            }
            Some(head) if node.resolver().is_overtaken(head) => Err(PublishError::Behind { repo }),
            None if !node.store().index.pointers(&repo).is_empty() => Err(PublishError::Behind { repo }),
            _ => Ok(Self { node, repo, key, head, is_gone, turn }),
        }
    }

    /// Goes on with another repository of the same key, nobody coming in between.
    #[cfg_attr(not(feature = "gateway"), expect(dead_code, reason = "only through the gateway is anything renamed"))]
    pub(crate) async fn next(self, repo: RepoId, events: &Events) -> Result<Self, PublishError> {
        Self::begin(self.node, repo, self.key, self.turn, events).await
    }

    /// Goes on with a repository to be made, as [`Node::first_turn`] begins.
    #[cfg(feature = "gateway")]
    pub(crate) async fn next_first(
        self,
        repo: RepoId,
        is_private: bool,
        events: &Events,
    ) -> Result<Self, PublishError> {
        settle(self.node, &repo, is_private).await?;
        self.next(repo, events).await
    }

    /// Reports whether the newest head says that there is such a repository.
    #[cfg(feature = "gateway")]
    pub(crate) fn is_signed(&self) -> bool {
        self.head.as_ref().is_some_and(|head| !head.value().refs().is_empty())
    }

    /// Returns what the branches and tags point to; nothing if there is no such repository.
    pub(crate) fn refs(&self) -> BTreeMap<RefName, Target> {
        if self.is_gone {
            return BTreeMap::new();
        }
        self.head.as_ref().map(|head| head.value().refs().clone()).unwrap_or_default()
    }

    /// Adds a commit to a branch, unless the branch has exactly these files.
    pub(crate) async fn commit(
        &mut self,
        branch: &RefName,
        files: Vec<FileEntry>,
        message: String,
        events: &Events,
    ) -> Result<Tip, PublishError> {
        let tree = tree(&files)?;
        let parent = self.refs().get(branch).copied();
        if let Some(target) = parent
            && let Some(manifest) = self.node.store().manifest(target.manifest).await?
            && manifest.value().commit().is_some_and(|commit| commit.tree == tree)
        {
            self.mend_pointer().await?;
            self.node.make_known(target.manifest, &manifest).await;
            return Ok(Tip { target, manifest: Arc::new(manifest), is_unchanged: true });
        }
        let parents = parent.iter().map(|parent| parent.revision).collect();
        self.replace(branch, parents, files, message, events).await
    }

    /// Points a branch to a new commit with these parents.
    pub(crate) async fn replace(
        &mut self,
        branch: &RefName,
        parents: Vec<GitOid>,
        files: Vec<FileEntry>,
        message: String,
        events: &Events,
    ) -> Result<Tip, PublishError> {
        let rules = self.node.store().deny.rules();
        let denied = files.iter().find_map(|file| Some((file, rules.file(file)?)));
        if let Some((file, denial)) = denied {
            return Err(PublishError::Denied { what: file.path.to_string(), denial: Box::new(denial) });
        }
        let mut refs = self.refs();
        if refs.is_empty() {
            self.found().await?;
        }
        let commit = Commit {
            tree: tree(&files)?,
            parents,
            author: self.node.author(self.key.public().into()),
            time: i64::try_from(unix_now()).unwrap_or_default(),
            message,
        };
        let raw = commit.to_raw();
        let (revision, time) = (commit_oid(&raw)?, u64::try_from(commit.time).unwrap_or_default());
        let card = self.card(&files, events).await?;
        let parts = ManifestParts { repo: self.repo.clone(), revision, commit: Some(raw), time, files, card };
        let (target, manifest) = self.sign(parts).await?;
        refs.insert(branch.clone(), target);
        self.point(refs).await?;
        self.node.make_known(target.manifest, &manifest).await;
        Ok(Tip { target, manifest: Arc::new(manifest), is_unchanged: false })
    }

    /// Says of a repository of another hub that a branch is this commit.
    pub(super) async fn vouch(&mut self, branch: &RefName, parts: ManifestParts) -> Result<Target, PublishError> {
        let rules = self.node.store().deny.rules();
        if let Some((file, denial)) = parts.files.iter().find_map(|file| Some((file, rules.file(file)?))) {
            return Err(PublishError::Denied { what: file.path.to_string(), denial: Box::new(denial) });
        }
        let (target, manifest) = self.sign(parts).await?;
        let mut refs = self.refs();
        refs.insert(branch.clone(), target);
        self.point(refs).await?;
        self.node.make_known(target.manifest, &manifest).await;
        Ok(target)
    }

    /// Makes the name that of a new repository, before anything is signed under it: what was of an older one, or is of one
    /// that was renamed, stays what it is.
    pub(crate) async fn found(&mut self) -> Result<(), PublishError> {
        self.node.store().set_present(&self.repo).await?;
        Ok(())
    }

    /// Signs a manifest and keeps it.
    pub(crate) async fn sign(&self, parts: ManifestParts) -> Result<(Target, Signed<Manifest>), PublishError> {
        let manifest = Signed::sign(Manifest::new(parts)?, &self.key)?;
        let hash = self.node.store().blobs.add(manifest.bytes().to_vec()).await?;
        self.node.store().claim(hash, manifest.signer()).await?;
        self.node.store().keep_manifest(hash, &manifest).await?;
        Ok((Target { revision: manifest.value().revision(), manifest: hash }, manifest))
    }

    /// Makes these the branches and tags: signs the next head and keeps it.
    pub(crate) async fn point(&mut self, refs: BTreeMap<RefName, Target>) -> Result<(), PublishError> {
        let known = self.head.as_ref().map_or(0, |head| head.value().seq());
        let seq = self.node.store().index.take_number(&self.repo, self.key.public(), known).await?;
        let head = Signed::sign(Head::new(self.repo.clone(), seq, unix_now(), refs)?, &self.key)?;
        let pointer = Signed::sign(head.pointer(), &self.key)?;
        if !self.node.store().keep_signed(&head, &pointer).await? {
            return Err(PublishError::Behind { repo: self.repo.clone() });
        }
        self.head = Some(Arc::new(head));
        self.is_gone = self.node.store().offer.is_taken_back(&self.repo);
        Ok(())
    }

    /// Signs the pointer to a head again if a change was cut short between the two.
    async fn mend_pointer(&self) -> Result<(), PublishError> {
        let Some(head) = &self.head else { return Ok(()) };
        let pointer = Signed::sign(head.pointer(), &self.key)?;
        if self.node.store().keep_pointer(&pointer).await? == Precedence::Newer {
            self.node.store().flush().await?;
        }
        Ok(())
    }

    pub(super) async fn card(&self, files: &[FileEntry], events: &Events) -> Result<Card, PublishError> {
        let Some(readme) = files.iter().find(|file| file.path.as_str() == "README.md") else {
            events.warn("there is no README.md; a card tells others what this is and under which licence").await;
            return Ok(Card::default());
        };
        let Some(text) = self.node.store().blobs.small(readme.blake3, MAX_README).await? else {
            return Ok(Card::default());
        };
        match Card::from_readme(&String::from_utf8_lossy(&text)) {
            Ok(card) => Ok(card),
            Err(error) => {
                events.warn(format!("README.md: {error}")).await;
                Ok(Card::default())
            }
        }
    }
}

/// Settles who may see a repository that is not here yet, before anybody is asked for it.
async fn settle(node: &Node, repo: &RepoId, is_private: bool) -> Result<(), PublishError> {
    let store = node.store();
    let is_here = store.index.head(repo).is_some_and(|head| !head.value().refs().is_empty());
    if !is_here || store.offer.is_taken_back(repo) {
        store.set_visibility_of_new(repo, is_private).await?;
    }
    Ok(())
}

fn tree(files: &[FileEntry]) -> Result<GitOid, PublishError> {
    Ok(tree_oid(files.iter().map(|file| (file.path.as_str(), file.mode, file.git)))?)
}
