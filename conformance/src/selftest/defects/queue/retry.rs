//! Defects of "Retry".

mod told;

use super::client::{
    ClientSeams, ClientTable, always, answered, boundary, exchanged, request, retry, second,
};
use crate::{
    embed::reference::queue::client::{
        retry::Next,
        seams::{CallSeams, Exchanged},
    },
    protocol::Cut::{Port, Wire},
};
use serde_json::Value;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use wireproof_spec::{
    http::{Fields, Request},
    queue::requirements::*,
};

pub(super) const TABLE: ClientTable = &[
    second("queue/retry/second-502-is-final", QUEUE_RETRY_1, Port, || {
        gives_up(|attempt, got| attempt > 0 && status(got) == Some(502))
    }),
    boundary("queue/retry/gives-up-within-the-window", QUEUE_RETRY_1, Port, || {
        gives_up(|attempt, got| attempt == 1 && status(got) == Some(503))
    }),
    second("queue/retry/second-reset-is-final", QUEUE_RETRY_2, Port, || {
        gives_up(|attempt, got| attempt > 0 && matches!(got, Exchanged::Unreached(_)))
    }),
    always("queue/retry/refused-connection-is-final", QUEUE_RETRY_2, Port, || {
        gives_up(|_, got| matches!(got, Exchanged::Unreached(why) if why.contains("refused")))
    }),
    boundary("queue/retry/refused-port-is-hammered", QUEUE_RETRY_2, Port, || {
        waits(|_, got, delay| {
            if matches!(got, Exchanged::Unreached(why) if why.contains("refused")) {
                *delay = 20;
            }
        })
    }),
    second("queue/retry/second-reset-at-once", QUEUE_RETRY_2, Port, || {
        waits(|attempt, got, delay| {
            if attempt > 0 && matches!(got, Exchanged::Unreached(_)) {
                *delay = 0;
            }
        })
    }),
    second("queue/retry/delays-do-not-grow", QUEUE_RETRY_3, Port, || {
        waits(|attempt, got, delay| {
            if is_unavailable(got) {
                *delay = (*delay >> attempt).max(500);
            }
        })
    }),
    second("queue/retry/second-delay-is-long", QUEUE_RETRY_3, Port, || {
        waits(|attempt, got, delay| {
            if attempt == 1 && is_unavailable(got) {
                *delay += 1_200;
            }
        })
    }),
    boundary("queue/retry/delays-grow-on", QUEUE_RETRY_3, Port, || {
        waits(|attempt, got, delay| {
            if attempt > 3 && is_unavailable(got) {
                *delay = 5_500;
            }
        })
    }),
    boundary("queue/retry/counts-503", QUEUE_RETRY_4, Port, || {
        gives_up(|attempt, got| attempt >= 4 && status(got) == Some(503))
    }),
    boundary("queue/retry/once-more-behind-the-window", QUEUE_RETRY_5, Port, || {
        again(|attempt, got| (attempt == 2 && is_unavailable(got)).then_some(500))
    }),
    boundary("queue/retry/no-window-is-one", QUEUE_RETRY_5, Port, || {
        again(|attempt, got| (attempt == 0 && is_unavailable(got)).then_some(500))
    }),
    second("queue/retry/tells-the-first-status", QUEUE_RETRY_5, Wire, || {
        answered(|attempt, response| {
            if attempt > 0 && response.status == 502 {
                response.status = 503;
            }
        })
    }),
    boundary("queue/retry/window-begins-anew", QUEUE_RETRY_6, Port, || {
        again(|attempt, got| {
            let unavailable = is_unavailable(got) || matches!(got, Exchanged::Unreached(_));
            (attempt > 0 && unavailable).then(|| (750 << attempt.min(5)).min(5_000))
        })
    }),
    boundary("queue/retry/goes-on-behind-the-error", QUEUE_RETRY_6, Wire, goes_on),
    second("queue/retry/second-409-is-final", QUEUE_RETRY_7, Port, || {
        gives_up(|attempt, got| attempt > 0 && status(got) == Some(409))
    }),
    second("queue/retry/501-once-more", QUEUE_RETRY_7, Port, || {
        again(|attempt, got| ((2..=3).contains(&attempt) && status(got) == Some(501)).then_some(300))
    }),
    boundary("queue/retry/no-retries-is-one", QUEUE_RETRY_7, Port, || {
        again(|attempt, got| (attempt == 0 && status(got) == Some(409)).then_some(75))
    }),
    second("queue/retry/delays-after-501-do-not-grow", QUEUE_RETRY_8, Port, || {
        waits(|attempt, got, delay| {
            if status(got) == Some(501) {
                *delay >>= attempt;
            }
        })
    }),
    second("queue/retry/delays-after-409-grow-fast", QUEUE_RETRY_8, Port, || {
        waits(|attempt, got, delay| {
            if attempt > 0 && status(got) == Some(409) && !names_a_delay(got) {
                *delay *= 4;
            }
        })
    }),
    second("queue/retry/second-retry-after-is-passed-over", QUEUE_RETRY_9, Port, || {
        waits(|attempt, got, delay| {
            if attempt > 0 && header(got, "retry-after").is_some_and(|after| after != "0") {
                *delay = 150;
            }
        })
    }),
    second("queue/retry/second-retry-after-is-long", QUEUE_RETRY_9, Port, || {
        waits(|attempt, got, delay| {
            if attempt > 0 && header(got, "retry-after").is_some_and(|after| after == "1") {
                *delay += 2_500;
            }
        })
    }),
    boundary("queue/retry/past-date-is-none", QUEUE_RETRY_9, Port, || {
        waits(|_, got, delay| {
            if *delay == 0 && header(got, "retry-after").is_some_and(|after| after.ends_with("GMT")) {
                *delay = 2_500;
            }
        })
    }),
    boundary("queue/retry/date-is-none", QUEUE_RETRY_9, Wire, || {
        headers(|headers| {
            if headers.get("retry-after").is_some_and(|after| after.ends_with("GMT")) {
                headers.set("retry-after", "0");
            }
        })
    }),
    boundary("queue/retry/reset-before-retry-after", QUEUE_RETRY_9, Wire, || {
        headers(|headers| {
            if headers.get("x-ratelimit-reset").is_some() {
                headers.remove("retry-after");
            }
        })
    }),
    second("queue/retry/second-rate-limit-is-passed-over", QUEUE_RETRY_10, Port, || {
        waits(|attempt, got, delay| {
            if attempt > 0 && header(got, "x-ratelimit-retry-after").is_some() {
                *delay = 150;
            }
        })
    }),
    boundary("queue/retry/rate-limit-before-reset", QUEUE_RETRY_10, Wire, || {
        headers(|headers| {
            if headers.get("x-ratelimit-retry-after").is_some() {
                headers.remove("x-ratelimit-reset");
            }
        })
    }),
    always("queue/retry/reset-is-passed-over", QUEUE_RETRY_10, Wire, || {
        headers(|headers| headers.remove("x-ratelimit-reset"))
    }),
    always("queue/retry/429-is-a-409", QUEUE_RETRY_11, Port, || {
        again(|attempt, got| (attempt < 3 && status(got) == Some(429)).then_some(0))
    }),
    second("queue/retry/504-again-behind-a-409", QUEUE_RETRY_11, Port, || {
        again(|attempt, got| ((1..3).contains(&attempt) && status(got) == Some(504)).then_some(100))
    }),
    boundary("queue/retry/stream-again-after-501", QUEUE_RETRY_12, Port, || {
        stream_again(|got| status(got) == Some(501))
    }),
    boundary("queue/retry/stream-again-after-a-reset", QUEUE_RETRY_12, Port, || {
        stream_again(|got| matches!(got, Exchanged::Unreached(_)))
    }),
    second("queue/retry/accepts-anything-later", QUEUE_RETRY_13, Wire, || {
        request(|attempt, request| {
            if attempt > 0 {
                request.headers.set("accept", "*/*");
            }
        })
    }),
    second("queue/retry/third-without-its-key", QUEUE_RETRY_13, Wire, || {
        request(|attempt, request| {
            let Ok(mut body) = serde_json::from_slice::<Value>(&request.body) else { return };
            if attempt > 1 && body["idempotency_key"].is_string() {
                body["idempotency_key"] = "another".into();
                *request = request.clone().body(body.to_string());
            }
        })
    }),
    told::MESSAGE_FIRST,
    told::CANNED_500,
    told::EMPTY_SUCCEEDS,
    told::ENVELOPE_DECIDES,
    told::STATUS_DECIDES,
    told::CODE_IS_NO_KIND,
    told::ISSUES_ARE_NO_KIND,
    always("queue/retry/key-alone", QUEUE_RETRY_18, Wire, || {
        request(|_, request| {
            let key = request.headers.get("authorization").map(|value| value.replace("Bearer ", ""));
            request.headers.set("authorization", key.unwrap_or_default());
        })
    }),
    second("queue/retry/another-key-later", QUEUE_RETRY_18, Wire, || {
        request(|attempt, request| {
            if attempt > 0 {
                request.headers.set("authorization", "Bearer undefined");
            }
        })
    }),
    always("queue/retry/always-an-organisation", QUEUE_RETRY_19, Wire, || {
        request(|_, request| {
            if request.headers.get("x-agentuity-orgid").is_none() {
                request.headers.push("x-agentuity-orgid", "");
            }
        })
    }),
    second("queue/retry/organisation-once", QUEUE_RETRY_19, Wire, || {
        request(|attempt, request| {
            if attempt > 0 {
                request.headers.remove("x-agentuity-orgid");
            }
        })
    }),
    second("queue/retry/second-break-is-final", QUEUE_RETRY_20, Port, || {
        gives_up(|attempt, got| attempt > 0 && matches!(got, Exchanged::Cut(_)))
    }),
    boundary("queue/retry/breaks-are-not-counted", QUEUE_RETRY_20, Port, || {
        again(|_, got| matches!(got, Exchanged::Cut(_)).then_some(100))
    }),
];

fn status(got: &Exchanged) -> Option<u16> {
    if let Exchanged::Answer(answer) = got { Some(answer.status) } else { None }
}

fn is_unavailable(got: &Exchanged) -> bool {
    matches!(status(got), Some(502 | 503))
}

fn header<'a>(got: &'a Exchanged, name: &str) -> Option<&'a str> {
    if let Exchanged::Answer(answer) = got { answer.headers.get(name) } else { None }
}

fn names_a_delay(got: &Exchanged) -> bool {
    ["retry-after", "x-ratelimit-reset", "x-ratelimit-retry-after"]
        .iter()
        .any(|name| header(got, name).is_some())
}

/// Gives up behind some exchanges behind which it would go on.
fn gives_up(when: impl Fn(u32, &Exchanged) -> bool + Send + Sync + 'static) -> ClientSeams {
    retry(move |attempt, got, next| {
        if matches!(next, Next::Wait(_)) && when(attempt, got) {
            *next = Next::GiveUp;
        }
    })
}

/// Goes on behind some exchanges behind which it would give up, when so many milliseconds have passed.
fn again(when: impl Fn(u32, &Exchanged) -> Option<u64> + Send + Sync + 'static) -> ClientSeams {
    // The honest count stands still where the honest client gives up.
    let more = Mutex::new(0);
    retry(move |attempt, got, next| {
        let mut more = more.lock().unwrap_or_else(PoisonError::into_inner);
        if *next == Next::GiveUp
            && let Some(delay) = when(attempt + *more, got)
        {
            *more += 1;
            *next = Next::Wait(delay);
        }
    })
}

/// The delays before requests that are sent again, changed.
fn waits(change: impl Fn(u32, &Exchanged, &mut u64) + Send + Sync + 'static) -> ClientSeams {
    retry(move |attempt, got, next| {
        if let Next::Wait(delay) = next {
            change(attempt, got, delay);
        }
    })
}

/// The headers of each 409, changed before they are judged.
fn headers(change: impl Fn(&mut Fields) + Send + Sync + 'static) -> ClientSeams {
    answered(move |_, response| {
        if response.status == 409 {
            change(&mut response.headers);
        }
    })
}

/// Takes a stream whose call is answered with 501 for a body that it can send again; what is left of it is nothing.
fn stream_again(when: fn(&Exchanged) -> bool) -> ClientSeams {
    let is_stream = Arc::new(AtomicBool::new(false));
    let noted = is_stream.clone();
    let noting = exchanged(move |_, request, _| {
        noted.store(request.method == "POST" && request.body.is_empty(), Relaxed);
    });
    let again =
        again(move |attempt, got| (attempt == 0 && is_stream.load(Relaxed) && when(got)).then_some(75));
    let calls = CallSeams { exchanged: noting.calls.exchanged, ..again.calls };
    ClientSeams { calls, ..ClientSeams::honest() }
}

/// Tells its owner the error of a call without a window, and sends the request once more.
fn goes_on() -> ClientSeams {
    let sent: Arc<Mutex<Option<Request>>> = Arc::default();
    let kept = sent.clone();
    let noting = request(move |_, request| {
        *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(request.clone());
    });
    let behind = retry(move |attempt, got, next| {
        let request = sent.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let (0, true, Next::GiveUp, Some(request)) = (attempt, is_unavailable(got), *next, request) {
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(600)).await;
                // Nobody is told what comes of it.
                let _ = send(&request).await;
            });
        }
    });
    let calls = CallSeams { request: noting.calls.request, ..behind.calls };
    ClientSeams { calls, ..ClientSeams::honest() }
}

/// Sends a request without a body, and reads up to the end of the connection.
async fn send(request: &Request) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(request.headers.get("host").unwrap_or_default()).await?;
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.target());
    for (name, value) in &request.headers.0 {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).await?;
    stream.read_to_end(&mut Vec::new()).await.map(drop)
}
