//! What a look-up shows: what is there, what was there, or another record in its place.

use serde_json::Value;

use super::{Vendor, id, owned::rest};
use crate::{
    call::LookUpAnswer,
    history::{Look, Outage},
};

impl Vendor {
    /// Shows what is there for a body's record, by a write that was decided at a time; none of a delete, which looks for all there is.
    pub fn look_up(&mut self, now: i64, body: &Value, look: Look, decided: Option<i64>) -> LookUpAnswer {
        let since = decided.filter(|_| self.means.since);
        let record = id(body);
        self.strangers.remove(&record);
        if matches!(self.outage, Outage::Whole | Outage::Busy) {
            self.turned_away += 1;
            return LookUpAnswer::Failed;
        }
        match look {
            Look::Fresh => self.shown(&record, now, since),
            Look::Lagging(seconds) => self.shown(&record, now - i64::from(seconds), since),
            Look::Fails => LookUpAnswer::Failed,
            Look::Stranger | Look::Several => {
                self.faulty.insert(record.clone());
                self.strangers.insert(record, rest(body));
                if look == Look::Stranger { LookUpAnswer::Stranger } else { LookUpAnswer::Several }
            }
        }
    }

    fn shown(&self, record: &str, at: i64, since: Option<i64>) -> LookUpAnswer {
        let booked = self.booked.get(record).and_then(|all| all.iter().rfind(|booked| booked.at <= at));
        let booked = booked.filter(|booked| since.is_none_or(|since| booked.at >= since));
        let body = booked.and_then(|booked| booked.body.clone());
        body.map_or(LookUpAnswer::Absent, |body| LookUpAnswer::Present(self.with_theirs(record, body)))
    }
}
