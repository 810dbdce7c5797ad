//! Two systems with a record each, and what the worker does between them.

use std::cell::Cell;

use serde_json::json;

use super::super::*;
use crate::mapping::{MappingSource, NoResolve};

pub fn mapping(fields: &[(&str, &str)]) -> Mapping {
    let map = fields.iter().map(|(field, expression)| ((*field).to_owned(), (*expression).to_owned())).collect();
    Mapping::compile(&MappingSource { when: None, map: &map }).unwrap()
}

/// What a system makes of the texts it is given.
pub type Habit = fn(&str) -> String;

pub fn keeps(text: &str) -> String {
    text.to_owned()
}

pub fn lowers(text: &str) -> String {
    text.to_lowercase()
}

pub fn cuts(text: &str) -> String {
    text.chars().take(3).collect()
}

/// Never twice the same.
pub fn grows(text: &str) -> String {
    format!("{text}!")
}

pub const HABITS: [Habit; 4] = [keeps, lowers, cuts, grows];

/// Both ends of a pair of records that are linked already.
pub struct World {
    pub records: [Value; 2],
    pub versions: [i64; 2],
    pub habits: [Habit; 2],
    pub maps: [Mapping; 2],
    pub memory: Memory,
    /// Writes to each end.
    pub writes: [Cell<u32>; 2],
    pub now: Timestamp,
}

pub const FORWARD: Direction = Direction::Forward;
pub const REVERSE: Direction = Direction::Reverse;

pub fn index(direction: Direction) -> usize {
    match direction {
        Direction::Forward => 0,
        Direction::Reverse => 1,
    }
}

impl World {
    /// Two records of which the second was made of the first.
    pub fn linked(record: Value, maps: [Mapping; 2], habits: [Habit; 2]) -> Self {
        let nothing = json!({});
        let writes = [Cell::new(0), Cell::new(0)];
        let (records, versions, memory) = ([record, nothing], [1, 0], Memory::default());
        let mut world = Self { records, versions, habits, maps, memory, writes, now: Timestamp::UNIX_EPOCH };
        let (body, image) = world.body(FORWARD);
        let after = world.image(REVERSE, &overlaid(&json!({}), "", &body));
        let seen = world.seen(FORWARD);
        let look = world.memory.forward.look(&image, &seen, world.now);
        let nothing = Twin { before: None, takes_part: true };
        let (effect, first) = (Effect { after, ..Effect::default() }, Answer { round: 0, at: world.now });
        world.memory = world.memory.looked(FORWARD, look).written(FORWARD, nothing, &effect, first);
        world.store(REVERSE, &body);
        world
    }

    pub fn seen(&self, end: Direction) -> Seen {
        Seen::of(Version::Counter(self.versions[index(end)]), &self.records[index(end)])
    }

    pub fn image(&self, direction: Direction, record: &Value) -> Image {
        Image::each(&self.maps[index(direction)].each(record, &NoResolve).unwrap())
    }

    pub fn body(&self, direction: Direction) -> (Value, Image) {
        let map = &self.maps[index(direction)];
        let body = map.apply(&self.records[index(direction)], &NoResolve).unwrap();
        let image = Image::of(map, &body);
        (body, image)
    }

    /// The system at the end that a direction reads stores a body.
    fn store(&mut self, end: Direction, body: &Value) {
        self.writes[index(end)].set(self.writes[index(end)].get() + 1);
        self.versions[index(end)] += 1;
        let habit = self.habits[index(end)];
        for (name, value) in body.as_object().unwrap() {
            let value = value.as_str().map_or(Value::Null, |text| habit(text).into());
            self.records[index(end)][name] = value;
        }
    }

    pub fn edit(&mut self, end: Direction, field: &str, text: &str) {
        self.records[index(end)][field] = text.into();
        self.versions[index(end)] += 1;
    }

    /// The flow of a direction carries the record, as the worker does. Says whether it wrote.
    pub fn carry(&mut self, direction: Direction) -> bool {
        let back = direction.back();
        let ((body, image), seen) = (self.body(direction), self.seen(direction));
        let before = self.memory.clone();
        let look = before.of(direction).look(&image, &seen, self.now);
        let news = before.of(direction).news(look);
        if news.not_before.is_some() && !news.fields.is_empty() {
            return false;
        }
        let looked = before.looked(direction, look);
        if news.fields.is_empty() {
            self.memory = looked;
            return false;
        }
        let (twin, seen) = (self.records[index(back)].clone(), self.seen(back));
        let shown = self.image(back, &twin);
        let there = Twin { before: Some(before.of(back).look(&shown, &seen, self.now)), takes_part: true };
        let map = &self.maps[index(direction)];
        let after = |fields: &BTreeSet<String>| self.image(back, &overlaid(&twin, "", &part(map, &body, fields)));
        let (mut fields, mut owed) = (news.fields, BTreeSet::new());
        if direction == REVERSE {
            for field in fields.clone() {
                let overruled = there.overruled(&before, direction, &after(&BTreeSet::from([field.clone()])));
                if !overruled.is_empty() {
                    fields.remove(&field);
                    owed.extend(overruled);
                }
            }
        }
        let looked = looked.yielded(direction, &owed);
        if fields.is_empty() {
            self.memory = looked;
            return false;
        }
        let blank = self.image(back, &overlaid(&twin, "", &blank(map, &fields)));
        let answer = Answer { round: news.round, at: self.now };
        self.memory = looked.written(direction, there, &Effect { after: after(&fields), blank }, answer);
        let body = part(&self.maps[index(direction)], &body, &fields);
        self.store(back, &body);
        true
    }

    /// Both flows run until neither writes. How often each end was written to meanwhile.
    pub fn settle(&mut self) -> [u32; 2] {
        let before = self.writes.clone().map(Cell::into_inner);
        for _ in 0..40 {
            if !self.carry(FORWARD) & !self.carry(REVERSE) {
                let after = self.writes.clone().map(Cell::into_inner);
                return [after[0] - before[0], after[1] - before[1]];
            }
        }
        panic!("the two systems write to each other for ever: {:?}", self.records);
    }

    /// Nothing is to be carried any more, however long one waits.
    pub fn rest(&mut self) -> [u32; 2] {
        let writes = self.settle();
        self.now += SignedDuration::from_secs(LONGEST_PAUSE);
        let late = self.settle();
        [writes[0] + late[0], writes[1] + late[1]]
    }
}
