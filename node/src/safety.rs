//! Files that could harm whoever loads them: found among those that are here in full, told, and refused if the operator
//! wants that. Nothing is fetched for it.

use std::{collections::HashMap, fmt};

use futures::{StreamExt, TryStreamExt, stream};
use huddle_protocol::{BlobHash, FileEntry, Format, Import, Inspection, Mode, Safety};
use serde::{Deserialize, Serialize};

use crate::{config::Pickle, events::Events, node::Node, output::clean, store::StoreError};

/// How many files are looked at at once.
const AT_ONCE: usize = 32;
/// How many imports, and how many files, are told in words.
const TOLD: usize = 5;
const WARNINGS: usize = 10;

/// A file that could harm whoever loads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Its path.
    pub path: String,
    /// How bad it is.
    pub level: Safety,
    /// Whether loading it may run code; else it is only not what it should be.
    pub may_run_code: bool,
    /// What it imports, the most dangerous first.
    pub imports: Vec<Import>,
    /// What is wrong with it, or why not all of it was looked at.
    pub problem: Option<String>,
}

impl Finding {
    /// Judges what was found in a file by what it is called; nothing if there is no reason to worry.
    pub(crate) fn of(path: &str, found: Inspection) -> Option<Self> {
        let (may_run_code, level) = (found.may_run_code(), found.level());
        let claims = |extension: &str, format| path.ends_with(extension) && found.format != format;
        let poses = claims(".safetensors", Format::Safetensors) || claims(".gguf", Format::Gguf);
        let problem = found.problem.or_else(|| poses.then(|| "it is not what its name says".to_owned()));
        let level = level.max(problem.as_ref().map(|_| Safety::Suspicious));
        let level = level.filter(|level| *level > Safety::Innocuous)?;
        Some(Self { path: path.to_owned(), level, may_run_code, imports: found.imports, problem })
    }
}

/// A sentence. Names in it are a stranger's.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", clean(&self.path))?;
        let worst: Vec<_> = self.imports.iter().filter(|import| import.safety > Safety::Innocuous).collect();
        if self.may_run_code {
            let level = if self.level == Safety::Dangerous { "runs" } else { "may run" };
            write!(f, " {level} code when it is loaded")?;
        }
        if !worst.is_empty() {
            let names = worst.iter().take(TOLD).map(|import| format!("{}.{}", import.module, import.name));
            write!(f, ": it imports {}", clean(&names.collect::<Vec<_>>().join(", ")))?;
            if worst.len() > TOLD {
                write!(f, " and {} more", worst.len() - TOLD)?;
            }
        }
        match &self.problem {
            Some(problem) => write!(f, "{} {}", if worst.is_empty() { ":" } else { ";" }, clean(problem)),
            None => Ok(()),
        }
    }
}

/// Warns of files that could do harm.
pub(crate) async fn warn(findings: &[Finding], events: &Events) {
    for finding in findings.iter().take(WARNINGS) {
        events.warn(finding.to_string()).await;
    }
    if findings.len() > WARNINGS {
        events.warn(format!("and {} more files; `huddle resolve` lists all", findings.len() - WARNINGS)).await;
    }
}

impl Node {
    /// Returns those of some files that are here and could harm whoever loads them.
    pub(crate) async fn findings(&self, files: &[&FileEntry]) -> Result<Vec<Finding>, StoreError> {
        self.findings_with(files, &HashMap::new()).await
    }

    /// The same, some of the files having been looked at already.
    pub(crate) async fn findings_with(
        &self,
        files: &[&FileEntry],
        looked_at: &HashMap<BlobHash, Inspection>,
    ) -> Result<Vec<Finding>, StoreError> {
        let files: Vec<_> = files.iter().filter(|file| file.mode != Mode::Symlink).collect();
        let files = files.into_iter().map(|file| (file.path.to_string(), file.blake3, file.size)).collect::<Vec<_>>();
        let look = |(path, blob, size): (String, _, _)| {
            let (store, found) = (self.store().clone(), looked_at.get(&blob).cloned());
            async move {
                let found = match found {
                    None => store.inspect(blob, size).await?,
                    found => found,
                };
                Ok::<_, StoreError>(found.and_then(|found| Finding::of(&path, found)))
            }
        };
        let found: Vec<_> = stream::iter(files).map(look).buffered(AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Returns the first file whose loading may run code, if the operator refuses such.
    pub(crate) fn refused<'a>(&self, findings: &'a [Finding]) -> Option<&'a Finding> {
        let mut refused = findings.iter().filter(|_| self.config().safety.pickle == Pickle::Refuse);
        refused.find(|finding| finding.may_run_code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(format: Format, imports: &[(&str, &str, Safety)], problem: Option<&str>) -> Inspection {
        let import = |(module, name, safety): &(&str, &str, Safety)| Import {
            module: (*module).to_owned(),
            name: (*name).to_owned(),
            safety: *safety,
        };
        Inspection { format, imports: imports.iter().map(import).collect(), problem: problem.map(str::to_owned) }
    }

    #[test]
    fn a_finding_names_the_file_what_it_does_and_why() {
        let sentence = |path: &str, found| Finding::of(path, found).map(|finding| finding.to_string());
        let evil = [("posix", "system", Safety::Dangerous), ("torch", "FloatStorage", Safety::Innocuous)];
        assert_eq!(
            sentence("a/model.bin", found(Format::Pickle, &evil, None)).unwrap(),
            "a/model.bin runs code when it is loaded: it imports posix.system"
        );
        let unknown = [("x", "y\u{1b}[2J", Safety::Suspicious)];
        assert_eq!(
            sentence("m.pkl", found(Format::Pickle, &unknown, Some("a pickle in it ends too early"))).unwrap(),
            "m.pkl may run code when it is loaded: it imports x.y[2J; a pickle in it ends too early"
        );
        assert_eq!(
            sentence("w.safetensors", found(Format::Other, &[], None)).unwrap(),
            "w.safetensors: it is not what its name says"
        );
        assert_eq!(sentence("w.bin", found(Format::Pickle, &evil[1..], None)), None);
        assert_eq!(sentence("w.safetensors", found(Format::Safetensors, &[], None)), None);
        assert_eq!(sentence("a.txt", found(Format::Other, &[], None)), None);
    }
}
