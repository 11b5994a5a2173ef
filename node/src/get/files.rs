//! Fetching the files of a revision that are not here: small ones many at a time, large ones from many peers each.

use std::{
    collections::{BTreeMap, HashMap},
    io::Cursor,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use huddle_protocol::{BlobHash, FileEntry, Inspection, NodeId};

use super::GetError;
use crate::{
    events::{Event, Events},
    home::check_room,
    node::Node,
    resolve::Resolved,
    store::Held,
    transfer::{FetchError, Holders, Progress, SMALL, Source, State},
};

/// How many large files are fetched at once.
const AT_ONCE: usize = 4;
/// How many files are looked up in the store, or hashed for strangers, at once.
const LOOK_UPS: usize = 64;
/// From how many files on it pays to ask first what is here at all.
const MANY: usize = 256;
/// A disk with less room than this (16 MiB) counts as full.
const FULL: u64 = 16 << 20;
/// How many bytes of small files stay in memory until they are written out (32 MiB).
const AT_HAND: usize = 32 << 20;
/// How often is told who sends what.
const TELL: Duration = Duration::from_millis(500);

/// What was fetched, and from whom.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    pub(super) bytes: u64,
    pub(super) sources: Vec<Source>,
    /// What was found in small files as they arrived.
    pub(super) inspected: HashMap<BlobHash, Inspection>,
    /// Small files that need not be read again to be written out.
    pub(super) at_hand: HashMap<BlobHash, Bytes>,
}

/// Small files that arrived.
#[derive(Debug, Default)]
struct Arrived {
    /// What was found in each, by its size too.
    found: HashMap<(BlobHash, u64), Option<Inspection>>,
    at_hand: HashMap<BlobHash, Bytes>,
    /// How many more bytes are kept at hand.
    room: usize,
}

impl Arrived {
    fn add(&mut self, blob: BlobHash, bytes: &Bytes) {
        let size = bytes.len();
        let found = huddle_protocol::inspect(&mut Cursor::new(bytes), size as u64).ok();
        self.found.insert((blob, size as u64), found);
        if size <= self.room {
            self.room -= size;
            self.at_hand.insert(blob, bytes.clone());
        }
    }
}

/// Adds up what each peer brought.
#[derive(Debug, Default)]
struct Tally(Mutex<(u64, BTreeMap<NodeId, Source>)>);

impl Tally {
    fn add(&self, progress: &Progress) {
        let mut tally = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tally.0 += progress.received;
        for source in &progress.sources {
            let sum = tally.1.entry(source.node).or_insert_with(|| Source { bytes: 0, ..source.clone() });
            let bytes = sum.bytes + source.bytes;
            // What went wrong in one file is not undone by another.
            if sum.trouble.is_none() || source.state == State::Lied {
                *sum = source.clone();
            }
            sum.bytes = bytes;
        }
    }

    fn finish(self) -> Fetched {
        let (bytes, sources) = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut sources: Vec<_> =
            sources.into_values().filter(|source| source.bytes > 0 || source.trouble.is_some()).collect();
        sources.sort_by_key(|source| std::cmp::Reverse(source.bytes));
        Fetched { bytes, sources, ..Fetched::default() }
    }
}

impl Node {
    /// Fetches what is missing of these files, announcing at once that (part of) the revision is here.
    pub(super) async fn fetch_files(
        &self,
        resolved: &Resolved,
        files: &[&FileEntry],
        events: &Events,
    ) -> Result<Fetched, GetError> {
        let missing = self.missing(files).await?;
        check_room(&self.home().blobs(), missing.iter().filter(|(.., is_new)| *is_new).map(|(_, size, _)| size).sum())?;
        self.keep(resolved).await?;
        let (tally, mut arrived) = (Tally::default(), Arrived::default());
        if missing.is_empty() {
            self.fetch_all(resolved, files, &arrived, None, &tally, events).await?;
        } else {
            let largest = files.iter().max_by_key(|file| file.size).map(|file| file.blake3);
            let holders = self.holders(resolved, largest);
            arrived = self.fetch_small_ones(files, &missing, &holders, &tally, events).await?;
            self.fetch_all(resolved, files, &arrived, Some(&holders), &tally, events).await?;
        }
        self.store().flush().await?;
        let inspected = arrived.found.into_iter().filter_map(|((blob, _), found)| Some((blob, found?))).collect();
        Ok(Fetched { inspected, at_hand: arrived.at_hand, ..tally.finish() })
    }

    /// Returns the blobs that are not here in full, each once: its size, and whether nothing of it is here.
    async fn missing(&self, files: &[&FileEntry]) -> Result<Vec<(BlobHash, u64, bool)>, GetError> {
        let blobs: HashMap<_, _> = files.iter().map(|file| (file.blake3, file.size)).collect();
        // Where there is little, what is there is one question instead of thousands.
        let here = if blobs.len() > MANY { self.store().blobs.all(blobs.len()).await? } else { None };
        let held = async |(blob, size)| {
            let is_elsewhere = here.as_ref().is_some_and(|here| !here.contains(&blob));
            let held = if is_elsewhere { Held::Missing } else { self.store().blobs.held(blob).await? };
            Ok::<_, GetError>((blob, size, held))
        };
        let held = stream::iter(blobs).map(held).buffer_unordered(LOOK_UPS);
        let missing = held.try_filter_map(async |(blob, size, held)| {
            Ok(match held {
                Held::Complete(_) => None,
                held => Some((blob, size, held == Held::Missing)),
            })
        });
        missing.try_collect().await
    }

    /// Fetches small files many at a time; returns those that somebody delivered.
    async fn fetch_small_ones(
        &self,
        files: &[&FileEntry],
        missing: &[(BlobHash, u64, bool)],
        holders: &Holders,
        tally: &Tally,
        events: &Events,
    ) -> Result<Arrived, GetError> {
        let small: Vec<_> =
            missing.iter().filter(|(_, size, _)| *size <= SMALL).map(|(blob, size, _)| (*blob, *size)).collect();
        if small.len() < 2 {
            return Ok(Arrived::default());
        }
        let of: HashMap<_, _> = files.iter().map(|file| (file.blake3, *file)).collect();
        let brought: Mutex<BTreeMap<NodeId, u64>> = Mutex::default();
        let next_lie = self.transfer().peers().next_lie();
        let began = Instant::now();
        let arrived = Mutex::new(Arrived { room: AT_HAND, ..Arrived::default() });
        let is_here = |blob, bytes: &Bytes, node| {
            let Some(file) = of.get(&blob) else { return };
            arrived.lock().unwrap_or_else(PoisonError::into_inner).add(blob, bytes);
            *brought.lock().unwrap_or_else(PoisonError::into_inner).entry(node).or_default() += file.size;
            events.file(file.path.as_str(), file.size, file.size);
        };
        let left = self.transfer().fetch_many(small, holders, is_here).await;
        for lie in self.transfer().peers().lies_since(next_lie) {
            if let Some(file) = of.get(&lie.blob) {
                events.tell(Event::Lie { node: lie.node, file: file.path.to_string() }).await;
            }
        }
        left.map_err(|source| GetError::Fetch { path: "the small files".into(), source: Arc::new(source) })?;
        let seconds = began.elapsed().as_secs_f64().max(0.001);
        let brought = brought.into_inner().unwrap_or_else(PoisonError::into_inner);
        let source = |(node, bytes): (&NodeId, &u64)| Source {
            node: *node,
            path: String::new(),
            bytes: *bytes,
            speed: (*bytes as f64 / seconds) as u64,
            state: State::Waiting,
            trouble: None,
        };
        let sources = brought.iter().map(source).collect();
        tally.add(&Progress { received: brought.values().sum(), sources, ..Progress::default() });
        Ok(arrived.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Goes through all files: fetches what did not arrive yet, and hashes what its publisher does not vouch for.
    async fn fetch_all(
        &self,
        resolved: &Resolved,
        files: &[&FileEntry],
        arrived: &Arrived,
        holders: Option<&Holders>,
        tally: &Tally,
        events: &Events,
    ) -> Result<(), GetError> {
        let (large, small): (Vec<_>, Vec<_>) = files.iter().partition(|file| file.size > SMALL);
        let work = async |file: &&FileEntry| {
            if !arrived.found.contains_key(&(file.blake3, file.size)) {
                self.fetch_file(resolved, file, holders, tally, events).await?;
            }
            if resolved.must_check() {
                self.check(resolved, file).await?;
            }
            Ok(())
        };
        stream::iter(small.iter().map(Ok)).try_for_each_concurrent(LOOK_UPS, &work).await?;
        stream::iter(large.iter().map(Ok)).try_for_each_concurrent(AT_ONCE, &work).await
    }

    /// Fetches one file unless it is here.
    async fn fetch_file(
        &self,
        resolved: &Resolved,
        file: &FileEntry,
        holders: Option<&Holders>,
        tally: &Tally,
        events: &Events,
    ) -> Result<(), GetError> {
        let name = file.path.as_str();
        let held = self.store().blobs.held(file.blake3).await?;
        if let Held::Complete(actual) = held {
            if actual != file.size {
                let source = FetchError::WrongSize { blob: file.blake3, claimed: file.size, actual: Some(actual) };
                return Err(GetError::Fetch { path: name.to_owned(), source: Arc::new(source) });
            }
            events.file(name, file.size, file.size);
            return Ok(());
        }
        let here = match held {
            Held::Partial => self.store().blobs.parts(file.blake3).await?.total_bytes(), // of an earlier try
            _ => 0,
        };
        let own = holders.is_none().then(|| self.holders(resolved, Some(file.blake3)));
        let Some(holders) = holders.or(own.as_ref()) else { return Ok(()) };
        let job = self.transfer().start(file.blake3, file.size, holders);
        let mut progress = job.progress.clone();
        let mut finished = std::pin::pin!(job.finished());
        let next_lie = self.transfer().peers().next_lie();
        let mut told = Instant::now();
        let result = loop {
            tokio::select! {
                result = &mut finished => break result,
                Ok(()) = progress.changed() => {
                    let now = progress.borrow_and_update().clone();
                    events.file(name, (here + now.received).min(file.size), file.size);
                    if told.elapsed() >= TELL {
                        told = Instant::now();
                        events.sources(name, now.sources);
                    }
                }
            }
        };
        tally.add(&progress.borrow());
        for lie in self.transfer().peers().lies_since(next_lie).into_iter().filter(|lie| lie.blob == file.blake3) {
            events.tell(Event::Lie { node: lie.node, file: name.to_owned() }).await;
        }
        if let Err(source) = result {
            if matches!(*source, FetchError::Local { .. }) {
                // The store says only that it cannot go on; a full disk is the likely reason, and has a way out.
                check_room(&self.home().blobs(), file.size.max(FULL))?;
            }
            return Err(GetError::Fetch { path: name.to_owned(), source });
        }
        events.file(name, file.size, file.size);
        Ok(())
    }
}
