//! The server: which paths there are, starting and stopping.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::Response;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::control::{self, Client, ControlError};
use crate::dispatch::{App, dispatch};
use crate::instance::Instances;
use crate::line::{Line, Lines};

/// Serves all vendors on `listener` until `shutdown` completes, then lets requests under way finish; those that a fault
/// keeps waiting are cut.
///
/// # Errors
/// What the listener says.
pub async fn serve(listener: TcpListener, shutdown: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    let (stop, stopping) = watch::channel(false);
    let app = App { instances: Arc::new(Instances::default()), stopping };
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .nest("/_control", control::routes::router())
        .fallback(any)
        .with_state(app)
        .into_make_service_with_connect_info::<Line>();
    let stopped = async move {
        shutdown.await;
        stop.send_replace(true);
    };
    axum::serve(Lines(listener), router).with_graceful_shutdown(stopped).await
}

async fn any(State(app): State<App>, ConnectInfo(line): ConnectInfo<Line>, request: Request) -> Response<Body> {
    dispatch(app, line, request).await
}

/// A simulator inside this process, for tests. Stops when dropped.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<io::Result<()>>,
}

impl Simulator {
    /// Starts one on a free port of the loopback interface. Needs a tokio runtime.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(serve(listener, async {
            let _told_or_dropped = stopped.await;
        }));
        Ok(Self { address, stop: Some(stop), task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://ADDRESS`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client for the control API of one instance.
    ///
    /// # Errors
    /// See [`Client::new`].
    pub fn control(&self, vendor: &str, instance: &str) -> Result<Client, ControlError> {
        Client::new(&self.url(), vendor, instance)
    }

    /// Stops and waits until every connection is closed.
    ///
    /// # Errors
    /// What [`serve`] ended with.
    pub async fn stop(mut self) -> io::Result<()> {
        self.stop.take();
        match (&mut self.task).await {
            Ok(result) => result,
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop.take();
    }
}
