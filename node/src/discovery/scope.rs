//! Which addresses make sense here: what strangers name is dialled and passed on only within the networks we are in.
//!
//! Without this, any peer could make us knock at services of our own machine or our own network, and loopback
//! addresses of one node would fill the routing tables of all others.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use libp2p::{Multiaddr, multiaddr::Protocol};

/// The longest address we handle, in bytes; a dnsaddr with a peer id is about 120.
pub(super) const MAX_ADDRESS_BYTES: usize = 160;

/// How far an address reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// This machine.
    Loopback,
    /// Private, shared and link-local networks.
    Private,
    /// Everywhere else, names included.
    Public,
}

/// Returns how far a TCP address reaches, or `None` for one that nobody can dial.
pub(super) fn reach(address: &Multiaddr) -> Option<Reach> {
    let mut parts = address.iter();
    let reach = match parts.next()? {
        Protocol::Ip4(ip) => reach_of_ip(ip.into())?,
        Protocol::Ip6(ip) => reach_of_ip(ip.into())?,
        Protocol::Dnsaddr(name) => return name_reach(&name),
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => name_reach(&name)?,
        _ => return None,
    };
    match (parts.next()?, parts.next(), parts.next()) {
        (Protocol::Tcp(port), None | Some(Protocol::P2p(_)), None) if port != 0 => Some(reach),
        _ => None,
    }
}

fn name_reach(name: &str) -> Option<Reach> {
    (!name.is_empty()).then_some(if name == "localhost" { Reach::Loopback } else { Reach::Public })
}

/// Reports whether everybody can dial an address, so that whoever names it cannot mean a neighbour of ours.
pub(crate) fn is_public(ip: IpAddr) -> bool {
    reach_of_ip(ip) == Some(Reach::Public)
}

fn reach_of_ip(ip: IpAddr) -> Option<Reach> {
    match ip.to_canonical() {
        ip if ip.is_unspecified() || ip.is_multicast() => None,
        ip if ip.is_loopback() => Some(Reach::Loopback),
        IpAddr::V4(ip) if ip.octets()[0] == 0 || ip.octets()[0] >= 240 => None,
        IpAddr::V4(ip) if ip.is_private() || ip.is_link_local() || is_shared(ip.octets()) => Some(Reach::Private),
        IpAddr::V6(ip) if is_local_v6(ip) => Some(Reach::Private),
        _ => Some(Reach::Public),
    }
}

/// 100.64.0.0/10, behind the provider's NAT (RFC 6598).
fn is_shared(octets: [u8; 4]) -> bool {
    octets[0] == 100 && octets[1] & 0xc0 == 64
}

fn is_local_v6(ip: Ipv6Addr) -> bool {
    ip.is_unique_local() || ip.is_unicast_link_local()
}

/// The networks we are in: grows with what we listen on and with what the user tells us to dial.
#[derive(Debug, Default)]
pub(super) struct Scope {
    loopback: AtomicBool,
    private: AtomicBool,
}

impl Scope {
    /// Takes an address the user named: to start from, or to dial.
    pub(super) fn include(&self, address: &Multiaddr) {
        self.widen(reach(address));
    }

    /// Takes an IP address the user told us to listen on.
    pub(super) fn listen(&self, ip: IpAddr) {
        self.widen(reach_of_ip(ip));
    }

    /// Takes an address we found ourselves to listen on. Where the user said "everywhere", that includes loopback, which is
    /// no reason to let strangers send us there.
    pub(super) fn found(&self, address: &Multiaddr) {
        self.widen(reach(address).filter(|reach| *reach != Reach::Loopback));
    }

    fn widen(&self, reach: Option<Reach>) {
        match reach {
            Some(Reach::Loopback) => self.loopback.store(true, Relaxed),
            Some(Reach::Private) => self.private.store(true, Relaxed),
            Some(Reach::Public) | None => {}
        }
    }

    /// Reports whether an address named by a stranger may be dialled and passed on.
    pub(super) fn permits(&self, address: &Multiaddr) -> bool {
        address.len() <= MAX_ADDRESS_BYTES
            && match reach(address) {
                Some(Reach::Loopback) => self.loopback.load(Relaxed),
                Some(Reach::Private) => self.private.load(Relaxed),
                Some(Reach::Public) => true,
                None => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach_of(text: &str) -> Option<Reach> {
        reach(&text.parse().unwrap())
    }

    #[test]
    fn every_kind_of_address_has_its_reach() {
        for text in ["/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1", "/dns4/localhost/tcp/1", "/ip6/::ffff:127.0.0.1/tcp/1"] {
            assert_eq!(reach_of(text), Some(Reach::Loopback), "{text}");
        }
        for text in ["/ip4/10.0.0.1/tcp/1", "/ip4/100.64.0.1/tcp/1", "/ip4/169.254.1.1/tcp/1", "/ip6/fd00::1/tcp/1"] {
            assert_eq!(reach_of(text), Some(Reach::Private), "{text}");
        }
        for text in ["/ip4/1.1.1.1/tcp/1", "/ip6/2606:4700::1/tcp/1", "/dns4/example.org/tcp/1", "/dnsaddr/example.org"]
        {
            assert_eq!(reach_of(text), Some(Reach::Public), "{text}");
        }
        for text in [
            "/ip4/0.0.0.0/tcp/1",
            "/ip6/::/tcp/1",
            "/ip4/1.1.1.1/tcp/0",
            "/ip4/1.1.1.1/udp/1/quic-v1",
            "/ip4/1.1.1.1",
            "/ip4/224.0.0.1/tcp/1",
            "/ip4/255.255.255.255/tcp/1",
            "/ip4/1.1.1.1/tcp/1/ws",
            "/memory/1",
        ] {
            assert_eq!(reach_of(text), None, "{text}");
        }
    }

    #[test]
    fn a_peer_id_at_the_end_changes_nothing() {
        let address = "/ip4/1.1.1.1/tcp/1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
        assert_eq!(reach_of(address), Some(Reach::Public));
        assert_eq!(reach_of(&format!("{address}/p2p-circuit")), None);
    }

    #[test]
    fn strangers_send_us_only_where_we_are() {
        let [loopback, private, public] =
            ["/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/1", "/ip4/1.1.1.1/tcp/1"].map(|text| text.parse().unwrap());
        let scope = Scope::default();
        assert!(scope.permits(&public) && !scope.permits(&private) && !scope.permits(&loopback));
        scope.listen(IpAddr::from([0, 0, 0, 0]));
        scope.found(&loopback);
        scope.found(&private);
        assert!(scope.permits(&private) && !scope.permits(&loopback));
        scope.listen(IpAddr::from([127, 0, 0, 1]));
        assert!(scope.permits(&loopback));
    }

    #[test]
    fn a_long_address_is_refused() {
        let name = "a".repeat(MAX_ADDRESS_BYTES);
        assert!(!Scope::default().permits(&format!("/dns4/{name}/tcp/1").parse().unwrap()));
    }
}
