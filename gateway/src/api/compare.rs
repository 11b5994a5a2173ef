//! `GET /api/{kind}s/{id}/compare/{base}..{head}?raw=true`: which files differ between two revisions, or between one
//! and the one before it.
//!
//! One line for each, as `git diff --raw` writes it, preceded as on the Hub by `T` or `B` for text or binary, and by the
//! size that the file has now. Large files count as binary. Renamed files are shown as one that went and one that came.

use std::fmt::Write;

use axum::extract::State;
use huddle_protocol::{FileEntry, GitOid, Manifest};

use crate::{Gateway, error::ApiError, query::Query, target::Target};

/// The id of the tree without files: compared with it, everything is new.
const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

/// `/api/{kind}s/{id}/compare/{base}..{head}`
pub(crate) async fn raw(State(gateway): State<Gateway>, target: Target, query: Query) -> Result<String, ApiError> {
    if !query.flag("raw") {
        let reason = "only `raw=true` is answered: which files differ, not how".to_owned();
        return Err(ApiError::BadRequest { reason });
    }
    let place = target.revision();
    let (base, head) = match place.split_once("..") {
        Some((base, head)) => (Some(base), head.trim_start_matches('.')),
        None => (None, place.as_str()),
    };
    let head = target.at(&gateway, head).await?.manifest;
    let parent = || head.commit().and_then(|commit| commit.parents.first().map(GitOid::to_string));
    let base = match base.map(str::to_owned).or_else(parent).filter(|base| base != EMPTY_TREE) {
        Some(base) => Some(target.at(&gateway, &base).await?.manifest),
        None => None,
    };
    Ok(differences(base.as_deref().map_or(&[], |base| Manifest::files(base)), head.files()))
}

/// Walks two sorted lists side by side.
fn differences(old: &[FileEntry], new: &[FileEntry]) -> String {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    let mut lines = String::new();
    loop {
        let (before, after) = match (old.peek(), new.peek()) {
            (None, None) => return lines,
            (Some(before), Some(after)) if before.path == after.path => (old.next(), new.next()),
            (Some(before), after) if after.is_none_or(|after| before.path < after.path) => (old.next(), None),
            _ => (None, new.next()),
        };
        line(&mut lines, before, after);
    }
}

fn line(lines: &mut String, before: Option<&FileEntry>, after: Option<&FileEntry>) {
    let mode = |file: Option<&FileEntry>| file.map_or(0, |file| u32::from(file.mode));
    let id = |file: Option<&FileEntry>| file.map_or(GitOid([0; 20]), |file| file.git);
    if (mode(before), id(before)) == (mode(after), id(after)) {
        return;
    }
    let status = match (before, after) {
        (None, _) => 'A',
        (_, None) => 'D',
        _ if mode(before) & 0o170_000 != mode(after) & 0o170_000 => 'T',
        _ => 'M',
    };
    let Some(shown) = after.or(before) else { return };
    // Writing to a string cannot fail.
    _ = writeln!(
        lines,
        "{} {}\t:{:06o} {:06o} {}... {}... {status}\t{}",
        if shown.is_lfs() { 'B' } else { 'T' },
        after.map_or(0, |file| file.size),
        mode(before),
        mode(after),
        id(before),
        id(after),
        shown.path,
    );
}
