//! Paths and links: nothing leaves the repository.

use huddle_protocol::{FilePath, Mode, symlink_stays_inside};

use crate::payload::*;

#[test]
fn a_path_cannot_leave_the_repository() {
    for path in ["..", "../a", "a/../../b", "a/..", "./a", "a//b", "a/", "a\\..\\..\\b"] {
        assert_refused(&manifest(vec![file(path)]), "empty part");
    }
}

#[test]
fn a_path_cannot_be_absolute_on_any_system() {
    for path in ["/etc/passwd", "\\Windows", "\\\\host\\share", "C:\\a", "C:/a", "c:a"] {
        assert_refused(&manifest(vec![file(path)]), "absolute");
    }
}

#[test]
fn a_path_cannot_name_the_git_folder_in_any_spelling() {
    let spellings =
        [".git", ".GIT", ".git ", ".git.", "GIT~1", ".git::$INDEX_ALLOCATION", ".g\u{200c}it", "\u{feff}.git"];
    for spelling in spellings {
        for path in [format!("{spelling}/config"), format!("a/{spelling}"), format!("a\\{spelling}\\hooks")] {
            assert_refused(&manifest(vec![file(&path)]), "git's own folder");
        }
    }
}

#[test]
fn a_path_cannot_play_tricks_on_a_terminal() {
    for path in ["a\u{1b}[2J", "a\u{9b}2J", "a\0b", "a\nb", "a\u{7f}"] {
        assert_refused(&manifest(vec![file(path)]), "control character");
    }
}

#[test]
fn a_path_cannot_appear_twice_or_out_of_order() {
    assert_refused(&manifest(vec![file("a"), file("a")]), "twice");
    assert_refused(&manifest(vec![file("b"), file("a")]), "out of order");
}

#[test]
fn a_path_cannot_be_a_file_and_a_folder() {
    assert_refused(&manifest(vec![file("a"), file("a/b")]), "twice");
    // Not neighbours: `a.b` sorts between them.
    assert_refused(&manifest(vec![file("a"), file("a.b"), file("a/b")]), "twice");
}

#[test]
fn no_file_lies_beyond_a_symbolic_link() {
    assert_refused(&manifest(vec![content("a", Mode::Symlink, b"/etc"), file("a/passwd")]), "twice");
}

#[test]
fn a_symbolic_link_does_not_lead_out_of_the_repository() {
    let leads_out = |link: &str, target: &str| !symlink_stays_inside(&link.parse::<FilePath>().unwrap(), target);
    for target in ["/etc/passwd", "..", "../a", "a/../../b", "C:\\a", "C:/a", "\\a", ".git/config", "a\0b", ""] {
        assert!(leads_out("link", target), "{target}");
    }
}

#[test]
fn two_symbolic_links_do_not_lead_out_together() {
    // `a/s` leads to the root and stays inside. On paper `a/s/../x` is `a/x`; on a disk it is the root's parent's `x`.
    let links = [("a/s", ".."), ("m", "a/s/../x")];
    assert!(links.iter().any(|(link, target)| !symlink_stays_inside(&link.parse().unwrap(), target)));
}

#[test]
fn names_a_disk_cannot_hold_side_by_side_are_found() {
    for (paths, expected) in [
        (vec!["README.md", "a", "readme.MD"], Some(("README.md", "readme.MD"))),
        (vec!["A/x", "a/y"], Some(("A/x", "a/y"))),
        (vec!["b/A/x", "b/B/x", "b/a"], Some(("b/A/x", "b/a"))),
        (vec!["Stra\u{df}e", "\u{c4}", "\u{e4}"], Some(("\u{c4}", "\u{e4}"))),
        (vec!["A/x", "a.b", "a/y"], Some(("A/x", "a/y"))),
        (vec!["a.b", "a/x", "a/y", "a0"], None),
        (vec!["a/x", "ab", "b/A", "b/x"], None),
    ] {
        let manifest = verify(&manifest(paths.iter().map(|path| file(path)).collect())).unwrap().into_value();
        let found = manifest.case_collision().map(|(a, b)| (a.as_str(), b.as_str()));
        assert_eq!(found, expected, "{paths:?}");
    }
}
