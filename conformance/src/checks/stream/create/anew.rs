//! A stream at the URL of one that was deleted.

use crate::{
    check::{Cx, Outcome, answer},
    checks::stream::setting::{OTHER, TEXT, appended, by, created, holds, proven, put},
    one_of,
};
use wireproof_spec::stream::{
    header::{CLOSED, SEQ},
    requirements::*,
};

pub(super) async fn nothing_of_the_old(cx: &Cx) -> Outcome {
    let (mut stream, producer) = (proven(cx).await?, cx.name());
    for (media_type, closes) in [(OTHER, true), (TEXT, false), (TEXT, true)] {
        for number in [0, 1] {
            let reply = cx.send(by(stream.append("old"), &producer, 3, number)).await?;
            cx.need(STREAM_PRODUCERS_5, &reply, &one_of![answer(200)])?;
        }
        let reply = cx.send(stream.append("old").header(SEQ, "9")).await?;
        cx.need(STREAM_APPEND_14, &reply, &one_of![appended()])?;
        if closes {
            stream.closed(cx).await?;
        }
        cx.need(STREAM_DELETE_1, &cx.send(stream.delete()).await?, &one_of![answer(204)])?;

        let mut content = cx.token(20);
        let reply = cx.send(put(&stream.path, media_type).body(content.clone())).await?;
        // Whether there is another one is the server's choice: STREAM-CREATE-25.
        let alternatives = one_of![created().without(CLOSED), answer(409), answer(410)];
        if cx.expect(STREAM_CREATE_26, &reply, &alternatives)?.status != 201 {
            return Ok(());
        }
        stream.media_type = media_type;
        let head = cx.send(stream.head()).await?;
        cx.expect(STREAM_CREATE_26, &head, &one_of![answer(200).without(CLOSED)])?;
        let read = stream.content(cx).await?;
        cx.expect(STREAM_CREATE_26, &read, &[holds(content.clone())])?;
        // The old one would take the first for a fenced producer's, and the second for out of sequence.
        let reply = cx.send(by(stream.append("new"), &producer, 0, 0)).await?;
        cx.expect(STREAM_CREATE_26, &reply, &one_of![answer(200)])?;
        let reply = cx.send(stream.append("er").header(SEQ, "1")).await?;
        cx.expect(STREAM_CREATE_26, &reply, &one_of![appended()])?;
        content.push_str("newer");
        let read = stream.content(cx).await?;
        cx.expect(STREAM_CREATE_26, &read, &[holds(content)])?;
    }
    Ok(())
}
