//! Playing a history: each step against whoever carries the protocol out, then the end of all trouble, then what must be true.

use std::collections::BTreeSet;

use crate::{
    history::{End, Flight, History, Outage, Poison, Step},
    property::{Property, Violation},
    source::State,
    world::{KEYS, PARENTS, Shared},
};

/// Rounds without trouble, after which everything must have arrived. What is never answered while others pass is sent ever more seldom.
const ROUNDS: u32 = 240;
/// Rounds in which deletes are still busy: fewer than they ask to wait for.
const BUSY_ROUNDS: u32 = 20;
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
    /// Records, of those that wait, that are not due because what they depend on is not there.
    pub awaiting: BTreeSet<String>,
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
    /// So many seconds pass.
    fn pass(&mut self, seconds: u16);
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
    /// Another flow settled a record that some depend on: it is there, or is not any more.
    fn parent(&mut self, parent: u8, there: bool);
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
    // Where the clock runs by itself, the world catches up.
    subject.pass(0);
    match step {
        Step::Change { key, content, late } => {
            let mut world = world.get();
            let time = world.source_now() - i64::from(late);
            let key = key % world.means.keys;
            world.source.change(key, Some(content), time);
        }
        Step::Delete { key } => {
            let mut world = world.get();
            let (time, key) = (world.source_now(), key % world.means.keys);
            world.source.change(key, None, time);
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
                // Word of a record is word of what it is by now.
                let age = if world.means.words { 0 } else { age };
                world.source.past(key % world.means.keys, age.into(), world.means.shows.singles())
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
        Step::Pass(seconds) => {
            subject.pass(seconds);
            let mut world = world.get();
            let now = world.now;
            world.vendor.edit(now);
        }
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
        Step::Parent { parent, there } => set_parent(parent, there, world, subject),
    }
}

/// Another flow settles a record that some depend on. What waited for it is due once it is there.
fn set_parent(parent: u8, there: bool, world: &Shared, subject: &mut dyn Subject) {
    world.get().set_parent(parent, there);
    subject.parent(parent, there);
    if !there {
        return;
    }
    let awaiting = subject.standing().awaiting;
    let mut world = world.get();
    let means = world.means;
    let left = awaiting.into_iter().find(|record| State::parent(record.parse().unwrap(), means) == Some(parent));
    if let Some(record) = left {
        world.violate(Property::AChildFollowsItsParent, || {
            format!("{record} waits on although what it depends on came")
        });
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
    world.get().worker_died();
    subject.restart();
}

fn replay(world: &Shared, subject: &mut dyn Subject) {
    let dead = subject.standing().dead;
    world.get().replayed(&dead);
    subject.replay();
}

/// Nothing fails any more, but one record that is poisoned stays so, and what never came to the destination does not come: everything else
/// arrives.
fn heal(world: &Shared, subject: &mut dyn Subject) -> Result<(), Violation> {
    while subject.finish(false) {}
    let (poisoned, deletes_are_busy) = {
        let mut world = world.get();
        let deletes_are_busy = world.vendor.ends_outage();
        for cured in world.vendor.poisoned().iter().skip(1) {
            world.vendor.poison(cured, Poison::Cured);
        }
        (world.vendor.poisoned(), deletes_are_busy)
    };
    // A worker that lost its store learns again of what others depend on.
    for parent in 0..PARENTS {
        if world.get().vendor.parents.has(parent) {
            subject.parent(parent, true);
        }
    }
    // What was not read, or dropped, is not read again by looking back.
    for _ in 0..2 {
        subject.pass(30);
        read_all(world, subject);
    }
    if deletes_are_busy {
        writes_pass(&poisoned, world, subject)?;
    }
    // Some people wait for what comes by itself before they replay anything, and others do not.
    if world.get().means.waits_for_what_comes() {
        own_chances(&poisoned, world, subject)?;
    }
    replay(world, subject);
    let mut others = None;
    for round in 0..ROUNDS {
        if !poisoned.is_empty() {
            // Only while others pass can it be known that it is the record's own doing.
            others = change_another(&poisoned, round, world, subject);
        }
        // The window that was open ends before what changed since it began.
        for _ in 0..2 {
            read_all(world, subject);
        }
        carry_all(world, subject)?;
        let standing = subject.standing();
        if standing.waiting.iter().all(|record| world.get().lacks_its_parent(record)) {
            // A letter of a key that is held stays one: nothing of its key may pass what is held.
            if standing.dead.iter().all(|record| poisoned.contains(record) || standing.held.contains(record)) {
                break;
            }
            replay(world, subject);
        }
        subject.pass(7);
    }
    ended(&poisoned, others.is_some(), world, subject)
}

/// Reads to the end of the window, and sends word of what there is no list of.
fn read_all(world: &Shared, subject: &mut dyn Subject) {
    while !subject.read(false) {}
    let untold = world.get().untold();
    for state in untold {
        subject.hint(state);
    }
}

/// Nobody replays what was set aside: what came in later arrives all the same.
fn own_chances(poisoned: &BTreeSet<String>, world: &Shared, subject: &mut dyn Subject) -> Result<(), Violation> {
    let mut standing = Standing::default();
    for _ in 0..ROUNDS {
        carry_all(world, subject)?;
        standing = subject.standing();
        let excused = |record: &String| poisoned.contains(record) || world.get().lacks_its_parent(record);
        if standing.waiting.iter().all(excused) {
            break;
        }
        subject.pass(7);
    }
    let mut world = world.get();
    let excused = poisoned.iter().chain(&standing.waiting).chain(&standing.held).cloned().collect();
    world.have_own_chances(&excused);
    world.judge()
}

/// Deletes are answered that they are to come later; whatever never was to be deleted arrives meanwhile.
fn writes_pass(poisoned: &BTreeSet<String>, world: &Shared, subject: &mut dyn Subject) -> Result<(), Violation> {
    for _ in 0..BUSY_ROUNDS {
        carry_all(world, subject)?;
        subject.pass(7);
    }
    let standing = subject.standing();
    let mut world = world.get();
    let means = world.means;
    let waits = standing.waiting.iter().find(|record| {
        let deletes = |state: &State| state.content.is_none() || state.is_out();
        let is_deleted = record.parse().is_ok_and(|key| world.source.was_ever(key, deletes));
        !is_deleted && !poisoned.contains(*record) && !world.lacks_its_parent(record)
    });
    // One that shares a call with a poisoned one waits for that one's sake.
    let shares = means.batch > 1 && !poisoned.is_empty();
    let waits = waits.cloned().filter(|_| means.can_always_know() && !shares);
    if let Some(record) = waits {
        world.violate(Property::OneOperationNeverBlocksAnother, || format!("{record} waits until deletes pass"));
    }
    world.vendor.outage(Outage::Over);
    world.judge()
}

/// Changes a record that can pass, if there is one: writes of others pass, and deletes.
fn change_another(poisoned: &BTreeSet<String>, round: u32, world: &Shared, subject: &mut dyn Subject) -> Option<u8> {
    let held = subject.standing().held;
    let mut world = world.get();
    let passes = |key: &u8| {
        let record = key.to_string();
        !poisoned.contains(&record) && !held.contains(&record) && !world.lacks_its_parent(&record)
    };
    let key = (0..KEYS).find(passes)?;
    let time = world.source_now();
    let content = [Some(1), None, Some(0)][round as usize % 3];
    world.source.change(key, content, time);
    Some(key)
}

/// Carries what is due.
fn carry_all(world: &Shared, subject: &mut dyn Subject) -> Result<(), Violation> {
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
    Ok(())
}

/// What must be true in the end. `others_passed` says that it could be known that the poisoned record is to blame.
fn ended(
    poisoned: &BTreeSet<String>,
    others_passed: bool,
    world: &Shared,
    subject: &mut dyn Subject,
) -> Result<(), Violation> {
    let standing = subject.standing();
    let mut world = world.get();
    world.judge()?;
    for record in &standing.held {
        if world.means.look_up {
            world.violate(Property::WhatCanBeKnownIsNeverHeld, || format!("{record} is held and could be looked up"));
        }
    }
    let lacking: BTreeSet<String> =
        (0..KEYS).map(|key| key.to_string()).filter(|key| world.lacks_its_parent(key)).collect();
    for record in standing.waiting.difference(&lacking) {
        if poisoned.contains(record) {
            if others_passed {
                world.violate(Property::APoisonedRecordIsSetAside, || format!("{record} is tried for ever"));
            }
        } else if poisoned.is_empty() && standing.awaiting.is_empty() {
            world.violate(Property::NothingAcknowledgedIsLost, || format!("{record} waits for ever"));
        } else {
            world.violate(Property::OnePoisonedKeyNeverBlocksAnother, || format!("{record} waits for ever"));
        }
    }
    let excused = standing.held.iter().chain(poisoned).chain(&lacking).cloned().collect();
    world.ended(&excused);
    world.judge()
}
