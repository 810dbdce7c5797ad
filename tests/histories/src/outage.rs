//! An hour in which the vendor answers nothing but 503, while records change all the time.

use crate::{
    history::{Flight, History, Means, OnWhenFalse, Outage, Shows, Step},
    property::Violation,
    world::{KEYS, Shared},
};

/// Rounds of the outage.
const ROUNDS: u8 = 30;
/// Length of a round in seconds.
const ROUND_SECONDS: u16 = 120;
/// Calls that meet the outage at least: a circuit lets one pass now and then, and of those of a process some are lost where time is leapt over.
const FEWEST_CALLS: u64 = 2;

/// Plays an hour's outage. The dead letters stay empty meanwhile, nothing is applied twice or out of order, and all arrives afterwards: each of it
/// is a property that every history is judged by.
///
/// # Panics
/// When one of them is not true, or when nobody met the outage.
pub fn an_hours_outage(run: impl FnOnce(&History, &Shared) -> Result<(), Violation>) {
    let history = History { means: MEANS, steps: steps() };
    let world = Shared::new(history.means);
    if let Err(violation) = run(&history, &world) {
        panic!("{violation}");
    }
    let turned_away = world.get().vendor.turned_away();
    assert!(turned_away >= FEWEST_CALLS, "only {turned_away} calls met the outage");
}

const MEANS: Means = Means {
    key: true,
    look_up: true,
    resend: false,
    traced: true,
    keys: KEYS,
    skew: 0,
    shows: Shows::Versions,
    on_when_false: OnWhenFalse::Ignore,
    parents: false,
    batch: 1,
    rows: false,
    words: false,
    since: false,
    once: false,
    owned: false,
};

fn steps() -> Vec<Step> {
    let change = |round: u8| Step::Change { key: round % KEYS, content: round / KEYS % 2, late: 0 };
    let read = Step::Read { killed: false };
    let before = (0..KEYS).map(change).chain([Step::Pass(1), read, read, Step::Carry(Flight::WELL)]);
    let outage = (KEYS..KEYS + ROUNDS).flat_map(|round| {
        [change(round), Step::Pass(ROUND_SECONDS), read, read, Step::Carry(Flight::WELL), Step::Carry(Flight::WELL)]
    });
    let mut steps: Vec<Step> = before.chain([Step::Outage(Outage::Whole)]).chain(outage).collect();
    steps.push(Step::Outage(Outage::Over));
    steps
}
