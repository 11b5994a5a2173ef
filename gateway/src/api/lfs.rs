//! `POST /{id}.git/info/lfs/objects/batch`: where git-lfs and the upload clients that speak its language send large
//! files to, and fetch them from.
//!
//! The addresses are links that prove themselves, see `links.rs`; `lfs/transfer.rs` answers there.

pub(crate) mod transfer;

use std::collections::{BTreeMap, BTreeSet};

use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header};
use huddle_protocol::Sha256;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    Gateway, body,
    caller::{self, Caller},
    error::ApiError,
    host::Origin,
    query,
    target::Target,
};

/// The most files of one request; clients send up to 256.
const MAX_OBJECTS: usize = 1000;
/// The most parts a file is cut into.
const MAX_PARTS: u64 = 1000;
/// The most parts of all files of one request: each is a link of some 400 bytes in the answer. Files that come together
/// are cut into fewer, larger parts.
const MAX_PARTS_TOGETHER: u64 = 10_000;
/// Files larger than this go in parts if the client can: repeating one after a failure is cheaper. In bytes.
const WHOLE: u64 = 5 << 30;
/// The largest file, in bytes, as in `protocol`: 32 TiB.
const MAX_SIZE: u64 = 1 << 45;
/// The most revisions that are searched for files to download.
const MAX_REVISIONS: usize = 32;

#[derive(Debug, Deserialize)]
struct Batch {
    operation: Operation,
    #[serde(default)]
    transfers: Vec<String>,
    objects: Vec<Object>,
    hash_algo: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<Reference>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Operation {
    Upload,
    Download,
}

#[derive(Clone, Debug, Deserialize)]
struct Object {
    oid: String,
    size: u64,
}

#[derive(Debug, Deserialize)]
struct Reference {
    name: String,
}

/// `/{id}.git/info/lfs/objects/batch`
pub(crate) async fn batch(
    State(gateway): State<Gateway>,
    caller: Caller,
    target: Target,
    origin: Origin,
    body: Body,
) -> Result<Response, ApiError> {
    let batch: Batch = body::json(body, body::MAX_JSON).await?;
    if batch.hash_algo.as_deref().is_some_and(|algorithm| !matches!(algorithm, "sha256" | "sha_256")) {
        return Err(ApiError::BadRequest { reason: "files are named by their SHA-256 here".to_owned() });
    }
    if batch.objects.len() > MAX_OBJECTS {
        return Err(ApiError::TooLarge);
    }
    let (transfer, objects) = match batch.operation {
        Operation::Upload => {
            let account = caller.writer()?;
            caller::must_own(account, &target.snapshot(&gateway).await?.repo)?;
            upload(&gateway, &caller, &origin, &batch).await?
        }
        Operation::Download => ("basic", download(&gateway, &caller, &target, &origin, &batch).await?),
    };
    let mut response = Json(json!({ "transfer": transfer, "hash_algo": "sha256", "objects": objects })).into_response();
    let lfs = HeaderValue::from_static("application/vnd.git-lfs+json");
    response.headers_mut().insert(header::CONTENT_TYPE, lfs);
    Ok(response)
}

/// Says where to send files to, but for those that are here already.
async fn upload(
    gateway: &Gateway,
    caller: &Caller,
    origin: &Origin,
    batch: &Batch,
) -> Result<(&'static str, Vec<Value>), ApiError> {
    let can = |transfer: &str| batch.transfers.iter().any(|offered| offered == transfer);
    // Parts wait until all of them are here.
    let room = gateway.options.staging_limit;
    let in_parts = can("multipart")
        && gateway.staging.is_some()
        && (!can("basic") || batch.objects.iter().any(|object| object.size > WHOLE && object.size <= room));
    let most_parts = (MAX_PARTS_TOGETHER / batch.objects.len().max(1) as u64).min(MAX_PARTS);
    let links = Giver { gateway, origin, asker: gateway.askers.name(caller) };
    let mut answers = Vec::new();
    for object in &batch.objects {
        let Ok(sha256) = object.oid.parse::<Sha256>() else {
            answers.push(object.refused(422, "the oid is not a SHA-256 in lower-case digits"));
            continue;
        };
        if object.size > MAX_SIZE {
            answers.push(object.refused(422, "the file is larger than 32 TiB"));
            continue;
        }
        answers.push(match gateway.hub.stored(sha256).await? {
            Some(size) if size == object.size => object.answer(Value::Null),
            Some(_) => object.refused(422, "the file that has this SHA-256 has another size"),
            None if in_parts && object.size > room => {
                object.refused(422, &format!("more than {room} bytes cannot come in parts here"))
            }
            None => object.answer(json!({
                "upload": object.place(&links, in_parts.then_some(most_parts)),
                "verify": { "href": object.link(&links, "verify", &[]) },
            })),
        });
    }
    Ok((if in_parts { "multipart" } else { "basic" }, answers))
}

/// Says where to fetch files from: those of the revision that is checked out, or of any other that has them.
async fn download(
    gateway: &Gateway,
    caller: &Caller,
    target: &Target,
    origin: &Origin,
    batch: &Batch,
) -> Result<Vec<Value>, ApiError> {
    let giver = Giver { gateway, origin, asker: gateway.askers.name(caller) };
    let mut missing: BTreeSet<&str> = batch.objects.iter().map(|object| object.oid.as_str()).collect();
    let mut links = BTreeMap::new();
    let named = batch.reference.as_ref().map(|reference| reference.name.clone());
    let others = target.references(gateway).await?.into_iter().map(|reference| reference.revision.to_string());
    for revision in named.into_iter().chain(others).take(MAX_REVISIONS) {
        if missing.is_empty() {
            break;
        }
        // One that is gone or out of reach hides nothing that another has.
        let Ok(snapshot) = target.at(gateway, &revision).await else { continue };
        for file in snapshot.manifest.files() {
            let oid = file.sha256.map(|sha256| sha256.to_string()).unwrap_or_default();
            if missing.remove(oid.as_str()) {
                let query = [
                    ("kind", target.kind.plural().to_owned()),
                    ("id", snapshot.repo.hub_id()),
                    ("commit", snapshot.manifest.revision().to_string()),
                    ("path", file.path.to_string()),
                ];
                let link = giver.give("get", &oid, &query);
                links.insert(oid, json!({ "href": link, "expires_in": gateway.links.seconds() }));
            }
        }
    }
    let answer = |object: &Object| match links.get(&object.oid) {
        Some(link) => object.answer(json!({ "download": link })),
        None => object.refused(404, "no revision of this repository has such a file"),
    };
    Ok(batch.objects.iter().map(answer).collect())
}

/// What gives out links to whoever asks.
struct Giver<'a> {
    gateway: &'a Gateway,
    origin: &'a Origin,
    /// His name.
    asker: String,
}

impl Giver<'_> {
    /// Returns a link for something to be done with a file.
    fn give(&self, verb: &str, oid: &str, query: &[(&str, String)]) -> String {
        let query = query::write([query, &[("asker", self.asker.clone())]].concat());
        format!("{}{}", self.origin.as_str(), self.gateway.links.sign(&format!("/_lfs/{verb}/{oid}"), &query))
    }
}

impl Object {
    /// Returns the address to send the file to, or one for each of so many parts at most and one to join them.
    fn place(&self, links: &Giver<'_>, most_parts: Option<u64>) -> Value {
        let gateway = links.gateway;
        let expires_in = gateway.links.seconds();
        let Some(most_parts) = most_parts else {
            return json!({ "href": self.link(links, "put", &[]), "header": {}, "expires_in": expires_in });
        };
        let part_size = gateway.options.part_size.max(self.size.div_ceil(most_parts)).max(1);
        let upload = [("upload", format!("{:016x}", rand::random::<u64>())), ("part_size", part_size.to_string())];
        let mut header = Map::from_iter([("chunk_size".to_owned(), part_size.to_string().into())]);
        for number in 1..=self.size.div_ceil(part_size) {
            let part = [upload.as_slice(), &[("part", number.to_string())]].concat();
            header.insert(format!("{number:05}"), self.link(links, "part", &part).into());
        }
        let join = self.link(links, "complete", &upload);
        json!({ "href": join, "header": header, "expires_in": expires_in })
    }

    /// Returns a link for something to be done with this file.
    fn link(&self, links: &Giver<'_>, verb: &str, more: &[(&str, String)]) -> String {
        links.give(verb, &self.oid, &[&[("size", self.size.to_string())], more].concat())
    }

    /// Writes what to do with the file, if anything.
    fn answer(&self, actions: Value) -> Value {
        let mut answer = json!({ "oid": self.oid, "size": self.size, "authenticated": true });
        if !actions.is_null() {
            answer["actions"] = actions;
        }
        answer
    }

    fn refused(&self, code: u16, message: &str) -> Value {
        json!({ "oid": self.oid, "size": self.size, "error": { "code": code, "message": message } })
    }
}
