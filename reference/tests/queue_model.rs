//! The model of the queue under whatever is asked in whatever order, and some of its rules one by one.

#[path = "queue_model/world.rs"]
mod world;

use proptest::prelude::*;
use wireproof_reference::queue::model::{Answer, Ask, Create, Settings};
use wireproof_spec::queue::QueueType;
use world::{RETRIES, Step, VISIBILITY_MS, World, draft};

fn step() -> impl Strategy<Value = Step> {
    let queue = || 0_usize..2;
    let offset = || 0_u64..12;
    let key = || prop::option::weighted(0.2, 0_usize..3);
    prop_oneof![
        8 => (queue(), key(), key(), prop::option::weighted(0.1, 0_u64..3), 1_usize..4).prop_map(
            |(queue, key, partition, ttl, many)| Step::Publish { queue, key, partition, ttl, many }
        ),
        8 => (queue(), prop_oneof![Just(0), Just(500)])
            .prop_map(|(queue, patience)| Step::Receive { queue, patience }),
        4 => (queue(), offset()).prop_map(|(queue, offset)| Step::Ack { queue, offset }),
        2 => (queue(), offset()).prop_map(|(queue, offset)| Step::Nack { queue, offset }),
        1 => (queue(), offset()).prop_map(|(queue, offset)| Step::Delete { queue, offset }),
        1 => (queue(), offset()).prop_map(|(queue, offset)| Step::Revive { queue, offset }),
        3 => (queue(), prop::option::of(-1_i64..12)).prop_map(|(queue, last)| Step::Subscribe { queue, last }),
        1 => (0_usize..4).prop_map(Step::Leave),
        1 => (queue(), any::<bool>()).prop_map(|(queue, pause)| Step::Pause { queue, pause }),
        4 => (0_u64..2 * VISIBILITY_MS).prop_map(Step::Pass),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #[test]
    fn whatever_is_asked(steps in proptest::collection::vec(step(), 1..80)) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.finished();
    }
}

#[test]
fn a_message_dies_of_its_last_failure_and_comes_back() {
    let mut world = World::new();
    let published = world.ask("worker", Ask::Publish { drafts: [draft(0)].into() });
    assert!(matches!(published, Some(Answer::Messages { .. })));
    for attempt in 1..=RETRIES + 1 {
        let Some(Answer::Received { place: Some(place), .. }) =
            world.ask("worker", Ask::Receive { patience: 0 })
        else {
            panic!("attempt {attempt}")
        };
        assert_eq!(place.attempts, Some(attempt));
        assert_eq!(world.ask("worker", Ask::Nack(world.at(1, 0))), Some(Answer::Done));
        world.hidden.clear();
        let backoff = 100 << (attempt - 1);
        world.now += backoff - 1;
        world.settle();
        let early = world.ask("worker", Ask::Receive { patience: 0 });
        assert!(matches!(early, Some(Answer::Received { place: None, .. })), "before its backoff");
        world.now += 1;
        world.settle();
    }
    let Some(Answer::Dead { letters, total: 1, .. }) =
        world.ask("worker", Ask::DeadLetters { limit: 10, skip: 0 })
    else {
        panic!("a dead letter")
    };
    assert_eq!(letters[0].attempts, RETRIES + 1);
    let none = world.ask("worker", Ask::Receive { patience: 0 });
    assert!(matches!(none, Some(Answer::Received { place: None, .. })));
    assert!(matches!(world.ask("worker", Ask::ReplayDead(world.at(1, 0))), Some(Answer::Messages { .. })));
    let again = world.ask("worker", Ask::Receive { patience: 0 });
    assert!(matches!(again, Some(Answer::Received { place: Some(_), .. })));
}

#[test]
fn one_message_of_a_partition_is_out_at_a_time() {
    let mut world = World::new();
    let mut drafts = [draft(0), draft(1), draft(2)];
    drafts[0].partition = Some("a".into());
    drafts[1].partition = Some("a".into());
    world.ask("worker", Ask::Publish { drafts: drafts.into() });
    let receive = |world: &mut World| match world.ask("worker", Ask::Receive { patience: 0 }) {
        Some(Answer::Received { place, .. }) => place.map(|place| place.offset),
        other => panic!("{other:?}"),
    };
    assert_eq!(receive(&mut world), Some(0));
    assert_eq!(receive(&mut world), Some(2), "another one passes it");
    assert_eq!(receive(&mut world), None, "it waits its turn");
    world.ask("worker", Ask::Ack(world.at(1, 0)));
    assert_eq!(receive(&mut world), Some(1));
}

#[test]
fn retention_drops_what_is_old_and_never_what_is_not() {
    let mut world = World::new();
    let settings = Settings { retention_s: 64.0, ..Settings::default() };
    world.ask("old", Ask::Create(Create { kind: QueueType::Pubsub, description: None, settings }));
    for n in 0..200 {
        world.ask("old", Ask::Publish { drafts: [draft(n)].into() });
        world.now += 1000;
        world.settle();
        let queue = &world.state.queues["old"];
        // Published a second apart: message n is n seconds old.
        let n = n as u64 + 1;
        assert!(queue.start <= n.saturating_sub(63), "too early");
        assert!(queue.start + 66 >= n, "too late: {} at {n}", queue.start);
        assert!(queue.marks.len() <= 66);
    }
}
