//! `huddle name`: works on files of the home, which a running node reads anew when they change.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use super::{Context, session};
use crate::{
    cli::Name,
    control::Call,
    failure::{Code, Failure},
    home::file::FileError,
    names::{
        book::{self, Book, BookError},
        domain::{self, Pin, PinError, Pins},
    },
    output,
    progress::Bars,
};

/// The largest file that is taken in, in bytes.
const MAX_FILE: u64 = 4 << 20;

/// Does what needs somebody to ask.
pub(super) async fn ask(context: &Context, name: Name, bars: Bars) -> Result<(), Failure> {
    let Name::Check { domain, network } = name else { return run(context, name) };
    let session = session::open(context, &network).await?;
    let pin: Option<Pin> = session.call(Call::Domain(domain.clone()), bars).await?;
    let nobody = || Failure::text(Code::NotFound, format!("{domain} names no publisher, neither by DNS nor by HTTPS"));
    output::print(&output::Domain(pin.ok_or_else(nobody)?), context.json)
}

pub(super) fn run(context: &Context, name: Name) -> Result<(), Failure> {
    let home = &context.home;
    match name {
        Name::Add { name, publisher, note, force } => {
            let entry = book::add(home, &name, publisher, note, force).map_err(failure)?;
            output::print(&output::AddedName(entry), context.json)
        }
        Name::List => {
            let book = Book::read(home).map_err(|error| failure(error.into()))?;
            let pins = Pins::read(home).map_err(|error| failure(error.into()))?;
            output::print(&output::Names { names: book.names, domains: pins.domains }, context.json)
        }
        Name::Remove { name } => match book::remove(home, &name) {
            Err(BookError::Unknown { .. }) if name.contains('.') => {
                let pin = domain::forget(home, &name).map_err(pin_failure)?;
                output::print(&output::ForgottenDomain(pin), context.json)
            }
            removed => output::print(&output::RemovedName(removed.map_err(failure)?), context.json),
        },
        Name::Check { .. } => Ok(()), // see `ask`
        Name::TrustChange { domain } => {
            let pin = domain::trust_change(home, &domain).map_err(pin_failure)?;
            output::print(&output::Domain(pin), context.json)
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

fn pin_failure(error: PinError) -> Failure {
    let code = match &error {
        PinError::Unknown { .. } => Code::NotFound,
        PinError::File(FileError::Damaged { .. } | FileError::Io { .. }) => Code::Unexpected,
        _ => Code::Usage,
    };
    Failure::new(code, &error)
}

fn failure(error: BookError) -> Failure {
    let code = match &error {
        BookError::Unknown { .. } => Code::NotFound,
        BookError::File(FileError::Damaged { .. } | FileError::Io { .. }) => Code::Unexpected,
        _ => Code::Usage,
    };
    Failure::new(code, &error)
}
