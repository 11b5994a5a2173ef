//! Files that Python itself made, harmless ones and such as are made to be overlooked; `make.py` says how.
#![expect(clippy::unwrap_used, reason = "a helper of tests may panic as a test may")]

use std::{fs, io::Cursor, path::PathBuf};

use huddle_protocol::{Format, Inspection, Safety, inspect, is_surely_harmless};

fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus/inspect");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.map(|file| (file.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&file).unwrap())).collect()
}

fn look(bytes: &[u8]) -> Inspection {
    inspect(&mut Cursor::new(bytes), bytes.len() as u64).unwrap()
}

fn file(name: &str) -> Inspection {
    let (_, bytes) = corpus().into_iter().find(|(other, _)| other == name).unwrap();
    look(&bytes)
}

fn imports(found: &Inspection) -> Vec<String> {
    found.imports.iter().map(|import| format!("{}.{}", import.module, import.name)).collect()
}

#[test]
fn no_dangerous_file_is_overlooked_and_nothing_else_is_called_one() {
    for (name, bytes) in corpus() {
        let found = look(&bytes);
        let is_evil = name.contains("evil") || name.starts_with("call-");
        let is_odd = ["escaped-names-evil.pkl", "computed-names-evil.pkl", "lost-memo-evil.pkl", "dotted-evil.pkl"];
        let level = found.level();
        if name == "build-evil.pkl" {
            assert_eq!(imports(&found), ["evil_module.Thing"]);
            assert_eq!(level, Some(Safety::Suspicious));
        } else if is_evil {
            assert_eq!((found.format, level), (Format::Pickle, Some(Safety::Dangerous)), "{name}: {found:?}");
            let is_named = imports(&found).iter().any(|import| import == "posix.system");
            assert!(is_named || is_odd.contains(&&*name), "{name}: {found:?}");
        } else {
            assert!(level < Some(Safety::Dangerous), "{name}: {found:?}");
        }
        if is_evil {
            for length in [8, 16, 64, 1024, bytes.len()] {
                assert!(!is_surely_harmless(&bytes[..length.min(bytes.len())]), "{name} {length}");
            }
        }
    }
}

#[test]
fn weights_are_harmless_in_every_form_and_what_they_import_is_listed() {
    let expected = ["collections.OrderedDict", "torch.FloatStorage", "torch._utils._rebuild_tensor_v2"];
    for protocol in 0..6 {
        let found = file(&format!("weights-{protocol}.pkl"));
        assert_eq!((imports(&found), found.level()), (expected.map(str::to_owned).into(), Some(Safety::Innocuous)));
    }
    for name in ["torch.pt", "torch-legacy.pt"] {
        let found = file(name);
        assert_eq!((found.format, imports(&found)), (Format::Pickle, expected.map(str::to_owned).into()), "{name}");
        assert_eq!((found.level(), found.problem), (Some(Safety::Innocuous), None), "{name}");
    }
    let plain = file("plain.pkl");
    assert_eq!((plain.format, plain.level()), (Format::Pickle, Some(Safety::Innocuous)));
}

#[test]
fn what_is_no_pickle_is_not_taken_for_one() {
    for name in ["text.md", "import.py", "number.txt", "none.txt", "config.json", "images.zip", "noise.bin", "empty"] {
        assert_eq!(file(name), Inspection { format: Format::Other, imports: vec![], problem: None }, "{name}");
    }
    for name in ["array.npy", "array-of-bytes-like-a-pickle.npy"] {
        assert_eq!(file(name).format, Format::Other, "{name} has no objects");
    }
}

#[test]
fn what_cannot_be_read_to_its_end_is_said() {
    for (name, expected) in [
        ("cut-evil.pkl", "ends too early"),
        ("broken-after-the-call-evil.pkl", "cannot be read to its end"),
        ("other-local-name-evil.pt", "contradicts itself"),
        ("other-local-method-evil.pt", "contradicts itself"),
        ("comment-with-an-end-evil.pt", "contradicts itself"),
    ] {
        let problem = file(name).problem.unwrap();
        assert!(problem.contains(expected), "{name}: {problem}");
    }
    assert_eq!(file("zip64-evil.pt").problem, None);
    assert_eq!(file("extension.pkl").level(), Some(Safety::Suspicious), "nobody knows what is registered there");
}

#[test]
fn headers_of_weights_are_checked() {
    for (name, format, expected) in [
        ("good.safetensors", Format::Safetensors, None),
        ("short.safetensors", Format::Safetensors, Some("do not end where the file does")),
        ("overlapping.safetensors", Format::Safetensors, Some("overlap")),
        ("no-json.safetensors", Format::Safetensors, Some("does not parse")),
        ("good.gguf", Format::Gguf, None),
        ("endless.gguf", Format::Gguf, Some("does not end")),
        ("far.gguf", Format::Gguf, Some("beyond its end")),
    ] {
        let found = file(name);
        assert_eq!(found.format, format, "{name}");
        assert_eq!(found.problem.is_some(), expected.is_some(), "{name}: {found:?}");
        assert!(expected.is_none_or(|words| found.problem.as_ref().unwrap().contains(words)), "{name}: {found:?}");
        assert!(!found.may_run_code(), "{name}: numbers do not run");
    }
}

#[test]
fn what_can_only_be_harmless_is_known_from_its_first_bytes() {
    for name in ["good.safetensors", "good.gguf", "config.json"] {
        let (_, bytes) = corpus().into_iter().find(|(other, _)| other == name).unwrap();
        assert!(is_surely_harmless(&bytes[..bytes.len().min(64)]), "{name}");
    }
    assert!(!is_surely_harmless(b"") && !is_surely_harmless(b"X\x04\0\0\0"), "it may go on in any way");
}

#[test]
fn every_shorter_file_is_looked_at_without_a_panic() {
    for (name, bytes) in corpus() {
        for length in 0..bytes.len().min(1500) {
            let _ = look(&bytes[..length]);
            assert!(look(&bytes[..length]).imports.len() < 10, "{name} {length}");
        }
    }
}

#[test]
fn many_harmless_imports_do_not_hide_a_dangerous_one() {
    let many = (0..5000).fold(b"\x80\x02".to_vec(), |all, n| [all, format!("ca\nb{n}\n0").into()].concat());
    let found = look(&[&many[..], b"cos\nsystem\n."].concat());
    assert_eq!((found.imports.len(), &*imports(&found)[0], found.level()), (100, "os.system", Some(Safety::Dangerous)));
}

#[test]
fn bombs_take_neither_time_nor_memory() {
    let start = std::time::Instant::now();
    let many = |opcode: &[u8], count: usize| [b"\x80\x04", &opcode.repeat(count)[..], b"."].concat();
    for (name, bytes) in [
        ("marks", many(b"(", 4 << 20)),
        ("doubled", [b"\x80\x04N", &b"2".repeat(4 << 20)[..]].concat()),
        ("memo", many(b"N\x94", 2 << 20)),
        ("far memo", many(b"Nr\xff\xff\xff\xff", 1 << 20)),
        ("long string", b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc".to_vec()),
        ("long line", [b"\x80\x04c", &b"a".repeat(4 << 20)[..]].concat()),
        ("many streams", b"\x80\x02N.".repeat(1 << 19)),
        ("long number", b"\x80\x02\x8b\xff\xff\xff\xff".to_vec()),
        ("imports", (0..5000).fold(b"\x80\x02".to_vec(), |all, n| [all, format!("ca\nb{n}\n0").into()].concat())),
    ] {
        let found = look(&bytes);
        assert!(found.imports.len() <= 100, "{name}");
        println!("{name}: {:?} {:?}", found.problem, start.elapsed());
    }
    assert!(start.elapsed().as_secs() < 30);
}
