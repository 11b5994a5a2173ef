//! How long to wait for a client that moves too few bytes.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};

/// How many bytes a client has to move within the limit: a byte now and then is no progress.
const PROGRESS: usize = 4 << 10;

/// Adds up the time that was spent waiting for a client, until it moved enough. Time in which nobody waited for it does
/// not count.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    left: Duration,
    moved: usize,
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, left: limit, moved: 0, waiting: None }
    }

    /// Waits, and is ready when patience is at its end.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let left = self.left;
        let (_, end) = self.waiting.get_or_insert_with(|| (Instant::now(), Box::pin(sleep(left))));
        end.as_mut().poll(cx)
    }

    /// Takes note that bytes moved.
    pub(super) fn moved(&mut self, bytes: usize) {
        if let Some((since, _)) = self.waiting.take() {
            self.left = self.left.saturating_sub(since.elapsed());
        }
        self.moved = self.moved.saturating_add(bytes);
        if self.moved >= PROGRESS {
            self.renew();
        }
    }

    /// Begins anew, because everything moved that had to.
    pub(super) fn renew(&mut self) {
        (self.left, self.moved, self.waiting) = (self.limit, 0, None);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::advance;

    use super::*;

    async fn wait(patience: &mut Patience, time: Duration) -> Poll<()> {
        assert_eq!(poll_fn(|cx| Poll::Ready(patience.poll_end(cx))).await, Poll::Pending);
        advance(time).await;
        poll_fn(|cx| Poll::Ready(patience.poll_end(cx))).await
    }

    const LIMIT: Duration = Duration::from_secs(60);
    const HALF: Duration = Duration::from_secs(31);

    #[tokio::test(start_paused = true)]
    async fn a_byte_now_and_then_is_no_progress() {
        let mut patience = Patience::new(LIMIT);
        assert_eq!(wait(&mut patience, HALF).await, Poll::Pending);
        patience.moved(1);
        assert_eq!(wait(&mut patience, HALF).await, Poll::Ready(()));
    }

    #[tokio::test(start_paused = true)]
    async fn who_moves_enough_may_take_for_ever() {
        let mut patience = Patience::new(LIMIT);
        for _ in 0..10 {
            assert_eq!(wait(&mut patience, HALF).await, Poll::Pending);
            patience.moved(PROGRESS / 2);
            patience.moved(PROGRESS / 2);
        }
        assert_eq!(wait(&mut patience, HALF).await, Poll::Pending);
        patience.renew();
        assert_eq!(wait(&mut patience, HALF).await, Poll::Pending);
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nobody_waited_does_not_count() {
        let mut patience = Patience::new(LIMIT);
        assert_eq!(wait(&mut patience, HALF).await, Poll::Pending);
        patience.moved(1);
        advance(LIMIT).await;
        assert_eq!(wait(&mut patience, Duration::from_secs(20)).await, Poll::Pending);
    }
}
