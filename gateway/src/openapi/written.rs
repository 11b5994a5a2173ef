//! What requests that write carry, and what they are answered with. Fields that are not named here are ignored.

use serde_json::{Value, json};

use super::{reference, schemas::object};

/// Returns the schemas by their names.
#[expect(clippy::too_many_lines, reason = "it is a list")]
pub(super) fn all() -> Value {
    let text = json!({ "type": "string" });
    let or_null = json!({ "type": ["string", "null"] });
    let flag = json!({ "type": "boolean" });
    let size = json!({ "type": "integer", "minimum": 0 });
    let name = json!({ "type": "string", "minLength": 1 });
    let commit_id = json!({ "type": "string", "pattern": "^[0-9a-f]{40}$" });
    let sha256 = json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" });
    let base64 = json!({ "type": "string", "contentEncoding": "base64" });
    let kind = json!({ "enum": ["model", "dataset", "space"], "default": "model" });
    let visibility = json!({ "enum": ["public", "private"] });
    let url = json!({ "type": "string", "format": "uri" });
    let list = |items: Value| json!({ "type": "array", "items": items });
    let step = |key: &str, value: Value| object(&["key", "value"], json!({ "key": { "const": key }, "value": value }));
    json!({
        "Done": { "type": "object", "maxProperties": 0 },
        // Repositories
        "NewRepository": object(&["name"], json!({
            "name": name,
            "organization": or_null,
            "type": kind,
            "visibility": visibility,
            "private": { "type": "boolean", "description": "What older clients say instead of `visibility`" },
            "files": list(object(&["path", "content"], json!({
                "path": name,
                "content": base64,
                "encoding": { "const": "base64" },
            }))),
        })),
        "MadeRepository": object(&["url", "name", "id"], json!({ "url": url, "name": text, "id": text })),
        "NamedRepository": object(&["name"], json!({ "name": name, "organization": or_null, "type": kind })),
        "Rename": object(&["fromRepo", "toRepo"], json!({ "fromRepo": name, "toRepo": name, "type": kind })),
        "Renamed": object(&["url"], json!({ "url": url })),
        "Settings": object(&[], json!({
            "visibility": visibility,
            "private": flag,
            "gated": { "const": false, "description": "Access cannot be granted person by person" },
        })),
        "Set": object(&[], json!({ "private": flag })),
        // Cards
        "Readme": object(&["content"], json!({ "content": text })),
        "Checked": object(&["errors", "warnings"], json!({
            "errors": list(object(&["message"], json!({ "message": text }))),
            "warnings": list(object(&["message"], json!({ "message": text }))),
        })),
        // Commits
        "Announced": object(&["files"], json!({
            "files": list(object(&["path", "size"], json!({ "path": name, "size": size, "sample": base64 }))),
            "gitIgnore": or_null,
            "gitAttributes": or_null,
        })),
        "Routes": object(&["files", "commitOid"], json!({
            "files": list(object(&["path", "uploadMode", "shouldIgnore"], json!({
                "path": text,
                "uploadMode": { "enum": ["regular", "lfs"] },
                "shouldIgnore": flag,
                "oid": { "type": "string", "description": "Of what is there already" },
            }))),
            "commitOid": commit_id,
        })),
        "Steps": {
            "description": "One step a line; the first is the header, and there is one",
            "type": "array",
            "minItems": 1,
            "items": { "oneOf": [
                step("header", object(&["summary"], json!({
                    "summary": text,
                    "description": text,
                    "parentCommit": { "type": ["string", "null"], "description": "Where the branch has to be" },
                }))),
                step("file", object(&["path", "content"], json!({
                    "path": name,
                    "content": base64,
                    "encoding": { "const": "base64" },
                    "oldPath": or_null,
                }))),
                step("lfsFile", object(&["path", "oid"], json!({
                    "path": name,
                    "algo": { "const": "sha256" },
                    "oid": sha256,
                    "size": size,
                    "oldPath": or_null,
                }))),
                step("deletedFile", object(&["path"], json!({ "path": name }))),
                step("deletedFolder", object(&["path"], json!({ "path": name }))),
            ] },
        },
        "Committed": object(&["success", "commitOid", "commitUrl", "hookOutput"], json!({
            "success": { "const": true },
            "commitOid": commit_id,
            "commitUrl": url,
            "hookOutput": text,
        })),
        // References
        "NewBranch": object(&[], json!({
            "startingPoint": { "type": ["string", "null"], "description": "A revision; `main`, if none is named" },
            "emptyBranch": flag,
            "overwrite": flag,
        })),
        "NewTag": object(&["tag"], json!({ "tag": name, "message": or_null })),
        "Squash": object(&[], json!({ "message": or_null })),
        "Squashed": object(&["commitOid"], json!({ "commitOid": commit_id })),
        // Large files
        "Batch": object(&["operation", "objects"], json!({
            "operation": { "enum": ["upload", "download"] },
            "transfers": list(json!({ "type": "string" })),
            "objects": { "type": "array", "maxItems": 1000, "items": reference("LargeFile") },
            "hash_algo": { "enum": ["sha256", "sha_256", null] },
            "ref": { "anyOf": [object(&["name"], json!({ "name": text })), { "type": "null" }] },
        })),
        "LargeFile": object(&["oid", "size"], json!({ "oid": sha256, "size": size })),
        "Places": object(&["transfer", "hash_algo", "objects"], json!({
            "transfer": { "enum": ["basic", "multipart"] },
            "hash_algo": { "const": "sha256" },
            "objects": list(object(&["oid", "size"], json!({
                "oid": text,
                "size": size,
                "actions": {
                    "type": "object",
                    "propertyNames": { "enum": ["upload", "verify", "download"] },
                    "additionalProperties": object(&["href"], json!({
                        "href": url,
                        "header": {
                            "description": "For an upload in parts `chunk_size`, and by its number where each goes",
                            "type": "object",
                        },
                        "expires_in": size,
                    })),
                },
                "error": object(&["code", "message"], json!({ "code": size, "message": text })),
            }))),
        })),
        "Parts": object(&["parts"], json!({
            "parts": list(object(&["partNumber", "etag"], json!({
                "partNumber": { "type": "integer", "minimum": 1 },
                "etag": text,
            }))),
        })),
        // Xet
        "XetToken": object(&["casUrl", "accessToken", "exp"], json!({
            "casUrl": url,
            "accessToken": text,
            "exp": { "type": "integer", "description": "Seconds since 1970" },
        })),
        "XorbTaken": object(&["was_inserted"], json!({ "was_inserted": flag })),
        "ShardTaken": object(&["result"], json!({ "result": { "const": 1 } })),
        "Progress": object(&["type"], json!({
            "type": { "enum": ["validating", "result", "error"] },
            "verified": size,
            "total": size,
            "result": { "const": 1 },
            "message": text,
            "retryable": flag,
        })),
        "Reconstruction": object(&["offset_into_first_range", "terms"], json!({
            "offset_into_first_range": size,
            "terms": list(object(&["hash", "unpacked_length", "range"], json!({
                "hash": sha256,
                "unpacked_length": size,
                "range": object(&["start", "end"], json!({ "start": size, "end": size })),
            }))),
            "fetch_info": { "type": "object", "description": "In version 1: for each hash, from where" },
            "xorbs": { "type": "object", "description": "In version 2: for each hash, from where" },
        })),
    })
}
