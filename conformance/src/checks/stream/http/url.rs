//! URLs that try to get somewhere else.

use crate::{
    check::{Alternative, Cx, Outcome, alternative, answer},
    checks::stream::setting::{Stream, TEXT, closing, proven, put},
    one_of,
    wire::{Lost, Seen},
};
use wireproof_spec::{
    http::{Request, Response},
    stream::{
        header::{CLOSED, NEXT_OFFSET},
        requirements::*,
    },
};

/// That nothing is there, or nothing that can be reached so.
fn refused() -> Vec<Alternative<Result<Response, Lost>>> {
    let status = |name: &str, holds: fn(u16) -> bool| {
        alternative(name, move |r: &Result<Response, Lost>| r.as_ref().is_ok_and(|r| holds(r.status)))
    };
    vec![
        status("a refusal with 4xx", |s| (400..500).contains(&s)),
        // Outside of the root may be something else.
        status("a redirection to the URL without dot segments", |s| matches!(s, 301 | 302 | 307 | 308)),
    ]
}

/// The root, from which URLs climb.
fn root(stream: &Stream) -> &str {
    stream.path.rsplit_once('/').map_or("", |(root, _)| root)
}

async fn asked(cx: &Cx, method: &str, path: &str) -> Outcome<Seen<Result<Response, Lost>>> {
    Ok(cx.http().send(Request::new(method, path)).await?.or_lost())
}

pub(super) async fn odd(cx: &Cx) -> Outcome {
    let stream = proven(cx).await?;
    let (root, token) = (root(&stream), cx.name());
    for path in [
        format!("{root}/../../../../etc/{token}"),
        format!("{root}/%2e%2e/%2e%2e/%2E%2E/etc/{token}"),
        format!("{root}/..%2f..%2f..%2fetc%2f{token}"),
        format!("{root}/..%5c..%5c{token}"),
        format!("{root}/%252e%252e%252f{token}"),
        format!("{root}/{token}%2F{token}"),
        format!("{root}/{token}%00"),
        format!("{root}/{token}%0d%0ax-a:%20b"),
        format!("{root}/{token}//{token}"),
        format!("{root}/{token}"),
    ] {
        for method in ["GET", "DELETE"] {
            let reply = asked(cx, method, &path).await?;
            cx.expect(STREAM_HTTP_5, &reply, &refused())?;
        }
    }
    let long = format!("{root}/{}", token.repeat(1_000));
    let reply = asked(cx, "GET", &long).await?;
    let mut or_cut = refused();
    // Who does not read such a line to its end cannot answer it.
    or_cut.push(alternative("the end of the connection", |r: &Result<Response, Lost>| {
        matches!(r, Err(Lost::Closed(_)))
    }));
    cx.expect(STREAM_HTTP_5, &reply, &or_cut)?;
    Ok(())
}

pub(super) async fn of_others(cx: &Cx) -> Outcome {
    let made = Stream::create(cx, TEXT, "").await?;
    let (root, token) = (root(&made).to_owned(), cx.name());
    for (before, after) in [
        (format!("{token}%2F..%2F"), String::new()),
        (".%2F".into(), String::new()),
        (String::new(), "%2F".into()),
        (String::new(), "%2F.".into()),
        (String::new(), "%00".into()),
        (String::new(), format!("%00{token}")),
        (format!("{token}%5C..%5C"), String::new()),
    ] {
        // A stream for each: one that was reached at the URL of another may be gone.
        let content = cx.token(32);
        let stream = Stream::create(cx, TEXT, &content).await?;
        let name = stream.path.rsplit('/').next().unwrap_or_default();
        let path = format!("{root}/{before}{name}{after}");
        // How much of it one answer holds is the matter of the server.
        let begins = answer(200)
            .and("the content", move |r| !r.body.is_empty() && content.as_bytes().starts_with(&r.body));
        let open = answer(200).with(NEXT_OFFSET, &stream.start).without(CLOSED);
        let as_it_was = [(stream.read(), begins), (stream.head(), open)];
        // No stream is at this URL, unless it is taken for that of the other.
        let read = asked(cx, "GET", &path).await?;
        cx.expect(STREAM_HTTP_5, &read, &refused())?;
        let other = Stream { path: path.clone(), ..stream.clone() };
        for request in [other.append("late"), closing(other.append("late")), other.delete()] {
            let reply = cx.http().send(request).await?.or_lost();
            cx.expect(STREAM_HTTP_5, &reply, &refused())?;
        }
        for (request, expected) in as_it_was.clone() {
            let still = cx.send(request).await?;
            cx.expect(STREAM_HTTP_5, &still, &one_of![expected])?;
        }
        // Made there, it is another stream, or none at all.
        let reply = cx.http().send(put(&path, TEXT).body("other")).await?;
        let made = one_of![answer(201), answer(400), answer(403), answer(404), answer(409), answer(405)];
        if cx.expect(STREAM_HTTP_5, &reply, &made)?.status == 201 {
            cx.clean_up(Request::new("DELETE", &path));
        }
        for (request, expected) in as_it_was {
            let still = cx.send(request).await?;
            cx.expect(STREAM_HTTP_5, &still, &one_of![expected])?;
        }
    }
    Ok(())
}
