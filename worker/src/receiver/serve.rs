//! Serving connections: how many, for how long, and how much of each is read.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Head, Receiver,
    body::{self, Unread},
};

/// Most connections at the same time; whoever comes then waits to be accepted.
const MOST_CONNECTIONS: usize = 1024;
/// Most bytes of a request's headers, and of what is read from a connection at once.
const MOST_AT_ONCE: usize = 16 * 1024;
/// Longest time for the headers of a request, and between two requests.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// Longest time for its body.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// How long requests under way may take when it is told to stop.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long is waited after a connection could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until it is told to stop. Says at which address.
pub async fn serve(
    receiver: Receiver,
    listen: SocketAddr,
    stop: CancellationToken,
) -> io::Result<(SocketAddr, JoinHandle<()>)> {
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    Ok((address, tokio::spawn(accept(receiver, listener, stop))))
}

async fn accept(receiver: Receiver, listener: TcpListener, stop: CancellationToken) {
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let connections = TaskTracker::new();
    loop {
        // Never closed, so that there always is a permit in the end.
        let accepted = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            () = stop.cancelled() => break,
            both = accepted => both,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (receiver, stop) = (receiver.clone(), stop.clone());
                connections.spawn(async move {
                    connection(receiver, stream, peer, stop).await;
                    drop(permit);
                });
            }
            // The process has no file left, or the caller is gone already.
            Err(_) => sleep(PAUSE).await,
        }
    }
    connections.close();
    let _late = timeout(PATIENCE, connections.wait()).await;
}

async fn connection(receiver: Receiver, stream: TcpStream, peer: SocketAddr, stop: CancellationToken) {
    // Small answers go out at once.
    let _best_effort = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let receiver = receiver.clone();
        async move { Ok::<_, Infallible>(respond(&receiver, request, peer).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_headers(64)
        .max_buf_size(MOST_AT_ONCE)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(served);
    // However a connection ends, what was answered on it stands.
    tokio::select! {
        _ = served.as_mut() => {}
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            let _ended = served.await;
        }
    }
}

async fn respond(receiver: &Receiver, request: Request<Incoming>, peer: SocketAddr) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let head = Head { method: &parts.method, uri: &parts.uri, headers: &parts.headers, peer: peer.ip() };
    let let_in = match receiver.look(&head) {
        Ok(let_in) => let_in,
        Err(answer) => return answer.into(),
    };
    // What is held of a body is held until it is answered.
    let mut share = receiver.room().share(let_in.caller);
    let read = timeout(BODY_WITHIN, body::read(body, let_in.most, &mut share)).await;
    let answer = match read.unwrap_or(Err(Unread::TooSlow)) {
        Ok(body) => receiver.receive(&head, &let_in, body).await,
        Err(unread) => receiver.unread(&let_in, unread),
    };
    answer.into()
}
