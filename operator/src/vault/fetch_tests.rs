//! Both versions of a secret, from a vault whose answers are given beforehand.

use std::sync::Mutex;

use super::*;
use crate::vault::{Account, Identity, Listing, Stage};

/// Version id and text, absence, or a fault.
pub(crate) type Answer = Result<Option<(&'static str, &'static str)>, VaultFault>;

/// A vault of one secret whose answers are given beforehand, in order; the last one repeats.
#[derive(Default)]
pub(crate) struct Scripted {
    answers: Mutex<Vec<Answer>>,
    pub(crate) asked: Mutex<Vec<Stage>>,
    /// What it says beside values.
    described: Mutex<Option<Description>>,
    /// How often it was asked for that.
    descriptions: Mutex<usize>,
}

impl Scripted {
    pub(crate) fn new(answers: Vec<Answer>) -> Self {
        Self { answers: Mutex::new(answers), ..Self::default() }
    }
}

impl Scripted {
    fn answer(&self, stage: Stage) -> Read {
        self.asked.lock().unwrap().push(stage);
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
        answer.map(|found| {
            found.map(|(id, text)| StoredValue {
                version_id: id.into(),
                made_at: None,
                text: Some(Zeroizing::new(text.to_owned())),
            })
        })
    }
}

impl Vault for Scripted {
    async fn read_current(&self, keys: &[SecretKey]) -> Vec<Read> {
        keys.iter().map(|_| self.answer(Stage::Current)).collect()
    }

    async fn describe(&self, _key: &SecretKey) -> Option<Description> {
        *self.descriptions.lock().unwrap() += 1;
        self.described.lock().unwrap().clone()
    }

    async fn list(&self, _wanted: &[SecretKey], _most_calls: usize) -> Listing {
        Listing::default()
    }

    async fn read_previous(&self, _key: &SecretKey) -> Read {
        self.answer(Stage::Previous)
    }

    async fn rotate(&self, _key: &SecretKey, _version_id: &str) -> Result<(), VaultFault> {
        Ok(())
    }

    fn forget(&self, _account: &Account) {}
}

async fn fetch(vault: &Scripted, key: &SecretKey, known: Option<&Held>) -> Result<Held, VaultFault> {
    fetch_listed(vault, key, known, &Listed::Nothing).await
}

async fn fetch_listed(
    vault: &Scripted,
    key: &SecretKey,
    known: Option<&Held>,
    listed: &Listed,
) -> Result<Held, VaultFault> {
    let current = vault.read_current(slice::from_ref(key)).await.remove(0);
    complete(vault, key, known, listed, current).await
}

fn said(current: &str, previous: Option<&str>) -> Description {
    let previous = previous.map(str::to_owned);
    Description { current: current.into(), previous, rotates: true, next_rotation: None }
}

pub(crate) fn key() -> SecretKey {
    named("shop/shopify")
}

/// A secret that the operator reads as itself in its own region.
pub(crate) fn named(secret_id: &str) -> SecretKey {
    SecretKey { account: Account { region: None, identity: Identity::Operator }, secret_id: secret_id.into() }
}

#[tokio::test]
async fn both_versions_are_read() {
    let vault = Scripted::new(vec![
        Ok(Some(("v2", r#"{"token":"new","port":8443,"tls":true}"#))),
        Ok(Some(("v1", r#"{"token":"old"}"#))),
    ]);
    let held = fetch(&vault, &key(), None).await.unwrap();
    assert_eq!(held.current.version_id, "v2");
    assert_eq!(held.current.values["token"], "new");
    assert_eq!((held.current.values["port"].as_str(), held.current.values["tls"].as_str()), ("8443", "true"));
    assert_eq!(held.previous.unwrap().version_id, "v1");
}

#[tokio::test]
async fn an_unchanged_secret_costs_one_read() {
    let vault = Scripted::new(vec![Ok(Some(("v2", r#"{"token":"new"}"#))), Ok(None)]);
    let held = fetch(&vault, &key(), None).await.unwrap();
    vault.asked.lock().unwrap().clear();
    *vault.answers.lock().unwrap() = vec![Ok(Some(("v2", r#"{"token":"new"}"#)))];
    assert_eq!(fetch(&vault, &key(), Some(&held)).await.unwrap(), held);
    assert_eq!(*vault.asked.lock().unwrap(), [Stage::Current]);
}

#[tokio::test]
async fn a_move_of_the_previous_version_alone_is_noticed_and_no_value_is_read_for_nothing() {
    let vault = Scripted::new(vec![Ok(Some(("v2", r#"{"token":"new"}"#))), Ok(Some(("v1", r#"{"token":"old"}"#)))]);
    let say = |previous: Option<&str>| {
        let previous = previous.map(str::to_owned);
        let description = Description { current: "v2".into(), previous, rotates: true, next_rotation: None };
        *vault.described.lock().unwrap() = Some(description);
    };
    say(Some("v1"));
    let first = fetch(&vault, &key(), None).await.unwrap();
    vault.asked.lock().unwrap().clear();
    *vault.answers.lock().unwrap() = vec![Ok(Some(("v2", r#"{"token":"new"}"#)))];
    assert_eq!(fetch(&vault, &key(), Some(&first)).await.unwrap(), first);
    assert_eq!(*vault.asked.lock().unwrap(), [Stage::Current]);
    say(Some("v0"));
    *vault.answers.lock().unwrap() =
        vec![Ok(Some(("v2", r#"{"token":"new"}"#))), Ok(Some(("v0", r#"{"token":"older"}"#)))];
    let moved = fetch(&vault, &key(), Some(&first)).await.unwrap();
    assert_eq!(moved.previous.as_ref().unwrap().version_id, "v0");
    say(None);
    *vault.answers.lock().unwrap() = vec![Ok(Some(("v2", r#"{"token":"new"}"#))), Ok(None)];
    assert_eq!(fetch(&vault, &key(), Some(&moved)).await.unwrap().previous, None);
}

/// A secret as it was read, of which a list has said the same.
async fn rotated_once(vault: &Scripted) -> Held {
    let held = fetch_listed(vault, &key(), None, &Listed::Says(said("v2", Some("v1")))).await.unwrap();
    assert_eq!(held.description, Some(said("v2", Some("v1"))));
    assert_eq!(*vault.descriptions.lock().unwrap(), 0, "the list has said it");
    held
}

fn current_and_previous() -> Scripted {
    Scripted::new(vec![
        Ok(Some(("v2", r#"{"token":"new"}"#))),
        Ok(Some(("v1", r#"{"token":"old"}"#))),
        Ok(Some(("v2", r#"{"token":"new"}"#))),
    ])
}

#[tokio::test]
async fn a_list_that_says_what_is_held_stands_for_a_description() {
    let vault = current_and_previous();
    let held = rotated_once(&vault).await;
    let listed = Listed::Says(said("v2", Some("v1")));
    assert_eq!(fetch_listed(&vault, &key(), Some(&held), &listed).await.unwrap(), held);
    assert_eq!(*vault.descriptions.lock().unwrap(), 0);
    assert_eq!(*vault.asked.lock().unwrap(), [Stage::Current, Stage::Previous, Stage::Current]);
}

#[tokio::test]
async fn what_a_list_says_otherwise_is_asked_of_the_secret_itself() {
    let other_rotation = Description { rotates: false, ..said("v2", Some("v1")) };
    for says in [said("v1", None), said("v2", None), said("v3", Some("v2")), said("v2", Some("v0")), other_rotation] {
        let vault = current_and_previous();
        let held = rotated_once(&vault).await;
        *vault.described.lock().unwrap() = Some(said("v2", Some("v1")));
        let listed = Listed::Says(says.clone());
        assert_eq!(fetch_listed(&vault, &key(), Some(&held), &listed).await.unwrap(), held, "{says:?}");
        assert_eq!(*vault.descriptions.lock().unwrap(), 1, "{says:?}");
    }
}

#[tokio::test]
async fn an_old_list_hides_no_newer_version_and_no_move_of_the_previous_one() {
    let vault = current_and_previous();
    let held = rotated_once(&vault).await;
    let old = Listed::Says(said("v2", Some("v1")));
    *vault.described.lock().unwrap() = Some(said("v3", Some("v2")));
    *vault.answers.lock().unwrap() =
        vec![Ok(Some(("v3", r#"{"token":"newer"}"#))), Ok(Some(("v2", r#"{"token":"new"}"#)))];
    let rotated = fetch_listed(&vault, &key(), Some(&held), &old).await.unwrap();
    assert_eq!(rotated.current.version_id, "v3");
    assert_eq!(rotated.description, Some(said("v3", Some("v2"))));
    // Also where nothing is held that could tell.
    *vault.described.lock().unwrap() = Some(said("v2", Some("v0")));
    *vault.answers.lock().unwrap() =
        vec![Ok(Some(("v2", r#"{"token":"new"}"#))), Ok(Some(("v0", r#"{"token":"older"}"#)))];
    let first = fetch_listed(&vault, &key(), None, &old).await.unwrap();
    assert_eq!(first.previous_version_id.as_deref(), Some("v0"));
    assert_eq!(first.description, Some(said("v2", Some("v0"))));
    // Nor does a list of another current version describe this one.
    *vault.described.lock().unwrap() = Some(said("v2", None));
    *vault.answers.lock().unwrap() = vec![Ok(Some(("v2", r#"{"token":"new"}"#))), Ok(None)];
    let first = fetch_listed(&vault, &key(), None, &Listed::Says(said("v1", None))).await.unwrap();
    assert_eq!((first.previous_version_id.as_ref(), &first.description), (None, &Some(said("v2", None))));
}

#[tokio::test]
async fn a_list_that_is_to_come_spares_the_first_description_and_hides_no_new_version() {
    let vault = current_and_previous();
    *vault.described.lock().unwrap() = Some(said("v2", Some("v1")));
    let held = fetch_listed(&vault, &key(), None, &Listed::Soon).await.unwrap();
    assert_eq!((held.previous_version_id.as_deref(), &held.description), (Some("v1"), &None));
    assert_eq!(*vault.descriptions.lock().unwrap(), 0);
    assert_eq!(fetch_listed(&vault, &key(), Some(&held), &Listed::Soon).await.unwrap(), held);
    assert_eq!(*vault.descriptions.lock().unwrap(), 0);
    *vault.described.lock().unwrap() = Some(said("v3", Some("v2")));
    *vault.answers.lock().unwrap() =
        vec![Ok(Some(("v3", r#"{"token":"newer"}"#))), Ok(Some(("v2", r#"{"token":"new"}"#)))];
    let rotated = fetch_listed(&vault, &key(), Some(&held), &Listed::Soon).await.unwrap();
    assert_eq!(rotated.description, Some(said("v3", Some("v2"))));
}

#[tokio::test]
async fn a_rotation_between_the_two_reads_is_noticed() {
    let vault = Scripted::new(vec![
        Ok(Some(("v1", r#"{"token":"a"}"#))),
        Ok(Some(("v1", r#"{"token":"a"}"#))),
        Ok(Some(("v2", r#"{"token":"b"}"#))),
        Ok(Some(("v1", r#"{"token":"a"}"#))),
    ]);
    let held = fetch(&vault, &key(), None).await.unwrap();
    assert_eq!((held.current.version_id.as_str(), held.previous.unwrap().version_id.as_str()), ("v2", "v1"));
}

#[tokio::test]
async fn a_previous_version_that_cannot_be_read_now_holds_the_rotation_back() {
    let fault = VaultFault::new(Reason::VaultUnavailable, "AWS is away");
    let vault = Scripted::new(vec![Ok(Some(("v2", r#"{"token":"b"}"#))), Err(fault.clone())]);
    assert_eq!(fetch(&vault, &key(), None).await.unwrap_err(), fault);
}

#[tokio::test]
async fn a_missing_secret_says_its_name() {
    let vault = Scripted::new(vec![Ok(None)]);
    let fault = fetch(&vault, &key(), None).await.unwrap_err();
    assert_eq!(fault.reason, Reason::SecretMissing);
    assert!(fault.message.contains("shop/shopify"), "{fault}");
}

#[tokio::test]
async fn a_malformed_secret_is_refused_without_showing_it() {
    for text in ["hush", r#"["hush"]"#, r#"{"token":{"hush":"hush"}}"#, r#"{"token":null,"hush":"hush"}"#] {
        let vault = Scripted::new(vec![Ok(Some(("v1", text))), Ok(None)]);
        let fault = fetch(&vault, &key(), None).await.unwrap_err();
        assert_eq!(fault.reason, Reason::SecretMalformed);
        assert!(fault.message.contains("v1") && !fault.message.contains("hush"), "{fault}");
    }
}

#[test]
fn printing_a_stored_value_shows_no_text() {
    let text = Some(Zeroizing::new("hush".to_owned()));
    let stored = StoredValue { version_id: "v1".into(), made_at: None, text };
    assert!(!format!("{stored:?}").contains("hush"));
}
