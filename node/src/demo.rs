//! `huddle up --demo`: two neighbours in this process hold a small model made on the spot, and the newcomer's node
//! finds, fetches and verifies it as it would anywhere. Real nodes, real DHT, loopback only; gone when it ends.

mod model;

use std::time::Instant;

use huddle_protocol::RepoKind;
use tempfile::TempDir;

use crate::{
    config::Config,
    events::Events,
    failure::{Code, Failure},
    get::Get,
    home::Home,
    node::{Mode, Node},
    output,
    publish::{Publish, Published},
};

/// The name of the repository in the demo.
const NAME: &str = "tiny-gpt2";

/// The neighbours, and the folder everything of the demo is in.
#[derive(Debug)]
pub(crate) struct Demo {
    dir: TempDir,
    ada: Node,
    ben: Node,
    published: Published,
}

fn unexpected(error: impl std::error::Error) -> Failure {
    Failure::new(Code::Unexpected, &error)
}

impl Demo {
    /// Starts the neighbours: Ada publishes a model, Ben joins through her and fetches it.
    pub(crate) async fn prepare() -> Result<Self, Failure> {
        let dir = tempfile::Builder::new().prefix("huddle-demo-").tempdir().map_err(unexpected)?;
        let folder = dir.path().join(NAME);
        model::write(&folder).map_err(unexpected)?;
        let mut config = Config::default();
        loopback_only(&mut config);
        config.gateway.enabled = false;
        let ada = Node::start(Home::new(dir.path().join("ada")), config.clone(), Mode::Long).await?;
        let publish = Publish {
            path: folder,
            name: NAME.to_owned(),
            kind: RepoKind::Model,
            branch: "main".to_owned(),
            message: Some("First release".to_owned()),
            key: None,
            copy: false,
        };
        let published = ada.publish(publish, &Events::silent()).await?;
        config.network.bootstrap = addresses(&ada).await;
        let ben = Node::start(Home::new(dir.path().join("ben")), config, Mode::Long).await?;
        let demo = Self { dir, ada, ben, published };
        demo.ben.get(demo.everything(), &Events::silent()).await?;
        demo.ben.announcer().settled().await;
        Ok(demo)
    }

    /// Makes the newcomer's node part of the demo; returns the home it uses.
    pub(crate) fn join(&self, config: &mut Config, ben: Vec<String>) -> Home {
        loopback_only(config);
        config.network.bootstrap = ben;
        Home::new(self.dir.path().join("you"))
    }

    /// Returns where to enter the demo's network.
    pub(crate) async fn entrance(&self) -> Vec<String> {
        addresses(&self.ben).await
    }

    fn everything(&self) -> Get {
        Get { repo: self.published.repo.to_string(), include: vec![], exclude: vec![], to: None }
    }

    /// Shows the whole way of the model to the newcomer's node.
    pub(crate) async fn show(&self, you: &Node) -> Result<(), Failure> {
        let start = Instant::now();
        let say = |text: String| output::note(&format!("{:>6.2} s  {text}", start.elapsed().as_secs_f64()));
        let Published { repo, revision, .. } = &self.published;
        output::note("");
        output::note(&format!("Ada   {} made a small GPT-2 and published it", self.ada.node_id()));
        output::note(&format!("Ben   {} fetched it from her; you know only Ben", self.ben.node_id()));
        output::note(&format!("You   {}", you.node_id()));
        output::note("");
        let found = you.explain(&repo.to_string()).await?;
        say(format!("found over the DHT: {repo}"));
        say(format!("revision {revision}, offered by {} nodes", found.providers.len()));
        for reason in &found.explanation {
            say(reason.clone());
        }
        let got = you.get(self.everything(), &Events::silent()).await?;
        say(format!("fetched and verified {} files, {} bytes", got.files, got.bytes));
        output::note("");
        if let Some(address) = you.gateway() {
            output::note("Now with the Hub's own client, unmodified (pip install huggingface_hub):");
            output::note("");
            output::note(&format!("  HF_ENDPOINT=http://{address} hf download {repo}"));
            output::note("");
        }
        output::note("Ctrl-C ends the demo and removes its files. After that: huddle up");
        Ok(())
    }

    /// Stops the neighbours and removes everything.
    pub(crate) async fn end(self) {
        tokio::join!(self.ada.shutdown(), self.ben.shutdown());
        if let Err(error) = self.dir.close() {
            output::warn(&format!("cannot remove the demo's files: {error}"));
        }
    }
}

fn loopback_only(config: &mut Config) {
    config.network.listen = vec![([127, 0, 0, 1], 0).into()];
    config.network.mdns = false;
}

async fn addresses(node: &Node) -> Vec<String> {
    node.network().addresses().await.unwrap_or_default().iter().map(ToString::to_string).collect()
}
