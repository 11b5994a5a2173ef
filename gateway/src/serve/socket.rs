//! A TCP connection that is cut when its client stops reading, that tells whether it is idle, and that ends so that its
//! client gets the last answer.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

use super::patience::Patience;

/// What a connection does: whoever holds one of its [`Busy`] is serving a request or waits for its client to read.
#[derive(Debug)]
pub(super) struct Activity {
    opened: Instant,
    busy: AtomicUsize,
    /// When it became idle, in milliseconds after `opened`.
    idle_since: AtomicU64,
}

/// Something that a connection is busy with.
#[derive(Debug)]
pub(super) struct Busy(Arc<Activity>);

impl Activity {
    pub(super) fn new(now: Instant) -> Arc<Self> {
        Arc::new(Self { opened: now, busy: AtomicUsize::new(0), idle_since: AtomicU64::new(0) })
    }

    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::AcqRel);
        Busy(self.clone())
    }

    /// Returns for how long it has been idle, if it is.
    pub(super) fn idle_for(&self, now: Instant) -> Option<Duration> {
        let since = self.opened + Duration::from_millis(self.idle_since.load(Ordering::Acquire));
        (self.busy.load(Ordering::Acquire) == 0).then(|| now.saturating_duration_since(since))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let since = u64::try_from(self.0.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.idle_since.store(since, Ordering::Release);
        self.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

/// For how long what a client still sends is thrown away after the last answer, as long as something comes.
const LINGER: Duration = Duration::from_secs(30);
/// For how long after the last answer a client may send nothing and stay.
const LINGER_SILENT: Duration = Duration::from_secs(5);

/// The connection.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    activity: Arc<Activity>,
    patience: Patience,
    /// Held while there is something that the client does not read.
    blocked: Option<Busy>,
    /// There once the last answer was sent.
    farewell: Option<Farewell>,
}

/// Reads what a client still sends after the last answer. Closed with something unread, TCP resets the connection, and a
/// client that writes its whole request first would never see the answer.
#[derive(Debug)]
struct Farewell {
    end: Pin<Box<Sleep>>,
    patience: Patience,
}

impl Farewell {
    /// Is ready when the client left, or had its time.
    fn poll(&mut self, stream: &mut TcpStream, cx: &mut Context<'_>) -> Poll<()> {
        let mut buffer = [0; 8 << 10];
        while self.end.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut buffer);
            match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => self.patience.moved(buffer.filled().len()),
                Poll::Ready(_) => break,
                Poll::Pending => return self.patience.poll_end(cx),
            }
        }
        Poll::Ready(())
    }
}

impl Socket {
    pub(super) fn new(stream: TcpStream, activity: Arc<Activity>, read_stall: Duration) -> Self {
        Self { stream, activity, patience: Patience::new(read_stall), blocked: None, farewell: None }
    }

    fn written(&mut self, result: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match &result {
            Poll::Ready(Ok(bytes)) if self.blocked.is_some() => self.patience.moved(*bytes),
            Poll::Ready(_) => {}
            Poll::Pending => {
                self.blocked.get_or_insert_with(|| self.activity.begin());
                ready!(self.patience.poll_end(cx));
                let error = io::Error::new(io::ErrorKind::TimedOut, "the client reads too slowly");
                return Poll::Ready(Err(error));
            }
        }
        result
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(result, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.written(result, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Called once everything was written.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.blocked.take().is_some() {
            self.patience.renew();
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, farewell, .. } = self.get_mut();
        if farewell.is_none() {
            ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
        }
        let begin = || Farewell { end: Box::pin(sleep(LINGER)), patience: Patience::new(LINGER_SILENT) };
        ready!(farewell.get_or_insert_with(begin).poll(stream, cx));
        Poll::Ready(Ok(()))
    }
}
