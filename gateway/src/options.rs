//! What the gateway can be told.

use std::{path::PathBuf, time::Duration};

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
    /// How long a client may send nothing in the middle of a request.
    pub silent_for: Duration,
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
    /// How many bytes to keep that are in files already, for the rest of an upload to refer to.
    pub kept: u64,
}

impl Default for XetOptions {
    fn default() -> Self {
        Self { plain_up_to: 50_000_000_000, per_token: 256 << 30, total: 512 << 30, kept: 8 << 30 }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            allowed_hosts: Vec::new(),
            file_within: Duration::from_secs(8),
            answer_within: Duration::from_secs(60),
            written_within: Duration::from_secs(30 * 60),
            silent_for: Duration::from_secs(60),
            read_needs_token: false,
            staging: None,
            staging_limit: 256 << 30,
            part_size: 64 << 20,
            links_last: Duration::from_secs(24 * 60 * 60),
            xet: XetOptions::default(),
        }
    }
}
