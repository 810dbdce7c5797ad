//! What becomes of a write that the vendor receives: by how it is, by the record, and by the history.

use super::{Parcel, Vendor};
use crate::{
    call::{Message, WriteAnswer},
    history::{Outage, Poison, Write},
};

/// For how long a vendor that is busy with deletes asks to wait, in seconds.
const LONG_SECONDS: u8 = 250;

impl Vendor {
    pub(super) fn receive(
        &mut self,
        now: i64,
        record: &str,
        message: &Message,
        key: Option<&str>,
        write: Write,
    ) -> WriteAnswer {
        self.calls += 1;
        if let Some(answer) = self.in_trouble(record, message.deletes) {
            return answer;
        }
        match write {
            Write::Applied => self.apply(now, message, key),
            Write::AnswerLost => {
                self.apply(now, message, key);
                return WriteAnswer::TimedOut;
            }
            Write::AppliedWith500 => {
                self.faulty.insert(record.to_owned());
                self.apply(now, message, key);
                return WriteAnswer::Failed;
            }
            Write::Late(seconds) => {
                if !self.can_know() {
                    self.unknowable.insert(record.to_owned());
                }
                let arrives = now + i64::from(seconds);
                self.parcels.push(Parcel { arrives, message: message.clone(), key: key.map(ToOwned::to_owned) });
                return WriteAnswer::TimedOut;
            }
            Write::Lost => return WriteAnswer::TimedOut,
            Write::NeverLeft => return WriteAnswer::NeverLeft,
            Write::Refused => {
                self.faulty.insert(record.to_owned());
                return WriteAnswer::Refused;
            }
            Write::With500 => {
                self.faulty.insert(record.to_owned());
                return WriteAnswer::Failed;
            }
            Write::Limited(seconds) => {
                self.faulty.insert(record.to_owned());
                return WriteAnswer::Limited(seconds);
            }
        }
        WriteAnswer::Applied
    }

    /// What it answers because of how it is, or of how it treats the record.
    fn in_trouble(&mut self, record: &str, deletes: bool) -> Option<WriteAnswer> {
        let out = match self.outage {
            Outage::Over => false,
            Outage::Half => self.calls.is_multiple_of(2),
            Outage::Whole => true,
            Outage::Busy => return Some(WriteAnswer::Limited(0)),
            Outage::DeletesBusy if deletes => return Some(WriteAnswer::Limited(LONG_SECONDS)),
            Outage::DeletesBusy => false,
        };
        if out {
            if self.outage == Outage::Half {
                self.faulty.insert(record.to_owned());
            }
            return Some(WriteAnswer::Failed);
        }
        match self.poisoned.get(record) {
            None | Some(Poison::Cured) => None,
            Some(Poison::With500) => Some(WriteAnswer::Failed),
            Some(Poison::Refused) => Some(WriteAnswer::Refused),
        }
    }
}
