//! What the node found in files that could harm whoever loads them, as the Hub's scanners would say it.
//!
//! Only what is completely here was looked at. There is no scanner for viruses.

use std::collections::HashMap;

use futures::{StreamExt, stream};
use http::HeaderValue;
use huddle_protocol::{BlobHash, FileEntry, Format, Import, Inspection, Safety};
use serde_json::{Value, json};

use crate::{Gateway, header as safe, hub::Snapshot};

/// How many files are looked at at once.
const AT_ONCE: usize = 8;
/// How many imports are named in a header.
const NAMED: usize = 3;

/// What is known of some files.
#[derive(Debug, Default)]
pub(super) struct Security(HashMap<BlobHash, Inspection>);

impl Security {
    /// Asks the node for all of them.
    pub(super) async fn find(gateway: &Gateway, files: Vec<FileEntry>) -> Self {
        let look = |file: FileEntry| {
            let hub = gateway.hub.clone();
            async move { Some((file.blake3, hub.inspect(&file).await?)) }
        };
        let found: Vec<_> = stream::iter(files).map(look).buffer_unordered(AT_ONCE).collect().await;
        Self(found.into_iter().flatten().collect())
    }

    /// Returns what is said of one file.
    pub(super) fn of(&self, file: &FileEntry) -> Value {
        let found = self.0.get(&file.blake3);
        let imports = found
            .filter(|found| found.format == Format::Pickle)
            .map(|found| json!({ "highestSafetyLevel": found.level(), "imports": found.imports }));
        json!({ "status": status(found), "avScan": null, "pickleImportScan": imports })
    }

    /// Returns what is said of all files of a revision.
    pub(super) fn of_all(&self, snapshot: &Snapshot) -> Value {
        let files = snapshot.manifest.files();
        let issue = |file: &FileEntry| {
            let level = status(self.0.get(&file.blake3));
            ["unsafe", "suspicious"].contains(&level).then(|| json!({ "path": file.path, "level": level }))
        };
        let is_done = files.iter().all(|file| self.0.contains_key(&file.blake3));
        json!({ "scansDone": is_done, "filesWithIssues": files.iter().filter_map(issue).collect::<Vec<_>>() })
    }
}

/// Weights that were looked at are safe. Of other files nobody says so: it takes more than a look.
fn status(found: Option<&Inspection>) -> &'static str {
    match found.and_then(Inspection::level) {
        None => "unscanned",
        Some(Safety::Innocuous) => "safe",
        Some(Safety::Suspicious) => "suspicious",
        Some(Safety::Dangerous) => "unsafe",
    }
}

/// Returns what a client is told that reads a file which could harm it; it logs this once.
pub(super) async fn warning(gateway: &Gateway, file: &FileEntry) -> Option<HeaderValue> {
    let found = gateway.hub.inspect(file).await?;
    found.level().filter(|level| *level > Safety::Innocuous)?;
    let name = |import: &Import| format!("{}.{}", import.module, import.name);
    let worst = found.imports.iter().filter(|import| import.safety > Safety::Innocuous).take(NAMED).map(name);
    let worst = worst.collect::<Vec<_>>().join(", ");
    let why = match (worst.is_empty(), &found.problem) {
        (false, _) => format!("may run code when it is loaded: it imports {worst}"),
        (true, Some(problem)) => problem.clone(),
        (true, None) => "is suspicious".to_owned(),
    };
    // What stands before the semicolon is the topic, by which clients know what they have said already.
    let path = file.path.as_str().replace(';', "_");
    Some(safe::text(&format!("Unsafe file {path}; {path}: {why}")))
}
