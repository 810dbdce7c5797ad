//! Delivery: takes records from the queue and writes them to the destination. What is to be done is decided in the engine. `run` hands records
//! out; `carry` carries one record through, and `batch` several in one call, past the gates as in `passage`; `decide` finds out what is to be
//! done, with what `want` finds out is wanted and `evaluate` maps, for which `look_ups` reads other records, and `look` what the destination has; `conclude` stores what became of
//! them, and `answers` says in the protocol's terms what the vendor's client answered. `pair` decides about
//! records that two flows carry to and fro, by what `twin` reads of the other one.

mod answers;
mod batch;
mod carry;
mod conclude;
mod decide;
mod evaluate;
mod look;
mod look_ups;
mod pair;
mod passage;
mod run;
mod twin;
mod want;

#[cfg(test)]
mod model;

pub use look_ups::{LookUps, Unanswered, fetch};
pub use run::run;
