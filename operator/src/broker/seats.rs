//! How many errands are at a call at the same moment. A seat is taken for calls and left while something is waited for, and no namespace has more
//! than a part of them: whose calls fail, or are never answered, holds up itself only.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many there are.
const ALL: usize = 64;
/// How many of them one namespace has at the most.
const OF_ONE: usize = 16;

/// The seats.
pub struct Seats {
    all: Arc<Semaphore>,
    /// The parts of those namespaces that have, or wait for, a seat.
    parts: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// A seat that was taken; dropping it leaves it. Nobody closes what the permits are of, so that there always are two.
pub struct Seat {
    _part: Option<OwnedSemaphorePermit>,
    _all: Option<OwnedSemaphorePermit>,
}

impl Default for Seats {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(ALL)), parts: Mutex::default() }
    }
}

impl Seats {
    /// Waits for a seat. Who waits for one of the namespace's part keeps none from others.
    pub async fn take(&self, namespace: &str) -> Seat {
        let part = self.part(namespace).acquire_owned().await.ok();
        let all = self.all.clone().acquire_owned().await.ok();
        Seat { _part: part, _all: all }
    }

    fn part(&self, namespace: &str) -> Arc<Semaphore> {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.retain(|_, part| part.strong_count() > 0);
        if let Some(part) = parts.get(namespace).and_then(Weak::upgrade) {
            return part;
        }
        let part = Arc::new(Semaphore::new(OF_ONE));
        parts.insert(namespace.to_owned(), Arc::downgrade(&part));
        part
    }
}

#[cfg(test)]
#[path = "seats_tests.rs"]
mod tests;
