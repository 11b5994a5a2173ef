//! `huddle trust`: works on the trust book of the home, which a running node reads anew when it changes.

use huddle_protocol::{FraudProof, PublisherId};

use super::{Context, session};
use crate::{
    cli::Trust,
    config::Namespace,
    control::Call,
    failure::{Code, Failure},
    home::{Home, file::FileError},
    names::book,
    output,
    progress::Bars,
    trust::{
        Book, Fraud, Policy,
        book::{self as trust_book, TrustError},
    },
};

/// Does what needs somebody to ask.
pub(super) async fn ask(context: &Context, trust: Trust, bars: Bars) -> Result<(), Failure> {
    let Trust::Check { manifest, path, network } = trust else { return run(context, trust) };
    let session = session::open(context, &network).await?;
    let proof = FraudProof { manifest, path };
    let fraud: Option<Fraud> = session.call(Call::Fraud(proof.clone()), bars).await?;
    output::print(&output::Checked { proof, fraud }, context.json)
}

pub(super) fn run(context: &Context, trust: Trust) -> Result<(), Failure> {
    let home = &context.home;
    match trust {
        Trust::Add { publisher, votes } => {
            let publisher = named(home, &publisher)?;
            trust_book::add(home, publisher, votes).map_err(failure)?;
            output::print(&output::Trusted { publisher, votes }, context.json)
        }
        Trust::Remove { publisher } => {
            let publisher = named(home, &publisher)?;
            trust_book::remove(home, publisher).map_err(failure)?;
            output::print(&output::Trusted { publisher, votes: 0 }, context.json)
        }
        Trust::Policy { namespace, votes, proven, upstream, reset } => {
            let rule = Namespace { votes, proven, upstream: upstream.map(Into::into) };
            if !reset && rule == Namespace::default() {
                return Err(Failure::text(
                    Code::Usage,
                    "say what it needs: --votes, --proven or --upstream, or --reset",
                ));
            }
            trust_book::set_rule(home, &namespace, (!reset).then_some(rule)).map_err(failure)?;
            list(context)
        }
        Trust::List => list(context),
        Trust::Evidence => {
            let book = Book::read(home).map_err(|error| failure(error.into()))?;
            output::print(&output::Evidence { frauds: book.frauds }, context.json)
        }
        Trust::Check { .. } => Ok(()), // see `ask`
        Trust::Forgive { publisher } => {
            let proofs = trust_book::forgive(home, publisher).map_err(failure)? as u64;
            output::print(&output::Pardon { publisher, proofs }, context.json)
        }
    }
}

fn list(context: &Context) -> Result<(), Failure> {
    let config = context.config()?;
    let book = Book::read(&context.home).map_err(|error| failure(error.into()))?;
    let policy = Policy::new(&config.trust).map_err(|error| Failure::new(Code::Usage, &error))?.with_book(&book);
    let hub = config.upstream.endpoint;
    let list = output::Trusting::new(&policy, hub, book.frauds);
    output::print(&list, context.json)?;
    match policy.check() {
        Err(error) if !context.json => {
            output::note(&error.to_string());
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Reads a publisher id, or a name of the name book.
fn named(home: &Home, text: &str) -> Result<PublisherId, Failure> {
    if let Ok(publisher) = text.parse() {
        return Ok(publisher);
    }
    let names = book::Book::read(home).map_err(|error| failure(error.into()))?;
    let entry = names.find(text);
    entry.map(|entry| entry.publisher).ok_or_else(|| {
        Failure::text(
            Code::Usage,
            format!("`{text}` is no publisher id, and not in the name book (`huddle name list`)"),
        )
    })
}

fn failure(error: TrustError) -> Failure {
    let code = match &error {
        TrustError::Unknown { .. } | TrustError::NoRule { .. } => Code::NotFound,
        TrustError::File(FileError::Damaged { .. } | FileError::Io { .. }) => Code::Unexpected,
        _ => Code::Usage,
    };
    Failure::new(code, &error)
}
