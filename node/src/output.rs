//! The only place that prints: results to stdout, as text or as one JSON object, everything else to stderr.

mod denied;
mod names;
mod private;
mod tokens;
mod trust;

use std::{
    fmt::{self, Display},
    io::{self, Write},
    ops::Range,
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use huddle_protocol::{NodeId, PublisherId};
use indicatif::HumanBytes;
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::json;

pub(crate) use self::{
    denied::{Denied, Exported, Followed, Merged, Said},
    names::{AddedName, Domain, ForgottenDomain, ImportedNames, Names, RemovedName},
    private::{Joined, Sharings},
    tokens::{NewToken, Revoked, Tokens},
    trust::{Checked, Evidence, Pardon, Trusted, Trusting},
};
use crate::{
    checkout::Written,
    clock::timestamp as time,
    config::Config,
    failure::{Code, Failure},
    get::Got,
    names::Step,
    publish::{Attested, Published},
    report::{Forgiven, Peer, Resolution, Status},
    store::Rebuilt,
};

/// Prints a result.
pub(crate) fn print<T: Display + Serialize>(result: &T, json: bool) -> Result<(), Failure> {
    if json { line(result) } else { script(format!("{}\n", result.to_string().trim_end()).as_bytes()) }
}

/// Prints one line of JSON.
pub(crate) fn line<T: Serialize>(value: &T) -> Result<(), Failure> {
    let mut line = serde_json::to_vec(value).map_err(|error| Failure::new(Code::Unexpected, &error))?;
    line.push(b'\n');
    script(&line)
}

/// Prints something made for other programs.
pub(crate) fn script(bytes: &[u8]) -> Result<(), Failure> {
    match io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()), // `huddle … | head`
        written => written.map_err(|error| Failure::new(Code::Unexpected, &error)),
    }
}

/// Prints a secret, which is shown to whoever asked and to nobody else.
pub(crate) fn secret(text: &str) -> Result<(), Failure> {
    io::stdout().write_all(text.as_bytes()).map_err(|error| Failure::new(Code::Unexpected, &error))
}

/// Prints a failed command and returns its exit code.
pub fn fail(failure: &Failure, json: bool) -> ExitCode {
    if json {
        let error = json!({ "error": failure.message, "causes": failure.causes, "code": failure.code });
        eprintln!("{error}");
    } else {
        eprintln!("error: {}", clean(&failure.message));
        for cause in &failure.causes {
            eprintln!("  because: {}", clean(cause));
        }
    }
    ExitCode::from(failure.code.number())
}

/// Tells the user something they should know.
pub(crate) fn warn(text: &str) {
    eprintln!("warning: {}", clean(text));
}

/// Tells the user something in passing.
pub(crate) fn note(text: &str) {
    eprintln!("{}", clean(text));
}

/// Takes out what could play tricks on a terminal or on whoever reads it; names come from strangers.
pub(crate) fn clean(text: &str) -> String {
    let is_invisible = |character| {
        // Zero width, line separators, and what turns the direction of writing round.
        matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.chars().filter(|character| !character.is_control() && !is_invisible(*character)).collect()
}

/// Returns a number and what it counts.
pub(crate) fn count(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// The ids of a home.
#[derive(Debug, Serialize)]
pub(crate) struct Ids {
    pub(crate) node_id: NodeId,
    pub(crate) peer_id: String,
    pub(crate) publisher_id: PublisherId,
    pub(crate) home: String,
}

impl Display for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "publisher  {}", self.publisher_id)?;
        writeln!(f, "node       {}", self.node_id)?;
        writeln!(f, "peer       {}", self.peer_id)?;
        write!(f, "home       {}", self.home)
    }
}

/// Publisher keys by name.
#[derive(Debug)]
pub(crate) struct Keys(pub(crate) Vec<(String, PublisherId)>);

impl Serialize for Keys {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, id) in &self.0 {
            map.serialize_entry(name, id)?;
        }
        map.end()
    }
}

impl Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return write!(f, "no publisher keys yet; `huddle key new <name>` makes one");
        }
        self.0.iter().try_for_each(|(name, id)| writeln!(f, "{name:<16} {id}"))
    }
}

/// The key of a private network that was just made.
#[derive(Serialize)]
pub(crate) struct NewSwarm {
    pub(crate) file: PathBuf,
    pub(crate) network: String,
}

impl Display for NewSwarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "network    {}, from the next start on\nkey        {}",
            self.network,
            clean(&self.file.display().to_string())
        )
    }
}

impl Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_toml())
    }
}

impl Display for Rebuilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (manifests, heads) = (count(self.manifests, "manifest"), count(self.heads, "head"));
        write!(f, "rebuilt    {manifests} and {heads} among {}", count(self.blobs, "blob"))?;
        if self.lies > 0 {
            write!(f, "\nkept       the bans of {} from the old index", count(self.lies, "proven lie"))?;
        }
        Ok(())
    }
}

impl Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.unchanged { "unchanged" } else { "published" };
        writeln!(f, "{verb}  {}@{}", self.repo, clean(&self.branch))?;
        writeln!(f, "revision   {}", self.revision)?;
        writeln!(f, "manifest   {}", self.manifest)?;
        write!(f, "files      {} ({})", self.files, HumanBytes(self.bytes))?;
        match &self.invited {
            Some(invited) => write!(f, "\n{invited}"),
            None => Ok(()),
        }
    }
}

impl Display for Attested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "attested   {}@{}", self.repo, clean(&self.branch))?;
        writeln!(f, "revision   {}", self.revision)?;
        writeln!(f, "manifest   {}", self.manifest)?;
        writeln!(f, "files      {} ({})", self.files, HumanBytes(self.bytes))?;
        let proof = if self.is_proven { "the commit object proves them" } else { "no commit object: your word only" };
        match &self.confirmed_by {
            Some(hub) => write!(f, "trust      {proof}; {} says the same", clean(hub)),
            None => write!(f, "trust      {proof}"),
        }
    }
}

impl Display for Got {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "got        {}", self.repo)?;
        if self.name != Step::Key {
            writeln!(f, "name       {}", clean(&self.name.sentence()))?;
        }
        writeln!(f, "revision   {}", self.revision)?;
        writeln!(f, "trust      {}", self.reasons.join(", "))?;
        let from = match self.fetched {
            0 => "all here already".to_owned(),
            fetched if fetched >= self.bytes => "all fetched".to_owned(),
            fetched => format!("{} fetched, the rest was here", HumanBytes(fetched)),
        };
        writeln!(f, "files      {} ({}, {from})", self.files, HumanBytes(self.bytes))?;
        match &self.to {
            Some(to) => write!(f, "in         {}", clean(&to.display().to_string()))?,
            None => write!(f, "in         the store, for the gateway; `--to <folder>` writes the files out")?,
        }
        if let Some(written) = self.written.map(|written| written.to_string()).filter(|written| !written.is_empty()) {
            write!(f, "\nwritten    {written}")?;
        }
        for lie in &self.lies {
            write!(f, "\nliar       {} ({}: {})", lie.node, lie.blob, clean(&lie.evidence))?;
        }
        Ok(())
    }
}

impl Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let copied = if self.across_file_systems { "copied (the store is on another file system)" } else { "copied" };
        let ways = [
            (self.reflinked, "sharing blocks with the store"),
            (self.linked, "linked to the store (read-only)"),
            (self.copied, copied),
            (self.symlinks, "symbolic links"),
            (self.kept, "there already"),
        ];
        let ways: Vec<_> =
            ways.iter().filter(|(files, _)| *files > 0).map(|(files, way)| format!("{files} {way}")).collect();
        f.write_str(&ways.join(", "))
    }
}

impl Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let made = std::time::UNIX_EPOCH.checked_add(Duration::from_secs(self.time));
        let made = made.map(|time| humantime::format_rfc3339_seconds(time).to_string()).unwrap_or_default();
        writeln!(f, "repo       {}", self.repo)?;
        writeln!(f, "name       {}", clean(&self.name.sentence()))?;
        writeln!(f, "revision   {}", self.revision)?;
        writeln!(f, "made       {made}  {}", clean(self.title.as_deref().unwrap_or_default()))?;
        writeln!(f, "manifest   {}", self.manifest)?;
        writeln!(f, "signer     {}", self.signer)?;
        for reason in &self.explanation {
            writeln!(f, "trust      {}", clean(reason))?;
        }
        if self.is_outdated {
            writeln!(f, "outdated   something newer was signed, and nobody who has it can be reached now")?;
        }
        if self.voices.iter().any(|voice| !voice.is_followed) {
            for voice in &self.voices {
                writeln!(f, "{}  {voice}", if voice.is_followed { "agrees   " } else { "differs  " })?;
            }
        }
        writeln!(f, "files      {} ({}), {} here", self.files, HumanBytes(self.bytes), self.files_here)?;
        for finding in &self.unsafe_files {
            writeln!(f, "unsafe     {}", clean(&finding.to_string()))?;
        }
        if !self.card.license.is_empty() {
            writeln!(f, "licence    {}", clean(&self.card.license.join(", ")))?;
        }
        for (name, revision) in &self.refs {
            let (kind, name) = match (name.strip_prefix("refs/heads/"), name.strip_prefix("refs/tags/")) {
                (Some(branch), _) => ("branch", branch),
                (_, Some(tag)) => ("tag", tag),
                _ => ("ref", name.as_str()),
            };
            writeln!(f, "{kind:<10} {revision}  {}", clean(name))?;
        }
        for node in &self.providers {
            writeln!(f, "provider   {node}")?;
        }
        for node in &self.unreachable {
            writeln!(f, "provider   {node}  (not reachable now)")?;
        }
        if self.providers.is_empty() && self.unreachable.is_empty() {
            writeln!(f, "provider   nobody else now")?;
        }
        Ok(())
    }
}

impl Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "node       {}", self.node_id)?;
        writeln!(f, "publisher  {}", self.publisher_id)?;
        writeln!(f, "gateway    {}", self.gateway.as_deref().unwrap_or("off"))?;
        for address in &self.addresses {
            writeln!(f, "address    {address}")?;
        }
        for address in &self.endpoint {
            writeln!(f, "endpoint   {address} (udp)")?;
        }
        writeln!(f, "peers      {}", self.peers)?;
        writeln!(f, "revisions  {}", self.manifests)?;
        let uploads = count(self.uploads, "upload");
        let sent_to = count(self.sent_to, "peer");
        writeln!(f, "sent       {} to {sent_to}, {uploads} under way", HumanBytes(self.sent))?;
        for download in &self.downloads {
            let (received, size) = (HumanBytes(download.received), HumanBytes(download.size));
            let sources = count(download.sources.len() as u64, "peer");
            writeln!(f, "fetching   {} ({received} of {size} so far, from {sources})", download.blob)?;
        }
        writeln!(f, "up         {}", humantime::format_duration(Duration::from_secs(self.uptime)))?;
        writeln!(f, "home       {}", self.home)?;
        write!(f, "version    {}", self.version)
    }
}

/// A node that has just started.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Up(pub(crate) Status);

impl Display for Up {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "publisher  {}", self.0.publisher_id)?;
        for address in &self.0.addresses {
            writeln!(f, "address    {address}")?;
        }
        match &self.0.gateway {
            Some(gateway) => write!(f, "gateway    HF_ENDPOINT={gateway}"),
            None => write!(f, "gateway    off"),
        }
    }
}

/// Peers, connected or remembered.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Peers(pub(crate) Vec<Peer>);

impl Display for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return write!(f, "no peers yet; give one with --bootstrap, or wait for one on the local network");
        }
        for peer in &self.0 {
            let word = match (peer.known.banned_until, peer.connected) {
                (Some(_), _) => "banned",
                (None, Some(_)) if peer.is_inbound => "from",
                (None, Some(_)) => "to",
                (None, None) => "away",
            };
            let mut facts = Vec::new();
            if let Some(connected) = peer.connected {
                let agent = clean(peer.agent.as_deref().unwrap_or("unknown"));
                let connected = humantime::format_duration(Duration::from_secs(connected));
                facts.push(format!("{agent}, for {connected}, {}", peer.address.as_deref().unwrap_or_default()));
            }
            if peer.known.bytes > 0 {
                let speed = peer.known.speed.map(|speed| format!(" at {}/s", HumanBytes(speed))).unwrap_or_default();
                facts.push(format!("{} delivered{speed}", HumanBytes(peer.known.bytes)));
            } else if peer.known.failed > 0 {
                facts.push("nothing delivered".to_owned());
            }
            if peer.sent > 0 {
                facts.push(format!("{} sent to it", HumanBytes(peer.sent)));
            }
            if peer.known.paused > 0 {
                facts.push(format!("asked again in {} s", peer.known.paused));
            }
            if let Some(until) = peer.known.banned_until {
                facts.push(format!("until {}", time(until)));
            } else if let (None, Some(seen)) = (peer.connected, peer.known.last_seen) {
                facts.push(format!("last seen {}", time(seen)));
            }
            writeln!(f, "{}", format!("{word:<10} {}  {}", peer.known.node_id, facts.join(", ")).trim_end())?;
        }
        Ok(())
    }
}

/// Peers that lied.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Banned(pub(crate) Vec<Peer>);

impl Display for Banned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return write!(f, "nobody is banned");
        }
        for Peer { known, .. } in &self.0 {
            writeln!(f, "banned     {}  until {}", known.node_id, known.banned_until.map(time).unwrap_or_default())?;
            for lie in &known.lies {
                let Range { start, end } = lie.range;
                let (when, evidence) = (time(lie.time), clean(&lie.evidence));
                writeln!(f, "  because  asked for bytes {start} to {end} of {} at {when}: {evidence}", lie.blob)?;
            }
        }
        Ok(())
    }
}

impl Display for Forgiven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lies = if self.lies == 1 { "1 lie".to_owned() } else { format!("{} lies", self.lies) };
        write!(f, "forgiven   {}  {lies}; it is asked again", self.node_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_strangers_cannot_play_tricks() {
        assert_eq!(clean("a\u{1b}[2J\r\nb\u{9b}c"), "a[2Jbc");
        assert_eq!(clean("safe\u{202e}exe.\u{200b}bin"), "safeexe.bin");
        assert_eq!(clean("モデル – naïve 🤗"), "モデル – naïve 🤗");
    }

    #[test]
    fn counted_things_agree_with_their_number() {
        assert_eq!([count(0, "file"), count(1, "file"), count(2, "file")], ["0 files", "1 file", "2 files"]);
    }
}
