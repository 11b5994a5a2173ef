//! What long work reports while it runs. Libraries send; only the command line draws.

use huddle_protocol::NodeId;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::transfer::Source;

/// Something worth telling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "event")]
pub enum Event {
    /// What will be done, in all.
    Total { files: u64, bytes: u64 },
    /// How far one file is, in bytes.
    File { name: String, done: u64, size: u64 },
    /// Who sends a file, how fast, and which way; about twice a second.
    Sources { file: String, sources: Vec<Source> },
    /// A step in words.
    Step { text: String },
    /// Something the user should know although the work goes on.
    Warning { text: String },
    /// A provider sent bytes that do not verify.
    Lie { node: NodeId, file: String },
}

/// Where reports go. A report nobody has room for is dropped, but for warnings.
#[derive(Clone, Debug)]
pub struct Events(Option<mpsc::Sender<Event>>);

impl Events {
    /// Reports to this channel.
    pub fn new(send: mpsc::Sender<Event>) -> Self {
        Self(Some(send))
    }

    /// Reports to nobody.
    pub fn silent() -> Self {
        Self(None)
    }

    /// Reports how far a file is; may be dropped.
    pub fn file(&self, name: &str, done: u64, size: u64) {
        if let Some(send) = &self.0 {
            let _ = send.try_send(Event::File { name: name.to_owned(), done, size });
        }
    }

    /// Reports who sends a file; may be dropped.
    pub fn sources(&self, file: &str, sources: Vec<Source>) {
        if let Some(send) = &self.0 {
            let _ = send.try_send(Event::Sources { file: file.to_owned(), sources });
        }
    }

    /// Reports something that must not be lost.
    pub async fn tell(&self, event: Event) {
        if let Some(send) = &self.0 {
            let _ = send.send(event).await; // nobody listens any more
        }
    }

    /// Reports a step in words.
    pub async fn step(&self, text: impl Into<String>) {
        self.tell(Event::Step { text: text.into() }).await;
    }

    /// Reports a warning.
    pub async fn warn(&self, text: impl Into<String>) {
        self.tell(Event::Warning { text: text.into() }).await;
    }
}
