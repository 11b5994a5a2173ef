//! What the gateway can be told.

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

/// How the gateway behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Names, beside `localhost` and bare IP addresses, under which clients may reach it, without port. While the
    /// list is empty any name will do for connections that do not arrive on loopback.
    pub allowed_hosts: Vec<String>,
    /// How long a client may wait for the head of a file. Python gives up after 10 s without a word to its user;
    /// told to ask again before that, it does.
    pub file_within: Duration,
    /// How long a client may wait for anything else. Here Python waits without end, but it takes "ask again" for a
    /// failure, so this is as long as finding peers may take.
    pub answer_within: Duration,
    /// How long a client may wait after its last byte for what it writes to be written: a large upload is read once
    /// more before it is accepted.
    pub written_within: Duration,
    /// Whether reading needs a token too: so it should be where others than this machine can connect.
    pub read_needs_token: bool,
    /// A folder of this gateway's own for uploads that are under way. What is found there is removed. Without one,
    /// clients send every large file in one piece, and there are no uploads by Xet.
    pub staging: Option<PathBuf>,
    /// How much of uploads in parts may wait there, in bytes.
    pub staging_limit: u64,
    /// How many bytes a part has at least.
    pub part_size: u64,
    /// How long the links last that clients upload to.
    pub links_last: Duration,
    /// Uploads and downloads by Xet.
    pub xet: XetOptions,
    /// What clients without a token may make the node fetch.
    pub fetch: Fetch,
    /// How much one client may ask.
    pub clients: ClientLimits,
    /// How many connections there may be, and how slow.
    pub connections: ConnectionLimits,
}

/// How the gateway behaves to clients that speak Xet, and how much of the disk they may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XetOptions {
    /// The largest file, in bytes, that is offered by plain HTTP only. Python refuses longer ones by HTTP.
    pub plain_up_to: u64,
    /// How many bytes the uploads of one token may take before their files are whole; no file may be larger.
    pub per_token: u64,
    /// How many bytes all of them together may take.
    pub total: u64,
    /// How many bytes of each token to keep that are in files already, for the rest of an upload to refer to.
    pub kept: u64,
}

impl Default for XetOptions {
    fn default() -> Self {
        Self { plain_up_to: 50_000_000_000, per_token: 256 << 30, total: 512 << 30, kept: 8 << 30 }
    }
}

/// What clients without a token of this node may make it fetch from its peers. Who has a token may have everything
/// fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fetch {
    /// On this machine everything, for others and for foreign pages in a browser here what is trusted: whoever reaches the gateway could otherwise have the
    /// node store, and offer to others, whatever he names.
    #[default]
    Auto,
    /// Nothing: they get what is here.
    Local,
    /// Repositories whose signer the operator named, or that are signed here.
    Trusted,
    /// Everything.
    Any,
}

/// How much one client may ask: a token of this node, else an IPv4 address or the /64 network of an IPv6 address.
/// Clients on this machine are spared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    /// Requests without a token of this node; and wrong tokens of one address, which are looked up no faster.
    pub anonymous: Rate,
    /// Requests with a token.
    pub token: Rate,
    /// How many clients are kept apart; when there are more, the newcomers share one allowance.
    pub known: usize,
    /// How many files that are not here yet a client may read at once.
    pub cold_files: usize,
    /// How long one more waits before the client is told to ask again. Python waits 10 s for the first byte.
    pub cold_within: Duration,
}

/// So many requests at once, and so many each second after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests at once.
    pub burst: NonZeroU32,
    /// Requests per second.
    pub per_second: NonZeroU32,
}

/// How many connections there may be, and how slow they may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections at once. When there are as many, a newcomer takes the place of the one that has been idle longest;
    /// while none is idle, newcomers wait in the listener's queue.
    pub most: usize,
    /// Connections of one client at once: an IPv4 address, or the /64 network of an IPv6 address. Clients on this
    /// machine are spared.
    pub per_client: usize,
    /// Bytes of the head of a request; longer ones are answered with 431, as are those with more than 100 headers.
    pub head_bytes: usize,
    /// How long a connection may be idle, or dawdle over the head of a request.
    pub head_within: Duration,
    /// How long a client may take to send the next 4 KiB of a body, not counting the time in which nobody reads it. Who
    /// takes longer is told that the request broke off.
    pub body_stall: Duration,
    /// How long a client may take to read the next 4 KiB of an answer, once the buffers of the connection are full.
    pub read_stall: Duration,
    /// How long answers that have begun may go on after the shutdown.
    pub farewell: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            allowed_hosts: Vec::new(),
            file_within: Duration::from_secs(8),
            answer_within: Duration::from_secs(60),
            written_within: Duration::from_secs(30 * 60),
            read_needs_token: false,
            staging: None,
            staging_limit: 256 << 30,
            part_size: 64 << 20,
            links_last: Duration::from_secs(24 * 60 * 60),
            xet: XetOptions::default(),
            fetch: Fetch::default(),
            clients: ClientLimits::default(),
            connections: ConnectionLimits::default(),
        }
    }
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            // The first look at a repository of 5000 files costs a HEAD and a GET for each.
            anonymous: Rate::new(10_000, 100),
            token: Rate::new(20_000, 200),
            known: 4096,
            // As many as `snapshot_download` reads at once.
            cold_files: 8,
            cold_within: Duration::from_secs(5),
        }
    }
}

impl Rate {
    /// Returns a rate; zero counts as one.
    pub const fn new(burst: u32, per_second: u32) -> Self {
        Self { burst: at_least_one(burst), per_second: at_least_one(per_second) }
    }
}

const fn at_least_one(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            most: 1024,
            per_client: 256,
            head_bytes: 64 << 10,
            head_within: Duration::from_secs(60),
            body_stall: Duration::from_secs(60),
            read_stall: Duration::from_secs(60),
            farewell: Duration::from_secs(5),
        }
    }
}
