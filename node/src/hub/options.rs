//! What a node tells its gateway: the configuration in the gateway's own words.

use std::net::SocketAddr;

use huddle_gateway::{ClientLimits, ConnectionLimits, Fetch, Options, Rate};

use crate::{config, home::Home};

/// How many seconds' worth of requests a client may send at once.
const BURST: u32 = 100;

/// Returns the options of a gateway that listens on `address`. Where others than this machine can connect, reading needs
/// a token too.
pub(super) fn options(config: &config::Gateway, home: &Home, address: SocketAddr) -> Options {
    let per_second = u32::from(config.requests_per_second.get());
    let rate = Rate::new(per_second.saturating_mul(BURST), per_second);
    Options {
        allowed_hosts: config.allowed_hosts.clone(),
        read_needs_token: !address.ip().is_loopback(),
        staging: Some(home.staging()),
        fetch: fetch(config.fetch),
        clients: ClientLimits {
            anonymous: rate,
            token: rate,
            cold_files: config.cold_files.get().into(),
            ..ClientLimits::default()
        },
        connections: ConnectionLimits {
            most: config.connections.get().into(),
            per_client: config.connections_per_client.get().into(),
            ..ConnectionLimits::default()
        },
        ..Options::default()
    }
}

fn fetch(fetch: config::Fetch) -> Fetch {
    match fetch {
        config::Fetch::Auto => Fetch::Auto,
        config::Fetch::Local => Fetch::Local,
        config::Fetch::Trusted => Fetch::Trusted,
        config::Fetch::Any => Fetch::Any,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_needs_a_token_where_others_can_connect() {
        let needs = |address: &str| {
            options(&config::Gateway::default(), &Home::new("/nowhere"), address.parse().unwrap()).read_needs_token
        };
        assert!(!needs("127.0.0.1:8080") && !needs("[::1]:8080"));
        assert!(needs("0.0.0.0:8080") && needs("[::]:8080") && needs("192.0.2.1:8080"));
    }
}
