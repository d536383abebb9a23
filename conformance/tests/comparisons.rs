//! What changed between two results that were made by hand.

use crate::reports::{ONE, TWO, broken, finished, good, known, left_out, met, ran, with};
use wireproof::{
    report::{
        Outcome, Report,
        compare::{self, Change, Comparison, Judgement},
        json,
    },
    run::{Checked, Finished},
    target::baseline::Baseline,
    verdict::Verdict,
};

fn result(run: &Finished, baseline: &Baseline) -> Outcome {
    Outcome::of(vec![Report::new(run, baseline)])
}

fn of(checks: Vec<Checked>) -> Outcome {
    result(&finished(checks), &Baseline::default())
}

fn bad() -> Vec<Checked> {
    with(0, ran(0, vec![broken(ONE)]))
}

fn judged(old: &Outcome, new: &Outcome, strict: bool) -> (Judgement, u8, usize) {
    let comparison = Comparison::new(old, new, strict);
    (comparison.judgement, comparison.exit_code, comparison.regressions)
}

#[test]
fn a_step_back_counts_and_what_is_known_does_not() {
    use Judgement::{NoWorse, Unknown, Worse};
    let known_bad = result(&finished(bad()), &known(0, ONE));
    let warned = of(with(1, ran(1, vec![broken(TWO)])));
    let unseen = of(with(0, left_out(0, Verdict::NotSelected)));
    let nothing = of((0..4).map(|i| left_out(i, Verdict::NotSelected)).collect());
    let mut run = finished(good());
    run.interrupted = true;
    let interrupted = result(&run, &Baseline::default());
    let table = [
        ("nothing changed", of(good()), of(good()), (NoWorse, 0, 0), (NoWorse, 0, 0)),
        ("pass to fail", of(good()), of(bad()), (Worse, 1, 1), (Worse, 1, 1)),
        ("pass to a failure that is known", of(good()), known_bad, (NoWorse, 0, 0), (NoWorse, 0, 0)),
        ("fail to pass", of(bad()), of(good()), (NoWorse, 0, 0), (NoWorse, 0, 0)),
        ("still failing", of(bad()), of(bad()), (NoWorse, 0, 0), (NoWorse, 0, 0)),
        ("pass to warn", of(good()), warned, (NoWorse, 0, 0), (Worse, 1, 1)),
        ("pass to not seen", of(good()), unseen.clone(), (NoWorse, 0, 0), (Worse, 1, 1)),
        ("not seen to fail", unseen, of(bad()), (NoWorse, 0, 0), (Worse, 1, 1)),
        ("a run that saw nothing", of(good()), nothing, (Unknown, 3, 0), (Worse, 1, 3)),
        ("an interrupted run", of(good()), interrupted, (Unknown, 3, 0), (Unknown, 3, 0)),
    ];
    for (name, old, new, plainly, strictly) in table {
        assert_eq!(judged(&old, &new, false), plainly, "{name}");
        assert_eq!(judged(&old, &new, true), strictly, "{name}, strictly");
    }
}

#[test]
fn checks_that_came_and_went_and_other_settings_are_named() {
    let mut old = finished(good());
    old.checks.pop();
    old.settings.seed = 7;
    let mut new = finished(good());
    new.checks.remove(1);
    new.target = new.target.declare("tiny.loud", "on");
    new.features =
        [("tiny.loud".to_owned(), "on".to_owned(), wireproof::event::Source::Declared)].into_iter().collect();
    let none = Baseline::default();
    let comparison = Comparison::new(&result(&old, &none), &result(&new, &none), false);
    let one = &comparison.protocols[0];
    let moved: Vec<_> = one.checks.iter().map(|m| (m.id.as_str(), m.change)).collect();
    assert_eq!(moved, [("tiny/say/tagged", Change::Gone), ("tiny/say/again", Change::New)]);
    let differ: Vec<_> =
        one.differences.iter().map(|d| (d.what.as_str(), d.old.as_str(), d.new.as_str())).collect();
    assert_eq!(differ, [("feature tiny.loud", "off", "on"), ("seed", "7", "1")]);
    assert_eq!((comparison.compared, comparison.exit_code), (1, 0));
}

#[test]
fn people_read_this_of_what_changed() {
    let mut new = bad();
    new[1] = ran(1, vec![broken(TWO)]);
    new[3] = left_out(3, Verdict::Untestable);
    let mut run = finished(new);
    run.settings.seed = 2;
    let comparison = Comparison::new(&of(good()), &result(&run, &Baseline::default()), true);
    insta::assert_snapshot!(compare::text(&comparison));
}

#[test]
fn a_result_is_read_as_it_was_written() {
    let one = of(with(1, ran(1, vec![met(TWO)])));
    let text = json::text(&one).expect("JSON");
    assert_eq!(json::text(&compare::parse(&text).expect("a result")).expect("JSON"), text);
    let why = compare::parse("{\"suite\": 1}").expect_err("no result");
    assert!(why.contains("invalid type"), "{why}");
}
