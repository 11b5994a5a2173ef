//! Base64 that comes in pieces of any length. Pure.

use bytes::Bytes;
use data_encoding::BASE64;

use crate::error::ApiError;

/// What four characters stand for.
const GROUP: usize = 4;

/// Decodes as text comes.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// The start of a group whose end has not come, less than four characters.
    rest: Vec<u8>,
    /// Whether the padding was seen: nothing may follow.
    is_padded: bool,
}

impl Decoder {
    /// Decodes the groups that are whole.
    pub(super) fn decode(&mut self, text: &[u8]) -> Result<Bytes, ApiError> {
        let missing = (GROUP - self.rest.len()) % GROUP;
        let (first, text) = text.split_at(missing.min(text.len()));
        self.rest.extend_from_slice(first);
        let mut bytes = Vec::with_capacity(text.len() / GROUP * 3 + 3);
        if self.rest.len() == GROUP {
            let rest = std::mem::take(&mut self.rest);
            self.append(&rest, &mut bytes)?;
        }
        let (whole, rest) = text.split_at(text.len() / GROUP * GROUP);
        self.append(whole, &mut bytes)?;
        self.rest.extend_from_slice(rest);
        Ok(bytes.into())
    }

    /// Reports whether the text was whole.
    pub(super) fn finish(&self) -> Result<(), ApiError> {
        if self.rest.is_empty() { Ok(()) } else { Err(invalid()) }
    }

    fn append(&mut self, groups: &[u8], bytes: &mut Vec<u8>) -> Result<(), ApiError> {
        if groups.is_empty() {
            return Ok(());
        }
        // The decoder would take several padded texts in a row.
        let end = groups.len() - GROUP;
        if self.is_padded || groups[..end].contains(&b'=') {
            return Err(invalid());
        }
        self.is_padded = groups[end..].contains(&b'=');
        let start = bytes.len();
        bytes.resize(start + groups.len() / GROUP * 3, 0);
        let length = BASE64.decode_mut(groups, &mut bytes[start..]).map_err(|_| invalid())?;
        bytes.truncate(start + length);
        Ok(())
    }
}

fn invalid() -> ApiError {
    ApiError::BadRequest { reason: "the content of a file is not base64".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(pieces: &[&[u8]]) -> Option<Vec<u8>> {
        let mut decoder = Decoder::default();
        let mut all = Vec::new();
        for piece in pieces {
            all.extend_from_slice(&decoder.decode(piece).ok()?);
        }
        decoder.finish().ok()?;
        Some(all)
    }

    #[test]
    fn it_does_not_matter_how_the_text_is_cut() {
        for size in 0..20_u8 {
            let bytes: Vec<u8> = (0..size).map(|n| n.wrapping_mul(37)).collect();
            let text = BASE64.encode(&bytes).into_bytes();
            for cut in 1..=text.len().max(1) {
                let pieces: Vec<&[u8]> = text.chunks(cut).collect();
                assert_eq!(decode(&pieces).as_ref(), Some(&bytes), "{size} bytes cut at {cut}");
            }
        }
    }

    #[test]
    fn anything_else_is_refused_however_it_is_cut() {
        for text in
            ["a", "ab", "abc", "ab==cdef", "ab=c", "====", "a===", "ab c", "ab\ncd", "ab-_", "abcd=", "YWJj\u{fc}"]
        {
            for cut in 1..=text.len() {
                let pieces: Vec<&[u8]> = text.as_bytes().chunks(cut).collect();
                assert_eq!(decode(&pieces), None, "{text:?} cut at {cut}");
            }
        }
    }
}
