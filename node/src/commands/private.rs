//! `huddle private`.

use super::{Context, session};
use crate::{
    cli::Private,
    control::Call,
    failure::Failure,
    output,
    private::{Invited, PrivateCall},
    progress::Bars,
    store::Sharing,
};

pub(super) async fn run(context: &Context, private: Private, bars: Bars) -> Result<(), Failure> {
    let network = private.network().clone();
    let session = session::open(context, &network).await?;
    let call = |call| Call::Private(call);
    match private {
        Private::Allow { repo, nodes, .. } => {
            let invited: Invited = session.call(call(PrivateCall::Allow { repo, nodes }), bars).await?;
            output::print(&invited, context.json)
        }
        Private::Revoke { repo, nodes, .. } => {
            let invited: Invited = session.call(call(PrivateCall::Revoke { repo, nodes }), bars).await?;
            output::print(&invited, context.json)
        }
        Private::List { .. } => {
            let sharings: Vec<Sharing> = session.call(call(PrivateCall::List), bars).await?;
            output::print(&output::Sharings(sharings), context.json)
        }
        Private::Join { invitation, .. } => {
            let sharing: Sharing = session.call(call(PrivateCall::Join(invitation)), bars).await?;
            output::print(&output::Joined(sharing), context.json)
        }
        Private::Leave { repo, .. } => {
            let sharing: Sharing = session.call(call(PrivateCall::Leave { repo }), bars).await?;
            output::print(&output::Joined(sharing), context.json)
        }
    }
}
