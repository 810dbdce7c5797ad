//! Push, beside the sweep and never instead of it: messages of a queue say which secret changed, and it is read at once. A message is deleted only
//! after what was read stands in the status of every Connector that uses the secret; whatever ends before that, an operator as well, leaves the
//! message in the queue, which shows it again.

use std::{collections::BTreeSet, future::Future, sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    SecretKey,
    event::{self, Poison},
    secrets::{Secrets, Word},
};
use crate::telemetry::Metrics;

/// How many messages are worked on at the most.
const MOST_MESSAGES: usize = 500;
/// How often it is looked whether everybody was told.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Wait after the queue could not be read; it doubles with each further time.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest such wait.
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// A message, as long as it is not deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// By which the queue knows it.
    pub receipt: String,
    /// What it says.
    pub body: String,
}

/// Why a queue could not be asked. One sentence.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct QueueFault(pub String);

/// Something that keeps messages until they are deleted.
pub trait Queue: Send + Sync + 'static {
    /// Waits a while for messages. They are hidden from others for as long as [`Queue::hidden`] says, and come again unless they are deleted.
    fn receive(&self) -> impl Future<Output = Result<Vec<Message>, QueueFault>> + Send;

    /// Deletes a message.
    fn delete(&self, receipt: &str) -> impl Future<Output = Result<(), QueueFault>> + Send;

    /// Puts a message that nobody can understand out of the way, without deleting it.
    fn set_aside(&self, receipt: &str) -> impl Future<Output = Result<(), QueueFault>> + Send;

    /// How long a message is hidden after it was received.
    fn hidden(&self) -> Duration;

    /// Region of secrets whose key names none.
    fn region(&self) -> impl Future<Output = Option<String>> + Send;
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Everybody was told, and it was deleted.
    Told,
    /// It concerned nobody, and was deleted.
    OfNoConcern,
    /// It cannot be understood, and was set aside.
    Poison,
    /// It could not be finished in time, and comes again.
    ComesAgain,
}

impl Fate {
    /// The word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Told => "told",
            Self::OfNoConcern => "of_no_concern",
            Self::Poison => "poison",
            Self::ComesAgain => "comes_again",
        }
    }
}

/// What the loop needs to know.
pub struct Push<Q, U, T> {
    /// The queue.
    pub queue: Q,
    /// What is known of secrets, and who has them read.
    pub secrets: Arc<Secrets>,
    /// The secrets that Connectors use now and are allowed to.
    pub used: U,
    /// Whether what is known of a secret was written into the status of every Connector that uses it.
    pub told: T,
    /// Where fates are counted.
    pub metrics: Metrics,
}

impl<Q, U, T> Push<Q, U, T>
where
    Q: Queue,
    U: Fn() -> BTreeSet<SecretKey> + Send + Sync,
    T: Fn(&SecretKey) -> bool + Send + Sync,
{
    /// Runs until it is stopped. Messages that are being worked on then come again.
    pub async fn run(self, stop: CancellationToken) {
        let region = self.queue.region().await;
        let mut work = FuturesUnordered::new();
        let mut failures = 0_u32;
        loop {
            // While too many are being worked on, no more are taken.
            let room = work.len() < MOST_MESSAGES;
            let receive = self.receive(failures);
            tokio::pin!(receive);
            let received = loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    received = &mut receive, if room => break Some(received),
                    Some(fate) = work.next(), if !work.is_empty() => {
                        self.count(fate);
                        if !room {
                            break None;
                        }
                    }
                }
            };
            match received {
                None => {}
                Some(Ok(messages)) => {
                    failures = 0;
                    work.extend(messages.into_iter().map(|message| self.handle(message, region.as_deref())));
                }
                Some(Err(fault)) => {
                    failures = failures.saturating_add(1);
                    tracing::warn!("{fault}; it is tried again, and the sweep finds changes meanwhile");
                }
            }
        }
    }

    /// Asks the queue, after a wait when it failed before.
    async fn receive(&self, failures: u32) -> Result<Vec<Message>, QueueFault> {
        if failures > 0 {
            sleep(retry(failures)).await;
        }
        self.queue.receive().await
    }

    fn count(&self, fate: Fate) {
        self.metrics.queue_message(fate.as_str());
    }

    /// Works on one message to its end.
    async fn handle(&self, message: Message, region: Option<&str>) -> Fate {
        let begun = Instant::now();
        let changed = match event::read(&message.body) {
            Ok(Some(changed)) => changed,
            Ok(None) => return self.delete(&message, Fate::OfNoConcern).await,
            Err(poison) => return self.set_aside(&message, poison).await,
        };
        let concerned: Vec<SecretKey> = (self.used)().into_iter().filter(|key| changed.concerns(key, region)).collect();
        if concerned.is_empty() {
            return self.delete(&message, Fate::OfNoConcern).await;
        }
        let mut open: Vec<(SecretKey, Word)> = concerned
            .into_iter()
            .map(|key| {
                let word = self.secrets.hurry(&key);
                (key, word)
            })
            .collect();
        // Whatever takes longer than the message is hidden comes again anyway; a margin for deleting it is left.
        let patience = self.queue.hidden().mul_f64(0.8);
        while begun.elapsed() < patience {
            open.retain(|(key, word)| !self.is_done(key, *word));
            if open.is_empty() {
                return self.delete(&message, Fate::Told).await;
            }
            sleep(LOOK_AGAIN).await;
        }
        Fate::ComesAgain
    }

    /// Whether a secret was read after this word of its change and everybody was told. One that nobody uses any more never is: its message comes
    /// again, and concerns nobody then.
    fn is_done(&self, key: &SecretKey, word: Word) -> bool {
        self.secrets.answers(key, word) && (self.told)(key)
    }

    async fn delete(&self, message: &Message, fate: Fate) -> Fate {
        match self.queue.delete(&message.receipt).await {
            Ok(()) => fate,
            Err(fault) => {
                tracing::warn!("{fault}; the message comes again");
                Fate::ComesAgain
            }
        }
    }

    async fn set_aside(&self, message: &Message, poison: Poison) -> Fate {
        tracing::warn!(
            "a message of the queue cannot be understood: {poison}; it is set aside, for the queue's own dead letters or until it ends"
        );
        if let Err(fault) = self.queue.set_aside(&message.receipt).await {
            tracing::warn!("{fault}; the message comes again soon");
        }
        Fate::Poison
    }
}

fn retry(failures: u32) -> Duration {
    FIRST_RETRY.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LONGEST_RETRY)
}

#[cfg(test)]
#[path = "push_tests.rs"]
mod tests;
