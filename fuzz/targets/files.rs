//! The target `files`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wireproof_fuzz::files::run(data));
