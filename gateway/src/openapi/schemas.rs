//! The objects that operations take and give: the fields that are always there, and their types.

use serde_json::{Value, json};

pub(super) fn all() -> Value {
    let text = json!({ "type": "string" });
    let size = json!({ "type": "integer", "minimum": 0 });
    let commit_id = json!({ "type": "string", "pattern": "^[0-9a-f]{40}$" });
    let time = json!({ "type": "string", "format": "date-time" });
    let kind = json!({ "enum": ["model", "dataset", "space"] });
    // In seconds; not known while nothing arrives.
    let eta = json!({ "type": ["integer", "null"], "minimum": 0 });
    let list = |name: &str| json!({ "type": "array", "items": super::reference(name) });
    json!({
        "Object": { "type": "object" },
        "Bytes": {},
        "Error": object(&["error"], json!({ "error": text })),
        "Repository": object(&["_id", "id"], json!({
            "_id": text,
            "id": text,
            "sha": commit_id,
            "author": text,
            "private": { "type": "boolean" },
            "lastModified": time,
            "createdAt": time,
            "tags": { "type": "array", "items": text },
            "siblings": { "type": "array", "items": object(&["rfilename"], json!({ "rfilename": text, "size": size })) },
        })),
        "Entry": object(&["type", "oid", "size", "path"], json!({
            "type": { "enum": ["file", "directory"] },
            "oid": commit_id,
            "size": size,
            "path": text,
            "lfs": object(&["oid", "size", "pointerSize"], json!({ "oid": text, "size": size, "pointerSize": size })),
            "lastCommit": object(&["id", "title", "date"], json!({ "id": commit_id, "title": text, "date": time })),
        })),
        "Paths": object(&["paths"], json!({
            "paths": { "type": "array", "items": text },
            "expand": { "type": "boolean" },
        })),
        "Reference": object(&["name", "ref", "targetCommit"], json!({
            "name": text,
            "ref": text,
            "targetCommit": commit_id,
        })),
        "References": object(&["branches", "tags", "converts"], json!({
            "branches": list("Reference"),
            "tags": list("Reference"),
            "converts": list("Reference"),
            "pullRequests": list("Reference"),
        })),
        "Commit": object(&["id", "title", "message", "date", "authors"], json!({
            "id": commit_id,
            "title": text,
            "message": text,
            "date": time,
            "authors": { "type": "array", "items": object(&["user"], json!({ "user": text })) },
        })),
        "Downloads": object(&["total", "files"], json!({
            "total": object(&["files", "bytes", "size", "missing", "speed", "eta", "sources"], json!({
                "files": size,
                "bytes": size,
                "size": size,
                "missing": size,
                "speed": size,
                "eta": eta,
                "sources": list("Source"),
            })),
            "files": list("Download"),
        })),
        "Download": object(
            &["repo", "revision", "path", "bytes", "size", "missing", "speed", "eta", "sources"],
            json!({
                "repo": object(&["type", "name"], json!({ "type": kind, "name": text })),
                "revision": commit_id,
                "path": text,
                "bytes": size,
                "size": size,
                "missing": size,
                "speed": size,
                "eta": eta,
                "sources": list("Source"),
            }),
        ),
        "Source": object(&["node", "path", "bytes", "speed"], json!({
            "node": text,
            "path": { "enum": ["direct", "relayed", "unknown"] },
            "bytes": size,
            "speed": size,
        })),
        "Person": object(&["fullname"], json!({ "user": text, "name": text, "fullname": text })),
        "OwnRepository": object(
            &["id", "type", "updatedAt", "visibility", "storage", "storagePercent"],
            json!({
                "id": text,
                "type": kind,
                "updatedAt": time,
                "visibility": { "enum": ["public", "private"] },
                "storage": size,
                "storagePercent": { "type": "number" },
            }),
        ),
    })
}

/// Describes an object that has at least some of these fields.
#[expect(clippy::needless_pass_by_value, reason = "the fields are written where they are passed")]
pub(super) fn object(required: &[&str], properties: Value) -> Value {
    json!({ "type": "object", "required": required, "properties": properties })
}
