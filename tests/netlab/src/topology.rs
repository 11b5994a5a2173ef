//! What a lab looks like, as a TOML file says it.

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Deserializer, de::Error};

/// Networks, and which host has a port in which. The README shows one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topology {
    /// The networks by name.
    pub networks: BTreeMap<String, Network>,
    /// For each host its ports, by the name of the network.
    pub hosts: BTreeMap<String, BTreeMap<String, Port>>,
}

/// A network: a bridge that connects the ports of hosts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// A /24 such as `10.0.1.0/24`; hosts get .1, .2, … in the order of their names.
    #[serde(deserialize_with = "subnet")]
    pub subnet: Ipv4Addr,
    /// The host that forwards for the others: their default route.
    pub gateway: Option<String>,
    /// How the gateway hides this network from its others.
    pub nat: Option<Nat>,
}

/// How a gateway rewrites what leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Nat {
    /// Keeps source ports where it can: what most home routers do, and what can be punched through.
    Masquerade,
    /// A random port per destination: what defeats hole punching.
    Random,
}

/// The way between a host and a network.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Port {
    /// Bits per second towards the network.
    #[serde(deserialize_with = "rate")]
    pub up: Option<u64>,
    /// Bits per second towards the host.
    #[serde(deserialize_with = "rate")]
    pub down: Option<u64>,
    /// How long a packet takes, each way: half of the round trip.
    #[serde(deserialize_with = "delay")]
    pub delay: Duration,
    /// The share of packets that get lost, each way.
    pub loss: f64,
    /// The share of packets that are held back by a further quarter of the delay (1 ms at least), each way.
    pub reorder: f64,
    /// What waits for the wire at most, in bytes, each way; what a round trip holds, and 50 ms at least, when 0.
    pub queue: u64,
    /// Seed of loss and reordering.
    pub seed: u64,
}

impl Port {
    /// Whether only a cable of ours can do this.
    pub fn needs_cable(&self) -> bool {
        !self.delay.is_zero() || self.loss > 0.0 || self.reorder > 0.0
    }
}

impl Topology {
    /// Reads a topology and checks that what it names exists.
    ///
    /// # Errors
    /// Which key or name is wrong.
    pub fn parse(text: &str) -> Result<Self> {
        let topology: Self = toml::from_str(text)?;
        topology.check()?;
        Ok(topology)
    }

    fn check(&self) -> Result<()> {
        // "if" + name must fit into the 15 characters of an interface, with a letter to spare.
        let fits =
            |name: &str| (1..=12).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        for name in self.networks.keys().chain(self.hosts.keys()) {
            ensure!(fits(name), "`{name}` is no name of at most 12 letters, digits and dashes");
            ensure!(
                !(self.networks.contains_key(name) && self.hosts.contains_key(name)),
                "`{name}` is a network and a host"
            );
        }
        for (name, network) in &self.networks {
            ensure!(self.members(name).count() <= 250, "too many hosts in `{name}`");
            if let Some(gateway) = &network.gateway {
                ensure!(self.members(name).any(|host| host == gateway), "`{gateway}` has no port in `{name}`");
            } else if network.nat.is_some() {
                bail!("`{name}` has nat, but no gateway");
            }
        }
        for (host, ports) in &self.hosts {
            for (network, port) in ports {
                ensure!(self.networks.contains_key(network), "`{host}` has a port in `{network}`, which is no network");
                let shares = [port.loss, port.reorder];
                ensure!(shares.iter().all(|share| (0.0..=1.0).contains(share)), "a share of `{host}` is not in 0..=1");
            }
        }
        Ok(())
    }

    /// Returns the hosts of a network in the order of their addresses.
    pub fn members<'a>(&'a self, network: &'a str) -> impl Iterator<Item = &'a str> {
        self.hosts.iter().filter(move |(_, ports)| ports.contains_key(network)).map(|(host, _)| host.as_str())
    }

    /// Returns the address of a host in a network.
    ///
    /// # Errors
    /// If it has none.
    pub fn address(&self, host: &str, network: &str) -> Result<Ipv4Addr> {
        let subnet = self.networks.get(network).with_context(|| format!("no network `{network}`"))?.subnet;
        let place = self.members(network).position(|member| member == host);
        let place = place.with_context(|| format!("`{host}` has no port in `{network}`"))?;
        let [a, b, c, _] = subnet.octets();
        Ok(Ipv4Addr::new(a, b, c, u8::try_from(place + 1)?))
    }
}

fn subnet<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Ipv4Addr, D::Error> {
    let text = String::deserialize(deserializer)?;
    let base = text.strip_suffix(".0/24").and_then(|base| format!("{base}.0").parse().ok());
    base.ok_or_else(|| D::Error::custom(format!("`{text}` is no subnet such as 10.0.1.0/24")))
}

fn rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_rate(&text).map(Some).ok_or_else(|| D::Error::custom(format!("`{text}` is no rate such as 100mbit")))
}

fn parse_rate(text: &str) -> Option<u64> {
    let units = [("gbit", 1_000_000_000), ("mbit", 1_000_000), ("kbit", 1_000)];
    let (number, unit) = units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))?;
    number.parse::<u64>().ok()?.checked_mul(unit).filter(|rate| *rate > 0)
}

fn delay<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map_err(|error| D::Error::custom(format!("`{text}`: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: &str = r#"
        [networks.wan]
        subnet = "203.0.113.0/24"
        [networks.home]
        subnet = "192.168.1.0/24"
        gateway = "router"
        nat = "random"
        [hosts.server]
        wan = { up = "100mbit", delay = "25ms", loss = 0.005 }
        [hosts.router]
        wan = {}
        home = {}
        [hosts.laptop]
        home = {}
    "#;

    #[test]
    fn hosts_are_numbered_by_name_within_a_network() {
        let lab = Topology::parse(HOME).unwrap();
        assert_eq!(lab.address("router", "wan").unwrap().to_string(), "203.0.113.1");
        assert_eq!(lab.address("server", "wan").unwrap().to_string(), "203.0.113.2");
        assert_eq!(lab.address("laptop", "home").unwrap().to_string(), "192.168.1.1");
        assert!(lab.address("laptop", "wan").is_err());
        let port = &lab.hosts["server"]["wan"];
        assert_eq!((port.up, port.delay.as_millis(), port.needs_cable()), (Some(100_000_000), 25, true));
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        for (old, new) in [
            ("gateway = \"router\"", "gateway = \"server\""),
            ("gateway = \"router\"", ""),
            ("subnet = \"203.0.113.0/24\"", "subnet = \"203.0.113.0/16\""),
            ("100mbit", "100"),
            ("0.005", "5"),
            ("[hosts.laptop]", "[hosts.home]"),
            ("[hosts.laptop]", "[hosts.a-very-long-name]"),
        ] {
            assert!(HOME.contains(old));
            assert!(Topology::parse(&HOME.replacen(old, new, 1)).is_err(), "{new}");
        }
    }
}
