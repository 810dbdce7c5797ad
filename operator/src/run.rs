//! From start to stop: serve health, become the leader, run the controllers, hand over.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use crosstie_connect::Surroundings;
use crosstie_engine::proxy::Proxy;
use http::{HeaderValue, header::USER_AGENT};
use jiff::Timestamp;
use kube::{Api, Client, Config};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    broker::{Broker, Servers, Work, books, renewal::Renewals, seats::Seats},
    cache,
    context::{Context, Shared},
    controller,
    events::Recorder,
    leader::Election,
    memory::Memory,
    settings::Settings,
    telemetry::{self, Metrics, Readiness},
    vault::{
        SecretKey,
        aws::{
            self, SecretsManager,
            queue::{ChangeQueue, VISIBILITY},
        },
        push::Push,
        secrets::Secrets,
        sweep::Sweep,
    },
};

/// Since this minor version of Kubernetes 1, API servers stream initial lists unless they are told not to.
const STREAMING_LISTS_SINCE: u32 = 34;

/// Runs the operator until it is stopped or loses its lease.
///
/// # Errors
/// When it cannot start, or lost its lease; starting it again is the cure.
pub async fn run(settings: Settings, stop: CancellationToken) -> anyhow::Result<()> {
    let metrics = Metrics::default();
    let readiness = Readiness::default();
    let listener = TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("cannot listen on {}: choose another --listen", settings.listen))?;
    let serving = CancellationToken::new();
    let server = tokio::spawn(telemetry::serve(listener, metrics.clone(), readiness.clone(), serving.clone()));
    let clients = connect().await?;
    let version = clients.requests.apiserver_version().await.context("the Kubernetes API server does not answer")?;
    tracing::info!(kubernetes = version.git_version, "started");
    // While the lease is asked for, so that neither waits for the other.
    let (early, namespaces) = (clients.watches.clone(), scope_names(&settings));
    tokio::spawn(async move { cache::ask_early(&early, namespaces.first().and_then(Option::as_deref)).await });
    let identity = settings.replica();
    let leases = Api::namespaced(clients.requests.clone(), &settings.operator_namespace);
    let election = Election::new(leases, settings.lease_name.clone(), identity.clone());
    // A replica that stands by is ready: it can take over.
    readiness.set(true);
    if election.win(&stop).await {
        tracing::info!(identity, "this replica leads");
        metrics.leading(true);
        readiness.set(false);
        let streaming =
            version.minor.trim_end_matches('+').parse().is_ok_and(|minor: u32| minor >= STREAMING_LISTS_SINCE);
        let outcome = lead(&settings, clients, metrics, readiness, &election, streaming, &stop).await;
        // After a failure the process ends first: what it may still be writing must not overlap with the next leader's work.
        outcome?;
        election.release().await;
    }
    serving.cancel();
    server.await??;
    Ok(())
}

/// Ways to the API server.
struct Clients {
    /// Tries again by itself, as late as the server asks.
    requests: Client,
    /// Tries nothing again: how long a watch waits is decided where it is kept.
    watches: Client,
}

async fn lead(
    settings: &Settings,
    clients: Clients,
    metrics: Metrics,
    readiness: Readiness,
    election: &Election,
    streaming: bool,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let (secrets, asked) = Secrets::new();
    let (broker, errands) = Broker::new();
    let shared = Arc::new(Shared {
        client: clients.requests.clone(),
        compile: settings.compile_settings(),
        template: settings.worker_template(),
        secret_names: settings.secret_names(),
        secrets: Arc::new(secrets),
        broker: Arc::new(broker),
        recorder: Recorder::new(clients.requests, settings.replica()),
        metrics,
    });
    let working = stop.child_token();
    let mut tasks = tokio::task::JoinSet::new();
    let mut scopes = Vec::new();
    let names = scope_names(settings);
    let unseen = Arc::new(AtomicUsize::new(names.len()));
    let all_seen = CancellationToken::new();
    for namespace in names {
        let (cache, watches) = cache::start(&clients.watches, namespace.as_deref(), streaming);
        let cx = Arc::new(Context { shared: shared.clone(), cache, memory: Memory::default() });
        let seen = count_down(unseen.clone(), readiness.clone(), all_seen.clone());
        tasks.spawn(controller::run(cx.clone(), watches, settings.concurrency, seen, working.clone()));
        scopes.push(cx);
    }
    let vault = Arc::new(SecretsManager::new(aws::environment, shared.metrics.clone()));
    let sweep = sweep(&shared, vault.clone(), scopes.clone(), settings);
    let work = work(&shared, vault.clone(), settings.checked_proxy()?, working.clone());
    let renewing = tokio::spawn(work.run(errands, working.clone()));
    tasks.spawn({
        let working = working.clone();
        async move {
            sweep.run(asked, working).await;
            Ok(())
        }
    });
    if let Some(url) = settings.queue() {
        let queue = ChangeQueue::new(vault, url, VISIBILITY);
        let listening = listen(push(&shared, queue, scopes.clone()), all_seen, working.clone());
        tasks.spawn(async move {
            listening.await;
            Ok(())
        });
    }
    let kept = tokio::select! {
        kept = election.hold(stop) => kept,
        ended = tasks.join_next() => {
            working.cancel();
            ended.transpose()?.transpose()?;
            stop.is_cancelled()
        }
    };
    working.cancel();
    if !kept {
        // Without the lease another replica may be writing already: what is under way is cut off.
        tasks.abort_all();
    }
    // A token that is being renewed is claimed: nobody else does it, so it is finished also without the lease.
    renewing.await?;
    if !kept {
        anyhow::bail!("this replica no longer leads: it ends, to be started again as one that stands by");
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

/// Tells that one scope has been seen; the last one makes the operator ready.
fn count_down(unseen: Arc<AtomicUsize>, readiness: Readiness, all_seen: CancellationToken) -> impl FnOnce() {
    move || {
        if unseen.fetch_sub(1, Ordering::AcqRel) == 1 {
            tracing::info!("the cluster has been seen");
            readiness.set(true);
            all_seen.cancel();
        }
    }
}

async fn connect() -> anyhow::Result<Clients> {
    let mut config =
        Config::infer().await.context("no way to a Kubernetes API server: run in a pod, or set KUBECONFIG")?;
    let agent = concat!("crosstie-operator/", env!("CARGO_PKG_VERSION"));
    config.headers.push((USER_AGENT, HeaderValue::from_static(agent)));
    clients(config)
}

fn clients(config: Config) -> anyhow::Result<Clients> {
    let mut once = config.clone();
    once.default_retry = false;
    let client = |config| Client::try_from(config).context("the way to the Kubernetes API server cannot be used");
    Ok(Clients { requests: client(config)?, watches: client(once)? })
}

/// One scope for all namespaces, or one each.
fn scope_names(settings: &Settings) -> Vec<Option<String>> {
    let named: BTreeSet<&String> = settings.namespaces.iter().filter(|name| !name.is_empty()).collect();
    if named.is_empty() { vec![None] } else { named.into_iter().cloned().map(Some).collect() }
}

/// Listens for changes from when it is known who uses which secret. It is told so: a reflector wakes only one of those that wait for it, and the
/// controllers do.
async fn listen<U, T>(push: Push<ChangeQueue, U, T>, all_seen: CancellationToken, stop: CancellationToken)
where
    U: Fn() -> BTreeSet<SecretKey> + Send + Sync,
    T: Fn(&SecretKey) -> bool + Send + Sync,
{
    tokio::select! {
        () = stop.cancelled() => {}
        () = all_seen.cancelled() => push.run(stop).await,
    }
}

fn push(
    shared: &Shared,
    queue: ChangeQueue,
    scopes: Vec<Arc<Context>>,
) -> Push<ChangeQueue, impl Fn() -> BTreeSet<SecretKey> + use<>, impl Fn(&SecretKey) -> bool + use<>> {
    let holders = scopes.clone();
    Push {
        queue,
        secrets: shared.secrets.clone(),
        used: move || scopes.iter().flat_map(|cx| cx.used_secrets()).collect(),
        told: move |secret: &SecretKey| holders.iter().all(|cx| cx.is_told(secret)),
        metrics: shared.metrics.clone(),
    }
}

fn work(
    shared: &Shared,
    vault: Arc<SecretsManager>,
    proxy: Option<Proxy>,
    stop: CancellationToken,
) -> Work<books::Secrets, Arc<SecretsManager>, Servers, fn() -> Timestamp> {
    let surroundings = Surroundings { proxy, ..Surroundings::default() };
    Work {
        broker: shared.broker.clone(),
        renewals: Renewals {
            books: books::Secrets { client: shared.client.clone(), metrics: shared.metrics.clone() },
            safe: vault,
            grantor: Servers::new(surroundings, shared.metrics.clone()),
            now: Timestamp::now,
            id: || Uuid::new_v4().to_string(),
            seats: Seats::default(),
            stop,
        },
        secrets: shared.secrets.clone(),
        jitter: rand::random,
    }
}

fn sweep(
    shared: &Shared,
    vault: Arc<SecretsManager>,
    scopes: Vec<Arc<Context>>,
    settings: &Settings,
) -> Sweep<SecretsManager, impl Fn() -> BTreeSet<SecretKey> + use<>, fn() -> f64> {
    Sweep {
        vault,
        secrets: shared.secrets.clone(),
        used: move || scopes.iter().flat_map(|cx| cx.used_secrets()).collect(),
        interval: Duration::from_secs(settings.sweep_interval_seconds.into()),
        jitter: rand::random,
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Mutex};

    use axum::{Router, body::Body, http::StatusCode, response::IntoResponse};
    use futures::{StreamExt, stream};
    use http::Uri;

    use super::*;

    /// What an API server answers to a stream of a kind: refused the first time it is asked for, for an hour as it says, and served from then on.
    fn streamed(asked: &Mutex<BTreeSet<String>>, uri: &Uri) -> axum::response::Response {
        let first = asked.lock().unwrap().insert(uri.to_string());
        if first {
            let body = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"storage is (re)initializing","code":429}"#;
            return (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "3600")], body).into_response();
        }
        let end = r#"{"type":"BOOKMARK","object":{"apiVersion":"v1","kind":"X","metadata":{"resourceVersion":"1","annotations":{"k8s.io/initial-events-end":"true"}}}}"#;
        let line = stream::iter([Ok::<_, std::convert::Infallible>(format!("{end}\n"))]);
        Body::from_stream(line.chain(stream::pending())).into_response()
    }

    #[tokio::test]
    async fn kinds_that_the_api_server_was_never_asked_for_are_seen_without_the_wait_it_asks_for() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let asked: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let seen = Arc::clone(&asked);
        let answer = move |uri: Uri| async move { streamed(&seen, &uri) };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
        let clients = clients(Config::new(url.parse().unwrap())).unwrap();
        let (cache, watches) = cache::start(&clients.watches, None, true);
        let count = watches.len();
        let feed = tokio::spawn(stream::select_all(watches).for_each(|_| async {}));
        tokio::time::timeout(Duration::from_mins(1), cache.ready()).await.unwrap().unwrap();
        assert_eq!(asked.lock().unwrap().len(), count, "each watch was refused once");
        feed.abort();
    }
}
