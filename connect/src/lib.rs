//! Talking to one vendor. A [`VendorClient`] reads pages and single records, writes records and batches of them, and looks records up; every request passes the same layers, whose
//! order is decided in `stack`: egress guard, authentication, throttle, accounting, classification, observation, transport.
//!
//! What a call came to is always one of a few named outcomes, because the delivery protocol has to know whether a write surely was applied,
//! surely was not, or may have been. Nothing is retried here, except that a request the vendor refused for its credentials is sent again
//! with the other version of them. No Kubernetes and no storage live here.

mod account;
mod address;
mod alert;
mod ask;
mod auth;
mod batch;
mod body;
mod bucket;
mod cache;
mod call;
mod classify;
mod client;
mod clock;
mod connections;
mod credentials;
mod csrf;
mod document;
mod egress;
mod failure;
mod follow;
mod found;
#[cfg(feature = "grants")]
pub mod grants;
mod guard;
mod hear;
mod identity;
mod job;
mod lifecycle;
mod link;
mod look_up;
mod meaning;
mod observe;
mod one;
mod outcome;
mod pace;
mod page;
mod quota;
mod reading;
mod resolve;
mod response;
mod select;
mod sign;
mod signals;
mod stack;
mod surroundings;
mod target;
mod throttle;
mod tls;
mod transport;
mod write;
mod writing;
mod xml;

#[cfg(test)]
mod testing;

pub use alert::Messenger;
pub use client::VendorClient;
pub use clock::{Clock, SystemClock};
pub use credentials::{CredentialReport, CredentialStore, Version as CredentialValues};
pub use egress::EgressRefusal;
pub use failure::{BuildError, CallFailure, FailureKind};
pub use observe::{CacheUse, CallRecord, JudgedCall, Judgement, Observer, Purpose, Silent};
pub use outcome::{LookedUp, Outgoing, Page, RecordFault, Row, Written, WrittenBatch};
pub use resolve::{Names, Resolving, SystemNames};
pub use surroundings::{LONGEST_REQUEST, Surroundings, Timeouts, longest_call};
pub use throttle::LONGEST_WAIT;
pub use tls::Authorities;
