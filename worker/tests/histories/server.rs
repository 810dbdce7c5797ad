//! A small HTTP server that can do what a good one cannot: close a connection instead of answering. HTTP/1.1, bodies with a length.

use std::{collections::BTreeMap, future::Future, net::SocketAddr, sync::Arc};

use jiff::Timestamp;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// A request.
#[derive(Debug, Default)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: BTreeMap<String, String>,
    /// By name in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Value,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub retry_after: Option<u8>,
    pub body: Value,
    /// What the server's clock says.
    pub date: Timestamp,
}

/// Serves until its runtime ends. None closes the connection without an answer.
pub async fn serve<F, A>(answer: F) -> SocketAddr
where
    F: Fn(Request) -> A + Send + Sync + 'static,
    A: Future<Output = Option<Answer>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { return };
            let answer = Arc::clone(&answer);
            // A connection that breaks ends.
            tokio::spawn(async move { drop(connection(stream, &*answer).await) });
        }
    });
    address
}

async fn connection<F, A>(stream: TcpStream, answer: &F) -> std::io::Result<()>
where
    F: Fn(Request) -> A,
    A: Future<Output = Option<Answer>>,
{
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream).await? {
        let Some(answer) = answer(request).await else { return Ok(()) };
        let (date, body) = (answer.date.strftime("%a, %d %b %Y %H:%M:%S GMT"), answer.body.to_string());
        let wait = answer.retry_after.map(|seconds| format!("retry-after: {seconds}\r\n")).unwrap_or_default();
        let head = format!(
            "HTTP/1.1 {} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\ndate: {date}\r\n{wait}\r\n",
            answer.status,
            body.len()
        );
        stream.get_mut().write_all((head + &body).as_bytes()).await?;
    }
    Ok(())
}

async fn read(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(ToOwned::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let url = reqwest::Url::parse("http://localhost").unwrap().join(&target).unwrap();
    let query = url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    let mut request = Request { method, path: url.path().to_owned(), query, ..Request::default() };
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        request.headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = request.headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    request.body = serde_json::from_slice(&body).unwrap_or_default();
    Ok(Some(request))
}
