//! The bytes of one entry: `checksum (8) ‖ expiry (8, seconds, big endian) ‖ payload`.
//!
//! The checksum covers the place of the entry too, so that one cannot pass for another. sled has lost and mixed up pages
//! after a kill.

use sled::IVec;

use super::Provider;

/// Bytes of checksum before every entry.
const CHECKSUM: usize = 8;
/// Bytes of checksum and expiry before the payload of an entry.
const HEADER: usize = CHECKSUM + 8;

pub(super) fn payload_len(entry: &IVec) -> usize {
    entry.len().saturating_sub(HEADER)
}

fn checksum(place: &[u8], rest: &[u8]) -> [u8; CHECKSUM] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(place).update(rest);
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(&hasher.finalize().as_bytes()[..CHECKSUM]);
    sum
}

pub(super) fn seal(place: &[u8], expires: u64, payload: &[u8]) -> Vec<u8> {
    let mut entry = vec![0; CHECKSUM];
    entry.extend_from_slice(&expires.to_be_bytes());
    entry.extend_from_slice(payload);
    let sum = checksum(place, &entry[CHECKSUM..]);
    entry[..CHECKSUM].copy_from_slice(&sum);
    entry
}

/// Returns expiry and payload of an undamaged entry.
pub(super) fn open<'a>(place: &[u8], entry: &'a [u8]) -> Option<(u64, &'a [u8])> {
    let (sum, rest) = entry.split_at_checked(CHECKSUM)?;
    let (expires, payload) = rest.split_first_chunk()?;
    (sum == checksum(place, rest)).then(|| (u64::from_be_bytes(*expires), payload))
}

pub(super) fn open_provider(place: &[u8], entry: &[u8]) -> Option<Provider> {
    let (expires, payload) = open(place, entry)?;
    Some(Provider { node: *place.last_chunk()?, addresses: split(payload), expires })
}

pub(super) fn join(addresses: &[Vec<u8>]) -> Vec<u8> {
    let mut joined = Vec::new();
    for address in addresses {
        if let Ok(length) = u8::try_from(address.len()) {
            joined.push(length);
            joined.extend_from_slice(address);
        }
    }
    joined
}

fn split(mut joined: &[u8]) -> Vec<Vec<u8>> {
    let mut addresses = Vec::new();
    while let Some((length, rest)) = joined.split_first()
        && let Some((address, rest)) = rest.split_at_checked(usize::from(*length))
    {
        addresses.push(address.to_vec());
        joined = rest;
    }
    addresses
}
