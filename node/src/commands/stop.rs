//! Ctrl-C: once to stop in order, twice to leave at once. SIGTERM, with which services are stopped, counts as one.

use std::{future::Future, pin::pin};

use tokio::signal::{
    ctrl_c,
    unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

use crate::failure::{Code, Failure};

/// Runs `work`, which ends soon after `stop` is cancelled; this is done when the user asks for it.
///
/// # Errors
/// Those of `work`, or that the user did not want to wait for it.
pub(super) async fn in_order(
    stop: &CancellationToken,
    work: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let mut work = pin!(work);
    tokio::select! {
        result = &mut work => return result,
        () = asked() => stop.cancel(),
    }
    tokio::select! {
        result = work => result,
        () = asked() => Err(interrupted()),
    }
}

/// What a command reports that the user stopped.
pub(super) fn interrupted() -> Failure {
    Failure::text(Code::Interrupted, "interrupted; nothing is lost, the same command goes on from here")
}

async fn asked() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return drop(ctrl_c().await);
    };
    tokio::select! {
        _ = ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}
