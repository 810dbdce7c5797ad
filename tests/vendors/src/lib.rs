//! A simulator of the vendors that Crosstie talks to: one HTTP server that speaks their dialects, holds state, counts
//! what it received, and fails on request.
//!
//! A vendor's own paths live under `/{vendor}/{instance}/…`, the control API under `/_control/{vendor}/{instance}/…`.
//! Every (vendor, instance) pair has state of its own, created on first use. To add a vendor, write one module with a
//! `vendor::Vendor` and add one line to `vendor::REGISTRY`; everything shared (authentication, faults, limits,
//! counting, versions) comes with it, and `dialect` has what dialects are made of.
//!
//! Nothing of Crosstie itself may be imported here: a simulator that shares code with what it tests proves nothing.

pub mod control;
mod dialect;
mod dispatch;
mod fault;
mod generic;
mod hubspot;
mod instance;
mod intercom;
mod jira;
mod klaviyo;
mod ledger;
mod limit;
mod line;
mod mailchimp;
mod merge;
mod message;
mod netsuite;
mod oauth2;
mod pages;
mod random;
mod salesforce;
mod sap;
mod server;
mod shopify;
pub mod sign;
mod slack;
mod store;
mod stripe;
mod tokens;
mod traffic;
mod transmit;
mod vendor;
pub mod wire;
mod zendesk;

pub use server::{Simulator, serve};
