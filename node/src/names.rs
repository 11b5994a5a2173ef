//! What a user or a hub client typed, as a repository, and which step read it: an exact key first, then the name book,
//! then the domain, and last the upstream hub.

pub mod book;
pub mod domain;
mod lookalike;
mod step;

use huddle_protocol::{Authority, Hub, ParseRepoError, PublisherName, RepoId, RepoKind, RepoName, Revision};

pub use self::step::Step;
use self::{
    book::Book,
    domain::{Asker, DomainError, Domains, Pin},
};
use crate::{
    config,
    home::{
        Home,
        file::{FileError, Watched},
    },
};

/// Why a name cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// No hub client could type it.
    #[error(transparent)]
    Parse(#[from] ParseRepoError),
    /// The name book cannot be used, and without it a name could mean something else.
    #[error(transparent)]
    File(#[from] FileError),
    /// The name may be a domain, and nobody knows whose.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// Not a domain.
    #[error("`{name}` is no domain that everybody can ask")]
    NoDomain { name: PublisherName },
    /// The user does not want domains to be asked.
    #[error("domains are not asked here; `[names] domains = true` in the configuration changes that")]
    NotAsked,
}

/// A repository, and how its name was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// The repository, by its publisher's key or its hub.
    pub(crate) repo: RepoId,
    /// What read the name.
    pub(crate) step: Step,
}

/// Reads names. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    book: Watched<Book>,
    /// Nothing if domains are not asked.
    domains: Option<Domains>,
}

/// What a name says before anybody is asked.
enum Read {
    /// All of it.
    Done(Named),
    /// Perhaps a domain, and what the name means if the domain names nobody.
    Domain(String, RepoKind, RepoName, Named),
}

impl Names {
    /// Prepares to read names; `tls` says which certificates of web servers are accepted.
    pub(crate) fn new<T: Clone + 'static>(home: &Home, settings: &config::Names, tls: &T) -> Self {
        let domains = settings.domains.then(|| Domains::new(home, Asker::new(settings, tls)));
        Self { book: Watched::new(home.names()), domains }
    }

    /// Reads `[datasets/|spaces/]<namespace>/<name>[@<revision>]`, as the commands take it.
    ///
    /// # Errors
    /// See [`NameError`].
    pub(crate) async fn read(&self, text: &str) -> Result<(Named, Revision), NameError> {
        let (name, revision) = match text.split_once('@') {
            Some((name, revision)) => (name, revision.parse().unwrap_or_default()),
            None => (text, Revision::default()),
        };
        if let Ok(repo) = name.parse::<RepoId>() {
            let step = if repo.publisher().is_some() { Step::Key } else { Step::Upstream };
            return Ok((Named { repo, step }, revision));
        }
        let (kind, id) = RepoKind::ALL
            .into_iter()
            .rev()
            .find_map(|kind| name.strip_prefix(kind.prefix()).map(|id| (kind, id)))
            .unwrap_or((RepoKind::Model, name));
        Ok((self.repo(kind, id).await?, revision))
    }

    /// Reads what a hub client typed: `<namespace>/<name>`, or the single name of an old repository of the upstream hub.
    ///
    /// # Errors
    /// See [`NameError`].
    pub(crate) async fn repo(&self, kind: RepoKind, id: &str) -> Result<Named, NameError> {
        let (domain, kind, name, upstream) = match self.start(kind, id)? {
            Read::Done(named) => return Ok(named),
            Read::Domain(domain, kind, name, upstream) => (domain, kind, name, upstream),
        };
        let Some(domains) = &self.domains else { return Ok(upstream) };
        Ok(domains.publisher(&domain).await?.map_or(upstream, |pin| of_domain(kind, pin, name)))
    }

    /// As [`Self::repo`], by what is known: nobody is asked.
    ///
    /// # Errors
    /// As there.
    #[cfg(feature = "gateway")]
    pub(crate) fn known(&self, kind: RepoKind, id: &str) -> Result<Named, NameError> {
        let (domain, kind, name, upstream) = match self.start(kind, id)? {
            Read::Done(named) => return Ok(named),
            Read::Domain(domain, kind, name, upstream) => (domain, kind, name, upstream),
        };
        let Some(domains) = &self.domains else { return Ok(upstream) };
        Ok(domains.known(&domain)?.map_or(upstream, |pin| of_domain(kind, pin, name)))
    }

    /// Asks a domain now whose it is; `None` if it names nobody.
    ///
    /// # Errors
    /// If it is no domain, domains are not asked, or it does not answer.
    pub(crate) async fn check(&self, name: &PublisherName) -> Result<Option<Pin>, NameError> {
        let domain = domain::as_domain(name).ok_or_else(|| NameError::NoDomain { name: name.clone() })?;
        let domains = self.domains.as_ref().ok_or(NameError::NotAsked)?;
        Ok(domains.check(&domain).await?)
    }

    fn start(&self, kind: RepoKind, id: &str) -> Result<Read, NameError> {
        let (org, name) = match id.split_once('/') {
            Some((org, name)) => (Some(org), name),
            None => (None, id),
        };
        if let Some(publisher) = org.and_then(|org| org.parse().ok()) {
            let repo = RepoId::native(kind, publisher, name.parse()?);
            return Ok(Read::Done(Named { repo, step: Step::Key }));
        }
        let org: Option<RepoName> = org.map(str::parse).transpose()?;
        let name: RepoName = name.parse()?;
        let publisher: Option<PublisherName> = org.as_ref().and_then(|org| org.as_str().parse().ok());
        if let Some(publisher) = &publisher
            && let Some(entry) = self.book.read()?.find(publisher.as_str())
        {
            let repo = RepoId::native(kind, entry.publisher, name);
            return Ok(Read::Done(Named { repo, step: Step::of_book(entry) }));
        }
        let authority = Authority::Upstream { hub: Hub::hugging_face(), org };
        let upstream = Named { repo: RepoId { kind, authority, name: name.clone() }, step: Step::Upstream };
        Ok(match publisher.as_ref().and_then(domain::as_domain) {
            Some(domain) => Read::Domain(domain, kind, name, upstream),
            None => Read::Done(upstream),
        })
    }
}

fn of_domain(kind: RepoKind, pin: Pin, name: RepoName) -> Named {
    Named { repo: RepoId::native(kind, pin.publisher, name), step: Step::Domain(pin) }
}

#[cfg(test)]
mod tests {
    use huddle_protocol::SecretKey;

    use super::*;

    fn names() -> (tempfile::TempDir, Home, Names) {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path().join("home"));
        let settings = config::Names { domains: false, ..config::Names::default() };
        let names = Names::new(&home, &settings, &());
        (dir, home, names)
    }

    #[tokio::test]
    async fn names_are_read_as_users_type_them() {
        let (_dir, _, names) = names();
        let key = SecretKey::from_bytes([1; 32]).public();
        let cases = [
            (format!("{key}/x"), format!("{key}/x"), "main"),
            (format!("datasets/{key}/x@v1"), format!("datasets/{key}/x"), "v1"),
            ("gpt2".into(), "hf:gpt2".into(), "main"),
            ("org/x@refs/pr/1".into(), "hf:org/x".into(), "refs/pr/1"),
            ("spaces/org/x".into(), "spaces/hf:org/x".into(), "main"),
            ("datasets/hf:org/x".into(), "datasets/hf:org/x".into(), "main"),
        ];
        for (text, expected, revision) in cases {
            let (Named { repo, .. }, found) = names.read(&text).await.unwrap();
            assert_eq!((repo.to_string(), found.to_string()), (expected, revision.to_owned()), "{text}");
        }
        for text in ["", "/x", "a/b/c", "a b", "../x"] {
            assert!(names.read(text).await.is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn the_name_book_wins_over_the_hub_and_a_key_over_the_book() {
        let (_dir, home, names) = names();
        let [ada, bob] = [1, 2].map(|seed| SecretKey::from_bytes([seed; 32]).public());
        book::add(&home, "stanford", ada.into(), None, false).unwrap();
        for (text, expected) in [
            ("stanford/alpaca", format!("{ada}/alpaca")),
            ("datasets/Stanford/alpaca", format!("datasets/{ada}/alpaca")),
            ("stanford", "hf:stanford".to_owned()),
            ("hf:stanford/alpaca", "hf:stanford/alpaca".to_owned()),
            ("oxford/alpaca", "hf:oxford/alpaca".to_owned()),
            (&format!("{bob}/alpaca"), format!("{bob}/alpaca")),
        ] {
            assert_eq!(names.read(text).await.unwrap().0.repo.to_string(), expected, "{text}");
        }
        let step = names.read("stanford/alpaca").await.unwrap().0.step;
        assert!(step.sentence().starts_with("name book: you call this publisher `stanford`"), "{}", step.sentence());
    }

    #[tokio::test]
    async fn a_change_of_the_book_is_seen_at_once() {
        let (_dir, home, names) = names();
        for seed in 1..20 {
            let key = SecretKey::from_bytes([seed; 32]).public();
            book::add(&home, "alice", key.into(), None, false).unwrap();
            assert_eq!(names.read("alice/x").await.unwrap().0.repo.publisher(), Some(key.into()));
            book::remove(&home, "alice").unwrap();
            assert_eq!(names.read("alice/x").await.unwrap().0.repo.publisher(), None);
        }
    }

    #[tokio::test]
    async fn a_damaged_book_leads_nowhere_instead_of_somewhere_else() {
        let (_dir, home, names) = names();
        book::add(&home, "alice", SecretKey::from_bytes([1; 32]).public().into(), None, false).unwrap();
        std::fs::write(home.names(), "{").unwrap();
        assert!(matches!(names.read("alice/x").await, Err(NameError::File(FileError::Damaged { .. }))));
    }
}
