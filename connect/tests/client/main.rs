//! The client over real sockets: what a worker sees of vendors that behave, that misbehave, and that are not where they should be.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may fail loudly")]

mod batches;
mod bombs;
mod egress;
mod finding;
mod fixtures;
mod following;
mod grants;
mod mutual_tls;
mod nasty;
mod ones;
mod proxied;
mod reads;
mod rotation;
mod scripted;
mod tls;
mod writes;
