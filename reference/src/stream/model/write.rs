//! How a stream is written: appends and closes, alone or by producers that repeat themselves.

use super::{Answer, Append, Case, Effect, Produced, Record, Refusal, Stream, StreamModel, Tuple};
use crate::{log::Range, model::Decision};
use bytes::Bytes;
use std::cmp::Ordering;

/// What the numbers of a producer say of its request.
enum Turn {
    /// It is new.
    New,
    /// It was accepted before; the highest number that was.
    Again(u64),
}

impl Case<'_> {
    /// Closure comes first (STREAM-APPEND-11), then the media type, then the producer, then `Stream-Seq`.
    pub(super) fn append(
        &self,
        stream: &Stream,
        append: &Append,
        decision: &mut Decision<StreamModel>,
    ) -> Answer {
        let producer = append.producer.as_ref();
        if stream.closed {
            return match again(stream, producer) {
                Some(produced) => {
                    self.touch(stream, decision);
                    Answer::Appended { tail: stream.tail, closed: true, produced: Some(produced) }
                }
                None => Answer::Refused(Refusal::Closed { tail: stream.tail }),
            };
        }
        if !append.media_type.same(&stream.media_type) {
            return Answer::Refused(Refusal::MediaType { expected: stream.media_type.clone() });
        }
        match turn(stream, producer) {
            Err(refusal) => return Answer::Refused(refusal),
            Ok(Turn::Again(seq)) => {
                self.touch(stream, decision);
                let produced = producer.map(|p| Produced { epoch: p.epoch, seq, fresh: false });
                return Answer::Appended { tail: stream.tail, closed: false, produced };
            }
            Ok(Turn::New) => {}
        }
        if let (Some(seq), Some(last)) = (&append.seq, &stream.seq)
            && seq.as_bytes() <= last.as_bytes()
        {
            return Answer::Refused(Refusal::Sequence { last: last.clone() });
        }
        decision.records.push(appended(self.name, stream, self.now, append));
        if append.closed {
            decision.records.push(Record::Closed {
                name: self.name.into(),
                producer: producer.cloned(),
                at: self.now,
            });
        }
        let tail = stream.tail.saturating_add(append.body.len() as u64);
        self.trim(stream, tail, append.retain, decision);
        self.wake(stream, tail, append.closed, decision);
        let produced = producer.map(|p| Produced { epoch: p.epoch, seq: p.seq, fresh: true });
        Answer::Appended { tail, closed: append.closed, produced }
    }

    /// A close takes part in the numbers of its producer.
    pub(super) fn close(
        &self,
        stream: &Stream,
        producer: Option<&Tuple>,
        decision: &mut Decision<StreamModel>,
    ) -> Answer {
        let closed = |produced| Answer::Closed { tail: stream.tail, produced };
        if stream.closed {
            return match (producer, again(stream, producer)) {
                (Some(_), None) => Answer::Refused(Refusal::Closed { tail: stream.tail }),
                (_, produced) => {
                    self.touch(stream, decision);
                    closed(produced)
                }
            };
        }
        match turn(stream, producer) {
            Err(refusal) => Answer::Refused(refusal),
            Ok(Turn::Again(seq)) => {
                // An append had this number: it closed nothing, and this request is none of it.
                let refusal =
                    Refusal::Gap { expected: seq.saturating_add(1), received: producer.map_or(0, |p| p.seq) };
                Answer::Refused(refusal)
            }
            Ok(Turn::New) => {
                let record =
                    Record::Closed { name: self.name.into(), producer: producer.cloned(), at: self.now };
                decision.records.push(record);
                self.wake(stream, stream.tail, true, decision);
                closed(producer.map(|p| Produced { epoch: p.epoch, seq: p.seq, fresh: true }))
            }
        }
    }

    /// Drops the oldest content of a stream that has no forks, if it has more than it keeps.
    fn trim(&self, stream: &Stream, tail: u64, retain: Option<u64>, decision: &mut Decision<StreamModel>) {
        let Some(retain) = retain.filter(|_| stream.forks == 0 && stream.origin.is_none()) else { return };
        // The mark was a tail, so that no message is cut.
        if tail.saturating_sub(stream.mark) >= retain {
            let (name, start) = (self.name.into(), stream.mark);
            decision.records.push(Record::Trimmed { name, start, mark: tail });
            decision.effects.push(Effect::Trim { incarnation: stream.incarnation, start });
        }
    }
}

/// What the closing request of a producer is answered with if it is repeated.
fn again(stream: &Stream, producer: Option<&Tuple>) -> Option<Produced> {
    let closing = stream.closing.as_ref().filter(|closing| Some(*closing) == producer)?;
    Some(Produced { epoch: closing.epoch, seq: closing.seq, fresh: false })
}

/// The numbers of a producer against those that were accepted last.
fn turn(stream: &Stream, producer: Option<&Tuple>) -> Result<Turn, Refusal> {
    let Some(Tuple { id, epoch, seq }) = producer else { return Ok(Turn::New) };
    let (epoch, seq) = (*epoch, *seq);
    let Some(last) = stream.producers.get(id) else {
        return if seq == 0 { Ok(Turn::New) } else { Err(Refusal::Gap { expected: 0, received: seq }) };
    };
    match epoch.cmp(&last.epoch) {
        Ordering::Less => Err(Refusal::Stale { epoch: last.epoch }),
        Ordering::Greater if seq == 0 => Ok(Turn::New),
        Ordering::Greater => Err(Refusal::Bump { received: seq }),
        Ordering::Equal if seq <= last.seq => Ok(Turn::Again(last.seq)),
        Ordering::Equal if seq == last.seq + 1 => Ok(Turn::New),
        Ordering::Equal => Err(Refusal::Gap { expected: last.seq + 1, received: seq }),
    }
}

fn appended(name: &str, stream: &Stream, at: u64, append: &Append) -> Record {
    Record::Appended {
        name: name.into(),
        range: behind(stream.incarnation, stream.tail, &append.body),
        bytes: append.body.clone(),
        producer: append.producer.clone(),
        seq: append.seq.clone(),
        at,
    }
}

/// The range of bytes that come at this position.
pub(super) fn behind(owner: u64, from: u64, body: &Bytes) -> Range {
    Range { owner, from, to: from.saturating_add(body.len() as u64) }
}
