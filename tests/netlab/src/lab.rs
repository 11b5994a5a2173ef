//! A running lab: makes the namespaces a [`Topology`] asks for, and removes them when dropped.

use std::{
    collections::HashSet,
    net::Ipv4Addr,
    path::Path,
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    cable::Cable,
    topology::{Nat, Port, Topology},
};

/// What the names of all our namespaces begin with.
const PREFIX: &str = "nl-";
/// What a `tc` token bucket lets through at once.
const BURST: &str = "128kb";
/// Least, first and most bytes of a TCP buffer: 1 Gbit/s over 100 ms, five times.
const TCP_BUFFERS: &str = "4096 131072 67108864";

/// A running lab.
#[derive(Debug)]
pub struct Lab {
    name: String,
    topology: Topology,
    cables: Vec<Cable>,
}

impl Lab {
    /// Returns why no lab can run here, if so.
    pub fn unavailable() -> Option<String> {
        if !rustix::process::geteuid().is_root() {
            return Some("a lab needs root".to_owned());
        }
        let programs = ["ip", "tc", "nft"].into_iter();
        let missing = programs.filter(|name| Command::new(name).arg("-V").output().is_err()).collect::<Vec<_>>();
        if !missing.is_empty() {
            return Some(format!("not installed: {}", missing.join(", ")));
        }
        let probe = format!("{PREFIX}probe{}", std::process::id());
        let made = run("ip", &format!("netns add {probe}")).and_then(|()| run("ip", &format!("netns del {probe}")));
        made.err().map(|error| format!("{error:#}"))
    }

    /// Builds a lab. `name` keeps it apart from others; a lab of that name that still runs is an error.
    ///
    /// # Errors
    /// Which command failed. What was made until then is removed.
    pub fn up(name: &str, topology: Topology) -> Result<Self> {
        let ok = (1..=40).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric());
        ensure!(ok, "`{name}` is no name for a lab: letters and digits, 40 at most");
        ensure!(namespaces(name)?.is_empty(), "lab `{name}` exists; `netlab down {name}` removes what is left of it");
        let mut lab = Self { name: name.to_owned(), topology, cables: Vec::new() };
        let topology = lab.topology.clone();
        for host in topology.networks.keys().chain(topology.hosts.keys()) {
            run("ip", &format!("netns add {}", lab.namespace(host)))?;
            lab.inside(host, "ip", "link set lo up")?;
            lab.sysctl(host, "net/ipv6/conf/default/disable_ipv6", "1")?; // no chatter that disturbs counters
            for buffers in ["net/ipv4/tcp_rmem", "net/ipv4/tcp_wmem"] {
                lab.sysctl(host, buffers, TCP_BUFFERS)?; // a yardstick must not be short of memory
            }
        }
        for network in topology.networks.keys() {
            lab.inside(network, "ip", "link add bridge type bridge forward_delay 0")?;
            lab.inside(network, "ip", "link set bridge up")?;
        }
        for (host, ports) in &topology.hosts {
            for (network, port) in ports {
                lab.plug(host, network, port).with_context(|| format!("cannot connect {host} to {network}"))?;
            }
        }
        for network in topology.networks.keys() {
            lab.route(network)?;
        }
        Ok(lab)
    }

    /// Returns the lab's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns what was built.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Returns the namespace of a host or network.
    pub fn namespace(&self, host: &str) -> String {
        format!("{PREFIX}{}-{host}", self.name)
    }

    /// Returns the address of a host in a network.
    ///
    /// # Errors
    /// If it has none.
    pub fn address(&self, host: &str, network: &str) -> Result<Ipv4Addr> {
        self.topology.address(host, network)
    }

    /// Prepares a command that runs on a host.
    pub fn command(&self, host: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(host)]).arg(program);
        command
    }

    /// Pulls the plug of a host out of a network.
    ///
    /// # Errors
    /// If there is no such port.
    pub fn cut(&self, host: &str, network: &str) -> Result<()> {
        self.topology.address(host, network)?;
        self.inside(network, "ip", &format!("link set dev {host} down"))
    }

    /// Puts it back.
    ///
    /// # Errors
    /// If there is no such port.
    pub fn heal(&self, host: &str, network: &str) -> Result<()> {
        self.topology.address(host, network)?;
        self.inside(network, "ip", &format!("link set dev {host} up"))
    }

    /// Returns how many bytes a host has sent into a network and received from it, headers included.
    ///
    /// # Errors
    /// If there is no such port.
    pub fn counters(&self, host: &str, network: &str) -> Result<(u64, u64)> {
        self.topology.address(host, network)?;
        let read = |what: &str| -> Result<u64> {
            let path = format!("/sys/class/net/{network}/statistics/{what}_bytes");
            let output = self.command(host, "cat").arg(path).output()?;
            Ok(said(output)?.trim().parse()?)
        };
        Ok((read("tx")?, read("rx")?))
    }

    fn inside(&self, host: &str, program: &str, args: &str) -> Result<()> {
        run("ip", &format!("netns exec {} {program} {args}", self.namespace(host)))
    }

    fn sysctl(&self, host: &str, key: &str, value: &str) -> Result<()> {
        let setting = format!("{}={value}", key.replace('/', "."));
        said(self.command(host, "sysctl").args(["-qw", &setting]).output()?).map(drop)
    }

    /// The host's end is called like the network, the network's end like the host.
    fn plug(&mut self, host: &str, network: &str, port: &Port) -> Result<()> {
        let (host_space, network_space) = (self.namespace(host), self.namespace(network));
        if port.needs_cable() {
            let tag: u32 = rand::random();
            let names = [format!("nl{tag:08x}a"), format!("nl{tag:08x}b")];
            self.cables.push(Cable::new([&names[0], &names[1]], port)?);
            for (name, space, wanted) in [(&names[0], &host_space, network), (&names[1], &network_space, host)] {
                run("ip", &format!("link set dev {name} netns {space} name {wanted}"))?;
            }
        } else {
            let ends = format!("{network} netns {host_space} type veth peer name {host} netns {network_space}");
            run("ip", &format!("link add name {ends}"))?;
            for (rate, place, interface) in [(port.up, host, network), (port.down, network, host)] {
                if let Some(rate) = rate {
                    let bucket = format!("tbf rate {rate}bit burst {BURST} latency 50ms");
                    self.inside(place, "tc", &format!("qdisc add dev {interface} root {bucket}"))?;
                }
            }
        }
        self.inside(network, "ip", &format!("link set dev {host} master bridge up"))?;
        let address = self.topology.address(host, network)?;
        self.inside(host, "ip", &format!("address add {address}/24 dev {network}"))?;
        self.inside(host, "ip", &format!("link set dev {network} up"))
    }

    fn route(&self, name: &str) -> Result<()> {
        let network = &self.topology.networks[name];
        let Some(gateway) = &network.gateway else { return Ok(()) };
        self.sysctl(gateway, "net/ipv4/ip_forward", "1")?;
        let via = self.topology.address(gateway, name)?;
        for host in self.topology.members(name).filter(|host| host != gateway) {
            self.inside(host, "ip", &format!("route replace default via {via}"))?;
        }
        let Some(nat) = network.nat else { return Ok(()) };
        let how = match nat {
            Nat::Masquerade => "masquerade",
            Nat::Random => "masquerade fully-random",
        };
        let subnet = network.subnet;
        let rules = format!(
            "table ip nat-{name} {{
                chain out {{ type nat hook postrouting priority srcnat;
                    ip saddr {subnet}/24 oifname != \"{name}\" {how}
                }}
                chain through {{ type filter hook forward priority filter;
                    oifname \"{name}\" iifname != \"{name}\" ct state != {{ established, related }} drop
                }}
            }}"
        );
        let output = self.command(gateway, "nft").arg(rules).output()?;
        said(output).map(drop)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.cables.clear();
        let _ = down(&self.name); // nobody to tell; `netlab down` says what is wrong
    }
}

/// Ends what still runs in the namespaces of a lab, and removes them; also those that a killed process left behind.
///
/// # Errors
/// Which command failed.
pub fn down(name: &str) -> Result<usize> {
    let spaces = namespaces(name)?;
    for space in &spaces {
        let output = said(Command::new("ip").args(["netns", "pids", space]).output()?)?;
        let running: HashSet<i32> = output.lines().filter_map(|line| line.trim().parse().ok()).collect();
        for process in running.into_iter().filter_map(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL); // gone already
        }
        run("ip", &format!("netns del {space}"))?;
    }
    Ok(spaces.len())
}

fn namespaces(lab: &str) -> Result<Vec<String>> {
    let prefix = format!("{PREFIX}{lab}-");
    let Ok(entries) = Path::new("/run/netns").read_dir() else { return Ok(Vec::new()) };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter(|name| name.starts_with(&prefix)).collect())
}

fn run(program: &str, args: &str) -> Result<()> {
    let output = Command::new(program).args(args.split_whitespace()).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot run {program}"))?;
    said(output).map(drop).with_context(|| format!("{program} {args}"))
}

fn said(output: Output) -> Result<String> {
    if !output.status.success() {
        bail!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
