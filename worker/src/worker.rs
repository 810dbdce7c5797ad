//! A worker as a whole: started from settings, asked how it is, and stopped. It runs the same in a pod, from the command line and in a test.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc};

use crosstie_connect::{Clock, Surroundings};
use crosstie_crds::sync_report::WorkerReport;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    admin::{self, Admin},
    alerts::{self, Outlook},
    board::Board,
    calls::{self, Watcher},
    files::Files,
    letters::{self, Letters},
    metrics::Metrics,
    receiver::{self, Receiver},
    report::{ReportTarget, Reporter, publish},
    resync,
    serve::serve,
    store::CallBook,
    supervisor::Supervisor,
    trouble::StoreTrouble,
};

/// How a worker is to run.
#[derive(Clone)]
pub struct Settings {
    /// Folder with `plan/plan.json`, `shares/shares.json` and `credentials/{source,destination,alerts/NAME}/credentials.json`. They may come
    /// later and change at any time.
    pub files: PathBuf,
    /// Folder of the store; made if it is not there.
    pub state: PathBuf,
    /// Name of the pod, or of whatever stands in for one, in reports.
    pub pod: String,
    /// Where probes and metrics are served, if anywhere. Port 0 takes a free one.
    pub listen: Option<SocketAddr>,
    /// Where dead letters are served, if anywhere: a loopback address, because whoever reaches it may decide about them. Port 0 takes a free
    /// one.
    pub letters_listen: Option<SocketAddr>,
    /// Where webhooks are received, if anywhere. Port 0 takes a free one.
    pub webhooks_listen: Option<SocketAddr>,
    /// Where reports are written, if anywhere.
    pub report: Option<ReportTarget>,
    /// Clock, name resolution, trust and patience. Its observer is replaced by the worker's own.
    pub surroundings: Surroundings,
}

/// Why a worker cannot start. Everything that can heal by itself, such as missing files or a locked store, is no reason.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address for probes and metrics, for dead letters or for webhooks cannot be used.
    #[error(
        "nothing can be served at {address}: choose another address with --listen, --letters-listen or --webhooks-listen"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A running worker. Dropping it stops it without waiting; whatever was under way is resolved by the next start.
pub struct Worker {
    letters: Letters,
    letters_address: Option<SocketAddr>,
    webhooks_address: Option<SocketAddr>,
    board: Arc<Board>,
    metrics: Arc<Metrics>,
    reporter: Arc<Reporter>,
    address: Option<SocketAddr>,
    stop: CancellationToken,
    outer_stop: CancellationToken,
    alerts_stop: CancellationToken,
    alerts: JoinHandle<()>,
    supervisor: JoinHandle<()>,
    others: Vec<JoinHandle<()>>,
}

impl Worker {
    /// Starts a worker. Needs a multi-threaded tokio runtime.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let Settings { files, state, pod, listen, letters_listen, webhooks_listen, report, mut surroundings } =
            settings;
        // Only the first provider counts, and whoever uses the library may have chosen one.
        let _chosen = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let clock: Arc<dyn Clock> = Arc::clone(&surroundings.clock);
        let metrics = Arc::new(Metrics::default());
        let book = Arc::<CallBook>::default();
        let (counts, notes) = (Arc::clone(&metrics), Arc::clone(&book));
        surroundings.observer = Arc::new(Watcher { metrics: counts, book: notes, clock: Arc::clone(&clock) });
        let board = Arc::new(Board::new(clock.now(), Arc::<StoreTrouble>::default()));
        let reporter = Arc::new(Reporter::new(Arc::clone(&board), Arc::clone(&metrics), Arc::clone(&clock), pod));
        let (stop, outer_stop) = (CancellationToken::new(), CancellationToken::new());
        let mut others = Vec::new();
        let mut address = None;
        if let Some(listen) = listen {
            let admin =
                Admin { board: Arc::clone(&board), metrics: Arc::clone(&metrics), reporter: Arc::clone(&reporter) };
            let served = serve("probes and metrics", admin::router(admin), listen, outer_stop.clone()).await;
            let (at, task) = served.map_err(|source| StartError::Listen { address: listen, source })?;
            address = Some(at);
            others.push(task);
        }
        let letters = Letters::new(Arc::clone(&board), Arc::clone(&clock));
        let mut letters_address = None;
        if let Some(listen) = letters_listen {
            let router = letters::router(letters.clone())
                .merge(resync::router(Arc::clone(&board)))
                .merge(calls::router(Arc::clone(&board), Arc::clone(&book)));
            let served = serve("what people decide", router, listen, outer_stop.clone()).await;
            let (at, task) = served.map_err(|source| StartError::Listen { address: listen, source })?;
            letters_address = Some(at);
            others.push(task);
        }
        let mut webhooks_address = None;
        if let Some(listen) = webhooks_listen {
            let receiver = Receiver::new(Arc::clone(&board), Arc::clone(&clock), Arc::clone(&metrics));
            // Ended before the store is closed: what is under way is answered.
            let served = receiver::serve(receiver, listen, stop.clone()).await;
            let (at, task) = served.map_err(|source| StartError::Listen { address: listen, source })?;
            webhooks_address = Some(at);
            others.push(task);
        }
        if let Some(target) = report {
            others.push(tokio::spawn(publish(target, Arc::clone(&reporter), Arc::clone(&clock), outer_stop.clone())));
        }
        let outlook = Outlook {
            board: Arc::clone(&board),
            reporter: Arc::clone(&reporter),
            clock: Arc::clone(&clock),
            surroundings: surroundings.clone(),
            metrics: Arc::clone(&metrics),
        };
        let alerts_stop = CancellationToken::new();
        let alerts = tokio::spawn(alerts::run(outlook, alerts_stop.clone()));
        let files = Files::new(&files);
        let supervisor = Supervisor::new(
            (files, state),
            Arc::clone(&board),
            Arc::clone(&clock),
            surroundings,
            Arc::clone(&metrics),
            book,
        );
        let supervisor = tokio::spawn(supervisor.run(stop.clone()));
        Ok(Self {
            letters,
            letters_address,
            webhooks_address,
            board,
            metrics,
            reporter,
            address,
            stop,
            outer_stop,
            alerts_stop,
            alerts,
            supervisor,
            others,
        })
    }

    /// Where probes and metrics are served.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// What the worker would report now.
    pub async fn report(&self) -> WorkerReport {
        self.reporter.report().await
    }

    /// Why it is not ready, if it is not.
    pub fn unready(&self) -> Option<String> {
        self.board.unready()
    }

    /// Its dead letters.
    pub fn letters(&self) -> &Letters {
        &self.letters
    }

    /// Where its dead letters are served.
    pub fn letters_address(&self) -> Option<SocketAddr> {
        self.letters_address
    }

    /// Where webhooks are received.
    pub fn webhooks_address(&self) -> Option<SocketAddr> {
        self.webhooks_address
    }

    /// The metrics in the `OpenMetrics` text format, as they were last refreshed.
    pub fn metrics(&self) -> String {
        self.metrics.encode()
    }

    /// Stops: nothing new is begun, calls under way finish or are given up after half a minute, the store is closed. Probes and reports go on
    /// until then.
    pub async fn stop(mut self) {
        // While the store is open, so that what is accepted now is not sent again after the next start.
        self.alerts_stop.cancel();
        let _ended = (&mut self.alerts).await;
        self.stop.cancel();
        // A supervisor that broke off has nothing left to wait for.
        let _ended = (&mut self.supervisor).await;
        self.outer_stop.cancel();
        for task in std::mem::take(&mut self.others) {
            let _ended = task.await;
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.alerts_stop.cancel();
        self.stop.cancel();
        self.outer_stop.cancel();
    }
}
