//! Credentials that change while requests run.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use crosstie_connect::{
    CallRecord, CredentialStore, FailureKind, Observer, Purpose, Surroundings, VendorClient, Written,
};
use crosstie_engine::plan::{Allowance, Pagination};
use futures::future::join_all;
use serde_json::json;
use wiremock::{
    Mock, MockServer, Request, Respond, ResponseTemplate,
    matchers::{header, path},
};

use crate::fixtures::{PLENTY, document, first_page, patient, system, write};

/// A vendor that accepts one version, and answers others with a status.
async fn accepting(version: &str, otherwise: u16) -> MockServer {
    let server = MockServer::start().await;
    accept(&server, version, otherwise).await;
    server
}

async fn accept(server: &MockServer, version: &str, otherwise: u16) {
    server.reset().await;
    let value = format!("Bearer secret-of-{version}");
    let answer = ResponseTemplate::new(200).set_body_json(json!({"orders": [], "id": "77"}));
    Mock::given(header("authorization", value.as_str())).respond_with(answer).with_priority(1).mount(server).await;
    Mock::given(wiremock::matchers::any())
        .respond_with(ResponseTemplate::new(otherwise))
        .with_priority(2)
        .mount(server)
        .await;
}

fn client(server: &MockServer, store: &CredentialStore) -> VendorClient {
    let mut system = system(&server.uri());
    let rule = json!({"when": {"statuses": [403]}, "means": "CredentialsRejected"});
    system.errors = vec![serde_json::from_value(rule).unwrap()];
    VendorClient::surrounded(&system, store.clone(), PLENTY, &patient()).unwrap()
}

#[tokio::test]
async fn a_rotation_that_the_vendor_has_not_seen_yet_costs_no_read_and_no_write() {
    for status in [401, 403] {
        let server = accepting("v1", status).await;
        let store = CredentialStore::new(&document("v2", Some("v1")));
        let client = client(&server, &store);
        assert!(matches!(write(&client).await, Written::Applied { .. }));
        assert!(first_page(&client, Pagination::None).await.is_ok());
        let report = store.report();
        assert_eq!((report.used_version_id.as_deref(), report.accepted), (Some("v1"), Some(true)));
        assert_eq!(report.rejected_version_id.as_deref(), Some("v2"));
        assert_eq!(server.received_requests().await.unwrap().len(), 3, "only the first was refused once");
    }
}

/// A vendor whose accepted versions change while it runs.
#[derive(Clone, Default)]
struct Gate(Arc<Mutex<Vec<&'static str>>>);

impl Gate {
    fn accept(&self, versions: &[&'static str]) {
        *self.0.lock().unwrap() = versions.to_vec();
    }
}

impl Respond for Gate {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let value = request.headers["authorization"].to_str().unwrap();
        let accepts = self.0.lock().unwrap().iter().any(|version| value == format!("Bearer secret-of-{version}"));
        if accepts {
            ResponseTemplate::new(200).set_body_json(json!({"orders": []}))
        } else {
            ResponseTemplate::new(401)
        }
    }
}

#[tokio::test]
async fn a_rotation_under_load_fails_no_request_in_whatever_order_its_steps_come() {
    for replaced_first in [true, false] {
        let (server, gate) = (MockServer::start().await, Gate::default());
        Mock::given(wiremock::matchers::any()).respond_with(gate.clone()).mount(&server).await;
        let store = CredentialStore::new(&document("v1", None));
        let client = client(&server, &store);
        gate.accept(&["v1"]);
        let load = || join_all((0..40).map(|_| first_page(&client, Pagination::None)));
        let mut outcomes = load().await;
        if replaced_first {
            store.replace(&document("v2", Some("v1")));
            outcomes.extend(load().await);
            gate.accept(&["v1", "v2"]);
        } else {
            gate.accept(&["v1", "v2"]);
            outcomes.extend(load().await);
            store.replace(&document("v2", Some("v1")));
        }
        outcomes.extend(load().await);
        gate.accept(&["v2"]);
        outcomes.extend(load().await);
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        assert_eq!(store.report().used_version_id.as_deref(), Some("v2"));
    }
}

#[tokio::test]
async fn a_request_under_way_finishes_with_the_version_it_began_with() {
    let (server, gate) = (MockServer::start().await, Gate::default());
    gate.accept(&["v1"]);
    Mock::given(wiremock::matchers::any()).respond_with(gate.clone()).mount(&server).await;
    let store = CredentialStore::new(&document("v1", None));
    let client = client(&server, &store);
    let mut under_way = Box::pin(first_page(&client, Pagination::None));
    assert!(futures::poll!(under_way.as_mut()).is_pending());
    store.replace(&document("v2", None));
    assert!(under_way.await.is_ok());
    gate.accept(&["v2"]);
    assert!(first_page(&client, Pagination::None).await.is_ok());
    assert_eq!(store.report().used_version_id.as_deref(), Some("v2"));
}

#[tokio::test]
async fn an_observer_is_told_of_every_request_that_goes_out_and_with_which_version() {
    type Note = (Purpose, Option<u16>, Option<String>);

    #[derive(Default)]
    struct Notes(Mutex<Vec<Note>>);

    impl Observer for Notes {
        fn called(&self, record: &CallRecord<'_>) {
            let note = (record.purpose, record.status, record.credential_version.map(str::to_owned));
            self.0.lock().unwrap().push(note);
        }
    }

    let server = accepting("v1", 401).await;
    let notes = Arc::new(Notes::default());
    let surroundings = Surroundings { observer: Arc::<Notes>::clone(&notes), ..patient() };
    let store = CredentialStore::new(&document("v2", Some("v1")));
    let client = VendorClient::surrounded(&system(&server.uri()), store, PLENTY, &surroundings).unwrap();
    assert!(matches!(write(&client).await, Written::Applied { .. }));
    let note = |status, version: &str| (Purpose::Write, Some(status), Some(version.to_owned()));
    assert_eq!(*notes.0.lock().unwrap(), [note(401, "v2"), note(200, "v1")]);
}

#[tokio::test]
async fn a_second_try_with_other_credentials_counts_against_the_share() {
    let server = accepting("v1", 401).await;
    let store = CredentialStore::new(&document("v2", Some("v1")));
    let one_each_second = Allowance { requests: 1, per_seconds: 1, concurrency: 1 };
    let client = VendorClient::surrounded(&system(&server.uri()), store, one_each_second, &patient()).unwrap();
    let start = Instant::now();
    assert!(first_page(&client, Pagination::None).await.is_ok());
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test]
async fn when_every_version_is_refused_the_system_fails_and_the_record_does_not() {
    let server = accepting("v9", 401).await;
    let store = CredentialStore::new(&document("v2", Some("v1")));
    let client = client(&server, &store);
    let written = write(&client).await;
    let Written::NotSent { failure } = written else { panic!("{written:?}") };
    assert_eq!(failure.kind, FailureKind::CredentialsRejected);
    assert_eq!(store.report().accepted, Some(false));
    store.replace(&document("v9", Some("v2")));
    assert!(matches!(write(&client).await, Written::Applied { .. }));
    assert_eq!(store.report().accepted, Some(true));
}

#[tokio::test]
async fn a_404_says_nothing_of_the_credentials() {
    let server = MockServer::start().await;
    Mock::given(path("/orders")).respond_with(ResponseTemplate::new(404)).mount(&server).await;
    let store = CredentialStore::new(&document("v1", None));
    assert!(first_page(&client(&server, &store), Pagination::None).await.is_err());
    let report = store.report();
    assert_eq!((report.used_version_id.as_deref(), report.accepted), (Some("v1"), None));
}
