//! Which version a request takes, and what the vendor's answers make of it.

use super::*;
use crate::testing::document;

fn picked(store: &CredentialStore) -> Attempt {
    store.pick(&[]).unwrap()
}

fn id(attempt: &Attempt) -> &str {
    &attempt.version.id
}

#[test]
fn printing_the_store_shows_no_value() {
    let store = CredentialStore::new(&document("v2", Some("v1")));
    let printed = format!("{store:?}");
    assert!(printed.contains("v2") && !printed.contains("secret-of-"), "{printed}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_current_version_rests_and_is_then_tried_again() {
    let store = CredentialStore::new(&document("v2", Some("v1")));
    let first = picked(&store);
    store.refused(&first);
    let second = store.pick(std::slice::from_ref(&first)).unwrap();
    assert_eq!(id(&second), "v1");
    store.answered(&second, true);
    assert_eq!(id(&picked(&store)), "v1");
    tokio::time::advance(REST).await;
    assert_eq!(id(&picked(&store)), "v2");
}

#[tokio::test(start_paused = true)]
async fn an_accepted_version_clears_its_rejection() {
    let store = CredentialStore::new(&document("v2", Some("v1")));
    store.refused(&picked(&store));
    assert_eq!(store.report().rejected_version_id.as_deref(), Some("v2"));
    tokio::time::advance(REST).await;
    store.answered(&picked(&store), true);
    let report = store.report();
    assert_eq!(
        (report.rejected_version_id, report.used_version_id.as_deref(), report.accepted),
        (None, Some("v2"), Some(true))
    );
}

#[tokio::test(start_paused = true)]
async fn what_an_older_request_is_answered_does_not_count_against_what_a_newer_one_was() {
    let store = CredentialStore::new(&document("v1", None));
    let (older, newer) = (picked(&store), picked(&store));
    // It was revoked between the two, and the answer to the first took longer.
    store.refused(&newer);
    store.answered(&older, true);
    store.replace(&document("v2", Some("v1")));
    let new = picked(&store);
    store.refused(&new);
    assert!(store.pick(&[new]).is_none(), "the revoked version is asked again");
    // A version that the vendor takes in late: of two requests, the newer one is the one that it takes.
    tokio::time::advance(REST).await;
    let (older, newer) = (picked(&store), picked(&store));
    store.answered(&newer, true);
    store.refused(&older);
    assert_eq!((id(&picked(&store)), store.report().rejected_version_id), ("v2", None));
}

#[tokio::test(start_paused = true)]
async fn the_report_shows_the_version_that_works_and_the_one_that_is_refused() {
    let store = CredentialStore::new(&document("v2", Some("v1")));
    let first = picked(&store);
    store.refused(&first);
    store.answered(&store.pick(&[first]).unwrap(), true);
    let expected = CredentialReport {
        loaded_version_id: "v2".into(),
        used_version_id: Some("v1".into()),
        accepted: Some(true),
        rejected_version_id: Some("v2".into()),
    };
    assert_eq!(store.report(), expected);
    // The current version is tried again and refused again: the one in use stays the other.
    tokio::time::advance(REST).await;
    store.refused(&picked(&store));
    assert_eq!(store.report(), expected);
}

#[test]
fn when_every_version_is_refused_nothing_is_left_to_try_for_that_request() {
    let store = CredentialStore::new(&document("v2", Some("v1")));
    let first = picked(&store);
    store.refused(&first);
    let second = store.pick(std::slice::from_ref(&first)).unwrap();
    store.refused(&second);
    assert!(store.pick(&[first, second]).is_none());
    assert_eq!(store.report().accepted, Some(false));
    assert_eq!(id(&picked(&store)), "v2", "the next request asks again with the current one");
}

#[test]
fn a_replaced_document_is_used_by_the_next_request_even_if_its_version_was_refused_before() {
    let store = CredentialStore::new(&document("v1", None));
    store.refused(&picked(&store));
    store.replace(&document("v1", Some("v0")));
    assert_eq!(store.report().rejected_version_id, None);
    store.replace(&document("v2", Some("v1")));
    assert_eq!(id(&picked(&store)), "v2");
}

#[test]
fn the_same_document_again_forgets_nothing() {
    let store = CredentialStore::new(&document("v2", Some("v1")));
    store.refused(&picked(&store));
    store.replace(&document("v2", Some("v1")));
    assert_eq!(id(&picked(&store)), "v1");
}

#[test]
fn a_late_answer_to_an_old_version_does_not_show_it_as_the_one_in_use() {
    let store = CredentialStore::new(&document("v1", None));
    let slow = picked(&store);
    store.replace(&document("v2", Some("v1")));
    store.answered(&picked(&store), true);
    store.answered(&slow, true);
    assert_eq!(store.report().used_version_id.as_deref(), Some("v2"));
}

#[test]
fn the_superseded_version_counts_as_used_until_the_new_one_was_answered() {
    let store = CredentialStore::new(&document("v1", None));
    store.answered(&picked(&store), true);
    store.replace(&document("v2", Some("v1")));
    assert_eq!(store.report().used_version_id.as_deref(), Some("v1"));
    store.answered(&picked(&store), false);
    let report = store.report();
    assert_eq!(
        (report.used_version_id.as_deref(), report.accepted),
        (Some("v2"), None),
        "a 404 proves nothing of the credentials"
    );
}

#[test]
fn a_request_refused_with_a_version_that_was_replaced_meanwhile_takes_the_new_one() {
    let store = CredentialStore::new(&document("v1", None));
    let slow = picked(&store);
    store.replace(&document("v2", Some("v1")));
    store.refused(&slow);
    assert_eq!(id(&store.pick(&[slow]).unwrap()), "v2");
}
