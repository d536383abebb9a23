//! That the moment of Stream-Expires-At stays where it is, and ends whoever waits.

use super::{
    life::{Life, Mortal, each, measured},
    window::{Idle, ends_all_the_same},
};
use crate::{
    check::{Cx, Outcome, alternative, answer},
    checks::stream::setting::{appended, closed},
    one_of,
};
use std::time::Duration;
use tokio::time::Instant;
use wireproof_spec::{http::Response, stream::requirements::*};

pub(super) async fn stays(cx: &Cx) -> Outcome {
    let touches = [
        Idle { touch: |m| m.stream.read(), broken: false, touched: || answer(200) },
        Idle { touch: |m| m.stream.read_at("now"), broken: false, touched: || answer(200) },
        Idle { touch: |m| m.stream.append("more"), broken: false, touched: appended },
        Idle { touch: |m| m.stream.close(), broken: false, touched: closed },
        Idle { touch: |m| m.stream.long_poll("-1"), broken: false, touched: || answer(200) },
        Idle { touch: |m| m.stream.head(), broken: false, touched: || answer(200) },
    ];
    measured(cx, async |cx| {
        each(touches.map(|touch| ends_all_the_same(cx, STREAM_EXPIRY_12, soon(), None, touch))).await
    })
    .await
}

fn soon() -> Life {
    Life::until(Duration::from_millis(1_600))
}

pub(super) async fn long_poll_ends(cx: &Cx) -> Outcome {
    measured(cx, waits_to_the_end).await
}

/// Waits by one long-poll, or by one after the other, until the stream has ended; whether one of them began before that.
async fn waits_to_the_end(cx: &Cx) -> Outcome<bool> {
    let mortal = Mortal::new(cx, soon()).await?;
    let mut waited = false;
    while Instant::now() < mortal.end.gone {
        // A long-poll whose own timeout comes right at this moment is none that was forgotten, however busy the machine is.
        let in_time = mortal.end.gone.saturating_duration_since(Instant::now()) + cx.slack();
        let reader = cx.begin(mortal.stream.long_poll(&mortal.stream.start), in_time).await?;
        // If the stream is there beside it, the reader came before the end.
        let head = cx.send(mortal.stream.head()).await?;
        if cx.need(STREAM_EXPIRY_2, &head, &one_of![answer(200), answer(404)])?.status == 404 {
            break;
        }
        let alternatives = [404, 204].map(|status| {
            let ms = in_time.as_millis();
            let name =
                format!("{status} within {ms} ms, a second and the tolerance for slowness behind the end");
            alternative(name, move |(reply, _): &(Response, Duration)| reply.status == status)
        });
        let answered = reader.timed().await?;
        let (reply, _) = cx.expect(STREAM_EXPIRY_13, &answered, &alternatives)?;
        waited = true;
        if reply.status == 404 {
            break;
        }
    }
    Ok(waited)
}
