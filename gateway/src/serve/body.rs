//! Bodies that take note: of their end, and of a client that dawdles over sending one.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::patience::Patience;

/// A body that holds on to something, such as a count, until it ended or was dropped.
#[derive(Debug)]
pub(crate) struct Held<G> {
    body: Body,
    held: Option<G>,
}

impl<G> Held<G> {
    pub(crate) fn new(body: Body, held: G) -> Self {
        let held = (!body.is_end_stream()).then_some(held);
        Self { body, held }
    }
}

impl<G: Unpin> HttpBody for Held<G> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) || self.body.is_end_stream() {
            self.held = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body that fails once its client sends too little for too long.
#[derive(Debug)]
pub(super) struct Paced {
    body: Body,
    patience: Patience,
}

impl Paced {
    pub(super) fn new(body: Body, stall: Duration) -> Self {
        Self { body, patience: Patience::new(stall) }
    }
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        match &frame {
            Poll::Ready(Some(Ok(frame))) => self.patience.moved(frame.data_ref().map_or(0, Bytes::len)),
            Poll::Ready(_) => {}
            Poll::Pending => {
                ready!(self.patience.poll_end(cx));
                let error = io::Error::new(io::ErrorKind::TimedOut, "the client sends its request too slowly");
                return Poll::Ready(Some(Err(axum::Error::new(error))));
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
