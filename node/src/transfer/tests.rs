//! A real node against scripted providers.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::TryStreamExt;
use huddle_protocol::{BlobHash, NodeId};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

use super::{ALPN, FetchError, Holders, Search};
use crate::{
    store::Held,
    testing::{Host, Peer, SOON, Script, encoded, host, noise, peer},
};

async fn provider(host: &Host, blobs: &[&[u8]]) -> Peer {
    peer(host, ALPN, Script::honest(blobs).await).await
}

/// A provider that sends so many bytes in all and then breaks off, again and again.
async fn quitter(host: &Host, blob: &[u8], length: usize) -> Peer {
    let left = Arc::new(AtomicUsize::new(length));
    let script = Script::provider(blob, move |mut send, answer| {
        let had = left.fetch_update(Relaxed, Relaxed, |left| Some(left.saturating_sub(answer.len()))).unwrap();
        async move {
            let _ = send.write_all(&answer[..answer.len().min(had)]).await;
            let _ = send.finish();
            let _ = send.stopped().await;
        }
    });
    peer(host, ALPN, script.await).await
}

fn holders(host: &Host, peers: &[NodeId]) -> Holders {
    host.transfer().holders(Search { hints: peers.to_vec(), ..Search::default() })
}

async fn read(host: &Host, blob: BlobHash, size: u64, range: Range<u64>, peers: &[NodeId]) -> std::io::Result<Vec<u8>> {
    let stream = host.transfer().read(blob, size, range, || holders(host, peers)).await.unwrap();
    let pieces: Vec<Bytes> = timeout(SOON, stream.try_collect()).await.expect("every read ends")?;
    Ok(pieces.concat())
}

#[tokio::test]
async fn a_neighbour_that_announced_nothing_is_found_by_asking_it() {
    let first = host(&[]).await;
    let (other, asking) = (host(&[&first]).await, host(&[&first]).await);
    let blob = noise(50_000);
    first.store().blobs.add(blob.clone()).await.unwrap();
    let manifest = Some(BlobHash::of(&blob));
    let found = asking.transfer().holders(Search { manifest, ..Search::default() });
    assert_eq!(timeout(SOON, found.ready(0)).await.unwrap(), Some(first.node_id()));
    assert_eq!(timeout(SOON, found.ready(1)).await.unwrap(), None, "{} has it not", other.node_id());
}

#[tokio::test]
async fn a_range_in_the_middle_is_read_without_the_rest() {
    let (host, blob) = (host(&[]).await, noise(3 << 20));
    let peer = provider(&host, &[&blob]).await;
    let (hash, size) = (BlobHash::of(&blob), blob.len() as u64);
    let range = 1_000_001..1_200_003;
    let bytes = read(&host, hash, size, range.clone(), &[peer.id]).await.unwrap();
    assert!(bytes == blob[1_000_001..1_200_003]);
    let parts = host.store().blobs.parts(hash).await.unwrap();
    assert!(parts.total_bytes() < 300_000, "{} bytes for 200,002", parts.total_bytes());
    let again = read(&host, hash, size, range, &[]).await.unwrap();
    assert!(again == bytes, "what is here needs nobody");
}

#[tokio::test]
async fn two_readers_share_one_fetch() {
    let (host, blob) = (host(&[]).await, noise(4 << 20));
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let script = Script::provider(&blob, move |mut send, answer| {
        count.fetch_add(answer.len(), Relaxed);
        async move {
            sleep(Duration::from_millis(100)).await; // both have asked by then
            let _ = send.write_all(&answer).await;
            let _ = send.finish();
        }
    });
    let script = script.await;
    let peer = peer(&host, ALPN, script).await;
    let (hash, size) = (BlobHash::of(&blob), blob.len() as u64);
    let ids = [peer.id];
    let both = tokio::join!(read(&host, hash, size, 0..size, &ids), read(&host, hash, size, 0..size, &ids));
    assert!(both.0.unwrap() == blob && both.1.unwrap() == blob);
    let sent = sent.load(Relaxed);
    assert!(sent < blob.len() * 5 / 4, "{sent} bytes sent for {}: asked once", blob.len());
}

#[tokio::test]
async fn what_one_provider_sent_before_it_broke_off_is_not_asked_of_the_next() {
    let (host, blob) = (host(&[]).await, noise(2 << 20));
    let (hash, size) = (BlobHash::of(&blob), blob.len() as u64);
    let first = quitter(&host, &blob, 1 << 20).await;
    let failed = host.transfer().start(hash, size, &holders(&host, &[first.id])).finished().await;
    assert!(matches!(&failed, Err(error) if matches!(**error, FetchError::Failed { .. })), "{failed:?}");
    let here = host.store().blobs.parts(hash).await.unwrap().total_bytes();
    assert!(here > 600_000, "{here}");
    let second = provider(&host, &[&blob]).await;
    let job = host.transfer().start(hash, size, &holders(&host, &[second.id]));
    let progress = job.progress.clone();
    job.finished().await.unwrap();
    let received = progress.borrow().received;
    assert!(received <= size - here, "{received} after {here}");
    assert_eq!(host.store().blobs.held(hash).await.unwrap(), Held::Complete(size));
}

#[tokio::test]
async fn a_reader_who_leaves_ends_the_fetch_of_its_range() {
    let (host, blob) = (host(&[]).await, noise(1 << 20));
    let (tell, mut told) = mpsc::channel(64);
    let script = Script::provider(&blob, move |mut send, answer| {
        let tell = tell.clone();
        async move {
            if answer.len() < 20_000 {
                let _ = send.write_all(&answer).await; // the probe
                let _ = send.finish();
                return;
            }
            let _ = send.write_all(&answer[..answer.len() / 2]).await;
            tell.send("asked").await.unwrap();
            let _ = send.stopped().await;
            tell.send("left").await.unwrap();
        }
    });
    let peer = peer(&host, ALPN, script.await).await;
    let (hash, size) = (BlobHash::of(&blob), blob.len() as u64);
    let stream = host.transfer().read(hash, size, 0..size - 1, || holders(&host, &[peer.id])).await.unwrap();
    assert_eq!(timeout(SOON, told.recv()).await.unwrap(), Some("asked"));
    drop(stream);
    while timeout(SOON, told.recv()).await.unwrap() != Some("left") {}
}

#[tokio::test]
async fn a_peer_that_opens_no_stream_is_a_failure_of_its_own_and_not_of_our_disk() {
    let (host, blob) = (host(&[]).await, noise(100_000));
    let script = Script::new(|connection| async move {
        connection.set_max_concurrent_bi_streams(0u32.into());
        sleep(Duration::from_millis(300)).await;
        connection.close(0u32.into(), b"no");
    });
    let closer = peer(&host, ALPN, script).await;
    // Streams are granted with the handshake already, so take them all before the provider takes them back.
    let id = crate::endpoint::to_iroh(closer.id).unwrap();
    let connection = host.transfer().0.pool.get_or_connect(id).await.unwrap();
    let mut taken = Vec::new();
    while let Ok(Ok(stream)) = timeout(Duration::from_millis(50), connection.open_bi()).await {
        taken.push(stream);
    }
    let (hash, size) = (BlobHash::of(&blob), blob.len() as u64);
    let holders = holders(&host, &[closer.id]);
    let failed = host.transfer().start(hash, size, &holders).finished().await.unwrap_err();
    assert!(!matches!(*failed, FetchError::Local { .. }), "{failed}");
}

#[tokio::test]
async fn a_blob_shorter_than_its_manifest_says_ends_the_read_with_an_error() {
    let (host, blob) = (host(&[]).await, noise(100_000));
    let peer = provider(&host, &[&blob]).await;
    let hash = BlobHash::of(&blob);
    for range in [0..200_000, 50_000..200_000, 99_000..100_001] {
        for _ in ["fetched", "here"] {
            assert!(read(&host, hash, 200_000, range.clone(), &[peer.id]).await.is_err(), "{range:?}");
        }
    }
    let job = host.transfer().start(hash, 200_000, &holders(&host, &[peer.id]));
    assert!(matches!(&*job.finished().await.unwrap_err(), FetchError::WrongSize { actual: Some(100_000), .. }));
}

#[tokio::test]
async fn a_blob_longer_than_its_manifest_says_is_not_fetched() {
    let (host, blob) = (host(&[]).await, noise(200_000));
    let peer = provider(&host, &[&blob]).await;
    let job = host.transfer().start(BlobHash::of(&blob), 100_000, &holders(&host, &[peer.id]));
    assert!(matches!(&*job.finished().await.unwrap_err(), FetchError::WrongSize { .. }));
}

#[tokio::test]
async fn who_lacks_one_blob_is_asked_for_the_next_at_once() {
    let (host, blob, other) = (host(&[]).await, noise(100_000), noise(100_000));
    let peer = provider(&host, &[&blob]).await;
    assert!(read(&host, BlobHash::of(&other), 100_000, 0..100_000, &[peer.id]).await.is_err());
    let bytes = read(&host, BlobHash::of(&blob), 100_000, 0..100_000, &[peer.id]).await.unwrap();
    assert!(bytes == blob);
}

#[tokio::test]
async fn a_small_blob_survives_liars_and_a_large_one_is_refused_before_it_is_stored() {
    let (host, blob) = (host(&[]).await, noise(50_000));
    let hash = BlobHash::of(&blob);
    let mut peers = Vec::new();
    for size in [0, 1, 16 << 10, 1 << 20, u64::MAX - 1, u64::MAX] {
        let (_, mut answer) = encoded(&blob).await;
        answer[..8].copy_from_slice(&u64::to_le_bytes(size));
        let script = Script::new(move |connection| {
            let answer = answer.clone();
            async move {
                while let Ok((mut send, _)) = connection.accept_bi().await {
                    let _ = send.write_all(&answer).await;
                    let _ = send.finish();
                }
            }
        });
        peers.push(peer(&host, ALPN, script).await);
    }
    let liars: Vec<_> = peers.iter().map(|peer| peer.id).collect();
    let refused = timeout(SOON, host.transfer().fetch_small(hash, 60_000, &holders(&host, &liars))).await.unwrap();
    assert!(!matches!(refused, Err(FetchError::Local { .. } | FetchError::TooLarge { .. }) | Ok(())), "{refused:?}");
    let honest = provider(&host, &[&blob]).await;
    let all: Vec<_> = liars.iter().copied().chain([honest.id]).collect();
    let refused = host.transfer().fetch_small(hash, 40_000, &holders(&host, &all)).await;
    assert!(matches!(refused, Err(FetchError::TooLarge { size: 50_000, .. })), "{refused:?}");
    assert_eq!(host.store().blobs.held(hash).await.unwrap(), Held::Missing);
    host.transfer().fetch_small(hash, 60_000, &holders(&host, &all)).await.unwrap();
    assert_eq!(host.store().blobs.held(hash).await.unwrap(), Held::Complete(50_000));
}

#[tokio::test]
async fn a_small_blob_is_had_although_many_take_their_time() {
    let (host, blob) = (host(&[]).await, noise(50_000));
    let mut peers = Vec::new();
    for _ in 0..5 {
        let script = Script::new(|connection| async move { drop(connection.closed().await) });
        peers.push(peer(&host, ALPN, script).await);
    }
    let silent = holders(&host, &peers.iter().map(|peer| peer.id).collect::<Vec<_>>());
    assert!(silent.ready(4).await.is_some());
    let honest = provider(&host, &[&blob]).await;
    peers.push(honest);
    let all = holders(&host, &peers.iter().map(|peer| peer.id).collect::<Vec<_>>());
    timeout(SOON, host.transfer().fetch_small(BlobHash::of(&blob), 60_000, &all)).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_range_is_fetched_once_the_first_provider_has_lied_and_the_liar_is_named() {
    let (host, blob) = (host(&[]).await, noise(1 << 20));
    let hash = BlobHash::of(&blob);
    let script = Script::provider(&blob, |mut send, mut answer| {
        *answer.last_mut().unwrap() ^= 1;
        async move {
            let _ = send.write_all(&answer).await;
            let _ = send.finish();
        }
    });
    let script = script.await;
    let liar = peer(&host, ALPN, script).await;
    let alone = read(&host, hash, 1 << 20, 0..1 << 20, &[liar.id]).await.unwrap_err();
    assert!(alone.to_string().contains(&liar.id.to_string()), "{alone}");
    assert_eq!(host.transfer().peers().lies().iter().map(|lie| lie.node).collect::<Vec<_>>(), [liar.id]);
    let honest = provider(&host, &[&blob]).await;
    let bytes = read(&host, hash, 1 << 20, 0..1 << 20, &[liar.id, honest.id]).await.unwrap();
    assert!(bytes == blob);
}

#[tokio::test]
async fn a_look_up_ends_when_everybody_was_tried() {
    let host = host(&[]).await;
    let silent = peer(&host, ALPN, Script::new(|connection| async move { drop(connection.closed().await) })).await;
    let held = holders(&host, &[silent.id]);
    assert_eq!(timeout(SOON, held.ready(0)).await.unwrap(), Some(silent.id));
    assert_eq!(timeout(SOON, held.ready(1)).await.unwrap(), None);
}

#[tokio::test]
async fn what_arrives_in_the_first_moment_outlives_a_kill() {
    let (host, blob) = (host(&[]).await, noise(17 << 20));
    let (hash, size) = (BlobHash::of(&blob), blob.len() as u64);
    let silent = quitter(&host, &blob, 1 << 20).await;
    let job = host.transfer().start(hash, size, &holders(&host, &[silent.id]));
    let here = async || host.store().blobs.parts(hash).await.unwrap().total_bytes();
    crate::testing::wait_until("something is here", async || here().await > 100_000).await;
    // A home as a kill would leave it: the files, and nothing of what is in memory.
    let left = tempfile::tempdir().unwrap();
    let copied = async || {
        let copied = std::process::Command::new("cp").arg("-r").arg(host.home().blobs()).arg(left.path()).status();
        assert!(copied.unwrap().success());
        let blobs = crate::store::Store::open(&crate::home::Home::new(left.path().to_owned())).await.unwrap().blobs;
        blobs.parts(hash).await.unwrap().total_bytes()
    };
    let kept = timeout(Duration::from_millis(400), copied()).await;
    assert!(kept.as_ref().is_ok_and(|kept| *kept > 0), "{kept:?}");
    drop(job);
}

#[tokio::test]
async fn who_falls_silent_keeps_nobody_waiting_once_others_brought_the_rest() {
    let (host, blob) = (host(&[]).await, noise(4 << 20));
    let (hash, size) = (BlobHash::of(&blob), blob.len() as u64);
    let script = Script::provider(&blob, |mut send, answer| async move {
        let sent = if answer.len() < 20_000 { answer.len() } else { 0 }; // the probe, and then nothing
        let _ = send.write_all(&answer[..sent]).await;
        if sent == 0 {
            let _ = timeout(4 * SOON, send.stopped()).await;
        }
        let _ = send.finish();
    });
    let silent = peer(&host, ALPN, script.await).await;
    let honest = provider(&host, &[&blob]).await;
    let job = host.transfer().start(hash, size, &holders(&host, &[silent.id, honest.id]));
    let (progress, began) = (job.progress.clone(), std::time::Instant::now());
    job.finished().await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let sources = progress.borrow().sources.clone();
    let trouble = sources.iter().find(|source| source.node == silent.id).and_then(|source| source.trouble.clone());
    assert!(trouble.is_some(), "{sources:?}");
}
