//! Validators over the wire: two answers have the same ETag exactly if they hold the same range of the same stream with the
//! same closure behind it, and a client who has an answer is told so exactly as long as it is the answer.

use crate::client::{Client, close, get, put, tail, url};
use flate2::read::GzDecoder;
use proptest::prelude::*;
use std::{collections::BTreeMap, io::Read};
use wireproof_reference::stream::{Limits, Options, Server};
use wireproof_spec::http::{Request, Response};

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Close,
    /// Deletes the stream and makes another.
    Anew(usize),
    /// Reads at the n-th offset that was given out.
    Read(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_usize..6).prop_map(Step::Append),
        1 => Just(Step::Close),
        1 => (0_usize..4).prop_map(Step::Anew),
        8 => any::<prop::sample::Index>().prop_map(|index| Step::Read(index.index(1_000))),
    ]
}

fn append(body: &str) -> Request {
    Request::new("POST", &url("s")).header("content-type", "text/plain").body(body.to_owned())
}

/// What an answer holds: the stream, from where, to where, and whether it ends there.
type Held = (usize, String, String, bool);

fn held(incarnation: usize, offset: &str, reply: &Response) -> Held {
    let from = if offset == "-1" { format!("{:020}", 0) } else { offset.to_owned() };
    (incarnation, from, tail(reply).to_owned(), reply.headers.get("stream-closed").is_some())
}

async fn walked(steps: Vec<Step>, chunk: u64) {
    let limits = Limits { chunk, ..Limits::default() };
    let server = Server::start(Options { limits, ..Options::default() }).await.unwrap();
    let mut client = Client::to(server.addr).await;
    assert_eq!(client.send(put("s")).await.status, 201);
    let (mut incarnation, mut offsets) = (0, vec!["-1".to_owned()]);
    let mut known: BTreeMap<String, Held> = BTreeMap::new();
    for step in steps {
        match step {
            // A closed stream refuses it.
            Step::Append(length) => drop(client.send(append(&"x".repeat(length))).await),
            Step::Close => assert_eq!(client.send(close("s")).await.status, 204),
            Step::Anew(length) => {
                assert_eq!(client.send(Request::new("DELETE", &url("s"))).await.status, 204);
                assert_eq!(client.send(put("s").body("y".repeat(length))).await.status, 201);
                (incarnation, offsets) = (incarnation + 1, vec!["-1".to_owned()]);
            }
            Step::Read(index) => {
                let offset = offsets[index % offsets.len()].clone();
                let reply = client.send(get("s", &offset)).await;
                assert_eq!(reply.status, 200);
                let (now, etag) = (held(incarnation, &offset, &reply), reply.headers.get("etag").unwrap());
                for (other, before) in &known {
                    assert_eq!(other == etag, *before == now, "{other} of {before:?}, {etag} of {now:?}");
                    let asked = client.send(get("s", &offset).header("if-none-match", other.clone())).await;
                    assert_eq!(asked.status == 304, *before == now, "{other} of {before:?} at {now:?}");
                }
                known.insert(etag.to_owned(), now);
                offsets.push(tail(&reply).to_owned());
            }
        }
    }
    server.stop().await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn an_etag_names_one_answer(steps in proptest::collection::vec(step(), 1..30), chunk in 1_u64..8) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(walked(steps, chunk));
    }
}

#[tokio::test]
async fn content_is_compressed_for_who_takes_it() {
    let server = Server::start(Options::default()).await.unwrap();
    let mut client = Client::to(server.addr).await;
    let content = "a line of text\n".repeat(1_000);
    client.send(put("s").body(content.clone())).await;
    client.send(put("short").body("a line")).await;
    for (name, accepted, compressed) in [
        ("s", Some("gzip"), true),
        ("s", Some("br, GZIP;q=0.5"), true),
        ("s", Some("gzip;q=0, br"), false),
        ("s", Some("identity"), false),
        ("s", None, false),
        ("short", Some("gzip"), false),
    ] {
        let mut request = get(name, "-1");
        if let Some(accepted) = accepted {
            request = request.header("accept-encoding", accepted);
        }
        let reply = client.send(request.clone()).await;
        assert_eq!(reply.headers.get("vary"), Some("accept-encoding"), "{accepted:?}");
        assert_eq!(reply.headers.get("content-encoding"), compressed.then_some("gzip"), "{accepted:?}");
        let mut read = String::new();
        if compressed {
            GzDecoder::new(&reply.body[..]).read_to_string(&mut read).unwrap();
            assert!(reply.body.len() < content.len() / 2);
        } else {
            read = String::from_utf8(reply.body.to_vec()).unwrap();
        }
        assert_eq!(read, if name == "s" { content.clone() } else { "a line".to_owned() });
        // Whatever the form, it is the same content.
        let etag = reply.headers.get("etag").unwrap();
        let again = client.send(request.header("if-none-match", etag)).await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{accepted:?}");
        assert_eq!(again.headers.get("vary"), Some("accept-encoding"));
    }
    server.stop().await.unwrap();
}
