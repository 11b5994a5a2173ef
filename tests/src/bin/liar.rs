//! Serves what a home holds as a liar of one kind does, for the benchmarks; prints its id when it is ready.
//!
//!     liar HOME BOOTSTRAP REPO MANIFEST KIND
//!
//! Kinds: `honest`, `flips[=OFFSET]`, `size[=MORE]`, `stalls`, `trickles[=BYTES]`, `disconnects[=BYTES]`, `silent`,
//! `leaves[=BYTES]`.

use std::path::Path;

use anyhow::{Result, bail};
use huddle_tests::faults::Liar;

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let [home, bootstrap, repo, manifest, kind] = args.as_slice() else {
        bail!("usage: liar HOME BOOTSTRAP REPO MANIFEST KIND")
    };
    let liar = Liar::start(Path::new(home), bootstrap, &repo.parse()?, manifest.parse()?, kind.parse()?).await?;
    println!("{}", liar.id);
    tokio::signal::ctrl_c().await?;
    liar.stop().await;
    Ok(())
}
