//! The target `websocket`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| wireproof_fuzz::websocket::run(data));
