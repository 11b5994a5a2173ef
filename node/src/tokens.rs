//! Tokens of hub clients: shown once, kept as hashes in a private file, and read anew for every question, so that a
//! running node sees what `huddle token` changes.

use std::{
    fs::File,
    io::{self, Read},
    path::PathBuf,
};

use rand::{RngReader, rngs::SysRng};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    clock::unix_now,
    home::{Home, create_private_dir, write_private},
    identity::is_name,
};

/// What a token starts with, and how many letters and digits follow: clients look at both.
const PREFIX: &str = "hf_";
const LENGTH: usize = 34;
/// What the hash of a token is for.
const CONTEXT: &str = "huddle 2026-11 token of a hub client";
/// The most tokens of one home.
const MOST: usize = 1000;
/// The largest file of them that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// A name that cannot be typed on a command line.
    #[error("`{name}` cannot name a token: use 1 to 64 letters, digits, `-` and `_`")]
    Name { name: String },
    /// There is one already.
    #[error("there is a token named `{name}` already; `huddle token revoke {name}` takes it back")]
    Exists { name: String },
    /// There is none.
    #[error("there is no token named `{name}`; `huddle token list` shows all")]
    Unknown { name: String },
    /// Too many.
    #[error("there are {MOST} tokens already; `huddle token revoke <name>` takes one back")]
    TooMany,
    /// The system has no randomness.
    #[error("the system has no randomness to make a token from")]
    Random(#[source] io::Error),
    /// The file can be read or written by others.
    #[error("{} can be read by others (mode {mode:o}); run `chmod 600 {}`", path.display(), path.display())]
    Exposed { path: PathBuf, mode: u32 },
    /// The file is not ours.
    #[error("{} is damaged", path.display())]
    Damaged { path: PathBuf },
    /// The file cannot be read or written.
    #[error("cannot access {}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Read.
    Read,
    /// Read and write.
    Write,
}

/// A token, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// What it is called.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The name of the publisher key it signs with.
    pub key: String,
    /// When it was made, in seconds since 1970-01-01 UTC.
    pub created: u64,
    hash: String,
}

/// Makes a token and returns its text, which is kept nowhere.
///
/// # Errors
/// If the name is taken, or the file cannot be written.
pub fn create(home: &Home, name: &str, role: Role, key: &str) -> Result<(Zeroizing<String>, Token), TokenError> {
    if !is_name(name) {
        return Err(TokenError::Name { name: name.to_owned() });
    }
    let text = random()?;
    let hash = hash(&text).to_hex().to_string();
    let token = Token { name: name.to_owned(), role, key: key.to_owned(), created: unix_now(), hash };
    change(home, |tokens| {
        if tokens.iter().any(|other| other.name == name) {
            return Err(TokenError::Exists { name: name.to_owned() });
        }
        if tokens.len() >= MOST {
            return Err(TokenError::TooMany);
        }
        tokens.push(token.clone());
        Ok(())
    })?;
    Ok((text, token))
}

/// Takes a token back.
///
/// # Errors
/// If there is none of that name, or the file cannot be written.
pub fn revoke(home: &Home, name: &str) -> Result<Token, TokenError> {
    change(home, |tokens| {
        let at = tokens.iter().position(|token| token.name == name);
        at.map(|at| tokens.remove(at)).ok_or_else(|| TokenError::Unknown { name: name.to_owned() })
    })
}

/// Returns all tokens, the oldest first.
///
/// # Errors
/// If the file is damaged, or readable by others.
pub fn list(home: &Home) -> Result<Vec<Token>, TokenError> {
    let path = home.tokens();
    let io = |source| TokenError::Io { path: path.clone(), source };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io(error)),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata().map_err(io)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(TokenError::Exposed { path, mode });
        }
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(io)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenError::Damaged { path })
}

/// Returns the token with this text. How long that takes says nothing about the text.
///
/// # Errors
/// As for [`list`].
pub fn find(home: &Home, text: &str) -> Result<Option<Token>, TokenError> {
    let presented = hash(text);
    let mut found = None;
    for token in list(home)? {
        let is_it = blake3::Hash::from_hex(&token.hash).is_ok_and(|hash| hash == presented); // in constant time
        if is_it {
            found = Some(token);
        }
    }
    Ok(found)
}

/// Changes the file while no other process does.
fn change<T>(home: &Home, change: impl FnOnce(&mut Vec<Token>) -> Result<T, TokenError>) -> Result<T, TokenError> {
    let path = home.tokens();
    let io = |source| TokenError::Io { path: path.clone(), source };
    create_private_dir(home.path()).map_err(io)?;
    let lock = File::options().create(true).truncate(false).write(true).open(path.with_extension("lock"));
    let lock = lock.map_err(io)?;
    lock.lock().map_err(io)?;
    let mut tokens = list(home)?;
    let result = change(&mut tokens)?;
    let bytes = serde_json::to_vec_pretty(&tokens).unwrap_or_default();
    write_private(&path, &bytes).map_err(io)?;
    Ok(result)
}

fn hash(text: &str) -> blake3::Hash {
    blake3::Hash::from_bytes(blake3::derive_key(CONTEXT, text.as_bytes()))
}

/// Draws letters and digits from the system's randomness, each as likely as any other.
fn random() -> Result<Zeroizing<String>, TokenError> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + LENGTH));
    text.push_str(PREFIX);
    let mut bytes = Zeroizing::new([0; LENGTH]);
    while text.len() < PREFIX.len() + LENGTH {
        RngReader(SysRng).read_exact(&mut *bytes).map_err(TokenError::Random)?;
        let letters = bytes.iter().filter_map(|byte| LETTERS.get(usize::from(byte & 63)));
        let missing = PREFIX.len() + LENGTH - text.len();
        text.extend(letters.take(missing).map(|letter| char::from(*letter)));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path().join("home"));
        (dir, home)
    }

    #[test]
    fn a_token_is_shown_once_and_found_until_it_is_revoked() {
        let (_dir, home) = home();
        assert_eq!(find(&home, "hf_").unwrap(), None);
        let (text, token) = create(&home, "laptop", Role::Write, "default").unwrap();
        assert!(text.len() == 37 && text.starts_with("hf_") && text[3..].bytes().all(|b| b.is_ascii_alphanumeric()));
        let (other, _) = create(&home, "ci", Role::Read, "default").unwrap();
        assert_ne!(*text, *other);
        assert_eq!(find(&home, &text).unwrap().as_ref(), Some(&token));
        assert_eq!(find(&home, &other).unwrap().unwrap().role, Role::Read);
        assert_eq!(find(&home, &text[..36]).unwrap(), None);
        let kept = fs::read_to_string(home.tokens()).unwrap();
        assert!(!kept.contains(&text[3..]), "only its hash is kept");
        assert!(matches!(create(&home, "ci", Role::Read, "default"), Err(TokenError::Exists { .. })));
        revoke(&home, "laptop").unwrap();
        assert_eq!(find(&home, &text).unwrap(), None);
        assert!(find(&home, &other).unwrap().is_some());
        assert!(matches!(revoke(&home, "laptop"), Err(TokenError::Unknown { .. })));
        assert!(matches!(create(&home, "a b", Role::Read, "default"), Err(TokenError::Name { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn tokens_that_others_could_read_or_that_are_damaged_are_not_used() {
        use std::os::unix::fs::PermissionsExt;
        let (_dir, home) = home();
        let (text, _) = create(&home, "x", Role::Write, "default").unwrap();
        assert_eq!(fs::metadata(home.tokens()).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(home.tokens(), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(find(&home, &text), Err(TokenError::Exposed { mode: 0o644, .. })));
        fs::set_permissions(home.tokens(), fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(home.tokens(), "[{").unwrap();
        assert!(matches!(find(&home, &text), Err(TokenError::Damaged { .. })));
        assert!(
            matches!(create(&home, "y", Role::Read, "default"), Err(TokenError::Damaged { .. })),
            "nothing is lost"
        );
    }

    #[test]
    fn two_who_make_tokens_at_once_both_get_theirs() {
        let (_dir, home) = home();
        std::thread::scope(|scope| {
            for name in ["a", "b", "c", "d"] {
                let home = &home;
                scope.spawn(move || create(home, name, Role::Read, "default").unwrap());
            }
        });
        assert_eq!(list(&home).unwrap().len(), 4);
    }
}
