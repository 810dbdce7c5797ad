//! Delivery: takes records from the queue and writes them to the destination. `decide` says what is to be done (pure), `evaluate` maps,
//! `carry` does it for one record, `run` hands records out.

mod carry;
mod decide;
mod evaluate;
mod run;

#[cfg(test)]
mod model;

pub use decide::{Terms, Weather};
pub use run::run;
