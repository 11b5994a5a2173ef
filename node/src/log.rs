//! Logs on stderr, printed so that progress bars stay whole.

use std::io::{self, IsTerminal, Write};

use indicatif::MultiProgress;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::{
    failure::{Code, Failure},
    progress::Bars,
};

/// Starts to log what `filter` lets through, else warnings and what a service does; returns where progress is drawn.
///
/// # Errors
/// If the filter is not one.
pub(crate) fn init(filter: Option<&str>, is_service: bool) -> Result<Bars, Failure> {
    let level = if is_service { "info" } else { "warn" };
    // Our own words only: the libraries warn of what is ordinary here, such as an empty network or a peer that left,
    // and what they fail at comes back to us as an error.
    let default = format!("huddle_node={level},huddle_gateway=warn");
    let filter = EnvFilter::try_new(filter.unwrap_or(&default)).map_err(|error| Failure::new(Code::Usage, &error))?;
    let bars = MultiProgress::new();
    let writer = AboveBars(bars.clone());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_target(false);
    let _ = builder.with_ansi(io::stderr().is_terminal()).try_init(); // a second start in one process keeps the first
    Ok(Bars::new(bars))
}

/// Writes to stderr while no bar is drawn.
#[derive(Clone)]
struct AboveBars(MultiProgress);

impl<'a> MakeWriter<'a> for AboveBars {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for AboveBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
