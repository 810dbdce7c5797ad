//! When the secrets of an account are listed, and what the last list said of those that are used. Pure: moments are arguments. A list describes a
//! hundred secrets with one call, but may be minutes behind: it confirms what is held and is never news (`fetch`).

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::{
    Account, Description, LISTED_AT_ONCE, ListEnd, Listing, SecretKey,
    fetch::{Held, Listed},
};

/// How many secrets have to be used for each page that a list may have: it costs a tenth of what it saves at the most.
const USED_A_PAGE: usize = 10;
/// How many secrets have to be read together before those that are read first do without a description until the next list.
const COMPANY: usize = 5;
/// How long the number of used secrets has to stay what it is before they are listed: Connectors that are created in a row share a list. A twentieth
/// of the interval, if that is shorter.
const CALM: Duration = Duration::from_secs(2);
/// How long a secret waits for that at the most. A tenth of the interval, if that is shorter.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How soon after a list the next one follows, for secrets that were read first since. A twentieth of the interval, if that is shorter.
const SPACING: Duration = Duration::from_secs(15);
/// For how many intervals an account is left alone whose list had more pages than it was worth.
const TOO_LONG: u32 = 10;
/// The same for a list that said too little that counts.
const TOO_LITTLE: u32 = 2;

/// What is known of the lists of all accounts.
pub(super) struct Listings {
    interval: Duration,
    accounts: HashMap<Account, Known>,
}

/// What is known of one account.
struct Known {
    /// How many of its secrets are used, and since when.
    used: usize,
    since: Instant,
    /// When the account became known.
    begun: Instant,
    /// When the last list ended.
    listed: Option<Instant>,
    /// A list is under way.
    running: bool,
    /// Since when a secret that was read waits for what the next list says.
    waiting: Option<Instant>,
    /// What the last list said.
    said: HashMap<SecretKey, Description>,
    /// Why there is no list now.
    rest: Option<Rest>,
}

/// A list was not worth its calls.
struct Rest {
    until: Instant,
    /// How many secrets were used then.
    used: usize,
}

impl Known {
    /// How many pages a list may have.
    fn most(&self) -> usize {
        self.used / USED_A_PAGE
    }

    /// Until when nothing is listed. Twice as many secrets are worth another try.
    fn resting(&self) -> Option<Instant> {
        self.rest.as_ref().filter(|rest| self.used < 2 * rest.used).map(|rest| rest.until)
    }

    fn due(&self, interval: Duration) -> Option<Instant> {
        if self.running || self.most() == 0 {
            return None;
        }
        let due = match (self.waiting, self.listed) {
            (None, listed) => listed.unwrap_or(self.begun) + interval / 2,
            (Some(waiting), listed) => {
                let calm = (self.since + CALM.min(interval / 20)).min(waiting + LONGEST_WAIT.min(interval / 10));
                listed.map_or(calm, |listed| calm.max(listed + SPACING.min(interval / 20)))
            }
        };
        Some(self.resting().map_or(due, |until| due.max(until)))
    }
}

impl Listings {
    /// Lists each account twice an interval, as far as that saves calls.
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, accounts: HashMap::new() }
    }

    /// So many secrets of an account are used now. Of one where that is too few nothing is remembered.
    pub(super) fn see(&mut self, account: &Account, used: usize, now: Instant) {
        if used < USED_A_PAGE {
            self.accounts.remove(account);
            return;
        }
        match self.accounts.get_mut(account) {
            Some(known) if known.used == used => {}
            Some(known) => (known.used, known.since) = (used, now),
            None => {
                let known = Known {
                    used,
                    since: now,
                    begun: now,
                    listed: None,
                    running: false,
                    waiting: None,
                    said: HashMap::new(),
                    rest: None,
                };
                self.accounts.insert(account.clone(), known);
            }
        }
    }

    /// What lists say of a secret that was read together with so many others, of which `held` is known.
    pub(super) fn of(&mut self, key: &SecretKey, held: Option<&Held>, together: usize, now: Instant) -> Listed {
        let Some(known) = self.accounts.get_mut(&key.account) else { return Listed::Nothing };
        let fresh = known.listed.is_some_and(|listed| now < listed + self.interval);
        if let Some(says) = known.said.get(key).filter(|_| fresh) {
            return Listed::Says(says.clone());
        }
        if known.resting().is_some_and(|until| now < until) {
            return Listed::Nothing;
        }
        let waits = match held {
            None => together >= COMPANY,
            // Read once more before the list came that it waits for.
            Some(held) => held.description.is_none() && known.waiting.is_some(),
        };
        if !waits {
            return Listed::Nothing;
        }
        known.waiting.get_or_insert(now);
        Listed::Soon
    }

    /// The secret is asked about by itself next.
    pub(super) fn distrust(&mut self, key: &SecretKey) {
        if let Some(known) = self.accounts.get_mut(&key.account) {
            known.said.remove(key);
        }
    }

    /// Accounts to list now, and how many pages that may take.
    pub(super) fn begin(&mut self, now: Instant) -> Vec<(Account, usize)> {
        let interval = self.interval;
        let due = self.accounts.iter_mut().filter(|(_, known)| known.due(interval).is_some_and(|due| due <= now));
        due.map(|(account, known)| {
            known.running = true;
            known.waiting = None;
            (account.clone(), known.most())
        })
        .collect()
    }

    /// A list ended. `doubtful` secrets have to be asked about by themselves, because of what it said or did not say.
    pub(super) fn end(&mut self, account: &Account, listing: Listing, doubtful: usize, now: Instant) {
        let Some(known) = self.accounts.get_mut(account) else { return };
        let pays = listing.descriptions.len() > 2 * (listing.calls + doubtful);
        let rest = match listing.end {
            ListEnd::Failed => Some(self.interval / 2),
            ListEnd::Whole | ListEnd::Cut if pays => None,
            ListEnd::Whole => Some(self.interval * TOO_LITTLE),
            ListEnd::Cut => {
                tracing::info!(
                    region = account.region,
                    used = known.used,
                    seen = listing.calls * LISTED_AT_ONCE,
                    "there are too many other secrets to list them: each one that is used is described by itself"
                );
                Some(self.interval * TOO_LONG)
            }
        };
        known.running = false;
        known.listed = Some(now);
        known.rest = rest.map(|rest| Rest { until: now + rest, used: known.used });
        known.said = listing.descriptions;
    }

    /// When to look again.
    pub(super) fn next(&self) -> Option<Instant> {
        self.accounts.values().filter_map(|known| known.due(self.interval)).min()
    }
}

#[cfg(test)]
#[path = "listings_tests.rs"]
mod tests;
