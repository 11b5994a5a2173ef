//! The `huddle` command.

use std::process::ExitCode;

use clap::Parser;
use huddle_node::{
    cli::Cli,
    commands,
    output::{self, INTERRUPTED},
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.json;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(commands::run(cli));
    runtime.shutdown_timeout(std::time::Duration::from_secs(1)); // a hash under way cannot be interrupted
    match result {
        Ok(commands::Ended::Done) => ExitCode::SUCCESS,
        Ok(commands::Ended::Interrupted) => ExitCode::from(INTERRUPTED),
        Err(failure) => output::fail(&failure, json),
    }
}
