//! Defects of "Close".

use super::{Ask, Frame, Seams, Table, answers, ask, decide, frames};
use crate::{
    embed::reference::queue::model::{Answer, End},
    protocol::Cut::{Port, Wire},
    selftest::defects::Breakage,
};

use std::sync::Arc;
use wireproof_spec::queue::requirements::*;

pub(super) const TABLE: Table = &[
    Breakage::always("queue/close/done-unanswered", QUEUE_CLOSE_1, Wire, || unanswered(1000)),
    Breakage::always("queue/close/no-auth-response-unanswered", QUEUE_CLOSE_2, Wire, || unanswered(4000)),
    Breakage::always("queue/close/failure-unanswered", QUEUE_CLOSE_3, Wire, || unanswered(4001)),
    // Clients read no code as one to dial again.
    Breakage::always("queue/close/another-code", QUEUE_CLOSE_4, Wire, || {
        closing(|frame| {
            if code(frame) == Some(1000) {
                frame[2..4].copy_from_slice(&1001_u16.to_be_bytes());
            }
        })
    })
    .shape("no honest variant answers with this code"),
    Breakage::restart("queue/close/stopped-for-good", QUEUE_CLOSE_5, Wire, || {
        frames(|_, frames| {
            for frame in frames {
                if let Frame::Close(code @ 1001, _) = frame {
                    *code = 4001;
                }
            }
        })
    })
    .shape("a code by which the server never stops"),
    Breakage::boundary("queue/close/deleted-stays", QUEUE_CLOSE_6, Port, || stays(0)),
    Breakage::second("queue/close/second-deleted-stays", QUEUE_CLOSE_6, Port, || stays(1)),
    Breakage::boundary("queue/close/deleted-for-now", QUEUE_CLOSE_7, Wire, || {
        frames(|_, frames| {
            for frame in frames {
                if let Frame::Close(code @ 4000..5000, reason) = frame
                    && reason.contains("deleted")
                {
                    *code = 1001;
                }
            }
        })
    }),
];

/// Of the subscribers of a queue that is deleted those behind the first so many wait on, for nothing.
fn stays(told: usize) -> Seams {
    decide(move |state, input, decision| {
        if let Some((name, Ask::Next { .. })) = ask(input)
            && !state.queues.contains_key(name)
        {
            decision.effects.clear();
        }
        let over = answers(decision).filter(|answer| matches!(answer, Answer::Over(End::Deleted)));
        over.skip(told).for_each(|answer| {
            *answer = Answer::Push { incarnation: 0, places: Vec::new(), to: 0 };
        });
    })
}

/// The code of a close frame, if these are the bytes of one alone.
fn code(bytes: &[u8]) -> Option<u16> {
    match bytes {
        [0x88, 2..126, high, low, ..] => Some(u16::from_be_bytes([*high, *low])),
        _ => None,
    }
}

/// Each close frame that is written, changed.
fn closing(change: fn(&mut Vec<u8>)) -> Seams {
    Seams { written: Some(Arc::new(change)), ..Seams::honest() }
}

/// Answers no close frame of this code.
fn unanswered(of: u16) -> Seams {
    Seams {
        written: Some(Arc::new(move |bytes| {
            if code(bytes) == Some(of) {
                bytes.clear();
            }
        })),
        ..Seams::honest()
    }
}
