//! The loop as a whole, in time that passes by itself.

use std::sync::{Mutex, PoisonError};

use zeroize::Zeroizing;

use super::*;
use crate::vault::{
    Account, Description, Stage, StoredValue,
    fetch::tests::{Answer, Scripted, key, named},
    schedule::FIRST_RETRY,
};

const INTERVAL: Duration = Duration::from_mins(5);

fn start(answers: Vec<Answer>) -> (Arc<Scripted>, Arc<Secrets>, CancellationToken) {
    let vault = Arc::new(Scripted::new(answers));
    let (secrets, asked) = Secrets::new();
    let secrets = Arc::new(secrets);
    let stop = CancellationToken::new();
    let sweep = Sweep {
        vault: vault.clone(),
        secrets: secrets.clone(),
        used: || BTreeSet::from([key()]),
        interval: INTERVAL,
        jitter: || 0.5,
    };
    tokio::spawn(sweep.run(asked, stop.clone()));
    (vault, secrets, stop)
}

#[tokio::test(start_paused = true)]
async fn a_new_version_is_found_by_the_sweep() {
    let (_vault, secrets, stop) = start(vec![
        Ok(Some(("v1", r#"{"token":"a"}"#))),
        Ok(None),
        Ok(Some(("v2", r#"{"token":"b"}"#))),
        Ok(Some(("v1", r#"{"token":"a"}"#))),
        Ok(Some(("v2", r#"{"token":"b"}"#))),
    ]);
    let mut changes = secrets.changes();
    assert_eq!(secrets.look(&key()), None);
    changes.recv().await.unwrap();
    assert_eq!(secrets.held(&key()).unwrap().current.version_id, "v1");
    let before = Instant::now();
    changes.recv().await.unwrap();
    assert!(before.elapsed() <= INTERVAL, "{:?}", before.elapsed());
    assert_eq!(secrets.held(&key()).unwrap().current.version_id, "v2");
    stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn a_fault_is_tried_again_long_before_the_next_sweep() {
    let (_vault, secrets, stop) = start(vec![
        Err(VaultFault::new(Reason::VaultUnavailable, "away")),
        Ok(Some(("v1", r#"{"token":"a"}"#))),
        Ok(None),
    ]);
    let mut changes = secrets.changes();
    secrets.look(&key());
    changes.recv().await.unwrap();
    let before = Instant::now();
    changes.recv().await.unwrap();
    assert!(before.elapsed() <= FIRST_RETRY, "{:?}", before.elapsed());
    assert!(secrets.look(&key()).unwrap().fault.is_none());
    stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn many_questions_at_once_cost_one_fetch() {
    let (vault, secrets, stop) = start(vec![Ok(Some(("v1", r#"{"token":"a"}"#))), Ok(None)]);
    let mut changes = secrets.changes();
    for _ in 0..50 {
        secrets.look(&key());
    }
    changes.recv().await.unwrap();
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(*vault.asked.lock().unwrap(), [Stage::Current, Stage::Previous]);
    stop.cancel();
}

/// A vault of any secret, in every region, that counts and can be throttled.
#[derive(Default)]
struct Regions {
    /// The version that every secret has now; `v2` until it is said.
    newest: Mutex<Option<String>>,
    throttled: Mutex<Option<String>>,
    /// When values were read, how many and where.
    values: Mutex<Vec<(Instant, usize, Option<String>)>>,
    previous: Mutex<usize>,
    rotated: Mutex<Vec<(SecretKey, String)>>,
    forgotten: Mutex<Vec<Account>>,
}

impl Regions {
    fn throttle(&self, region: Option<&str>) {
        *self.throttled.lock().unwrap() = region.map(str::to_owned);
    }

    fn newest(&self) -> String {
        self.newest.lock().unwrap().clone().unwrap_or_else(|| "v2".into())
    }

    fn answer(&self, key: &SecretKey, version: &str) -> Read {
        let throttled = self.throttled.lock().unwrap_or_else(PoisonError::into_inner);
        if throttled.is_some() && *throttled == key.account.region {
            return Err(VaultFault::new(Reason::Throttled, "too many calls"));
        }
        let text = Some(Zeroizing::new(r#"{"token":"t"}"#.to_owned()));
        Ok(Some(StoredValue { version_id: version.into(), made_at: None, text }))
    }

    fn read_in(&self, region: &str, from: Instant) -> usize {
        let all = self.values.lock().unwrap();
        all.iter()
            .filter(|(at, _, place)| *at >= from && place.as_deref() == Some(region))
            .map(|(_, count, _)| count)
            .sum()
    }
}

impl Vault for Regions {
    async fn read_current(&self, keys: &[SecretKey]) -> Vec<Read> {
        let read: Vec<Read> = keys.iter().map(|key| self.answer(key, &self.newest())).collect();
        let good = read.iter().filter(|read| read.is_ok()).count();
        self.values.lock().unwrap().push((Instant::now(), good, keys[0].account.region.clone()));
        read
    }

    async fn describe(&self, _key: &SecretKey) -> Option<Description> {
        let previous = Some("v1".to_owned());
        Some(Description { current: self.newest(), previous, rotates: false, next_rotation: None })
    }

    async fn list(&self, _wanted: &[SecretKey], _most_calls: usize) -> Listing {
        Listing::default()
    }

    async fn read_previous(&self, key: &SecretKey) -> Read {
        *self.previous.lock().unwrap() += 1;
        self.answer(key, "v1")
    }

    async fn rotate(&self, key: &SecretKey, version_id: &str) -> Result<(), VaultFault> {
        self.rotated.lock().unwrap().push((key.clone(), version_id.to_owned()));
        Err(VaultFault::new(Reason::AccessDenied, "not allowed"))
    }

    fn forget(&self, account: &Account) {
        self.forgotten.lock().unwrap().push(account.clone());
    }
}

fn sweeping(keys: &BTreeSet<SecretKey>) -> (Arc<Regions>, Arc<Secrets>, tokio_util::sync::DropGuard) {
    let used = keys.clone();
    sweeping_what_is_used(move || used.clone())
}

fn sweeping_what_is_used(
    used: impl Fn() -> BTreeSet<SecretKey> + Send + Sync + 'static,
) -> (Arc<Regions>, Arc<Secrets>, tokio_util::sync::DropGuard) {
    let vault = Arc::new(Regions::default());
    let (secrets, asked) = Secrets::new();
    let secrets = Arc::new(secrets);
    let stop = CancellationToken::new();
    let sweep = Sweep { vault: vault.clone(), secrets: secrets.clone(), used, interval: INTERVAL, jitter: || 0.5 };
    tokio::spawn(sweep.run(asked, stop.clone()));
    (vault, secrets, stop.drop_guard())
}

fn everywhere(count: usize) -> BTreeSet<SecretKey> {
    let regions = ["eu-west-1", "us-east-1"];
    let keys = regions.into_iter().flat_map(|region| (0..count).map(move |number| (region, number)));
    keys.map(|(region, number)| {
        let mut key = named(&format!("shop/{number}"));
        key.account.region = Some(region.to_owned());
        key
    })
    .collect()
}

#[tokio::test(start_paused = true)]
async fn a_thousand_connectors_that_share_a_hundred_secrets_cost_a_hundred_values_a_sweep() {
    let keys: BTreeSet<SecretKey> = (0..100).map(|number| named(&format!("shop/{number}"))).collect();
    let (vault, secrets, _running) = sweeping(&keys);
    for _ in 0..10 {
        for key in &keys {
            secrets.look(key);
        }
    }
    tokio::time::sleep(INTERVAL).await;
    assert_eq!(*vault.previous.lock().unwrap(), 100, "each previous version is read once");
    let before = vault.values.lock().unwrap().len();
    tokio::time::sleep(9 * INTERVAL).await;
    let values = vault.values.lock().unwrap();
    let sweeps = 10;
    let read: usize = values[before..].iter().map(|(_, count, _)| count).sum();
    // The stretch of time does not begin and end with a sweep.
    assert!(read <= 100 * (sweeps + 1), "{read} values in {sweeps} sweeps");
    let calls = values.len() - before;
    assert!(calls <= 100 * sweeps / 5, "{calls} calls in {sweeps} sweeps");
    assert_eq!(*vault.previous.lock().unwrap(), 100, "nothing that is known is read again");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_no_event_tells_of_has_come_everywhere_after_one_interval() {
    let keys = everywhere(50);
    let (vault, secrets, _running) = sweeping(&keys);
    for key in &keys {
        secrets.look(key);
    }
    for change in 3..20_u32 {
        // At another moment of the interval each time.
        tokio::time::sleep(INTERVAL.mul_f64((f64::from(change) * 0.37).fract())).await;
        let version = format!("v{change}");
        *vault.newest.lock().unwrap() = Some(version.clone());
        // A second for what waits for company.
        tokio::time::sleep(INTERVAL + Duration::from_secs(1)).await;
        for key in &keys {
            assert_eq!(secrets.held(key).unwrap().current.version_id, version, "{key}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn ten_minutes_of_throttling_leave_the_last_good_values_and_other_regions_alone_and_are_made_up_for_within_one() {
    let keys = everywhere(50);
    let (vault, secrets, _running) = sweeping(&keys);
    for key in &keys {
        secrets.look(key);
    }
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(keys.iter().all(|key| secrets.held(key).is_some()));
    let begun = Instant::now();
    vault.throttle(Some("eu-west-1"));
    tokio::time::sleep(Duration::from_mins(10)).await;
    let (mut throttled, mut elsewhere) = (0, 0);
    for key in &keys {
        let entry = secrets.look(key).unwrap();
        assert_eq!(entry.held.unwrap().current.version_id, "v2", "{key}");
        match entry.fault.map(|fault| fault.reason) {
            Some(Reason::Throttled) => throttled += 1,
            None => elsewhere += 1,
            Some(other) => panic!("{key}: {other}"),
        }
    }
    assert_eq!((throttled, elsewhere), (50, 50));
    assert!(vault.read_in("us-east-1", begun) >= 100, "the other region was swept twice in the meantime");
    let mut attempts: HashMap<Option<String>, usize> = HashMap::new();
    for (_, _, region) in vault.values.lock().unwrap().iter().filter(|(at, ..)| *at >= begun) {
        *attempts.entry(region.clone()).or_default() += 1;
    }
    let knocks = attempts[&Some("eu-west-1".to_owned())];
    assert!(knocks <= 50 * 15 / 4, "{knocks} calls while throttled");
    vault.throttle(None);
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert!(keys.iter().all(|key| secrets.look(key).unwrap().fault.is_none()), "recovered");
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_said_to_have_changed_is_read_at_once() {
    let keys = BTreeSet::from([key()]);
    let (vault, secrets, _running) = sweeping(&keys);
    secrets.look(&key());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let before = vault.values.lock().unwrap().len();
    secrets.hurry(&key());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(vault.values.lock().unwrap().len(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn a_rotation_is_asked_for_once_an_hour_at_the_most_and_a_refusal_is_known() {
    let keys = BTreeSet::from([key()]);
    let (vault, secrets, _running) = sweeping(&keys);
    secrets.look(&key());
    tokio::time::sleep(Duration::from_secs(10)).await;
    for _ in 0..5 {
        secrets.rotate(&key(), "v2".into());
        tokio::time::sleep(Duration::from_mins(5)).await;
    }
    assert_eq!(*vault.rotated.lock().unwrap(), [(key(), "v2".to_owned())]);
    assert_eq!(secrets.look(&key()).unwrap().not_rotated.unwrap().reason, Reason::AccessDenied);
    tokio::time::sleep(Duration::from_hours(1)).await;
    secrets.rotate(&key(), "v2".into());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(vault.rotated.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_account_is_forgotten_with_the_last_secret_that_is_used_there() {
    let keys = everywhere(2);
    let used = Arc::new(Mutex::new(keys.clone()));
    let (vault, secrets, _stop) = sweeping_what_is_used({
        let used = used.clone();
        move || used.lock().unwrap().clone()
    });
    for key in &keys {
        secrets.look(key);
    }
    tokio::time::sleep(INTERVAL).await;
    let last = |key: &SecretKey| key.account.region.as_deref() == Some("us-east-1") && key.secret_id == "shop/1";
    let elsewhere = |key: &SecretKey| key.account.region.as_deref() == Some("eu-west-1");
    used.lock().unwrap().retain(|key| elsewhere(key) || last(key));
    tokio::time::sleep(INTERVAL).await;
    assert_eq!(*vault.forgotten.lock().unwrap(), [], "another secret is used in each");
    used.lock().unwrap().retain(elsewhere);
    tokio::time::sleep(INTERVAL).await;
    let forgotten = vault.forgotten.lock().unwrap().clone();
    assert_eq!(forgotten.iter().map(|account| account.region.as_deref()).collect::<Vec<_>>(), [Some("us-east-1")]);
}
