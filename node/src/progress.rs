//! Progress bars, on a terminal only: one for all, one for each file under way.

use std::{
    collections::HashMap,
    io::{IsTerminal, stderr},
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::{events::Event, output};

/// The most files that have a bar of their own at once.
const MOST: usize = 6;
/// Files smaller than this get no bar of their own, in bytes.
const SMALL: u64 = 4 << 20;

/// Draws events.
#[derive(Debug)]
pub(crate) struct Bars {
    screen: MultiProgress,
    is_terminal: bool,
    total: Option<ProgressBar>,
    files: HashMap<String, (ProgressBar, u64)>,
    done: HashMap<String, u64>,
}

impl Bars {
    /// Draws on this screen, if stderr is a terminal.
    pub(crate) fn new(screen: MultiProgress) -> Self {
        Self { screen, is_terminal: stderr().is_terminal(), total: None, files: HashMap::new(), done: HashMap::new() }
    }

    /// Draws an event.
    pub(crate) fn show(&mut self, event: &Event) {
        match event {
            Event::Warning { text } => self.screen.suspend(|| output::warn(text)),
            Event::Lie { node, file } => self.screen.suspend(|| {
                output::warn(&format!(
                    "{node} sent wrong bytes for {file}; it was dropped, and somebody else is asked"
                ));
            }),
            Event::Step { text } if self.is_terminal => self.screen.suspend(|| output::note(text)),
            Event::Total { bytes, .. } if self.is_terminal => {
                let bar = self.screen.add(ProgressBar::new(*bytes)).with_style(style("{msg:>24}"));
                bar.set_message("in all");
                bar.enable_steady_tick(Duration::from_millis(200));
                self.total = Some(bar);
            }
            Event::File { name, done, size } if self.is_terminal => self.file(name, *done, *size),
            Event::Step { .. } | Event::Total { .. } | Event::File { .. } => {}
        }
    }

    fn file(&mut self, name: &str, done: u64, size: u64) {
        let before = self.done.insert(name.to_owned(), done).unwrap_or_default();
        if let Some(total) = &self.total {
            total.inc(done.saturating_sub(before));
        }
        if done >= size {
            if let Some((bar, _)) = self.files.remove(name) {
                bar.finish_and_clear();
            }
            return;
        }
        if size >= SMALL && self.files.len() < MOST && !self.files.contains_key(name) {
            let bar = self.screen.insert(0, ProgressBar::new(size)).with_style(style("{msg:>24!}"));
            bar.set_message(output::clean(name));
            self.files.insert(name.to_owned(), (bar, size));
        }
        if let Some((bar, _)) = self.files.get(name) {
            bar.set_position(done);
        }
    }

    /// Takes all bars away.
    pub(crate) fn finish(&mut self) {
        for (bar, _) in self.files.drain().map(|(_, bar)| bar) {
            bar.finish_and_clear();
        }
        if let Some(total) = self.total.take() {
            total.finish_and_clear();
        }
    }
}

fn style(message: &str) -> ProgressStyle {
    let template =
        format!("{message} {{bar:32}} {{bytes:>10}} of {{total_bytes:<10}} {{binary_bytes_per_sec:>12}} {{eta:>5}}");
    ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
