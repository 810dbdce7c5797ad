//! One namespace's errands, and everybody else's.

use std::{
    sync::atomic::{AtomicU32, AtomicUsize, Ordering},
    time::Duration,
};

use crosstie_connect::grants::{Grant as Asked, GrantFailure, Granted, TokenRequest};
use crosstie_crds::condition::Reason;
use crosstie_engine::{credentials::CredentialVersion, grant::GrantKind, plan::System};
use futures::FutureExt;
use jiff::Timestamp;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    broker::{
        Broker, Errand, Work,
        books::{Books, BooksFault, Revision},
        ledger::Ledger,
        renewal::{Grantor, Promoted, Renewals, Safe, world},
    },
    plan::objects::Owner,
    trigger::Key,
    vault::{Account, Identity, SecretKey, VaultFault, secrets::Secrets},
};

#[tokio::test]
async fn a_namespace_has_a_part_of_the_seats_and_nothing_is_kept_of_one_that_has_none() {
    let seats = Seats::default();
    let mut taken = Vec::new();
    for _ in 0..OF_ONE {
        taken.push(seats.take("greedy").now_or_never().unwrap());
    }
    assert!(seats.take("greedy").now_or_never().is_none());
    assert!(seats.take("shop").now_or_never().is_some());
    taken.pop();
    assert!(seats.take("greedy").now_or_never().is_some());
    drop(taken);
    drop(seats.take("shop").await);
    assert_eq!(seats.parts.lock().unwrap().len(), 1);
}

/// Keeps books, and grants everybody a token with another refresh token, which it lets nobody store.
#[derive(Clone, Default)]
struct Town {
    ledgers: Arc<Mutex<HashMap<Key, (Ledger, u32)>>>,
    denied: Arc<AtomicUsize>,
}

impl Town {
    fn denied(&self) -> usize {
        self.denied.load(Ordering::Relaxed)
    }
}

fn key(owner: &Owner) -> Key {
    Key::new(&owner.namespace, &owner.name)
}

impl Books for Town {
    async fn read(&self, owner: &Owner) -> Result<(Ledger, Revision), BooksFault> {
        let kept = self.ledgers.lock().unwrap().get(&key(owner)).cloned().unwrap_or_default();
        Ok((kept.0, Revision(Some(kept.1.to_string()))))
    }

    async fn write(&self, owner: &Owner, ledger: &Ledger, replacing: &Revision) -> Result<Revision, BooksFault> {
        let mut ledgers = self.ledgers.lock().unwrap();
        let kept = ledgers.entry(key(owner)).or_default();
        if replacing.0 != Some(kept.1.to_string()) {
            return Err(BooksFault::Changed);
        }
        *kept = (ledger.clone(), kept.1 + 1);
        Ok(Revision(Some(kept.1.to_string())))
    }
}

impl Safe for Town {
    async fn read(&self, _: &SecretKey) -> Result<CredentialVersion, VaultFault> {
        let values = [("refreshToken".to_owned(), "rt-0".to_owned())].into();
        Ok(CredentialVersion { version_id: "r0".into(), values })
    }

    async fn store(&self, _: &SecretKey, _: &CredentialVersion) -> Result<(), VaultFault> {
        self.denied.fetch_add(1, Ordering::Relaxed);
        Err(VaultFault::new(Reason::AccessDenied, "allow secretsmanager:PutSecretValue"))
    }

    async fn promote(&self, _: &SecretKey, _: &str, _: &str) -> Result<Promoted, VaultFault> {
        Ok(Promoted::Unknown)
    }
}

impl Grantor for Town {
    async fn fetch(&self, _: &System, request: &TokenRequest, nonce: &str) -> Result<Granted, GrantFailure> {
        let refreshed = matches!(request.grant, Asked::RefreshToken(_));
        Ok(world::granted(nonce, refreshed.then(|| "rt-1".to_owned())))
    }
}

fn errand(namespace: &str, name: &str, kind: GrantKind) -> Errand {
    let account = Account { region: None, identity: Identity::Operator };
    let refresh = SecretKey { account, secret_id: format!("{namespace}/{name}-refresh") };
    let mut errand = world::errand(kind, (kind == GrantKind::RefreshToken).then_some(refresh));
    (errand.owner.namespace, errand.owner.name) = (namespace.into(), name.into());
    errand.source.refresh = (kind == GrantKind::RefreshToken).then(|| "r0".to_owned());
    errand
}

fn work(town: &Town) -> (Arc<Broker>, tokio_util::sync::DropGuard) {
    static IDS: AtomicU32 = AtomicU32::new(1);
    let (broker, asked) = Broker::new();
    let (broker, stop) = (Arc::new(broker), CancellationToken::new());
    let work = Work {
        broker: broker.clone(),
        renewals: Renewals {
            books: town.clone(),
            safe: town.clone(),
            grantor: town.clone(),
            now: || Timestamp::from_second(1000).unwrap(),
            id: || format!("c{}", IDS.fetch_add(1, Ordering::Relaxed)),
            seats: Seats::default(),
            stop: stop.clone(),
        },
        secrets: Arc::new(Secrets::new().0),
        jitter: || 0.5,
    };
    tokio::spawn(work.run(asked, stop.clone()));
    (broker, stop.drop_guard())
}

/// Waits until it is true; not for ever.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let turns = async {
        while !is_so() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    assert!(timeout(Duration::from_hours(1), turns).await.is_ok(), "{what}");
}

#[tokio::test(start_paused = true)]
async fn those_whose_refresh_tokens_cannot_be_stored_hold_up_nobody_and_end_with_their_connectors() {
    let town = Town::default();
    let (broker, _stop) = work(&town);
    let greedy: Vec<Errand> =
        (0..ALL).map(|number| errand("greedy", &number.to_string(), GrantKind::RefreshToken)).collect();
    for errand in &greedy {
        broker.send(errand.clone());
    }
    let is_denied = |errand: &Errand| {
        let failure = broker.look(&errand.key()).and_then(|entry| entry.failure);
        failure.is_some_and(|failure| failure.fault.reason == Reason::AccessDenied)
    };
    until("every one of them was denied", || greedy.iter().all(is_denied)).await;
    for (namespace, name) in [("shop", "crm"), ("greedy", "other")] {
        let other = errand(namespace, name, GrantKind::ClientCredentials);
        broker.send(other.clone());
        let has_token = || {
            let ledger = broker.look(&other.key()).and_then(|entry| entry.ledger);
            ledger.is_some_and(|ledger| ledger.current.is_some())
        };
        until(&format!("{namespace} has a token"), has_token).await;
    }
    let before = town.denied();
    until("it is tried again", || town.denied() > before + ALL).await;
    for errand in &greedy {
        broker.forget(&errand.key());
    }
    sleep(Duration::from_mins(5)).await;
    let after = town.denied();
    sleep(Duration::from_hours(1)).await;
    assert_eq!(town.denied(), after, "nobody stores for a Connector that is gone");
    assert!(greedy.iter().all(|errand| broker.look(&errand.key()).is_none()), "and nothing is remembered of it");
}
