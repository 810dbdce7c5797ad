//! How long a watch waits before it is tried again. An API server begins to keep a kind in memory when it is asked for it for the first time, and
//! refuses watches until it does, which takes some hundredths of a second: 429 with `Retry-After: 1`, the shortest wait that header can name.
//! A watch that has just begun is therefore tried again sooner than the server asks, a few times and never again later.

use std::time::Duration;

use http::StatusCode;
use kube::runtime::{
    utils::Backoff,
    watcher::{self, DefaultBackoff},
};

/// Wait before the first try; each further quick one waits twice as long.
const FIRST: Duration = Duration::from_millis(10);
/// How many tries are quick, in the life of a watch: 10, 20, 40, 80, 160 and 320 ms.
const QUICK_TRIES: u32 = 6;

/// The waits of one watch: quick at first, then kube's own, which begin at 0.8 s and grow to half a minute.
#[derive(Default)]
pub struct Patience {
    quick_tries: u32,
    then: DefaultBackoff,
}

impl Iterator for Patience {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.quick_tries == QUICK_TRIES {
            return self.then.next();
        }
        let wait = FIRST * 2_u32.pow(self.quick_tries);
        self.quick_tries += 1;
        Some(wait)
    }
}

impl Backoff for Patience {
    /// Quick tries are not given back: a watch that is accepted and breaks off at once, again and again, would be tried without rest.
    fn reset(&mut self) {
        self.then.reset();
    }
}

/// Whether a watch could not begin because the API server is busy, or does not keep the kind in memory yet.
pub fn is_not_served_yet(error: &watcher::Error) -> bool {
    let (watcher::Error::InitialListFailed(cause) | watcher::Error::WatchStartFailed(cause)) = error else {
        return false;
    };
    matches!(cause, kube::Error::Api(status) if status.code == StatusCode::TOO_MANY_REQUESTS.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_is_quick_in_the_beginning_and_patient_ever_after() {
        let mut patience = Patience::default();
        let waits: Vec<u128> = (0..QUICK_TRIES).filter_map(|_| patience.next()).map(|wait| wait.as_millis()).collect();
        assert_eq!(waits, [10, 20, 40, 80, 160, 320]);
        for _ in 0..3 {
            assert!(patience.next().is_some_and(|wait| wait >= Duration::from_millis(800)));
            patience.reset();
        }
    }
}
