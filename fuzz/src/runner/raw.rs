//! HTTP answers on a raw connection, whole, and requests of clients under test.

use super::kept;
use wireproof::{
    fuzzing::{asked, framed, raw},
    wire::limit,
};

/// Reads the bytes as all that a target sent.
pub fn run(data: &[u8]) {
    match raw(data) {
        Ok(answer) => {
            assert!(data.ends_with(&answer.rest), "what is behind the head is what came behind it");
            assert!(answer.head.status >= 200 || answer.head.status == 101, "an interim answer is none");
            assert!(answer.head.headers.0.iter().all(|(name, _)| *name == name.to_ascii_lowercase()));
            kept(&answer.rest);
        }
        Err(why) => assert!(why.to_string().len() < 1_000),
    }
    match framed(data, false) {
        Ok(Some((response, length))) => {
            assert!(length <= data.len() && response.body.len() <= limit::BODY);
            let whole = framed(&data[..length], false).ok().flatten();
            assert_eq!(whole, Some((response, length)), "an answer ends where it was found to end");
            assert!(
                matches!(framed(&data[..length - 1], false), Ok(None)),
                "an answer without its end is one"
            );
        }
        // What may yet be an answer is one or none when nothing comes any more.
        Ok(None) => match framed(data, true) {
            Ok(Some((_, length))) => assert_eq!(length, data.len()),
            Ok(None) => panic!("an answer is waited for that cannot come"),
            Err(_) => {}
        },
        Err(why) => assert!(why.to_string().len() < 1_000),
    }
    match asked(data) {
        Ok(Some((request, length))) => {
            assert!(length <= data.len() && request.body.len() <= limit::BODY);
            assert_eq!(
                asked(&data[..length]).ok().flatten(),
                Some((request, length)),
                "a request ends where it ends"
            );
            assert!(!matches!(asked(&data[..length - 1]), Ok(Some(_))), "a request without its end is one");
        }
        Ok(None) => {}
        Err(why) => assert!(why.to_string().len() < 1_000),
    }
}
