//! No bytes panic, and a forged signature never verifies.

use std::{collections::BTreeMap, fmt::Debug};

use ed25519_dalek::{Signer, SigningKey};
use huddle_protocol::{
    BlobHash, Card, Commit, DenyList, Document, FileEntry, FilePath, GitOid, Head, HeadPointer, Manifest,
    ManifestParts, Mode, NameList, NodeRecord, PublicKey, Purpose, Record, RefName, RepoId, Request, Response,
    Revision, SecretKey, Signed, Subject, Target, blob_oid, check_canonical, symlink_stays_inside,
};
use proptest::{collection::vec, prelude::*};

use crate::values::*;

/// Runs every decoder; whatever it says, it must say it.
fn decode_as_everything(bytes: &[u8]) {
    let _ = (Signed::<Manifest>::from_bytes(bytes), Signed::<Head>::from_bytes(bytes));
    let _ = (Signed::<HeadPointer>::from_bytes(bytes), Signed::<NodeRecord>::from_bytes(bytes));
    let _ = Signed::<NameList>::from_bytes(bytes);
    let _ = (Record::verify(bytes, 1), Request::from_bytes(bytes), Response::from_bytes(bytes));
    let _ = (check_canonical(bytes), Commit::parse(bytes), Purpose::of(bytes));
    let text = String::from_utf8_lossy(bytes);
    let _ = (text.parse::<RepoId>(), text.parse::<PublicKey>(), text.parse::<FilePath>(), text.parse::<GitOid>());
    let _ = (RefName::try_from(text.to_string()), text.parse::<Revision>(), Revision::candidates(&text));
    let _ = (Card::from_readme(&text), Card::from_readme(&format!("---\n{text}\n---\n")));
    let _ = symlink_stays_inside(&"a/b".parse().unwrap(), &text);
}

fn signed_by_hand(purpose: &str, tag: u8, payload: &[u8]) -> Vec<u8> {
    let key = SigningKey::from_bytes(&[1; 32]);
    let message = [b"huddle v1 ", purpose.as_bytes(), &[0], payload].concat();
    let signature = key.sign(&message).to_bytes();
    [b"hdl1", &[tag][..], key.verifying_key().as_bytes(), &signature, payload].concat()
}

fn is_faithful<T: Document>(envelope: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(signed) = Signed::<T>::from_bytes(envelope) {
        prop_assert_eq!(signed.bytes(), envelope);
        let again = serde_ipld_dagcbor::to_vec(signed.value()).unwrap();
        prop_assert_eq!(check_canonical(&again), Ok(()));
        prop_assert!(serde_ipld_dagcbor::from_slice::<T>(&again).is_ok(), "what was accepted can be said again");
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..300)) {
        decode_as_everything(&bytes);
    }

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,80}|[a-z/:.-]{0,80}|(- |[a-z]: |\\[|\\{|&a|\\*a|!|\n|  |\"){0,40}") {
        decode_as_everything(text.as_bytes());
    }

    #[test]
    fn damaged_messages_never_panic(request in request().prop_flat_map(|value| damaged(value.to_bytes())),
        response in response().prop_flat_map(|value| damaged(value.to_bytes()))) {
        if let Ok(request) = Request::from_bytes(&request) {
            prop_assert_eq!(Request::from_bytes(&request.to_bytes()), Ok(request));
        }
        if let Ok(response) = Response::from_bytes(&response) {
            prop_assert_eq!(Response::from_bytes(&response.to_bytes()), Ok(response));
        }
    }

    #[test]
    fn damaged_documents_with_good_signatures_never_panic(
        manifest in manifest().prop_flat_map(|value| damaged(serde_ipld_dagcbor::to_vec(&value).unwrap())),
        head in head().prop_flat_map(|value| damaged(serde_ipld_dagcbor::to_vec(&value).unwrap())),
        pointer in pointer().prop_flat_map(|value| damaged(serde_ipld_dagcbor::to_vec(&value).unwrap())),
        record in node_record(SecretKey::from_bytes([1; 32]).public().into())
            .prop_flat_map(|value| damaged(serde_ipld_dagcbor::to_vec(&value).unwrap())),
        list in deny_list().prop_flat_map(|value| damaged(serde_ipld_dagcbor::to_vec(&value).unwrap())),
    ) {
        is_faithful::<DenyList>(&signed_by_hand("deny list", b'd', &list))?;
        is_faithful::<Manifest>(&signed_by_hand("manifest", b'm', &manifest))?;
        is_faithful::<Head>(&signed_by_hand("head", b'h', &head))?;
        is_faithful::<HeadPointer>(&signed_by_hand("head pointer", b'p', &pointer))?;
        is_faithful::<NodeRecord>(&signed_by_hand("node", b'n', &record))?;
    }
}

fn no_flipped_bit_verifies<T: Document + Debug>(value: T, key: &SecretKey) {
    let mut envelope = Signed::sign(value, key).unwrap().bytes().to_vec();
    for bit in 0..envelope.len() * 8 {
        envelope[bit / 8] ^= 1 << (bit % 8);
        assert!(Signed::<T>::from_bytes(&envelope).is_err(), "bit {bit}");
        envelope[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(Signed::<T>::from_bytes(&envelope).is_ok());
}

#[test]
fn a_flipped_bit_anywhere_never_verifies() {
    let key = SecretKey::from_bytes([3; 32]);
    let refs = BTreeMap::from([(
        RefName::branch("main").unwrap(),
        Target { revision: GitOid([1; 20]), manifest: BlobHash([1; 32]) },
    )]);
    let head = Head::new(native(&key), 1, 1, refs).unwrap();
    let pointer = HeadPointer { repo: native(&key), seq: 1, time: 1, head: BlobHash([1; 32]) };
    let node = NodeRecord::new(key.public().into(), 1, vec!["192.0.2.1:1".parse().unwrap()], vec![]).unwrap();
    let content = b"x";
    let file = FileEntry {
        path: "x".parse().unwrap(),
        mode: Mode::File,
        size: 1,
        git: blob_oid(content).unwrap(),
        sha256: None,
        blake3: BlobHash::of(content),
    };
    let (repo, revision, card) = (native(&key), GitOid([1; 20]), Card::default());
    let parts = ManifestParts { repo, revision, commit: None, time: 1, files: vec![file], card };
    no_flipped_bit_verifies(head, &key);
    no_flipped_bit_verifies(pointer, &key);
    let denied = [(Subject::Blob(BlobHash([1; 32])), "malware".to_owned())];
    no_flipped_bit_verifies(DenyList::new(1, 1, BTreeMap::from(denied)).unwrap(), &key);
    no_flipped_bit_verifies(node, &key);
    no_flipped_bit_verifies(Manifest::new(parts).unwrap(), &key);
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn damage_anywhere_in_an_envelope_never_verifies((original, damaged) in (manifest(), secret()).prop_flat_map(|(manifest, key)| {
        let bytes = Signed::sign(manifest, &key).unwrap().bytes().to_vec();
        (Just(bytes.clone()), damaged(bytes))
    })) {
        prop_assert_eq!(Signed::<Manifest>::from_bytes(&damaged).is_ok(), original == damaged);
    }
}
