//! From a name to a manifest that may be believed: heads from the DHT and from whoever has the repository.

pub(crate) mod fraud;
mod recent;
#[cfg(test)]
mod tests;
mod upstream;

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use huddle_protocol::{
    Authority, BlobHash, DhtKey, GitOid, Head, HeadPointer, Manifest, NodeId, Precedence, PublicKey, PublisherId,
    Record, RefName, RepoId, Request, Response, Revision, Signed, Target,
};
use tracing::debug;

pub use self::recent::Recent;
use crate::{
    deny::Denial,
    discovery::{Network, NetworkError},
    exchange::{Exchange, heads_of},
    store::{Store, StoreError},
    transfer::{self, FetchError, Holders, Search, Transfer},
    trust::{self, Candidate, LivePolicy, Question, Reason, Refusal, Verdict, Voice},
    upstream::{Upstream, UpstreamError},
};

/// How long a reader who could have what is known waits for something newer.
const READER: Duration = Duration::from_secs(2);
/// How many peers are asked for a head at once.
const ASK_AT_ONCE: usize = 16;
/// How many peers are asked for a head in all.
const ASK_IN_ALL: usize = 64;
/// How many manifests of one commit are looked at because one peer names them.
const NAMED: usize = 4;
/// And how many in all.
const NAMED_IN_ALL: usize = 32;
/// How long peers are asked for heads or manifests before what is known by then has to do.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a name leads nowhere.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// Nobody offers the repository.
    #[error("{}", nobody_offers(repo))]
    NotFound { repo: RepoId },
    /// The repository is known, the revision is not.
    #[error("{repo} has no revision `{revision}`; it has {}", known.join(", "))]
    RevisionNotFound { repo: RepoId, revision: String, known: Vec<String> },
    /// Somebody has it, nobody can be reached.
    #[error("{repo} exists, but nobody who has it can be reached now")]
    Unreachable { repo: RepoId, source: Option<Box<FetchError>> },
    /// It was found, but nothing says that it is what it claims to be.
    #[error("{repo} was found, but is not trusted: {refusal}")]
    Untrusted { repo: RepoId, refusal: Refusal },
    /// The publisher signed two different heads under one number.
    #[error("the publisher of {repo} signed two different heads under one number; neither is used")]
    Fork { repo: RepoId },
    /// This node denies it.
    #[error("{repo} is denied: {denial}; `huddle deny list` shows what is denied here")]
    Denied { repo: RepoId, denial: Box<Denial> },
    /// The hub knows it, nobody here has it.
    #[error(
        "{hub} says that {repo} is at commit {revision}, which nobody on this network has; a mirror has to fetch it first"
    )]
    NobodyHas { repo: RepoId, hub: Arc<str>, revision: GitOid },
    /// Nobody's word is enough, and the hub cannot be asked.
    #[error("{error}; and {reason}")]
    NoWord { error: Box<Self>, reason: UpstreamError },
    /// The manifest does not decode.
    #[error("the manifest {manifest} of {repo} is not valid")]
    Invalid { repo: RepoId, manifest: BlobHash },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The network part of this node has stopped.
    #[error(transparent)]
    Network(#[from] NetworkError),
}

impl From<Box<Self>> for ResolveError {
    fn from(error: Box<Self>) -> Self {
        *error
    }
}

fn nobody_offers(repo: &RepoId) -> String {
    match repo.authority {
        Authority::Publisher(_) => {
            format!("nobody on the network offers {repo}; is the name right, and is a node that has it online?")
        }
        Authority::Upstream { .. } => format!(
            "nobody you trust mirrors {repo}; a publisher's own repository starts with his key, and a mirror's key goes \
             into trust.attestors"
        ),
    }
}

/// A revision that was found and is believed.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The repository, as asked for.
    pub repo: RepoId,
    /// The name of the manifest.
    pub hash: BlobHash,
    /// The manifest and its signature.
    pub manifest: Arc<Signed<Manifest>>,
    /// Why it is believed.
    pub reasons: Vec<Reason>,
    /// What each trusted mirror says, of a repository of another hub.
    pub voices: Vec<Voice>,
}

impl Resolved {
    /// Returns the commit id.
    pub fn revision(&self) -> GitOid {
        self.manifest.value().revision()
    }

    /// Returns what providers of this revision and its repository announce.
    pub fn keys(&self) -> Vec<DhtKey> {
        vec![DhtKey::manifest(self.hash), DhtKey::repo(&self.repo), DhtKey::revision(self.revision())]
    }

    /// Reports whether bytes must be hashed in full before they are believed.
    pub fn must_hash(&self) -> bool {
        trust::must_hash(&self.reasons)
    }

    /// Reports whether bytes must be hashed in full once they are here.
    pub fn must_check(&self) -> bool {
        trust::must_check(&self.reasons)
    }
}

/// Resolves names. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Resolver {
    /// Where heads and manifests are kept.
    pub store: Store,
    /// Where heads are announced.
    pub network: Network,
    /// How peers are asked for them.
    pub exchange: Exchange,
    /// How manifests are fetched.
    pub transfer: Transfer,
    /// Whose word counts.
    pub policy: LivePolicy,
    /// The hub that repositories are mirrored from.
    pub upstream: Option<Upstream>,
    /// Publishers whose keys are here: their heads are made here and nowhere else.
    pub own: Vec<PublisherId>,
    /// What was looked up a moment ago.
    pub recent: Arc<Recent>,
}

impl Resolver {
    /// Finds a revision of a repository and decides whether to believe it.
    ///
    /// # Errors
    /// See [`ResolveError`].
    pub async fn resolve(&self, repo: &RepoId, revision: &Revision) -> Result<Resolved, ResolveError> {
        self.permit(repo, self.store.deny.rules().repo(repo))?;
        if self.store.offer.is_taken_back(repo) {
            return Err(ResolveError::NotFound { repo: repo.clone() });
        }
        let resolved = self.by_word(repo, revision).await;
        self.heeding_upstream(repo, revision, resolved).await
    }

    /// Finds a revision by the word of whoever signs for the repository, and a pinned commit by its own proof.
    async fn by_word(&self, repo: &RepoId, revision: &Revision) -> Result<Resolved, ResolveError> {
        let question = Question::from(revision);
        if let Revision::Commit(id) = revision
            && let Some(resolved) = self.pinned(repo, question, &self.store.index.manifests_of(*id), None).await?
        {
            return Ok(resolved);
        }
        let heads = match (self.heads(repo).await, revision) {
            // A pinned commit needs nobody's word, and somebody may hold it under another name.
            (Err(error), Revision::Commit(id)) => {
                return self.by_commit(repo, question, *id, false).await.map_err(|other| match other {
                    ResolveError::NotFound { .. } => error,
                    other => other,
                });
            }
            (heads, _) => heads?,
        };
        let said = heads.iter().filter_map(|head| Some((head.value().find(revision)?, head.value().time())));
        let said: Vec<_> = said.collect();
        if !said.is_empty() {
            return self.decide(repo, revision, &said).await;
        }
        if let Revision::Commit(id) = revision {
            return self.by_commit(repo, question, *id, !heads.is_empty()).await;
        }
        let short = |name: &RefName| name.as_branch().or(name.as_tag()).unwrap_or(name.as_str()).to_owned();
        let known = heads.iter().flat_map(|head| head.value().refs().keys()).take(20).map(short).collect();
        Err(ResolveError::RevisionNotFound { repo: repo.clone(), revision: revision.to_string(), known })
    }

    /// Refuses what is denied.
    fn permit(&self, repo: &RepoId, denial: Option<Denial>) -> Result<(), Box<ResolveError>> {
        let denied = |denial| ResolveError::Denied { repo: repo.clone(), denial: Box::new(denial) };
        denial.map_or(Ok(()), |denial| Err(Box::new(denied(denial))))
    }

    /// Returns the newest heads of a repository: the publisher's one, or those of trusted mirrors.
    ///
    /// # Errors
    /// If there are none, or the publisher contradicts himself or took the repository back.
    pub async fn heads(&self, repo: &RepoId) -> Result<Vec<Arc<Signed<Head>>>, ResolveError> {
        self.permit(repo, self.store.deny.rules().repo(repo))?;
        if self.store.offer.is_taken_back(repo) {
            return Err(ResolveError::NotFound { repo: repo.clone() });
        }
        let mut heads = self.newest(repo).await?;
        heads.retain(|head| !head.value().refs().is_empty());
        if heads.is_empty() { Err(ResolveError::NotFound { repo: repo.clone() }) } else { Ok(heads) }
    }

    async fn newest(&self, repo: &RepoId) -> Result<Vec<Arc<Signed<Head>>>, ResolveError> {
        let is_joined = self.store.offer.joined(repo).is_some();
        let is_own = repo.publisher().is_some_and(|publisher| self.own.contains(&publisher))
            || (self.store.offer.is_private(repo) && !is_joined);
        let known = self.believed_heads(repo);
        let is_last = known.iter().all(|head| !self.is_overtaken(head));
        // Nobody spreads news of a private repository: who has it is asked.
        if !known.is_empty() && is_last && (is_own || (self.recent.is_fresh(repo) && !is_joined)) {
            return Ok(known);
        }
        if known.is_empty() || !is_last {
            return self.heads_from_network(repo).await;
        }
        // What is known serves a reader who should not wait for a slow network; the search goes on for the next one.
        let (this, name) = (self.clone(), repo.clone());
        let search = tokio::spawn(async move { this.heads_from_network(&name).await });
        match tokio::time::timeout(READER, search).await {
            Ok(Ok(heads)) => heads,
            Ok(Err(_)) | Err(_) => Ok(known),
        }
    }

    /// Returns the newest heads of a repository, having asked the network just now.
    ///
    /// # Errors
    /// If there are none, or the publisher contradicts himself.
    pub async fn heads_from_network(&self, repo: &RepoId) -> Result<Vec<Arc<Signed<Head>>>, ResolveError> {
        let known = self.believed_heads(repo);
        if repo.publisher().is_none() && self.policy.now().attestors().next().is_none() {
            // Whoever answered would not be believed.
            return if known.is_empty() { Err(ResolveError::NotFound { repo: repo.clone() }) } else { Ok(known) };
        }
        // Who may read a private repository asks those who have it, and nobody else.
        let is_joined = self.store.offer.joined(repo).is_some();
        let pointers = if is_joined { Vec::new() } else { self.pointers(repo).await? };
        for pointer in &pointers {
            let contradicts = |head: &Arc<Signed<Head>>| {
                head.signer() == pointer.signer() && head.pointer().precedence(pointer.value()) == Precedence::Fork
            };
            if self.store.keep_pointer(pointer).await? == Precedence::Fork || known.iter().any(contradicts) {
                return Err(ResolveError::Fork { repo: repo.clone() });
            }
        }
        let is_current = |known: &[Arc<Signed<Head>>]| {
            !known.is_empty()
                && pointers.iter().all(|pointer| {
                    known
                        .iter()
                        .any(|head| head.signer() == pointer.signer() && head.value().seq() >= pointer.value().seq)
                })
        };
        if !is_current(&known) || pointers.is_empty() {
            self.ask_for_heads(repo, |this| is_current(&this.believed_heads(repo))).await?;
        }
        let heads = self.believed_heads(repo);
        if heads.is_empty() {
            return Err(match pointers.is_empty() {
                true => ResolveError::NotFound { repo: repo.clone() },
                false => ResolveError::Unreachable { repo: repo.clone(), source: None },
            });
        }
        self.recent.refreshed(repo);
        Ok(heads)
    }

    /// Keeps a head somebody announced, if this node has the repository and believes him; the next look-up then asks
    /// for it. Anybody may sign for an upstream repository, under as many keys as he likes.
    ///
    /// # Errors
    /// If the store failed.
    pub async fn heard(&self, pointer: &Signed<HeadPointer>) -> Result<(), StoreError> {
        let repo = &pointer.value().repo;
        let is_denied = self.store.deny.rules().signed(repo, pointer.signer()).is_some();
        if is_denied || !self.is_believed(repo, pointer.signer()) || self.store.index.heads(repo).is_empty() {
            return Ok(());
        }
        if matches!(self.store.keep_pointer(pointer).await?, Precedence::Newer | Precedence::Fork) {
            debug!(%repo, seq = pointer.value().seq, "heard of another head");
            self.recent.forget(repo);
        }
        Ok(())
    }

    /// Reports whether a newer head by the same signer is known to exist.
    pub(crate) fn is_overtaken(&self, head: &Signed<Head>) -> bool {
        let pointers = self.store.index.pointers(head.value().repo());
        pointers.iter().any(|other| other.signer() == head.signer() && other.value().seq > head.value().seq())
    }

    /// Reports whether there is something newer than what a branch or tag was found to be, which cannot be had now.
    pub(crate) fn is_outdated(&self, resolved: &Resolved, asked: &Revision) -> bool {
        let is_overtaken = |head: &Arc<Signed<Head>>| self.is_overtaken(head);
        matches!(asked, Revision::Named(_)) && self.believed_heads(&resolved.repo).iter().any(is_overtaken)
    }

    /// Returns the heads of a repository that are here, by whom they may be believed.
    pub(crate) fn believed_heads(&self, repo: &RepoId) -> Vec<Arc<Signed<Head>>> {
        let mut heads = self.store.index.heads(repo);
        heads.retain(|head| self.is_believed(repo, head.signer()));
        heads
    }

    /// Reports whether `signer` has a say in what a repository is.
    pub(crate) fn is_believed(&self, repo: &RepoId, signer: PublicKey) -> bool {
        match repo.publisher() {
            Some(publisher) => publisher.0 == signer,
            None => self.policy.now().weight(signer.into()) > 0,
        }
    }

    /// Reports whether the operator named a publisher as somebody to believe.
    #[cfg(feature = "gateway")]
    pub(crate) fn names(&self, publisher: PublisherId) -> bool {
        self.policy.now().weight(publisher) > 0
    }

    /// Looks the newest pointers up in the DHT: the publisher's, or each trusted mirror's.
    async fn pointers(&self, repo: &RepoId) -> Result<Vec<Signed<HeadPointer>>, ResolveError> {
        let keys = match repo.publisher() {
            Some(_) => vec![DhtKey::head(repo)],
            None => self.policy.now().attestors().map(|attestor| DhtKey::attestation(repo, attestor)).collect(),
        };
        let mut pointers = Vec::new();
        for key in keys {
            match self.network.get(key).await {
                Ok(Some(Record::Head(pointer))) => pointers.push(pointer),
                Ok(_) => {}
                Err(NetworkError::TimedOut) => debug!(%repo, "nobody answered; what is known has to do"),
                Err(NetworkError::Fork { one, .. }) => {
                    if let Record::Head(pointer) = *one {
                        self.store.keep_pointer(&pointer).await?; // whoever publishes next has to go beyond it
                    }
                    return Err(ResolveError::Fork { repo: repo.clone() });
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(pointers)
    }

    /// Asks providers of the repository for its heads until `is_enough`.
    async fn ask_for_heads(&self, repo: &RepoId, is_enough: impl Fn(&Self) -> bool) -> Result<(), ResolveError> {
        let request = Request::Head { repo: repo.clone() };
        let ask = |node: NodeId| {
            let request = &request;
            async move { self.exchange.ask(node, request).await.inspect_err(|error| debug!(%error, "no head")).ok() }
        };
        let asked = async {
            let mut answers =
                std::pin::pin!(self.who_has(repo, DhtKey::repo(repo)).map(ask).buffer_unordered(ASK_AT_ONCE));
            while let Some(answer) = answers.next().await {
                let Some(Response::Head { heads }) = answer else { continue };
                for head in heads_of(repo, &heads) {
                    if self.is_believed(repo, head.signer()) && self.store.keep_head(&head).await? == Precedence::Fork {
                        return Err(ResolveError::Fork { repo: repo.clone() });
                    }
                }
                if is_enough(self) {
                    break;
                }
            }
            Ok(())
        };
        tokio::time::timeout(PATIENCE, asked).await.unwrap_or(Ok(()))
    }

    /// Returns how to look for a manifest; of a private repository only those hear who have it.
    fn search(&self, repo: &RepoId, manifest: BlobHash, key: Option<DhtKey>, hint: Option<NodeId>) -> Search {
        match self.store.offer.joined(repo) {
            Some(invitation) => Search::private(&invitation),
            None => Search {
                keys: [DhtKey::manifest(manifest)].into_iter().chain(key).collect(),
                manifest: Some(manifest),
                hints: hint.into_iter().collect(),
            },
        }
    }

    /// Streams who may know something of a repository: of a private one those who have it, else whoever announced `key`.
    fn who_has(&self, repo: &RepoId, key: DhtKey) -> BoxStream<'static, NodeId> {
        let Some(invitation) = self.store.offer.joined(repo) else { return self.nodes(key).boxed() };
        let (network, mut seen) = (self.network.clone(), HashSet::new());
        let all = stream::iter(invitation.nodes.clone()).chain(transfer::providers(network, invitation.key()));
        all.filter(move |node| std::future::ready(seen.insert(*node))).take(ASK_IN_ALL).boxed()
    }

    /// Streams who may know something: neighbours at once, then whoever announced `key`.
    fn nodes(&self, key: DhtKey) -> impl Stream<Item = NodeId> + use<> {
        let (network, mut seen) = (self.network.clone(), HashSet::new());
        let near = stream::once(async move { network.near(vec![key]).await.unwrap_or_default() }); // stopped: nobody
        let all = near.flat_map(stream::iter).chain(transfer::providers(self.network.clone(), key));
        all.filter(move |node| std::future::ready(seen.insert(*node))).take(ASK_IN_ALL)
    }

    /// Returns a manifest that is here.
    ///
    /// # Errors
    /// If the store has stopped.
    #[cfg(feature = "gateway")]
    pub(crate) async fn kept(&self, hash: BlobHash) -> Result<Option<Arc<Signed<Manifest>>>, StoreError> {
        if let Some(manifest) = self.recent.manifest(hash) {
            return Ok(Some(manifest));
        }
        let manifest = self.store.manifest(hash).await?.map(Arc::new);
        if let Some(manifest) = &manifest {
            self.recent.decoded(hash, manifest);
        }
        Ok(manifest)
    }

    /// Fetches and judges the manifest a head names.
    #[cfg(feature = "gateway")]
    pub(crate) async fn target(
        &self,
        repo: &RepoId,
        asked: &Revision,
        target: Target,
    ) -> Result<Resolved, ResolveError> {
        self.decide(repo, asked, &[(target, 0)]).await
    }

    /// Fetches the manifests that heads name, and when these were signed, and decides which one to believe.
    async fn decide(&self, repo: &RepoId, asked: &Revision, said: &[(Target, u64)]) -> Result<Resolved, ResolveError> {
        let fetch = |&(target, time): &(Target, u64)| async move {
            let search = self.search(repo, target.manifest, Some(DhtKey::repo(repo)), None);
            let manifest = self.manifest(repo, target.manifest, || self.transfer.holders(search)).await?;
            match manifest.value().revision() == target.revision {
                true => Ok((target.manifest, manifest, time)),
                false => Err(untrusted(repo, Refusal::OtherRevision)),
            }
        };
        let (mut fetched, mut failed) = (Vec::new(), None);
        for result in futures::future::join_all(said.iter().map(fetch)).await {
            match result {
                Ok(manifest) => fetched.push(manifest),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        if fetched.is_empty() {
            return Err(failed.unwrap_or_else(|| ResolveError::NotFound { repo: repo.clone() }));
        }
        // A short id or a name is settled by the heads; only a full id was pinned.
        let resolved = self.judge(repo, asked.into(), fetched).await?;
        resolved.map_err(|refusal| untrusted(repo, refusal))
    }

    /// Decides which of some manifests to believe, and keeps that one.
    async fn judge(
        &self,
        repo: &RepoId,
        question: Question<'_>,
        mut offered: Vec<(BlobHash, Arc<Signed<Manifest>>, u64)>,
    ) -> Result<Result<Resolved, Refusal>, ResolveError> {
        let candidates: Vec<_> =
            offered.iter().map(|(_, manifest, time)| Candidate { manifest, time: *time }).collect();
        let verdict = match trust::judge(&candidates, repo, question, &self.policy.now()) {
            Ok(verdict) => verdict,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let (hash, manifest, _) = offered.swap_remove(verdict.index);
        self.store.remember_manifest(hash, &manifest).await?;
        let Verdict { reasons, voices, .. } = verdict;
        let resolved = Resolved { repo: repo.clone(), hash, manifest, reasons, voices };
        self.look_for_fraud(&resolved);
        Ok(Ok(resolved))
    }

    /// Asks whoever holds a commit, under any name, for its manifests.
    async fn by_commit(
        &self,
        repo: &RepoId,
        question: Question<'_>,
        id: GitOid,
        repo_is_known: bool,
    ) -> Result<Resolved, ResolveError> {
        let request = Request::Revision { revision: id };
        let search = async {
            let ask = |node| {
                let request = &request;
                async move { (node, self.exchange.ask(node, request).await) }
            };
            let mut answers =
                std::pin::pin!(self.who_has(repo, DhtKey::revision(id)).map(ask).buffer_unordered(ASK_AT_ONCE));
            let (mut last, mut named) = (None, Vec::new());
            while let Some((node, answer)) = answers.next().await {
                let Ok(Response::Revision { manifests }) = answer else { continue };
                // What others named counts too: mirrors are believed by how many say the same.
                named.retain(|hash| !manifests.contains(hash));
                named.splice(0..0, manifests.into_iter().take(NAMED));
                named.truncate(NAMED_IN_ALL);
                match self.pinned(repo, question, &named, Some(node)).await {
                    Ok(Some(resolved)) => return Ok(Some(resolved)),
                    Ok(None) => {}
                    Err(error) => last = Some(error),
                }
            }
            last.map_or(Ok(None), Err)
        };
        match tokio::time::timeout(PATIENCE, search).await.unwrap_or(Ok(None))? {
            Some(resolved) => Ok(resolved),
            None if repo_is_known => Err(ResolveError::RevisionNotFound {
                repo: repo.clone(),
                revision: id.to_string(),
                known: vec!["other revisions only".to_owned()],
            }),
            None => Err(ResolveError::NotFound { repo: repo.clone() }),
        }
    }

    /// Returns the first of some manifests of one commit that may be believed.
    async fn pinned(
        &self,
        repo: &RepoId,
        question: Question<'_>,
        manifests: &[BlobHash],
        from: Option<NodeId>,
    ) -> Result<Option<Resolved>, ResolveError> {
        let (mut offered, mut denied) = (Vec::new(), None);
        for hash in manifests {
            let search = self.search(repo, *hash, None, from);
            match self.manifest(repo, *hash, || self.transfer.holders(search)).await {
                Ok(manifest) => {
                    let time = manifest.value().time();
                    offered.push((*hash, manifest, time));
                }
                // It was asked for by its id, so whoever asked is told why he does not get it.
                Err(error @ ResolveError::Denied { .. }) => denied = Some(error),
                Err(error) => debug!(%error, "a manifest that cannot be had"),
            }
        }
        let judged = match offered.is_empty() {
            true => None,
            false => Some(self.judge(repo, question, offered).await?),
        };
        match (judged, denied) {
            (Some(Ok(resolved)), _) => Ok(Some(resolved)),
            (_, Some(denied)) => Err(denied),
            (Some(Err(refusal)), None) if from.is_some() => Err(untrusted(repo, refusal)),
            _ => Ok(None),
        }
    }

    /// Returns a manifest, fetched if it is not here.
    async fn manifest(
        &self,
        repo: &RepoId,
        hash: BlobHash,
        holders: impl FnOnce() -> Holders,
    ) -> Result<Arc<Signed<Manifest>>, ResolveError> {
        let rules = self.store.deny.rules();
        self.permit(repo, rules.blob(hash))?;
        if let Some(manifest) = self.recent.manifest(hash) {
            self.permit(repo, rules.signed(manifest.value().repo(), manifest.signer()))?;
            return Ok(manifest);
        }
        let mut manifest = self.store.manifest(hash).await?;
        if manifest.is_none() {
            let limit = Signed::<Manifest>::MAX_ENVELOPE as u64;
            let fetched = self.transfer.fetch_small(hash, limit, &holders()).await;
            fetched
                .map_err(|source| ResolveError::Unreachable { repo: repo.clone(), source: Some(Box::new(source)) })?;
            manifest = self.store.manifest(hash).await?;
        }
        let manifest = manifest.map(Arc::new).ok_or(ResolveError::Invalid { repo: repo.clone(), manifest: hash })?;
        self.permit(repo, rules.signed(manifest.value().repo(), manifest.signer()))?;
        self.recent.decoded(hash, &manifest);
        Ok(manifest)
    }
}

fn untrusted(repo: &RepoId, refusal: Refusal) -> ResolveError {
    ResolveError::Untrusted { repo: repo.clone(), refusal }
}
