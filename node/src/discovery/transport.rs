//! TCP, Noise and Yamux, and nothing else: UDP belongs to iroh.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::{
    Multiaddr, PeerId, Transport,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, DialOpts, ListenerId, TransportError, TransportEvent},
        upgrade,
    },
    dns,
    identity::Keypair,
    noise,
    pnet::{PnetConfig, PreSharedKey},
    tcp, yamux,
};

use super::scope::Scope;

/// How long connecting, encrypting and multiplexing may take together.
const CONNECT: Duration = Duration::from_secs(10);

/// Builds the transport: names are resolved if the system says how, and dialling stays within `scope`.
pub(super) fn build(
    keypair: &Keypair,
    scope: &Arc<Scope>,
    swarm_key: Option<PreSharedKey>,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, noise::Error> {
    let noise = noise::Config::new(keypair)?;
    let tcp =
        || Guard { inner: tcp::tokio::Transport::new(tcp::Config::default().nodelay(true)), scope: Arc::clone(scope) };
    Ok(match dns::tokio::Transport::system(tcp()) {
        Ok(transport) => within(transport, swarm_key, noise),
        Err(error) => {
            tracing::warn!(%error, "no name server is configured, bootstrap addresses with names will not work");
            within(tcp(), swarm_key, noise)
        }
    })
}

/// Keeps to a private network, if there is a key of one: nobody else is understood, nor hears anything but noise.
fn within<T>(transport: T, swarm_key: Option<PreSharedKey>, noise: noise::Config) -> Boxed<(PeerId, StreamMuxerBox)>
where
    T: Transport<Output = tcp::tokio::TcpStream> + Send + Unpin + 'static,
    T::Dial: Send,
    T::ListenerUpgrade: Send,
    T::Error: Send + Sync,
{
    match swarm_key {
        Some(key) => {
            let private = transport.and_then(move |stream, _| PnetConfig::new(key).handshake(stream));
            secure(private.boxed(), noise)
        }
        None => secure(transport, noise),
    }
}

fn secure<T>(transport: T, noise: noise::Config) -> Boxed<(PeerId, StreamMuxerBox)>
where
    T: Transport + Send + Unpin + 'static,
    T::Output: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    T::Dial: Send,
    T::ListenerUpgrade: Send,
    T::Error: Send + Sync,
{
    transport
        .upgrade(upgrade::Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux::Config::default())
        .timeout(CONNECT)
        .boxed()
}

/// A transport that dials only within a scope. It sits below DNS, so that a name cannot lead elsewhere.
struct Guard<T> {
    inner: T,
    scope: Arc<Scope>,
}

impl<T: Transport + Unpin> Transport for Guard<T> {
    type Output = T::Output;
    type Error = T::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = T::Dial;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<T::Error>> {
        self.inner.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<T::Dial, TransportError<T::Error>> {
        if self.scope.permits(&address) {
            self.inner.dial(address, options)
        } else {
            Err(TransportError::MultiaddrNotSupported(address))
        }
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, Self::Error>> {
        Pin::new(&mut self.inner).poll(context)
    }
}

/// Checks that nobody listens on `address`.
///
/// libp2p binds with `SO_REUSEPORT`, so that it can dial from the port it listens on; a second process of the same user
/// would be let in silently and get half of the connections.
pub(super) fn is_free(address: std::net::SocketAddr) -> io::Result<()> {
    if address.port() != 0 {
        drop(std::net::TcpListener::bind(address)?);
    }
    Ok(())
}
