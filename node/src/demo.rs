//! `huddle up --demo`: two neighbours in this process hold a small model made on the spot, and the newcomer's node
//! finds, fetches and verifies it as it would anywhere. Real nodes, real DHT, loopback only; gone when it ends.

mod model;

use std::time::{Duration, Instant};

use huddle_protocol::{NodeId, RepoKind};
use indicatif::HumanBytes;
use tempfile::TempDir;
use tokio::time::timeout;

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

/// How long a node may take to join the demo's network.
const JOIN: Duration = Duration::from_secs(10);

/// The neighbours, and the folder everything of the demo is in.
#[derive(Debug)]
pub(crate) struct Demo {
    dir: TempDir,
    neighbours: Vec<Node>,
}

/// What the newcomer finds.
#[derive(Debug)]
pub(crate) struct Scene {
    ada: NodeId,
    ben: NodeId,
    published: Published,
    entrance: Vec<String>,
}

fn unexpected(error: impl std::error::Error) -> Failure {
    Failure::new(Code::Unexpected, &error)
}

impl Demo {
    /// Makes the folder.
    pub(crate) fn new() -> Result<Self, Failure> {
        let dir = tempfile::Builder::new().prefix("huddle-demo-").tempdir().map_err(unexpected)?;
        Ok(Self { dir, neighbours: Vec::new() })
    }

    /// Starts the neighbours: Ada publishes a model, Ben joins through her and fetches it.
    pub(crate) async fn prepare(&mut self) -> Result<Scene, Failure> {
        let folder = self.dir.path().join(NAME);
        model::write(&folder).map_err(unexpected)?;
        let mut config = Config::default();
        loopback_only(&mut config);
        config.gateway.enabled = false;
        let ada = self.neighbour("ada", &config).await?;
        let publish = Publish {
            path: folder,
            name: NAME.to_owned(),
            kind: RepoKind::Model,
            branch: "main".to_owned(),
            message: Some("First release".to_owned()),
            key: None,
            copy: false,
            private: false,
            readers: Vec::new(),
        };
        let published = ada.publish(publish, &Events::silent()).await?;
        ada.announcer().settled().await;
        config.network.bootstrap = addresses(&ada).await;
        let ben = self.neighbour("ben", &config).await?;
        ben.get(everything(&published), &Events::silent()).await?;
        ben.announcer().settled().await;
        Ok(Scene { ada: ada.node_id(), ben: ben.node_id(), published, entrance: addresses(&ben).await })
    }

    async fn neighbour(&mut self, name: &str, config: &Config) -> Result<Node, Failure> {
        let node = Node::start(Home::new(self.dir.path().join(name)), config.clone(), Mode::Long).await?;
        self.neighbours.push(node.clone());
        let _ = timeout(JOIN, node.ready()).await; // the next step will say what is wrong
        Ok(node)
    }

    /// Makes the newcomer's node part of the demo; returns the home it uses.
    pub(crate) fn join(&self, config: &mut Config, scene: &Scene) -> Home {
        loopback_only(config);
        config.network.bootstrap.clone_from(&scene.entrance);
        Home::new(self.dir.path().join("you"))
    }

    /// Shows the whole way of the model to the newcomer's node.
    pub(crate) async fn show(&self, scene: &Scene, you: &Node) -> Result<(), Failure> {
        let start = Instant::now();
        let say = |text: String| output::note(&format!("{:>6.2} s  {text}", start.elapsed().as_secs_f64()));
        let Published { repo, revision, .. } = &scene.published;
        output::note("");
        output::note(&format!("Ada   {} made a small GPT-2 and published it", scene.ada));
        output::note(&format!("Ben   {} fetched it from her; you know only Ben", scene.ben));
        output::note(&format!("You   {}", you.node_id()));
        output::note("");
        let _ = timeout(JOIN, you.ready()).await; // the next step will say what is wrong
        say("joined the network through Ben".to_owned());
        let found = you.explain(&repo.to_string()).await?;
        say(format!("found over the DHT: {repo}"));
        say(format!("revision {revision}, offered by {} nodes", found.providers.len()));
        for reason in &found.explanation {
            say(reason.clone());
        }
        let got = you.get(everything(&scene.published), &Events::silent()).await?;
        say(format!("fetched and verified {} files, {}", got.files, HumanBytes(got.bytes)));
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
        futures::future::join_all(self.neighbours.iter().map(Node::shutdown)).await;
        if let Err(error) = self.dir.close() {
            output::warn(&format!("cannot remove the demo's files: {error}"));
        }
    }
}

fn everything(published: &Published) -> Get {
    Get { repo: published.repo.to_string(), ..Get::default() }
}

fn loopback_only(config: &mut Config) {
    config.network.listen = vec![([127, 0, 0, 1], 0).into()];
    config.network.mdns = false;
}

async fn addresses(node: &Node) -> Vec<String> {
    node.network().addresses().await.unwrap_or_default().iter().map(ToString::to_string).collect()
}
