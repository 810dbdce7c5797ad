//! Messages and what becomes of them, on a queue in memory.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use crosstie_crds::condition::Reason;

use super::*;
use crate::vault::{
    VaultFault,
    fetch::tests::{key, named},
    secrets::Ask,
};

const LABEL_UPDATED: &str = include_str!("../../tests/events/label-updated.json");

/// A queue that hides messages for a minute and shows them again.
#[derive(Clone, Default)]
struct Kept(Arc<State>);

#[derive(Default)]
struct State {
    messages: Mutex<Vec<(Message, Option<Instant>)>>,
    deleted: Mutex<Vec<String>>,
    aside: Mutex<Vec<String>>,
    away: AtomicU32,
}

impl Kept {
    fn put(&self, receipt: &str, body: &str) {
        let message = Message { receipt: receipt.into(), body: body.into() };
        self.0.messages.lock().unwrap().push((message, None));
    }

    fn deleted(&self) -> Vec<String> {
        self.0.deleted.lock().unwrap().clone()
    }
}

impl Queue for Kept {
    async fn receive(&self) -> Result<Vec<Message>, QueueFault> {
        sleep(Duration::from_millis(50)).await;
        if self.0.away.load(Ordering::Relaxed) > 0 {
            self.0.away.fetch_sub(1, Ordering::Relaxed);
            return Err(QueueFault("the queue is away".into()));
        }
        let (now, hidden) = (Instant::now(), self.hidden());
        let mut messages = self.0.messages.lock().unwrap();
        let shown = messages.iter_mut().filter(|(_, until)| until.is_none_or(|until| until <= now));
        Ok(shown
            .map(|(message, until)| {
                *until = Some(now + hidden);
                message.clone()
            })
            .collect())
    }

    async fn delete(&self, receipt: &str) -> Result<(), QueueFault> {
        self.0.messages.lock().unwrap().retain(|(message, _)| message.receipt != receipt);
        self.0.deleted.lock().unwrap().push(receipt.to_owned());
        Ok(())
    }

    async fn set_aside(&self, receipt: &str) -> Result<(), QueueFault> {
        let mut messages = self.0.messages.lock().unwrap();
        for (_, until) in messages.iter_mut().filter(|(message, _)| message.receipt == receipt) {
            *until = Some(Instant::now() + Duration::from_hours(1));
        }
        self.0.aside.lock().unwrap().push(receipt.to_owned());
        Ok(())
    }

    fn hidden(&self) -> Duration {
        Duration::from_mins(1)
    }

    async fn region(&self) -> Option<String> {
        Some("eu-west-1".into())
    }
}

/// The loop over a queue, with a sweep that the test plays.
struct Played {
    queue: Kept,
    secrets: Arc<Secrets>,
    asked: tokio::sync::mpsc::UnboundedReceiver<Ask>,
    told: Arc<AtomicBool>,
    stop: CancellationToken,
}

fn play(queue: Kept) -> Played {
    let (secrets, asked) = Secrets::new();
    let (secrets, told, stop) = (Arc::new(secrets), Arc::new(AtomicBool::new(false)), CancellationToken::new());
    let says = Arc::clone(&told);
    let push = Push {
        queue: queue.clone(),
        secrets: Arc::clone(&secrets),
        used: || BTreeSet::from([key(), named("shop/other")]),
        told: move |_: &SecretKey| says.load(Ordering::Relaxed),
        metrics: Metrics::default(),
    };
    tokio::spawn(push.run(stop.clone()));
    Played { queue, secrets, asked, told, stop }
}

impl Played {
    /// The word of the next change that is asked about.
    async fn word(&mut self) -> Word {
        match self.asked.recv().await.unwrap() {
            Ask::Changed(changed, word) => {
                assert_eq!(changed, key());
                word
            }
            other @ (Ask::Unknown(_) | Ask::Rotate(..)) => panic!("{other:?} was asked"),
        }
    }

    /// The secret was read after this word, and turned out to be gone.
    fn read(&self, word: Word) {
        self.secrets.store(&key(), Err(VaultFault::new(Reason::SecretMissing, "gone")), word);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_is_deleted_only_after_the_secret_was_read_and_everybody_told() {
    let queue = Kept::default();
    queue.put("a", LABEL_UPDATED);
    let mut played = play(queue);
    let word = played.word().await;
    sleep(Duration::from_secs(10)).await;
    assert!(played.queue.deleted().is_empty(), "nothing was read");
    played.read(word);
    sleep(Duration::from_secs(10)).await;
    assert!(played.queue.deleted().is_empty(), "status was not written");
    played.told.store(true, Ordering::Relaxed);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(played.queue.deleted(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_began_before_the_message_does_not_count() {
    let queue = Kept::default();
    queue.put("a", LABEL_UPDATED);
    let mut played = play(queue);
    played.told.store(true, Ordering::Relaxed);
    let word = played.word().await;
    played.read(Word::default());
    sleep(Duration::from_secs(5)).await;
    assert!(played.queue.deleted().is_empty());
    played.read(word);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(played.queue.deleted(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_reading_and_deleting_misses_nothing() {
    let queue = Kept::default();
    queue.put("a", LABEL_UPDATED);
    let mut before = play(queue.clone());
    let word = before.word().await;
    before.read(word);
    before.stop.cancel();
    sleep(Duration::from_mins(2)).await;
    assert!(queue.deleted().is_empty());
    let mut after = play(queue);
    let word = after.word().await;
    after.read(word);
    after.told.store(true, Ordering::Relaxed);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(after.queue.deleted(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_finished_in_time_comes_again() {
    let queue = Kept::default();
    queue.put("a", LABEL_UPDATED);
    let mut played = play(queue);
    played.word().await;
    let word = played.word().await;
    played.read(word);
    played.told.store(true, Ordering::Relaxed);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(played.queue.deleted(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn poison_is_set_aside_and_holds_up_nothing() {
    let queue = Kept::default();
    queue.put("poison", "hush");
    queue.put("idle", include_str!("../../tests/events/get-secret-value.json"));
    queue.put("stranger", &LABEL_UPDATED.replace("shop/shopify", "bank/stripe"));
    queue.put("good", LABEL_UPDATED);
    let mut played = play(queue);
    played.told.store(true, Ordering::Relaxed);
    let word = played.word().await;
    played.read(word);
    sleep(Duration::from_secs(1)).await;
    let mut deleted = played.queue.deleted();
    deleted.sort_unstable();
    assert_eq!(deleted, ["good", "idle", "stranger"]);
    assert_eq!(*played.queue.0.aside.lock().unwrap(), ["poison"]);
    sleep(Duration::from_mins(10)).await;
    assert_eq!(played.queue.0.aside.lock().unwrap().len(), 1, "it does not come again all the time");
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_away_is_asked_again() {
    let queue = Kept::default();
    queue.put("a", LABEL_UPDATED);
    queue.0.away.store(5, Ordering::Relaxed);
    let mut played = play(queue);
    played.told.store(true, Ordering::Relaxed);
    let word = played.word().await;
    played.read(word);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(played.queue.deleted(), ["a"]);
}

#[test]
fn waits_for_a_queue_grow_and_are_bounded() {
    let waits: Vec<u64> = [1, 2, 3, 4, 5, 6, 60].map(|failures| retry(failures).as_secs()).to_vec();
    assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
}
