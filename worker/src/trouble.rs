//! What is wrong with the store at the moment, shared by everyone who uses it; and how a change that has to be stored is insisted on.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use crate::store::{Answer, StoreError};

/// How long is waited before a store that failed is asked again.
pub const PAUSE: Duration = Duration::from_secs(1);
/// How long after its last failure a store is still said to fail, though it did other things meanwhile: what fails is asked again each
/// [`PAUSE`], and a flow whose records cannot be claimed must not look well because its figures can be read.
const QUIET: Duration = Duration::from_secs(5);
/// How often it is looked whether it still fails.
const LOOK: Duration = Duration::from_millis(100);

/// The last failures of the store, each until the same kind of use succeeded again and none failed for [`QUIET`]: a full disk can still be read.
#[derive(Debug, Default)]
pub struct StoreTrouble(Mutex<Failed>);

#[derive(Debug, Default)]
struct Failed {
    change: Option<Failure>,
    look: Option<Failure>,
}

#[derive(Debug)]
struct Failure {
    message: String,
    /// Since when nothing of its kind succeeded.
    since: Instant,
    last: Instant,
    /// Whether something of its kind succeeded after the last failure.
    healed: bool,
}

impl Failure {
    fn is_over(&self) -> bool {
        self.healed && self.last.elapsed() >= QUIET
    }
}

impl StoreTrouble {
    /// What is wrong, in words.
    pub fn message(&self) -> Option<String> {
        let failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let present = [&failed.change, &failed.look].into_iter().flatten().find(|failure| !failure.is_over());
        present.map(|failure| failure.message.clone())
    }

    /// Completes once changes have failed for so long, beginning now at the earliest.
    pub async fn lasts(&self, long: Duration) {
        let failing_for = || {
            let failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            failed.change.as_ref().filter(|failure| !failure.healed).map(|failure| failure.since.elapsed())
        };
        sleep(long).await;
        while failing_for().is_none_or(|since| since < long) {
            sleep(LOOK).await;
        }
    }

    /// Takes note of what the store answered to a change, and passes it on.
    pub fn changed<T>(&self, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        note(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).change, answer)
    }

    /// Takes note of what the store answered to a look, and passes it on.
    pub fn looked<T>(&self, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        note(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).look, answer)
    }

    /// Asks until the store has done it; only a store that is closed ends this. For changes that must not be lost while the process lives.
    pub async fn insist<'a, T>(&self, ask: impl Fn() -> Answer<'a, T>) -> Result<T, StoreError> {
        loop {
            match self.changed(ask().await) {
                Err(StoreError::Closed) => return Err(StoreError::Closed),
                Err(_) => sleep(PAUSE).await,
                Ok(done) => return Ok(done),
            }
        }
    }
}

fn note<T>(failure: &mut Option<Failure>, answer: Result<T, StoreError>) -> Result<T, StoreError> {
    match &answer {
        Ok(_) => {
            if let Some(before) = failure {
                before.healed = true;
                if before.is_over() {
                    *failure = None;
                    tracing::info!("the store works again");
                }
            }
        }
        // Closing is part of a stop, and an undone change was not the one that failed.
        Err(StoreError::Closed | StoreError::Undone) => {}
        Err(error) => {
            let source = std::error::Error::source(error).map(tracing::field::display);
            tracing::error!(%error, source, "the store failed");
            let now = Instant::now();
            let since = failure.as_ref().filter(|before| !before.healed).map_or(now, |before| before.since);
            *failure = Some(Failure { message: error.to_string(), since, last: now, healed: false });
        }
    }
    answer
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_change_is_asked_for_until_it_is_done_and_the_trouble_is_known_meanwhile() {
        let trouble = StoreTrouble::default();
        let asked = AtomicU32::new(0);
        let done = trouble.insist(|| {
            let number = asked.fetch_add(1, Ordering::SeqCst);
            assert_eq!(trouble.message().is_some(), number > 0);
            let answer = if number < 3 { Err(StoreError::Unreadable { what: "scope" }) } else { Ok(number) };
            Box::pin(async move { answer })
        });
        assert!(matches!(done.await, Ok(3)));
        sleep(QUIET).await;
        assert_eq!(trouble.message(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_succeeds_between_does_not_hide_that_something_of_its_kind_fails_each_time() {
        let trouble = StoreTrouble::default();
        for _ in 0..20 {
            assert!(trouble.looked(Err::<(), _>(StoreError::Unreadable { what: "record" })).is_err());
            assert!(trouble.looked(Ok(())).is_ok());
            assert!(trouble.message().is_some());
            sleep(PAUSE).await;
            assert!(trouble.looked(Ok(())).is_ok());
            assert!(trouble.message().is_some());
        }
        sleep(QUIET).await;
        assert_eq!(trouble.message(), None, "it is over although nothing was asked since");
    }

    #[tokio::test(start_paused = true)]
    async fn that_changes_fail_for_long_is_known_only_while_they_do() {
        let trouble = StoreTrouble::default();
        let failed = || Err::<(), _>(StoreError::Unreadable { what: "scope" });
        let long = Duration::from_secs(2);
        let waited = async |hours| tokio::time::timeout(Duration::from_hours(hours), trouble.lasts(long)).await.is_ok();
        assert!(!waited(1).await, "nothing fails");
        assert!(trouble.changed(failed()).is_err());
        assert!(waited(1).await);
        assert!(trouble.changed(Ok(())).is_ok());
        assert!(!waited(1).await, "it works again");
    }

    #[tokio::test]
    async fn a_closed_store_ends_the_asking() {
        let trouble = StoreTrouble::default();
        let ended = trouble.insist(|| Box::pin(async { Err::<(), _>(StoreError::Closed) })).await;
        assert!(matches!(ended, Err(StoreError::Closed)));
        assert_eq!(trouble.message(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_succeeds_does_not_hide_that_changes_fail() {
        let trouble = StoreTrouble::default();
        let failed = || Err::<(), _>(StoreError::Unreadable { what: "scope" });
        assert!(trouble.changed(failed()).is_err());
        sleep(QUIET).await;
        assert!(trouble.looked(Ok(())).is_ok());
        assert!(trouble.message().is_some());
        assert!(trouble.changed(Ok(())).is_ok());
        assert_eq!(trouble.message(), None);
    }
}
