//! One key, two spellings: a node's [`NodeId`] and the [`PeerId`] libp2p derives from the same ed25519 key.

use huddle_protocol::{NodeId, PublicKey, SecretKey};
use libp2p::{
    PeerId,
    identity::{self, DecodingError, Keypair},
    multihash::Multihash,
};

/// The multihash code of a peer id that holds its key instead of a hash of it.
const IDENTITY: u64 = 0;

/// Returns the peer id of a node, or `None` if the bytes are no ed25519 key.
pub fn peer_id(node: NodeId) -> Option<PeerId> {
    let key = identity::ed25519::PublicKey::try_from_bytes(node.0.as_bytes()).ok()?;
    Some(PeerId::from_public_key(&key.into()))
}

/// Returns the node behind a peer id, or `None` if its key is not an ed25519 key.
pub fn node_id(peer: &PeerId) -> Option<NodeId> {
    let hash: &Multihash<64> = peer.as_ref();
    if hash.code() != IDENTITY {
        return None;
    }
    let key = identity::PublicKey::try_decode_protobuf(hash.digest()).ok()?.try_into_ed25519().ok()?;
    Some(PublicKey(key.to_bytes()).into())
}

/// Returns where Kademlia places a node: the SHA-256 of its peer id. What [`Records`](crate::store::records::Records)
/// calls the centre.
pub fn centre(node: NodeId) -> Option<[u8; 32]> {
    use sha2::Digest;
    Some(sha2::Sha256::digest(peer_id(node)?.to_bytes()).into())
}

pub(super) fn keypair(key: &SecretKey) -> Result<Keypair, DecodingError> {
    Keypair::ed25519_from_bytes(zeroize::Zeroizing::new(key.to_bytes()).as_mut())
}

#[cfg(test)]
mod tests {
    use libp2p::kad::KBucketKey;

    use super::*;

    #[test]
    fn a_node_and_its_peer_id_name_each_other() {
        let key = SecretKey::from_bytes([7; 32]);
        let node = NodeId::from(key.public());
        let peer = peer_id(node).unwrap();
        assert_eq!(keypair(&key).unwrap().public().to_peer_id(), peer);
        assert_eq!(node_id(&peer), Some(node));
        assert_eq!(centre(node).unwrap().as_slice(), KBucketKey::from(peer).hashed_bytes());
    }

    #[test]
    fn a_peer_id_without_a_key_is_no_node() {
        assert_eq!(node_id(&PeerId::from_multihash(Multihash::wrap(0x12, &[1; 32]).unwrap()).unwrap()), None);
        assert_eq!(node_id(&PeerId::from_multihash(Multihash::wrap(0, &[1; 32]).unwrap()).unwrap()), None);
    }
}
