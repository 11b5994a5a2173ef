//! `/api/repos/…`: making, removing and renaming repositories.

use axum::{Json, body::Body, extract::State};
use bytes::Bytes;
use data_encoding::BASE64;
use futures::{StreamExt, stream};
use huddle_protocol::{RepoId, RepoKind};
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::warn;

use crate::{
    Gateway,
    api::commit,
    authoring::{Account, Change, Operation, Visibility, WriteError},
    body,
    caller::Writer,
    error::ApiError,
    host::Origin,
};

/// A repository as the body of a request names it.
#[derive(Debug, Deserialize)]
struct Named {
    name: String,
    organization: Option<String>,
    #[serde(default = "model", rename = "type")]
    kind: RepoKind,
}

/// What very old clients mean that name no kind.
fn model() -> RepoKind {
    RepoKind::Model
}

impl Named {
    /// Returns `namespace/name`, or a name alone, which is in the caller's namespace.
    fn id(&self) -> String {
        match self.organization.as_deref() {
            None | Some("") => self.name.clone(),
            Some(organization) => format!("{organization}/{}", self.name),
        }
    }
}

/// Who shall see a repository, as newer and older clients say it.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Wish {
    visibility: Option<WishedVisibility>,
    private: Option<bool>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WishedVisibility {
    Public,
    Private,
    Protected,
}

impl Wish {
    /// Returns what was wished for, if anything was.
    pub(super) fn visibility(self) -> Result<Option<Visibility>, ApiError> {
        Ok(match (self.visibility, self.private) {
            (Some(WishedVisibility::Protected), _) => {
                let reason = "a repository is public or private here; nothing is `protected`".to_owned();
                return Err(ApiError::BadRequest { reason });
            }
            (Some(WishedVisibility::Private), _) | (None, Some(true)) => Some(Visibility::Private),
            (Some(WishedVisibility::Public), _) | (None, Some(false)) => Some(Visibility::Public),
            (None, None) => None,
        })
    }
}

#[derive(Debug, Deserialize)]
struct Create {
    #[serde(flatten)]
    repo: Named,
    #[serde(flatten)]
    wish: Wish,
    /// What JavaScript clients may give it from the start.
    #[serde(default)]
    files: Vec<First>,
}

#[derive(Debug, Deserialize)]
struct First {
    path: String,
    content: String,
    encoding: Option<String>,
}

impl First {
    /// Returns a valid path, and the content.
    fn decode(&self) -> Result<(String, Bytes), ApiError> {
        let content = self.content.as_bytes();
        let is_base64 = self.encoding.as_deref().is_none_or(|encoding| encoding == "base64");
        let content = BASE64.decode(content).ok().filter(|_| is_base64);
        let bad = || ApiError::BadRequest { reason: format!("the content of `{}` is not base64", self.path) };
        Ok((commit::valid(&self.path)?, content.ok_or_else(bad)?.into()))
    }
}

/// `POST /api/repos/create`
pub(crate) async fn create(
    State(gateway): State<Gateway>,
    Writer(who): Writer,
    origin: Origin,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let Create { repo, wish, files } = body::json(body, body::MAX_JSON).await?;
    let visibility = wish.visibility()?.unwrap_or_default();
    let files = files.iter().map(First::decode).collect::<Result<Vec<_>, _>>()?;
    let operations = take_in(&gateway, files).await?;
    // Goes on when the client leaves: half of it is nothing anybody wants.
    let making = tokio::spawn(make(gateway, who, repo.kind, repo.id(), visibility, operations));
    match making.await.map_err(|_| ApiError::OurFault)? {
        Ok(repo) => {
            let name = repo.hub_id();
            Ok(Json(json!({ "url": url(&origin, repo.kind, &name), "name": name, "id": name })))
        }
        Err(WriteError::RepoExists { kind, id }) => {
            Err(ApiError::RepoExists { kind, url: url(&origin, kind, &id), id })
        }
        Err(error) => Err(error.into()),
    }
}

/// Takes in the first files of a repository that is to be made.
async fn take_in(gateway: &Gateway, files: Vec<(String, Bytes)>) -> Result<Vec<Operation>, WriteError> {
    let mut operations = Vec::new();
    for (path, content) in files {
        let content = gateway.hub.take_in(stream::iter([Ok(content)]).boxed(), None).await?;
        operations.push(Operation::Write { path, content });
    }
    Ok(operations)
}

/// Makes a repository that begins with these files, or none.
async fn make(
    gateway: Gateway,
    who: Account,
    kind: RepoKind,
    id: String,
    to: Visibility,
    operations: Vec<Operation>,
) -> Result<RepoId, WriteError> {
    let repo = gateway.hub.create(&who, kind, &id, to).await?;
    if operations.is_empty() {
        return Ok(repo);
    }
    let (branch, summary) = ("main".to_owned(), "Add the first files".to_owned());
    let change = Change { branch, parent: None, summary, description: String::new(), operations };
    let Err(refusal) = gateway.hub.commit(&who, kind, &repo.hub_id(), change).await else { return Ok(repo) };
    if let Err(error) = gateway.hub.delete(&who, kind, &repo.hub_id()).await {
        warn!(%repo, %error, "a repository without its first files cannot be taken back");
    }
    Err(refusal)
}

/// `DELETE /api/repos/delete`, with a body.
pub(crate) async fn delete(
    State(gateway): State<Gateway>,
    Writer(who): Writer,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let repo: Named = body::json(body, body::MAX_JSON).await?;
    gateway.hub.delete(&who, repo.kind, &repo.id()).await?;
    Ok(Json(json!({})))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Move {
    from_repo: String,
    to_repo: String,
    #[serde(default = "model", rename = "type")]
    kind: RepoKind,
}

/// `POST /api/repos/move`
pub(crate) async fn rename(
    State(gateway): State<Gateway>,
    Writer(who): Writer,
    origin: Origin,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let Move { from_repo, to_repo, kind } = body::json(body, body::MAX_JSON).await?;
    match gateway.hub.rename(&who, kind, &from_repo, &to_repo).await {
        Ok(repo) => Ok(Json(json!({ "url": location(&origin, &repo) }))),
        Err(WriteError::RepoExists { kind, id }) => Err(ApiError::NameTaken { kind, id }),
        Err(error) => Err(error.into()),
    }
}

/// Returns where a client finds a repository: under the name by which it reached us.
pub(super) fn location(origin: &Origin, repo: &RepoId) -> String {
    url(origin, repo.kind, &repo.hub_id())
}

fn url(origin: &Origin, kind: RepoKind, id: &str) -> String {
    format!("{}/{}{id}", origin.as_str(), kind.prefix())
}
