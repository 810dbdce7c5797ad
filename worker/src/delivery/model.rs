//! The same histories that the engine's decisions are checked by (`tests/histories`), against the real SQLite store and the real `carry`. The
//! process they run in is in `process`.

mod books;
mod ground;
mod intake;
mod process;

use crosstie_histories::{Bounds, Shared, an_hours_outage, check, play};

use self::process::Process;

#[test]
fn an_hours_outage_is_waited_out_by_the_real_store_and_delivery() {
    an_hours_outage(|history, world| play(history, world, &mut Process::new(world.clone())));
}

#[test]
fn whatever_happens_every_property_is_true_of_the_real_store_and_delivery() {
    check(Bounds { cases: 96, stretches: 50, shrinks: 1000 }, |history| {
        let world = Shared::new(history.means);
        play(history, &world, &mut Process::new(world.clone()))
    });
}
