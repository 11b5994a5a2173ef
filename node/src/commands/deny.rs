//! `huddle deny`: changes the files of the home, and has a running node read them anew.

use std::path::Path;

use huddle_protocol::{Signed, Subject};

use super::{Context, session};
use crate::{
    cli::Deny,
    config,
    control::Call,
    deny::{self, DenyError, Entry, Verdict},
    failure::{Code, Failure},
    home::{Home, write_private},
    identity::{Identity, KeyError},
    names::Names,
    output,
    progress::Bars,
};

pub(super) async fn run(context: &Context, deny: Deny, bars: Bars) -> Result<(), Failure> {
    let home = &context.home;
    match deny {
        Deny::Add { subject, reason, allow } => {
            let verdict = if allow { Verdict::Allow } else { Verdict::Deny };
            let entry = deny::add(home, parse(home, &subject).await?, verdict, &reason).map_err(failure)?;
            heed(context, bars).await?;
            output::print(&output::Said { entry, is_taken_back: false }, context.json)
        }
        Deny::List => {
            let (own, lists) = (deny::own(home).map_err(failure)?, deny::subscribed(home).map_err(failure)?);
            output::print(&output::Denied::new(own, &lists), context.json)
        }
        Deny::Remove { subject, list } => match (subject, list) {
            (Some(subject), _) => {
                let entry = deny::remove(home, &parse(home, &subject).await?).map_err(failure)?;
                heed(context, bars).await?;
                output::print(&output::Said { entry, is_taken_back: true }, context.json)
            }
            (None, Some(list)) => {
                deny::unsubscribe(home, list).map_err(failure)?;
                heed(context, bars).await?;
                output::print(&output::Followed { publisher: list, entries: 0, seq: 0 }, context.json)
            }
            (None, None) => Err(Failure::text(Code::Usage, "name what the word is about, or whose list it is")),
        },
        Deny::Import { file, from: Some(from) } => {
            let list = deny::read_list(&file).map_err(failure)?;
            if list.signer() != from.0 {
                let actual = list.signer().into();
                return Err(failure(DenyError::OtherSigner { expected: from, actual }));
            }
            deny::subscribe(home, &list).map_err(failure)?;
            heed(context, bars).await?;
            let entries = list.entries().len() as u64;
            output::print(&output::Followed { publisher: from, entries, seq: list.seq() }, context.json)
        }
        Deny::Import { file, from: None } => {
            let entries = import(&file)?;
            let new = deny::merge(home, entries).map_err(failure)? as u64;
            heed(context, bars).await?;
            output::print(&output::Merged { new }, context.json)
        }
        Deny::Export { file, sign, key } => {
            let io = |error: std::io::Error| Failure::text(Code::Unexpected, format!("{}: {error}", file.display()));
            let path = std::path::absolute(&file).map_err(io)?;
            let (bytes, entries) = if sign { signed(context, key.as_deref())? } else { plain(context)? };
            write_private(&path, &bytes).map_err(io)?;
            output::print(&output::Exported { file: path, entries }, context.json)
        }
    }
}

/// Has the running node, if there is one, heed what changed.
async fn heed(context: &Context, bars: Bars) -> Result<(), Failure> {
    match session::running(context).await {
        Ok(session) => session.call::<()>(Call::Denied, bars).await,
        Err(_) => Ok(()),
    }
}

/// Reads what a word is about; nobody is asked whose a domain is.
async fn parse(home: &Home, text: &str) -> Result<Subject, Failure> {
    if let Some(subject) = text.parse().ok().or_else(|| text.parse().ok().map(Subject::Publisher)) {
        return Ok(subject);
    }
    let names = Names::new(home, &config::Names { domains: false, ..config::Names::default() }, &());
    let named = if text.contains('/') { names.read(text).await.ok() } else { None };
    named.map(|(named, _)| Subject::Repo(named.repo)).ok_or_else(|| {
        let what = "expected `blake3:<hash>`, `sha256:<hash>`, `<publisher>/<name>` or `<publisher>`";
        Failure::text(Code::Usage, format!("`{text}` names nothing to deny: {what}"))
    })
}

fn import(file: &Path) -> Result<Vec<Entry>, Failure> {
    let bytes = deny::read_plain(file).map_err(failure)?;
    if huddle_protocol::Purpose::of(&bytes).is_some() {
        let way_out = "it is signed: say whose list you follow with --from <publisher>";
        return Err(Failure::text(Code::Usage, format!("{}: {way_out}", file.display())));
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| Failure::text(Code::Usage, format!("{} is no list of entries: {error}", file.display())))
}

fn plain(context: &Context) -> Result<(Vec<u8>, u64), Failure> {
    let own = deny::own(&context.home).map_err(failure)?;
    Ok((serde_json::to_vec_pretty(&own).unwrap_or_default(), own.len() as u64))
}

fn signed(context: &Context, key: Option<&str>) -> Result<(Vec<u8>, u64), Failure> {
    let bad_key = |error: KeyError| Failure::new(Code::Usage, &error);
    let identity = Identity::open(&context.home, &context.config()?.publisher.key).map_err(bad_key)?;
    let key = identity.publisher(&context.home, key).map_err(bad_key)?;
    let list = deny::list_for_others(&context.home).map_err(failure)?;
    let entries = list.entries().len() as u64;
    let list = Signed::sign(list, &key).map_err(|error| Failure::new(Code::Unexpected, &error))?;
    Ok((list.bytes().to_vec(), entries))
}

fn failure(error: DenyError) -> Failure {
    let code = match &error {
        DenyError::Unknown { .. } => Code::NotFound,
        DenyError::Reason(_) | DenyError::TooMany => Code::Usage,
        DenyError::NotAList { .. }
        | DenyError::OtherSigner { .. }
        | DenyError::Outdated { .. }
        | DenyError::Fork { .. } => Code::Verification,
        _ => Code::Unexpected,
    };
    Failure::new(code, &error)
}
