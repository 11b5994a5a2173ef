//! Which files git holds only a pointer to: the repository's `.gitattributes` decides, as on the Hub.
//!
//! Pattern rules: <https://git-scm.com/docs/gitattributes>.

use globset::{GlobBuilder, GlobMatcher};
use huddle_protocol::LFS_THRESHOLD;
#[cfg(feature = "gateway")]
use huddle_protocol::RepoKind;

use super::scan::Source;

/// What the Hub writes into the `.gitattributes` of a new repository, and gguf.
const DEFAULT: &str = "*.7z *.arrow *.bin *.bz2 *.ckpt *.ftz *.gguf *.gz *.h5 *.joblib *.lfs.* *.mlmodel *.model \
     *.msgpack *.npy *.npz *.onnx *.ot *.parquet *.pb *.pickle *.pkl *.pt *.pth *.rar *.safetensors saved_model/**/* \
     *.tar.* *.tar *.tflite *.tgz *.wasm *.xz *.zip *.zst *tfevents*";
/// What it writes for a dataset beside them: pictures, sound and films.
#[cfg(feature = "gateway")]
const MEDIA: &str = "*.lz4 *.mds *.pcm *.sam *.raw *.aac *.flac *.mp3 *.ogg *.wav *.bmp *.gif *.png *.tiff *.jpg *.jpeg \
     *.webp *.mp4 *.webm";
/// The largest `.gitattributes` that is read, in bytes.
const MAX_ATTRIBUTES: u64 = 1 << 20;

/// Returns the `.gitattributes` of a new repository.
#[cfg(feature = "gateway")]
pub(crate) fn attributes(kind: RepoKind) -> String {
    let media = if kind == RepoKind::Dataset { MEDIA } else { "" };
    let patterns = DEFAULT.split_whitespace().chain(media.split_whitespace());
    patterns.map(|pattern| format!("{pattern} filter=lfs diff=lfs merge=lfs -text\n")).collect()
}

/// The rules of one repository, the last one that matches wins.
#[derive(Debug)]
pub(super) struct Rules(Vec<(GlobMatcher, bool)>);

impl Rules {
    /// Reads the rules of a folder; without a `.gitattributes`, the Hub's own apply.
    pub(super) fn of(sources: &[Source]) -> Self {
        let attributes = sources.iter().find(|source| source.path.as_str() == ".gitattributes");
        let text = attributes
            .filter(|source| source.size <= MAX_ATTRIBUTES)
            .and_then(|source| std::fs::read_to_string(&source.file).ok());
        text.map_or_else(Self::default, |text| Self::parse(&text))
    }

    fn parse(attributes: &str) -> Self {
        let rule = |line: &str| {
            let mut words = line.split_whitespace();
            let pattern = words.next().filter(|pattern| !pattern.starts_with('#'))?;
            let filter = words.rfind(|word| word.trim_start_matches(['-', '!']).split('=').next() == Some("filter"))?;
            Some((matcher(pattern)?, filter == "filter=lfs"))
        };
        Self(attributes.lines().filter_map(rule).collect())
    }

    /// Reports whether a file of this size at this place is an LFS file.
    pub(super) fn is_lfs(&self, path: &str, size: u64) -> bool {
        let rule = self.0.iter().rev().find(|(pattern, _)| pattern.is_match(path));
        size > LFS_THRESHOLD || (size > 0 && rule.is_some_and(|(_, is_lfs)| *is_lfs))
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self(DEFAULT.split_whitespace().filter_map(|pattern| Some((matcher(pattern)?, true))).collect())
    }
}

/// A pattern without a slash matches a name in any folder, one with a slash a path from the root.
fn matcher(pattern: &str) -> Option<GlobMatcher> {
    let from_root = pattern.trim_start_matches('/');
    let glob = if pattern.contains('/') { from_root.to_owned() } else { format!("**/{pattern}") };
    GlobBuilder::new(&glob).literal_separator(true).build().ok().map(|glob| glob.compile_matcher())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hubs_rules_apply_where_a_repository_has_none() {
        let rules = Rules::default();
        assert!(rules.is_lfs("model.safetensors", 10));
        assert!(rules.is_lfs("a/b/model.bin", 10));
        assert!(rules.is_lfs("saved_model/x/y", 10));
        assert!(!rules.is_lfs("config.json", 10));
        assert!(!rules.is_lfs("empty.bin", 0), "git-lfs has no pointers to nothing");
        assert!(rules.is_lfs("huge.txt", LFS_THRESHOLD + 1));
    }

    #[test]
    fn the_last_rule_that_matches_wins() {
        let rules = Rules::parse("# c\n*.bin filter=lfs diff=lfs -text\n/keep/*.bin -filter\nsub/*.txt filter=lfs\n");
        assert!(rules.is_lfs("a.bin", 1));
        assert!(rules.is_lfs("x/keep/a.bin", 1));
        assert!(!rules.is_lfs("keep/a.bin", 1));
        assert!(rules.is_lfs("sub/a.txt", 1));
        assert!(!rules.is_lfs("sub/deep/a.txt", 1));
        assert!(!rules.is_lfs("model.safetensors", 1));
    }
}
