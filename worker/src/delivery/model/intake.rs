//! What comes in to the process: pages and events, and what the store makes of them.

use crosstie_engine::{delivery::Seen, plan::Stream, version::Version, window::PollState};
use crosstie_histories::{Property, State};

use super::process::Process;
use crate::{
    intake::records::incoming,
    store::{Incoming, TakenPage},
};

impl Process {
    /// States come in, and reading stands there.
    pub(super) fn take(&mut self, states: &[State], poll: PollState) {
        let lane = self.lane();
        let now = lane.now();
        let stream = &lane.flow.stream;
        let records: Vec<_> = states.iter().map(|state| self.incoming(state, stream)).collect();
        let resting: Vec<String> = records.iter().filter_map(|record| self.resting(record)).collect();
        let page = TakenPage {
            scope: lane.scope,
            records,
            poll: poll.clone(),
            again: false,
            round: None,
            run: now,
            synced: None,
            now,
        };
        self.runtime.block_on(lane.store.take_page(page)).unwrap();
        self.poll = poll;
        self.note_come_back(states, &resting);
        self.world.get().taken(states);
    }

    /// What comes in of a state.
    fn incoming(&self, state: &State, stream: &Stream) -> Incoming {
        let told = state.told(self.means);
        if self.means.words {
            let hash = Seen::of(Version::Unordered, &told).hash;
            return Incoming::Word { key: state.key.to_string(), hash, payload: told.to_string() };
        }
        incoming(&(&told).into(), stream).1
    }

    /// The key of a state that was the last to be set aside, with nothing else under way. Word of a record is none.
    fn resting(&self, record: &Incoming) -> Option<String> {
        let Incoming::Record { key, seen, .. } = record else { return None };
        let sql = format!(
            "SELECT key FROM dead_letter WHERE id = (SELECT max(id) FROM dead_letter WHERE key = '{key}') AND version = '{}' \
             AND source_hash = '{}' AND key NOT IN (SELECT key FROM queue)",
            seen.version, seen.hash
        );
        self.keys(&sql).pop_first()
    }

    /// A state that rested does not wait now, unless another one of its record came with it.
    fn note_come_back(&self, states: &[State], resting: &[String]) {
        let alone = |key: &&String| states.iter().filter(|state| state.key.to_string() == **key).count() == 1;
        let waiting = self.keys("SELECT key FROM queue");
        if let Some(key) = resting.iter().filter(alone).find(|key| waiting.contains(*key)) {
            let property = Property::ADeadLetterDoesNotComeBackByItself;
            self.world.get().violate(property, || format!("{key} was taken again, although it is set aside"));
        }
    }
}
