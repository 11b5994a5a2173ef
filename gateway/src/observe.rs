//! What happens around every request: an id, a span, a line in the log, and an end to waiting.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::HeaderName;
use tracing::{Instrument, debug, debug_span, error};

use crate::{Gateway, error::ApiError, header, xet};

/// The header that carries the id; clients show it in their exceptions.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Counts requests; an id is unique as long as no two gateways start within a microsecond.
#[derive(Clone, Debug)]
pub(crate) struct RequestIds {
    started: Duration,
    next: Arc<AtomicU64>,
}

impl RequestIds {
    pub(crate) fn new() -> Self {
        Self { started: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(), next: Arc::default() }
    }

    fn issue(&self) -> String {
        format!("{:x}-{:x}", self.started.as_micros(), self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// Gives a request an id, logs it, and sends the id back.
pub(crate) async fn observe(State(ids): State<RequestIds>, request: Request, next: Next) -> Response {
    let id = ids.issue();
    let span = debug_span!("request", id, method = %request.method(), path = request.uri().path());
    async {
        let start = Instant::now();
        let mut response = next.run(request).await;
        debug!(status = response.status().as_u16(), elapsed = ?start.elapsed(), "answered");
        response.headers_mut().insert(REQUEST_ID, header::text(&id));
        response
    }
    .instrument(span)
    .await
}

/// Ends the wait for the head of an answer: better "ask again" than a client that gives up.
///
/// The body may take as long as it needs. So may uploads, which have limits of their own.
pub(crate) async fn deadline(State(gateway): State<Gateway>, request: Request, next: Next) -> Response {
    if request.uri().path().starts_with(xet::UPLOADS) {
        return next.run(request).await;
    }
    let is_file = !request.uri().path().starts_with("/api/");
    let limit = if is_file { gateway.options.file_within } else { gateway.options.answer_within };
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            debug!("no answer in time");
            ApiError::still_looking().into_response()
        }
    }
}

/// Turns a panic, which is our bug, into an answer.
#[expect(clippy::needless_pass_by_value, reason = "the signature is that of `CatchPanicLayer::custom`")]
pub(crate) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let message = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    error!(message, "a request handler panicked");
    ApiError::OurFault.into_response()
}
