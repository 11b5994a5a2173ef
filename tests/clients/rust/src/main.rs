//! The columns of the Rust crate `hf-hub`, unmodified, of two generations.
//!
//!     columns hf-hub-1|hf-hub-0 WORLD.json NAME [ROW ...]
//!
//! Prints one JSON object a line, as every column does.

mod newest;
mod old;
mod world;

use std::{
    error::Error,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, PoisonError},
};

use serde_json::json;

use crate::world::World;

/// What a row says: nothing, or what is wrong.
type Outcome = Result<(), Box<dyn Error>>;

/// A row: its subject, its name as all columns have it, and what it asks.
type Row = (&'static str, &'static str, fn(&World) -> Outcome);

static PANIC: Mutex<String> = Mutex::new(String::new());

fn main() -> Outcome {
    let mut args = std::env::args().skip(1);
    let package = args.next().ok_or("which package?")?;
    let (world, _name) = (args.next().ok_or("which world?")?, args.next());
    let wanted: Vec<_> = args.collect();
    let (rows, absent) = match package.as_str() {
        "hf-hub-1" => (newest::ROWS, newest::ABSENT),
        "hf-hub-0" => (old::ROWS, old::ABSENT),
        other => return Err(format!("no package {other}").into()),
    };
    let asked = |name: &str| wanted.is_empty() || wanted.iter().any(|row| row == name);
    let rows: Vec<_> = rows.iter().filter(|(_, name, _)| asked(name)).collect();
    let absent: Vec<_> = absent.iter().filter(|(_, name)| asked(name)).collect();
    let names = rows.iter().map(|(subject, name, _)| [subject, name]);
    let names: Vec<_> = names.chain(absent.iter().map(|(subject, name)| [subject, name])).collect();
    println!("{}", json!({ "rows": names }));

    let world = World::read(&world, &package)?;
    std::panic::set_hook(Box::new(|panic| {
        *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = panic.to_string();
    }));
    for (_, name) in absent {
        println!("{}", json!({ "row": name, "cell": "absent" }));
    }
    for (_, name, run) in rows {
        let wrong = match catch_unwind(AssertUnwindSafe(|| run(&world))) {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(PANIC.lock().unwrap_or_else(PoisonError::into_inner).clone()),
        };
        match wrong {
            None => println!("{}", json!({ "row": name, "cell": "passed" })),
            Some(why) => println!("{}", json!({ "row": name, "cell": "failed", "why": why })),
        }
    }
    Ok(())
}
