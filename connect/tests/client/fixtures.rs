//! Systems, streams and operations to test with, and a vendor of raw sockets that does exactly what it is told.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crosstie_connect::{
    Authorities, CallFailure, CredentialStore, LookedUp, Outgoing, Page, Surroundings, Timeouts, VendorClient, Written,
};
use crosstie_engine::{
    credentials::{CredentialVersion, CredentialsDocument},
    plan::{
        Allowance, Authentication, Cursor, Egress, Evidence, Idempotency, Identifier, LookUp, Method, Operation,
        Outcome, Pagination, Stream, System,
    },
    template::Template,
    window::{Bounds, CursorValue, Position},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Plenty: tests of other things do not wait for the throttle.
pub const PLENTY: Allowance = Allowance { requests: 100_000, per_seconds: 1, concurrency: 64 };

pub fn template(text: &str) -> Template {
    Template::parse(text).unwrap()
}

/// A system on this machine.
pub fn system(base_url: &str) -> System {
    System {
        connector: "shop".into(),
        base_url: base_url.parse().unwrap(),
        api_version: None,
        authentication: Authentication::Bearer { token: template("{token}") },
        tls: None,
        egress: Egress { allow_hosts: Vec::new(), allow_cidrs: vec!["127.0.0.0/8".into(), "::1/128".into()] },
        allowance: PLENTY,
        served_version_header: Some("X-Api-Version".into()),
        deprecated_reason_header: Some("X-Deprecated-Reason".into()),
        request_id_header: Some("X-Request-Id".into()),
        errors: Vec::new(),
        csrf: None,
        webhook_keys: Vec::new(),
        grant: None,
        rate: crosstie_engine::plan::RateRules::default(),
        cache: None,
    }
}

pub fn document(current: &str, previous: Option<&str>) -> CredentialsDocument {
    let version = |id: &str| CredentialVersion {
        version_id: id.into(),
        values: [("token".into(), format!("secret-of-{id}"))].into(),
    };
    CredentialsDocument { connector: "shop".into(), current: version(current), previous: previous.map(version) }
}

pub fn store() -> CredentialStore {
    CredentialStore::new(&document("v1", None))
}

/// Everybody's patience: on a busy machine too a call is given up only if it should be. No authorities, because reading the machine's takes
/// longer than most tests.
pub fn patient() -> Surroundings {
    Surroundings { authorities: Authorities::Only(Vec::new()), ..Surroundings::default() }
}

/// Patience for tests in which a call is given up: a second in all.
pub fn impatient() -> Surroundings {
    let timeouts = Timeouts {
        connect: Duration::from_millis(500),
        first_byte: Duration::from_millis(800),
        whole: Duration::from_secs(1),
    };
    Surroundings { timeouts, ..patient() }
}

pub fn client(system: &System) -> VendorClient {
    VendorClient::surrounded(system, store(), PLENTY, &patient()).unwrap()
}

/// A client that gives calls up soon.
pub fn hasty(system: &System) -> VendorClient {
    VendorClient::surrounded(system, store(), PLENTY, &impatient()).unwrap()
}

pub fn stream(pagination: Pagination) -> Stream {
    Stream {
        name: "orders".into(),
        path: "/orders".into(),
        records: "/orders".into(),
        key: "/id".into(),
        version: Some("/updated_at".into()),
        cursor: Some(Cursor {
            field: "/updated_at".into(),
            param: Some("updated_at_min".into()),
            lookback_seconds: 300,
            ..Cursor::default()
        }),
        pagination,
        ..Stream::default()
    }
}

pub fn operation() -> Operation {
    Operation {
        name: "upsertOrder".into(),
        method: Method::Put,
        path: template("/orders/eid:{body.externalId}"),
        query: BTreeMap::new(),
        headers: BTreeMap::new(),
        identifier: Some(Identifier::Pointer("/id".into())),
        outcome: Outcome {
            idempotency: Some(Idempotency { header: "Idempotency-Key".into(), window_seconds: 60 }),
            lookup: Some(lookup()),
        },
        omit: Vec::new(),
        ownership: crosstie_engine::plan::Ownership::default(),
        shape: crosstie_engine::plan::Shape::default(),
        find: None,
        if_match: None,
        only_there: None,
        job: None,
        batch: None,
    }
}

pub fn lookup() -> LookUp {
    LookUp {
        path: template("/orders/eid:{body.externalId}"),
        query: [("expand".to_owned(), template("true"))].into(),
        key: "/externalId".into(),
        key_field: "externalId".into(),
        settle_seconds: 1,
        evidence: Evidence::default(),
        ..LookUp::default()
    }
}

pub fn body() -> Value {
    serde_json::json!({"externalId": "5001", "memo": "jane@example.com"})
}

pub async fn first_page(client: &VendorClient, pagination: Pagination) -> Result<Page, CallFailure> {
    let bounds = Bounds { from: None, until: Some(CursorValue::Time("2027-01-01T00:00:00Z".parse().unwrap())) };
    client.read_page(&stream(pagination), Some(&bounds), &Position::First).await
}

pub async fn write(client: &VendorClient) -> Written {
    write_body(client, &body(), Some("key-1")).await
}

pub async fn write_body(client: &VendorClient, body: &Value, idempotency_key: Option<&str>) -> Written {
    client.write(&operation(), Outgoing { body: &body.clone().into(), identifier: None, idempotency_key }).await
}

pub async fn look_up(client: &VendorClient) -> Result<LookedUp, CallFailure> {
    client.look_up(&operation(), &lookup(), &body(), jiff::Timestamp::UNIX_EPOCH).await
}

/// A vendor of raw sockets.
pub struct RawVendor {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl RawVendor {
    /// Handles each connection as told.
    pub async fn start<F>(handle: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                // A client that went away is what some tests are about.
                tokio::spawn(handle(connection));
            }
        });
        Self { address, connections }
    }

    /// Answers each connection's first request with these bytes and closes it.
    pub async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer: Arc<[u8]> = answer.into().into();
        Self::start(move |mut connection| {
            let answer = Arc::clone(&answer);
            async move {
                read_request(&mut connection).await?;
                connection.write_all(&answer).await?;
                connection.shutdown().await
            }
        })
        .await
    }

    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Reads a request to its end, by its `Content-Length`.
pub async fn read_request(connection: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let read = connection.read(&mut chunk).await?;
        request.extend_from_slice(&chunk[..read]);
        if read == 0 || is_whole(&request) {
            return Ok(request);
        }
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |length| length.parse().unwrap());
    body.len() >= length
}
