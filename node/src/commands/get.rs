//! `huddle get`.

use std::path::PathBuf;

use super::{Context, session};
use crate::{
    cli, config,
    control::Call,
    failure::{Code, Failure},
    get::{Get, Got},
    output,
    progress::Bars,
};

pub(super) async fn run(context: &Context, get: cli::Get, bars: Bars) -> Result<(), Failure> {
    let bars = bars.or_lines(get.events, context.json)?;
    let absolute = |path: Option<PathBuf>| path.map(std::path::absolute).transpose();
    let absolute = |path| absolute(path).map_err(|error| Failure::new(Code::Usage, &error));
    let no_home = || Failure::text(Code::Usage, "there is no home directory; name the cache: --hf-cache=<folder>");
    let hf_cache = match get.hf_cache {
        Some(None) => Some(config::hub_cache().ok_or_else(no_home)?),
        named => named.flatten(),
    };
    let (to, hf_cache) = (absolute(get.to)?, absolute(hf_cache)?);
    let session = session::open(context, &get.network).await?;
    let call =
        Call::Get(Get { repo: get.repo, include: get.include, exclude: get.exclude, to, hf_cache, copy: get.copy });
    let got: Got = session.call(call, bars).await?;
    output::print(&got, context.json)
}
