//! The disk: it keeps what the worker's `Store` promises. What was answered is durable, what was not is lost by a crash; a change is made
//! whole or not at all; claims are the process's and die with it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    delivery::{
        Facts, Failures, Intent, IntentChange, Known, LedgerEntry, OpenIntent, Postponement, Rule, Seen, Settled,
        idempotency_key, keeps, key_apart, outdates, replays,
    },
    plan::Operation,
    window::PollState,
};

/// What is in the store.
#[derive(Debug, Default)]
pub struct Disk {
    /// Tells this store from those that were lost before.
    pub store: u32,
    sequences: i64,
    records: i64,
    /// Where reading stands.
    pub poll: PollState,
    /// What waits or is claimed, by number.
    pub queue: BTreeMap<i64, Queued>,
    /// Open intents, by the number of their record.
    pub intents: BTreeMap<i64, Stored>,
    /// Newest settled state by key.
    pub ledger: BTreeMap<String, LedgerEntry>,
    /// Dead letters.
    pub dead: Vec<Dead>,
    /// What another flow settled: whether each is at the destination.
    pub parents: BTreeMap<u8, bool>,
}

/// A record that waits or is claimed.
#[derive(Debug)]
pub struct Queued {
    /// Its key.
    pub key: String,
    /// Its state.
    pub seen: Seen,
    /// The record.
    pub record: Value,
    /// When it is due; none behind another of its key.
    pub due: Option<Timestamp>,
    /// How it failed.
    pub failures: Failures,
    /// Whether it waits for the system's sake.
    pub by_system: bool,
    /// What it waits for: another flow's record.
    pub awaits: Option<u8>,
}

/// An open intent.
#[derive(Debug)]
pub struct Stored {
    /// The intent.
    pub open: OpenIntent,
    /// Whether it is held.
    pub held: bool,
}

/// A dead letter.
#[derive(Debug)]
pub struct Dead {
    /// Its key.
    pub key: String,
    /// Its state.
    pub seen: Seen,
    /// The record.
    pub record: Value,
}

impl Disk {
    /// Takes a state, or mere word of the record, unless it is known. Says whether it was taken, and whether it was the last to be set aside and nothing else was under way.
    pub fn take(
        &mut self,
        key: &str,
        (seen, record, is_word): (Seen, Value, bool),
        claimed: &BTreeSet<i64>,
        now: Timestamp,
    ) -> (bool, bool) {
        let newest = self.queue.iter().rfind(|(_, queued)| queued.key == key);
        let of_key = self.dead.iter().filter(|dead| dead.key == key);
        let known = Known {
            waiting: newest.map(|(_, queued)| queued.seen.clone()),
            writing: newest.and_then(|(id, _)| self.intents.get(id)).map(|stored| stored.open.seen.clone()),
            claimed: newest.is_some_and(|(id, _)| claimed.contains(id)),
            dead: of_key.map(|dead| dead.seen.clone()).collect(),
            ledger: self.ledger.get(key).cloned(),
        };
        let rested = known.dead.last() == Some(&seen) && known.waiting.is_none();
        let kept = keeps(&seen, &if is_word { known.for_word() } else { known });
        if kept {
            self.enqueue(key, seen, record, now);
        }
        (kept, rested)
    }

    fn enqueue(&mut self, key: &str, seen: Seen, record: Value, now: Timestamp) {
        self.records += 1;
        let behind = self.queue.values().any(|queued| queued.key == key) && Rule::KeysAreLocked.holds();
        let due = (!behind).then_some(now);
        let (key, failures) = (key.to_owned(), Failures::default());
        let queued = Queued { key, seen, record, due, failures, by_system: false, awaits: None };
        self.queue.insert(self.records, queued);
    }

    /// The record that is to be handed out.
    pub fn next(&self, now: Timestamp, claimed: &BTreeSet<i64>) -> Option<i64> {
        let due = |queued: &Queued| queued.due.is_some_and(|due| due <= now);
        let free = self.queue.iter().filter(|(id, _)| !claimed.contains(id));
        if !Rule::WaitingBlocksItsKeyOnly.holds() {
            return free.map(|(id, queued)| (*id, queued)).next().filter(|(_, queued)| due(queued)).map(|(id, _)| id);
        }
        let mut waiting: Vec<_> = free.filter(|(_, queued)| due(queued)).collect();
        if Rule::ProbesChangeKeys.holds() {
            waiting.sort_by_key(|(id, queued)| (queued.due, **id));
        }
        waiting.first().map(|(id, _)| **id)
    }

    /// What is known of a record that is handed out.
    pub fn facts(&self, id: i64) -> Facts {
        let queued = &self.queue[&id];
        Facts {
            seen: queued.seen.clone(),
            failures: queued.failures.clone(),
            ledger: self.ledger.get(&queued.key).cloned(),
            intent: self.intents.get(&id).map(|stored| stored.open.clone()),
        }
    }

    /// Stores an intent.
    pub fn open(
        &mut self,
        id: i64,
        operation: &Operation,
        (body, body_hash): (Value, String),
        seen: Seen,
        deletes: bool,
        now: Timestamp,
    ) -> OpenIntent {
        self.sequences += 1;
        let idempotency_key = idempotency_key(&self.store.to_string(), "orders", &self.queue[&id].key, self.sequences);
        let intent = Intent { sequence: self.sequences, idempotency_key, stored_at: now, in_doubt_since: None };
        let operation = Arc::new(operation.clone());
        let open = OpenIntent {
            intent,
            operation,
            body: body.into(),
            body_hash,
            seen,
            deletes,
            refused: false,
            size: 1,
            apart: false,
        };
        self.intents.insert(id, Stored { open: open.clone(), held: false });
        open
    }

    /// Stores one intent of several records.
    pub fn open_batch(
        &mut self,
        operation: &Operation,
        records: Vec<(i64, Value, String, &Seen)>,
        now: Timestamp,
    ) -> Vec<OpenIntent> {
        self.sequences += 1;
        let idempotency_key = idempotency_key(&self.store.to_string(), "orders", "", self.sequences);
        let intent = Intent { sequence: self.sequences, idempotency_key, stored_at: now, in_doubt_since: None };
        let (operation, size) = (Arc::new(operation.clone()), u32::try_from(records.len()).unwrap());
        let opened = records.into_iter().map(|(id, body, body_hash, seen)| {
            let (intent, operation, seen) = (intent.clone(), Arc::clone(&operation), seen.clone());
            let (deletes, refused, apart) = (false, false, false);
            let open =
                OpenIntent { intent, operation, body: body.into(), body_hash, seen, deletes, refused, size, apart };
            self.intents.insert(id, Stored { open: open.clone(), held: false });
            open
        });
        opened.collect()
    }

    /// All records of the batch that a record is part of; itself alone when it is part of none.
    pub fn batch_of(&self, id: i64) -> Vec<i64> {
        let batch = |stored: &Stored| (stored.open.size > 1).then_some(stored.open.intent.sequence);
        let of_record = self.intents.get(&id).and_then(batch);
        let same = self.intents.iter().filter(|(_, stored)| batch(stored) == of_record && of_record.is_some());
        let same: Vec<i64> = same.map(|(id, _)| *id).collect();
        if same.is_empty() { vec![id] } else { same }
    }

    /// Puts an intent in doubt from now on.
    pub fn doubt(&mut self, id: i64, now: Timestamp) {
        if let Some(Stored { open, .. }) = self.intents.get_mut(&id) {
            let earlier = open.intent.in_doubt_since.filter(|_| !Rule::DoubtIsRenewed.holds());
            open.intent.in_doubt_since = earlier.or(open.intent.in_doubt_since.max(Some(now)));
        }
    }

    /// A record is done, in a state. `singles` says whether its source shows single records.
    pub fn settle(&mut self, id: i64, seen: &Seen, how: &Settled, singles: bool, now: Timestamp) {
        let key = self.queue[&id].key.clone();
        let before = self.ledger.get(&key);
        let body_hash = match how {
            Settled::Delivered { body_hash, .. } | Settled::Unchanged { body_hash } => Some(body_hash.clone()),
            Settled::LeftOut if Rule::LeftOutStaysKnown.holds() => before.and_then(|entry| entry.body_hash.clone()),
            Settled::LeftOut | Settled::Missing | Settled::Deleted | Settled::Superseded => None,
        };
        let wrote = matches!(how, Settled::Delivered { .. } | Settled::Deleted);
        if *how == Settled::Deleted && !Rule::TombstonesStay.holds() {
            self.ledger.remove(&key);
        } else if *how != Settled::Superseded && (wrote || Rule::EveryDecisionAdvances.holds()) {
            let (version, source_hash) = (seen.version, seen.hash.clone());
            self.dead.retain(|dead| dead.key != key || !outdates(seen, &dead.seen, singles));
            let present = match how {
                Settled::Delivered { .. } | Settled::Unchanged { .. } => true,
                Settled::Missing | Settled::Deleted => false,
                Settled::LeftOut | Settled::Superseded => before.is_some_and(|entry| entry.present),
            };
            let entry = LedgerEntry { version, source_hash, body_hash, present, identifier: None };
            self.ledger.insert(key, entry);
        }
        self.remove(id, now);
    }

    /// Another flow settled a record that some depend on.
    pub fn settle_parent(&mut self, parent: u8, there: bool, now: Timestamp) {
        self.parents.insert(parent, there);
        if !Rule::ParentWakesChildren.holds() {
            return;
        }
        for queued in self.queue.values_mut().filter(|queued| queued.awaits == Some(parent) && queued.due > Some(now)) {
            queued.due = Some(now);
        }
    }

    /// Whether another flow's record is at the destination, as far as is known.
    pub fn has_parent(&self, parent: u8) -> bool {
        self.parents.get(&parent).is_some_and(|there| *there || !Rule::GoneParentIsAwaited.holds())
    }

    /// A record waits for another flow's, or until a time.
    pub fn await_parent(&mut self, id: i64, parent: u8, due: Timestamp) {
        let Some(queued) = self.queue.get_mut(&id) else { return };
        (queued.due, queued.by_system, queued.awaits) = (Some(due), false, Some(parent));
    }

    /// A record leaves the queue, and its intent with it; the next of its key is due.
    pub fn remove(&mut self, id: i64, now: Timestamp) {
        self.intents.remove(&id);
        let Some(gone) = self.queue.remove(&id) else { return };
        self.advance(&gone.key, now);
    }

    fn advance(&mut self, key: &str, now: Timestamp) {
        if let Some(head) = self.queue.values_mut().find(|queued| queued.key == key) {
            head.due.get_or_insert(now);
        }
    }

    /// A record waits on.
    pub fn postpone(&mut self, id: i64, later: Postponement) {
        let Some(queued) = self.queue.get_mut(&id) else { return };
        (queued.due, queued.failures, queued.by_system) = (Some(later.due), later.failures, later.by_system);
        queued.awaits = None;
        let Some(stored) = self.intents.get_mut(&id) else { return };
        match later.intent {
            IntentChange::Keep => {}
            IntentChange::Close => drop(self.intents.remove(&id)),
            IntentChange::Doubt(since) => {
                stored.open.intent.in_doubt_since = Some(since);
                stored.held = false;
            }
            IntentChange::Refused => stored.open.refused = true,
            IntentChange::Hold => stored.held = true,
            IntentChange::Apart(since) => {
                let open = &mut stored.open;
                (open.size, open.apart, stored.held) = (1, true, false);
                open.intent.idempotency_key = key_apart(&open.intent.idempotency_key, id);
                open.intent.in_doubt_since = Some(since);
                if !Rule::ApartKeepsItsTime.holds() {
                    open.intent.stored_at = since;
                }
            }
        }
    }

    /// A record goes to the dead letters.
    pub fn bury(&mut self, id: i64, now: Timestamp) {
        let Queued { key, seen, record, .. } = &self.queue[&id];
        let doubtful = self.intents.get(&id).filter(|stored| stored.open.intent.in_doubt_since.is_some());
        let seen = doubtful.map_or(seen, |stored| &stored.open.seen).clone();
        self.dead.retain(|dead| dead.key != *key || dead.seen != seen);
        self.dead.push(Dead { key: key.clone(), seen, record: record.clone() });
        if let Some(Stored { open, .. }) = doubtful
            && Rule::GivenUpInDoubtIsForgotten.holds()
        {
            let (version, source_hash) = (open.seen.version, open.seen.hash.clone());
            let entry = LedgerEntry { version, source_hash, body_hash: None, present: true, identifier: None };
            self.ledger.insert(key.clone(), entry);
        }
        self.remove(id, now);
    }

    /// What waits for the system's sake is due.
    pub fn hasten(&mut self, now: Timestamp) {
        for queued in self.queue.values_mut().filter(|queued| queued.by_system && queued.due > Some(now)) {
            (queued.due, queued.by_system) = (Some(now), false);
        }
    }

    /// Dead letters join the ends of their keys' queues.
    pub fn replay(&mut self, now: Timestamp) {
        let mut letters: VecDeque<_> = std::mem::take(&mut self.dead).into();
        while let Some(Dead { key, seen, record }) = letters.pop_front() {
            let waiting = self.queue.values().filter(|queued| queued.key == key).map(|queued| &queued.seen.version);
            let aside = letters.iter().filter(|letter| letter.key == key).map(|letter| &letter.seen.version);
            if replays(&seen.version, waiting.chain(aside)) {
                if let Some(ledger) = self.ledger.get_mut(&key)
                    && ledger.body_hash.is_none()
                    && (&ledger.version, &ledger.source_hash) == (&seen.version, &seen.hash)
                {
                    ledger.source_hash.clear();
                }
                self.enqueue(&key, seen, record, now);
            } else {
                self.dead.push(Dead { key, seen, record });
            }
        }
    }

    /// What a start does to what it finds.
    pub fn recover(&mut self, now: Timestamp) {
        let open: Vec<i64> = self.intents.keys().copied().collect();
        for id in open {
            if Rule::RestartIsDoubt.holds() {
                self.doubt(id, now);
            }
            if let Some(queued) = self.queue.get_mut(&id) {
                queued.due = Some(now);
            }
        }
        for queued in self.queue.values_mut() {
            queued.failures.tally = None;
        }
    }
}
