//! Slots: how many records may be on their way to one destination at the same moment. The flows to it take turns in the order they ask.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Slots whose number can change while they are in use.
#[derive(Debug)]
pub struct Slots {
    semaphore: Arc<Semaphore>,
    size: Mutex<Size>,
}

#[derive(Debug)]
struct Size {
    limit: usize,
    /// Slots in use that vanish when they are given back.
    surplus: usize,
}

/// One slot; given back when dropped.
#[derive(Debug)]
pub struct Slot {
    permit: Option<OwnedSemaphorePermit>,
    slots: Arc<Slots>,
}

impl Slots {
    /// So many slots; at least one.
    pub fn new(limit: usize) -> Arc<Self> {
        let limit = limit.max(1);
        Arc::new(Self { semaphore: Arc::new(Semaphore::new(limit)), size: Mutex::new(Size { limit, surplus: 0 }) })
    }

    /// Changes their number, at least one. Slots in use beyond it vanish as they are given back.
    pub fn set_limit(&self, limit: usize) {
        let limit = limit.max(1);
        let mut size = self.size.lock().unwrap_or_else(PoisonError::into_inner);
        if limit >= size.limit {
            let more = limit - size.limit;
            let forgiven = more.min(size.surplus);
            size.surplus -= forgiven;
            self.semaphore.add_permits(more - forgiven);
        } else {
            let fewer = size.limit - limit;
            size.surplus += fewer - self.semaphore.forget_permits(fewer);
        }
        size.limit = limit;
    }

    /// Waits for a slot.
    pub async fn take(self: &Arc<Self>) -> Slot {
        // The semaphore is never closed, so acquiring cannot fail; if it did, the slot would count for nothing.
        let permit = Arc::clone(&self.semaphore).acquire_owned().await.ok();
        Slot { permit, slots: Arc::clone(self) }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut size = self.slots.size.lock().unwrap_or_else(PoisonError::into_inner);
        if size.surplus > 0
            && let Some(permit) = self.permit.take()
        {
            size.surplus -= 1;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    /// Takes every slot that is free.
    fn all(slots: &Arc<Slots>) -> Vec<Slot> {
        std::iter::from_fn(|| slots.take().now_or_never()).collect()
    }

    #[test]
    fn no_more_slots_are_out_than_there_are() {
        let slots = Slots::new(3);
        let taken = all(&slots);
        assert_eq!(taken.len(), 3);
        drop(taken);
        assert_eq!(all(&slots).len(), 3);
    }

    #[test]
    fn fewer_slots_take_effect_as_those_in_use_come_back() {
        let slots = Slots::new(4);
        let mut taken = all(&slots);
        slots.set_limit(2);
        taken.truncate(2);
        assert!(all(&slots).is_empty(), "two are still out");
        taken.clear();
        assert_eq!(all(&slots).len(), 2);
    }

    #[test]
    fn more_slots_take_effect_at_once_also_after_fewer() {
        let slots = Slots::new(4);
        let taken = all(&slots);
        slots.set_limit(1);
        slots.set_limit(5);
        assert_eq!(all(&slots).len(), 1);
        drop(taken);
        assert_eq!(all(&slots).len(), 5);
    }

    #[test]
    fn there_is_always_one() {
        let slots = Slots::new(0);
        slots.set_limit(0);
        assert_eq!(all(&slots).len(), 1);
    }
}
