//! Names that a hurried reader takes for one another. ASCII only: no other letter gets this far.

/// Returns what is left of a name when everything is folded that looks alike: two names with the same outline are told
/// apart by a careful reader only.
fn outline(name: &str) -> String {
    let letter = |letter: char| match letter.to_ascii_lowercase() {
        '0' => 'o',
        '1' | 'i' => 'l', // a capital I, which is the same name as a small one, looks like both
        '5' => 's',
        letter => letter,
    };
    let folded: String = name.chars().map(letter).collect();
    let folded = folded.replace("rn", "m").replace("vv", "w").replace("cl", "d");
    folded.replace(['-', '_', '.'], "")
}

/// Reports whether two different names look alike.
pub(super) fn look_alike(one: &str, other: &str) -> bool {
    !one.eq_ignore_ascii_case(other) && outline(one) == outline(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_alike_is_found() {
        for (one, other) in [
            ("openai", "0penai"),
            ("OpenAI", "OpenAl"),
            ("alice", "a1ice"),
            ("alice", "AIice"),
            ("meta-llama", "meta_llama"),
            ("meta-llama", "meta.llama"),
            ("meta-llama", "metallama"),
            ("meta-llama", "meta-IIama"),
            ("stanford", "stanf0rd"),
            ("bern", "bem"),
            ("wave", "vvave"),
            ("claude", "daude"),
        ] {
            assert!(look_alike(one, other) && look_alike(other, one), "{one} {other}");
        }
    }

    #[test]
    fn what_differs_or_is_the_same_name_does_not_look_alike() {
        let differ = [("stanford", "oxford"), ("alice", "bob"), ("llama", "llama2"), ("a", "b"), ("Alice", "alice")];
        for (one, other) in differ {
            assert!(!look_alike(one, other), "{one} {other}");
        }
    }
}
