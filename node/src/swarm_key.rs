//! The key of a private network: nodes that have it find and reach each other and nobody else, and nobody without it finds or
//! reaches them. The file is that of other libp2p programs, such as kubo: `/key/swarm/psk/1.0.0/`.
//!
//! Over TCP every byte is encrypted with it before anything else (libp2p's pnet), so that to others a node says nothing.
//! Over QUIC both ends prove that they have it, for this one connection, before anything is asked; the names of the
//! protocols are bound to it too.

use std::{fmt, io, path::PathBuf, time::Duration};

use iroh::endpoint::{Connection, Side};
use libp2p::pnet::PreSharedKey;
use rand::{TryRng, rngs::SysRng};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::home::{
    Home,
    file::{self, FileError},
    write_private,
};

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 1024;
/// How long the other end may take to prove that it has the key.
const PROVE: Duration = Duration::from_secs(5);
/// What the secrets that are derived from the key are for.
const PROOF: &str = "huddle 2026-11 proof of a swarm key";
const NAME: &str = "huddle 2026-11 name of a private network";
/// What a connection's own secret is exported for.
const LABEL: &[u8] = b"huddle swarm key";

/// Why the key of a private network cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SwarmKeyError {
    /// There is none.
    #[error(
        "network.private is set, and there is no {}; copy it from a node of that network, or make one with `huddle key swarm`",
        path.display()
    )]
    Missing { path: PathBuf },
    /// There is one already.
    #[error("there is a {} already; this node would leave the network it names", path.display())]
    Exists { path: PathBuf },
    /// Others can read it.
    #[error("{} can be read by others (mode {mode:o}); run `chmod 600 {}`", path.display(), path.display())]
    Exposed { path: PathBuf, mode: u32 },
    /// It is none.
    #[error("{} is no swarm key: three lines, /key/swarm/psk/1.0.0/, /base16/ and 64 hexadecimal digits", path.display())]
    Damaged { path: PathBuf },
    /// The system has no randomness.
    #[error("the system has no randomness to make a key from")]
    Random,
    /// It cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// The key of a private network.
#[derive(Clone, Copy)]
pub struct SwarmKey(PreSharedKey);

impl fmt::Debug for SwarmKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SwarmKey({})", self.name())
    }
}

impl SwarmKey {
    /// Reads the key of a home; without one the node is in the public network, unless it `must` be in a private one.
    ///
    /// # Errors
    /// If there is none and must be one, or others can read it, or it is no key.
    pub(crate) fn open(home: &Home, must: bool) -> Result<Option<Self>, SwarmKeyError> {
        let path = home.swarm_key();
        let Some(bytes) = file::bytes(&path, MAX_FILE)?.map(Zeroizing::new) else {
            return if must { Err(SwarmKeyError::Missing { path }) } else { Ok(None) };
        };
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&path).map(|file| file.permissions().mode() & 0o777).unwrap_or_default();
            if mode & 0o077 != 0 {
                return Err(SwarmKeyError::Exposed { path, mode });
            }
        }
        let key = std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok());
        key.map(|key| Some(Self(key))).ok_or(SwarmKeyError::Damaged { path })
    }

    /// Makes a key for a new private network.
    ///
    /// # Errors
    /// If there is one, or the file cannot be written.
    pub(crate) fn create(home: &Home) -> Result<(PathBuf, Self), SwarmKeyError> {
        let path = home.swarm_key();
        if path.exists() {
            return Err(SwarmKeyError::Exists { path });
        }
        let mut bytes = Zeroizing::new([0; 32]);
        SysRng.try_fill_bytes(&mut *bytes).map_err(|_| SwarmKeyError::Random)?;
        let key = PreSharedKey::new(*bytes);
        let io = |source: io::Error| FileError::Io { path: path.clone(), source };
        write_private(&path, key.to_key_file().as_bytes()).map_err(io)?;
        Ok((path, Self(key)))
    }

    /// Returns the key as libp2p wants it.
    pub(crate) fn pnet(&self) -> PreSharedKey {
        self.0
    }

    /// Returns what tells this network from others and does not tell its key.
    pub(crate) fn name(&self) -> String {
        let name = blake3::derive_key(NAME, self.0.to_key_file().as_bytes());
        data_encoding::HEXLOWER.encode(&name[..8])
    }

    /// Proves to the other end of a connection that this node has the key, and has it prove the same. Each end signs, so to
    /// speak, a secret that only this connection has, so that no proof serves for another one.
    pub(crate) async fn meet(&self, connection: &Connection) -> Result<(), &'static str> {
        let mut secret = [0; 32];
        connection.export_keying_material(&mut secret, LABEL, &[]).map_err(|_| "no secret of this connection")?;
        let key = Zeroizing::new(blake3::derive_key(PROOF, self.0.to_key_file().as_bytes()));
        let proof = |side: &[u8]| blake3::keyed_hash(&key, &[&secret[..], side].concat());
        let (ours, theirs) = match connection.side() {
            Side::Client => (proof(b"dialled"), proof(b"accepted")),
            Side::Server => (proof(b"accepted"), proof(b"dialled")),
        };
        let send = async {
            let mut stream = connection.open_uni().await.map_err(|_| "it hung up")?;
            stream.write_all(ours.as_bytes()).await.map_err(|_| "it does not listen")?;
            stream.finish().map_err(|_| "it does not listen")
        };
        let receive = async {
            let mut stream = connection.accept_uni().await.map_err(|_| "it hung up")?;
            let proof = stream.read_to_end(32).await.map_err(|_| "no proof")?;
            let proof: [u8; 32] = proof.try_into().map_err(|_| "no proof")?;
            // Compared in constant time.
            if blake3::Hash::from_bytes(proof) == theirs { Ok(()) } else { Err("a false proof") }
        };
        let met = timeout(PROVE, async { tokio::try_join!(send, receive) }).await;
        met.map_err(|_| "it proves nothing")?.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        events::Events,
        get::Get,
        lines::Lines,
        testing::{Host, SOON, host, host_in_swarm, wait_until},
    };

    #[test]
    fn a_key_is_read_back_and_one_that_others_can_read_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path());
        assert!(SwarmKey::open(&home, false).unwrap().is_none());
        assert!(matches!(SwarmKey::open(&home, true), Err(SwarmKeyError::Missing { .. })));
        let (path, key) = SwarmKey::create(&home).unwrap();
        assert_eq!(SwarmKey::open(&home, true).unwrap().unwrap().name(), key.name());
        assert!(matches!(SwarmKey::create(&home), Err(SwarmKeyError::Exists { .. })));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("/key/swarm/psk/1.0.0/\n/base16/\n") && !text.contains(&key.name()));
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o640);
        std::fs::set_permissions(&path, mode).unwrap();
        assert!(matches!(SwarmKey::open(&home, false), Err(SwarmKeyError::Exposed { mode: 0o640, .. })));
        std::fs::remove_file(&path).unwrap();
        write_private(&path, b"/key/swarm/psk/1.0.0/\n/base16/\n00").unwrap();
        assert!(matches!(SwarmKey::open(&home, false), Err(SwarmKeyError::Damaged { .. })));
    }

    fn key() -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let (path, _) = SwarmKey::create(&Home::new(dir.path())).unwrap();
        std::fs::read(path).unwrap()
    }

    #[tokio::test]
    async fn nodes_with_the_key_work_together_and_others_reach_none_of_them() {
        let (key, other) = (key(), key());
        let first = host_in_swarm(&[], &key).await;
        let second = host_in_swarm(&[&first], &key).await;
        let published = first.publish("demo", &[("README.md", b"# demo")]).await;
        let get = || Get { repo: published.repo.to_string(), ..Get::default() };
        let gets = async |host: &Host| host.get(get(), &Events::silent()).await.is_ok();
        wait_until("the second one gets it", async || gets(&second).await).await;

        // They know whom to ask, and where, and by what name; what they have not is the key.
        let (without, with_another) = (host(&[]).await, host_in_swarm(&[], &other).await);
        let record = crate::endpoint::record(first.endpoint(), first.identity().node(), crate::clock::unix_now());
        for outsider in [&without, &with_another] {
            let address = first.network().addresses().await.unwrap()[0].clone();
            outsider.network().dial(address).await.ok();
            outsider.network().put(huddle_protocol::Record::Node(record.clone().unwrap())).await.ok();
            let request = huddle_protocol::Request::Heads { after: None };
            let answer = outsider.transfer().exchange().ask(first.identity().node_id(), &request).await;
            assert!(answer.is_err(), "{answer:?}");
            assert!(outsider.network().peers().await.unwrap().is_empty());
            assert!(!gets(outsider).await);
        }

        // Who listens on the wire knows the name of the protocol too.
        let alpn = Lines::within(SwarmKey::open(first.home(), true).unwrap()).alpn(crate::exchange::ALPN);
        let address = first.endpoint().addr();
        let connection = without.endpoint().connect(address, &alpn).await;
        if let Ok(connection) = connection {
            let (mut send, mut receive) = connection.open_bi().await.unwrap();
            send.write_all(&huddle_protocol::Request::Heads { after: None }.to_bytes()).await.unwrap();
            send.finish().unwrap();
            let answer = timeout(2 * SOON, receive.read_to_end(1 << 20)).await.expect("it is hung up on");
            assert!(answer.is_err(), "{answer:?}");
            assert!(format!("{:?}", connection.close_reason()).contains("private"));
        }
    }
}
