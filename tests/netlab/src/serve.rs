//! `netlab up`: keeps a lab and takes commands for it.

use std::{fs, io::Write, path::Path};

use anyhow::{Context, Result, bail};
use huddle_netlab::{Lab, Topology};
use serde_json::{Map, Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    signal::unix::{SignalKind, signal},
};

/// Builds the lab that `file` describes and serves it until standard input ends or a signal comes.
pub(crate) fn up(file: &Path, name: Option<String>) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let topology = Topology::parse(&text).with_context(|| format!("cannot use {}", file.display()))?;
    if let Some(reason) = Lab::unavailable() {
        bail!(reason);
    }
    let name = name.unwrap_or_else(|| format!("{:x}{:04x}", std::process::id(), rand::random::<u16>()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let served = runtime.block_on(serve(&name, topology));
    runtime.shutdown_background(); // a read of standard input cannot be cancelled
    served
}

async fn serve(name: &str, topology: Topology) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?; // before anything is built
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let lab = Lab::up(name, topology)?;
    say(&describe(&lab)?.to_string())?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => break,
            line = lines.next_line() => match line? {
                Some(line) => match obey(&lab, &line) {
                    Ok(()) => say("ok")?,
                    Err(error) => say(&format!("error: {error:#}"))?,
                },
                None => break,
            },
        }
    }
    Ok(())
}

fn obey(lab: &Lab, line: &str) -> Result<()> {
    match line.split_whitespace().collect::<Vec<_>>()[..] {
        ["cut", host, network] => lab.cut(host, network),
        ["heal", host, network] => lab.heal(host, network),
        _ => bail!("`{line}` is neither `cut HOST NETWORK` nor `heal HOST NETWORK`"),
    }
}

fn describe(lab: &Lab) -> Result<Value> {
    let mut hosts = Map::new();
    for (host, ports) in &lab.topology().hosts {
        let mut addresses = Map::new();
        for network in ports.keys() {
            addresses.insert(network.clone(), json!(lab.address(host, network)?.to_string()));
        }
        hosts.insert(host.clone(), json!({"namespace": lab.namespace(host), "addresses": addresses}));
    }
    Ok(json!({"name": lab.name(), "hosts": hosts}))
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
