//! Playing a history: each step against whoever carries the protocol out, then the end of all trouble, then what must be true.

use std::collections::BTreeSet;

use crate::{
    history::{End, Flight, History, Outage, Poison, Step},
    property::{Property, Violation},
    source::State,
    world::{KEYS, Shared},
};

/// Rounds without trouble, after which everything must have arrived.
const ROUNDS: u32 = 120;
/// Records carried in a round, at most.
const MOST_IN_A_ROUND: u32 = 24;

/// Where a worker stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Records that wait or are claimed, and are not held.
    pub waiting: BTreeSet<String>,
    /// Records whose newest write nothing can tell the outcome of.
    pub held: BTreeSet<String>,
    /// Records in the dead letters.
    pub dead: BTreeSet<String>,
}

/// How far a record was carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// None was due, or none may be carried now.
    Nothing,
    /// One was, and what became of it is stored.
    Done,
    /// One is: its write was received, and the answer is under way.
    UnderWay,
}

/// Whoever carries the protocol out.
pub trait Subject {
    /// Reads one page of the source and takes it. Says whether its window is read to its end.
    fn read(&mut self, killed: bool) -> bool;
    /// Takes one record that an event brought.
    fn hint(&mut self, state: State);
    /// Hands out one record, if one is due, and carries it until its write was received. A flight that kills leaves a dead process behind.
    fn begin(&mut self, flight: Flight) -> Begun;
    /// A call under way is answered, and what that means is stored: the newest one, or the oldest. Says whether there was one.
    fn finish(&mut self, newest: bool) -> bool;
    /// The process is started, after it died or in the middle of whatever it does.
    fn restart(&mut self);
    /// The process is started without its store.
    fn restart_without_store(&mut self);
    /// Replays all dead letters.
    fn replay(&mut self);
    /// Where it stands.
    fn standing(&mut self) -> Standing;
}

/// Plays a history.
///
/// # Errors
/// The first thing that was not true.
pub fn play(history: &History, world: &Shared, subject: &mut dyn Subject) -> Result<(), Violation> {
    for step in &history.steps {
        take(*step, world, subject);
        world.get().judge()?;
    }
    heal(world, subject)
}

fn take(step: Step, world: &Shared, subject: &mut dyn Subject) {
    match step {
        Step::Change { key, content, late } => {
            let mut world = world.get();
            let time = world.source_now() - i64::from(late);
            let key = key % world.means.keys;
            world.source.change(key, content, time);
        }
        Step::Read { killed } => {
            subject.read(killed);
            if killed {
                restart(world, subject);
            }
        }
        Step::Hint { key, age } => {
            let state = {
                let world = world.get();
                world.source.past(key % world.means.keys, age.into())
            };
            if let Some(state) = state {
                subject.hint(state);
            }
        }
        Step::Carry(flight) => {
            if begin(flight, world, subject) == Begun::UnderWay {
                subject.finish(true);
            }
        }
        Step::Begin(flight) => {
            begin(flight, world, subject);
        }
        Step::Finish => {
            subject.finish(false);
        }
        Step::Pass(seconds) => world.get().pass(seconds),
        Step::Crash => restart(world, subject),
        Step::LoseStore => {
            world.get().store_lost();
            subject.restart_without_store();
        }
        Step::Replay => {
            replay(world, subject);
        }
        Step::Poison { key, poison } => {
            let mut world = world.get();
            let key = key % world.means.keys;
            world.vendor.poison(&key.to_string(), poison);
        }
        Step::Outage(outage) => world.get().vendor.outage(outage),
    }
}

fn begin(flight: Flight, world: &Shared, subject: &mut dyn Subject) -> Begun {
    let begun = subject.begin(flight);
    match flight.end {
        End::Stored => begun,
        End::Abandoned => Begun::Done,
        End::KilledBefore | End::KilledAfter => {
            restart(world, subject);
            Begun::Done
        }
    }
}

fn restart(world: &Shared, subject: &mut dyn Subject) {
    world.get().vendor.forget_answers();
    subject.restart();
}

fn replay(world: &Shared, subject: &mut dyn Subject) {
    let dead = subject.standing().dead;
    world.get().replayed(&dead);
    subject.replay();
}

/// Nothing fails any more, but one record that is poisoned stays so: everything else arrives.
fn heal(world: &Shared, subject: &mut dyn Subject) -> Result<(), Violation> {
    while subject.finish(false) {}
    let poisoned = {
        let mut world = world.get();
        world.vendor.outage(Outage::Over);
        for cured in world.vendor.poisoned().iter().skip(1) {
            world.vendor.poison(cured, Poison::Cured);
        }
        world.vendor.poisoned()
    };
    // What was not read, or dropped, is not read again by looking back.
    for _ in 0..2 {
        world.get().pass(30);
        while !subject.read(false) {}
    }
    replay(world, subject);
    for round in 0..ROUNDS {
        if !poisoned.is_empty() {
            // Only while others pass can it be known that it is the record's own doing.
            let mut world = world.get();
            let (time, key) = (world.source_now(), (0..KEYS).find(|key| !poisoned.contains(&key.to_string())));
            world.source.change(key.unwrap_or_default(), u8::from(round % 2 == 0), time);
        }
        // The window that was open ends before what changed since it began.
        for _ in 0..2 {
            while !subject.read(false) {}
        }
        for _ in 0..MOST_IN_A_ROUND {
            match subject.begin(Flight::WELL) {
                Begun::Nothing => break,
                Begun::Done => {}
                Begun::UnderWay => {
                    subject.finish(true);
                }
            }
            world.get().judge()?;
        }
        let standing = subject.standing();
        if standing.waiting.is_empty() {
            if standing.dead.is_subset(&poisoned) {
                break;
            }
            replay(world, subject);
        }
        world.get().pass(7);
    }
    let standing = subject.standing();
    let mut world = world.get();
    world.judge()?;
    for record in &standing.held {
        if world.means.look_up {
            world.violate(Property::WhatCanBeKnownIsNeverHeld, || format!("{record} is held and could be looked up"));
        }
    }
    for record in &standing.waiting {
        if poisoned.contains(record) {
            world.violate(Property::APoisonedRecordIsSetAside, || format!("{record} is tried for ever"));
        } else if poisoned.is_empty() {
            world.violate(Property::NothingAcknowledgedIsLost, || format!("{record} waits for ever"));
        } else {
            world.violate(Property::OnePoisonedKeyNeverBlocksAnother, || format!("{record} waits for ever"));
        }
    }
    let excused = standing.held.iter().chain(&poisoned).cloned().collect();
    world.ended(&excused);
    world.judge()
}
