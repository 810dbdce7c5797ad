//! The simulator over real connections: one module a dialect, one for what all of them share.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail loudly")]

mod control;
mod crm;
mod faults;
mod fixture;
mod netsuite;
mod netsuite_paging;
mod oauth1;
mod program;
mod salesforce;
mod shopify;
mod shopify_listing;
mod support;
