//! What becomes of a write that the vendor receives: by how it is, by the record, and by the history.

use super::{Parcel, Vendor, id};
use crate::{
    call::{BatchAnswer, Message, WriteAnswer},
    history::{Outage, Poison, Write},
};

/// For how long a vendor that is busy with deletes asks to wait, in seconds.
const LONG_SECONDS: u8 = 250;

impl Vendor {
    /// Writes that are late arrive.
    pub(crate) fn arrive(&mut self, now: i64) {
        let parcels = std::mem::take(&mut self.parcels);
        let (due, late): (Vec<_>, Vec<_>) = parcels.into_iter().partition(|parcel| parcel.arrives <= now);
        self.parcels = late;
        for Parcel { messages, rows, key, .. } in due {
            self.apply(now, &messages, rows, key.as_deref());
        }
    }

    pub(super) fn receive(&mut self, now: i64, message: &Message, key: Option<&str>, write: Write) -> WriteAnswer {
        let record = id(&message.body);
        if let Some(answer) = self.in_trouble(message.deletes) {
            if self.outage == Outage::Half {
                self.faulty.insert(record);
            }
            return answer;
        }
        match self.poisoned.get(&record) {
            None | Some(Poison::Cured) => {}
            Some(Poison::With500) => return WriteAnswer::Failed,
            Some(Poison::Refused) => return WriteAnswer::Refused,
        }
        if write == Write::Refused {
            self.faulty.insert(record);
            return WriteAnswer::Refused;
        }
        match self.carry_out(now, std::slice::from_ref(message), vec![true], (key, write)) {
            BatchAnswer::Rows(_) => WriteAnswer::Applied,
            BatchAnswer::Whole(answer) => answer,
        }
    }

    pub(super) fn receive_batch(
        &mut self,
        now: i64,
        messages: &[Message],
        key: Option<&str>,
        write: Write,
    ) -> BatchAnswer {
        if let Some(answer) = self.in_trouble(false) {
            return BatchAnswer::Whole(answer);
        }
        let poisons: Vec<_> = messages.iter().map(|message| self.poisoned.get(&id(&message.body)).copied()).collect();
        if poisons.contains(&Some(Poison::With500)) {
            return BatchAnswer::Whole(WriteAnswer::Failed);
        }
        let mut rows: Vec<bool> = poisons.iter().map(|poison| *poison != Some(Poison::Refused)).collect();
        if write == Write::Refused {
            self.faulty.insert(id(&messages[0].body));
            rows[0] = false;
        }
        if rows.contains(&false) && !self.means.rows {
            return BatchAnswer::Whole(WriteAnswer::Refused);
        }
        self.carry_out(now, messages, rows, (key, write))
    }

    /// Carries out what was not refused. Of several records a fault that the history brings is the first one's.
    fn carry_out(
        &mut self,
        now: i64,
        messages: &[Message],
        rows: Vec<bool>,
        (key, write): (Option<&str>, Write),
    ) -> BatchAnswer {
        let first = id(&messages[0].body);
        let answer = match write {
            Write::Applied | Write::Refused => return BatchAnswer::Rows(self.apply(now, messages, rows, key)),
            Write::AnswerLost => {
                self.apply(now, messages, rows, key);
                WriteAnswer::TimedOut
            }
            Write::Partly => {
                let part = |(row, applied): (usize, bool)| applied && (row == 0 || key.is_some());
                let rows = rows.into_iter().enumerate().map(part).collect();
                self.apply(now, messages, rows, key);
                WriteAnswer::TimedOut
            }
            Write::AppliedWith500 => {
                self.faulty.insert(first);
                self.apply(now, messages, rows, key);
                WriteAnswer::Failed
            }
            Write::Late(seconds) => {
                if !self.can_know() {
                    self.unknowable.extend(messages.iter().map(|message| id(&message.body)));
                }
                let (arrives, key) = (now + i64::from(seconds), key.map(ToOwned::to_owned));
                self.parcels.push(Parcel { arrives, messages: messages.to_vec(), rows, key });
                WriteAnswer::TimedOut
            }
            Write::Lost => WriteAnswer::TimedOut,
            Write::NeverLeft => WriteAnswer::NeverLeft,
            Write::With500 => {
                self.faulty.insert(first);
                WriteAnswer::Failed
            }
            Write::Limited(seconds) => {
                self.faulty.insert(first);
                WriteAnswer::Limited(seconds)
            }
        };
        BatchAnswer::Whole(answer)
    }

    /// What it answers because of how it is.
    fn in_trouble(&mut self, deletes: bool) -> Option<WriteAnswer> {
        self.calls += 1;
        let answer = match self.outage {
            Outage::Over => None,
            Outage::Half => self.calls.is_multiple_of(2).then_some(WriteAnswer::Failed),
            Outage::Whole => Some(WriteAnswer::Failed),
            Outage::Busy => Some(WriteAnswer::Limited(0)),
            Outage::DeletesBusy => deletes.then_some(WriteAnswer::Limited(LONG_SECONDS)),
        };
        self.turned_away += u64::from(answer.is_some());
        answer
    }

    /// Calls that failed so far because of how it was.
    pub(crate) fn turned_away(&self) -> u64 {
        self.turned_away
    }
}
