//! A vendor that keeps records and answers as a test's script says, also not at all.

use std::sync::{Arc, Mutex};

use tokio::io::AsyncWriteExt;

use crate::fixtures::{RawVendor, read_request};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// Method and target, as in `GET /orders?x=1`.
    pub line: String,
    /// Headers as they were written, names in lower case.
    pub head: String,
    pub body: String,
}

impl Request {
    pub fn is(&self, line: &str) -> bool {
        self.line.starts_with(line)
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")))
    }
}

/// What is answered.
pub enum Reply {
    /// A status, header lines and a body.
    Answer(u16, &'static str, String),
    /// Nothing: the connection stays open, and no answer comes.
    Silence,
}

/// An answer with JSON.
pub fn json(status: u16, body: &serde_json::Value) -> Reply {
    Reply::Answer(status, "", body.to_string())
}

/// An answer without a body.
pub fn bare(status: u16, headers: &'static str) -> Reply {
    Reply::Answer(status, headers, String::new())
}

/// A vendor with a script, and what it was asked.
pub struct Scripted {
    pub base_url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Scripted {
    /// Answers each request as the script says; it is given the requests before it too.
    pub async fn start(script: impl Fn(&Request, &[Request]) -> Reply + Send + Sync + 'static) -> Self {
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (seen, script) = (Arc::clone(&requests), Arc::new(script));
        let vendor = RawVendor::start(move |mut connection| {
            let (seen, script) = (Arc::clone(&seen), Arc::clone(&script));
            async move {
                let text = String::from_utf8(read_request(&mut connection).await?).unwrap();
                if text.is_empty() {
                    return Ok(());
                }
                let (head, body) = text.split_once("\r\n\r\n").unwrap();
                let (line, head) = head.split_once("\r\n").unwrap();
                let line = line.trim_end_matches(" HTTP/1.1").to_owned();
                let head = head.lines().map(|line| match line.split_once(": ") {
                    Some((name, value)) => format!("{}: {value}\n", name.to_lowercase()),
                    None => String::new(),
                });
                let request = Request { line, head: head.collect(), body: body.to_owned() };
                let reply = {
                    let mut seen = seen.lock().unwrap();
                    let reply = script(&request, &seen);
                    seen.push(request);
                    reply
                };
                let Reply::Answer(status, headers, body) = reply else {
                    return std::future::pending().await;
                };
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
                );
                connection.write_all(answer.as_bytes()).await?;
                connection.shutdown().await
            }
        })
        .await;
        Self { base_url: vendor.base_url(), requests }
    }

    /// What it was asked, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// The lines of what it was asked.
    pub fn lines(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.line).collect()
    }
}
