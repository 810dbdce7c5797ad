//! The control API: how a test prepares an instance, makes it fail, and reads what it saw.
//!
//! [`Client`] is what tests use; the routes it calls are in `routes` and `records`. Their JSON is in [`crate::wire`].

mod client;
mod records;
pub(crate) mod routes;

pub use client::{Client, ControlError};
