//! The target `frames`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wireproof_fuzz::frames::run(data));
