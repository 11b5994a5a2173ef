//! Who asks, and how much he may ask: what stands between strangers and a node.
//!
//! A token is looked up only for an address that did not show too many wrong ones, which `caller.rs` asks first. [`admit`]
//! runs before every handler. It finds out whose request it is, refuses it if that client asked too much, and leaves an
//! [`Allowance`] with the task; [`hub::GuardedHub`] looks there before it lets the node fetch anything, so that no handler
//! can forget it.

pub(crate) mod asker;
mod bucket;
mod clients;
mod cold;
pub(crate) mod hub;

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Instant,
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::header;

pub(crate) use crate::guard::{clients::Clients, cold::Cold};
use crate::{Account, Fetch, Gateway, caller::Caller, error::ApiError, guard::clients::Key, host};

/// The address a connection came from; `serve` adds it to every request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// What the client of a request may have fetched.
#[derive(Clone, Debug)]
pub(crate) struct Allowance {
    /// What the node may fetch for it; never `Auto`.
    pub(crate) fetch: Fetch,
    /// The files it reads that are not here yet, if they are counted.
    pub(crate) cold: Option<Arc<Cold>>,
}

tokio::task_local! {
    /// That of the client whose request this task answers.
    static ALLOWANCE: Allowance;
}

/// Lets a request through, on behalf of its client, unless that one asks too much.
pub(crate) async fn admit(State(gateway): State<Gateway>, request: Request, next: Next) -> Response {
    let mut encodings = request.headers().get_all(header::CONTENT_ENCODING).iter();
    if let Some(encoding) = encodings.find(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity")) {
        let encoding = String::from_utf8_lossy(encoding.as_bytes()).into_owned();
        return ApiError::Encoded { encoding }.into_response();
    }
    let caller = request.extensions().get::<Caller>();
    let account = caller.and_then(|caller| caller.account().ok());
    // Whoever made that page is not on this machine, only the browser is.
    let address = match client_address(&request) {
        None if caller.is_some_and(Caller::is_foreign_page) => Some(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        address => address,
    };
    match gateway.allowance(account, address) {
        Ok(allowance) => ALLOWANCE.scope(allowance, next.run(request)).await,
        Err(error) => error.into_response(),
    }
}

impl Gateway {
    /// Counts that an address has a token looked up: that costs something whether the token is good or not.
    pub(crate) fn count_look_up(&self, address: Option<IpAddr>) -> Result<(), ApiError> {
        let Some(address) = address else { return Ok(()) };
        let key = Key::LookUps(network(address));
        self.clients.ask(key, self.options.clients.anonymous, Instant::now()).map(drop)
    }

    /// Counts a request that came with a token of this node, or from an address; none is this machine's, and not counted.
    fn allowance(&self, account: Option<&Account>, address: Option<IpAddr>) -> Result<Allowance, ApiError> {
        let now = Instant::now();
        match (account, address) {
            (Some(_), None) => Ok(Allowance { fetch: Fetch::Any, cold: None }),
            (Some(account), Some(address)) => {
                let key = Key::Token(account.name.clone(), account.token.clone());
                let cold = self.clients.ask(key, self.options.clients.token, now)?;
                // It is the token that is counted, wherever it is used.
                self.clients.forgive(Key::LookUps(network(address)));
                Ok(Allowance { fetch: Fetch::Any, cold: Some(cold) })
            }
            (None, None) => Ok(Allowance { fetch: self.options.fetch.of(true), cold: None }),
            (None, Some(address)) => {
                let key = Key::Address(network(address));
                let cold = self.clients.ask(key, self.options.clients.anonymous, now)?;
                Ok(Allowance { fetch: self.options.fetch.of(false), cold: Some(cold) })
            }
        }
    }
}

impl Fetch {
    /// Returns what this means for a client without a token.
    fn of(self, is_on_this_machine: bool) -> Self {
        match self {
            Self::Auto if is_on_this_machine => Self::Any,
            Self::Auto => Self::Trusted,
            other => other,
        }
    }
}

/// Returns the address of a client, or nothing if it is on this machine.
///
/// A proxy on this machine says for whom it asks; whoever else claims that on this machine only loses by it.
pub(crate) fn client_address(request: &Request) -> Option<IpAddr> {
    let peer = request.extensions().get::<Peer>().map(|Peer(peer)| peer.ip().to_canonical());
    match peer {
        Some(peer) if !peer.is_loopback() => Some(peer),
        _ => {
            let Some(forwarded) = request.headers().get_all("x-forwarded-for").iter().next_back() else {
                // A proxy that does not tell for whom it asks stands for all its clients.
                return is_proxied(request).then_some(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
            };
            // The last one is what the proxy itself saw.
            let last = forwarded.to_str().unwrap_or_default().rsplit(',').next().unwrap_or_default().trim();
            Some(last.parse().unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)))
        }
    }
}

/// Reports whether a proxy shows itself: by a header, or by a name of ours that is not this machine's.
fn is_proxied(request: &Request) -> bool {
    let shows = ["via", "forwarded", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-prefix", "x-real-ip"];
    shows.iter().any(|name| request.headers().contains_key(*name)) || !host::is_of_this_machine(request)
}

/// Returns what an address is counted as: whoever has one IPv6 address has the 2⁶⁴ of its network.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}
