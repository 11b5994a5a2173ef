//! The freeze of the format: `vectors/*.json` hold the exact bytes, and this test makes them and reads them back.
//!
//! A difference means that the wire format changed: other nodes would no longer understand this one. Only after a
//! decision to change it, `HUDDLE_WRITE_VECTORS=1 cargo test -p huddle-protocol --test vectors` writes them anew, and
//! the difference goes into the same commit as the code and `SPEC.md`.
#![expect(clippy::unwrap_used, reason = "a helper of tests may panic as a test may")]

#[path = "support/samples.rs"]
mod samples;

use std::{fmt::Debug, fs, path::PathBuf, str::FromStr};

use data_encoding::HEXLOWER;
use huddle_protocol::{
    BlobHash, DenyList, DhtKey, Document, FilePath, Head, HeadPointer, Manifest, MessageError, NameList, NodeRecord,
    PublicKey, RefName, RepoId, Request, Response, Revision, SecretKey, Signed, check_canonical, symlink_stays_inside,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

#[test]
fn keys_are_frozen() {
    let keys = [("publisher", samples::publisher()), ("node", samples::node())];
    let vectors = keys.iter().map(|(name, key)| {
        let public = key.public();
        let vector = json!({
            "seed": hex(&key.to_bytes()), "public": hex(public.as_bytes()), "text": public.to_string(),
        });
        ((*name).to_owned(), vector)
    });
    for (name, vector) in frozen("keys", vectors.collect()) {
        let seed: [u8; 32] = unhex(&vector["seed"]).try_into().unwrap();
        let public: PublicKey = text(&vector["text"]).parse().unwrap();
        assert_eq!(public.as_bytes().as_slice(), unhex(&vector["public"]), "{name}");
        assert_eq!(SecretKey::from_bytes(seed).public(), public, "{name}");
    }
}

#[test]
fn documents_are_frozen() {
    let publisher = samples::publisher();
    let head = samples::sign(samples::head(samples::native()), &publisher);
    let attestation = samples::sign(samples::head(samples::upstream()), &samples::node());
    let vectors = [
        ("manifest", document(samples::manifest(), &publisher)),
        ("manifest without proof", document(samples::bare_manifest(), &samples::node())),
        ("head", document(head.value().clone(), &publisher)),
        ("head pointer", document(head.pointer(), &publisher)),
        ("attestation", document(attestation.value().clone(), &samples::node())),
        ("attestation pointer", document(attestation.pointer(), &samples::node())),
        ("node record", document(samples::node_record(), &samples::node())),
        ("deny list", document(samples::deny_list(), &publisher)),
        ("name list", document(samples::name_list(), &publisher)),
    ];
    let vectors = frozen("documents", vectors.map(|(name, vector)| (name.to_owned(), vector)).into_iter().collect());
    reads_back::<Manifest>(&vectors["manifest"], &samples::manifest());
    reads_back::<Manifest>(&vectors["manifest without proof"], &samples::bare_manifest());
    reads_back::<Head>(&vectors["head"], head.value());
    reads_back::<HeadPointer>(&vectors["head pointer"], &head.pointer());
    reads_back::<Head>(&vectors["attestation"], attestation.value());
    reads_back::<HeadPointer>(&vectors["attestation pointer"], &attestation.pointer());
    reads_back::<NameList>(&vectors["name list"], &samples::name_list());
    reads_back::<NodeRecord>(&vectors["node record"], &samples::node_record());
    reads_back::<DenyList>(&vectors["deny list"], &samples::deny_list());
    assert!(samples::manifest().is_proven() && !samples::bare_manifest().is_proven());
}

#[test]
fn dht_keys_are_frozen() {
    let (native, upstream) = (samples::native(), samples::upstream());
    let keys = [
        ("head", json!([native]), DhtKey::head(&native)),
        (
            "attestation",
            json!([upstream, samples::node().public()]),
            DhtKey::attestation(&upstream, samples::node().public().into()),
        ),
        ("node", json!([samples::node().public()]), DhtKey::node(samples::node().public().into())),
        ("repo", json!([native]), DhtKey::repo(&native)),
        ("manifest", json!([BlobHash([9; 32])]), DhtKey::manifest(BlobHash([9; 32]))),
        ("revision", json!([samples::manifest().revision()]), DhtKey::revision(samples::manifest().revision())),
        ("blob", json!([BlobHash([9; 32])]), DhtKey::blob(BlobHash([9; 32]))),
    ];
    let vectors = keys.map(|(kind, of, key)| (kind.to_owned(), json!({ "of": of, "key": hex(key.as_bytes()) })));
    frozen("dht_keys", vectors.into_iter().collect());
    let shouted: RepoId = native.to_string().to_uppercase().parse().unwrap();
    assert_eq!(DhtKey::repo(&shouted), DhtKey::repo(&native), "look-ups ignore case");
}

#[test]
fn messages_are_frozen() {
    let requests = messages(samples::requests(), Request::to_bytes);
    let responses = messages(samples::responses(), Response::to_bytes);
    let vectors = [("requests".to_owned(), requests), ("responses".to_owned(), responses)];
    let vectors = frozen("messages", vectors.into_iter().collect());
    messages_read_back(&vectors["requests"], &samples::requests(), Request::from_bytes);
    messages_read_back(&vectors["responses"], &samples::responses(), Response::from_bytes);
}

#[test]
fn names_are_frozen() {
    let publisher = samples::publisher().public();
    let repos = [
        format!("{publisher}/a"),
        format!("datasets/{publisher}/A_b-c.d"),
        format!("spaces/{publisher}/0"),
        "hf:gpt2".to_owned(),
        "hf:example/Model".to_owned(),
        "spaces/mirror2:example/app".to_owned(),
    ];
    let no_repos = [
        "",
        "gpt2",
        "example/model",
        "hf:",
        "hf:/a",
        "hf:a/",
        "hf:a/b/c",
        "HF:a/b",
        "h-f:a/b",
        ":a/b",
        "hf:a--b/c",
        "hf:a/b..c",
        "hf:a/.b",
        "hf:a/b-",
        "hf:a/b.git",
        "hf:a/b c",
        "hf:a/\u{e9}",
        "models/hf:gpt2",
        "Datasets/hf:a/b",
    ];
    let no_repos = no_repos.map(str::to_owned).into_iter().chain([
        publisher.to_string(),
        format!("{publisher}/a/b"),
        format!("{}/a", publisher.to_string().to_uppercase()),
        format!("{}b/a", &publisher.to_string()[..51]), // spare bits that are not zero
        format!("{}/a", "y".repeat(52)),                // a point of small order
        format!("hf:{}/a", "a".repeat(97)),
    ]);
    let paths = ["a", "a/b.c", "...", "a b/\u{fc}#%?", "x\\y", "CON", ".gitignore", ".github/x", "git"];
    let no_paths = ["", "/a", "\\a", "C:\\a", "C:/a", "a/", "a//b", ".", "..", "a/../b", "a\\..\\b", ".git", ".Git/a"];
    let no_paths = no_paths
        .map(str::to_owned)
        .into_iter()
        .chain(
            ["a/git~1", "a\\.git\\b", ".g\u{200c}it", ".git ", ".git::$INDEX_ALLOCATION/x", "a\nb", "a\u{9b}b"]
                .map(str::to_owned),
        )
        .chain(["a".repeat(256), "a/".repeat(512) + "a"]);
    let refs = ["refs/heads/main", "refs/tags/v1.0", "refs/pr/3", "refs/heads/a/b", "refs/heads/\u{fc}"];
    let no_refs =
        ["main", "HEAD", "refs/main", "refs/heads/", "refs/heads/a b", "refs/heads/a..b", "refs/heads/a.lock"];
    let no_refs = no_refs
        .map(str::to_owned)
        .into_iter()
        .chain(
            ["refs/heads/.a", "refs/heads/a@{b", "refs/heads/a\\b", "refs/heads/a\u{9b}b", "refs//a"]
                .map(str::to_owned),
        )
        .chain([format!("refs/heads/{}", "a".repeat(245))]);
    let vectors = json!({
        "repo": { "valid": repos, "invalid": no_repos.collect::<Vec<_>>() },
        "path": { "valid": paths, "invalid": no_paths.collect::<Vec<_>>() },
        "ref": { "valid": refs, "invalid": no_refs.collect::<Vec<_>>() },
        "symlink": {
            "valid": [["a/b/l", "x"], ["a/b/l", "../../x"], ["a/b/l", "./../x/y"]],
            "invalid": [["a/l", ""], ["a/l", "/x"], ["a/l", "../../x"], ["a/b/l", "x/../y"], ["l", ".git/config"], ["l", "a\\b"]],
        },
    });
    let vectors = frozen("names", vectors.as_object().unwrap().clone());
    parses_exactly(&vectors["repo"], RepoId::try_from);
    parses_exactly(&vectors["path"], FilePath::try_from);
    parses_exactly(&vectors["ref"], RefName::try_from);
    for (verdict, expected) in [("valid", true), ("invalid", false)] {
        for pair in vectors["symlink"][verdict].as_array().unwrap() {
            let link = FilePath::from_str(text(&pair[0])).unwrap();
            assert_eq!(symlink_stays_inside(&link, text(&pair[1])), expected, "{pair}");
        }
    }
}

#[test]
fn revisions_are_frozen() {
    let head = samples::head(samples::native());
    let names = ["main", "HEAD", "heads/main", "refs/heads/main", "v1.0", "pr/3", "3333333", "333333", "absent"];
    let commit = "44".repeat(20);
    let vectors = names.into_iter().chain([commit.as_str()]).map(|name| {
        let found = head.find(&name.parse::<Revision>().unwrap());
        (name.to_owned(), json!(found.map(|target| target.revision)))
    });
    frozen("revisions", vectors.collect());
}

/// Compares with `vectors/<name>.json`, or writes it when told to, and returns what the file holds.
fn frozen(name: &str, vectors: Map<String, Value>) -> Map<String, Value> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name).with_extension("json");
    let vectors = Value::Object(vectors);
    if samples::is_writing() {
        fs::write(&path, serde_json::to_string_pretty(&vectors).unwrap() + "\n").unwrap();
    }
    let file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(vectors, file, "the format changed: see the head of this file");
    file.as_object().unwrap().clone()
}

fn document<T: Document>(value: T, key: &SecretKey) -> Value {
    let signed = samples::sign(value, key);
    json!({
        "value": signed.value(), "signer": signed.signer(),
        "envelope": hex(signed.bytes()), "blake3": BlobHash::of(signed.bytes()),
    })
}

fn reads_back<T: Document + PartialEq + Debug>(vector: &Value, expected: &T) {
    let bytes = unhex(&vector["envelope"]);
    let signed = Signed::<T>::from_bytes(&bytes).unwrap();
    assert_eq!(signed.value(), expected);
    assert_eq!(signed.signer().to_string(), text(&vector["signer"]));
    assert_eq!(signed.bytes(), bytes);
    assert_eq!(BlobHash::of(&bytes).to_string(), text(&vector["blake3"]));
    assert_eq!(serde_json::from_value::<T>(vector["value"].clone()).unwrap(), *expected, "as JSON");
}

fn messages<T: Serialize>(samples: Vec<(&str, T)>, encode: fn(&T) -> Vec<u8>) -> Value {
    let vectors = samples
        .into_iter()
        .map(|(name, message)| (name.to_owned(), json!({ "value": message, "bytes": hex(&encode(&message)) })));
    Value::Object(vectors.collect())
}

fn messages_read_back<T: PartialEq + Debug>(
    vectors: &Value,
    samples: &[(&str, T)],
    decode: fn(&[u8]) -> Result<T, MessageError>,
) {
    for (name, message) in samples {
        let bytes = unhex(&vectors[name]["bytes"]);
        check_canonical(&bytes).unwrap();
        assert_eq!(decode(&bytes).as_ref(), Ok(message), "{name}");
    }
}

fn parses_exactly<T: Into<String>, E>(vectors: &Value, parse: fn(String) -> Result<T, E>) {
    for valid in vectors["valid"].as_array().unwrap() {
        let value = parse(text(valid).to_owned()).ok().map(Into::into);
        assert_eq!(value.as_deref(), Some(text(valid)));
    }
    for invalid in vectors["invalid"].as_array().unwrap() {
        assert!(parse(text(invalid).to_owned()).is_err(), "{invalid}");
    }
}

fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

fn unhex(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(text(value).as_bytes()).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
