//! Progress: bars, on a terminal only, one for all and one for each large file under way; or lines for a program.

use std::{
    collections::{BTreeSet, HashMap},
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

use huddle_protocol::NodeId;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::{
    events::Event,
    failure::{Code, Failure},
    output,
    transfer::{Source, State},
};

/// The most files that have a bar of their own at once.
const MOST: usize = 6;
/// Files smaller than this get no bar of their own, in bytes.
const SMALL: u64 = 4 << 20;
/// How wide the names are, in characters: room for `model-00001-of-00002.safetensors`.
const NAME: usize = 32;

/// Draws events; takes the bars away when it is dropped.
#[derive(Debug)]
pub(crate) struct Bars {
    screen: MultiProgress,
    is_terminal: bool,
    /// Whether a program reads the events.
    is_read: bool,
    since: Instant,
    total: Option<ProgressBar>,
    bars: HashMap<String, ProgressBar>,
    done: HashMap<String, u64>,
    /// Who sends what.
    sending: HashMap<String, BTreeSet<NodeId>>,
}

impl Bars {
    /// Draws on this screen, if stderr is a terminal.
    pub(crate) fn new(screen: MultiProgress) -> Self {
        Self {
            screen,
            is_terminal: stderr().is_terminal(),
            is_read: false,
            since: Instant::now(),
            total: None,
            bars: HashMap::new(),
            done: HashMap::new(),
            sending: HashMap::new(),
        }
    }

    /// Prints events for a program instead, if it asked for that.
    ///
    /// # Errors
    /// If what it asked for is not JSON.
    pub(crate) fn or_lines(mut self, is_asked: bool, json: bool) -> Result<Self, Failure> {
        if is_asked && !json {
            return Err(Failure::text(Code::Usage, "events are JSON; add --json"));
        }
        self.is_read = is_asked;
        Ok(self)
    }

    /// Draws an event.
    pub(crate) fn show(&mut self, event: &Event) {
        if self.is_read {
            let _ = output::line(event); // a reader who is gone wants no events; the work goes on
            return;
        }
        match event {
            Event::Warning { text } => self.screen.suspend(|| output::warn(text)),
            Event::Lie { node, file } => self.screen.suspend(|| {
                output::warn(&format!(
                    "{node} sent wrong bytes for {file}; it was dropped, and somebody else is asked"
                ));
            }),
            Event::Step { text } if self.is_terminal => self.screen.suspend(|| output::note(text)),
            Event::Total { files, bytes } if self.is_terminal => {
                let bar = self.screen.add(ProgressBar::new(*bytes)).with_style(style());
                bar.set_message(output::count(*files, "file"));
                bar.enable_steady_tick(Duration::from_millis(200));
                self.since = Instant::now();
                self.total = Some(bar);
            }
            Event::File { name, done, size } if self.is_terminal => self.file(name, *done, *size),
            Event::Sources { file, sources } if self.is_terminal => self.sources(file, sources),
            Event::Step { .. } | Event::Total { .. } | Event::File { .. } | Event::Sources { .. } => {}
        }
    }

    fn file(&mut self, name: &str, done: u64, size: u64) {
        let before = self.done.insert(name.to_owned(), done).unwrap_or_default();
        if let Some(total) = &self.total {
            total.inc(done.saturating_sub(before));
        }
        if done >= size {
            self.sending.remove(name);
            if let Some(bar) = self.bars.remove(name) {
                bar.finish_and_clear();
            }
            return;
        }
        if size >= SMALL && self.bars.len() < MOST && !self.bars.contains_key(name) {
            let bar = self.screen.insert(0, ProgressBar::new(size)).with_style(style());
            bar.set_message(shortened(&output::clean(name)));
            self.bars.insert(name.to_owned(), bar);
        }
        if let Some(bar) = self.bars.get(name) {
            bar.set_position(done);
        }
    }

    /// Shows beside a file how many peers send it.
    fn sources(&mut self, file: &str, sources: &[Source]) {
        let sending = sources.iter().filter(|source| source.state == State::Sending);
        self.sending.insert(file.to_owned(), sending.map(|source| source.node).collect());
        if let Some(bar) = self.bars.get(file) {
            let peers = self.sending.get(file).map_or(0, BTreeSet::len) as u64;
            bar.set_message(format!("{} from {}", shortened(&output::clean(file)), output::count(peers, "peer")));
        }
        if let Some(total) = &self.total {
            let peers: BTreeSet<_> = self.sending.values().flatten().collect();
            total.set_message(format!("all from {}", output::count(peers.len() as u64, "peer")));
        }
    }

    /// Takes all bars away and, if it went well, says how long it took.
    pub(crate) fn finish(&mut self, went_well: bool) {
        for (_, bar) in self.bars.drain() {
            bar.finish_and_clear();
        }
        let Some(total) = self.total.take() else { return };
        total.finish_and_clear();
        if went_well {
            let seconds = self.since.elapsed().as_secs_f64();
            output::note(&format!("took {seconds:.1} s"));
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.finish(false);
    }
}

/// Fits 80 columns; what is left is bar.
fn style() -> ProgressStyle {
    let numbers = "{percent:>3}% {total_bytes:>10} {binary_bytes_per_sec:>12} {eta:>4}";
    let template = format!("{{msg:>{NAME}}} {{wide_bar}} {numbers}");
    ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Returns the last part of a path, or the end of that: shards of one model differ there.
fn shortened(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name.chars().count().checked_sub(NAME) {
        None | Some(0) => name.to_owned(),
        Some(excess) => format!("…{}", name.chars().skip(excess + 1).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_keeps_its_end() {
        assert_eq!(shortened("onnx/model.onnx"), "model.onnx");
        assert_eq!(shortened("model-00001-of-00002.safetensors"), "model-00001-of-00002.safetensors");
        assert_eq!(shortened("pytorch_model-00001-of-00002.safetensors"), "…odel-00001-of-00002.safetensors");
    }
}
