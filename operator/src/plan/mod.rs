//! From what was observed to what should be: pure, and it cannot fail. Problems become conditions, wishes become steps that leave
//! nothing to decide. No client, no clock, no randomness here.

pub mod account;
pub mod age;
pub mod conditions;
pub mod connector;
pub mod credentials;
pub mod diagnosis;
pub mod figures;
pub mod health;
pub mod in_force;
pub mod integration;
pub mod lifecycle;
pub mod nudge;
pub mod objects;
pub mod rotation;
pub mod seen;
pub mod shares;
pub mod state;
pub mod tokens;
pub mod trouble;
pub mod verification;

use objects::{Object, ObjectKind};

/// One thing to do, in full: carrying it out makes no choices.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Make an object be like this, unless it was made so before and still is.
    Apply(Object),
    /// Delete an object that is no longer wanted.
    Delete {
        /// Its kind.
        kind: ObjectKind,
        /// Its name.
        name: String,
    },
    /// Change how many workers run and nothing else, where the rest of the Deployment must stay as it is.
    Scale {
        /// The Deployment.
        deployment: String,
        /// How many.
        replicas: i32,
    },
    /// Annotate a pod, so that its kubelet refreshes mounted files at once.
    Nudge {
        /// The pod.
        pod: String,
        /// The annotation's value.
        value: String,
    },
    /// Remove the entry of a pod that is gone from the SyncReport.
    Forget {
        /// The SyncReport.
        report: String,
        /// Place of the entry in the list.
        index: usize,
        /// The pod.
        pod: String,
    },
}
