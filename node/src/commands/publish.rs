//! `huddle publish`.

use super::{Context, session};
use crate::{
    cli,
    control::Call,
    failure::{Code, Failure},
    output,
    progress::Bars,
    publish::{Publish, Published},
};

pub(super) async fn run(context: &Context, publish: cli::Publish, bars: Bars) -> Result<(), Failure> {
    let bars = bars.or_lines(publish.events, context.json)?;
    let path = std::path::absolute(&publish.path).map_err(|error| Failure::new(Code::Usage, &error))?;
    let session = session::open(context, &publish.network).await?;
    let is_own = session.is_own();
    let call = Call::Publish(Publish {
        path,
        name: publish.repo,
        kind: publish.kind.into(),
        branch: publish.branch,
        message: publish.message,
        key: publish.key,
        copy: publish.copy,
        private: publish.private,
        readers: publish.reader,
    });
    let published: Published = session.call(call, bars).await?;
    if is_own && !context.json {
        output::note("others can fetch it only while a node of yours runs: `huddle up`");
    }
    output::print(&published, context.json)
}
