//! `_huddle.<domain>` TXT `huddle=<publisher id>`.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hickory_resolver::{
    TokioResolver,
    config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::runtime::TokioRuntimeProvider,
    proto::rr::{RData, RecordType},
};

use super::ask::{Answer, LookUpError, Way, add};

/// How long one name server may take, and how often it is tried.
const TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 2;
/// The most records that are looked at.
const MAX_RECORDS: usize = 32;

/// A resolver of the DNS, the system's or one that was configured.
#[derive(Clone, Debug)]
pub(super) struct Dns(TokioResolver);

impl Dns {
    pub(super) fn new(servers: &[SocketAddr]) -> Result<Self, LookUpError> {
        let cannot = |error: hickory_resolver::net::NetError| LookUpError::CannotAsk { reason: error.to_string() };
        let mut builder = if servers.is_empty() {
            TokioResolver::builder_tokio().map_err(cannot)?
        } else {
            let servers = servers.iter().map(server).collect();
            let config = ResolverConfig::from_parts(None, Vec::new(), servers);
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        let options: &mut ResolverOpts = builder.options_mut();
        options.timeout = TIMEOUT;
        options.attempts = ATTEMPTS;
        // What is known is remembered elsewhere, and where a file of this machine names a domain nobody else sees it.
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        Ok(Self(builder.build().map_err(cannot)?))
    }

    pub(super) async fn publishers(&self, domain: &str) -> Result<Answer, LookUpError> {
        // The dot at the end keeps the search list of this machine out of it.
        let found = match self.0.lookup(format!("_huddle.{domain}."), RecordType::TXT).await {
            Ok(found) => found,
            Err(error) if error.is_no_records_found() => return Ok(Answer::Nobody),
            Err(error) => return Err(LookUpError::Dns(Box::new(error))),
        };
        let (mut publishers, mut lasts) = (Vec::new(), u32::MAX);
        for record in found.answers().iter().take(MAX_RECORDS) {
            let RData::TXT(text) = &record.data else { continue };
            let text: Vec<u8> = text.txt_data.concat();
            let text = String::from_utf8_lossy(&text);
            if let Some(id) = text.trim().strip_prefix("huddle=") {
                add(&mut publishers, id.trim(), Way::Dns)?;
                lasts = lasts.min(record.ttl);
            }
        }
        if publishers.is_empty() {
            return Ok(Answer::Nobody);
        }
        Ok(Answer::Named { publishers, way: Way::Dns, lasts: Duration::from_secs(lasts.into()) })
    }

    /// Returns the addresses of a host.
    pub(super) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, hickory_resolver::net::NetError> {
        Ok(self.0.lookup_ip(format!("{host}.")).await?.iter().collect())
    }
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}
