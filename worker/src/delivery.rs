//! Delivery: takes records from the queue and writes them to the destination. What is to be done is decided in the engine; `want` finds out what is
//! wanted of a record, `evaluate` maps with what `look_ups` read of other records, `decide` asks the engine what is to be done,
//! `carry` does it for one record and `batch` for several in one call, each past the gate as in `passage`, `conclude` stores what became of them, `run` hands records out, and `answers` says in the protocol's
//! terms what the vendor's client answered.

mod answers;
mod batch;
mod carry;
mod conclude;
mod decide;
mod evaluate;
mod look_ups;
mod passage;
mod run;
mod want;

#[cfg(test)]
mod model;

pub use look_ups::LookUps;
pub use run::run;
