//! The events of one check laid out for a picture: which connection has which lane, which rows are shown, and which of them
//! decided. Pure; how it is drawn is the matter of [`super::html`].

use crate::event::{Event, Message, What};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Up to so many connections have a lane each; of more, those share one that are not open at the same time.
const LANES: usize = 4;
/// There are never more lanes than this: connections beyond that share the last one.
const MOST_LANES: usize = 6;

/// What happened in a check, laid out.
pub(super) struct Timeline<'a> {
    pub(super) lanes: Vec<Lane<'a>>,
    pub(super) rows: Vec<Row<'a>>,
    /// From the first event to the last, in microseconds.
    pub(super) span_us: u64,
}

/// A column: one connection, or several one after the other.
#[derive(Default)]
pub(super) struct Lane<'a> {
    /// The number of each connection, and whom it leads to, where that is known.
    pub(super) connections: Vec<(u32, Option<&'a str>)>,
}

/// A line.
pub(super) enum Row<'a> {
    /// So many events that are not shown.
    LeftOut(usize),
    Shown(Shown<'a>),
}

/// An event that is shown.
pub(super) struct Shown<'a> {
    pub(super) event: &'a Event,
    /// The column; none where the event is about no connection.
    pub(super) lane: Option<usize>,
    /// Microseconds since the first event.
    pub(super) after_us: u64,
    /// How long the target took for it, where it is an answer.
    pub(super) took_us: Option<u64>,
    /// Whether the claim that decided is about it.
    pub(super) decides: bool,
}

impl<'a> Timeline<'a> {
    /// Lays out events. Of many only so many are shown at the start, at the end, and among those that decided.
    pub(super) fn new(events: &'a [Arc<Event>], keep: usize) -> Self {
        let visible: Vec<&Event> = events.iter().map(|e| &**e).filter(|e| is_visible(&e.what)).collect();
        let start = events.first().map_or(0, |e| e.at_us);
        let sent: BTreeMap<u64, u64> = visible
            .iter()
            .filter(|e| matches!(e.what, What::Sent { .. }))
            .map(|e| (e.seq, e.at_us))
            .collect();
        let deciding = deciding(&visible);
        let (lanes, lane_of) = lanes(&visible);
        let mut rows = Vec::new();
        let mut left_out = 0;
        let close = |rows: &mut Vec<Row<'a>>, count: &mut usize| {
            if *count > 0 {
                rows.push(Row::LeftOut(std::mem::take(count)));
            }
        };
        let mut decided = 0;
        for (index, event) in visible.iter().enumerate() {
            let decides = deciding.contains(&event.seq);
            let is_near = index < keep || index + keep >= visible.len();
            let is_shown = is_near || (decides && decided < keep);
            if !is_shown {
                left_out += 1;
                continue;
            }
            decided += usize::from(decides && !is_near);
            close(&mut rows, &mut left_out);
            rows.push(Row::Shown(Shown {
                event,
                lane: connection(&event.what).and_then(|conn| lane_of.get(&conn).copied()),
                after_us: event.at_us.saturating_sub(start),
                took_us: answered(&event.what)
                    .and_then(|seq| Some(event.at_us.saturating_sub(*sent.get(&seq)?))),
                decides,
            }));
        }
        close(&mut rows, &mut left_out);
        let span_us = visible.last().map_or(0, |e| e.at_us.saturating_sub(start));
        Self { lanes, rows, span_us }
    }
}

/// The connection that an event is about.
fn connection(what: &What) -> Option<u32> {
    match what {
        What::Opened { conn, .. }
        | What::Sent { conn, .. }
        | What::Received { conn, .. }
        | What::Cut { conn }
        | What::Closed { conn, .. }
        | What::Silence { conn, .. } => Some(*conn),
        _ => None,
    }
}

fn answered(what: &What) -> Option<u64> {
    match what {
        What::Received { answers, message: Message::Response { .. }, .. } => *answers,
        _ => None,
    }
}

fn is_visible(what: &What) -> bool {
    !matches!(
        what,
        What::RunStarted { .. }
            | What::Feature { .. }
            | What::CheckStarted { .. }
            | What::CheckFinished { .. }
            | What::LeftOut { .. }
            | What::RunFinished { .. }
    )
}

/// The observations that broken claims are about, and what they answer.
fn deciding(events: &[&Event]) -> BTreeSet<u64> {
    let mut deciding: BTreeSet<u64> = events
        .iter()
        .filter_map(|e| match &e.what {
            What::Broken { on, .. } | What::SetUp { on, .. } => Some(on),
            _ => None,
        })
        .flatten()
        .copied()
        .collect();
    let answers: Vec<u64> =
        events.iter().filter(|e| deciding.contains(&e.seq)).filter_map(|e| answered(&e.what)).collect();
    deciding.extend(answers);
    deciding
}

/// The lanes, and which of them each connection has.
fn lanes<'a>(events: &[&'a Event]) -> (Vec<Lane<'a>>, BTreeMap<u32, usize>) {
    // In the order in which they appear: number, peer, first and last place.
    let mut spans: Vec<(u32, Option<&str>, usize, usize)> = Vec::new();
    let mut known: BTreeMap<u32, usize> = BTreeMap::new();
    for (index, event) in events.iter().enumerate() {
        let Some(conn) = connection(&event.what) else { continue };
        let place = *known.entry(conn).or_insert_with(|| {
            spans.push((conn, None, index, index));
            spans.len() - 1
        });
        let span = &mut spans[place];
        span.3 = index;
        if let What::Opened { peer, .. } = &event.what {
            span.1 = Some(peer);
        }
    }
    let shared = spans.len() > LANES;
    let mut lanes: Vec<Lane<'a>> = Vec::new();
    let mut ends: Vec<usize> = Vec::new();
    let mut lane_of = BTreeMap::new();
    for (conn, peer, first, last) in spans {
        let free = ends.iter().position(|end| shared && *end < first);
        let lane = free.unwrap_or(lanes.len()).min(MOST_LANES - 1);
        if lane == lanes.len() {
            lanes.push(Lane::default());
            ends.push(last);
        }
        ends[lane] = ends[lane].max(last);
        lanes[lane].connections.push((conn, peer));
        lane_of.insert(conn, lane);
    }
    (lanes, lane_of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Bytes;

    fn event(seq: u64, what: What) -> Arc<Event> {
        Arc::new(Event { seq, at_us: seq * 1000, check: None, what })
    }

    fn said(seq: u64, conn: u32) -> Arc<Event> {
        let message = Message::Text { text: Bytes::keep(b"x") };
        event(seq, What::Received { conn, message, answers: None })
    }

    fn layout(events: &[Arc<Event>]) -> Vec<Vec<u32>> {
        let lanes = Timeline::new(events, 100).lanes;
        lanes.iter().map(|l| l.connections.iter().map(|(conn, _)| *conn).collect()).collect()
    }

    #[test]
    fn few_connections_have_a_lane_each_and_many_share() {
        let few: Vec<_> = (0..4).map(|n| said(u64::from(n), n)).collect();
        assert_eq!(layout(&few), [[0], [1], [2], [3]]);
        let many: Vec<_> = (0..9).map(|n| said(u64::from(n), n)).collect();
        assert_eq!(layout(&many), [[0, 1, 2, 3, 4, 5, 6, 7, 8]], "one after the other");
        let at_once: Vec<_> = (0..18).map(|n| said(n, u32::try_from(n % 9).expect("small"))).collect();
        assert_eq!(layout(&at_once), [vec![0], vec![1], vec![2], vec![3], vec![4], vec![5, 6, 7, 8]]);
    }

    #[test]
    fn what_decided_is_shown_although_the_middle_is_left_out() {
        let mut events: Vec<_> = (0..100).map(|n| said(n, 0)).collect();
        let (requirement, actual) = ("TINY-SAY-1".into(), "x".into());
        events.push(event(100, What::Broken { requirement, expected: Vec::new(), actual, on: vec![50] }));
        let timeline = Timeline::new(&events, 3);
        let shown: Vec<(u64, bool)> = timeline
            .rows
            .iter()
            .map(|row| match row {
                Row::LeftOut(count) => (1000 + *count as u64, false),
                Row::Shown(shown) => (shown.event.seq, shown.decides),
            })
            .collect();
        let expected = [0, 1, 2, 1047, 50, 1047, 98, 99, 100].map(|seq| (seq, seq == 50));
        assert_eq!(shown, expected);
        assert_eq!(timeline.span_us, 100_000);
    }
}
