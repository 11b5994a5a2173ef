//! Commits, branches and tags.

use huddle_protocol::{LFS_THRESHOLD, Mode};

use super::*;
use crate::{publish::Publish, testing::noise};

#[tokio::test]
async fn a_commit_adds_changes_and_deletes_and_another_node_reads_it() {
    let host = host(&[]).await;
    let reader = crate::testing::host(&[&host]).await;
    let hub = NodeHub::new(&host);
    let who = account(&hub, "laptop").await;
    let id = make(&hub, &who, "demo", Visibility::Public).await;
    let first = hub.snapshot(RepoKind::Model, &id, "main").await.unwrap();
    assert_eq!(paths(&first), [".gitattributes"]);
    assert!(content(&hub, &first, ".gitattributes").await.starts_with(b"*.7z filter=lfs diff=lfs merge=lfs -text\n"));

    let weights = noise(3 << 20);
    let staged = upload(&hub, &weights).await;
    let large = Operation::Large { path: "w.bin".into(), sha256: staged.sha256, size: Some(staged.size) };
    let readme = write(&hub, "README.md", b"---\nlicense: mit\n---\n").await;
    let operations = vec![readme, large, write(&hub, "a/b/c.txt", b"c").await, write(&hub, "a/d.txt", b"d").await];
    let mut change = change(operations);
    change.description = "And why.".to_owned();
    change.parent = Some(first.manifest.value().revision().to_string());
    let second = hub.commit(&who, RepoKind::Model, &id, change).await.unwrap();
    assert_eq!(paths(&second), [".gitattributes", "README.md", "a/b/c.txt", "a/d.txt", "w.bin"]);
    assert_eq!(second.manifest.value().card().license, ["mit"]);
    let text = second.manifest.value().commit().unwrap();
    assert_eq!(
        (text.message.as_str(), text.parents),
        ("Change it\n\nAnd why.\n", vec![first.manifest.value().revision()])
    );
    let file = second.manifest.value().file("w.bin").unwrap();
    assert_eq!((file.sha256, file.blake3), (Some(staged.sha256), BlobHash::of(&weights)));

    let third = commit(&hub, &who, &id, vec![delete("a/b"), delete("README.md")]).await.unwrap();
    assert_eq!(paths(&third), [".gitattributes", "a/d.txt", "w.bin"]);
    let known = history(&hub, &third).await;
    let ids = [&third, &second, &first].map(|snapshot| snapshot.manifest.value().revision());
    assert_eq!(known[..3].iter().map(|(id, _)| *id).collect::<Vec<_>>(), ids);

    let other = NodeHub::new(&reader);
    let there = other.snapshot(RepoKind::Model, &id, "main").await.unwrap();
    assert_eq!(there.manifest.value().revision(), ids[0]);
    assert!(content(&other, &there, "w.bin").await == weights);
    let unasked = other.parent(&there.repo, there.manifest.value(), false).await.unwrap();
    assert!(unasked.is_none(), "the second commit is not here yet");
    assert_eq!(history(&other, &there).await, known, "older commits are asked for");
}

#[tokio::test]
async fn a_change_of_nothing_and_a_change_of_something_else_are_noticed() {
    let host = host(&[]).await;
    let hub = NodeHub::new(&host);
    let who = account(&hub, "laptop").await;
    let id = make(&hub, &who, "demo", Visibility::Public).await;
    let one = commit(&hub, &who, &id, vec![write(&hub, "a", b"1").await]).await.unwrap();
    let same = commit(&hub, &who, &id, vec![write(&hub, "a", b"1").await]).await.unwrap();
    assert_eq!(same.manifest.value().revision(), one.manifest.value().revision());
    let at = |parent: &str, operations| Change { parent: Some(parent.to_owned()), ..change(operations) };
    let first = history(&hub, &one).await[1].0.to_string();
    for stale in [&first, &first[..7], "main", "abc", ""] {
        let refused = hub.commit(&who, RepoKind::Model, &id, at(stale, vec![write(&hub, "a", b"2").await])).await;
        assert_eq!(refused.unwrap_err(), WriteError::Stale, "{stale}");
    }
    let short = &one.manifest.value().revision().to_string()[..7];
    hub.commit(&who, RepoKind::Model, &id, at(short, vec![write(&hub, "a", b"2").await])).await.unwrap();
}

#[tokio::test]
async fn of_two_commits_at_once_one_is_on_top_of_the_other() {
    let host = host(&[]).await;
    let hub = NodeHub::new(&host);
    let who = account(&hub, "laptop").await;
    let id = make(&hub, &who, "demo", Visibility::Public).await;
    let base = hub.snapshot(RepoKind::Model, &id, "main").await.unwrap().manifest.value().revision().to_string();
    let (one, two) = (vec![write(&hub, "a", b"1").await], vec![write(&hub, "b", b"2").await]);
    let (one, two) = tokio::join!(commit(&hub, &who, &id, one), commit(&hub, &who, &id, two));
    let longest = if paths(one.as_ref().unwrap()).len() == 3 { one } else { two }.unwrap();
    assert_eq!(paths(&longest), [".gitattributes", "a", "b"]);
    assert_eq!(history(&hub, &longest).await.len(), 3);
    // Both think that they come first: one of them is told.
    let change =
        |operations| Change { parent: Some(longest.manifest.value().revision().to_string()), ..change(operations) };
    let (three, four) = (change(vec![write(&hub, "a", b"3").await]), change(vec![write(&hub, "a", b"4").await]));
    let (three, four) =
        tokio::join!(hub.commit(&who, RepoKind::Model, &id, three), hub.commit(&who, RepoKind::Model, &id, four));
    assert!(three.is_ok() != four.is_ok());
    assert_eq!(three.err().or(four.err()), Some(WriteError::Stale));
    assert_ne!(base, longest.manifest.value().revision().to_string());
}

#[tokio::test]
async fn what_cannot_be_committed_is_said_and_changes_nothing() {
    let host = host(&[]).await;
    let hub = NodeHub::new(&host);
    let who = account(&hub, "laptop").await;
    let id = make(&hub, &who, "demo", Visibility::Public).await;
    let before = commit(&hub, &who, &id, vec![write(&hub, "a", b"1").await]).await.unwrap();
    let fresh = write(&hub, "fresh", b"fresh").await;
    for path in ["", "/a", "../a", "..\\a", "a//b", ".git/x", "a/./b"] {
        let refused = commit(&hub, &who, &id, vec![fresh.clone(), write(&hub, path, b"x").await]).await.unwrap_err();
        assert!(matches!(refused, WriteError::InvalidPath { .. }), "{path}: {refused}");
    }
    let refused = commit(&hub, &who, &id, vec![fresh.clone(), delete("b")]).await.unwrap_err();
    assert_eq!(refused, WriteError::EntryNotFound { path: "b".into() });
    let refused = commit(&hub, &who, &id, vec![fresh.clone(), write(&hub, "a/b", b"x").await]).await.unwrap_err();
    assert!(matches!(refused, WriteError::Invalid { .. }), "a file and a folder of one name: {refused}");
    let sha256 = Sha256([7; 32]);
    let large = |sha256, size| Operation::Large { path: "w".into(), sha256, size };
    let refused = commit(&hub, &who, &id, vec![large(sha256, None)]).await.unwrap_err();
    assert_eq!(refused, WriteError::NotUploaded { path: "w".into(), sha256 });
    let sha256 = upload(&hub, b"four").await.sha256;
    let refused = commit(&hub, &who, &id, vec![large(sha256, Some(5))]).await.unwrap_err();
    assert!(matches!(refused, WriteError::WrongContent { .. }), "{refused}");
    let never = Staged { sha256, blake3: BlobHash([9; 32]), size: 4 };
    let refused = commit(&hub, &who, &id, vec![Operation::Write { path: "n".into(), content: never }]).await;
    assert!(matches!(refused, Err(WriteError::NotUploaded { .. })));
    for branch in ["other", "refs/heads/other", &before.manifest.value().revision().to_string()] {
        let change = Change { branch: branch.to_owned(), ..change(vec![fresh.clone()]) };
        let refused = hub.commit(&who, RepoKind::Model, &id, change).await.unwrap_err();
        assert_eq!(refused, HubError::RevisionNotFound { revision: branch.to_owned() }.into());
    }
    let after = hub.snapshot(RepoKind::Model, &id, "main").await.unwrap();
    assert_eq!(after.manifest.value().revision(), before.manifest.value().revision());
}

#[tokio::test]
async fn large_files_are_pointers_and_modes_stay() {
    let host = host(&[]).await;
    let hub = NodeHub::new(&host);
    let who = account(&hub, "laptop").await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("run.sh"), "#!/bin/sh").unwrap();
    std::fs::write(folder.path().join("w.bin"), "weights").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(folder.path().join("run.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let publish = Publish {
        path: folder.path().to_owned(),
        name: "demo".to_owned(),
        kind: RepoKind::Model,
        branch: "main".to_owned(),
        message: None,
        key: None,
        copy: true,
        private: false,
        readers: Vec::new(),
    };
    let id = host.publish_as(publish).await.unwrap().repo.hub_id();
    let before = hub.snapshot(RepoKind::Model, &id, "main").await.unwrap();
    let sha256 = before.manifest.value().file("w.bin").unwrap().sha256.unwrap();
    assert_eq!(hub.stored(sha256).await.unwrap(), Some(7), "what was published counts as uploaded");
    let huge = vec![1; LFS_THRESHOLD as usize + 1];
    let operations = vec![
        write(&hub, "run.sh", b"#!/bin/bash").await,
        write(&hub, "huge.txt", &huge).await,
        write(&hub, "empty.bin", b"").await,
        delete("w.bin"),
        Operation::Large { path: "copy.bin".into(), sha256, size: None },
        Operation::Large { path: "nothing.bin".into(), sha256: upload(&hub, b"").await.sha256, size: Some(0) },
    ];
    let after = commit(&hub, &who, &id, operations).await.unwrap();
    let file = |path: &str| after.manifest.value().file(path).unwrap();
    #[cfg(unix)]
    assert_eq!(file("run.sh").mode, Mode::Executable);
    assert_eq!(file("huge.txt").mode, Mode::File);
    assert_eq!(
        ["huge.txt", "copy.bin", "empty.bin", "nothing.bin", "run.sh"].map(|path| file(path).is_lfs()),
        [true, true, false, false, false]
    );
    assert_eq!(content(&hub, &after, "copy.bin").await, b"weights");
    assert!(content(&hub, &after, "huge.txt").await == huge);
}

#[tokio::test]
async fn a_token_writes_in_its_own_namespace_and_only_if_it_may() {
    let host = host(&[]).await;
    let hub = NodeHub::new(&host);
    let who = account(&hub, "laptop").await;
    let id = make(&hub, &who, "demo", Visibility::Public).await;
    let (text, _) = tokens::create(host.home(), "reader", tokens::Role::Read, "default").unwrap();
    let reader = hub.account(&text).await.unwrap();
    assert_eq!((reader.role, &reader.name), (Role::Read, &who.name));
    crate::identity::new_publisher(host.home(), "second").unwrap();
    let (text, _) = tokens::create(host.home(), "second", tokens::Role::Write, "second").unwrap();
    let second = hub.account(&text).await.unwrap();
    for other in [&reader, &second] {
        let refused = commit(&hub, other, &id, vec![write(&hub, "a", b"1").await]).await.unwrap_err();
        assert!(
            matches!(&refused, WriteError::Forbidden { reason } if reason.contains("huddle token create")),
            "{refused}"
        );
        let refused = hub.delete(other, RepoKind::Model, &id).await.unwrap_err();
        assert!(matches!(refused, WriteError::Forbidden { .. }));
    }
    for id in ["gpt2", "google/gemma"] {
        assert!(matches!(commit(&hub, &who, id, vec![]).await, Err(WriteError::Forbidden { .. })), "{id}");
    }
    let elsewhere = make(&hub, &second, "demo", Visibility::Public).await;
    assert_eq!(elsewhere, format!("{}/demo", second.name));
    assert!(hub.is_valid(&second).await && hub.is_valid(&reader).await);
    assert!(!hub.is_valid(&Account { created: second.created + 1, ..second.clone() }).await, "another of that name");
    tokens::revoke(host.home(), "second").unwrap();
    assert!(!hub.is_valid(&second).await && hub.is_valid(&reader).await);
    assert_eq!(hub.account(&text).await, None, "a running node sees that a token was revoked");
    assert_eq!(hub.account("hf_nonsense").await, None);
}

#[tokio::test]
async fn branches_and_tags_come_and_go_and_a_history_can_be_squashed() {
    let host = host(&[]).await;
    let hub = NodeHub::new(&host);
    let who = account(&hub, "laptop").await;
    let id = &make(&hub, &who, "demo", Visibility::Public).await;
    let kind = RepoKind::Model;
    let one = commit(&hub, &who, id, vec![write(&hub, "a", b"1").await]).await.unwrap().manifest.value().revision();
    let two = commit(&hub, &who, id, vec![write(&hub, "a", b"2").await]).await.unwrap().manifest.value().revision();
    assert_eq!(hub.add_reference(&who, kind, id, "refs/heads/dev", "main", false).await, Ok(two));
    assert_eq!(hub.add_reference(&who, kind, id, "refs/tags/v1", &one.to_string(), false).await, Ok(one));
    let refused = hub.add_reference(&who, kind, id, "refs/tags/v1", "main", false).await.unwrap_err();
    assert_eq!(refused.to_string(), "Reference refs/tags/v1 already exists");
    assert_eq!(hub.add_reference(&who, kind, id, "refs/heads/dev", &one.to_string(), true).await, Ok(one));
    assert_eq!(hub.add_reference(&who, kind, id, "refs/heads/dev", "main", true).await, Ok(two));
    let refused = hub.add_reference(&who, kind, id, "refs/tags/v2", "nowhere", false).await.unwrap_err();
    assert_eq!(refused, HubError::RevisionNotFound { revision: "nowhere".into() }.into());
    for name in ["refs/tags/a b", "refs/heads/refs/heads/x", "refs/pr/1", "dev2"] {
        let refused = hub.add_reference(&who, kind, id, name, "main", false).await;
        assert!(matches!(refused, Err(WriteError::Invalid { .. })), "{name}");
    }
    let dev = Change { branch: "dev".into(), ..change(vec![write(&hub, "dev", b"d").await]) };
    let dev = hub.commit(&who, kind, id, dev).await.unwrap();
    assert_eq!(paths(&dev), [".gitattributes", "a", "dev"]);
    let squashed = hub.squash(&who, kind, id, "main", "All of it").await.unwrap();
    let main = hub.snapshot(kind, id, "main").await.unwrap();
    assert_eq!(main.manifest.value().revision(), squashed);
    let known = history(&hub, &main).await;
    assert_eq!(known.iter().map(|(_, commit)| commit.title()).collect::<Vec<_>>(), ["All of it"]);
    assert_eq!(content(&hub, &main, "a").await, b"2");
    let tag = hub.snapshot(kind, id, "v1").await.unwrap();
    assert_eq!(content(&hub, &tag, "a").await, b"1", "other references are not touched");
    let refused = hub.remove_reference(&who, kind, id, "refs/heads/main").await.unwrap_err();
    assert_eq!(refused.to_string(), "Cannot delete refs/heads/main");
    hub.remove_reference(&who, kind, id, "refs/heads/dev").await.unwrap();
    hub.remove_reference(&who, kind, id, "refs/tags/v1").await.unwrap();
    let refused = hub.remove_reference(&who, kind, id, "refs/tags/v1").await.unwrap_err();
    assert_eq!(refused, HubError::RevisionNotFound { revision: "v1".into() }.into());
    let names: Vec<_> = hub.references(kind, id).await.unwrap().into_iter().map(|reference| reference.name).collect();
    assert_eq!(names, ["refs/heads/main"]);
}
