//! What the node is fetching, as files of repositories.

use huddle_gateway::{Download, Path, Source};

use super::NodeHub;
use crate::transfer::{self, State};

impl NodeHub {
    /// Returns the downloads under way that are of a file; heads and manifests have no name.
    pub(super) async fn fetching(&self) -> Vec<Download> {
        let mut files = Vec::new();
        for download in self.node.transfer().under_way() {
            files.extend(self.file_of(download).await);
        }
        files
    }

    async fn file_of(&self, download: transfer::Download) -> Option<Download> {
        let hash = download.manifest?;
        // Not even the name of what cannot be looked up: it may be one to keep.
        let manifest = self.node.resolver().kept(hash).await.ok().flatten()?;
        let manifest = manifest.value();
        let file = manifest.files().iter().find(|file| file.blake3 == download.blob)?;
        let repo = self.node.store().offer.renamed(manifest.repo()).unwrap_or_else(|| manifest.repo().clone());
        let mut sources: Vec<_> = download.sources.into_iter().filter(is_of_use).map(source).collect();
        sources.sort_by_key(|source| source.node); // so that nothing changes place while it is looked at
        Some(Download {
            visibility: self.visibility(&repo, hash),
            repo,
            revision: manifest.revision(),
            path: file.path.to_string(),
            size: download.size,
            bytes: download.here.min(download.size),
            missing: download.missing,
            speed: download.speed,
            sources,
        })
    }
}

/// Reports whether a node brought something or may yet.
fn is_of_use(source: &transfer::Source) -> bool {
    source.bytes > 0 || matches!(source.state, State::Sending | State::Waiting)
}

fn source(source: transfer::Source) -> Source {
    let path = match source.path.split(' ').next() {
        Some("direct") => Path::Direct,
        Some("relayed") => Path::Relayed,
        _ => Path::Unknown,
    };
    let speed = if source.state == State::Sending { source.speed } else { 0 };
    Source { node: source.node, path, bytes: source.bytes, speed }
}
