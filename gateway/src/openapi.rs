//! The surface of this gateway as an OpenAPI document, served at `/api/openapi.json`: which routes there are, what they
//! take and what they give. A test holds it against the router.

mod operations;
mod schemas;
mod written;

use std::sync::LazyLock;

use axum::response::IntoResponse;
use http::header;
use huddle_protocol::RepoKind;
use serde_json::{Map, Value, json};

use self::operations::{Body, Gives, OPERATIONS, Operation};
use crate::api::{
    expand,
    listing::{filter::GGUF_APPS, order},
};

/// It is the same for everybody.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| document().to_string());

/// `GET /api/openapi.json`
pub(crate) async fn serve() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str())
}

fn document() -> Value {
    let mut paths = Map::new();
    for operation in OPERATIONS {
        for (path, kind) in written_out(operation.path) {
            let described = describe(operation, &path, kind);
            paths.entry(path).or_insert_with(|| json!({}))[operation.method] = described;
        }
    }
    let mut schemas = schemas::all();
    if let (Some(all), Value::Object(written)) = (schemas.as_object_mut(), written::all()) {
        all.extend(written);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "huddle gateway",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The API of the Hugging Face Hub, as its clients use it, in front of a network of peers. \
                A slash within `{revision}` or `{path}` may be sent as it is or as `%2F`. Old repositories such as \
                `gpt2` have no `{namespace}/`.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
        // A token is needed for what is private and for writing.
        "security": [{}, { "token": [] }],
    })
}

/// Returns the paths that one stands for, each with the kind of repository that it is about.
fn written_out(path: &str) -> Vec<(String, RepoKind)> {
    if path.contains("{files}") {
        let files = |kind: RepoKind| path.replace("{files}", format!("/{}", kind.prefix()).trim_end_matches('/'));
        RepoKind::ALL.map(|kind| (files(kind), kind)).into()
    } else if path.contains("{each}") {
        RepoKind::ALL.map(|kind| (path.replace("{each}", kind.plural()), kind)).into()
    } else {
        vec![(path.to_owned(), RepoKind::Model)]
    }
}

fn describe(operation: &Operation, path: &str, kind: RepoKind) -> Value {
    let in_path = path.split(['{', '}']).skip(1).step_by(2).map(path_parameter);
    let in_query = operation.query.iter().map(|name| query_parameter(name, kind));
    let status = if matches!(operation.gives, Gives::Created) { "201" } else { "200" };
    let mut described = json!({
        "summary": operation.summary,
        "parameters": in_path.chain(in_query).collect::<Vec<_>>(),
        "responses": {
            status: answer(&operation.gives),
            "default": {
                "description": "Not as asked; `X-Error-Code` says which exception a client raises",
                "content": { "application/json": { "schema": reference("Error") } },
            },
        },
    });
    if matches!(operation.gives, Gives::Bytes) {
        described["responses"]["206"] =
            json!({ "description": "The part that `Range` asks for", "content": { "*/*": {} } });
        described["responses"]["304"] = json!({ "description": "`If-None-Match` names what the client has" });
        described["responses"]["416"] = json!({ "description": "The file has no such part" });
    }
    if path == "/api/validate-yaml" {
        // That the card is wrong is an answer too, in the same form.
        let either = json!({ "anyOf": [reference("Checked"), reference("Error")] });
        described["responses"]["400"] =
            json!({ "description": "It cannot be read", "content": { "application/json": { "schema": either } } });
    }
    if let Some(body) = &operation.body {
        described["requestBody"] = request_body(body);
    }
    described
}

fn path_parameter(name: &str) -> Value {
    let mut schema = json!({ "type": "string", "minLength": 1 });
    if name == "kinds" {
        schema["enum"] = json!(["models", "datasets", "spaces"]);
    }
    json!({ "name": name, "in": "path", "required": true, "schema": schema })
}

/// Describes a parameter. A few have one name and two meanings.
fn query_parameter(name: &str, kind: RepoKind) -> Value {
    let list = |items: Value| json!({ "type": "array", "items": items });
    let (name, schema) = match name {
        "limit" | "p" => (name, json!({ "type": "integer", "minimum": 0 })),
        "offset" => ("cursor", json!({ "type": "integer", "minimum": 0 })),
        "search" | "filter" => (name, list(json!({ "type": "string" }))),
        "expand" => (name, list(json!({ "enum": expand::all(kind) }))),
        "formatted" => ("expand", list(json!({ "enum": ["formatted"] }))),
        "details" => ("expand", flag()),
        "apps" => (name, list(json!({ "enum": GGUF_APPS }))),
        "sort" => (name, json!({ "enum": order::KNOWN })),
        "raw" => (name, json!({ "const": "true" })),
        "full" | "cardData" | "config" | "blobs" | "securityStatus" | "recursive" | "gated" | "include_prs"
        | "download" => (name, flag()),
        _ => (name, json!({ "type": "string" })),
    };
    // Without it there is no answer.
    json!({ "name": name, "in": "query", "required": name == "raw", "schema": schema })
}

/// Describes what is read as leniently as clients write it.
fn flag() -> Value {
    json!({ "type": "string", "description": "`true` in any case or `1`; anything else means no" })
}

fn request_body(body: &Body) -> Value {
    let schema = json!({ "schema": reference(body.schema) });
    let content: Map<String, Value> = body.types.iter().map(|&name| (name.to_owned(), schema.clone())).collect();
    json!({ "required": body.is_required, "content": content })
}

fn answer(gives: &Gives) -> Value {
    let (description, content) = match gives {
        Gives::One(name) => ("As asked", json!({ "application/json": { "schema": reference(name) } })),
        Gives::Many(name) => {
            let schema = json!({ "type": "array", "items": reference(name) });
            (
                "As asked; `Link` leads to the next page, if there is one",
                json!({ "application/json": { "schema": schema } }),
            )
        }
        Gives::Bytes => ("The bytes", json!({ "*/*": {} })),
        Gives::Text => ("As asked", json!({ "text/plain": { "schema": { "type": "string" } } })),
        Gives::Events(name) => {
            let data = json!({ "contentMediaType": "application/json", "contentSchema": reference(name) });
            ("As long as the client listens", json!({ "text/event-stream": { "schema": data } }))
        }
        Gives::Manifest => {
            let kind = "application/vnd.docker.distribution.manifest.v2+json";
            ("As asked", json!({ kind: { "schema": { "type": "object" } } }))
        }
        Gives::Lfs(name) => ("As asked", json!({ "application/vnd.git-lfs+json": { "schema": reference(name) } })),
        Gives::Lines(name) => {
            ("As asked, one object a line", json!({ "application/x-ndjson": { "schema": reference(name) } }))
        }
        Gives::Created => return json!({ "description": "Made" }),
        Gives::Nothing => return json!({ "description": "Yes" }),
    };
    json!({ "description": description, "content": content })
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Returns the pattern that the router has for a path of the document.
    fn pattern(path: &str) -> String {
        let path = path.replace("{revision}/{path}", "{*place}");
        for name in ["revision", "comparison", "path", "tag", "digest"] {
            if let Some(start) = path.strip_suffix(&format!("{{{name}}}")) {
                return format!("{start}{{*place}}");
            }
        }
        ["topic", "chunk", "grant", "number"]
            .iter()
            .fold(path, |path, name| path.replace(&format!("{{{name}}}"), &format!("{{*{name}}}")))
    }

    #[test]
    fn every_route_is_described_and_every_description_is_a_route() {
        let kinds = ["models", "datasets", "spaces"];
        let document = document();
        let described: BTreeSet<String> = document["paths"]
            .as_object()
            .unwrap()
            .keys()
            .flat_map(|path| kinds.map(|kind| pattern(&path.replace("{kinds}", kind))))
            .collect();
        let whole_name = |path: &str| {
            if path.contains("{namespace}") { path.to_owned() } else { path.replace("{name}", "{namespace}/{name}") }
        };
        let reading = crate::reading().merge(crate::lists()).merge(crate::registry()).merge(crate::xet());
        let routes = reading.merge(crate::writing()).merge(crate::xet_uploads());
        let routes: BTreeSet<String> = routes.0.iter().map(|(path, _)| whole_name(path)).collect();
        assert_eq!(described.difference(&routes).collect::<Vec<_>>(), [] as [&String; 0], "no such route");
        assert_eq!(routes.difference(&described).collect::<Vec<_>>(), [] as [&String; 0], "not described");
    }

    #[test]
    fn every_schema_that_is_named_exists_and_is_used() {
        let document = document();
        let text = document.to_string();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for name in schemas.keys() {
            assert!(text.contains(&format!("\"#/components/schemas/{name}\"")), "{name} is not used");
        }
        for name in text.split("#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert!(schemas.contains_key(name), "{name} is missing");
        }
    }
}
