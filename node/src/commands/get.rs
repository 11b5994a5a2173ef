//! `huddle get`.

use super::{Context, session};
use crate::{
    cli,
    control::Call,
    failure::{Code, Failure},
    get::{Get, Got},
    output,
    progress::Bars,
};

pub(super) async fn run(context: &Context, get: cli::Get, bars: Bars) -> Result<(), Failure> {
    let to = get.to.as_deref().map(std::path::absolute).transpose();
    let to = to.map_err(|error| Failure::new(Code::Usage, &error))?;
    let session = session::open(context, &get.network).await?;
    let call = Call::Get(Get { repo: get.repo, include: get.include, exclude: get.exclude, to });
    let got: Got = session.call(call, bars).await?;
    output::print(&got, context.json)
}
