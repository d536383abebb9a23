//! Values of headers, parameters and bodies, each with its own syntax.

use wireproof_spec::{
    decode::{Value, Violation},
    http::{Request, percent_decode, percent_encode},
    stream::{
        Cursor, ExpiresAt, MediaType, Number, Offset, ProducerId, ReadOffset, SubOffset, Ttl, json, producers,
    },
};

/// Reads the bytes as every kind of value.
pub fn run(data: &[u8]) {
    messages(data);
    let text = String::from_utf8_lossy(data);
    if let Some(media_type) = parsed::<MediaType>(&text) {
        let essence = media_type.essence();
        assert!(media_type.same(&media_type), "{text:?} is not the same as itself");
        assert!(text.to_ascii_lowercase().starts_with(&essence), "{text:?} is of the type {essence:?}");
        assert_eq!(media_type.is_json(), essence == json::MEDIA_TYPE);
        let louder = MediaType::parse(&text.to_ascii_uppercase());
        assert!(louder.is_ok_and(|louder| louder.same(&media_type)), "the case of {text:?} matters");
    }
    if parsed::<Offset>(&text).is_some() {
        assert!(parsed::<ReadOffset>(&text).is_some(), "{text:?} is given out and not taken back");
        assert!(!text.contains([',', '&', '=', '?', '/']) && !["", "-1", "now"].contains(&&*text));
    }
    parsed::<ReadOffset>(&text);
    parsed::<Cursor>(&text);
    parsed::<ProducerId>(&text);
    numbers(&text);
    instant(&text);
    assert_eq!(percent_decode(&percent_encode(&text)), text);
    let mut request = Request::new("GET", "");
    request.set_target(&text);
    // Once understood it stays what it is.
    let mut again = Request::new("GET", "");
    again.set_target(&request.target());
    assert_eq!(request, again);
}

fn parsed<V: Value>(text: &str) -> Option<V> {
    match V::parse(text) {
        Ok(value) => {
            assert_eq!(value.text(), text, "a value is written as it was read");
            Some(value)
        }
        Err(Violation { at, why, .. }) => {
            assert!(at.is_empty() && why.len() < 1_000, "{at}: {why}");
            None
        }
    }
}

fn numbers(text: &str) {
    if let Some(number) = parsed::<Number>(text) {
        assert!(number.get() <= producers::LARGEST && text.parse() == Ok(number.get()));
    }
    if let Some(ttl) = parsed::<Ttl>(text) {
        // Beyond 64 bits a time to live is as long as one can be.
        assert_eq!(text.parse().unwrap_or(u64::MAX), ttl.seconds());
        assert!(parsed::<SubOffset>(text).is_some_and(|offset| offset.get() == ttl.seconds()));
    }
}

fn instant(text: &str) {
    let Some(instant) = parsed::<ExpiresAt>(text) else { return };
    // What is before 1970 or behind the year 9999 cannot be written.
    if let Ok(millis @ ..253_402_300_800_000) = u64::try_from(instant.millis()) {
        assert_eq!(ExpiresAt::from(millis), instant, "{text:?} is {millis}");
        assert!(parsed::<ExpiresAt>(ExpiresAt::from(millis).text()).is_some_and(|again| again == instant));
    }
}

/// The messages of a JSON body are its elements.
fn messages(body: &[u8]) {
    let value = serde_json::from_slice::<serde_json::Value>(body);
    match (json::messages(body), value) {
        (Ok(messages), Ok(serde_json::Value::Array(elements))) => assert_eq!(messages.len(), elements.len()),
        (Ok(messages), Ok(_)) => assert_eq!(messages.len(), 1),
        // A number too large for the other reader is still a number.
        (Ok(_), Err(_)) => {}
        (Err(why), Ok(value)) => panic!("{value} is JSON: {why}"),
        (Err(why), Err(_)) => assert!(why.to_string().len() < 1_000),
    }
}
