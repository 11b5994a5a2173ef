//! What is asked of any Hub whatever it keeps: is it alive, may it be indexed, and two questions of the `hf` command.

use axum::Json;
use serde_json::{Value, json};

pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// Crawlers would make the node fetch what nobody wants to read.
pub(crate) async fn robots() -> &'static str {
    "User-agent: *\nDisallow: /\n"
}

/// Every `hf` command asks; an answer is remembered for a day, an error never.
pub(crate) async fn agent_harnesses() -> Json<Value> {
    Json(json!({ "standardEnvVars": [], "harnesses": {} }))
}

/// Clients report what they do; nobody keeps it.
pub(crate) async fn telemetry() {}
