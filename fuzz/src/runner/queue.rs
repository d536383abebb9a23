//! The model of queues: whatever is asked in whatever order, what is pushed is what was published, in order and once, a message
//! has one consumer at a time, and a restart forgets nothing.

// What the tests of the model know of it, the fuzzer holds it to.
#[path = "../../../reference/tests/queue_model/world.rs"]
mod world;

use arbitrary::{Result, Unstructured};
use world::{Step, VISIBILITY_MS, World};

const STEPS: usize = 64;

/// Does what the bytes say.
pub fn run(data: &[u8]) {
    let mut u = Unstructured::new(data);
    let mut world = World::new();
    for _ in 0..STEPS {
        if u.is_empty() {
            break;
        }
        let Ok(step) = step(&mut u) else { break };
        world.step(&step);
    }
    world.finished();
}

fn step(u: &mut Unstructured<'_>) -> Result<Step> {
    let kind = u.int_in_range(0..=15)?;
    let queue = u.int_in_range(0..=1)?;
    let offset = u.int_in_range(0..=11)?;
    let some = |u: &mut Unstructured<'_>| -> Result<Option<usize>> {
        Ok(u.ratio(1, 4)?.then_some(u.int_in_range(0..=2)?))
    };
    Ok(match kind {
        0..=3 => Step::Publish {
            queue,
            key: some(u)?,
            partition: some(u)?,
            ttl: some(u)?.map(|ttl| ttl as u64),
            many: u.int_in_range(1..=3)?,
        },
        4..=6 => Step::Receive { queue, patience: if u.arbitrary()? { 500 } else { 0 } },
        7 => Step::Ack { queue, offset },
        8 => Step::Nack { queue, offset },
        9 => Step::Delete { queue, offset },
        10 => Step::Revive { queue, offset },
        11 => {
            let last = if u.arbitrary()? { Some(u.int_in_range(-1..=11)?) } else { None };
            Step::Subscribe { queue, last }
        }
        12 => Step::Leave(u.int_in_range(0..=3)?),
        13 => Step::Pause { queue, pause: u.arbitrary()? },
        14 => Step::Pass(u.int_in_range(0..=2 * VISIBILITY_MS)?),
        _ => Step::Restart,
    })
}
