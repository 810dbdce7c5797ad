//! What a worker and whoever wants a flow to be read again say to each other, as JSON over HTTP, on the same address and by the same right as
//! [`letters`](crate::letters): `POST /resync` with [`Ask`] is answered with [`Answer`]; anything else is a status with a sentence as text.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Which flows are to be read again, and from where on.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Ask {
    /// Names of flows; all of the Integration's when empty.
    pub flows: Vec<String>,
    /// From this time on, by the stream's cursor; everything there is without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
}

/// What became of each flow that was asked for.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The flows, in the order of the plan.
    pub flows: Vec<Begun>,
}

/// What became of a flow.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Its name.
    pub flow: String,
    /// Why it is not read again, in words; absent when it is, however often the worker dies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}
