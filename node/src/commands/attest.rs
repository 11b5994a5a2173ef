//! `huddle attest`.

use std::{fs, path::Path, process::Command};

use super::{Context, session};
use crate::{
    cli,
    control::Call,
    failure::{Code, Failure},
    output,
    progress::Bars,
    publish::{Attest, Attested},
};

pub(super) async fn run(context: &Context, attest: cli::Attest, bars: Bars) -> Result<(), Failure> {
    let bars = bars.or_lines(attest.events, context.json)?;
    let path = std::path::absolute(&attest.path).map_err(|error| Failure::new(Code::Usage, &error))?;
    let commit = match &attest.commit {
        Some(file) => {
            let read = fs::read(file);
            Some(read.map_err(|error| Failure::text(Code::Usage, format!("cannot read {}: {error}", file.display())))?)
        }
        None => commit_of_checkout(&path, &attest.repo),
    };
    let session = session::open(context, &attest.network).await?;
    let is_own = session.is_own();
    let call = Call::Attest(Attest {
        path,
        repo: attest.repo,
        commit,
        branch: attest.branch,
        key: attest.key,
        copy: attest.copy,
    });
    let attested: Attested = session.call(call, bars).await?;
    if is_own && !context.json {
        output::note("others can fetch it only while a node of yours runs: `huddle up`");
    }
    output::print(&attested, context.json)
}

/// Asks git for the commit object, if the folder is a checkout that has it.
fn commit_of_checkout(path: &Path, repo: &str) -> Option<Vec<u8>> {
    let (_, id) = repo.split_once('@')?;
    let is_id = id.len() == 40 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_id || !path.join(".git").exists() {
        return None;
    }
    let done = Command::new("git").arg("-C").arg(path).args(["cat-file", "commit", id]).output().ok()?;
    done.status.success().then_some(done.stdout)
}
