//! Defects of "Hash".

pub(super) mod agents;

use super::{
    Table,
    shown::{all, stats},
};
use crate::{protocol::Cut::Port, selftest::defects::Breakage};
use wireproof_spec::fleet::{hash::hash, requirements::*};

pub(super) const TABLE: Table = &[
    Breakage::boundary("fleet/hash/empty-fleet", FLEET_HASH_1, Port, || {
        stats(|state, stats| {
            if all(state).is_empty() {
                stats.state_hash = "0000000000000000".into();
            }
        })
    }),
    Breakage::second("fleet/hash/in-the-order-of-joins", FLEET_HASH_1, Port, || {
        stats(|state, stats| {
            let ids: Vec<String> = all(state).iter().map(|info| info.id.clone()).collect();
            if ids.len() > 1 {
                stats.state_hash = hash(&(ids, &stats.state_hash));
            }
        })
    }),
];
