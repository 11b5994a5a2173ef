//! `https://<domain>/.well-known/huddle`: one publisher id a line, or JSON with `publisher` or `publishers`.

use std::{net::SocketAddr, time::Duration};

use huddle_protocol::PublisherId;
use reqwest::{
    Client, StatusCode,
    dns::{Addrs, Name, Resolve, Resolving},
    header,
};
use serde::Deserialize;

use super::{
    ask::{Answer, LookUpError, MAX_KEYS, Way},
    dns::Dns,
};
use crate::{discovery::is_public, web};

/// The largest file that is read, in bytes.
const MAX_FILE: usize = 16 << 10;
/// How long connecting, and everything, may take.
const CONNECT: Duration = Duration::from_secs(3);
const TOTAL: Duration = Duration::from_secs(5);
/// How long an answer is good that does not say so.
const LASTS: Duration = Duration::from_secs(60 * 60);
/// What stands for the domain in the configured address.
const DOMAIN: &str = "{domain}";

/// A client of the web servers of domains.
#[derive(Clone, Debug)]
pub(super) struct Web {
    client: Client,
    address: String,
}

impl Web {
    pub(super) fn new<T: Clone + 'static>(address: &str, dns: &Dns, tls: &T) -> Result<Self, LookUpError> {
        let (_, host) = address.split_once("://").unwrap_or_default();
        let asks_domains = host.split('/').next().is_some_and(|host| host.contains(DOMAIN));
        let client = Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .https_only(asks_domains)
            .no_proxy()
            .redirect(web::same_origin())
            .referer(false)
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            .dns_resolver(Addresses { dns: dns.clone(), only_public: asks_domains })
            .build();
        let client = client.map_err(|error| LookUpError::CannotAsk { reason: error.to_string() })?;
        Ok(Self { client, address: address.to_owned() })
    }

    pub(super) async fn publishers(&self, domain: &str) -> Result<Answer, LookUpError> {
        let request = self.client.get(self.address.replace(DOMAIN, domain));
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) if error.is_connect() && !error.is_timeout() => return Ok(Answer::Silent),
            Err(error) => return Err(LookUpError::Web(error.without_url())),
        };
        match answer.status() {
            StatusCode::OK => {}
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                return Err(LookUpError::Status { status: status.as_u16() });
            }
            _ => return Ok(Answer::Nobody),
        }
        let lasts = answer.headers().get(header::CACHE_CONTROL).and_then(|value| max_age(value.to_str().ok()?));
        let bytes = web::body(answer, MAX_FILE).await.map_err(|error| LookUpError::Web(error.without_url()))?;
        let Some(bytes) = bytes else { return Ok(Answer::Nobody) }; // a page for people
        let publishers = read(&bytes);
        if publishers.is_empty() {
            return Ok(Answer::Nobody);
        }
        Ok(Answer::Named { publishers, way: Way::Https, lasts: lasts.unwrap_or(LASTS) })
    }
}

/// Finds the addresses of web servers; none of this machine and of the local network, whoever names them.
struct Addresses {
    dns: Dns,
    only_public: bool,
}

impl Resolve for Addresses {
    fn resolve(&self, name: Name) -> Resolving {
        let (dns, only_public) = (self.dns.clone(), self.only_public);
        Box::pin(async move {
            let mut addresses = dns.addresses(name.as_str()).await?;
            addresses.retain(|address| !only_public || is_public(*address));
            let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

#[derive(Deserialize)]
struct Json {
    publisher: Option<PublisherId>,
    #[serde(default)]
    publishers: Vec<PublisherId>,
}

/// Reads a file; what is none of ours names nobody. Many servers answer every question with some page.
fn read(bytes: &[u8]) -> Vec<PublisherId> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Vec::new() };
    let mut publishers: Vec<PublisherId> = if text.trim_start().starts_with('{') {
        let Ok(Json { publisher, publishers }) = serde_json::from_str(text) else { return Vec::new() };
        publisher.into_iter().chain(publishers).collect()
    } else {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let Ok(publishers) = lines.take(1000).map(str::parse).collect() else { return Vec::new() };
        publishers
    };
    publishers.sort_unstable();
    publishers.dedup();
    publishers.truncate(MAX_KEYS);
    publishers
}

/// Returns how long an answer is good, from its `Cache-Control`.
fn max_age(value: &str) -> Option<Duration> {
    let age = value.split(',').find_map(|part| part.trim().strip_prefix("max-age="))?;
    Some(Duration::from_secs(age.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use huddle_protocol::SecretKey;

    use super::*;

    #[test]
    fn a_file_names_keys_line_by_line_or_as_json() {
        let [ada, bob] = [1, 2].map(|seed| PublisherId::from(SecretKey::from_bytes([seed; 32]).public()));
        let sorted = |mut keys: Vec<_>| {
            keys.sort_unstable();
            keys
        };
        for (text, expected) in [
            (format!("{ada}\n"), vec![ada]),
            (format!("# who we are\n\n  {ada}\r\n{bob}\n{ada}"), sorted(vec![ada, bob])),
            (format!("{{\"publisher\": \"{ada}\"}}"), vec![ada]),
            (format!(" {{\"publishers\": [\"{ada}\", \"{bob}\"], \"name\": 1}}"), sorted(vec![ada, bob])),
            (format!("<!doctype html>\n{ada}"), vec![]),
            ("{\"publisher\": 1}".to_owned(), vec![]),
            ("{".to_owned(), vec![]),
            (String::new(), vec![]),
        ] {
            assert_eq!(read(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(read(&[0xff; 40]), []);
    }

    #[test]
    fn an_answer_says_how_long_it_is_good() {
        assert_eq!(max_age("public, max-age=600"), Some(Duration::from_secs(600)));
        for value in ["no-store", "max-age=", "max-age=-1", "max-age=99999999999999999999999"] {
            assert_eq!(max_age(value), None, "{value}");
        }
    }
}
