//! Lists in the loop: what they save, and what they may not hide. In time that passes by itself.

use std::sync::Mutex;

use tokio::time::sleep;
use tokio_util::sync::DropGuard;
use zeroize::Zeroizing;

use super::*;
use crate::vault::{Description, LISTED_AT_ONCE, ListEnd, StoredValue, fetch::tests::named};

const INTERVAL: Duration = Duration::from_mins(5);
/// Longer than the first list takes to come, and much shorter than an interval.
const MOMENT: Duration = Duration::from_secs(10);

/// Names of secrets, and where the versions of each are: the current one, and the one before.
type Versions = std::collections::BTreeMap<String, (&'static str, Option<&'static str>)>;

/// A vault that counts what it is asked.
#[derive(Default)]
struct Shelf(Mutex<State>);

#[derive(Default)]
struct State {
    secrets: Versions,
    /// What lists show, where they are behind.
    shown: Option<Versions>,
    refuses_lists: bool,
    batches: usize,
    previous: usize,
    pages: usize,
    described: Vec<String>,
}

impl State {
    fn calls(&self) -> usize {
        self.batches + self.previous + self.pages + self.described.len()
    }
}

impl Shelf {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

fn stored(version: &str) -> StoredValue {
    let text = Some(Zeroizing::new(r#"{"token":"t"}"#.to_owned()));
    StoredValue { version_id: version.into(), made_at: None, text }
}

fn description((current, previous): (&str, Option<&str>)) -> Description {
    let previous = previous.map(str::to_owned);
    Description { current: current.into(), previous, rotates: false, next_rotation: None }
}

impl Vault for Shelf {
    async fn read_current(&self, keys: &[SecretKey]) -> Vec<Read> {
        self.state().batches += 1;
        let state = self.state();
        keys.iter().map(|key| Ok(state.secrets.get(&key.secret_id).map(|versions| stored(versions.0)))).collect()
    }

    async fn describe(&self, key: &SecretKey) -> Option<Description> {
        let mut state = self.state();
        state.described.push(key.secret_id.clone());
        state.secrets.get(&key.secret_id).copied().map(description)
    }

    async fn list(&self, wanted: &[SecretKey], most_calls: usize) -> Listing {
        let mut state = self.state();
        if state.refuses_lists {
            state.pages += 1;
            return Listing { calls: 1, ..Listing::default() };
        }
        let shown = state.shown.as_ref().unwrap_or(&state.secrets);
        let pages = shown.len().div_ceil(LISTED_AT_ONCE);
        let calls = pages.min(most_calls);
        let seen: Versions = shown.iter().take(calls * LISTED_AT_ONCE).map(|(name, at)| (name.clone(), *at)).collect();
        state.pages += calls;
        let said = wanted.iter().filter_map(|key| Some((key.clone(), description(*seen.get(&key.secret_id)?))));
        Listing { descriptions: said.collect(), calls, end: if calls < pages { ListEnd::Cut } else { ListEnd::Whole } }
    }

    async fn read_previous(&self, key: &SecretKey) -> Read {
        let mut state = self.state();
        state.previous += 1;
        Ok(state.secrets.get(&key.secret_id).and_then(|versions| versions.1).map(stored))
    }

    async fn rotate(&self, _key: &SecretKey, _version_id: &str) -> Result<(), VaultFault> {
        Ok(())
    }

    fn forget(&self, _account: &Account) {}
}

/// A shelf with secrets that were rotated once, and the loop over those that are used.
struct Swept {
    shelf: Arc<Shelf>,
    secrets: Arc<Secrets>,
    used: Arc<Mutex<BTreeSet<SecretKey>>>,
    _running: DropGuard,
}

impl Swept {
    fn new(count: usize) -> Self {
        let shelf = Arc::new(Shelf::default());
        shelf.state().secrets = (0..count).map(|number| (name(number), ("v2", Some("v1")))).collect();
        let (secrets, asked) = Secrets::new();
        let secrets = Arc::new(secrets);
        let used: Arc<Mutex<BTreeSet<SecretKey>>> = Arc::default();
        let stop = CancellationToken::new();
        let sweep = Sweep {
            vault: shelf.clone(),
            secrets: secrets.clone(),
            used: {
                let used = used.clone();
                move || used.lock().unwrap().clone()
            },
            interval: INTERVAL,
            jitter: || 0.5,
        };
        tokio::spawn(sweep.run(asked, stop.clone()));
        Self { shelf, secrets, used, _running: stop.drop_guard() }
    }

    /// One whose first `count` secrets, which are all of them, are used and were read and described.
    async fn settled(count: usize) -> Self {
        let swept = Self::new(count);
        swept.begin(0..count).await;
        swept.all(count, ("v2", Some("v1")));
        swept
    }

    /// Connectors come to be that use these.
    async fn begin(&self, numbers: std::ops::Range<usize>) {
        let keys: Vec<SecretKey> = numbers.map(|number| named(&name(number))).collect();
        self.used.lock().unwrap().extend(keys.iter().cloned());
        for key in &keys {
            self.secrets.look(key);
        }
        sleep(MOMENT).await;
    }

    /// Makes sure that all of them are held and described with these versions.
    fn all(&self, count: usize, versions: (&'static str, Option<&'static str>)) {
        for number in 0..count {
            self.one(number, versions);
        }
    }

    fn one(&self, number: usize, versions: (&'static str, Option<&'static str>)) {
        let held = self.secrets.held(&named(&name(number))).unwrap();
        assert_eq!((held.current.version_id.as_str(), held.previous_version_id.as_deref()), versions, "{number}");
        assert_eq!(held.description, Some(description(versions)), "{number}");
    }

    fn set(&self, number: usize, versions: (&'static str, Option<&'static str>)) {
        self.shelf.state().secrets.insert(name(number), versions);
    }
}

fn name(number: usize) -> String {
    format!("shop/{number}")
}

#[tokio::test(start_paused = true)]
async fn a_thousand_secrets_cost_1100_calls_at_first_and_a_hundred_a_sweep() {
    let swept = Swept::settled(1000).await;
    let first = swept.shelf.state().calls();
    assert!(first <= 1100, "{first} calls");
    sleep(INTERVAL).await;
    let before = swept.shelf.state().calls();
    let described = swept.shelf.state().described.len();
    sleep(10 * INTERVAL).await;
    let calls = swept.shelf.state().calls() - before;
    assert!(calls <= 10 * 100, "{calls} calls in ten sweeps");
    assert_eq!(swept.shelf.state().described.len(), described, "no secret was described by itself");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_secrets_that_come_one_after_the_other_cost_1100_calls_too() {
    let swept = Swept::new(1000);
    for number in 0..1000 {
        let key = named(&name(number));
        swept.used.lock().unwrap().insert(key.clone());
        swept.secrets.look(&key);
        sleep(Duration::from_millis(12)).await;
    }
    swept.begin(0..0).await;
    swept.all(1000, ("v2", Some("v1")));
    let calls = swept.shelf.state().calls();
    assert!(calls <= 1100, "{calls} calls");
}

#[tokio::test(start_paused = true)]
async fn an_old_list_hides_no_rotation() {
    let swept = Swept::settled(40).await;
    let before = swept.shelf.state().secrets.clone();
    swept.shelf.state().shown = Some(before);
    for number in 0..40 {
        swept.set(number, ("v3", Some("v2")));
    }
    sleep(INTERVAL + MOMENT).await;
    swept.all(40, ("v3", Some("v2")));
}

#[tokio::test(start_paused = true)]
async fn a_move_of_the_previous_version_alone_is_found_with_the_next_list() {
    let swept = Swept::settled(40).await;
    let described = swept.shelf.state().described.len();
    swept.set(7, ("v2", Some("v0")));
    sleep(INTERVAL / 2 + MOMENT).await;
    swept.one(7, ("v2", Some("v0")));
    assert_eq!(swept.shelf.state().described[described..], [name(7)]);
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_a_list_lacks_is_described_by_itself() {
    let swept = Swept::new(40);
    let mut shown = swept.shelf.state().secrets.clone();
    shown.remove(&name(7));
    swept.shelf.state().shown = Some(shown);
    swept.begin(0..40).await;
    swept.all(40, ("v2", Some("v1")));
    assert!(swept.shelf.state().described.contains(&name(7)));
    assert!(swept.shelf.state().described.len() < 10, "{:?}", swept.shelf.state().described);
    swept.set(7, ("v2", Some("v0")));
    sleep(INTERVAL + MOMENT).await;
    swept.one(7, ("v2", Some("v0")));
}

#[tokio::test(start_paused = true)]
async fn where_lists_are_refused_each_secret_is_described_by_itself() {
    let swept = Swept::new(40);
    swept.shelf.state().refuses_lists = true;
    swept.begin(0..40).await;
    swept.all(40, ("v2", Some("v1")));
    for number in 0..40 {
        swept.set(number, ("v2", Some("v0")));
    }
    sleep(INTERVAL + MOMENT).await;
    swept.all(40, ("v2", Some("v0")));
    assert!(swept.shelf.state().pages <= 4, "{} lists were tried", swept.shelf.state().pages);
}

#[tokio::test(start_paused = true)]
async fn an_account_with_too_many_other_secrets_is_listed_no_further_than_pays() {
    let swept = Swept::new(30);
    let others = (0..40_000).map(|number| (format!("other/{number:05}"), ("v1", None)));
    swept.shelf.state().secrets.extend(others);
    swept.begin(0..30).await;
    swept.all(30, ("v2", Some("v1")));
    assert_eq!(swept.shelf.state().pages, 3);
    sleep(9 * INTERVAL).await;
    assert_eq!(swept.shelf.state().pages, 3, "nor again for a while");
    swept.set(7, ("v2", Some("v0")));
    sleep(INTERVAL).await;
    swept.one(7, ("v2", Some("v0")));
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_said_to_have_changed_is_described_by_itself() {
    let swept = Swept::settled(40).await;
    let described = swept.shelf.state().described.len();
    let before = swept.shelf.state().secrets.clone();
    swept.shelf.state().shown = Some(before);
    swept.set(7, ("v2", Some("v0")));
    swept.secrets.hurry(&named(&name(7)));
    sleep(Duration::from_secs(1)).await;
    swept.one(7, ("v2", Some("v0")));
    assert_eq!(swept.shelf.state().described[described..], [name(7)]);
}
