#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| huddle_gateway::fuzzing::run("range", bytes));
