//! Two sides agree which of two wins, and what files may lie beside each other.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use huddle_protocol::{
    BlobHash, Card, FileEntry, GitOid, HeadPointer, Manifest, ManifestParts, NodeRecord, Precedence, PublisherId,
    Record, SecretKey, Signed, symlink_stays_inside, tree_oid,
};
use proptest::{collection::vec, prelude::*};

use crate::values::*;

fn mirrored(precedence: Precedence) -> Precedence {
    match precedence {
        Precedence::Newer => Precedence::Older,
        Precedence::Older => Precedence::Newer,
        same_or_fork => same_or_fork,
    }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn two_sides_agree_which_pointer_wins(a in pointer(), b in pointer(), seq in 1..4u64, other in 1..4u64, same in any::<bool>()) {
        let a = HeadPointer { seq, ..a };
        let b = HeadPointer { seq: other, head: if same { a.head } else { b.head }, ..b };
        prop_assert_eq!(a.precedence(&b), mirrored(b.precedence(&a)));
        prop_assert_eq!(a.precedence(&a), Precedence::Same);
    }

    #[test]
    fn two_sides_agree_which_record_wins(times in (0..3u64, 0..3u64), ports in (1..3u16, 1..3u16)) {
        let key = SecretKey::from_bytes([3; 32]);
        let record = |time, port| {
            let address = SocketAddr::from(([192, 0, 2, 1], port));
            let record = NodeRecord::new(key.public().into(), time, vec![address], vec![]).unwrap();
            Record::Node(Signed::sign(record, &key).unwrap())
        };
        let (a, b) = (record(times.0, ports.0), record(times.1, ports.1));
        prop_assert_eq!(a.precedence(&b), mirrored(b.precedence(&a)));
        prop_assert_eq!(a.precedence(&b) == Precedence::Same, a == b);
    }
}

/// Follows a path through folders and links as a file system would; `None` if it leaves the root.
fn follow(links: &BTreeMap<String, String>, path: &str, hops: usize) -> Option<Vec<String>> {
    let mut at: Vec<String> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(at.pop()?),
            name => at.push(name.to_owned()),
        }
        if let Some(target) = links.get(&at.join("/")) {
            at.pop();
            if hops > 0 {
                at = follow(links, &format!("{}/{target}", at.join("/")), hops - 1)?;
            }
        }
    }
    Some(at)
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn links_that_stay_inside_stay_inside_together(links in vec(("[ab](/[ab]){0,2}", "[ab.]{1,2}(/([ab]|\\.\\.)){0,4}"), 1..5)) {
        let mut accepted = BTreeMap::new();
        for (link, target) in links {
            let below = |other: &String| other.starts_with(&format!("{link}/")) || link.starts_with(&format!("{other}/"));
            if symlink_stays_inside(&link.parse().unwrap(), &target) && !accepted.keys().any(below) {
                accepted.insert(link, target);
            }
        }
        for link in accepted.keys() {
            prop_assert!(follow(&accepted, link, 8).is_some(), "{link} leaves, of {accepted:?}");
        }
    }

    #[test]
    fn case_collisions_are_those_found_by_comparing_everything(files in files()) {
        let (repo, revision) = ("hf:a".parse().unwrap(), GitOid([0; 20]));
        let manifest = Manifest::new(ManifestParts { repo, revision, commit: None, time: 0, files, card: Card::default() }).unwrap();
        let mut names = BTreeSet::new();
        for file in manifest.files() {
            let path = file.path.as_str();
            names.extend(path.match_indices('/').map(|(end, _)| &path[..end]).chain([path]));
        }
        let folded: BTreeSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
        prop_assert_eq!(manifest.case_collision().is_some(), folded.len() < names.len());
    }

    #[test]
    fn a_tree_does_not_depend_on_the_order_of_its_files(files in files(), seed in any::<u64>()) {
        let tree = |files: &[FileEntry]| tree_oid(files.iter().map(|file| (file.path.as_str(), file.mode, file.git))).unwrap();
        let mut shuffled = files.clone();
        shuffled.sort_by_key(|file| BlobHash::of(&[&seed.to_le_bytes(), file.path.as_str().as_bytes()].concat()));
        prop_assert_eq!(tree(&files), tree(&shuffled));
    }

    #[test]
    fn every_publisher_key_is_a_name_hub_clients_accept(key in secret()) {
        let publisher: PublisherId = key.public().into();
        prop_assert!(publisher.to_string().parse::<huddle_protocol::RepoName>().is_ok());
    }
}
