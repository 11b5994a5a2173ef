//! `POST /api/{kind}s/{id}/commit/{revision}`: a change of a branch, one line of JSON for each step.
//!
//! A line may be gigabytes long, as it holds a whole file in base64. `commit/lines.rs` takes that out on the way, and
//! `commit/base64.rs` decodes it; what is kept of a commit in memory is a list of names.

mod base64;
mod lines;

use axum::{Json, body::Body, extract::State};
use futures::{SinkExt, StreamExt, channel::mpsc, join};
use huddle_protocol::FilePath;
use serde::Deserialize;
use serde_json::{Value, json};

use self::{
    base64::Decoder,
    lines::{Event, Lines},
};
use super::{pull_requests, repos};
use crate::{
    Gateway,
    authoring::{Change, Operation, Staged, WriteError},
    caller::Writer,
    error::ApiError,
    host::Origin,
    hub::Hub,
    query::Query,
    target::Target,
};

/// The most steps of a commit.
const MAX_OPERATIONS: usize = 100_000;
/// How many pieces of a file wait to be written.
const QUEUE: usize = 4;

/// `/api/{kind}s/{id}/commit/{revision}`
pub(crate) async fn commit(
    State(gateway): State<Gateway>,
    writer: Writer,
    target: Target,
    origin: Origin,
    query: Query,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    pull_requests::refuse(&target, &query)?;
    let branch = target.branch()?;
    writer.must_own(&target.snapshot(&gateway).await?.repo)?;
    let change = read(&*gateway.hub, Lines::new(body.into_data_stream().boxed()), branch).await?;
    let snapshot = gateway.hub.commit(&writer.0, target.kind, &target.id, change).await?;
    let commit = snapshot.manifest.revision();
    Ok(Json(json!({
        "success": true,
        "commitOid": commit,
        "commitUrl": format!("{}/commit/{commit}", repos::location(&origin, &snapshot.repo)),
        "hookOutput": "",
    })))
}

/// What a line says.
#[derive(Debug, Deserialize)]
#[serde(tag = "key", content = "value", rename_all = "camelCase")]
enum Line {
    #[serde(rename_all = "camelCase")]
    Header {
        summary: String,
        #[serde(default)]
        description: String,
        parent_commit: Option<String>,
    },
    #[serde(rename_all = "camelCase")]
    File {
        path: String,
        encoding: Option<String>,
        old_path: Option<String>,
    },
    #[serde(rename_all = "camelCase")]
    LfsFile {
        path: String,
        algo: Option<String>,
        oid: String,
        size: Option<u64>,
        old_path: Option<String>,
    },
    DeletedFile {
        path: String,
    },
    DeletedFolder {
        path: String,
    },
}

/// Reads a commit; the contents of its files are with the node when it returns.
async fn read(hub: &dyn Hub, mut lines: Lines, branch: String) -> Result<Change, ApiError> {
    let mut change = None;
    let mut staged = None;
    while let Some(event) = lines.next().await? {
        let line = match event {
            Event::Content if change.is_some() && staged.is_none() => {
                staged = Some(take_in(hub, &mut lines).await?);
                continue;
            }
            Event::Content => return Err(bad("a commit starts with a header, and a line has one content")),
            Event::Line(line) => line,
        };
        let line = serde_json::from_slice(&line).map_err(|error| bad(&format!("a line makes no sense: {error}")))?;
        match (line, &mut change) {
            (Line::Header { summary, description, parent_commit }, None) => {
                let parent = parent_commit.filter(|parent| !parent.is_empty());
                let operations = Vec::new();
                change = Some(Change { branch: branch.clone(), parent, summary, description, operations });
            }
            (line, Some(change)) => change.operations.extend(line.operations(staged.take())?),
            (_, None) => return Err(bad("the first line of a commit is its header")),
        }
        if change.as_ref().is_some_and(|change| change.operations.len() > MAX_OPERATIONS) {
            return Err(ApiError::TooLarge);
        }
    }
    change.ok_or_else(|| bad("a commit has a header"))
}

impl Line {
    /// Returns the steps of a line; a rename is two.
    fn operations(self, staged: Option<Staged>) -> Result<Vec<Operation>, ApiError> {
        let renamed = |from: Option<String>, to: &str| {
            let from = from.filter(|from| from != to).map(|from| valid(&from)).transpose()?;
            Ok::<_, ApiError>(from.into_iter().map(|path| Operation::Delete { path }))
        };
        Ok(match (self, staged) {
            (Self::File { path, encoding, old_path }, Some(content)) => {
                if encoding.is_some_and(|encoding| encoding != "base64") {
                    return Err(bad("the content of a file is sent in base64"));
                }
                let written = Operation::Write { path: valid(&path)?, content };
                renamed(old_path, &path)?.chain([written]).collect()
            }
            (Self::LfsFile { path, algo, oid, size, old_path }, None) => {
                let sha256 = oid.parse().ok().filter(|_| algo.is_none_or(|algo| algo == "sha256"));
                let sha256 = sha256.ok_or_else(|| bad("a large file is named by its SHA-256"))?;
                let large = Operation::Large { path: valid(&path)?, sha256, size };
                renamed(old_path, &path)?.chain([large]).collect()
            }
            (Self::DeletedFile { path }, None) => vec![Operation::Delete { path: valid(&path)? }],
            (Self::DeletedFolder { path }, None) => {
                vec![Operation::DeleteFolder { path: valid(path.strip_suffix('/').unwrap_or(&path))? }]
            }
            (Self::Header { .. }, _) => return Err(bad("a commit has one header")),
            (Self::File { path, .. }, None) => return Err(bad(&format!("`{path}` has no content"))),
            (_, Some(_)) => return Err(bad("only files have content")),
        })
    }
}

/// Returns the path as it is if a repository may have it.
pub(super) fn valid(path: &str) -> Result<String, ApiError> {
    match path.parse::<FilePath>() {
        Ok(path) => Ok(path.into()),
        Err(error) => Err(WriteError::InvalidPath { reason: format!("`{path}`: {error}") }.into()),
    }
}

fn bad(reason: &str) -> ApiError {
    ApiError::BadRequest { reason: reason.to_owned() }
}

/// Hands the content that begins here to the node, piece by piece.
async fn take_in(hub: &dyn Hub, lines: &mut Lines) -> Result<Staged, ApiError> {
    let (mut pieces, content) = mpsc::channel(QUEUE);
    // Done, it drops its end of the queue, by which the node knows the end of the file.
    let feeding = async move {
        let mut decoder = Decoder::default();
        loop {
            let piece = match lines.piece().await {
                Ok(Some(text)) => decoder.decode(&text),
                Ok(None) => return decoder.finish(),
                Err(error) => Err(error),
            };
            let (piece, end) = match piece {
                Ok(bytes) => (Ok(bytes), Ok(())),
                // Half a file must not pass for a whole one.
                Err(error) => (Err(std::io::Error::other(error.to_string())), Err(error)),
            };
            // A node that listens no more says itself why.
            if pieces.send(piece).await.is_err() || end.is_err() {
                return end;
            }
        }
    };
    let (fed, taken) = join!(feeding, hub.take_in(content.boxed(), None));
    fed?;
    Ok(taken?)
}
