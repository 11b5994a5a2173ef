//! A peer that lies, repeats itself or falls silent.

use std::sync::Arc;

use futures::StreamExt;
use libp2p::{
    Swarm,
    gossipsub::{self, IdentTopic},
    identify,
    kad::{self, Quorum, RecordKey},
    swarm::{self, SwarmEvent},
};
use tokio::time::timeout;

use super::{
    super::{
        ConnectionLimit, IDLE, Role,
        behaviour::{Behaviour, BehaviourEvent, HEADS},
        id::{self, peer_id},
        scope::Scope,
        shelf::Shelf,
        testing::secret,
        transport,
    },
    Node, SOON, records,
};

/// A swarm that speaks our protocols, but says and believes what the test wants.
pub(super) struct Stranger {
    pub(super) swarm: Swarm<Behaviour>,
    _directory: tempfile::TempDir,
}

impl Stranger {
    /// Connects to `node`, and goes on until each knows the other's protocols.
    pub(super) async fn meet(seed: u8, node: &Node) -> Self {
        let (records, directory) = records(seed);
        let keypair = id::keypair(&secret(seed)).unwrap();
        let scope = Arc::new(Scope::default());
        scope.include(&node.address);
        let transport = transport::build(&keypair, &scope, None).unwrap();
        let shelf = Shelf::new(keypair.public().to_peer_id(), records, None);
        let role = Role::Client;
        let behaviour = Behaviour::new(keypair.public(), shelf, role, false, ConnectionLimit::default());
        let config = swarm::Config::with_tokio_executor().with_idle_connection_timeout(IDLE);
        let mut swarm = Swarm::new(transport, behaviour, keypair.public().to_peer_id(), config);
        swarm.dial(node.address.clone()).unwrap();
        let mut stranger = Self { swarm, _directory: directory };
        let mut left = 3;
        while left > 0 {
            left -= usize::from(matches!(
                stranger.event().await,
                SwarmEvent::Behaviour(
                    BehaviourEvent::Identify(identify::Event::Sent { .. } | identify::Event::Received { .. })
                        | BehaviourEvent::Gossip(gossipsub::Event::Subscribed { .. })
                )
            ));
        }
        stranger
    }

    pub(super) async fn event(&mut self) -> SwarmEvent<BehaviourEvent> {
        timeout(SOON, self.swarm.select_next_some()).await.expect("something happens")
    }

    /// Puts any bytes under any key at `node`, and waits until it has answered.
    pub(super) async fn put(&mut self, node: &Node, key: &[u8], value: &[u8]) {
        let record = kad::Record::new(RecordKey::new(&key), value.to_vec());
        let peer = peer_id(node.id).unwrap();
        self.swarm.behaviour_mut().kad.put_record_to(record, [peer].into_iter(), Quorum::One);
        loop {
            if let SwarmEvent::Behaviour(BehaviourEvent::Kad(kad::Event::OutboundQueryProgressed { result, .. })) =
                self.event().await
            {
                return assert!(matches!(result, kad::QueryResult::PutRecord(Ok(_))));
            }
        }
    }

    pub(super) fn announce(&mut self, bytes: &[u8]) {
        self.swarm.behaviour_mut().gossip.publish(IdentTopic::new(HEADS), bytes.to_vec()).unwrap();
    }
}
