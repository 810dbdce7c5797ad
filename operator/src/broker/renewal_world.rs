//! The world around an operator, in memory: a server that grants tokens, a safe for refresh tokens, and books. It survives the operator.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
};

use crosstie_connect::grants::Grant as Asked;
use crosstie_engine::{
    compile,
    grant::{ClientAuthentication, Grant, GrantKind},
};
use futures::future::pending;
use secrecy::ExposeSecret;
use serde_json::json;
use tokio::time::timeout;

use super::*;
use crate::{
    plan::objects::Owner,
    vault::{Account, Identity},
};

/// Where the operator dies: the first call of this kind never ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    BeforeAsking,
    AfterAsking,
    AfterStoring,
    AfterPromoting,
    Never,
}

/// The world outside the operator, which survives it.
pub struct World {
    /// Versions of the refresh token, and which one is to be used.
    pub versions: Mutex<(BTreeMap<String, String>, String)>,
    /// What the server takes, and how often it was given what.
    valid: Mutex<String>,
    used: Mutex<Vec<String>>,
    rotates: bool,
    /// What it answers instead.
    pub fails: Mutex<Option<(FailureKind, Remains)>>,
    /// How often storing fails.
    pub denied: AtomicU32,
    ledger: Mutex<(Ledger, u32)>,
    pub writes: AtomicU32,
    clock: AtomicI64,
    pub death: Mutex<Death>,
}

impl World {
    pub fn new(rotates: bool) -> Arc<Self> {
        Arc::new(Self {
            versions: Mutex::new(([("r0".to_owned(), "rt-0".to_owned())].into(), "r0".into())),
            valid: Mutex::new("rt-0".into()),
            used: Mutex::default(),
            rotates,
            fails: Mutex::default(),
            denied: AtomicU32::default(),
            ledger: Mutex::default(),
            writes: AtomicU32::default(),
            clock: AtomicI64::new(1000),
            death: Mutex::new(Death::Never),
        })
    }

    pub fn pass(&self, seconds: i64) {
        self.clock.fetch_add(seconds, Ordering::Relaxed);
    }

    /// A person stores another refresh token.
    pub fn edit(&self, id: &str, token: &str) {
        let mut versions = self.versions.lock().unwrap();
        versions.0.insert(id.into(), token.into());
        versions.1 = id.into();
        *self.valid.lock().unwrap() = token.into();
    }

    pub fn current(&self) -> String {
        self.versions.lock().unwrap().1.clone()
    }

    pub fn ledger(&self) -> Ledger {
        self.ledger.lock().unwrap().0.clone()
    }

    pub fn used(&self) -> Vec<String> {
        self.used.lock().unwrap().clone()
    }

    async fn dies(&self, at: Death) {
        let dies = *self.death.lock().unwrap() == at;
        if dies {
            pending::<()>().await;
        }
    }

    pub fn operator(self: &Arc<Self>) -> Renewals<Held, Held, Held, impl Fn() -> Timestamp + Send + Sync + use<>> {
        static IDS: AtomicU32 = AtomicU32::new(1);
        let clock = Arc::clone(self);
        Renewals {
            books: Held(Arc::clone(self)),
            safe: Held(Arc::clone(self)),
            grantor: Held(Arc::clone(self)),
            now: move || Timestamp::from_second(clock.clock.load(Ordering::Relaxed)).unwrap(),
            id: || format!("c{}", IDS.fetch_add(1, Ordering::Relaxed)),
            seats: Seats::default(),
            stop: CancellationToken::new(),
        }
    }

    /// One operator runs an errand, and is killed when nothing happens any more.
    pub async fn run(self: &Arc<Self>) -> Option<Outcome> {
        let errand = self.errand();
        timeout(Duration::from_hours(1), self.operator().attend(&errand, seat().await, &|_| true)).await.ok()
    }

    pub fn errand(&self) -> Errand {
        let rotating = Some(key());
        let mut errand = errand(GrantKind::RefreshToken, rotating);
        errand.source.refresh = Some(self.current());
        errand
    }
}

/// A part of the world.
pub struct Held(Arc<World>);

impl Books for Held {
    async fn read(&self, _: &Owner) -> Result<(Ledger, Revision), BooksFault> {
        let (ledger, revision) = self.0.ledger.lock().unwrap().clone();
        Ok((ledger, Revision(Some(revision.to_string()))))
    }

    async fn write(&self, _: &Owner, ledger: &Ledger, replacing: &Revision) -> Result<Revision, BooksFault> {
        tokio::task::yield_now().await;
        let mut held = self.0.ledger.lock().unwrap();
        if replacing.0 != Some(held.1.to_string()) {
            return Err(BooksFault::Changed);
        }
        self.0.writes.fetch_add(1, Ordering::Relaxed);
        // It goes through its own format.
        let text = serde_json::to_string(ledger).unwrap();
        *held = (serde_json::from_str(&text).unwrap(), held.1 + 1);
        Ok(Revision(Some(held.1.to_string())))
    }
}

impl Safe for Held {
    async fn read(&self, _: &SecretKey) -> Result<CredentialVersion, VaultFault> {
        let versions = self.0.versions.lock().unwrap();
        let values = [("refreshToken".to_owned(), versions.0[&versions.1].clone())].into();
        Ok(CredentialVersion { version_id: versions.1.clone(), values })
    }

    async fn store(&self, _: &SecretKey, version: &CredentialVersion) -> Result<(), VaultFault> {
        self.0.dies(Death::AfterAsking).await;
        if self.0.denied.load(Ordering::Relaxed) > 0 {
            self.0.denied.fetch_sub(1, Ordering::Relaxed);
            return Err(VaultFault::new(Reason::AccessDenied, "allow secretsmanager:PutSecretValue"));
        }
        let token = version.values["refreshToken"].clone();
        self.0.versions.lock().unwrap().0.insert(version.version_id.clone(), token);
        self.0.dies(Death::AfterStoring).await;
        Ok(())
    }

    async fn promote(&self, _: &SecretKey, id: &str, replacing: &str) -> Result<Promoted, VaultFault> {
        let promoted = {
            let mut versions = self.0.versions.lock().unwrap();
            if !versions.0.contains_key(id) {
                Promoted::Unknown
            } else if versions.1 == replacing || versions.1 == id {
                versions.1 = id.into();
                Promoted::Current
            } else {
                Promoted::Superseded
            }
        };
        self.0.dies(Death::AfterPromoting).await;
        Ok(promoted)
    }
}

impl Grantor for Held {
    async fn fetch(&self, _: &System, request: &TokenRequest, nonce: &str) -> Result<Granted, GrantFailure> {
        self.0.dies(Death::BeforeAsking).await;
        let failed = |kind, remains| {
            let failure = CallFailure::new(kind, "`login.example.com` answered");
            Err(GrantFailure { failure, remains })
        };
        if let Some((kind, remains)) = *self.0.fails.lock().unwrap() {
            return failed(kind, remains);
        }
        let Asked::RefreshToken(token) = &request.grant else {
            self.0.used.lock().unwrap().push("client".into());
            return Ok(granted(nonce, None));
        };
        if token.expose_secret() != self.0.valid.lock().unwrap().as_str() {
            return failed(FailureKind::CredentialsRejected, Remains::Invalid);
        }
        let mut used = self.0.used.lock().unwrap();
        used.push(token.expose_secret().to_owned());
        let next = format!("rt-{}", used.len());
        if self.0.rotates {
            *self.0.valid.lock().unwrap() = next.clone();
        }
        Ok(granted(nonce, self.0.rotates.then_some(next)))
    }
}

pub fn granted(nonce: &str, refresh_token: Option<String>) -> Granted {
    Granted {
        access_token: format!("at-{nonce}").into(),
        lifetime: Some(Duration::from_mins(10)),
        refresh_token: refresh_token.map(Into::into),
    }
}

/// A seat of its own.
pub async fn seat() -> Seat {
    Seats::default().take("shop").await
}

fn key() -> SecretKey {
    SecretKey { account: Account { region: None, identity: Identity::Operator }, secret_id: "shop/refresh".into() }
}

pub fn errand(kind: GrantKind, refresh: Option<SecretKey>) -> Errand {
    let connector = serde_json::from_value(json!({
        "apiVersion": "crosstie.dev/v1alpha1", "kind": "Connector",
        "metadata": {"name": "crm", "namespace": "shop", "uid": "u"},
        "spec": {
            "baseURL": "https://acme.example.com", "auth": {"bearer": {"token": "{token}"}},
            "credentials": {"awsSecretsManager": {"secretId": "shop/crm"}},
        },
    }))
    .unwrap();
    let values = [("clientId", "id"), ("clientSecret", "hush"), ("webhookSecret", "whsec")];
    let values = values.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    Errand {
        owner: Owner::connector(&connector),
        system: compile::connector(&connector, &compile::Settings::default()).value.unwrap(),
        grant: Grant {
            kind,
            token_url: "https://acme.example.com/token".parse().unwrap(),
            client: ClientAuthentication::Basic,
            scopes: Vec::new(),
            assertion: None,
            lifetime_seconds: 3600,
        },
        client: Arc::new(CredentialVersion { version_id: "v1".into(), values }),
        refresh,
        source: Source { client: "v1".into(), refresh: None, grant: "g".into() },
        rejected: None,
    }
}
