//! What can happen to the delivery protocol: histories made of plain steps, the world they play in (a source, a vendor, a clock), and what
//! must be true of that world whatever happens. Test code only; it knows nothing of Crosstie's own crates, so that each of them can play the
//! same histories: the engine's decisions over a model of the disk, and the worker's real store and delivery.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

mod call;
mod check;
mod history;
mod outage;
mod parents;
mod play;
mod property;
mod source;
mod strategy;
mod vendor;
mod world;

pub use call::{BatchAnswer, LookUpAnswer, Message, WriteAnswer};
pub use check::{Bounds, check, fewest_steps, first_failure, known};
pub use history::{End, Fetch, Flight, History, Look, Means, OnWhenFalse, Outage, Poison, Shows, Step, Write};
pub use outage::an_hours_outage;
pub use play::{Begun, Standing, Subject, play};
pub use property::{Property, Violation};
pub use source::{FetchAnswer, Source, State};
pub use strategy::history;
pub use vendor::Vendor;
pub use world::{
    FLIGHT_SECONDS, KEYS, LOOKBACK_SECONDS, PAGE, PARENTS, RETRIES, SETTLE_SECONDS, Shared, WINDOW_SECONDS, World,
};
