//! What a client is given beside its system: clock, observer, names, authorities, proxy, and its patience. The defaults are right for production.

use std::{sync::Arc, time::Duration};

use crosstie_engine::{
    plan::{Operation, System},
    proxy::Proxy,
};

use crate::{
    auth,
    clock::{Clock, SystemClock},
    observe::{Observer, Silent},
    resolve::{Names, SystemNames},
    throttle,
    tls::Authorities,
};

/// How long is waited for a vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection: resolving, TCP and TLS together. 5 s.
    pub connect: Duration,
    /// For the head of the answer, from the beginning: 20 s.
    pub first_byte: Duration,
    /// For a request as a whole, from the connection to the end of the answer. 30 s.
    pub whole: Duration,
}

impl Timeouts {
    const STANDARD: Self =
        Self { connect: Duration::from_secs(5), first_byte: Duration::from_secs(20), whole: Duration::from_secs(30) };
}

impl Default for Timeouts {
    fn default() -> Self {
        Self::STANDARD
    }
}

/// The longest a single write or look-up can be under way with the default timeouts, from the call of the method to the last instant at which a
/// request of it could still reach the vendor: two tries, each after the longest wait for its turn. What is to be safe within a window of
/// the vendor's has to begin so much earlier.
pub const LONGEST_REQUEST: Duration =
    (throttle::LONGEST_WAIT.saturating_add(Timeouts::STANDARD.whole)).saturating_mul(auth::TRIES);

/// The longest a write by an operation can be under way: it may look for the record before, which takes no longer than one request in all, and fetch
/// a token, twice, with a request that is turned away in between. A job that is followed changes nothing: its request left at the beginning.
pub fn longest_call(system: &System, operation: &Operation) -> Duration {
    let looks = u32::from(operation.find.is_some() || operation.if_match.is_some());
    let tokens = if system.csrf.is_some() { 3 } else { 0 };
    LONGEST_REQUEST.saturating_mul(1 + looks + tokens)
}

/// What a client is given beside its system.
#[derive(Clone)]
pub struct Surroundings {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Is told of every request.
    pub observer: Arc<dyn Observer>,
    /// Knows the addresses of hosts.
    pub names: Arc<dyn Names>,
    /// Whom certificates are verified by.
    pub authorities: Authorities,
    /// What requests by https leave through; directly when there is none.
    pub proxy: Option<Proxy>,
    /// How long is waited.
    pub timeouts: Timeouts,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            observer: Arc::new(Silent),
            names: Arc::new(SystemNames),
            authorities: Authorities::Machine,
            proxy: None,
            timeouts: Timeouts::default(),
        }
    }
}
