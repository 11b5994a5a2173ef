//! Runs every file of the fuzzers' corpus through its target, without a fuzzer.
//!
//! The seeds come from the samples behind the vectors and are written along with them (see `vectors.rs`). A file that
//! made a fuzzer stop is added to the folder of its target and stays.
#![expect(clippy::unwrap_used, reason = "a helper of tests may panic as a test may")]

#[path = "support/samples.rs"]
mod samples;
#[expect(unreachable_pub, reason = "also the library of the fuzzers' own workspace")]
#[path = "../../tests/fuzz/targets.rs"]
mod targets;

use std::{collections::BTreeSet, fs, path::PathBuf};

use huddle_protocol::Document;

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus")
}

#[test]
fn every_file_of_the_corpus_passes_its_target() {
    if samples::is_writing() {
        write_seeds();
    }
    for (name, target) in targets::ALL {
        let files: Vec<_> = fs::read_dir(corpus().join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty(), "{name} has no seeds");
        for file in files {
            println!("{}", file.display()); // the last line names the file that failed
            target(&fs::read(file).unwrap());
        }
    }
}

#[test]
fn every_target_has_a_fuzzer_and_every_folder_a_target() {
    let targets: BTreeSet<_> = targets::ALL.into_iter().map(|(name, _)| name.to_owned()).collect();
    let names = |folder: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(corpus().parent().unwrap().join(folder)).unwrap();
        entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect()
    };
    assert_eq!(names("corpus"), targets);
    assert_eq!(names("fuzz_targets"), targets);
}

fn write_seeds() {
    let seeds = signed_seeds().into_iter().chain(text_seeds());
    for (target, seeds) in seeds {
        let folder = corpus().join(target);
        fs::create_dir_all(&folder).unwrap();
        for (number, seed) in seeds.into_iter().enumerate() {
            fs::write(folder.join(format!("seed-{number:02}")), seed).unwrap();
        }
    }
}

type Seeds = (&'static str, Vec<Vec<u8>>);

fn signed_seeds() -> Vec<Seeds> {
    let (publisher, node) = (samples::publisher(), samples::node());
    let heads = [samples::native(), samples::upstream()].map(|repo| samples::sign(samples::head(repo), &publisher));
    let pointers = heads.clone().map(|head| head.pointer());
    let records = [
        samples::sign(pointers[0].clone(), &publisher).bytes().to_vec(),
        samples::sign(samples::node_record(), &node).bytes().to_vec(),
    ];
    let requests = samples::requests().into_iter().map(|(_, request)| request.to_bytes()).collect();
    let responses: Vec<_> = samples::responses().into_iter().map(|(_, response)| response.to_bytes()).collect();
    vec![
        ("manifest", vec![payload(&samples::manifest()), payload(&samples::bare_manifest())]),
        ("head", heads.iter().map(|head| payload(head.value())).collect()),
        ("head_pointer", pointers.iter().map(payload).collect()),
        ("name_list", vec![payload(&samples::name_list())]),
        ("node_record", vec![payload(&samples::node_record())]),
        ("deny_list", vec![payload(&samples::deny_list())]),
        ("record", pointers.iter().map(payload).chain([payload(&samples::node_record())]).chain(records).collect()),
        ("request", requests),
        ("cbor", responses.iter().cloned().chain([payload(&samples::manifest())]).collect()),
        ("response", responses),
        ("commit", vec![samples::manifest().raw_commit().unwrap().to_vec()]),
    ]
}

fn text_seeds() -> Vec<Seeds> {
    let repos = [samples::native().to_string(), samples::upstream().to_string(), "hf:gpt2".into()];
    let texts = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    vec![
        ("repo_id", repos.map(String::into_bytes).into_iter().collect()),
        ("reference", texts(&["refs/heads/main", "refs/tags/v1.0", "refs/pr/3", &"ab".repeat(20), "HEAD"])),
        ("path", texts(&["a/b.c", "../x", "a\\..\\b", ".git/config", "C:/a", "x/.g\u{200c}it"])),
        (
            "card",
            texts(&[
                "---\nlicense: mit\nlanguage: [en, no]\n---\n# Title\n",
                "tags:\n- a\n- b: c\nbase_model: &x a/b\ndatasets: [*x, 1.5, true]\n",
                "license: |\n  text\n  more\npipeline_tag: \"a\\u0007\"\n",
            ]),
        ),
    ]
}

fn payload<T: Document>(document: &T) -> Vec<u8> {
    serde_ipld_dagcbor::to_vec(document).unwrap()
}
