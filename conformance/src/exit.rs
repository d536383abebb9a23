//! The exit codes of the binary, by name.

/// Every MUST was seen kept, or what was left out was left out on purpose.
pub const OK: u8 = 0;
/// A MUST is violated outside the baseline; other verbs: what was looked for was found wrong.
pub const VIOLATED: u8 = 1;
/// The command line or a file that it names makes no sense.
pub const USAGE: u8 = 2;
/// Too little was seen: inconclusive, partial without a reason, or nothing ran.
pub const UNKNOWN: u8 = 3;
/// A mistake of ours.
pub const HARNESS: u8 = 4;
/// The baseline lists something that no longer fails.
pub const STALE: u8 = 5;

/// The one that counts when several runs ended: the first of 4, 1, 5, 3, 0.
pub fn worst(codes: impl IntoIterator<Item = u8>) -> u8 {
    const ORDER: [u8; 5] = [HARNESS, VIOLATED, STALE, UNKNOWN, OK];
    let place = |code: u8| ORDER.iter().position(|c| *c == code).unwrap_or(0);
    codes.into_iter().min_by_key(|code| place(*code)).unwrap_or(UNKNOWN)
}
