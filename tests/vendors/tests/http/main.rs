//! The simulator over real connections: one module a dialect, one for what all of them share.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail loudly")]

mod control;
mod crm;
mod faults;
mod fixture;
mod generic;
mod klaviyo;
mod mailchimp;
mod netsuite;
mod netsuite_paging;
mod netsuite_suiteql;
mod oauth1;
mod oauth2;
mod program;
mod salesforce;
mod sap;
mod shopify;
mod shopify_graphql;
mod shopify_listing;
mod stripe;
mod support;
