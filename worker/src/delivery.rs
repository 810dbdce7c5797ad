//! Delivery: takes records from the queue and writes them to the destination. What is to be done is decided in the engine; `want` finds out what is
//! wanted of a record, `evaluate` maps with what `look_ups` read of other records, `carry` does it for one record, `run` hands records out, and `answers` says in the protocol's
//! terms what the vendor's client answered.

mod answers;
mod carry;
mod evaluate;
mod look_ups;
mod run;
mod want;

#[cfg(test)]
mod model;

pub use look_ups::LookUps;
pub use run::run;
