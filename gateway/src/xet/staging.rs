//! Xorbs between their upload and the shard that says which files they are.
//!
//! Each upload has an *area* of its own, so that what one client sends, another can neither use nor remove. A xorb leaves
//! when its area has been quiet for longer than a ticket holds. One whose files were assembled leaves earlier when
//! uploads of the same token want its room, and never for another's. Whoever reads one holds it: its file goes when the
//! last holder lets go.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    ops::Range,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tempfile::{NamedTempFile, TempPath};
use tracing::warn;

use super::{
    error::CasError,
    hash::XetHash,
    quota::{Quota, Reservation},
    xorb::{ChunkEntry, MAX_CHUNKS},
};
use crate::options::XetOptions;

/// How long an area may be quiet until its assembled xorbs go: a client that goes on, which it can with the ticket it has,
/// refers to what it sent before.
const SETTLED: Duration = super::ticket::LIFE;
/// How long an area may be quiet until all of it goes: the client is not coming back.
const ABANDONED: Duration = Duration::from_secs(6 * 3600);

/// Whose upload: the token's owner, and the part of the URL that the token route made up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AreaId {
    pub(super) owner: String,
    pub(super) generation: String,
}

/// A verified xorb on disk, its chunks first and then what is known of each.
#[derive(Debug)]
pub(super) struct StagedXorb {
    path: TempPath,
    entries_at: u64,
    chunks: u32,
    reserved: Reservation,
}

impl StagedXorb {
    /// Stores what `Intake` verified.
    pub(super) fn store(mut file: NamedTempFile, chunks: &[ChunkEntry], mut reserved: Reservation) -> io::Result<Self> {
        let entries: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.to_bytes()).collect();
        file.write_all(&entries)?;
        let entries_at = chunks.last().map_or(0, |chunk| u64::from(chunk.end));
        reserved.shrink(entries_at + entries.len() as u64);
        Ok(Self { path: file.into_temp_path(), entries_at, chunks: chunks.len() as u32, reserved })
    }

    /// Returns where some chunks begin among the stored bytes, and what is known of each; nothing if there are not as
    /// many.
    pub(super) fn chunks(&self, range: &Range<u32>) -> io::Result<Option<(u32, Vec<ChunkEntry>)>> {
        if range.is_empty() || range.end > self.chunks || range.end as usize > MAX_CHUNKS {
            return Ok(None);
        }
        // The end of the chunk before is where the first begins.
        let first = range.start.saturating_sub(1);
        let mut file = self.open_at(self.entries_at + u64::from(first) * ChunkEntry::LEN as u64)?;
        let mut bytes = vec![0; (range.end - first) as usize * ChunkEntry::LEN];
        file.read_exact(&mut bytes)?;
        let mut entries: Vec<_> = bytes.as_chunks().0.iter().map(ChunkEntry::from_bytes).collect();
        let start = if range.start == 0 { 0 } else { entries.remove(0).end };
        Ok(Some((start, entries)))
    }

    /// Opens the stored bytes at a place.
    pub(super) fn open_at(&self, place: u64) -> io::Result<File> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(place))?;
        Ok(file)
    }
}

#[derive(Debug)]
struct Held {
    xorb: Arc<StagedXorb>,
    /// Whether files of it are in.
    is_assembled: bool,
}

/// One upload.
#[derive(Debug)]
struct Area {
    xorbs: HashMap<XetHash, Held>,
    /// Shards whose files are all in: a client that missed the answer asks again.
    finished: HashSet<blake3::Hash>,
    used: Instant,
}

#[derive(Debug, Default)]
struct State {
    areas: HashMap<AreaId, Area>,
    /// What each owner has that is in files already.
    assembled: HashMap<String, Assembled>,
    /// Whether somebody sweeps.
    is_swept: bool,
}

/// The xorbs of one owner whose files are in, the oldest first, and their bytes.
#[derive(Debug, Default)]
struct Assembled {
    xorbs: VecDeque<(AreaId, XetHash)>,
    bytes: u64,
}

/// All uploads under way.
#[derive(Debug)]
pub(super) struct Staging {
    folder: Option<PathBuf>,
    limits: XetOptions,
    quota: Quota,
    state: Mutex<State>,
}

impl Staging {
    /// Starts with nothing: what an earlier process left is removed.
    pub(super) fn new(folder: Option<PathBuf>, limits: XetOptions) -> Self {
        if let Some(folder) = &folder
            && let Err(error) = std::fs::remove_dir_all(folder)
            && error.kind() != io::ErrorKind::NotFound
        {
            warn!(folder = %folder.display(), %error, "old uploads cannot be removed");
        }
        let quota = Quota::new(limits.per_token, limits.total);
        Self { folder, limits, quota, state: Mutex::default() }
    }

    pub(super) fn limits(&self) -> &XetOptions {
        &self.limits
    }

    /// Sets room aside for an upload; assembled xorbs of the same owner make way.
    pub(super) fn reserve(&self, owner: &str, bytes: u64) -> Result<Reservation, CasError> {
        loop {
            match self.quota.reserve(owner, bytes) {
                Ok(reserved) => return Ok(reserved),
                Err(full) => {
                    if !self.lock().drop_oldest(owner) {
                        return Err(CasError::NoRoom(full));
                    }
                }
            }
        }
    }

    /// Reports whether there may be uploads at all.
    pub(super) fn is_open(&self) -> bool {
        self.folder.is_some()
    }

    /// Makes a file for a xorb; it goes when it is dropped.
    pub(super) fn file(&self) -> Result<NamedTempFile, CasError> {
        let folder = self.folder.as_ref().ok_or(CasError::NoRoom("this gateway takes no uploads"))?;
        std::fs::create_dir_all(folder)?;
        Ok(NamedTempFile::new_in(folder)?)
    }

    /// Keeps a xorb; returns whether it is new.
    pub(super) fn insert(&self, area: AreaId, hash: XetHash, xorb: StagedXorb) -> bool {
        let mut state = self.lock();
        let new = Area { xorbs: HashMap::new(), finished: HashSet::new(), used: Instant::now() };
        let area = state.areas.entry(area).or_insert(new);
        area.used = Instant::now();
        if area.xorbs.contains_key(&hash) {
            return false;
        }
        area.xorbs.insert(hash, Held { xorb: Arc::new(xorb), is_assembled: false });
        true
    }

    /// Returns a xorb of an upload.
    pub(super) fn xorb(&self, area: &AreaId, hash: &XetHash) -> Option<Arc<StagedXorb>> {
        let mut state = self.lock();
        let area = state.areas.get_mut(area)?;
        area.used = Instant::now();
        area.xorbs.get(hash).map(|held| held.xorb.clone())
    }

    /// Reports whether the files of this shard are all in.
    pub(super) fn is_finished(&self, area: &AreaId, shard: &blake3::Hash) -> bool {
        self.lock().areas.get(area).is_some_and(|area| area.finished.contains(shard))
    }

    /// Notes that the files of a shard, which are of these xorbs, are all in.
    pub(super) fn finish(&self, id: &AreaId, shard: blake3::Hash, xorbs: HashSet<XetHash>) {
        let mut state = self.lock();
        let State { areas, assembled, .. } = &mut *state;
        if let Some(area) = areas.get_mut(id) {
            let assembled = assembled.entry(id.owner.clone()).or_default();
            area.used = Instant::now();
            area.finished.insert(shard);
            for hash in xorbs {
                let Some(held) = area.xorbs.get_mut(&hash) else { continue };
                if !std::mem::replace(&mut held.is_assembled, true) {
                    assembled.bytes += held.xorb.reserved.bytes();
                    assembled.xorbs.push_back((id.clone(), hash));
                }
            }
        }
        let is_too_much =
            |state: &State| state.assembled.get(&id.owner).is_some_and(|own| own.bytes > self.limits.kept);
        while is_too_much(&state) && state.drop_oldest(&id.owner) {}
    }

    /// Has the uploads looked through now and then, as long as there are some.
    pub(super) fn keep_sweeping(self: &Arc<Self>) {
        if std::mem::replace(&mut self.lock().is_swept, true) {
            return;
        }
        let staging = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(60)).await;
                let Some(staging) = staging.upgrade() else { return };
                staging.sweep(Instant::now());
                let mut state = staging.lock();
                if state.areas.is_empty() {
                    state.is_swept = false;
                    return;
                }
            }
        });
    }

    fn sweep(&self, now: Instant) {
        let mut state = self.lock();
        let quiet = |area: &Area| now.saturating_duration_since(area.used);
        let quiet: HashMap<_, _> = state.areas.iter().map(|(id, area)| (id.clone(), quiet(area))).collect();
        let is_quiet = |id: &AreaId, limit| quiet.get(id).is_some_and(|quiet| *quiet >= limit);
        state.drop_assembled(|id| is_quiet(id, SETTLED));
        state.areas.retain(|id, area| {
            let is_over = is_quiet(id, ABANDONED) || (area.xorbs.is_empty() && is_quiet(id, SETTLED));
            !is_over
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What is guarded is whole after every statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Drops the xorb of an owner that was assembled first; returns whether there was one.
    fn drop_oldest(&mut self, owner: &str) -> bool {
        let Some(assembled) = self.assembled.get_mut(owner) else { return false };
        let Some((id, hash)) = assembled.xorbs.pop_front() else { return false };
        if let Some(held) = self.areas.get_mut(&id).and_then(|area| area.xorbs.remove(&hash)) {
            assembled.bytes = assembled.bytes.saturating_sub(held.xorb.reserved.bytes());
        }
        true
    }

    fn drop_assembled(&mut self, which: impl Fn(&AreaId) -> bool) {
        for assembled in self.assembled.values_mut() {
            let Assembled { xorbs, bytes } = assembled;
            xorbs.retain(|(id, hash)| {
                if !which(id) {
                    return true;
                }
                if let Some(held) = self.areas.get_mut(id).and_then(|area| area.xorbs.remove(hash)) {
                    *bytes = bytes.saturating_sub(held.xorb.reserved.bytes());
                }
                false
            });
        }
        self.assembled.retain(|_, assembled| !assembled.xorbs.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xet::{
        hash::XetHash,
        xorb::{Intake, writing::xorb},
    };

    fn area(owner: &str) -> AreaId {
        AreaId { owner: owner.to_owned(), generation: "one".to_owned() }
    }

    /// Stages a xorb of one chunk and returns its hash.
    fn stage(staging: &Staging, owner: &str, chunk: &[u8]) -> XetHash {
        let (hash, bytes) = xorb(&[chunk]);
        let mut intake = Intake::new(staging.file().unwrap());
        intake.push(&bytes).unwrap();
        let (file, chunks) = intake.finish(hash).unwrap();
        let reserved = staging.reserve(owner, bytes.len() as u64).unwrap();
        assert!(staging.insert(area(owner), hash, StagedXorb::store(file, &chunks, reserved).unwrap()));
        hash
    }

    fn waiting(folder: &std::path::Path) -> usize {
        std::fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn what_is_assembled_goes_soon_and_what_is_abandoned_later() {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::new(Some(folder.path().to_owned()), XetOptions::default());
        let done = stage(&staging, "ada", b"done");
        stage(&staging, "ada", b"not done");
        let held = staging.xorb(&area("ada"), &done).unwrap();
        staging.finish(&area("ada"), blake3::hash(b"a shard"), HashSet::from([done]));
        staging.sweep(Instant::now() + SETTLED / 2);
        assert_eq!(waiting(folder.path()), 2);
        staging.sweep(Instant::now() + SETTLED);
        assert!(staging.xorb(&area("ada"), &done).is_none());
        assert_eq!(waiting(folder.path()), 2, "somebody reads it");
        drop(held);
        assert_eq!(waiting(folder.path()), 1);
        staging.sweep(Instant::now() + ABANDONED);
        assert_eq!(waiting(folder.path()), 0);
        let state = staging.lock();
        assert!(state.areas.is_empty() && state.assembled.is_empty());
    }

    #[test]
    fn what_is_assembled_makes_way_for_its_owner_only_and_outlives_every_pause_of_a_ticket() {
        let folder = tempfile::tempdir().unwrap();
        let mib = 1 << 20;
        let limits = XetOptions { per_token: 2 * mib, kept: 8 * mib, total: 4 * mib, ..XetOptions::default() };
        let staging = Staging::new(Some(folder.path().to_owned()), limits);
        let ada = [stage(&staging, "ada", b"1"), stage(&staging, "ada", b"2")];
        let bob = [stage(&staging, "bob", b"1"), stage(&staging, "bob", b"2")];
        let has = |owner, hash| staging.xorb(&area(owner), hash).is_some();
        staging.finish(&area("ada"), blake3::hash(b"a shard"), HashSet::from(ada));
        assert!(staging.reserve("bob", 1).is_err() && staging.reserve("carl", 1).is_err());
        assert!(ada.iter().all(|hash| has("ada", hash)), "they are another's");
        staging.finish(&area("bob"), blake3::hash(b"a shard"), HashSet::from([bob[0]]));
        let _reserved = staging.reserve("bob", 1).unwrap();
        assert!(!has("bob", &bob[0]) && has("bob", &bob[1]) && ada.iter().all(|hash| has("ada", hash)));
        staging.sweep(Instant::now() + Duration::from_secs(3599));
        assert!(ada.iter().all(|hash| has("ada", hash)));
    }

    #[test]
    fn an_upload_whose_files_are_all_in_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::new(Some(folder.path().to_owned()), XetOptions::default());
        let done = stage(&staging, "ada", b"done");
        let shard = blake3::hash(b"a shard");
        staging.finish(&area("ada"), shard, HashSet::from([done]));
        assert!(staging.is_finished(&area("ada"), &shard) && !staging.is_finished(&area("bob"), &shard));
        staging.sweep(Instant::now() + SETTLED);
        assert!(staging.lock().areas.is_empty());
    }

    #[test]
    fn ranges_of_chunks_are_read_back_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::new(Some(folder.path().to_owned()), XetOptions::default());
        let (hash, bytes) = xorb(&[b"one", b"three", b"four"]);
        let mut intake = Intake::new(staging.file().unwrap());
        intake.push(&bytes).unwrap();
        let (file, chunks) = intake.finish(hash).unwrap();
        let staged = StagedXorb::store(file, &chunks, staging.reserve("ada", 1).unwrap()).unwrap();
        for range in [0..3, 0..1, 1..2, 2..3, 1..3] {
            let start = if range.start == 0 { 0 } else { chunks[range.start as usize - 1].end };
            let expected = chunks[range.start as usize..range.end as usize].to_vec();
            assert_eq!(staged.chunks(&range).unwrap(), Some((start, expected)), "{range:?}");
        }
        for range in [0..4, 3..4, 3..3, 0..u32::MAX, u32::MAX - 1..u32::MAX] {
            assert_eq!(staged.chunks(&range).unwrap(), None, "{range:?}");
        }
    }
}
