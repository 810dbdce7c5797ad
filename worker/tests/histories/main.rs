//! The histories that the protocol's decisions are checked by (`tests/histories`), against the worker's real process: its binary, its files, its
//! store, over HTTP. Where a history crashes, it is killed with SIGKILL. The same world is played in, and the same code judges.
//!
//! The process runs by itself, so a history does not say which record is carried, but what becomes of the next call. Events are sent to
//! its receiver, each twice. Its clock runs faster, and leaps where a history lets time pass (`clock.c`). `CROSSTIE_CASES` plays more
//! histories, `CROSSTIE_SEED` those of a seed, `CROSSTIE_HISTORY` one from a file; `make soak` plays many.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod clock;
mod events;
mod live;
mod plan;
mod script;
mod server;
mod wire;

use crosstie_histories::{Bounds, Shared, an_hours_outage, check, play};

use self::live::Live;

#[test]
fn an_hours_outage_is_waited_out_by_the_real_process() {
    an_hours_outage(|history, world| play(history, world, &mut Live::new(world.clone())));
}

#[test]
fn whatever_happens_every_property_is_true_of_the_real_process() {
    check(Bounds { cases: 6, stretches: 30, shrinks: 20 }, |history| {
        let world = Shared::new(history.means);
        let mut live = Live::new(world.clone());
        play(history, &world, &mut live)
    });
}
