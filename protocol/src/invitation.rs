//! Invitations: what somebody needs to find a private repository that he may read.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    key::{NodeId, z_base_32},
    record::DhtKey,
    repo::RepoId,
};

/// The most nodes an invitation names.
const MAX_NODES: usize = 8;
/// The longest text of one, in bytes.
const MAX_TEXT: usize = 1024;

/// What hides a private repository in the DHT: who does not know it cannot tell its key from any other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RepoSecret(pub [u8; 32]);

impl fmt::Debug for RepoSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RepoSecret")
    }
}

/// Where a private repository is. It lets nobody in: nodes that have it serve those they were told to.
///
/// Text: `<repository>#<secret>[,<node>…]`, secret and nodes in z-base-32.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// The repository.
    pub repo: RepoId,
    /// What hides it in the DHT.
    pub secret: RepoSecret,
    /// Some nodes that have it, at most eight.
    pub nodes: Vec<NodeId>,
}

/// Text that is no invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an invitation, which looks like `<publisher>/<name>#<52 letters and digits>,<node>`")]
pub struct ParseInvitationError;

impl Invitation {
    /// Returns the key under which nodes that have the repository are found.
    pub fn key(&self) -> DhtKey {
        DhtKey::private(&self.repo, &self.secret)
    }
}

impl fmt::Display for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.repo, z_base_32().encode(&self.secret.0))?;
        self.nodes.iter().try_for_each(|node| write!(f, ",{node}"))
    }
}

impl FromStr for Invitation {
    type Err = ParseInvitationError;

    fn from_str(text: &str) -> Result<Self, ParseInvitationError> {
        if text.len() > MAX_TEXT {
            return Err(ParseInvitationError);
        }
        let (repo, rest) = text.split_once('#').ok_or(ParseInvitationError)?;
        let mut parts = rest.split(',');
        let secret = parts.next().unwrap_or_default();
        // Spelt in one way only: what is the same is the same text.
        let secret = z_base_32().decode(secret.as_bytes()).map_err(|_| ParseInvitationError)?;
        let secret = secret.try_into().map(RepoSecret).map_err(|_| ParseInvitationError)?;
        let nodes = parts.map(str::parse).collect::<Result<Vec<NodeId>, _>>().map_err(|_| ParseInvitationError)?;
        if nodes.len() > MAX_NODES {
            return Err(ParseInvitationError);
        }
        let repo: RepoId = repo.parse().map_err(|_| ParseInvitationError)?;
        match repo.publisher() {
            Some(_) => Ok(Self { repo, secret, nodes }),
            None => Err(ParseInvitationError), // what another hub has is not private
        }
    }
}

impl Serialize for Invitation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Invitation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SecretKey;

    #[test]
    fn an_invitation_reads_back_and_nothing_else_is_one() {
        let [publisher, node] = [1, 2].map(|seed| SecretKey::from_bytes([seed; 32]).public());
        let repo: RepoId = format!("datasets/{publisher}/x").parse().unwrap();
        let invitation = Invitation { repo, secret: RepoSecret([7; 32]), nodes: vec![node.into()] };
        let text = invitation.to_string();
        assert_eq!(text.parse(), Ok(invitation.clone()));
        assert_eq!(serde_json::from_str::<Invitation>(&format!("\"{text}\"")).unwrap(), invitation);
        assert!(!format!("{invitation:?}").contains("7, 7"), "a secret is not logged");
        let (start, _) = text.split_once(',').unwrap();
        assert!(start.parse::<Invitation>().is_ok());
        for bad in [
            String::new(),
            start.replace('#', "/"),
            start[..start.len() - 1].to_owned(),
            format!("{start},"),
            format!("{start},{node},x"),
            format!("{start}{}", format!(",{node}").repeat(9)),
            format!("hf:org/x#{}", start.split_once('#').unwrap().1),
            "x".repeat(2000),
        ] {
            assert!(bad.parse::<Invitation>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_key_of_a_private_repository_cannot_be_guessed_from_its_name() {
        let repo: RepoId = format!("{}/x", SecretKey::from_bytes([1; 32]).public()).parse().unwrap();
        let key = |secret| DhtKey::private(&repo, &RepoSecret([secret; 32]));
        assert_eq!(key(1), key(1));
        assert!(key(1) != key(2) && key(1) != DhtKey::repo(&repo));
    }
}
