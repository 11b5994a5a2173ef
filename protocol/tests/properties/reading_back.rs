//! What was written is read, and there is one way to write it.

use std::fmt::Debug;

use huddle_protocol::{
    Card, Commit, Document, GitOid, Head, HeadPointer, Manifest, ManifestParts, Person, RepoId, Request, Response,
    Revision, SecretKey, Signed, check_canonical,
};
use proptest::{collection::vec, prelude::*};

use crate::values::*;

fn reads_back<T: Document + PartialEq + Debug>(value: T, key: &SecretKey) -> Result<(), TestCaseError> {
    let signed = Signed::sign(value, key).unwrap();
    let again = Signed::<T>::from_bytes(signed.bytes()).unwrap();
    prop_assert_eq!(&again, &signed);
    prop_assert_eq!(again.signer(), key.public());
    let payload = &signed.bytes()[101..];
    prop_assert_eq!(check_canonical(payload), Ok(()));
    prop_assert_eq!(&serde_ipld_dagcbor::to_vec(again.value()).unwrap(), payload);
    let json = serde_json::to_string(again.value()).unwrap();
    prop_assert_eq!(&serde_json::from_str::<T>(&json).unwrap(), again.value());
    Ok(())
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn a_manifest_reads_back(manifest in manifest(), key in secret()) {
        reads_back(manifest, &key)?;
    }

    #[test]
    fn a_head_reads_back(head in head(), key in secret()) {
        let own = Head::new(native(&key), head.seq(), head.time(), head.refs().clone()).unwrap();
        reads_back(own, &key)?;
        if head.repo().publisher().is_none() {
            reads_back(head, &key)?;
        }
    }

    #[test]
    fn a_head_pointer_reads_back(pointer in pointer(), key in secret()) {
        reads_back(HeadPointer { repo: native(&key), ..pointer.clone() }, &key)?;
        if pointer.repo.publisher().is_none() {
            reads_back(pointer, &key)?;
        }
    }

    #[test]
    fn a_node_record_reads_back((key, record) in secret().prop_flat_map(|key| {
        let node = key.public().into();
        (Just(key), node_record(node))
    })) {
        reads_back(record, &key)?;
    }

    #[test]
    fn a_deny_list_reads_back(key in secret(), list in deny_list()) {
        reads_back(list, &key)?;
    }

    #[test]
    fn a_name_list_reads_back(list in name_list(), key in secret()) {
        reads_back(list, &key)?;
    }

    #[test]
    fn a_request_reads_back(request in request()) {
        let bytes = request.to_bytes();
        prop_assert_eq!(check_canonical(&bytes), Ok(()));
        prop_assert_eq!(Request::from_bytes(&bytes), Ok(request));
    }

    #[test]
    fn an_answer_reads_back(response in response()) {
        let bytes = response.to_bytes();
        prop_assert_eq!(check_canonical(&bytes), Ok(()));
        prop_assert_eq!(Response::from_bytes(&bytes), Ok(response));
    }

    #[test]
    fn a_repository_reads_back(repo in repo()) {
        let text = repo.to_string();
        prop_assert_eq!(&text.parse::<RepoId>().unwrap(), &repo);
        prop_assert_eq!(RepoId::try_from(text).unwrap(), repo);
    }

    #[test]
    fn a_key_reads_back_in_either_case(key in secret()) {
        let key = key.public();
        prop_assert_eq!(key.to_string().parse(), Ok(key));
        prop_assert_eq!(key.to_string().to_uppercase().parse(), Ok(key));
    }

    #[test]
    fn a_revision_reads_back(id in any::<[u8; 20]>(), name in "\\PC{0,50}") {
        let commit = Revision::Commit(GitOid(id));
        prop_assert_eq!(&commit.to_string().parse::<Revision>().unwrap(), &commit);
        prop_assert_eq!(&commit.to_string().to_uppercase().parse::<Revision>().unwrap(), &commit);
        prop_assert_eq!(name.parse::<Revision>().unwrap().to_string(), name);
    }

    #[test]
    fn a_commit_reads_back(tree in any::<[u8; 20]>(), parents in vec(any::<[u8; 20]>(), 0..4), name in "[a-z]{1,9}",
        email in "[a-z@.]{1,9}", time in 0..i64::MAX / 2, message in "[a-z \n]{0,40}") {
        let author = Person { name, email };
        let parents = parents.into_iter().map(GitOid).collect();
        let commit = Commit { tree: GitOid(tree), parents, author, time, message: message + "\n" };
        prop_assert_eq!(Commit::parse(&commit.to_raw()), Ok(commit));
    }

    #[test]
    fn a_card_from_a_readme_fits_a_manifest(tags in vec("\\PC{0,300}", 0..4), license in "[a-z0-9.~:-]{1,9}") {
        let tags: String = tags.iter().map(|tag| format!("- {}\n", serde_json::to_string(tag).unwrap())).collect();
        if let Ok(card) = Card::from_readme(&format!("---\nlicense: {license}\ntags:\n{tags}---\n")) {
            let repo = "hf:a".parse().unwrap();
            let revision = GitOid([0; 20]);
            Manifest::new(ManifestParts { repo, revision, commit: None, time: 0, files: vec![], card }).unwrap();
        }
    }
}
