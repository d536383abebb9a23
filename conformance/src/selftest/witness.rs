//! Which checks see what an observer judges: an observer looks at all that a run saw, and a few checks stand for all.

use crate::{
    check::Body,
    event::What,
    protocol::Defect,
    run::{Checked, Finished},
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// As many stand for all. Where they see nothing of a defect, all are asked.
const FEW: usize = 12;

/// On each variant, the observers of a requirement and the checks that saw what they found met.
pub(super) struct Witnesses(BTreeMap<(&'static str, String), BTreeSet<&'static str>>);

impl Witnesses {
    /// As the honest runs saw it.
    pub(super) fn of(honest: &[(&'static str, Finished)]) -> Self {
        let mut all = BTreeMap::new();
        for (variant, finished) in honest {
            let is_observer = |c: &&Checked| matches!(c.check.body, Body::Observes(_));
            let (observers, others): (Vec<_>, Vec<_>) = finished.checks.iter().partition(is_observer);
            let saw: HashMap<u64, usize> = others
                .iter()
                .enumerate()
                .flat_map(|(at, checked)| checked.events.iter().map(move |event| (event.seq, at)))
                .collect();
            for observer in observers {
                for event in &observer.events {
                    let What::Met { requirement, on, .. } = &event.what else { continue };
                    let witnesses: BTreeSet<usize> =
                        on.iter().filter_map(|seq| saw.get(seq).copied()).collect();
                    let mut names = few(&others, witnesses);
                    names.insert(observer.check.name);
                    all.entry((*variant, requirement.clone())).or_insert_with(BTreeSet::new).extend(names);
                }
            }
        }
        Self(all)
    }

    /// The checks to drive against a defect in what an observer judges; none if no honest run saw any of it.
    pub(super) fn few(&self, defect: &Defect) -> Option<BTreeSet<&'static str>> {
        self.0.get(&(defect.variant, defect.requirement.to_string())).cloned()
    }
}

/// The quicker half of them, and of these a few from all over the tables.
fn few(checked: &[&Checked], witnesses: BTreeSet<usize>) -> BTreeSet<&'static str> {
    let mut quick: Vec<usize> = witnesses.into_iter().collect();
    if quick.len() > FEW {
        quick.sort_by_key(|at| checked[*at].took);
        quick.truncate(FEW.max(quick.len() / 2));
        quick.sort_unstable();
    }
    let step = quick.len().div_ceil(FEW).max(1);
    quick.into_iter().step_by(step).map(|at| checked[at].check.name).collect()
}
