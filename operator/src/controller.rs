//! The two controllers: what a look at an object is, and what leads to one. `reconcile` tells the story; everything it does lives
//! elsewhere.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use crosstie_crds::{Connector, Integration};
use futures::{FutureExt, StreamExt, stream};
use jiff::Timestamp;
use kube::{
    Resource,
    runtime::{
        controller::{Action, Config, Error, applier},
        reflector::{ObjectRef, Store},
    },
};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{
    apply::{self, ApplyFault},
    cache::{Cache, Watches},
    context::{Concerned, Context},
    observe, plan, status,
    trigger::Key,
};

/// Wait after a first failure; it doubles with each further one in a row.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest wait after a failure.
const LONGEST_RETRY: Duration = Duration::from_mins(5);

/// Why a look at an object ended early. It is repeated soon.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Something could not be read.
    #[error("{0} could not be observed")]
    Observe(Key, #[source] kube::Error),
    /// Something could not be written; status says so.
    #[error("{0} could not be applied completely")]
    Apply(Key, #[source] Box<ApplyFault>),
    /// Status could not be written.
    #[error("status of {0} could not be written")]
    Status(Key, #[source] kube::Error),
    /// The look was cut short.
    #[error("a look at an object was cut short")]
    Interrupted(#[source] tokio::task::JoinError),
}

/// Looks at a Connector.
///
/// # Errors
/// [`Fault`].
pub async fn reconcile_connector(object: Arc<Connector>, cx: Arc<Context>) -> Result<Action, Fault> {
    let key = Key::of(&object.metadata);
    if object.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let changes = cx.secret_changes(&object);
    let seen = observe::connector(&cx, &object);
    let want = plan::connector::connector(&seen, cx.now());
    let done = apply::converge(&cx, &key.namespace, &want.steps).await;
    let failure = done.as_ref().err().map(ToString::to_string);
    let after = want.status_after(failure.as_deref(), cx.now());
    let later = status::connector(&cx, &seen.connector, after, cx.now()).await;
    let later = later.map_err(|error| Fault::Status(key.clone(), error))?;
    done.map_err(|fault| Fault::Apply(key.clone(), Box::new(fault)))?;
    cx.memory.told.lock().insert(key, changes);
    cx.rotate(want.to_rotate(cx.now()));
    if let Some(errand) = want.errand {
        cx.shared.broker.send(errand);
    }
    Ok(again(later.map_or(want.look_again, |later| later.min(want.look_again)), cx.now()))
}

/// Looks at an Integration.
///
/// # Errors
/// [`Fault`].
pub async fn reconcile_integration(object: Arc<Integration>, cx: Arc<Context>) -> Result<Action, Fault> {
    let key = Key::of(&object.metadata);
    if object.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let seen = observe::integration(&cx, &object).await.map_err(|error| Fault::Observe(key.clone(), error))?;
    let want = plan::integration::integration(&seen, &cx.shared.template, cx.now());
    let done = apply::converge(&cx, &key.namespace, &want.steps).await;
    let failure = done.as_ref().err().map(ToString::to_string);
    let after = want.status_after(failure.as_deref(), cx.now());
    let later = status::integration(&cx, &seen.integration, after, cx.now()).await;
    let later = later.map_err(|error| Fault::Status(key.clone(), error))?;
    done.map_err(|fault| Fault::Apply(key, Box::new(fault)))?;
    Ok(again(later.map_or(want.look_again, |later| later.min(want.look_again)), cx.now()))
}

/// Looks again at that time, a little later so that looks spread.
fn again(at: Timestamp, now: Timestamp) -> Action {
    let wait = Duration::try_from(at.duration_since(now)).unwrap_or_default();
    let spread = wait.mul_f64(0.1 * rand::random::<f64>()).min(Duration::from_mins(1));
    Action::requeue(wait.max(Duration::from_millis(100)) + spread)
}

/// Runs both controllers of a scope until they are stopped; looks under way are finished. `seen` is called once, when everything was
/// listed.
///
/// # Errors
/// When the watches end by themselves.
pub async fn run(
    cx: Arc<Context>,
    watches: Watches,
    concurrency: u16,
    seen: impl FnOnce(),
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let (connectors, connector_queue) = mpsc::unbounded_channel();
    let (integrations, integration_queue) = mpsc::unbounded_channel();
    let send = move |concerned: Concerned| {
        // Nobody listens only while the operator is stopping.
        for key in concerned.connectors {
            let _ = connectors.send(key);
        }
        for key in concerned.integrations {
            let _ = integrations.send(key);
        }
    };
    let feed = tokio::spawn(feed(cx.clone(), watches, send));
    tokio::select! {
        () = stop.cancelled() => return Ok(()),
        ready = cx.cache.ready() => ready?,
    }
    seen();
    let config = Config::default().concurrency(concurrency);
    let connectors = control(
        "connector",
        cx.cache.connectors.clone(),
        connector_queue,
        reconcile_connector,
        &cx,
        config.clone(),
        &stop,
    );
    let integrations = control(
        "integration",
        cx.cache.integrations.clone(),
        integration_queue,
        reconcile_integration,
        &cx,
        config,
        &stop,
    );
    tokio::join!(connectors, integrations);
    feed.abort();
    anyhow::ensure!(stop.is_cancelled(), "the watches ended: the operator must be started again");
    Ok(())
}

/// Passes on whom changes in the cluster, in vaults and of access tokens concern.
async fn feed(cx: Arc<Context>, watches: Watches, send: impl Fn(Concerned)) {
    let mut targets = stream::select_all(watches);
    let (mut secrets, mut tokens) = (cx.shared.secrets.changes(), cx.shared.broker.changes());
    loop {
        let connectors = tokio::select! {
            target = targets.next() => match target {
                Some(target) => {
                    send(cx.resolve(target));
                    continue;
                }
                None => return,
            },
            change = secrets.recv() => change.map(|secret| cx.holders_of(&secret)),
            change = tokens.recv() => change.map(|key| {
                let ours = Cache::get(&cx.cache.connectors, &key).is_some();
                ours.then_some(key).into_iter().collect()
            }),
        };
        match connectors {
            Ok(connectors) => send(Concerned { connectors, ..Concerned::default() }),
            Err(broadcast::error::RecvError::Lagged(_)) => {
                let all = cx.cache.connectors.state();
                let connectors = all.iter().map(|connector| Key::of(&connector.metadata)).collect();
                send(Concerned { connectors, ..Concerned::default() });
            }
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

type Look = Pin<Box<dyn Future<Output = Result<Action, Fault>> + Send>>;

/// One controller: looks at what is queued, a bounded number at a time and never twice at the same object.
async fn control<K, F>(
    name: &'static str,
    store: Store<K>,
    queue: mpsc::UnboundedReceiver<Key>,
    reconcile: impl Fn(Arc<K>, Arc<Context>) -> F + Copy + Send + 'static,
    cx: &Arc<Context>,
    config: Config,
    stop: &CancellationToken,
) where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Action, Fault>> + Send + 'static,
{
    let queue = stream::unfold(queue, |mut queue| async move { queue.recv().await.map(|key| (key, queue)) })
        .map(|key| Ok::<_, std::convert::Infallible>(ObjectRef::<K>::new(&key.name).within(&key.namespace)))
        .take_until(stop.clone().cancelled_owned());
    let look = move |object: Arc<K>, cx: Arc<Context>| -> Look {
        let started = std::time::Instant::now();
        let key = Key::of(object.meta());
        // A task of its own keeps a panic from ending the operator.
        let task = tokio::spawn(reconcile(object, cx.clone()).in_current_span());
        Box::pin(task.map(move |joined| {
            let outcome = joined.unwrap_or_else(|error| Err(Fault::Interrupted(error)));
            cx.shared.metrics.reconciled(name, outcome.is_ok(), started.elapsed());
            if outcome.is_ok() {
                cx.memory.failures.lock().remove(&(name, key));
            }
            outcome
        }))
    };
    let policy = move |object: Arc<K>, _: &Fault, cx: Arc<Context>| {
        let mut failures = cx.memory.failures.lock();
        let failures = failures.entry((name, Key::of(object.meta()))).or_insert(0);
        *failures = failures.saturating_add(1);
        Action::requeue(backoff(*failures, rand::random()))
    };
    applier(look, policy, cx.clone(), store, queue.boxed(), config)
        .for_each(|outcome| {
            settle(name, outcome.err(), cx);
            futures::future::ready(())
        })
        .await;
}

fn settle<E: std::error::Error>(name: &'static str, error: Option<Error<Fault, E>>, cx: &Context) {
    match error {
        None => {}
        Some(Error::ObjectNotFound(reference)) => {
            let key = Key::new(reference.namespace.as_deref().unwrap_or_default(), &reference.name);
            match name {
                "connector" => {
                    cx.memory.forget_connector(&key);
                    cx.shared.broker.forget(&key);
                }
                _ => cx.memory.forget_integration(&key),
            }
        }
        Some(Error::ReconcilerFailed(fault, _)) => {
            let cause = std::error::Error::source(&fault).map(ToString::to_string).unwrap_or_default();
            tracing::warn!(controller = name, error = %fault, cause, "a look failed; it is repeated");
        }
        Some(other) => tracing::error!(controller = name, error = %other, "a controller failed"),
    }
}

fn backoff(failures: u32, random: f64) -> Duration {
    let wait = FIRST_RETRY.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_RETRY);
    wait.mul_f64(0.75 + 0.25 * random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_after_failures_grow_and_are_bounded() {
        assert_eq!(backoff(1, 1.0), FIRST_RETRY);
        assert_eq!(backoff(4, 1.0), Duration::from_secs(8));
        assert_eq!(backoff(1000, 1.0), LONGEST_RETRY);
    }
}
