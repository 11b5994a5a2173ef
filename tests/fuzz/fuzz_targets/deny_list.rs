#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| huddle_fuzz::deny_list(bytes));
