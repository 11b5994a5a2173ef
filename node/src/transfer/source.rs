//! One peer that may have (part of) a blob: reached, and asked to tell what it has as that changes.

use std::time::Duration;

use futures::StreamExt;
use huddle_protocol::{BlobHash, NodeId};
use iroh_blobs::{Hash, protocol::ObserveRequest};
use tokio::{sync::mpsc, time::timeout};

use super::{Inner, download::Event};
use crate::endpoint::{fit_window, to_iroh};

/// How long a peer may take to say what it has.
const ANSWER: Duration = Duration::from_secs(7);

/// Follows one peer until it is lost, or nobody wants to know.
pub(super) async fn follow(inner: &Inner, node: NodeId, blob: BlobHash, events: mpsc::Sender<Event>) {
    if let Err(reason) = try_follow(inner, node, blob, &events).await {
        let _ = events.send(Event::Lost { node, reason }).await;
    }
}

async fn try_follow(inner: &Inner, node: NodeId, blob: BlobHash, events: &mpsc::Sender<Event>) -> Result<(), String> {
    let id = to_iroh(node).ok_or("not an address")?;
    let connection = inner.pool.get_or_connect(id).await.map_err(|error| format!("{error:#}"))?;
    let request = ObserveRequest::new(Hash::from_bytes(blob.0));
    let mut updates = Box::pin(inner.blobs.iroh().remote().observe((*connection).clone(), request));
    let first = inner.pool.listen(id, timeout(ANSWER, updates.next())).await.map_err(|_| "no answer".to_owned())?;
    let first = first.ok_or("no answer")?.map_err(|error| error.to_string())?;
    let is_far = fit_window(&connection);
    if events.send(Event::Reached { node, connection, is_far, has: first }).await.is_err() {
        return Ok(());
    }
    while let Some(update) = updates.next().await {
        let has = update.map_err(|error| error.to_string())?;
        if events.send(Event::Has { node, has }).await.is_err() {
            return Ok(());
        }
    }
    Err("it broke off".to_owned())
}
