//! Answers that were written, kept as they are sent: clients ask the same of a revision again and again, and a thousand
//! files take far longer to write than to send. What an answer depends on is its name, so none is ever out of date.

use std::mem::size_of;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header;
use huddle_protocol::{BlobHash, RepoId};
use serde::Serialize;
use tracing::error;

use crate::{authoring::Visibility, error::ApiError, hub::Snapshot, kept::Kept};

/// How much is kept, in bytes.
const MAX_BYTES: usize = 32 << 20;
/// What an answer takes beside its text, in bytes, roughly.
const OVERHEAD: usize = size_of::<Question>() + size_of::<Answer>() + 256;

/// What is asked, and all that the answer depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    /// As it is written now.
    repo: RepoId,
    manifest: BlobHash,
    visibility: Visibility,
    about: About,
}

/// What of a revision is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum About {
    /// The repository in one object.
    Info { wanted: Vec<&'static str>, with_blobs: bool },
    /// A page of its files, without the commits that changed them.
    Tree { path: String, is_recursive: bool, limit: usize, cursor: usize },
}

impl Question {
    pub(crate) fn new(snapshot: &Snapshot, about: About) -> Self {
        let Snapshot { repo, hash, visibility, .. } = snapshot;
        Self { repo: repo.clone(), manifest: *hash, visibility: *visibility, about }
    }

    /// Returns what it takes beside itself, in bytes.
    fn weight(&self) -> usize {
        match &self.about {
            About::Info { wanted, .. } => size_of_val(wanted.as_slice()),
            About::Tree { path, .. } => path.len(),
        }
    }
}

/// JSON, and where it goes on.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    json: Bytes,
    /// The query that leads to the next page, if there is one.
    pub(crate) next: Option<String>,
}

impl Answer {
    /// Writes a value.
    ///
    /// # Errors
    /// Only if this program is wrong: it has no values that JSON does not have.
    pub(crate) fn new(value: &impl Serialize, next: Option<String>) -> Result<Self, ApiError> {
        match serde_json::to_vec(value) {
            Ok(json) => Ok(Self { json: json.into(), next }),
            Err(error) => {
                error!(%error, "an answer cannot be written");
                Err(ApiError::OurFault)
            }
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "application/json")], self.json).into_response()
    }
}

/// Answers, as far as they are kept.
#[derive(Debug)]
pub(crate) struct Answers(Kept<Question, Answer>);

impl Answers {
    pub(crate) fn new() -> Self {
        Self(Kept::new(MAX_BYTES))
    }

    pub(crate) fn get(&self, question: &Question) -> Option<Answer> {
        self.0.get(question)
    }

    /// Keeps an answer that will be the same next time: nothing was left out because it could not be read just now.
    pub(crate) fn keep(&self, question: Question, answer: Answer) {
        let bytes = OVERHEAD + question.weight() + answer.json.len() + answer.next.as_ref().map_or(0, String::len);
        self.0.keep(question, answer, bytes);
    }
}
