//! What the flows of one direction share: they read the same system and write to the same.

use std::sync::Arc;

use crosstie_engine::{
    plan::{Allowance, Direction, Plan, System},
    rate::Shares,
};

use crate::{delivery::LookUps, gates::Shelf, slots::Slots};

/// What the flows of one direction share.
pub struct Way {
    /// How many of their records may be on their way.
    pub slots: Arc<Slots>,
    /// What was looked up lately in the system they read.
    pub look_ups: Arc<LookUps>,
    /// Before their calls.
    pub gates: Shelf,
}

/// The ways of both directions.
pub struct Ways {
    forward: Way,
    reverse: Way,
}

impl Way {
    fn new(share: Allowance, gates: Option<Shelf>) -> Self {
        Self { slots: Slots::new(slots(share)), look_ups: Arc::default(), gates: gates.unwrap_or_default() }
    }
}

impl Ways {
    /// The ways under a plan. What is wrong with the systems is taken over from those before it, where they are the same.
    pub fn new(plan: &Plan, shares: &Shares, before: Option<(&Self, &Plan)>) -> Self {
        let (source, destination) = match before {
            Some((_, former)) => (former.source == plan.source, former.destination == plan.destination),
            None => (false, false),
        };
        let forward = before.map(|(ways, _)| ways.forward.gates.taken_over(source, destination));
        let reverse = before.map(|(ways, _)| ways.reverse.gates.taken_over(destination, source));
        Self { forward: Way::new(shares.destination, forward), reverse: Way::new(shares.source, reverse) }
    }

    /// The way of a direction.
    pub fn of(&mut self, direction: Direction) -> &mut Way {
        match direction {
            Direction::Forward => &mut self.forward,
            Direction::Reverse => &mut self.reverse,
        }
    }

    /// Takes on other shares.
    pub fn share(&self, shares: &Shares) {
        self.forward.slots.set_limit(slots(shares.destination));
        self.reverse.slots.set_limit(slots(shares.source));
    }
}

/// The systems that the flows of a direction read and write to.
pub fn ends(plan: &Plan, direction: Direction) -> (&System, &System) {
    match direction {
        Direction::Forward => (&plan.source, &plan.destination),
        Direction::Reverse => (&plan.destination, &plan.source),
    }
}

fn slots(share: Allowance) -> usize {
    usize::try_from(share.concurrency).unwrap_or(usize::MAX).min(1024)
}
