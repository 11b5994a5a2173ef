//! `POST /api/validate-yaml`: whether the front matter of a README can be read. Clients ask before every upload of one.

use axum::{
    Json,
    body::Body,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use huddle_protocol::{Card, CardError};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{body, error::ApiError};

#[derive(Debug, Deserialize)]
struct Readme {
    content: String,
}

/// `/api/validate-yaml`, of anybody: nothing is kept.
pub(crate) async fn validate(body: Body) -> Result<Response, ApiError> {
    let Readme { content } = body::json(body, body::MAX_JSON).await?;
    let (status, errors, warnings) = match Card::front_matter(&content) {
        Err(CardError::Yaml { reason }) => (StatusCode::BAD_REQUEST, vec![reason], vec![]),
        // A line of dashes that nothing closes is a line of dashes.
        Ok(Value::Object(data)) if !data.is_empty() => (StatusCode::OK, vec![], vec![]),
        Ok(_) | Err(_) => (StatusCode::OK, vec![], vec!["empty or missing yaml metadata in repo card".to_owned()]),
    };
    let list = |messages: Vec<String>| -> Value {
        messages.into_iter().map(|message| json!({ "message": message })).collect()
    };
    Ok((status, Json(json!({ "errors": list(errors), "warnings": list(warnings) }))).into_response())
}
