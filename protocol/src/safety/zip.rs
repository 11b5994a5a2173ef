//! The entries of zip archives: torch keeps its checkpoints in such, numpy sets of arrays.
//!
//! Readers of archives differ in which of several directories they use, in where they count offsets from, and in whether
//! they believe the directory or the entry itself. Whatever any of them could find is looked at, and an archive that
//! contradicts itself is said to.

use std::{
    collections::BTreeSet,
    io::{self, ErrorKind, Read, Seek, SeekFrom},
};

use super::{Found, wrapped};

/// How far from the end a directory may be announced: the record and the longest comment, in bytes.
const TAIL: u64 = 22 + 0xffff;
/// The most announcements, entries, and bytes of directories that are looked at.
const MAX_ENDS: usize = 16;
const MAX_ENTRIES: usize = 200_000;
const MAX_DIRECTORY: u64 = 64 << 20;

const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";
const LOCATOR_64: &[u8] = b"PK\x06\x07";
const IN_DIRECTORY: &[u8] = b"PK\x01\x02";
const ENTRY: &[u8] = b"PK\x03\x04";

/// Where an entry is, as some directory says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: u64,
    method: u16,
    packed: u64,
    name: Vec<u8>,
}

/// Where a directory is, how long, and from where it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Directory {
    at: u64,
    length: u64,
    base: u64,
}

/// Looks at every entry of an archive.
///
/// # Errors
/// If the file cannot be read.
pub(super) fn inspect<R: Read + Seek>(file: &mut R, size: u64, found: &mut Found, budget: &mut u64) -> io::Result<()> {
    let mut entries = BTreeSet::new();
    let mut is_sound = true;
    let mut of_entries = Found::default();
    for directory in directories(file, size, &mut is_sound)? {
        is_sound &= read_directory(file, directory, &mut entries)?;
        if entries.len() >= MAX_ENTRIES || directory.length > MAX_DIRECTORY && !entries.is_empty() {
            of_entries.is_pickle = true; // what is beyond could be
            of_entries.problem("it is an archive of more entries than are looked at");
        }
    }
    for entry in &entries {
        is_sound &= look_at(file, entry, &mut of_entries, budget)?;
        if *budget == 0 {
            break;
        }
    }
    if !of_entries.is_pickle {
        return Ok(()); // no pickle in it: what else is wrong with an archive is not our business
    }
    found.is_pickle = true;
    of_entries.imports.into_keys().for_each(|(module, name)| found.import(module, name));
    if !is_sound {
        found.problem("it is an archive that contradicts itself");
    }
    if let Some(problem) = of_entries.problem {
        found.problem(problem);
    }
    Ok(())
}

/// Returns every place where some reader would look for the directory.
fn directories<R: Read + Seek>(file: &mut R, size: u64, is_sound: &mut bool) -> io::Result<BTreeSet<Directory>> {
    let from = size.saturating_sub(TAIL);
    let tail = read_at(file, from, size - from)?;
    let mut ends: Vec<_> = tail.windows(4).enumerate().filter(|(_, word)| *word == END).map(|(at, _)| at).collect();
    *is_sound &= ends.len() == 1;
    ends.reverse();
    ends.truncate(MAX_ENDS);
    let mut directories = BTreeSet::new();
    for at in ends {
        let Some(end) = tail.get(at..at + 22) else { continue };
        let at = from + at as u64;
        let (length, offset) = (u64::from(u32_at(end, 12)), u64::from(u32_at(end, 16)));
        let mut add = |at: u64, length: u64, offset: u64| {
            directories.insert(Directory { at: offset, length, base: 0 });
            // With something before the archive, offsets may count from where it begins.
            if let Some(actual) = at.checked_sub(length)
                && actual != offset
            {
                directories.insert(Directory { at: actual, length, base: actual.saturating_sub(offset) });
            }
        };
        let locator = if at >= 20 { read_at(file, at - 20, 20)? } else { Vec::new() };
        let mut is_large = false;
        if locator.len() == 20 && locator.starts_with(LOCATOR_64) {
            for place in [u64_at(&locator, 8), at.saturating_sub(20 + 56)] {
                let end = read_at(file, place, 56)?;
                if end.len() == 56 && end.starts_with(END_64) {
                    add(place, u64_at(&end, 40), u64_at(&end, 48));
                    is_large = true;
                }
            }
        }
        if !is_large || (length, offset) != (u64::from(u32::MAX), u64::from(u32::MAX)) {
            // Some writers fill in both.
            let at = if is_large { length.saturating_add(offset) } else { at };
            add(at, length, offset);
        }
    }
    Ok(directories)
}

/// Adds the entries of a directory; reports whether it is one.
fn read_directory<R: Read + Seek>(
    file: &mut R,
    directory: Directory,
    entries: &mut BTreeSet<Entry>,
) -> io::Result<bool> {
    let bytes = read_at(file, directory.at, directory.length.min(MAX_DIRECTORY))?;
    let mut rest = &bytes[..];
    while rest.starts_with(IN_DIRECTORY) {
        let Some((fixed, after)) = rest.split_at_checked(46) else { return Ok(false) };
        let lengths = [28, 30, 32].map(|at| usize::from(u16_at(fixed, at)));
        let Some((variable, next)) = after.split_at_checked(lengths.iter().sum()) else { return Ok(false) };
        if entries.len() >= MAX_ENTRIES {
            return Ok(false);
        }
        let (name, extra) = variable.split_at(lengths[0]);
        let (mut packed, unpacked) = (u64::from(u32_at(fixed, 20)), u32_at(fixed, 24));
        let mut at = u64::from(u32_at(fixed, 42));
        if let Some(mut large) = extra_64(&extra[..lengths[1]]) {
            let mut next = || {
                let (first, rest) = large.split_at_checked(8)?;
                large = rest;
                Some(u64_at(first, 0))
            };
            if unpacked == u32::MAX {
                next();
            }
            if packed == u64::from(u32::MAX) {
                packed = next().unwrap_or(packed);
            }
            if at == u64::from(u32::MAX) {
                at = next().unwrap_or(at);
            }
        }
        let at = at.saturating_add(directory.base);
        entries.insert(Entry { at, method: u16_at(fixed, 10), packed, name: name.to_vec() });
        rest = next;
    }
    Ok(rest.is_empty() && directory.length <= MAX_DIRECTORY && bytes.len() as u64 == directory.length)
}

/// Returns the field for sizes of more than 32 bits.
fn extra_64(mut extra: &[u8]) -> Option<&[u8]> {
    while let Some((head, rest)) = extra.split_at_checked(4) {
        let (field, after) = rest.split_at_checked(usize::from(u16_at(head, 2)))?;
        if u16_at(head, 0) == 1 {
            return Some(field);
        }
        extra = after;
    }
    None
}

/// Looks at an entry; reports whether it agrees with its directory.
fn look_at<R: Read + Seek>(file: &mut R, entry: &Entry, found: &mut Found, budget: &mut u64) -> io::Result<bool> {
    let head = read_at(file, entry.at, 30)?;
    if head.len() < 30 || !head.starts_with(ENTRY) {
        return Ok(false);
    }
    let (name, extra) = (u64::from(u16_at(&head, 26)), u64::from(u16_at(&head, 28)));
    let start = entry.at + 30;
    let is_same = read_at(file, start, name)? == entry.name;
    let own_method = u16_at(&head, 8);
    for method in BTreeSet::from([entry.method, own_method]) {
        file.seek(SeekFrom::Start(start + name + extra))?;
        let packed = file.by_ref().take(entry.packed);
        match method {
            0 => wrapped::inspect(&mut { packed }, found, budget)?,
            8 => wrapped::inspect(&mut wrapped::deflated(packed), found, budget)?,
            // Readers that know more ways of compression go by the names of such entries.
            _ if [".pkl", ".npy", ".pickle"].iter().any(|end| entry.name.ends_with(end.as_bytes())) => {
                found.is_pickle = true;
                found.problem("an entry of it is compressed in a way that is not read here");
            }
            _ => {}
        }
    }
    Ok(is_same && own_method == entry.method)
}

/// Reads up to `length` bytes, fewer at the end of the file.
fn read_at<R: Read + Seek>(file: &mut R, at: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match file.seek(SeekFrom::Start(at)) {
        Ok(_) => drop(file.by_ref().take(length).read_to_end(&mut bytes)?),
        Err(error) if error.kind() == ErrorKind::InvalidInput => {} // beyond what any file can have
        Err(error) => return Err(error),
    }
    Ok(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
