use crosstie_crds::names::{LABEL_MANAGED_BY, MANAGED_BY};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;

use super::*;

fn meta(namespace: &str, name: &str, integration: &str, version: &str) -> ObjectMeta {
    serde_json::from_value(json!({
        "name": name, "namespace": namespace, "uid": format!("{name}-uid"), "resourceVersion": version, "generation": 3,
        "creationTimestamp": "2026-01-02T03:04:05Z", "deletionTimestamp": "2026-01-02T03:04:06Z",
        "labels": {LABEL_INTEGRATION: integration},
        "annotations": {"crosstie.dev/plan-hash": "p1", "other": "\"ü\"\n"},
        "ownerReferences": [{"apiVersion": "crosstie.dev/v1alpha1", "kind": "Integration", "name": integration, "uid": "u", "controller": true}],
        "finalizers": ["kubernetes.io/pvc-protection"],
    }))
    .unwrap()
}

fn map(name: &str, version: &str) -> ConfigMap {
    ConfigMap { metadata: meta("shop", name, "orders", version), ..ConfigMap::default() }
}

fn version(owned: &Owned, name: &str) -> Option<String> {
    owned.get(&Key::new("shop", name)).and_then(|meta| meta.resource_version)
}

#[test]
fn what_is_kept_is_all_of_it() {
    let (owned, mut keeper) = new();
    keeper.take(&Event::Apply(map("orders-plan", "7")));
    assert_eq!(owned.get(&Key::new("shop", "orders-plan")), Some(meta("shop", "orders-plan", "orders", "7")));
    assert_eq!(owned.get(&Key::new("bank", "orders-plan")), None);
}

#[test]
fn objects_are_found_by_their_integration() {
    let (owned, mut keeper) = new();
    for (namespace, name, integration) in
        [("shop", "a", "orders"), ("shop", "b", "orders"), ("shop", "c", "refunds"), ("bank", "a", "orders")]
    {
        keeper.take(&Event::Apply(ConfigMap {
            metadata: meta(namespace, name, integration, "1"),
            ..ConfigMap::default()
        }));
    }
    let nobodys = ObjectMeta { labels: None, ..meta("shop", "d", "orders", "1") };
    keeper.take(&Event::Apply(ConfigMap { metadata: nobodys, ..ConfigMap::default() }));
    let mut names: Vec<_> = owned.of(&Key::new("shop", "orders")).into_iter().filter_map(|meta| meta.name).collect();
    names.sort();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn a_full_list_takes_the_place_of_what_was_there_when_it_has_ended() {
    let (owned, mut keeper) = new();
    keeper.take(&Event::Apply(map("gone", "1")));
    keeper.take(&Event::<ConfigMap>::Init);
    keeper.take(&Event::InitApply(map("stays", "2")));
    assert_eq!((version(&owned, "gone").as_deref(), version(&owned, "stays")), (Some("1"), None));
    keeper.take(&Event::<ConfigMap>::InitDone);
    assert_eq!((version(&owned, "gone"), version(&owned, "stays").as_deref()), (None, Some("2")));
    keeper.take(&Event::Apply(map("stays", "3")));
    assert_eq!(version(&owned, "stays").as_deref(), Some("3"));
    keeper.take(&Event::Delete(map("stays", "4")));
    assert_eq!(version(&owned, "stays"), None);
}

#[test]
fn a_list_that_breaks_off_leaves_what_was_there() {
    let (owned, mut keeper) = new();
    keeper.take(&Event::Apply(map("a", "1")));
    keeper.take(&Event::<ConfigMap>::Init);
    keeper.take(&Event::InitApply(map("half", "1")));
    keeper.take(&Event::<ConfigMap>::Init);
    keeper.take(&Event::InitApply(map("b", "1")));
    keeper.take(&Event::<ConfigMap>::InitDone);
    assert_eq!(
        (version(&owned, "a"), version(&owned, "half"), version(&owned, "b").as_deref()),
        (None, None, Some("1"))
    );
}

#[tokio::test]
async fn it_is_ready_when_everything_was_listed_and_never_when_nobody_lists_any_more() {
    let (owned, mut keeper) = new();
    let waiting = tokio::spawn({
        let owned = owned.clone();
        async move { owned.ready().await }
    });
    keeper.take(&Event::<ConfigMap>::Init);
    keeper.take(&Event::<ConfigMap>::InitDone);
    waiting.await.unwrap().unwrap();
    drop(keeper);
    owned.ready().await.unwrap();
    let (owned, keeper) = new();
    drop(keeper);
    owned.ready().await.unwrap_err();
}

#[test]
fn of_the_labels_those_stay_that_say_whose_an_object_is() {
    let mut object = meta("shop", "orders-plan", "orders", "1");
    let labels = object.labels.get_or_insert_default();
    labels.extend(
        [(LABEL_MANAGED_BY, MANAGED_BY), (LABEL_CONNECTOR, "shopify")].map(|(a, b)| (a.to_owned(), b.to_owned())),
    );
    slim(&mut object);
    let labels = object.labels.unwrap();
    assert_eq!(labels.keys().collect::<Vec<_>>(), [LABEL_CONNECTOR, LABEL_INTEGRATION]);
}
