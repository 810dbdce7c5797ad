//! One channel while the worker runs: how it is reached, and whether it takes what it is sent.

use std::{sync::Arc, time::Duration};

use crosstie_connect::{CallFailure, CredentialStore, Messenger, Surroundings};
use crosstie_engine::plan::Alert;
use tokio::time::Instant;

use super::Orders;

/// How long is waited after the first failure; twice as long after each further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait, unless the channel asks for more.
const LONGEST_WAIT: Duration = Duration::from_mins(5);

/// A channel.
pub struct Channel {
    /// It, as the plan has it.
    pub alert: Alert,
    /// Takes messages to it; or why nobody can.
    pub messenger: Result<Arc<Messenger>, String>,
    failing: Option<Failing>,
    /// Whether a message is on its way.
    pub sending: bool,
}

struct Failing {
    times: u32,
    detail: String,
    until: Instant,
}

impl Channel {
    /// A channel by the orders' word; what a channel of the same name knew and had is taken over.
    pub fn new(alert: &Alert, orders: &Orders, surroundings: &Surroundings, before: Option<Self>) -> Self {
        let connector = &alert.system.connector;
        let (former, failing, sending) = match before {
            Some(before) => (Some((before.alert, before.messenger)), before.failing, before.sending),
            None => (None, None, false),
        };
        let messenger = match orders.credentials.get(connector) {
            None => Err(format!(
                "the credentials of Connector `{connector}` are not there: see `kubectl describe connector {connector}`"
            )),
            Some(document) => {
                let former = former.and_then(|(former, messenger)| Some((former, messenger.ok()?)));
                let same = former.filter(|(former, _)| former.system == alert.system && former.way == alert.way);
                match same {
                    Some((_, messenger)) => {
                        messenger.credentials().replace(document);
                        Ok(messenger)
                    }
                    None => Messenger::new(alert, CredentialStore::new(document), surroundings)
                        .map(Arc::new)
                        .map_err(|error| error.to_string()),
                }
            }
        };
        // Whatever was changed may have been the cause: it is tried at once.
        let failing = failing.map(|failing| Failing { until: Instant::now(), ..failing });
        Self { alert: alert.clone(), messenger, failing, sending }
    }

    /// Whoever takes a message to it now; none while one is on its way, or it is left alone because it failed.
    pub fn ready(&self) -> Option<&Arc<Messenger>> {
        let rests = self.failing.as_ref().is_some_and(|failing| Instant::now() < failing.until);
        self.messenger.as_ref().ok().filter(|_| !self.sending && !rests)
    }

    /// It took a message, or did not.
    pub fn took(&mut self, outcome: Result<(), CallFailure>) {
        self.sending = false;
        let Err(failure) = outcome else {
            if self.failing.take().is_some() {
                tracing::info!(alert = self.alert.name, "the channel takes alerts again");
            }
            return;
        };
        let times = self.failing.as_ref().map_or(0, |failing| failing.times).saturating_add(1);
        if times == 1 {
            tracing::error!(alert = self.alert.name, %failure, "the channel does not take an alert; it is sent again until it does");
        }
        let wait = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(times - 1)).min(LONGEST_WAIT);
        let wait = failure.retry_after.map_or(wait, |asked| asked.max(wait));
        self.failing = Some(Failing { times, detail: failure.detail, until: Instant::now() + wait });
    }

    /// Why it takes nothing, if it does not.
    pub fn trouble(&self) -> Option<&str> {
        match &self.messenger {
            Err(why) => Some(why),
            Ok(_) => self.failing.as_ref().map(|failing| failing.detail.as_str()),
        }
    }
}
