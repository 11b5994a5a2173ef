//! What a user typed, as a repository: exact keys first, then the upstream hub.

use huddle_protocol::{Authority, Hub, ParseRepoError, RepoId, RepoKind, Revision};

/// Reads `[datasets/|spaces/]<namespace>/<name>[@<revision>]`, as the commands take it.
///
/// # Errors
/// If it is no name a hub client could type.
pub(crate) fn parse(text: &str) -> Result<(RepoId, Revision), ParseRepoError> {
    let (name, revision) = match text.split_once('@') {
        Some((name, revision)) => (name, revision.parse().unwrap_or_default()),
        None => (text, Revision::default()),
    };
    if let Ok(repo) = name.parse() {
        return Ok((repo, revision));
    }
    let (kind, id) = RepoKind::ALL
        .into_iter()
        .rev()
        .find_map(|kind| name.strip_prefix(kind.prefix()).map(|id| (kind, id)))
        .unwrap_or((RepoKind::Model, name));
    Ok((repo(kind, id)?, revision))
}

/// Reads what a hub client typed: `<publisher key>/<name>` is the publisher's, everything else the upstream hub's.
///
/// # Errors
/// If it is no name a hub client could type.
pub(crate) fn repo(kind: RepoKind, id: &str) -> Result<RepoId, ParseRepoError> {
    let (org, name) = match id.split_once('/') {
        Some((org, name)) => (Some(org), name),
        None => (None, id),
    };
    if let Some(publisher) = org.and_then(|org| org.parse().ok()) {
        return Ok(RepoId::native(kind, publisher, name.parse()?));
    }
    let org = org.map(str::parse).transpose()?;
    Ok(RepoId { kind, authority: Authority::Upstream { hub: Hub::hugging_face(), org }, name: name.parse()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_users_type_them() {
        let key = huddle_protocol::SecretKey::from_bytes([1; 32]).public();
        let cases = [
            (format!("{key}/x"), format!("{key}/x"), "main"),
            (format!("datasets/{key}/x@v1"), format!("datasets/{key}/x"), "v1"),
            ("gpt2".into(), "hf:gpt2".into(), "main"),
            ("org/x@refs/pr/1".into(), "hf:org/x".into(), "refs/pr/1"),
            ("spaces/org/x".into(), "spaces/hf:org/x".into(), "main"),
            ("datasets/hf:org/x".into(), "datasets/hf:org/x".into(), "main"),
        ];
        for (text, expected, revision) in cases {
            let (repo, found) = parse(&text).unwrap();
            assert_eq!((repo.to_string(), found.to_string()), (expected, revision.to_owned()), "{text}");
        }
        for text in ["", "/x", "a/b/c", "a b", "../x"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
