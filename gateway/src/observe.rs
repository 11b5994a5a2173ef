//! What happens around every request: an id, a span, a line in the log, and an end to waiting.

use std::{
    any::Any,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use axum::{
    body::{Body, HttpBody},
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use http::HeaderName;
use tracing::{Instrument, debug, debug_span, error};

use crate::{Gateway, error::ApiError, header};

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

/// Ends the wait of who reads: better "ask again" than a client that gives up.
pub(crate) async fn reading(State(gateway): State<Gateway>, request: Request, next: Next) -> Response {
    let is_file = !request.uri().path().starts_with("/api/");
    let limit = if is_file { gateway.options.file_within } else { gateway.options.answer_within };
    within(limit, request, next).await
}

/// Ends the wait of who writes, counted from the last byte that came: an upload may take as long as it flows.
pub(crate) async fn writing(State(gateway): State<Gateway>, request: Request, next: Next) -> Response {
    within(gateway.options.written_within, request, next).await
}

/// Waits for the head of an answer, `limit` from the last byte of the request on. The body of the answer may take as
/// long as it needs.
async fn within(limit: Duration, request: Request, next: Next) -> Response {
    let pulse = Pulse::default();
    let request = if request.body().is_end_stream() { request } else { request.map(|body| pulse.listen(body)) };
    let mut answer = std::pin::pin!(next.run(request));
    loop {
        let last = pulse.last();
        match tokio::time::timeout_at((last + limit).into(), &mut answer).await {
            Ok(response) => return response,
            Err(_) if pulse.last() > last => {}
            Err(_) => {
                debug!("no answer in time");
                return ApiError::still_looking().into_response();
            }
        }
    }
}

/// When the last byte of a request came.
#[derive(Clone)]
struct Pulse(Arc<Mutex<Instant>>);

impl Default for Pulse {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Pulse {
    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Notes when something comes. How long nothing may come is for `serve` to say.
    fn listen(&self, body: Body) -> Body {
        let pulse = self.clone();
        Body::from_stream(body.into_data_stream().inspect(move |_| pulse.beat()))
    }
}

/// Turns a panic, which is our bug, into an answer.
#[expect(clippy::needless_pass_by_value, reason = "the signature is that of `CatchPanicLayer::custom`")]
pub(crate) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let message = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    error!(message, "a request handler panicked");
    ApiError::OurFault.into_response()
}
