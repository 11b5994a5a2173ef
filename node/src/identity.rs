//! Secret keys on disk: created unreadable for others, refused if others can read them, never logged.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;
use huddle_protocol::{NodeId, PublisherId, SecretKey};
use zeroize::Zeroizing;

use crate::home::{Home, create_private_dir};

/// What a key file and an exported key start with; 64 hexadecimal digits of seed follow.
const PREFIX: &str = "huddle-secret-key-1:";
/// The longest name of a publisher key.
const MAX_NAME: usize = 64;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file can be read or written by others.
    #[error("{} can be read by others (mode {mode:o}); run `chmod 600 {}` if you are sure nobody did", path.display(), path.display())]
    Exposed { path: PathBuf, mode: u32 },
    /// Not a key.
    #[error("{} is not a huddle key", path.display())]
    NotAKey { path: PathBuf },
    /// A name that cannot be a file name.
    #[error("`{name}` cannot name a key: use 1 to {MAX_NAME} letters, digits, `-` and `_`")]
    Name { name: String },
    /// There is one already.
    #[error("there is a key named `{name}` already")]
    Exists { name: String },
    /// There is none.
    #[error(
        "there is no publisher key named `{name}`; `huddle key show` lists them, `huddle key new {name}` makes one"
    )]
    Unknown { name: String },
    /// The file cannot be read or written.
    #[error("cannot access {}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// The node's key and the publishers' keys of one home.
#[derive(Debug)]
pub struct Identity {
    node: SecretKey,
    publishers: BTreeMap<String, SecretKey>,
    default: String,
}

impl Identity {
    /// Loads the keys of a home; a missing node key and a missing default publisher key are created.
    ///
    /// # Errors
    /// If a key is damaged, readable by others, or cannot be written.
    pub fn open(home: &Home, default_publisher: &str) -> Result<Self, KeyError> {
        let node = match load(&home.node_key()) {
            Err(KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => create(&home.node_key())?,
            loaded => loaded?,
        };
        let mut publishers = list(home)?;
        if !publishers.contains_key(default_publisher) {
            publishers.insert(default_publisher.to_owned(), create(&publisher_path(home, default_publisher)?)?);
        }
        Ok(Self { node, publishers, default: default_publisher.to_owned() })
    }

    /// Returns the node's secret key.
    pub fn node(&self) -> &SecretKey {
        &self.node
    }

    /// Returns the node's id.
    pub fn node_id(&self) -> NodeId {
        self.node.public().into()
    }

    /// Returns the id of the publisher that signs unless told otherwise.
    pub fn default_publisher(&self) -> PublisherId {
        self.publishers[&self.default].public().into()
    }

    /// Returns the secret key of the publisher with this name, or of the default one; a key that was made after the
    /// others were loaded is found, too.
    ///
    /// # Errors
    /// [`KeyError::Unknown`], or that it cannot be used.
    pub fn publisher(&self, home: &Home, name: Option<&str>) -> Result<SecretKey, KeyError> {
        let name = name.unwrap_or(&self.default);
        if let Some(key) = self.publishers.get(name) {
            return Ok(key.clone());
        }
        list(home)?.remove(name).ok_or_else(|| KeyError::Unknown { name: name.to_owned() })
    }

    /// Returns the secret key of a publisher, if it is here.
    ///
    /// # Errors
    /// If a key cannot be used.
    pub fn of_publisher(&self, home: &Home, id: PublisherId) -> Result<Option<SecretKey>, KeyError> {
        let is_it = |key: &SecretKey| key.public() == id.0;
        if let Some(key) = self.publishers.values().find(|key| is_it(key)) {
            return Ok(Some(key.clone()));
        }
        Ok(list(home)?.into_values().find(is_it))
    }

    /// Returns the name of the key that signs unless told otherwise.
    pub fn default_key(&self) -> &str {
        &self.default
    }

    /// Returns the ids of all publishers whose keys are here.
    pub fn publisher_ids(&self) -> Vec<PublisherId> {
        self.publishers.values().map(|key| key.public().into()).collect()
    }
}

/// Loads every publisher key of a home, by name.
///
/// # Errors
/// If one is damaged or readable by others.
pub fn list(home: &Home) -> Result<BTreeMap<String, SecretKey>, KeyError> {
    let dir = home.publishers();
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(source) => return Err(KeyError::Io { path: dir, source }),
    };
    let mut keys = BTreeMap::new();
    for entry in entries {
        let path = entry.map_err(|source| KeyError::Io { path: dir.clone(), source })?.path();
        if path.extension().is_some_and(|extension| extension == "key")
            && let Some(name) = path.file_stem().and_then(|name| name.to_str())
        {
            keys.insert(name.to_owned(), load(&path)?);
        }
    }
    Ok(keys)
}

/// Makes a new publisher key.
///
/// # Errors
/// [`KeyError::Exists`] if the name is taken.
pub fn new_publisher(home: &Home, name: &str) -> Result<PublisherId, KeyError> {
    Ok(create(&publisher_path(home, name)?)?.public().into())
}

/// Stores an exported key under a name.
///
/// # Errors
/// If the text is no key, or the name is taken.
pub fn import_publisher(home: &Home, name: &str, source: &Path, text: &str) -> Result<PublisherId, KeyError> {
    let key = parse(source, text)?;
    write(&publisher_path(home, name)?, &key)?;
    Ok(key.public().into())
}

/// Returns a secret key as text, to be kept safe.
pub fn export(key: &SecretKey) -> Zeroizing<String> {
    let seed = Zeroizing::new(key.to_bytes());
    let digits = Zeroizing::new(HEXLOWER.encode(&*seed));
    Zeroizing::new(format!("{PREFIX}{}\n", *digits))
}

/// Reports whether this can name a key, or a token.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn publisher_path(home: &Home, name: &str) -> Result<PathBuf, KeyError> {
    if is_name(name) {
        Ok(home.publishers().join(format!("{name}.key")))
    } else {
        Err(KeyError::Name { name: name.to_owned() })
    }
}

fn load(path: &Path) -> Result<SecretKey, KeyError> {
    let io = |source| KeyError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata().map_err(io)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed { path: path.to_owned(), mode });
        }
    }
    let mut text = Zeroizing::new(String::new());
    let read = file.take(1024).read_to_string(&mut text);
    read.map_err(|_| KeyError::NotAKey { path: path.to_owned() })?;
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> Result<SecretKey, KeyError> {
    let digits = text.trim_end().strip_prefix(PREFIX);
    let seed = digits.and_then(|digits| HEXLOWER.decode(digits.as_bytes()).ok()).map(Zeroizing::new);
    let seed: Option<[u8; 32]> = seed.and_then(|seed| seed.as_slice().try_into().ok());
    seed.map(SecretKey::from_bytes).ok_or_else(|| KeyError::NotAKey { path: path.to_owned() })
}

fn create(path: &Path) -> Result<SecretKey, KeyError> {
    let key = SecretKey::from_bytes(rand::random());
    write(path, &key)?;
    Ok(key)
}

/// Writes a key so that it is there whole or not at all, and never replaces one.
fn write(path: &Path, key: &SecretKey) -> Result<(), KeyError> {
    let io = |source| KeyError::Io { path: path.to_owned(), source };
    let dir = path.parent().unwrap_or(Path::new("."));
    create_private_dir(dir).map_err(io)?;
    let mut file = tempfile::Builder::new().prefix(".key-").tempfile_in(dir).map_err(io)?; // mode 0600
    file.write_all(export(key).as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(io)?;
    file.persist_noclobber(path).map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            KeyError::Exists { name }
        }
        _ => io(error.error),
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path());
        (dir, home)
    }

    #[test]
    fn keys_are_made_once_and_kept() {
        let (_dir, home) = home();
        let first = Identity::open(&home, "default").unwrap();
        let second = Identity::open(&home, "default").unwrap();
        assert_eq!(first.node_id(), second.node_id());
        assert_eq!(first.default_publisher(), second.default_publisher());
        assert!(matches!(new_publisher(&home, "default"), Err(KeyError::Exists { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn a_key_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let (_dir, home) = home();
        Identity::open(&home, "default").unwrap();
        let mode = fs::metadata(home.node_key()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::set_permissions(home.node_key(), fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Identity::open(&home, "default"), Err(KeyError::Exposed { mode: 0o640, .. })));
    }

    #[test]
    fn an_exported_key_can_be_imported_under_another_name() {
        let (_dir, home) = home();
        let identity = Identity::open(&home, "default").unwrap();
        let text = export(&identity.publisher(&home, None).unwrap());
        let copy = import_publisher(&home, "copy", Path::new("-"), &text).unwrap();
        assert_eq!(copy, identity.default_publisher());
        assert!(matches!(import_publisher(&home, "x", Path::new("-"), "nonsense"), Err(KeyError::NotAKey { .. })));
        assert!(matches!(new_publisher(&home, "../x"), Err(KeyError::Name { .. })));
        assert_eq!(identity.publisher(&home, Some("copy")).unwrap().public(), copy.0, "made while the node runs");
        assert!(matches!(identity.publisher(&home, Some("none")), Err(KeyError::Unknown { .. })));
    }
}
