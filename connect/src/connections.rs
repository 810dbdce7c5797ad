//! How many requests are under way at the same moment, with a limit that can change while they are.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places for requests under way, given out in the order they were asked for.
#[derive(Debug)]
pub struct Connections {
    places: Arc<Semaphore>,
    ledger: Arc<Mutex<Ledger>>,
}

#[derive(Debug)]
struct Ledger {
    limit: usize,
    /// Places to be taken away as soon as those who have them leave.
    owed: usize,
}

/// A place; given back when dropped.
#[derive(Debug)]
pub struct Place {
    permit: Option<OwnedSemaphorePermit>,
    ledger: Arc<Mutex<Ledger>>,
}

impl Connections {
    /// As many places as `limit`, at least one.
    pub fn new(limit: u32) -> Self {
        let limit = bounded(limit);
        Self { places: Arc::new(Semaphore::new(limit)), ledger: Arc::new(Mutex::new(Ledger { limit, owed: 0 })) }
    }

    /// Changes the limit. Requests under way are left alone; a lower limit holds from when enough of them are over.
    pub fn set_limit(&self, limit: u32) {
        let limit = bounded(limit);
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        if limit < ledger.limit {
            let fewer = ledger.limit - limit;
            ledger.owed += fewer - self.places.forget_permits(fewer);
        } else {
            let more = limit - ledger.limit;
            let kept = more.min(ledger.owed);
            ledger.owed -= kept;
            self.places.add_permits(more - kept);
        }
        ledger.limit = limit;
    }

    /// Waits for a place. Dropping the future gives up the turn and nothing else.
    pub async fn place(&self) -> Option<Place> {
        let permit = Arc::clone(&self.places).acquire_owned().await.ok()?;
        Some(Place { permit: Some(permit), ledger: Arc::clone(&self.ledger) })
    }
}

fn bounded(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS)
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        if ledger.owed > 0
            && let Some(permit) = self.permit.take()
        {
            ledger.owed -= 1;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn try_place(connections: &Connections) -> Option<Place> {
        connections.place().now_or_never().flatten()
    }

    #[test]
    fn a_lower_limit_holds_once_enough_requests_are_over() {
        let connections = Connections::new(3);
        let mut places: Vec<Place> = (0..3).map(|_| try_place(&connections).unwrap()).collect();
        connections.set_limit(1);
        places.pop();
        assert!(try_place(&connections).is_none(), "two are still under way, one is allowed");
        places.pop();
        assert!(try_place(&connections).is_none());
        places.pop();
        let only = try_place(&connections);
        assert!(only.is_some() && try_place(&connections).is_none());
    }

    #[test]
    fn a_limit_that_is_raised_again_pays_what_was_owed_first() {
        let connections = Connections::new(4);
        let places: Vec<Place> = (0..4).map(|_| try_place(&connections).unwrap()).collect();
        connections.set_limit(1);
        connections.set_limit(5);
        let fifth = try_place(&connections);
        assert!(fifth.is_some() && try_place(&connections).is_none());
        drop((places, fifth));
        let all: Vec<Place> = (0..5).map(|_| try_place(&connections).unwrap()).collect();
        assert!(try_place(&connections).is_none(), "{}", all.len());
    }

    #[test]
    fn there_is_always_one_place() {
        let connections = Connections::new(0);
        assert!(try_place(&connections).is_some());
        connections.set_limit(u32::MAX);
        assert!(try_place(&connections).is_some());
    }
}
