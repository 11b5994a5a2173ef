//! `GET /api/{kind}s/{id}/tree/{revision}[/{path}]`: files and folders, page by page.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use huddle_protocol::{GitError, Manifest};
use serde_json::Value;

use super::entry::{self, Details, Entry};
use crate::{
    Gateway,
    answers::{About, Answer, Question},
    error::ApiError,
    host::Origin,
    hub::Snapshot,
    page::link_next,
    query::{self, Query},
    target::Target,
};

/// The most entries on a page, and what a client gets that names no number: some read only the first page.
const MAX_PAGE: usize = 10_000;

/// `/api/{kind}s/{id}/tree/{revision}[/{path}]`
pub(crate) async fn list(
    State(gateway): State<Gateway>,
    target: Target,
    origin: Origin,
    query: Query,
) -> Result<Response, ApiError> {
    let (snapshot, path) = target.locate(&gateway).await?;
    let path = path.trim_end_matches('/');
    let asked = Asked::read(&query)?;
    let question = asked.question(&snapshot, path);
    let answer = match question.as_ref().and_then(|question| gateway.answers.get(question)) {
        Some(answer) => answer,
        None => {
            let answer = asked.answer(&gateway, &snapshot, path).await?;
            if let Some(question) = question {
                gateway.answers.keep(question, answer.clone());
            }
            answer
        }
    };
    let next = answer.next.clone();
    let mut response = answer.into_response();
    if let Some(query) = next {
        // It names the commit, so that the pages fit together even if the branch moves on.
        let (kinds, id, commit) = (target.kind.plural(), &target.id, snapshot.manifest.revision());
        let next_path = format!("/api/{kinds}/{id}/tree/{commit}/{path}");
        link_next(response.headers_mut(), &origin, next_path.trim_end_matches('/'), &query);
    }
    Ok(response)
}

/// How a client wants its pages.
#[derive(Clone, Copy)]
struct Asked {
    is_recursive: bool,
    with_commits: bool,
    limit: usize,
    /// How many entries the pages before had.
    cursor: usize,
}

/// Some of the entries.
struct Page {
    entries: Vec<Value>,
    /// The query that leads to the next page, if there is one.
    next: Option<String>,
}

impl Asked {
    fn read(query: &Query) -> Result<Self, ApiError> {
        Ok(Self {
            is_recursive: query.flag("recursive"),
            with_commits: query.flag("expand"),
            limit: query.number("limit")?.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE),
            cursor: query.number("cursor")?.unwrap_or(0),
        })
    }

    /// Returns what the answer is kept under; when a file was changed depends on more than the revision.
    fn question(self, snapshot: &Snapshot, path: &str) -> Option<Question> {
        let Self { is_recursive, with_commits, limit, cursor } = self;
        let about = || About::Tree { path: path.to_owned(), is_recursive, limit, cursor };
        (!with_commits).then(|| Question::new(snapshot, about()))
    }

    async fn answer(self, gateway: &Gateway, snapshot: &Snapshot, path: &str) -> Result<Answer, ApiError> {
        let (manifest, path) = (snapshot.manifest.clone(), path.to_owned());
        if !path.is_empty() && Entry::at(&manifest, &path).is_none() {
            return Err(ApiError::EntryNotFound { path, commit: manifest.revision() });
        }
        let details = match self.with_commits {
            true => Some(Details::find(gateway, snapshot, &self.entries(&manifest, &path).0).await?),
            false => None,
        };
        let page = entry::written(move || self.page(&manifest, &path, details.as_ref())).await?;
        Answer::new(&page.entries, page.next)
    }

    /// Returns the entries of the page, and whether there are more.
    fn entries<'a>(&self, manifest: &'a Manifest, path: &'a str) -> (Vec<Entry<'a>>, bool) {
        let mut rest = match manifest.file(path) {
            Some(file) => vec![Entry::File(file)],
            None => Entry::inside(manifest, path, self.is_recursive),
        };
        rest.drain(..self.cursor.min(rest.len()));
        let has_more = rest.len() > self.limit;
        rest.truncate(self.limit);
        (rest, has_more)
    }

    fn page(&self, manifest: &Manifest, path: &str, details: Option<&Details>) -> Result<Page, GitError> {
        let (entries, has_more) = self.entries(manifest, path);
        Ok(Page {
            entries: entry::all_json(manifest, &entries, details)?,
            next: has_more.then(|| self.after(entries.len())),
        })
    }

    fn after(&self, count: usize) -> String {
        query::write([
            ("recursive", self.is_recursive.to_string()),
            ("expand", self.with_commits.to_string()),
            ("limit", self.limit.to_string()),
            ("cursor", (self.cursor + count).to_string()),
        ])
    }
}
