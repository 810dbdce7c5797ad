//! The worker: loops around one store that move records from one system to another and can die at any time.
//!
//! [`Worker::start`] runs one from mounted files and a state folder. Inside, the `supervisor` keeps the right crew at work; a `crew` is the
//! loops of one plan: `intake` reads into the store, `delivery` writes from it. The `report` says how it goes, `alerts` tell people
//! when it does not.

mod admin;
mod alerts;
mod board;
mod calls;
mod crew;
mod delivery;
mod destination;
mod files;
mod gate;
mod gates;
mod intake;
mod lane;
mod letters;
mod metrics;
mod options;
mod pairs;
mod problems;
mod receiver;
mod report;
mod resync;
mod serve;
mod singles;
mod slots;
pub mod store;
mod supervisor;
mod trouble;
mod waiting;
mod worker;

pub use letters::{Letters, NotReplayed};
pub use options::{LogFormat, Options};
pub use report::ReportTarget;
pub use worker::{Settings, StartError, Worker};
