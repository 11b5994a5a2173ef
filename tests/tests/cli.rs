//! The transcripts in `tests/cli` are the manual, and are run: what they show is what happens.
//!
//! `TRYCMD=overwrite cargo test -p huddle-tests --test cli` writes what happens into them.

use huddle_tests::huddle;

fn transcripts() -> trycmd::TestCases {
    let cases = trycmd::TestCases::new();
    cases.register_bin("huddle", trycmd::schema::Bin::Path(huddle()));
    cases.env("HUDDLE_HOME", "home").env("COLUMNS", "100"); // each transcript has a folder of its own
    cases
}

#[test]
fn the_manual_is_true() {
    let cases = transcripts();
    // Nobody is asked and nobody answers, whatever else runs on this machine.
    cases.env("HUDDLE_NETWORK_LISTEN", "[\"127.0.0.1:0\"]").env("HUDDLE_NETWORK_MDNS", "false");
    cases.env("HUDDLE_UPSTREAM_ENDPOINT", "");
    cases
        .case("cli/first-steps.md")
        .case("cli/publish-and-get.md")
        .case("cli/scripts.md")
        .case("cli/deny.md")
        .case("cli/names.md")
        .case("cli/attest.md")
        .case("cli/trust.md")
        .case("cli/private.md");
}

#[test]
fn the_reference_is_true() {
    transcripts().case("cli/configuration.md").case("cli/help.md");
}
