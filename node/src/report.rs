//! What a node says about itself, its peers and a repository.

use std::{collections::BTreeMap, time::SystemTime};

use futures::StreamExt;
use huddle_protocol::{BlobHash, Card, GitOid, NodeId, PublicKey, PublisherId, RepoId, Revision};
use libp2p::{Multiaddr, multiaddr::Protocol};
use serde::{Deserialize, Serialize};

use crate::{
    discovery::{Direction, peer_id},
    names::{Named, Step},
    node::Node,
    resolve::{ResolveError, Resolved},
    safety::Finding,
    store::Held,
    transfer::{Download, PeerReport},
    trust::Voice,
};

/// How long providers are looked for.
const LOOK: std::time::Duration = std::time::Duration::from_secs(5);

/// A running node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its id.
    pub node_id: NodeId,
    /// The same id as libp2p writes it.
    pub peer_id: String,
    /// Who signs what is published here.
    pub publisher_id: PublisherId,
    /// Where other nodes reach it, as multiaddrs.
    pub addresses: Vec<String>,
    /// Where its iroh endpoint answers.
    pub endpoint: Vec<String>,
    /// The URL of its gateway.
    pub gateway: Option<String>,
    /// How many peers it is connected to.
    pub peers: u64,
    /// How many revisions it keeps for others.
    pub manifests: u64,
    /// How many bytes it sent to others since it started.
    pub sent: u64,
    /// To how many peers.
    pub sent_to: u64,
    /// How many requests for bytes it is answering.
    pub uploads: u64,
    /// What it is fetching.
    pub downloads: Vec<Download>,
    /// How long it has been up, in seconds.
    pub uptime: u64,
    /// Its version.
    pub version: String,
    /// Its home.
    pub home: String,
}

/// A peer this node is connected to, or transferred with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its id, and how it delivered.
    #[serde(flatten)]
    pub known: PeerReport,
    /// Where it is, if it is connected.
    pub address: Option<String>,
    /// Which software it says it runs.
    pub agent: Option<String>,
    /// Whether it called us.
    pub is_inbound: bool,
    /// How long it has been connected, in seconds; `None` if it is not.
    pub connected: Option<u64>,
    /// How many bytes were sent to it since this node started.
    pub sent: u64,
}

impl From<PeerReport> for Peer {
    fn from(known: PeerReport) -> Self {
        Self { known, address: None, agent: None, is_inbound: false, connected: None, sent: 0 }
    }
}

/// A peer whose lies were forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgiven {
    /// Its id.
    pub node_id: NodeId,
    /// How many lies were forgotten.
    pub lies: u64,
}

/// What a name leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// The repository's full name.
    pub repo: RepoId,
    /// What read the name that was asked for.
    pub name: Step,
    /// The git commit id.
    pub revision: GitOid,
    /// The BLAKE3 of the signed manifest.
    pub manifest: BlobHash,
    /// Who signed the manifest.
    pub signer: PublicKey,
    /// Why it is believed, one word each: `proven`, `signed`, `attested`.
    pub reasons: Vec<String>,
    /// The same in sentences.
    pub explanation: Vec<String>,
    /// What each trusted mirror says, of a repository of another hub; also those that say something else.
    pub voices: Vec<Voice>,
    /// Something newer is known to exist, and nobody who has it can be reached.
    #[serde(default)]
    pub is_outdated: bool,
    /// The first line of the commit message.
    pub title: Option<String>,
    /// When it was made, in seconds since 1970-01-01 UTC.
    pub time: u64,
    /// How many files it has.
    pub files: u64,
    /// Their size, in bytes.
    pub bytes: u64,
    /// How many of the files are here in full.
    pub files_here: u64,
    /// Those of them that could harm whoever loads them.
    pub unsafe_files: Vec<Finding>,
    /// Branches and tags, and what they point to.
    pub refs: BTreeMap<String, GitOid>,
    /// What the README says.
    pub card: Card,
    /// Other nodes that offer it and can be reached.
    pub providers: Vec<NodeId>,
    /// Other nodes that offer it and cannot be reached now.
    pub unreachable: Vec<NodeId>,
}

impl Node {
    /// Describes this node.
    pub async fn status(&self) -> Status {
        let addresses = self.network().addresses().await.unwrap_or_default();
        let served = self.serve().served();
        Status {
            node_id: self.node_id(),
            peer_id: peer_id(self.node_id()).map(|id| id.to_string()).unwrap_or_default(),
            publisher_id: self.identity().default_publisher(),
            addresses: farthest_first(addresses).iter().map(ToString::to_string).collect(),
            endpoint: self.endpoint().addr().ip_addrs().map(ToString::to_string).collect(),
            gateway: self.gateway().map(|address| format!("http://{address}")),
            peers: self.network().peers().await.map_or(0, |peers| peers.len() as u64),
            manifests: self.store().index.manifests().filter(|(_, held)| held.is_provided).count() as u64,
            sent: served.bytes,
            sent_to: served.peers,
            uploads: served.in_use,
            downloads: self.transfer().under_way(),
            uptime: self.uptime().as_secs(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            home: self.home().path().display().to_string(),
        }
    }

    /// Lists the peers this node is connected to, and then those it remembers.
    pub async fn peers(&self) -> Vec<Peer> {
        let connected = self.network().peers().await.unwrap_or_default();
        let mut remembered: BTreeMap<_, _> =
            self.transfer().peers().list().into_iter().map(|peer| (peer.node_id, peer)).collect();
        let mut peers: Vec<_> = connected
            .into_iter()
            .map(|peer| Peer {
                known: remembered.remove(&peer.node).unwrap_or_else(|| PeerReport::unknown(peer.node)),
                address: Some(peer.address.to_string()),
                agent: peer.agent,
                is_inbound: peer.direction == Direction::Inbound,
                sent: self.serve().sent_to(peer.node),
                connected: Some(SystemTime::now().duration_since(peer.since).map_or(0, |since| since.as_secs())),
            })
            .collect();
        let mut away: Vec<_> = remembered.into_values().collect();
        away.sort_by_key(|peer| std::cmp::Reverse(peer.bytes));
        peers.extend(away.into_iter().map(Peer::from));
        peers
    }

    /// Forgets the lies of a peer, so that it is asked again.
    pub fn forgive(&self, peer: NodeId) -> Forgiven {
        Forgiven { node_id: peer, lies: self.transfer().peers().forgive(peer) }
    }

    /// Resolves a name and says what was found, who vouches for it and who has it.
    ///
    /// # Errors
    /// If the name leads nowhere.
    pub async fn explain(&self, text: &str) -> Result<Resolution, crate::failure::Failure> {
        let (Named { repo, step }, revision) = self.names().read(text).await?;
        let resolved = self.resolver().resolve(&repo, &revision).await?;
        Ok(self.describe(resolved, &revision, step).await?)
    }

    async fn describe(&self, resolved: Resolved, asked: &Revision, name: Step) -> Result<Resolution, ResolveError> {
        let manifest = resolved.manifest.value();
        let (providers, unreachable) = self.look_for_providers(&resolved).await;
        let mut files_here = 0;
        for file in manifest.files() {
            let held = self.store().blobs.held(file.blake3).await.map_err(crate::store::StoreError::from)?;
            files_here += u64::from(matches!(held, Held::Complete(_)));
        }
        let heads = self.resolver().believed_heads(&resolved.repo);
        let refs = heads.iter().flat_map(|head| head.value().refs());
        Ok(Resolution {
            repo: resolved.repo.clone(),
            name,
            revision: resolved.revision(),
            manifest: resolved.hash,
            signer: resolved.manifest.signer(),
            reasons: resolved.reasons.iter().map(|reason| reason.word().to_owned()).collect(),
            explanation: resolved.reasons.iter().map(|reason| reason.sentence()).collect(),
            voices: resolved.voices.clone(),
            is_outdated: self.resolver().is_outdated(&resolved, asked),
            title: manifest.commit().map(|commit| commit.title().to_owned()),
            time: manifest.time(),
            files: manifest.files().len() as u64,
            bytes: manifest.total_size(),
            files_here,
            unsafe_files: self.findings(&manifest.files().iter().collect::<Vec<_>>()).await?,
            refs: refs.map(|(name, target)| (name.to_string(), target.revision)).collect(),
            card: manifest.card().clone(),
            providers,
            unreachable,
        })
    }

    async fn look_for_providers(&self, resolved: &Resolved) -> (Vec<NodeId>, Vec<NodeId>) {
        let holders = self.holders(resolved, None);
        let found = futures::stream::unfold(0, |at| {
            let holders = &holders;
            async move { Some((holders.ready(at).await?, at + 1)) }
        });
        let mut providers = Vec::new();
        let collect = found.for_each(|node| {
            providers.push(node);
            std::future::ready(())
        });
        let _ = tokio::time::timeout(LOOK, collect).await; // enough is known by then
        (providers, holders.unreachable())
    }
}

/// Sorts addresses so that the ones to tell others come first: those of this machine alone come last.
fn farthest_first(mut addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
    addresses.sort_by_key(|address| match address.iter().next() {
        Some(Protocol::Ip4(ip)) => u8::from(ip.is_link_local()) + 2 * u8::from(ip.is_loopback()),
        Some(Protocol::Ip6(ip)) => u8::from(ip.is_unicast_link_local()) + 2 * u8::from(ip.is_loopback()),
        _ => 0,
    });
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_others_can_use_comes_first() {
        let parse = |text: &str| text.parse::<Multiaddr>().unwrap();
        let sorted = ["/ip6/fe80::1/tcp/1", "/ip4/192.0.2.1/tcp/1", "/ip4/127.0.0.1/tcp/1"].map(parse);
        let mixed = vec![sorted[2].clone(), sorted[0].clone(), sorted[1].clone()];
        assert_eq!(farthest_first(mixed), [sorted[1].clone(), sorted[0].clone(), sorted[2].clone()]);
    }
}
