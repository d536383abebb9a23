//! Breakages of decoded requests and replies, written once for all protocols over HTTP.
