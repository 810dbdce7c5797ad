//! The credentials of one system while the worker runs: which versions there are, which one the next request takes, and what the vendor said
//! of each. They change under running requests; a request under way finishes with the version it began with.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crosstie_engine::{
    credentials::{ALLOWED_HOSTS, CredentialVersion, CredentialsDocument, names_host},
    template::Template,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;
use zeroize::Zeroizing;

/// How long a version that was refused is left alone while another one works.
pub const REST: Duration = Duration::from_secs(30);

/// The credentials of one system. Clones share them.
#[derive(Clone, Debug)]
pub struct CredentialStore(Arc<Mutex<State>>);

/// What is known of the credentials. Ids only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialReport {
    /// The version that was loaded as the current one.
    pub loaded_version_id: String,
    /// The version of the newest request that was answered, other than by refusing the credentials while another version works; none before
    /// the first answer. It stays the superseded one until a request with the new one was answered.
    pub used_version_id: Option<String>,
    /// Whether the vendor accepts the version in use: true after a 2xx, false after a refusal, none while neither was seen.
    pub accepted: Option<bool>,
    /// The loaded version, while the vendor refuses it or it cannot be used.
    pub rejected_version_id: Option<String>,
}

#[derive(Debug)]
struct State {
    current: Held,
    previous: Option<Held>,
    used: Option<Used>,
    /// Number of the next request; a late answer must not show an older version as the one in use.
    next_request: u64,
    /// Number of the next version that is taken in.
    next_version: u64,
}

#[derive(Clone, Debug)]
struct Held {
    version: Arc<Version>,
    refused: Option<Instant>,
    /// The first request whose answer says something of it: answers come in another order than requests went out, and what an older one says was
    /// true before.
    heard: u64,
}

#[derive(Debug)]
struct Used {
    version: Arc<Version>,
    request: u64,
    accepted: Option<bool>,
}

/// One version of the credentials. Its values print as nothing and are zeroed when the last request that uses it is over.
#[derive(Debug)]
pub struct Version {
    /// Its id.
    pub id: Arc<str>,
    /// Its number, which no other version of the store ever has, whatever their ids are.
    pub number: u64,
    values: BTreeMap<String, SecretString>,
}

/// A request's hold on the version it goes out with.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub version: Arc<Version>,
    request: u64,
}

impl Version {
    fn new(version: &CredentialVersion, number: u64) -> Self {
        let values = version.values.iter().map(|(key, value)| (key.clone(), SecretString::from(value.clone())));
        Self { id: Arc::from(version.version_id.as_str()), number, values: values.collect() }
    }

    /// The value of a key.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(ExposeSecret::expose_secret)
    }

    /// The same, to be kept for a moment.
    pub fn secret(&self, key: &str) -> Option<Zeroizing<String>> {
        self.value(key).map(|value| Zeroizing::new(value.to_owned()))
    }

    /// Whether the version may be sent to a host: to any, unless it names those that it may be sent to.
    pub fn may_go_to(&self, host: &str) -> bool {
        self.value(ALLOWED_HOSTS).is_none_or(|list| names_host(list, host))
    }

    fn is(&self, version: &CredentialVersion) -> bool {
        let same = |(key, value): (&String, &String)| self.value(key) == Some(value.as_str());
        *self.id == *version.version_id && self.values.len() == version.values.len() && version.values.iter().all(same)
    }
}

impl Held {
    fn new(version: Arc<Version>) -> Self {
        Self { version, refused: None, heard: 0 }
    }

    /// The vendor refused it in a request, or took it.
    fn judged(&mut self, request: u64, refused: bool) {
        if request >= self.heard {
            self.heard = request;
            self.refused = refused.then(Instant::now);
        }
    }

    fn rests(&self) -> bool {
        self.refused.is_some_and(|at| at.elapsed() < REST)
    }
}

impl CredentialStore {
    /// The credentials as a document has them.
    pub fn new(document: &CredentialsDocument) -> Self {
        let hold = |version, number| Held::new(Arc::new(Version::new(version, number)));
        let (current, previous) =
            (hold(&document.current, 0), document.previous.as_ref().map(|version| hold(version, 1)));
        Self(Arc::new(Mutex::new(State { current, previous, used: None, next_request: 0, next_version: 2 })))
    }

    /// Takes a new document in: the next request uses its current version. The same document again changes nothing.
    pub fn replace(&self, document: &CredentialsDocument) {
        let mut state = self.state();
        let unchanged = state.current.version.is(&document.current)
            && match (&state.previous, &document.previous) {
                (Some(held), Some(version)) => held.version.is(version),
                (held, version) => held.is_none() && version.is_none(),
            };
        if unchanged {
            return;
        }
        let current = state.kept(&document.current);
        let current = Held { refused: None, heard: state.next_request, ..current };
        // What the vendor said of the version before is still true; only the current one gets another chance.
        let previous = document.previous.as_ref().map(|version| state.kept(version));
        (state.current, state.previous) = (current, previous);
    }

    /// Every version there is, the current one first.
    pub fn versions(&self) -> Vec<Arc<Version>> {
        let state = self.state();
        std::iter::once(&state.current).chain(&state.previous).map(|held| Arc::clone(&held.version)).collect()
    }

    /// What is known of the credentials.
    pub fn report(&self) -> CredentialReport {
        let state = self.state();
        CredentialReport {
            loaded_version_id: state.current.version.id.to_string(),
            used_version_id: state.used.as_ref().map(|used| used.version.id.to_string()),
            accepted: state.used.as_ref().and_then(|used| used.accepted),
            rejected_version_id: state.current.refused.map(|_| state.current.version.id.to_string()),
        }
    }

    /// A template filled by each version that has what it names, the current one first; equal texts once.
    pub(crate) fn filled(&self, template: &Template) -> Vec<Zeroizing<String>> {
        let state = self.state();
        let mut texts: Vec<Zeroizing<String>> = Vec::new();
        for held in std::iter::once(&state.current).chain(&state.previous) {
            let filled = template.fill(|name| held.version.value(name)).map(Zeroizing::new);
            if let Ok(text) = filled
                && !texts.contains(&text)
            {
                texts.push(text);
            }
        }
        texts
    }

    /// The number of the version that the next request takes first; another one for other values. What was read with one version is shown to nobody
    /// who asks with another, because that may be another account.
    pub fn in_turn(&self) -> u64 {
        let state = self.state();
        state.choice(&[]).unwrap_or(&state.current).version.number
    }

    /// The version for a request, other than those it was refused with already; none when no other is worth trying.
    pub(crate) fn pick(&self, refused: &[Attempt]) -> Option<Attempt> {
        let mut state = self.state();
        let version = Arc::clone(&state.choice(refused)?.version);
        let request = state.next_request;
        state.next_request += 1;
        Some(Attempt { version, request })
    }

    /// The vendor refused the version, or it cannot be used.
    pub(crate) fn refused(&self, attempt: &Attempt) {
        let mut state = self.state();
        if let Some(held) = state.held(attempt) {
            held.judged(attempt.request, true);
        }
        match &mut state.used {
            Some(used) if Arc::ptr_eq(&used.version, &attempt.version) => {
                if attempt.request >= used.request {
                    used.accepted = Some(false);
                }
            }
            // Another version works, or is about to: a refused trial of this one does not make it the one in use.
            Some(_) => {}
            none => *none = Some(Used::new(attempt, Some(false))),
        }
    }

    /// The vendor answered a request with the version, and `accepted` it if the answer proves so much.
    pub(crate) fn answered(&self, attempt: &Attempt, accepted: bool) {
        let mut state = self.state();
        if accepted && let Some(held) = state.held(attempt) {
            held.judged(attempt.request, false);
        }
        match &mut state.used {
            Some(used) if Arc::ptr_eq(&used.version, &attempt.version) => {
                used.request = used.request.max(attempt.request);
                if accepted {
                    used.accepted = Some(true);
                }
            }
            Some(used) if used.request > attempt.request => {}
            older => *older = Some(Used::new(attempt, accepted.then_some(true))),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The version for a request, see [`CredentialStore::pick`].
    fn choice(&self, refused: &[Attempt]) -> Option<&Held> {
        let untried = |held: &Held| refused.iter().all(|attempt| !Arc::ptr_eq(&attempt.version, &held.version));
        let previous = self.previous.as_ref().filter(|held| untried(held) && !held.rests());
        let current = Some(&self.current).filter(|held| untried(held));
        // A current version that rests is asked all the same when no other is left: the vendor may have taken it in meanwhile.
        current.filter(|held| !held.rests()).or(previous).or(current)
    }

    /// The version as it is held already, with what the vendor said of it, or anew.
    fn kept(&mut self, version: &CredentialVersion) -> Held {
        let mut held = std::iter::once(&self.current).chain(&self.previous);
        if let Some(held) = held.find(|held| held.version.is(version)) {
            return held.clone();
        }
        let number = self.next_version;
        self.next_version += 1;
        Held::new(Arc::new(Version::new(version, number)))
    }

    fn held(&mut self, attempt: &Attempt) -> Option<&mut Held> {
        let mut held = std::iter::once(&mut self.current).chain(&mut self.previous);
        held.find(|held| Arc::ptr_eq(&held.version, &attempt.version))
    }
}

impl Used {
    fn new(attempt: &Attempt, accepted: Option<bool>) -> Self {
        Self { version: Arc::clone(&attempt.version), request: attempt.request, accepted }
    }
}

#[cfg(test)]
mod tests;
