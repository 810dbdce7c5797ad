//! The worker's process is killed at moments nobody chose, while the vendor fails and records change, and nothing is lost, nothing is applied
//! twice and nothing goes backwards: by whatever it can be known that a write took effect, one by one and in batches. `CROSSTIE_KILLS` and
//! `CROSSTIE_RECORDS` set the size, `CROSSTIE_WEBHOOKS` and `CROSSTIE_WEBHOOK_KILLS` that of what webhooks bring; `make soak` runs the full one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../histories/clock.rs"]
#[allow(dead_code, reason = "histories use all of it")]
mod clock;
#[path = "../common/mod.rs"]
mod common;
mod history;
mod keyed;
mod looked_up;
mod rest;
mod trial;
mod unknown;
mod webhooks;
