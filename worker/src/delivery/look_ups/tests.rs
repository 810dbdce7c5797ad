//! What was read with one version of the credentials is nobody's answer under another, which may be another account's.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use crosstie_connect::{CredentialStore, SystemClock};
use crosstie_engine::{
    credentials::CredentialsDocument,
    plan::{Environment, ReadOne},
    template::Template,
};
use futures::future::BoxFuture;
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::{
    gates::Shelf,
    lane::testing,
    singles::Singles,
    store::{Scope, SharedStore, sqlite::SqliteStore},
};

/// A system with an account for each version of its credentials. Each has the record `1`, which says whose it is, and that of `v1` has `2` as well.
struct Accounts {
    credentials: CredentialStore,
    asked: AtomicUsize,
    /// Comes into force while the next record is read, and is what that is read with.
    coming: Mutex<Option<CredentialsDocument>>,
}

impl Singles for Accounts {
    fn read_one<'a>(&'a self, _: &'a Stream, key: &'a str) -> BoxFuture<'a, Result<Option<Value>, CallFailure>> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::Relaxed);
            if let Some(coming) = self.coming.lock().unwrap().take() {
                self.credentials.replace(&coming);
            }
            let account = self.credentials.report().loaded_version_id;
            let is_there = key == "1" || account == "v1";
            Ok(is_there.then(|| json!({"id": key, "account": account})))
        })
    }
}

struct Bench {
    lane: Lane,
    accounts: Arc<Accounts>,
    _folder: TempDir,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let store: SharedStore = Arc::new(SqliteStore::open(folder.path(), Uuid::new_v4(), now).unwrap());
        let (flow, source, destination) = ("orders".into(), "shop".into(), "books".into());
        let scope = Scope { flow, source, destination, environment: Environment::Production };
        let scope = store.open_scope(scope, now).await.unwrap().id;
        let credentials = CredentialStore::new(&testing::credentials("v1"));
        let client = testing::client(&credentials);
        let mapping = testing::mapping(None, &[("id", "record.id")]);
        let mut lane = testing::lane(store, scope, Arc::new(client.clone()), Arc::new(SystemClock), mapping);
        let path = Template::parse("/customers/{key}").unwrap();
        let one = ReadOne { path, query: [].into(), record: String::new(), into: String::new() };
        lane.flow.lookups = vec![Stream { name: "customers".into(), one: Some(one), ..Stream::default() }];
        lane.gates = Shelf::default().of(&lane.flow);
        lane.source = client;
        let accounts = Arc::new(Accounts { credentials, asked: AtomicUsize::new(0), coming: Mutex::default() });
        lane.singles = Arc::<Accounts>::clone(&accounts);
        Self { lane, accounts, _folder: folder }
    }

    /// Whose record of that key the mapping gets; none where there is none.
    async fn account(&self, key: &str) -> Option<String> {
        let wanted = Lookup { stream: "customers".into(), key: key.into() };
        match self.lane.look_ups.answer(&self.lane, &wanted).await.unwrap() {
            Looked::Found(record) => Some(record["account"].as_str().unwrap().to_owned()),
            Looked::Absent => None,
            Looked::Unknown => panic!("not looked up"),
        }
    }

    fn asked(&self) -> usize {
        self.accounts.asked.load(Ordering::Relaxed)
    }

    fn rotate(&self, to: &CredentialsDocument) {
        self.accounts.credentials.replace(to);
    }
}

/// The second version, with the first beside it.
fn second() -> CredentialsDocument {
    CredentialsDocument { previous: Some(testing::credentials("v1").current), ..testing::credentials("v2") }
}

#[tokio::test]
async fn what_was_looked_up_before_a_rotation_is_asked_anew_after_it_also_that_there_was_nothing() {
    let bench = Bench::new().await;
    for _ in 0..2 {
        assert_eq!(bench.account("1").await.as_deref(), Some("v1"));
        assert_eq!(bench.account("2").await.as_deref(), Some("v1"));
        assert_eq!(bench.asked(), 2, "it is remembered");
    }
    bench.rotate(&second());
    assert_eq!(bench.account("1").await.as_deref(), Some("v2"));
    assert_eq!(bench.account("2").await, None);
    assert_eq!(bench.asked(), 4, "each was asked anew");
    // The version before is brought back: what it showed is still its own, and what there was not is not.
    bench.rotate(&testing::credentials("v1"));
    assert_eq!(bench.account("2").await.as_deref(), Some("v1"));
}

#[tokio::test]
async fn what_is_read_while_credentials_rotate_is_not_remembered_as_the_old_ones() {
    let bench = Bench::new().await;
    *bench.accounts.coming.lock().unwrap() = Some(second());
    assert_eq!(bench.account("2").await, None, "the second account has none");
    bench.rotate(&testing::credentials("v1"));
    assert_eq!(bench.account("2").await.as_deref(), Some("v1"));
}
