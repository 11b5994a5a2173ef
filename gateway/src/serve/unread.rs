//! What becomes of a request's body that its handler did not read: a refusal is sent before.
//!
//! Many clients send the whole of a request before they look at the answer. The next request comes after the rest of
//! the body, so a short rest is read and thrown away; after a long one the connection is of no more use, which the
//! answer has to say. `socket.rs` sees to it that such a client can read the answer then.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, HeaderValue, header};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::timeout;

/// The longest rest of a body that is read so that the connection can be kept, in bytes.
const MAX_REST: u64 = 1 << 20;
/// How long the answer waits for that.
const REST_WITHIN: Duration = Duration::from_secs(1);

/// Where a body lies that its handler has dropped.
#[derive(Debug)]
pub(super) struct Unread {
    returned: Arc<Mutex<Option<Returned>>>,
    expects_word: bool,
}

#[derive(Debug)]
struct Returned {
    body: Body,
    was_read: bool,
}

/// A body that is lent to a handler, and comes back when it is dropped.
#[derive(Debug)]
pub(super) struct Lent {
    body: Body,
    was_read: bool,
    returns_to: Arc<Mutex<Option<Returned>>>,
}

/// Lends the body of a request with these headers.
pub(super) fn lend(body: Body, headers: &HeaderMap) -> (Lent, Unread) {
    let expects_word =
        headers.get(header::EXPECT).is_some_and(|word| word.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    let returned = Arc::default();
    (Lent { body, was_read: false, returns_to: Arc::clone(&returned) }, Unread { returned, expects_word })
}

impl Unread {
    /// Reads a short rest of the body, or lets the answer say that the connection ends with it.
    pub(super) async fn settle(self, answer: &mut Response) {
        // One that has not come back is still being read.
        let returned = self.returned.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Returned { body, was_read }) = returned else { return };
        // Who was not told to go on may send the body all the same, or the next request: nobody can tell which it is.
        let is_awaited = !self.expects_word || was_read;
        let is_read = body.is_end_stream()
            || (is_awaited
                && body.size_hint().lower() <= MAX_REST
                && timeout(REST_WITHIN, ends_soon(body)).await.unwrap_or(false));
        if !is_read {
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// Reads on, and reports whether the end came before there was too much.
async fn ends_soon(body: Body) -> bool {
    let mut left = MAX_REST;
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let rest = piece.ok().and_then(|bytes| left.checked_sub(bytes.len() as u64));
        let Some(rest) = rest else { return false };
        left = rest;
    }
    true
}

impl Drop for Lent {
    fn drop(&mut self) {
        let returned = Returned { body: std::mem::take(&mut self.body), was_read: self.was_read };
        *self.returns_to.lock().unwrap_or_else(PoisonError::into_inner) = Some(returned);
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.was_read = true;
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
