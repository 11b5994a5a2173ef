//! `huddle key`.

use std::io::Read;

use super::Context;
use crate::{
    cli::Key,
    failure::{Code, Failure},
    identity::{self, KeyError},
    output,
    swarm_key::SwarmKey,
};

/// The longest key file that is read, in bytes.
const MAX_KEY: u64 = 1024;

pub(super) fn run(context: &Context, key: Key) -> Result<(), Failure> {
    let failure = |error: KeyError| Failure::new(Code::Usage, &error);
    let id = |name: String, id| output::print(&output::Keys(vec![(name, id)]), context.json);
    match key {
        Key::Show { name } => {
            let keys = identity::list(&context.home).map_err(failure)?;
            let keys = keys.into_iter().map(|(name, key)| (name, key.public().into()));
            let keys: Vec<_> = keys.filter(|(known, _)| name.as_ref().is_none_or(|name| name == known)).collect();
            match name {
                Some(name) if keys.is_empty() => Err(failure(KeyError::Unknown { name })),
                _ => output::print(&output::Keys(keys), context.json),
            }
        }
        Key::New { name } => {
            let publisher = identity::new_publisher(&context.home, &name).map_err(failure)?;
            id(name, publisher)
        }
        Key::Swarm => {
            let made = SwarmKey::create(&context.home).map_err(|error| Failure::new(Code::Usage, &error))?;
            output::note("copy it to the home of each other node of the network, over a way that others do not read");
            output::print(&output::NewSwarm { file: made.0, network: made.1.name() }, context.json)
        }
        Key::Export { name } => {
            let keys = identity::list(&context.home).map_err(failure)?;
            let key = keys.get(&name).ok_or_else(|| failure(KeyError::Unknown { name }))?;
            output::note("keep this secret: whoever has it can publish in your name");
            output::secret(&identity::export(key))
        }
        Key::Import { name, file } => {
            let mut text = zeroize::Zeroizing::new(String::new());
            let read = if file.as_os_str() == "-" {
                std::io::stdin().take(MAX_KEY).read_to_string(&mut text)
            } else {
                std::fs::File::open(&file).and_then(|source| source.take(MAX_KEY).read_to_string(&mut text))
            };
            read.map_err(|source| failure(KeyError::Io { path: file.clone(), source }))?;
            let publisher = identity::import_publisher(&context.home, &name, &file, &text).map_err(failure)?;
            id(name, publisher)
        }
    }
}
