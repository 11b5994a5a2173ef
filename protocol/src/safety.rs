//! What is in a file that could harm whoever loads it, found out without loading anything.
//!
//! Pickles are programs for Python's unpickler: reading one can run anything that can be imported. [`inspect`] looks for
//! them by content, whatever a file is called, and lists what they import; nothing is executed. The headers of
//! safetensors and GGUF files, which hold numbers only, are checked for being what they say.
//!
//! Nothing here opens a file: whoever has one hands over something to read from. Time and memory are bounded whatever
//! the bytes are.

mod known;
mod machine;
mod pickle;
mod weights;
mod wrapped;
mod zip;

use std::{
    collections::BTreeMap,
    io::{self, Read, Seek, SeekFrom},
};

use serde::{Deserialize, Serialize};

pub use self::weights::Elements;

/// How many bytes of pickles are walked through in one file, unpacked: 256 MiB. Those of models have some megabytes.
const BUDGET: u64 = 256 << 20;
/// The most different imports that are listed.
const MAX_IMPORTS: usize = 100;

/// How an import is judged. The words are the Hub's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Safety {
    /// What weights are made of.
    Innocuous,
    /// Nobody here knows what it does.
    Suspicious,
    /// It runs code, reaches the network or the disk, or leads to what does.
    Dangerous,
}

/// Something that a pickle has Python import.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Import {
    /// From where; `?` if that is only known when it runs.
    pub module: String,
    /// What.
    pub name: String,
    /// How it is judged.
    pub safety: Safety,
}

/// What a file is, by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A pickle, or something that has some in it.
    Pickle,
    /// Tensors behind a header of JSON.
    Safetensors,
    /// Tensors behind a header of keys and values.
    Gguf,
    /// Anything else.
    Other,
}

/// What was found in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspection {
    /// What it is.
    pub format: Format,
    /// What it imports, the most dangerous first.
    pub imports: Vec<Import>,
    /// What is wrong with it, or why not all of it was looked at.
    pub problem: Option<String>,
}

impl Inspection {
    /// Returns how safe it is to load the file as what it is; nothing if it is nothing that is loaded.
    pub fn level(&self) -> Option<Safety> {
        let worst = self.imports.iter().map(|import| import.safety).max();
        let doubt = self.problem.as_ref().map(|_| Safety::Suspicious);
        let floor = (self.format != Format::Other).then_some(Safety::Innocuous);
        worst.max(doubt).max(floor)
    }

    /// Reports whether loading it may run what nobody here vouches for.
    pub fn may_run_code(&self) -> bool {
        self.format == Format::Pickle && self.level() > Some(Safety::Innocuous)
    }
}

/// What is found, file part by file part.
#[derive(Debug, Default)]
struct Found {
    is_pickle: bool,
    imports: BTreeMap<(String, String), Safety>,
    problem: Option<String>,
}

impl Found {
    fn import(&mut self, module: String, name: String) {
        let safety = known::safety(&module, &name);
        if self.imports.len() >= MAX_IMPORTS && !self.imports.contains_key(&(module.clone(), name.clone())) {
            self.problem(format!("it has more than {MAX_IMPORTS} imports"));
            // Many harmless ones do not hide a dangerous one.
            let lesser = self.imports.iter().find(|(_, other)| **other < safety).map(|(import, _)| import.clone());
            let Some(lesser) = lesser else { return };
            self.imports.remove(&lesser);
        }
        self.imports.insert((module, name), safety);
    }

    /// The first problem is told.
    fn problem(&mut self, problem: impl Into<String>) {
        self.problem.get_or_insert_with(|| problem.into());
    }

    fn finish(self, format: Format) -> Inspection {
        let imports = self.imports.into_iter().map(|((module, name), safety)| Import { module, name, safety });
        let mut imports: Vec<_> = imports.collect();
        imports.sort_by_key(|import| std::cmp::Reverse(import.safety));
        Inspection { format: if self.is_pickle { Format::Pickle } else { format }, imports, problem: self.problem }
    }
}

/// Looks at a file of `size` bytes. Of large ones only what matters is read.
///
/// # Errors
/// If the bytes cannot be read; whatever they are is no error.
pub fn inspect<R: Read + Seek>(file: &mut R, size: u64) -> io::Result<Inspection> {
    let (mut found, mut budget) = (Found::default(), BUDGET);
    file.seek(SeekFrom::Start(0))?;
    let mut first = Vec::with_capacity(16);
    file.by_ref().take(16).read_to_end(&mut first)?;
    file.seek(SeekFrom::Start(0))?;
    let mut format = Format::Other;
    if first.starts_with(b"PK") {
        zip::inspect(file, size, &mut found, &mut budget)?;
    }
    // A file can be several things at once, and is looked at as all of them.
    if weights::is_safetensors(&first) {
        format = Format::Safetensors;
        if let Err(problem) = weights::safetensors(file, size)? {
            found.problem(format!("it is no valid safetensors file: {problem}"));
        }
    }
    if first.starts_with(b"GGUF") {
        format = Format::Gguf;
        if let Err(problem) = weights::gguf(file, size)? {
            found.problem(format!("it is no valid GGUF file: {problem}"));
        }
    }
    file.seek(SeekFrom::Start(0))?;
    wrapped::inspect(file, &mut found, &mut budget)?;
    if budget == 0 {
        found.is_pickle = true; // nothing but pickles, or what poses as such, uses it up
        found.problem("it is too long to be looked at to its end");
    }
    Ok(found.finish(format))
}

/// Reports whether a file that begins like this can be passed on before all of it is known: whatever follows, an
/// unpickler would not get that far, and no archive or array of objects begins so.
pub fn is_surely_harmless(first: &[u8]) -> bool {
    !first.starts_with(b"PK") && !wrapped::is_wrapped(first) && pickle::breaks_at_once(first)
}
