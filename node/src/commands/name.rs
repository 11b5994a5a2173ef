//! `huddle name`: works on files of the home, which a running node reads anew when they change.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use super::Context;
use crate::{
    cli::Name,
    failure::{Code, Failure},
    names::{
        FileError,
        book::{self, Book, BookError},
    },
    output,
};

/// The largest file that is taken in, in bytes.
const MAX_FILE: u64 = 4 << 20;

pub(super) fn run(context: &Context, name: Name) -> Result<(), Failure> {
    let home = &context.home;
    match name {
        Name::Add { name, publisher, note, force } => {
            let entry = book::add(home, &name, publisher, note, force).map_err(failure)?;
            output::print(&output::AddedName(entry), context.json)
        }
        Name::List => {
            let book = Book::read(home).map_err(|error| failure(error.into()))?;
            output::print(&output::Names { names: book.names }, context.json)
        }
        Name::Remove { name } => {
            let entry = book::remove(home, &name).map_err(failure)?;
            output::print(&output::RemovedName(entry), context.json)
        }
        Name::Export { file } => {
            let book = Book::read(home).map_err(|error| failure(error.into()))?;
            let text = serde_json::to_string_pretty(&book.export()).unwrap_or_default() + "\n";
            write(&file, text.as_bytes())
        }
        Name::Import { file, force } => {
            let new = book::import(home, &read(&file)?, force).map_err(failure)?;
            output::print(&output::ImportedNames { names: new }, context.json)
        }
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if path == Path::new("-") {
        return output::script(bytes);
    }
    fs::write(path, bytes).map_err(|error| cannot("write", path, &error))
}

/// Reads a file, or stdin, up to a limit.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin().take(MAX_FILE).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut bytes))
    };
    read.map_err(|error| cannot("read", path, &error))?;
    Ok(bytes)
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> Failure {
    let mut failure = Failure::text(Code::Usage, format!("cannot {what} {}", path.display()));
    failure.causes.push(error.to_string());
    failure
}

fn failure(error: BookError) -> Failure {
    let code = match &error {
        BookError::Unknown { .. } => Code::NotFound,
        BookError::File(FileError::Damaged { .. } | FileError::Io { .. }) => Code::Unexpected,
        _ => Code::Usage,
    };
    Failure::new(code, &error)
}
