//! Pages of a collection: records in an order, within a range of times, from a place on. Pure; how a vendor asks for them and shows them
//! is its own business.

use std::ops::Bound;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::store::{Collection, Place, Record, RecordId, Sort};

/// Which records make a page.
pub(crate) struct Wanted<'a> {
    /// The order.
    pub(crate) sort: Sort,
    /// Whether it goes down.
    pub(crate) descending: bool,
    /// The range of the sorted time, in microseconds; not used with [`Sort::Id`].
    pub(crate) range: (Bound<i64>, Bound<i64>),
    /// Only what comes behind this place.
    pub(crate) after: Option<Place>,
    /// Records to pass over.
    pub(crate) skip: usize,
    /// Records a page.
    pub(crate) limit: usize,
    /// Only records that this is true of.
    pub(crate) keep: &'a dyn Fn(&Value) -> bool,
}

/// Everything, in the order of the ids.
pub(crate) const EVERYTHING: Wanted<'static> = Wanted {
    sort: Sort::Id,
    descending: false,
    range: (Bound::Unbounded, Bound::Unbounded),
    after: None,
    skip: 0,
    limit: usize::MAX,
    keep: &|_| true,
};

/// One page.
#[derive(Debug)]
pub(crate) struct Page {
    /// Its records.
    pub(crate) records: Vec<Value>,
    /// The place of the last one.
    pub(crate) last: Option<Place>,
    /// Whether others follow.
    pub(crate) more: bool,
}

impl Wanted<'_> {
    /// The page.
    pub(crate) fn page(&self, collection: &Collection) -> Page {
        let mut found: Vec<(Place, Value)> =
            self.all(collection).skip(self.skip).take(self.limit.saturating_add(1)).collect();
        let more = found.len() > self.limit;
        found.truncate(self.limit);
        Page {
            last: found.last().map(|(place, _)| place.clone()),
            records: found.into_iter().map(|(_, value)| value).collect(),
            more,
        }
    }

    /// How many records there are on all pages.
    pub(crate) fn count(&self, collection: &Collection) -> usize {
        self.all(collection).count()
    }

    fn all<'c>(&'c self, collection: &'c Collection) -> impl Iterator<Item = (Place, Value)> + 'c {
        let (mut low, mut high) = match self.sort {
            Sort::Id => (Bound::Unbounded, Bound::Unbounded),
            Sort::Created | Sort::Updated => (low(self.range.0), high(self.range.1)),
        };
        match &self.after {
            Some(place) if self.descending => high = Bound::Excluded(place.clone()),
            Some(place) => low = Bound::Excluded(place.clone()),
            None => {}
        }
        let records = collection.walk(self.sort, (low, high), self.descending);
        records.map(|(place, record)| (place, record.value())).filter(|(_, value)| (self.keep)(value))
    }
}

/// A time's lower bound as a place: ties are broken by the id, so an excluded time excludes every id at it.
fn low(bound: Bound<i64>) -> Bound<Place> {
    match bound {
        Bound::Included(time) => Bound::Included((time, RecordId::MIN)),
        Bound::Excluded(time) => Bound::Included((time.saturating_add(1), RecordId::MIN)),
        Bound::Unbounded => Bound::Unbounded,
    }
}

fn high(bound: Bound<i64>) -> Bound<Place> {
    match bound {
        Bound::Included(time) => Bound::Excluded((time.saturating_add(1), RecordId::MIN)),
        Bound::Excluded(time) => Bound::Excluded((time, RecordId::MIN)),
        Bound::Unbounded => Bound::Unbounded,
    }
}

/// The place of a record in an order.
pub(crate) fn place(collection: &Collection, sort: Sort, id: &RecordId) -> Option<Place> {
    let record: &Record = collection.get(id)?;
    let value = match sort {
        Sort::Id => 0,
        Sort::Created => record.created,
        Sort::Updated => record.updated,
    };
    Some((value, id.clone()))
}

/// A place as an opaque cursor.
pub(crate) fn cursor(place: &Place) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}:{}", place.0, place.1))
}

/// The place that a cursor stands for.
pub(crate) fn placed(cursor: &str) -> Option<Place> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (value, id) = text.split_once(':')?;
    Some((value.parse().ok()?, RecordId::parse(id)))
}
