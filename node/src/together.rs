//! One piece of work for one question, however many ask it at once; it goes on when they stop waiting.
//!
//! A hub client opens sixteen connections, asks the same on each and gives up after ten seconds: without this, sixteen
//! look-ups would start, and none would ever end where the network is slow.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};

/// How many different questions may be open at once.
const MOST: usize = 256;

/// Too many questions are open, or the work on this one broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too much is asked at once")]
pub(crate) struct Busy;

/// `None` if the work panicked.
type Work<T> = Shared<BoxFuture<'static, Option<T>>>;

/// Work under way, by the question it answers. Cheap to clone.
pub(crate) struct Together<Q, T: Clone>(Arc<Mutex<HashMap<Q, Work<T>>>>);

impl<Q, T: Clone> Clone for Together<Q, T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<Q, T: Clone> Default for Together<Q, T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<Q, T: Clone> fmt::Debug for Together<Q, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Together")
    }
}

impl<Q, T> Together<Q, T>
where
    Q: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// Starts `work`, or joins the work on the same question that is under way. Work that ends without having to wait
    /// takes no task; its first step may be done by several who ask at the same moment.
    pub(crate) async fn ask(&self, question: Q, work: impl Future<Output = T> + Send + 'static) -> Result<T, Busy> {
        let mut work = work.boxed();
        if !self.lock().contains_key(&question)
            && let Some(answer) = (&mut work).now_or_never()
        {
            return Ok(answer);
        }
        let answer = {
            let mut open = self.lock();
            match open.get(&question) {
                Some(answer) => answer.clone(),
                None if open.len() >= MOST => return Err(Busy),
                None => {
                    let answer = self.start(question.clone(), work);
                    open.insert(question.clone(), answer.clone());
                    answer
                }
            }
        };
        let answer = answer.await;
        if answer.is_none() {
            // A bug of ours, logged where it happened. The next one may try again.
            self.lock().remove(&question);
        }
        answer.ok_or(Busy)
    }

    fn start(&self, question: Q, work: impl Future<Output = T> + Send + 'static) -> Work<T> {
        let this = self.clone();
        let task = tokio::spawn(async move {
            let answer = work.await;
            this.lock().remove(&question);
            answer
        });
        task.map(Result::ok).boxed().shared()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Q, Work<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner) // nothing here panics half-way
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use super::*;

    #[tokio::test]
    async fn many_who_ask_the_same_share_one_answer() {
        let (together, started) = (Together::default(), Arc::new(AtomicUsize::new(0)));
        let ask = |question: u8| {
            let (together, started) = (&together, Arc::clone(&started));
            async move {
                let work = async move {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    started.fetch_add(1, Ordering::SeqCst)
                };
                together.ask(question, work).await
            }
        };
        let (one, same, other) = tokio::join!(ask(1), ask(1), ask(2));
        assert_eq!(one, same);
        assert_ne!(one, other);
        assert_eq!(started.load(Ordering::SeqCst), 2);
        assert!(ask(1).await.unwrap() > 1, "what is over is asked anew");
    }

    #[tokio::test]
    async fn work_goes_on_when_nobody_waits_and_a_panic_blocks_nobody() {
        let together = Together::default();
        let (send, done) = tokio::sync::oneshot::channel();
        let work = async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let _ = send.send(());
        };
        assert!(tokio::time::timeout(Duration::from_millis(1), together.ask(1, work)).await.is_err());
        done.await.unwrap();
        let broken = async {
            tokio::task::yield_now().await;
            panic!("on purpose")
        };
        assert_eq!(together.ask(2, broken).await, Err(Busy));
        assert_eq!(together.ask(2, async {}).await, Ok(()));
    }

    #[tokio::test]
    async fn what_needs_no_waiting_is_answered_at_once_however_much_is_open() {
        let together = Together::default();
        let forever = (0..MOST).map(|question| together.ask(question, std::future::pending()).boxed());
        let mut open: Vec<_> = forever.collect();
        assert!(open.iter_mut().all(|asked| asked.now_or_never().is_none()));
        assert_eq!(together.ask(MOST, async {}).now_or_never(), Some(Ok(())));
        assert_eq!(together.ask(MOST, std::future::pending()).await, Err(Busy), "but nothing more is started");
    }
}
