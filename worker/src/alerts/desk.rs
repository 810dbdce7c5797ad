//! The desk: what was told to whom, what waits to be accepted, and the store that both are kept in. While the process lives its own memory is what
//! counts, so that a store that fails can be told of; the store is written first wherever it takes it.

use std::{
    collections::{BTreeMap, BTreeSet},
    future,
    sync::Arc,
};

use crosstie_connect::{CallFailure, FailureKind};
use crosstie_crds::condition::Reason;
use crosstie_engine::alert::{Cause, Message, Standing, Terms, decide};
use jiff::Timestamp;
use tokio::task::JoinSet;

use super::{AlertView, Orders, Outlook, channel::Channel};
use crate::{
    board::Posted,
    report::Troubles,
    store::{AlertChange, SharedStore},
};

/// The desk.
pub struct Desk {
    outlook: Outlook,
    orders: Option<Arc<Orders>>,
    channels: Vec<Channel>,
    standings: BTreeMap<(String, Cause), Standing>,
    waiting: Vec<Waiting>,
    /// Id of the store that was read.
    read: Option<String>,
    /// Messages that were accepted, while the store does not know it.
    accepted: Vec<i64>,
    /// Whether the store knows which channels there are.
    pruned: bool,
    sends: JoinSet<Sent>,
}

/// A message that was not accepted yet.
struct Waiting {
    /// Its number in the store; none of one that the store did not take.
    number: Option<i64>,
    message: Message,
    /// How often its channel refused it.
    refusals: u32,
}

/// What became of a message.
pub struct Sent {
    id: String,
    channel: String,
    outcome: Result<(), CallFailure>,
}

impl Desk {
    /// A desk that knows nothing yet.
    pub fn new(outlook: Outlook) -> Self {
        Self {
            outlook,
            orders: None,
            channels: Vec::new(),
            standings: BTreeMap::new(),
            waiting: Vec::new(),
            read: None,
            accepted: Vec::new(),
            pruned: false,
            sends: JoinSet::new(),
        }
    }

    /// The next message whose fate is known. Waits for ever while none is on its way.
    pub async fn sent(&mut self) -> Sent {
        loop {
            match self.sends.join_next().await {
                Some(Ok(sent)) => return sent,
                // A send that broke off said nothing, not even which it was; its message waits.
                Some(Err(_)) if self.sends.is_empty() => {
                    for channel in &mut self.channels {
                        channel.sending = false;
                    }
                }
                Some(Err(_)) => {}
                None => future::pending().await,
            }
        }
    }

    /// Looks at what is wrong, decides, stores, and sends what can be.
    pub async fn look(&mut self) {
        let Some(orders) = self.outlook.board.alert_orders() else { return };
        if self.orders.as_ref().is_none_or(|known| **known != *orders) {
            self.take_on(orders);
        }
        let posted = self.outlook.board.posted();
        let store = own_store(&posted);
        let now = self.outlook.clock.now();
        if let Some(store) = &store {
            self.read(store, now).await;
            self.prune(store).await;
            self.forget_accepted(store).await;
        }
        if !self.channels.is_empty() {
            let troubles = self.outlook.reporter.troubles().await;
            let changes = self.decide(&troubles, now);
            self.keep(changes, store.as_ref()).await;
        }
        self.send();
        self.show();
    }

    /// A message was accepted, or not.
    pub async fn settle(&mut self, sent: Sent) {
        let Sent { id, channel, outcome } = sent;
        self.outlook.metrics.alerted(&channel, outcome.is_ok());
        if outcome.is_ok()
            && let Some(place) = self.waiting.iter().position(|waiting| waiting.message.id == id)
        {
            self.accepted.extend(self.waiting.remove(place).number);
            if let Some(store) = own_store(&self.outlook.board.posted()) {
                self.forget_accepted(&store).await;
            }
        }
        if outcome
            .as_ref()
            .is_err_and(|failure| matches!(failure.kind, FailureKind::Refused | FailureKind::BodyTooLarge))
            && let Some(refused) = self.waiting.iter_mut().find(|waiting| waiting.message.id == id)
        {
            refused.refusals = refused.refusals.saturating_add(1);
        }
        if let Some(channel) = self.channels.iter_mut().find(|known| known.alert.name == channel) {
            channel.took(outcome);
        }
        self.send();
        self.show();
    }

    /// Waits for what is on its way.
    pub async fn finish(&mut self) {
        while let Some(sent) = self.sends.join_next().await {
            let Ok(sent) = sent else { continue };
            let accepted =
                sent.outcome.is_ok().then(|| self.waiting.iter().find(|waiting| waiting.message.id == sent.id));
            self.accepted.extend(accepted.flatten().and_then(|waiting| waiting.number));
        }
        if let Some(store) = own_store(&self.outlook.board.posted()) {
            self.forget_accepted(&store).await;
        }
    }

    fn take_on(&mut self, orders: Arc<Orders>) {
        let mut before: BTreeMap<String, Channel> =
            self.channels.drain(..).map(|channel| (channel.alert.name.clone(), channel)).collect();
        let surroundings = &self.outlook.surroundings;
        let channels = orders.channels.iter();
        let channels = channels.map(|alert| Channel::new(alert, &orders, surroundings, before.remove(&alert.name)));
        self.channels = channels.collect();
        let told = |channel: &str, cause| {
            orders.channels.iter().any(|alert| alert.name == *channel && alert.causes.contains(&cause))
        };
        self.standings.retain(|(channel, cause), _| told(channel, *cause));
        self.waiting.retain(|waiting| orders.channels.iter().any(|alert| alert.name == waiting.message.alert));
        self.orders = Some(orders);
        self.pruned = false;
        self.outlook.metrics.forget_alerts();
    }

    /// Reads what the store holds, once. Whatever it says is wrong is taken to be so still: it has to be seen to be well first.
    async fn read(&mut self, store: &SharedStore, now: Timestamp) {
        if self.read.as_deref() == Some(store.id()) {
            return;
        }
        let Ok(alerts) = self.outlook.board.store_trouble().looked(store.alerts().await) else { return };
        for known in alerts.standings {
            let standing = Standing { seen: now, ..known.standing };
            self.standings.entry((known.channel, known.cause)).or_insert(standing);
        }
        let stored = alerts.waiting.into_iter();
        let stored =
            stored.map(|waiting| Waiting { number: Some(waiting.number), message: waiting.message, refusals: 0 });
        let own = std::mem::take(&mut self.waiting);
        self.waiting = stored.chain(own).collect();
        self.read = Some(store.id().to_owned());
    }

    /// Lets the store forget channels that are gone.
    async fn prune(&mut self, store: &SharedStore) {
        if self.pruned || self.read.is_none() {
            return;
        }
        let kept: Vec<String> = self.channels.iter().map(|channel| channel.alert.name.clone()).collect();
        self.standings.retain(|(channel, _), _| kept.contains(channel));
        self.waiting.retain(|waiting| kept.contains(&waiting.message.alert));
        let forgotten = store.forget_channels(kept).await;
        self.pruned = self.outlook.board.store_trouble().changed(forgotten).is_ok();
    }

    async fn forget_accepted(&mut self, store: &SharedStore) {
        while let Some(number) = self.accepted.last() {
            let done = store.alert_accepted(*number).await;
            if self.outlook.board.store_trouble().changed(done).is_err() {
                return;
            }
            self.accepted.pop();
        }
    }

    fn decide(&self, troubles: &Troubles, now: Timestamp) -> Vec<(bool, AlertChange)> {
        let Some(orders) = &self.orders else { return Vec::new() };
        let mut changes = Vec::new();
        for channel in &self.channels {
            let alert = &channel.alert;
            let terms = Terms { integration: &orders.integration, alert, retry: &orders.retry };
            for cause in &alert.causes {
                // What cannot be seen now is neither wrong nor over.
                let visible = *cause == Cause::WorkerTrouble || (troubles.complete && self.read.is_some());
                if !visible {
                    continue;
                }
                let wrong = troubles.wrong.iter().filter(|wrong| Cause::of(wrong.reason) == Some(*cause));
                let wrong: Vec<_> = wrong.cloned().collect();
                let before = self.standings.get(&(alert.name.clone(), *cause));
                let about = |waiting: &Waiting| waiting.message.alert == alert.name && waiting.message.cause == *cause;
                let decision = decide(&terms, *cause, before, &wrong, self.waiting.iter().any(about), now);
                if before.is_none() && decision.standing.is_none() {
                    continue;
                }
                let news = decision.is_news(before);
                changes.push((
                    news,
                    AlertChange {
                        channel: alert.name.clone(),
                        cause: *cause,
                        standing: decision.standing,
                        message: decision.message,
                    },
                ));
            }
        }
        changes
    }

    /// Takes changes on: into the store first, if it takes them, and into memory all the same.
    async fn keep(&mut self, changes: Vec<(bool, AlertChange)>, store: Option<&SharedStore>) {
        let (news, seen): (Vec<_>, Vec<_>) = changes.into_iter().partition(|(news, _)| *news);
        let news: Vec<AlertChange> = news.into_iter().map(|(_, change)| change).collect();
        let mut numbers = vec![None; news.len()];
        if let Some(store) = store.filter(|_| !news.is_empty()) {
            let kept = store.change_alerts(news.clone()).await;
            if let Ok(given) = self.outlook.board.store_trouble().changed(kept) {
                numbers = given;
            }
        }
        for (change, number) in news.into_iter().zip(numbers) {
            if let Some(message) = change.message.clone() {
                tracing::info!(alert = change.channel, cause = change.cause.as_str(), kind = ?message.kind, "an alert is to be sent");
                self.waiting.push(Waiting { number, message, refusals: 0 });
            }
            self.remember(change);
        }
        for (_, change) in seen {
            self.remember(change);
        }
    }

    fn remember(&mut self, change: AlertChange) {
        let key = (change.channel, change.cause);
        match change.standing {
            Some(standing) => _ = self.standings.insert(key, standing),
            None => _ = self.standings.remove(&key),
        }
    }

    /// Sends each channel the message whose turn it is.
    fn send(&mut self) {
        for channel in &mut self.channels {
            let Some(waiting) = next(&self.waiting, &channel.alert.name) else { continue };
            let Some(messenger) = channel.ready().cloned() else { continue };
            let (message, name) = (waiting.message.clone(), channel.alert.name.clone());
            channel.sending = true;
            self.sends.spawn(async move {
                let outcome = messenger.send(&message).await;
                Sent { id: message.id, channel: name, outcome }
            });
        }
    }

    /// Shows what is the case.
    fn show(&self) {
        let mut view = AlertView::default();
        for channel in &self.channels {
            let name = &channel.alert.name;
            let waiting = self.waiting.iter().filter(|waiting| waiting.message.alert == *name).count();
            let trouble = channel.trouble();
            self.outlook.metrics.set_alerts(name, waiting, trouble.is_some());
            view.failing.extend(trouble.map(|why| (name.clone(), why.to_owned())));
            if let Ok(messenger) = &channel.messenger {
                view.credentials.push((channel.alert.system.connector.clone(), messenger.credentials().clone()));
            }
        }
        self.outlook.board.post_alerts(view);
    }
}

/// The message of a channel whose turn it is: of each cause the oldest, because it is over only after it began; of these one that the channel did
/// not refuse, or not as often, so that none keeps the others back.
fn next<'a>(waiting: &'a [Waiting], channel: &str) -> Option<&'a Waiting> {
    let mut causes = BTreeSet::new();
    let oldest = waiting.iter().filter(|waiting| waiting.message.alert == channel);
    oldest.filter(|waiting| causes.insert(waiting.message.cause)).min_by_key(|waiting| waiting.refusals)
}

/// The store, unless it is another one than has to be there: nothing is written into that.
fn own_store(posted: &Posted) -> Option<SharedStore> {
    let lost = posted.hindrances.iter().any(|hindrance| hindrance.reason == Reason::StateLost);
    posted.store.clone().filter(|_| !lost)
}
