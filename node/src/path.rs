//! Which way packets to a peer take: straight to an address, or through a relay.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use iroh::{TransportAddr, endpoint::Connection};
use serde::{Deserialize, Serialize};

/// The way that packets of a connection take now; it may change while the connection lives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Path {
    /// Straight to this address.
    Direct(SocketAddr),
    /// Through the relay with this URL.
    Relayed(String),
    /// Not known, or not known yet.
    #[default]
    Unknown,
}

impl Path {
    /// Reports whether the peer is on this machine or the local network: what goes there costs nobody anything.
    pub fn is_lan(&self) -> bool {
        match self {
            Self::Direct(address) => is_local(address.ip().to_canonical()),
            Self::Relayed(_) | Self::Unknown => false,
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct(address) => write!(f, "direct {address}"),
            Self::Relayed(url) => write!(f, "relayed via {url}"),
            Self::Unknown => f.write_str("unknown path"),
        }
    }
}

fn is_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// Returns which way the packets of a connection take now.
pub(crate) fn path_of(connection: &Connection) -> Path {
    let paths = connection.paths();
    match paths.iter().find(|path| path.is_selected()).map(|path| path.remote_addr().clone()) {
        Some(TransportAddr::Ip(address)) => Path::Direct(address),
        Some(TransportAddr::Relay(url)) => Path::Relayed(url.to_string()),
        _ => Path::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direct(address: &str) -> Path {
        Path::Direct(address.parse().unwrap())
    }

    #[test]
    fn addresses_of_the_local_network_are_known() {
        for address in ["127.0.0.1:1", "10.1.2.3:1", "192.168.0.1:1", "169.254.0.1:1", "[::1]:1", "[fe80::1]:1"] {
            assert!(direct(address).is_lan(), "{address}");
        }
        assert!(direct("[fd00::1]:1").is_lan() && direct("[::ffff:192.168.0.1]:1").is_lan());
        for address in ["192.0.2.1:1", "172.32.0.1:1", "[2001:db8::1]:1", "[::ffff:192.0.2.1]:1"] {
            assert!(!direct(address).is_lan(), "{address}");
        }
        assert!(!Path::Relayed("https://relay.example".to_owned()).is_lan() && !Path::Unknown.is_lan());
    }

    #[test]
    fn a_path_says_what_it_is() {
        assert_eq!(direct("192.0.2.1:4801").to_string(), "direct 192.0.2.1:4801");
        let relayed = Path::Relayed("https://relay.example/".to_owned());
        assert_eq!(relayed.to_string(), "relayed via https://relay.example/");
        let json = serde_json::to_string(&[direct("192.0.2.1:4801"), relayed, Path::Unknown]).unwrap();
        assert_eq!(json, r#"[{"direct":"192.0.2.1:4801"},{"relayed":"https://relay.example/"},"unknown"]"#);
        assert_eq!(serde_json::from_str::<Vec<Path>>(&json).unwrap()[2], Path::Unknown);
    }
}
