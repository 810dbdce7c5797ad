//! The Crosstie operator. `plan` decides and is pure; `observe`, `apply`, `status`, `events`, `vault` and `broker` touch the world;
//! `controller` strings them together. Vendors' records never come here.

pub mod apply;
pub mod broker;
pub mod cache;
pub mod context;
pub mod controller;
pub mod events;
pub mod leader;
pub mod memory;
pub mod observe;
pub mod patience;
pub mod plan;
pub mod run;
pub mod settings;
pub mod status;
pub mod telemetry;
pub mod trigger;
pub mod vault;
