//! Who is believed about what.

use huddle_protocol::{Card, Commit, ManifestParts, Person, RepoKind, SecretKey, commit_oid, tree_oid};

use super::*;

fn manifest(repo: &RepoId, signer: &SecretKey, with_commit: bool) -> Signed<Manifest> {
    let author = Person { name: "a".into(), email: "b".into() };
    let tree = tree_oid([]).unwrap();
    let raw = Commit { tree, parents: vec![], author, time: 1, message: "m\n".into() }.to_raw();
    let parts = ManifestParts {
        repo: repo.clone(),
        revision: commit_oid(&raw).unwrap(),
        commit: with_commit.then_some(raw),
        time: 1,
        files: vec![],
        card: Card::default(),
    };
    Signed::sign(Manifest::new(parts).unwrap(), signer).unwrap()
}

/// Judges one manifest.
fn judge_one(
    manifest: &Signed<Manifest>,
    repo: &RepoId,
    asked: &Revision,
    policy: &Policy,
) -> Result<Vec<Reason>, Refusal> {
    judge(&[Candidate { manifest, time: 1 }], repo, asked.into(), policy).map(|verdict| verdict.reasons)
}

fn words(result: Result<Vec<Reason>, Refusal>) -> Vec<&'static str> {
    result.unwrap().iter().map(Reason::word).collect()
}

#[test]
fn a_publisher_is_believed_about_its_own_repository_only() {
    let (ours, theirs) = (SecretKey::from_bytes([1; 32]), SecretKey::from_bytes([2; 32]));
    let repo = RepoId::native(RepoKind::Model, ours.public().into(), "x".parse().unwrap());
    let policy = Policy::default();
    let main = Revision::default();
    assert_eq!(words(judge_one(&manifest(&repo, &ours, true), &repo, &main, &policy)), ["signed", "proven"]);
    let refused = judge_one(&manifest(&repo, &theirs, true), &repo, &main, &policy);
    assert!(matches!(refused, Err(Refusal::NotThePublisher { .. })));
    let other = RepoId::native(RepoKind::Model, ours.public().into(), "y".parse().unwrap());
    assert!(matches!(judge_one(&manifest(&other, &ours, true), &repo, &main, &policy), Err(Refusal::OtherRepo { .. })));
}

#[test]
fn a_pinned_revision_is_believed_from_anybody_if_it_is_proven() {
    let (ours, theirs) = (SecretKey::from_bytes([1; 32]), SecretKey::from_bytes([2; 32]));
    let repo = RepoId::native(RepoKind::Model, ours.public().into(), "x".parse().unwrap());
    let proven = manifest(&repo, &theirs, true);
    let pinned = Revision::Commit(proven.value().revision());
    let reasons = judge_one(&proven, &repo, &pinned, &Policy::default()).unwrap();
    assert_eq!(reasons, [Reason::Pinned]);
    assert!(must_hash(&reasons), "the BLAKE3 names are a stranger's word");
    let unproven = manifest(&repo, &theirs, false);
    assert!(judge_one(&unproven, &repo, &pinned, &Policy::default()).is_err());
    let another = Revision::Commit(GitOid([9; 20]));
    assert_eq!(judge_one(&proven, &repo, &another, &Policy::default()), Err(Refusal::OtherRevision));
}

#[test]
fn an_upstream_repository_needs_a_mirror_that_is_trusted() {
    let mirror = SecretKey::from_bytes([3; 32]);
    let repo: RepoId = "hf:org/x".parse().unwrap();
    let attested = manifest(&repo, &mirror, false);
    let main = Revision::default();
    let refused = judge_one(&attested, &repo, &main, &Policy::default());
    assert!(matches!(refused, Err(Refusal::UnknownAttestor { .. })));
    let policy = Policy::believing([mirror.public().into()]);
    assert_eq!(words(judge_one(&attested, &repo, &main, &policy)), ["attested"]);
}

/// What three mirrors, with one vote each, say of a repository of another hub: of each a manifest and when it was said.
struct Mirrors {
    repo: RepoId,
    said: Vec<(Signed<Manifest>, u64)>,
}

impl Mirrors {
    /// `said` is, of each, the text of the README and the time; an even time makes a manifest without the commit object.
    fn new(said: &[(&'static str, u64)]) -> Self {
        let repo: RepoId = "hf:meta/x".parse().unwrap();
        let manifest = |(mirror, (text, time)): (u8, &(&str, u64))| {
            let files = vec![crate::testing::entry("README.md", text.as_bytes())];
            let tree = tree_oid(files.iter().map(|file| (file.path.as_str(), file.mode, file.git))).unwrap();
            let author = Person { name: "a".into(), email: "b".into() };
            let raw = Commit { tree, parents: vec![], author, time: 1, message: "m\n".into() }.to_raw();
            let (revision, commit) = (commit_oid(&raw).unwrap(), (time % 2 == 1).then_some(raw));
            let parts = ManifestParts { repo: repo.clone(), revision, commit, time: 1, files, card: Card::default() };
            (Signed::sign(Manifest::new(parts).unwrap(), &SecretKey::from_bytes([mirror; 32])).unwrap(), *time)
        };
        Self { said: (1..).zip(said).map(manifest).collect(), repo }
    }

    fn judge(&self, trust: &str) -> Result<Verdict, Refusal> {
        let ids = [1, 2, 3].map(|seed| SecretKey::from_bytes([seed; 32]).public().to_string());
        let trust = format!("attestors = [\"{}\", \"{}\", \"{}\"]\n{trust}", ids[0], ids[1], ids[2]);
        let policy = Policy::new(&toml::from_str(&trust).unwrap()).unwrap();
        let candidates: Vec<_> = self.said.iter().map(|(manifest, time)| Candidate { manifest, time: *time }).collect();
        judge(&candidates, &self.repo, (&Revision::default()).into(), &policy)
    }
}

#[test]
fn it_takes_as_many_votes_for_the_same_as_the_policy_says() {
    let mirrors = Mirrors::new(&[("good", 2), ("evil", 9), ("good", 4)]);
    let verdict = mirrors.judge("votes = 2").unwrap();
    assert_eq!((verdict.index, words(Ok(verdict.reasons))), (0, vec!["attested", "attested"]));
    let followed: Vec<_> = verdict.voices.iter().map(|voice| (voice.time, voice.is_followed)).collect();
    assert_eq!(followed, [(2, true), (4, true), (9, false)], "whoever says something else is shown");
    let Err(Refusal::TooFewVotes { needed: 3, voices }) = mirrors.judge("votes = 3") else { panic!("two of three") };
    let refusal = Refusal::TooFewVotes { needed: 3, voices }.to_string();
    assert!(refusal.starts_with("it needs 3 votes of mirrors you trust, and no revision has that many: "), "{refusal}");
    assert!(refusal.contains(" (1 vote) says "), "{refusal}");
    assert!(mirrors.judge("votes = 1\n[namespaces.META]\nvotes = 3").is_err(), "its namespace needs more");
    assert_eq!(mirrors.judge("votes = 0"), Err(Refusal::OnlyPinned));
}

#[test]
fn of_two_that_have_enough_the_newer_counts() {
    assert_eq!(Mirrors::new(&[("old", 2), ("new", 4)]).judge("").unwrap().index, 1);
    assert_eq!(Mirrors::new(&[("new", 4), ("old", 2)]).judge("").unwrap().index, 0);
}

#[test]
fn a_commit_object_is_asked_for_where_the_policy_says_so() {
    assert_eq!(Mirrors::new(&[("a", 2), ("a", 4)]).judge("proven = true"), Err(Refusal::NotProven));
    let verdict = Mirrors::new(&[("a", 2), ("a", 3)]).judge("votes = 2\nproven = true").unwrap();
    assert_eq!((verdict.index, words(Ok(verdict.reasons))), (1, vec!["attested", "attested", "proven"]));
}

#[test]
fn nobody_votes_twice() {
    let mut mirrors = Mirrors::new(&[("a", 2)]);
    mirrors.said.push(mirrors.said[0].clone());
    assert!(matches!(mirrors.judge("votes = 2"), Err(Refusal::TooFewVotes { .. })));
}
