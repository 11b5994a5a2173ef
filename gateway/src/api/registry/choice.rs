//! Which GGUF file a tag means. Pure.

use huddle_protocol::{FileEntry, LFS_THRESHOLD, Manifest, Mode};

use crate::error::ApiError;

/// What is taken if the client names nothing, the best first.
const PREFERRED: [&str; 6] = ["Q4_K_M", "Q4_K_S", "Q5_K_M", "Q4_0", "Q8_0", "Q6_K"];
/// The precision of the part that sees, which is small, the best first.
const PREFERRED_PROJECTORS: [&str; 3] = ["F16", "BF16", "Q8_0"];

/// The files of a model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice<'a> {
    /// The model, or the first part of it.
    pub(super) model: &'a FileEntry,
    /// What makes it see.
    pub(super) projector: Option<&'a FileEntry>,
}

impl<'a> Choice<'a> {
    /// Chooses by a tag: a quantization in any case, the name of a file, or `latest`.
    ///
    /// # Errors
    /// If there is no such file.
    pub(super) fn make(manifest: &'a Manifest, tag: &str) -> Result<Self, ApiError> {
        let bad = |reason: &str| ApiError::BadRequest { reason: reason.to_owned() };
        let models = models(manifest);
        let first = *models.first().ok_or_else(|| bad("the repository has no GGUF file"))?;
        let model = if tag.is_empty() || tag.eq_ignore_ascii_case("latest") {
            preferred(&models, &PREFERRED).unwrap_or(first)
        } else {
            let named = models.iter().copied().find(|file| is_called(file, tag));
            named.or_else(|| models.iter().copied().find(|file| has_label(file, tag))).ok_or_else(|| {
                bad("the tag is no quantization and no GGUF file of this repository; use another one or `latest`")
            })?
        };
        let projectors: Vec<_> = ggufs(manifest).filter(|file| is_projector(file)).collect();
        let projector = preferred(&projectors, &PREFERRED_PROJECTORS).or_else(|| projectors.first().copied());
        Ok(Self { model, projector })
    }

    /// Reports whether the model is one of several files.
    pub(super) fn is_split(&self) -> bool {
        part(self.model).is_some()
    }
}

/// Returns the GGUF files that are models, of those in parts the first part.
pub(super) fn models(manifest: &Manifest) -> Vec<&FileEntry> {
    ggufs(manifest).filter(|file| !is_projector(file) && part(file).is_none_or(|part| part == 1)).collect()
}

fn ggufs(manifest: &Manifest) -> impl Iterator<Item = &FileEntry> {
    let is_gguf = |file: &&FileEntry| file.path.as_str().to_ascii_lowercase().ends_with(".gguf");
    // A registry names files by their SHA-256; of what git holds it is computed, as long as that is little.
    let has_digest = |file: &&FileEntry| file.is_lfs() || file.size <= LFS_THRESHOLD;
    manifest.files().iter().filter(is_gguf).filter(has_digest).filter(|file| file.mode != Mode::Symlink)
}

fn is_projector(file: &FileEntry) -> bool {
    file.path.name().to_ascii_lowercase().contains("mmproj")
}

fn preferred<'a>(files: &[&'a FileEntry], labels: &[&str]) -> Option<&'a FileEntry> {
    labels.iter().find_map(|label| files.iter().copied().find(|file| has_label(file, label)))
}

/// Reports whether a tag is the name of a file, with or without its ending.
fn is_called(file: &FileEntry, tag: &str) -> bool {
    let name = file.path.name();
    let stem = name.get(..name.len() - ".gguf".len()).unwrap_or(name);
    [file.path.as_str(), name, stem].iter().any(|name| name.eq_ignore_ascii_case(tag))
}

/// Reports whether a label stands in the path of a file as a word of its own: `Q4_K` is not in `Q4_K_M`, nor `Q4_0` in
/// `IQ4_0`.
fn has_label(file: &FileEntry, label: &str) -> bool {
    let (path, label) = (file.path.as_str().to_ascii_lowercase(), label.to_ascii_lowercase());
    path.match_indices(&label).any(|(at, _)| {
        let before = path[..at].chars().next_back();
        let after = path[at + label.len()..].chars().next();
        before.is_none_or(|letter| !letter.is_alphanumeric())
            && after.is_none_or(|letter| !letter.is_alphanumeric() && letter != '_')
    })
}

/// Returns which part a file is, if it is called `…-00001-of-00003.gguf`.
fn part(file: &FileEntry) -> Option<u32> {
    let name = file.path.name();
    let (start, count) = name.get(..name.len().checked_sub(".gguf".len())?)?.rsplit_once("-of-")?;
    let (_, number) = start.rsplit_once('-')?;
    let is_number = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number(number) && is_number(count) { number.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use huddle_protocol::{BlobHash, blob_oid};

    use super::*;

    fn file(path: &str) -> FileEntry {
        let (bytes, path) = (path.as_bytes(), path.parse().unwrap());
        let (git, blake3) = (blob_oid(bytes).unwrap(), BlobHash::of(bytes));
        FileEntry { path, mode: Mode::File, size: bytes.len() as u64, git, sha256: None, blake3 }
    }

    #[test]
    fn a_label_is_a_word_of_its_own() {
        for (path, label) in [
            ("m-Q4_K_M.gguf", "q4_k_m"),
            ("m.Q4_K_M.gguf", "Q4_K_M"),
            ("m_q8_0.gguf", "Q8_0"),
            ("Q4_K_M/m-00001-of-00002.gguf", "Q4_K_M"),
            ("m-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ] {
            assert!(has_label(&file(path), label), "{path} {label}");
        }
        for (path, label) in
            [("m-Q4_K_M.gguf", "Q4_K"), ("m-IQ4_0.gguf", "Q4_0"), ("m-F16x.gguf", "F16"), ("ü.gguf", "q")]
        {
            assert!(!has_label(&file(path), label), "{path} {label}");
        }
    }

    #[test]
    fn parts_are_told_by_their_names() {
        assert_eq!(part(&file("m-00002-of-00003.gguf")), Some(2));
        for path in ["m.gguf", "m-2-of-3.gguf", "m-00001-of-0000x.gguf", "a-of-b.gguf", ".gguf"] {
            assert_eq!(part(&file(path)), None, "{path}");
        }
    }
}
