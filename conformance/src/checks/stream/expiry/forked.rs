//! The end of a stream that has forks. What it is to others from then on, gone or soft-deleted, is the server's choice: the
//! ruling on STREAM-FORKS-26. That it is there is none.

use super::life::{Life, Mortal, each, measured, timed};
use crate::{
    check::{Alternative, Cx, Outcome, answer},
    checks::stream::{
        forks::fork,
        setting::{Stream, TEXT, created, put},
    },
    one_of,
};
use std::time::Duration;
use wireproof_spec::{
    http::{Request, Response},
    stream::requirements::*,
};

fn lives() -> [Life; 2] {
    [Life::Window(1), Life::until(Duration::from_millis(1_600))]
}

fn gone() -> Vec<Alternative<Response>> {
    one_of![answer(404), answer(410)]
}

/// A stream behind its end, and a fork of it that stays; none if the stream may have ended before it was forked.
async fn ended(cx: &Cx, life: Life) -> Outcome<Option<Mortal>> {
    let mut mortal = Mortal::new(cx, life).await?;
    let long = Life::Window(3_600).given_by(fork(&mortal.stream, &Stream::nowhere(cx)));
    let forked = timed(cx, long).await?;
    if forked.answered > mortal.end.there {
        return Ok(None);
    }
    cx.need(STREAM_FORKS_1, &forked.reply, &one_of![created()])?;
    // As late as if forking had started the window anew.
    mortal.touched(&forked);
    mortal.gone().await;
    Ok(Some(mortal))
}

pub(super) async fn asked(cx: &Cx) -> Outcome {
    /// Each in a stream of its own: the first request may be what notices the end.
    const ASKS: [fn(&Stream) -> Request; 6] = [
        Stream::head,
        Stream::read,
        |stream| stream.read_at("now"),
        |stream| stream.long_poll("-1"),
        |stream| stream.append("late"),
        Stream::close,
    ];
    measured(cx, async |cx| {
        each(ASKS.into_iter().flat_map(|ask| lives().map(|life| (ask, life))).map(async |(ask, life)| {
            let Some(mortal) = ended(cx, life).await? else { return Ok(false) };
            for _ in 0..2 {
                let reply = cx.send(ask(&mortal.stream)).await?;
                cx.expect(STREAM_EXPIRY_2, &reply, &gone())?;
            }
            Ok(true)
        }))
        .await
    })
    .await
}

pub(super) async fn deleted(cx: &Cx) -> Outcome {
    measured(cx, async |cx| {
        each(lives().map(async |life| {
            let Some(mortal) = ended(cx, life).await? else { return Ok(false) };
            for _ in 0..2 {
                let reply = cx.send(mortal.stream.delete()).await?;
                cx.expect(STREAM_EXPIRY_3, &reply, &gone())?;
            }
            Ok(true)
        }))
        .await
    })
    .await
}

pub(super) async fn url(cx: &Cx) -> Outcome {
    taken(cx, lives()[0]).await
}

pub(super) async fn url_of_moment(cx: &Cx) -> Outcome {
    taken(cx, lives()[1]).await
}

/// Makes another stream at the URL of one that ended; before that the server may have noticed the end, or not.
async fn taken(cx: &Cx, life: Life) -> Outcome {
    measured(cx, async |cx| {
        each([false, true].map(async |noticed| {
            let Some(mortal) = ended(cx, life).await? else { return Ok(false) };
            if noticed {
                cx.need(STREAM_EXPIRY_2, &cx.send(mortal.stream.head()).await?, &gone())?;
            }
            // The same lifetime: who takes the old one for there finds it equal.
            let reply = cx.send(mortal.life.given_by(put(&mortal.stream.path, TEXT))).await?;
            cx.expect(STREAM_EXPIRY_16, &reply, &one_of![created(), answer(409)])?;
            Ok(true)
        }))
        .await
    })
    .await
}
