//! `POST /api/{kind}s/{id}/paths-info/{revision}`: what is at each of these paths.

use std::collections::BTreeSet;

use axum::{Json, body::Body, extract::State};
use http::{HeaderMap, header};
use huddle_protocol::Manifest;
use serde_json::Value;

use super::entry::{self, Details, Entry};
use crate::{
    Gateway, body,
    error::ApiError,
    query::{self, Query},
    target::Target,
};

/// The largest body, in bytes: some 50 000 paths.
const MAX_BODY: usize = 4 << 20;

/// `/api/{kind}s/{id}/paths-info/{revision}`
pub(crate) async fn look_up(
    State(gateway): State<Gateway>,
    target: Target,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Vec<Value>>, ApiError> {
    let body = body::whole(body, MAX_BODY).await?;
    let is_json =
        headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let asked = if is_json { Asked::from_json(&body)? } else { Asked::from_form(&body) };
    let snapshot = target.snapshot(&gateway).await?;
    let details = match asked.with_commits {
        true => {
            let entries: Vec<_> = asked.entries(&snapshot.manifest).collect();
            Some(Details::find(&gateway, &snapshot, &entries).await?)
        }
        false => None,
    };
    let manifest = snapshot.manifest;
    let write = move || entry::all_json(&manifest, &asked.entries(&manifest).collect::<Vec<_>>(), details.as_ref());
    Ok(Json(entry::written(write).await?))
}

/// What a client wants to know. A path that is asked for twice is answered once.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    paths: BTreeSet<String>,
    with_commits: bool,
}

impl Asked {
    /// Returns what is there; what is not is left out.
    fn entries<'a>(&'a self, manifest: &'a Manifest) -> impl Iterator<Item = Entry<'a>> {
        self.paths.iter().filter_map(|path| Entry::at(manifest, path))
    }

    /// Python sends a form.
    fn from_form(body: &[u8]) -> Self {
        let form = Query::parse(body);
        Self { paths: form.all("paths").map(plain).collect(), with_commits: form.flag("expand") }
    }

    /// JavaScript and Rust send JSON.
    fn from_json(body: &[u8]) -> Result<Self, ApiError> {
        let bad = || ApiError::BadRequest { reason: "expected {\"paths\": [\"…\"]}".to_owned() };
        let body: Value = serde_json::from_slice(body).map_err(|_| bad())?;
        let path = |path: &Value| path.as_str().map(plain).ok_or_else(bad);
        let paths = match &body["paths"] {
            Value::Array(paths) => paths.iter().map(path).collect::<Result<_, _>>()?,
            single => BTreeSet::from([path(single)?]),
        };
        let with_commits = match &body["expand"] {
            Value::Bool(flag) => *flag,
            flag => flag.as_str().is_some_and(query::is_true),
        };
        Ok(Self { paths, with_commits })
    }
}

/// Returns a path as it is in a manifest: that of a folder may end in a slash.
fn plain(path: &str) -> String {
    path.trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_and_json_ask_the_same() {
        let form = Asked::from_form(b"paths=a%20b&paths=c%2Fd&paths=c/d&paths=c/d//&expand=True");
        let json = Asked::from_json(br#"{"paths": ["c/d", "a b"], "expand": true}"#).unwrap();
        assert_eq!(form, json);
        assert_eq!(form.paths.into_iter().collect::<Vec<_>>(), ["a b", "c/d"]);
        let single = Asked::from_json(br#"{"paths": "a"}"#).unwrap();
        assert!(!single.with_commits && single.paths.contains("a"));
        for body in ["", "[]", "{}", r#"{"paths": [1]}"#] {
            assert!(Asked::from_json(body.as_bytes()).is_err(), "{body}");
        }
    }
}
