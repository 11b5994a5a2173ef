//! `netlab`: a lab for scripts. `netlab up FILE` builds one, says so in a line of JSON, and keeps it until its standard
//! input ends or a signal comes; lines on standard input cut and heal.

#[cfg(target_os = "linux")]
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(about = "A test network of namespaces. Needs root on Linux.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build a lab and keep it until standard input ends or a signal comes.
    ///
    /// Prints one line of JSON when it stands. Then takes lines `cut HOST NETWORK` and `heal HOST NETWORK`, and answers
    /// each with `ok` or what is wrong.
    Up {
        /// The topology, as in the README; `-` is not accepted, standard input is for commands.
        file: std::path::PathBuf,
        /// What the lab is called; default: a name of its own.
        #[arg(long)]
        name: Option<String>,
    },
    /// Remove what a lab that was killed left behind.
    Down {
        /// What the lab is called.
        name: String,
    },
}

#[cfg(target_os = "linux")]
fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Up { file, name } => serve::up(&file, name),
        Command::Down { name } => {
            println!("{} namespaces removed", huddle_netlab::lab::down(&name)?);
            Ok(())
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn run(_: Cli) -> anyhow::Result<()> {
    anyhow::bail!("a lab needs the network namespaces of Linux")
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
