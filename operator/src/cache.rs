//! What the operator sees of the cluster: one reflector a kind, for all namespaces or for one, and the watches that feed them. What
//! is not looked at is dropped before it is kept. Everything read from here may be stale.

mod owned;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    sync::Arc,
};

use crosstie_crds::{
    Connector, Integration, SyncReport,
    names::{ANNOTATION_NUDGE, LABEL_CREDENTIALS, LABEL_FIXTURES, LABEL_INTEGRATION, LABEL_MANAGED_BY, MANAGED_BY},
};
use futures::{Stream, StreamExt};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, Pod, PodTemplateSpec, Secret},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ApiResource, DynamicObject, ListParams},
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt,
        reflector::{ObjectRef, Store, store::Writer},
        watcher::{self, Event, watcher},
    },
};
use serde::de::DeserializeOwned;

use crate::{
    patience::{Patience, is_not_served_yet},
    plan::{integration::used, objects::ObjectKind},
    trigger::{self, Key, Target, Touch, Tracker},
};

use self::owned::Owned;

/// Metadata of an object of any kind.
pub type Meta = PartialObjectMeta<DynamicObject>;

/// Kinds of which only metadata is watched; the rest is watched in full because its status matters.
const BY_METADATA: [ObjectKind; 9] = [
    ObjectKind::ConfigMap,
    ObjectKind::Secret,
    ObjectKind::VolumeClaim,
    ObjectKind::ServiceAccount,
    ObjectKind::Role,
    ObjectKind::RoleBinding,
    ObjectKind::NetworkPolicy,
    ObjectKind::Service,
    ObjectKind::Ingress,
];

/// The reflectors' readers.
#[derive(Clone)]
pub struct Cache {
    /// Connectors.
    pub connectors: Store<Connector>,
    /// Integrations.
    pub integrations: Store<Integration>,
    /// Reports of workers.
    pub reports: Store<SyncReport>,
    /// Deployments of workers.
    pub deployments: Store<Deployment>,
    /// Pods of workers, without their specs.
    pub pods: Store<Pod>,
    /// People's Secrets that carry the opt-in label.
    pub credentials: Store<Secret>,
    /// People's ConfigMaps with fixtures.
    pub fixtures: Store<ConfigMap>,
    owned: BTreeMap<ObjectKind, Owned>,
}

/// The watches that feed a cache. Each yields whom its changes concern; they must be polled for the cache to live.
pub type Watches = Vec<Watch>;

/// Starts a cache for all namespaces, or for one. The client must not try again by itself: how long a watch waits is decided in `patience`.
pub fn start(client: &Client, namespace: Option<&str>, streaming: bool) -> (Cache, Watches) {
    let source = Source { client: client.clone(), namespace: namespace.map(str::to_owned), streaming };
    let managed = format!("{LABEL_MANAGED_BY}={MANAGED_BY}");
    let mut watches: Watches = Vec::new();
    let mut owned = BTreeMap::new();
    for kind in BY_METADATA {
        let (store, watch) = source.metadata(&kind.resource(), &managed);
        owned.insert(kind, store);
        watches.push(watch);
    }
    macro_rules! watch {
        ($labels:expr, $drop:expr, $touch:expr) => {{
            let (store, watch) = source.typed($labels, $drop, $touch);
            watches.push(watch);
            store
        }};
    }
    let cache = Cache {
        connectors: watch!(None, |_| {}, trigger::connector),
        integrations: watch!(None, |_| {}, trigger::integration),
        reports: watch!(Some(&managed), |_| {}, trigger::report),
        deployments: watch!(Some(&managed), slim_deployment, trigger::deployment),
        pods: watch!(Some(&managed), slim_pod, trigger::pod),
        credentials: watch!(Some(&format!("{LABEL_CREDENTIALS}=true")), |_| {}, trigger::credentials),
        fixtures: watch!(Some(&format!("{LABEL_FIXTURES}=true")), |_| {}, trigger::fixtures),
        owned,
    };
    (cache, watches)
}

/// Asks for one object of each of our own kinds and forgets the answer: an API server begins to keep a kind in memory when it is asked for it for the
/// first time, and refuses watches until it does.
pub async fn ask_early(client: &Client, namespace: Option<&str>) {
    async fn ask<K>(client: &Client, namespace: Option<&str>)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let api: Api<K> = match namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        };
        // Whatever is wrong is said by the watch, which asks again.
        let _ = api.list_metadata(&ListParams::default().limit(1)).await;
    }
    tokio::join!(
        ask::<Connector>(client, namespace),
        ask::<Integration>(client, namespace),
        ask::<SyncReport>(client, namespace)
    );
}

struct Source {
    client: Client,
    namespace: Option<String>,
    streaming: bool,
}

/// One of them.
pub type Watch = futures::stream::BoxStream<'static, Target>;

impl Source {
    fn typed<K>(&self, labels: Option<&str>, drop_unused: fn(&mut K), touch: fn(&K) -> Touch) -> (Store<K>, Watch)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let api = match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let writer = Writer::default();
        let store = writer.as_reader();
        let events = self.events(api, labels, drop_unused).reflect(writer);
        (store, concerned(events, touch).boxed())
    }

    fn metadata(&self, resource: &ApiResource, labels: &str) -> (Owned, Watch) {
        let api: Api<Meta> = match &self.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, resource),
            None => Api::all_with(self.client.clone(), resource),
        };
        let (store, mut keeper) = owned::new();
        let events = self.events(api, Some(labels), |object| owned::slim(&mut object.metadata));
        let events = events.inspect(move |event| {
            if let Ok(event) = event {
                keeper.take(event);
            }
        });
        (store, concerned(events, |object| trigger::owned(&object.metadata)).boxed())
    }

    fn events<K>(
        &self,
        api: Api<K>,
        labels: Option<&str>,
        drop_unused: fn(&mut K),
    ) -> impl Stream<Item = watcher::Result<Event<K>>> + Send + use<K>
    where
        K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let mut config = watcher::Config::default();
        if self.streaming {
            config = config.streaming_lists();
        }
        if let Some(labels) = labels {
            config = config.labels(labels);
        }
        let slim = move |object: &mut K| {
            slim_meta(object.meta_mut());
            drop_unused(object);
        };
        watcher(api, config).backoff(Patience::default()).modify(slim)
    }
}

/// Turns events, after the reflector took them over, into those whom they concern.
fn concerned<K: Resource>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send,
    touch: fn(&K) -> Touch,
) -> impl Stream<Item = Target> + Send {
    let mut tracker = Tracker::default();
    events.flat_map(move |event| {
        let targets = match event {
            Ok(Event::Init) => {
                tracker.begin();
                BTreeSet::new()
            }
            Ok(Event::InitApply(object) | Event::Apply(object)) => {
                tracker.applied(Key::of(object.meta()), touch(&object))
            }
            Ok(Event::InitDone) => tracker.finish(),
            Ok(Event::Delete(object)) => tracker.deleted(&Key::of(object.meta())),
            Err(error) if is_not_served_yet(&error) => {
                tracing::debug!(error = %error, "a kind is not served yet; it is asked for again");
                BTreeSet::new()
            }
            Err(error) => {
                tracing::warn!(error = %error, "a watch was interrupted; it is resumed");
                BTreeSet::new()
            }
        };
        futures::stream::iter(targets)
    })
}

fn slim_meta(meta: &mut ObjectMeta) {
    meta.managed_fields = None;
    if let Some(annotations) = &mut meta.annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
}

fn slim_deployment(deployment: &mut Deployment) {
    deployment.spec.template = PodTemplateSpec::default();
}

fn slim_pod(pod: &mut Pod) {
    pod.spec = None;
    if let Some(annotations) = &mut pod.metadata.annotations {
        annotations.retain(|key, _| key == ANNOTATION_NUDGE);
    }
}

impl Cache {
    /// Waits until everything was listed once. Only one task may wait: of several, the reflectors would wake the last one alone.
    ///
    /// # Errors
    /// When the watches are no longer polled.
    pub async fn ready(&self) -> anyhow::Result<()> {
        self.connectors.wait_until_ready().await?;
        self.integrations.wait_until_ready().await?;
        self.reports.wait_until_ready().await?;
        self.deployments.wait_until_ready().await?;
        self.pods.wait_until_ready().await?;
        self.credentials.wait_until_ready().await?;
        self.fixtures.wait_until_ready().await?;
        for store in self.owned.values() {
            store.ready().await?;
        }
        Ok(())
    }

    /// One object of a kind that has no variants.
    pub fn get<K>(store: &Store<K>, key: &Key) -> Option<Arc<K>>
    where
        K: Resource<DynamicType = ()> + Clone + 'static,
    {
        store.get(&ObjectRef::new(&key.name).within(&key.namespace))
    }

    /// Metadata of one owned object.
    pub fn meta(&self, kind: ObjectKind, key: &Key) -> Option<ObjectMeta> {
        match kind {
            ObjectKind::Deployment => Self::get(&self.deployments, key).map(|object| object.metadata.clone()),
            ObjectKind::SyncReport => Self::get(&self.reports, key).map(|object| object.metadata.clone()),
            _ => self.owned.get(&kind)?.get(key),
        }
    }

    /// Metadata of everything that carries an Integration's label.
    pub fn owned_by(&self, integration: &Key) -> BTreeMap<(ObjectKind, String), ObjectMeta> {
        let mine = |meta: &ObjectMeta| belongs_to(meta, integration);
        let mut owned = BTreeMap::new();
        for (kind, store) in &self.owned {
            for meta in store.of(integration) {
                owned.insert((*kind, meta.name.clone().unwrap_or_default()), meta);
            }
        }
        for object in self.deployments.state_filter(|object| mine(&object.metadata)) {
            owned.insert((ObjectKind::Deployment, object.name_any()), object.metadata.clone());
        }
        for object in self.reports.state_filter(|object| mine(&object.metadata)) {
            owned.insert((ObjectKind::SyncReport, object.name_any()), object.metadata.clone());
        }
        owned
    }

    /// Pods of an Integration's workers.
    pub fn pods_of(&self, integration: &Key) -> Vec<Arc<Pod>> {
        self.pods.state_filter(|pod| belongs_to(&pod.metadata, integration))
    }

    /// Integrations that use one of these Connectors of a namespace.
    pub fn users_of(&self, namespace: &str, connectors: &BTreeSet<String>) -> Vec<Arc<Integration>> {
        self.integrations.state_filter(|object| {
            object.metadata.namespace.as_deref() == Some(namespace)
                && used(object).iter().any(|&name| connectors.contains(name))
        })
    }

    /// Integrations of a namespace.
    pub fn integrations_in(&self, namespace: &str) -> Vec<Arc<Integration>> {
        self.integrations.state_filter(|object| object.metadata.namespace.as_deref() == Some(namespace))
    }
}

fn belongs_to(meta: &ObjectMeta, integration: &Key) -> bool {
    meta.namespace.as_deref() == Some(&integration.namespace)
        && meta.labels.as_ref().and_then(|labels| labels.get(LABEL_INTEGRATION)) == Some(&integration.name)
}
