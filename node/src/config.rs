//! Everything a node can be told, and from where: flags over environment over file over defaults.
//!
//! The only file that reads the environment.

use std::{collections::BTreeMap, ffi::OsString, fs, io, net::SocketAddr, num::NonZeroU16, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{
    home::Home,
    limits::{Rate, Window},
};

/// Sections that `HUDDLE_<SECTION>_<KEY>` may set.
const SECTIONS: [&str; 8] = ["network", "gateway", "publisher", "names", "trust", "upstream", "safety", "limits"];

/// Everything a node can be told. `examples/config.toml` shows each key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How to reach others and be reached.
    pub network: Network,
    /// The HTTP face for hub clients.
    pub gateway: Gateway,
    /// Who signs what is published here.
    pub publisher: Publisher,
    /// How names of publishers are read.
    pub names: Names,
    /// Whose word is believed.
    pub trust: Trust,
    /// The hub that mirrored repositories come from.
    pub upstream: Upstream,
    /// What becomes of files that could harm whoever loads them.
    pub safety: Safety,
    /// How much is moved, how fast.
    pub limits: Limits,
}

/// How to reach others and be reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// Where other nodes can reach this one: TCP to find (libp2p) and UDP to move (iroh), on the same port number.
    pub listen: Vec<SocketAddr>,
    /// Nodes to ask first, as multiaddrs.
    pub bootstrap: Vec<String>,
    /// Find nodes on the local network by multicast DNS.
    pub mdns: bool,
    /// Whether to answer DHT queries of others.
    pub dht: DhtRole,
    /// Whether this node is only ever in a private network, whose key is `swarm.key` in the home.
    pub private: bool,
    /// URLs of iroh relays for nodes that cannot be reached directly. None by default: no company's servers.
    pub relays: Vec<String>,
}

/// Whether a node answers DHT queries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DhtRole {
    /// Yes, unless this node seems to be unreachable from the public network it joined.
    #[default]
    Auto,
    /// Yes.
    Server,
    /// No.
    Client,
}

/// The HTTP face for hub clients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gateway {
    /// Whether `huddle up` starts it.
    pub enabled: bool,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Host names under which it may be called beside loopback ones; guards against DNS rebinding.
    pub allowed_hosts: Vec<String>,
    /// What clients without a token may make this node fetch.
    pub fetch: Fetch,
    /// How many connections there may be at once.
    pub connections: NonZeroU16,
    /// How many of them may be one client's.
    pub connections_per_client: NonZeroU16,
    /// How many requests per second one client may send, after a burst of a hundred times as many.
    pub requests_per_second: NonZeroU16,
    /// How many files that are not here yet one client may read at once.
    pub cold_files: NonZeroU16,
}

/// What clients of the gateway without a token may make this node fetch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fetch {
    /// On this machine anything, from elsewhere what is trusted.
    #[default]
    Auto,
    /// Nothing.
    Local,
    /// Repositories whose signer is trusted, or is one of this node's keys.
    Trusted,
    /// Anything.
    Any,
}

/// Who signs what is published here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Publisher {
    /// The name of the key that signs unless `--key` names another.
    pub key: String,
    /// The author in git commits; empty means the publisher id.
    pub author: String,
    /// The author's address in git commits; empty means `<publisher id>@huddle`.
    pub email: String,
}

/// How names of publishers are read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Names {
    /// Whether a name that may be a domain is looked up as one.
    pub domains: bool,
    /// Name servers to ask; the system's if there are none.
    pub dns: Vec<SocketAddr>,
    /// The URL of the file that says whose a domain is, with `{domain}` where the domain belongs.
    pub well_known: String,
}

/// Whose word is believed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trust {
    /// Publisher ids whose attestations of upstream repositories count, with `=<votes>` if they count more than one vote.
    pub attestors: Vec<String>,
    /// How many votes it takes.
    pub votes: u32,
    /// Whether the commit object must prove the files on top of that.
    pub proven: bool,
    /// What the word of the hub itself counts.
    pub upstream: UpstreamWord,
    /// What is different for single namespaces.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub namespaces: BTreeMap<String, Namespace>,
}

impl Default for Trust {
    fn default() -> Self {
        Self {
            attestors: Vec::new(),
            votes: 1,
            proven: false,
            upstream: UpstreamWord::Enough,
            namespaces: BTreeMap::new(),
        }
    }
}

/// What it takes to believe what a repository in one namespace of another hub is; what is left out is as everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Namespace {
    /// How many votes it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub votes: Option<u32>,
    /// Whether the commit object must prove the files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proven: Option<bool>,
    /// What the word of the hub itself counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<UpstreamWord>,
}

/// What the word of the hub that a repository is mirrored from counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UpstreamWord {
    /// Nothing: it is not asked.
    Off,
    /// It is asked when mirrors have too few votes, and then decides alone.
    #[default]
    Enough,
    /// It is always asked, and must agree with what the mirrors' votes decide.
    Required,
}

/// The hub that mirrored repositories come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Upstream {
    /// Where it answers; nowhere if this is empty.
    pub endpoint: String,
}

impl Default for Upstream {
    fn default() -> Self {
        Self { endpoint: "https://huggingface.co".to_owned() }
    }
}

/// What becomes of files that could harm whoever loads them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Safety {
    /// Of pickles that import more than weights are made of.
    pub pickle: Pickle,
}

/// What becomes of pickles that import more than weights are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pickle {
    /// The user is told.
    #[default]
    Warn,
    /// They are neither written to a folder nor passed to clients of the gateway.
    Refuse,
}

/// How much is moved, how fast. An empty rate means no limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// How many bytes per second are sent to all peers together.
    pub up: Rate,
    /// How many bytes per second are received from all peers together.
    pub down: Rate,
    /// How many bytes per second are sent to one peer.
    pub up_per_peer: Rate,
    /// How many bytes per second are received from one peer.
    pub down_per_peer: Rate,
    /// How many requests for bytes are answered at once.
    pub slots: NonZeroU16,
    /// How many of them may be one peer's.
    pub slots_per_peer: NonZeroU16,
    /// Whether peers on this machine and on the local network are spared.
    pub lan_exempt: bool,
    /// When other values of `up` and `down` hold.
    pub schedule: Vec<Window>,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            listen: vec![([0, 0, 0, 0], 4801).into(), ([0u16; 8], 4801).into()],
            bootstrap: Vec::new(),
            mdns: true,
            dht: DhtRole::Auto,
            private: false,
            relays: Vec::new(),
        }
    }
}

impl Default for Gateway {
    fn default() -> Self {
        let number = |number| NonZeroU16::new(number).unwrap_or(NonZeroU16::MIN);
        Self {
            enabled: true,
            listen: ([127, 0, 0, 1], 8080).into(),
            allowed_hosts: Vec::new(),
            fetch: Fetch::Auto,
            connections: number(1024),
            connections_per_client: number(256),
            requests_per_second: number(100),
            cold_files: number(8),
        }
    }
}

impl Default for Names {
    fn default() -> Self {
        let well_known = "https://{domain}/.well-known/huddle".to_owned();
        Self { domains: true, dns: Vec::new(), well_known }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            up: Rate::default(),
            down: Rate::default(),
            up_per_peer: Rate::default(),
            down_per_peer: Rate::default(),
            slots: NonZeroU16::MIN.saturating_add(63),
            slots_per_peer: NonZeroU16::MIN.saturating_add(15),
            lan_exempt: true,
            schedule: Vec::new(),
        }
    }
}

impl Default for Publisher {
    fn default() -> Self {
        Self { key: "default".to_owned(), author: String::new(), email: String::new() }
    }
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// Not TOML, an unknown key, or a value of the wrong form.
    #[error("{origin}: {reason}; `huddle config show` prints every key")]
    Invalid { origin: String, reason: String },
}

impl Config {
    /// Loads the configuration of a home: its file, if there is one, under the environment.
    ///
    /// # Errors
    /// If the file or a variable is not understood; an unknown key is never ignored.
    pub fn load(home: &Home) -> Result<Self, ConfigError> {
        let path = home.config();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(ConfigError::Read { path, source }),
        };
        // Other programs' variables may hold any bytes.
        let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        Self::merge(&path.display().to_string(), &text, variables)
    }

    fn merge(
        origin: &str,
        text: &str,
        variables: impl IntoIterator<Item = (String, OsString)>,
    ) -> Result<Self, ConfigError> {
        let invalid = |origin: &str, error: toml::de::Error| ConfigError::Invalid {
            origin: match error.span() {
                Some(span) if !text.is_empty() && span.end <= text.len() => {
                    format!("{origin}, line {}", text[..span.start].matches('\n').count() + 1)
                }
                _ => origin.to_owned(),
            },
            reason: error.message().replace('\n', " "),
        };
        let _: Self = toml::from_str(text).map_err(|error| invalid(origin, error))?;
        let mut table: toml::Table = toml::from_str(text).map_err(|error| invalid(origin, error))?;
        for (variable, value) in variables {
            let Some((section, key)) = setting(&variable) else { continue };
            let not_text = |_| ConfigError::Invalid { origin: variable.clone(), reason: "not UTF-8".to_owned() };
            let value = value.into_string().map_err(not_text)?;
            let value = toml::from_str::<toml::Table>(&format!("value = {value}"))
                .ok()
                .and_then(|mut table| table.remove("value"))
                .unwrap_or(toml::Value::String(value));
            let mut one = toml::Table::new();
            one.insert(section.clone(), toml::Table::from_iter([(key.clone(), value.clone())]).into());
            let _: Self = one.try_into().map_err(|error| invalid(&variable, error))?;
            let section = table.entry(section).or_insert_with(|| toml::Table::new().into());
            if let Some(section) = section.as_table_mut() {
                section.insert(key, value);
            }
        }
        table.try_into().map_err(|error| invalid(origin, error))
    }

    /// Returns the configuration as the file would say it.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).unwrap_or_default()
    }
}

/// Returns where hub clients keep their cache, or `None` if the user has no home directory.
pub fn hub_cache() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "this is the file that reads the environment")]
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    hub_cache_by(variable, std::env::home_dir())
}

/// As the clients' own `constants.py` has it.
fn hub_cache_by(variable: impl Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> Option<PathBuf> {
    let path = |name: &str| {
        let path = PathBuf::from(variable(name)?);
        match (path.strip_prefix("~"), &home) {
            (Ok(rest), Some(home)) => Some(home.join(rest)),
            _ => Some(path),
        }
    };
    let cache = || path("XDG_CACHE_HOME").or_else(|| home.as_ref().map(|home| home.join(".cache")));
    let hf_home = || path("HF_HOME").or_else(|| cache().map(|cache| cache.join("huggingface")));
    path("HF_HUB_CACHE").or_else(|| path("HUGGINGFACE_HUB_CACHE")).or_else(|| hf_home().map(|home| home.join("hub")))
}

/// Returns section and key of `HUDDLE_<SECTION>_<KEY>`.
fn setting(variable: &str) -> Option<(String, String)> {
    let rest = variable.strip_prefix("HUDDLE_")?.to_ascii_lowercase();
    let (section, key) = rest.split_once('_')?;
    SECTIONS.contains(&section).then(|| (section.to_owned(), key.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merge(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::merge("file", text, variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())))
    }

    #[test]
    fn the_example_is_the_default() {
        let example = merge(include_str!("../examples/config.toml"), &[]).unwrap();
        assert_eq!(example, Config::default());
    }

    #[test]
    fn what_is_printed_reads_back() {
        assert_eq!(merge(&Config::default().to_toml(), &[]).unwrap(), Config::default());
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let text = "[network]\nmdns = true\n[gateway]\nlisten = \"127.0.0.1:1\"";
        let variables =
            [("HUDDLE_NETWORK_MDNS", "false"), ("HUDDLE_GATEWAY_LISTEN", "127.0.0.1:2"), ("HUDDLE_HOME", "x")];
        let config = merge(text, &variables).unwrap();
        assert!(!config.network.mdns);
        assert_eq!(config.gateway.listen, "127.0.0.1:2".parse().unwrap());
    }

    #[test]
    fn limits_are_read_with_their_units_and_windows() {
        let text =
            "[limits]\nup = \"10 MiB/s\"\nslots = 8\nschedule = [{ from = \"22:00\", to = \"06:00\", up = \"\" }]";
        let variables =
            [("HUDDLE_LIMITS_DOWN_PER_PEER", "1 MB/s"), ("HUDDLE_LIMITS_UP", ""), ("HUDDLE_LIMITS_SLOTS", "9")];
        let config = merge(text, &variables).unwrap();
        assert_eq!((config.limits.up, config.limits.slots.get()), (Rate(None), 9));
        assert_eq!(config.limits.down_per_peer, "1 MB/s".parse().unwrap());
        assert_eq!(config.limits.schedule[0].up, Some(Rate(None)));
        assert_eq!(merge(&config.to_toml(), &[]).unwrap(), config);
        let message = |text: &str| merge(text, &[]).unwrap_err().to_string();
        let rate = message("[limits]\nup = \"10 MiB\"");
        assert!(rate.starts_with("file, line 2: `10 MiB` is no rate; write for example"), "{rate}");
        let time = message("[limits]\nschedule = [{ from = \"8\", to = \"18:00\" }]");
        assert!(time.starts_with("file, line 2: `8` is no time of day"), "{time}");
        assert!(message("[limits]\nslots = 0").starts_with("file, line 2: invalid value: integer `0`"));
    }

    #[cfg(unix)]
    #[test]
    fn a_setting_that_is_not_text_is_refused() {
        use std::os::unix::ffi::OsStringExt;
        let variable = ("HUDDLE_PUBLISHER_AUTHOR".to_owned(), OsString::from_vec(vec![0xe9]));
        let message = Config::merge("file", "", [variable]).unwrap_err().to_string();
        assert!(message.starts_with("HUDDLE_PUBLISHER_AUTHOR: not UTF-8"), "{message}");
    }

    #[test]
    fn the_cache_of_hub_clients_is_where_they_look_for_it() {
        let find = |variables: &[(&str, &str)]| {
            let variable = |name: &str| variables.iter().find(|(of, _)| *of == name).map(|(_, value)| value.into());
            hub_cache_by(variable, Some("/home/ada".into())).unwrap()
        };
        assert_eq!(find(&[]), PathBuf::from("/home/ada/.cache/huggingface/hub"));
        assert_eq!(find(&[("XDG_CACHE_HOME", "/x")]), PathBuf::from("/x/huggingface/hub"));
        assert_eq!(find(&[("HF_HOME", "~/hf"), ("XDG_CACHE_HOME", "/x")]), PathBuf::from("/home/ada/hf/hub"));
        assert_eq!(find(&[("HF_HUB_CACHE", "/y"), ("HF_HOME", "/z")]), PathBuf::from("/y"));
        assert_eq!(hub_cache_by(|_| None, None), None);
    }

    #[test]
    fn garbage_and_unknown_keys_are_refused_where_they_stand() {
        let message = |text: &str, variables: &[_]| merge(text, variables).unwrap_err().to_string();
        assert!(message("[network]\nmnds = true", &[]).starts_with("file, line 2: unknown field `mnds`"));
        assert!(message("[network", &[]).starts_with("file, line 1"));
        assert!(message("[gateway]\nlisten = \"nowhere\"", &[]).starts_with("file, line 2"));
        assert!(message("", &[("HUDDLE_GATEWAY_PORT", "1")]).starts_with("HUDDLE_GATEWAY_PORT: unknown field `port`"));
    }
}
