//! JSON that borrows from the text it was read from: texts are copied only where they have escapes, and the members of an object are a list. What is
//! read once and seldom asked is read so in a fraction of the time and memory that a [`Value`] takes, which hashes and copies every name.

pub(crate) mod print;

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize,
    de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// Members that an object usually has; room for them is made at once.
const USUAL_MEMBERS: usize = 8;

/// Members beyond which they are sorted when they are read: fewer are found as fast one after the other.
const FEW: usize = 16;

/// A JSON value.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Json<'a> {
    /// Nothing.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(Cow<'a, str>),
    /// A list.
    List(Vec<Json<'a>>),
    /// An object.
    Object(Members<'a>),
}

/// The members of an object in the order in which they were read. Where several have one name, the last one counts, as everywhere in this project.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Members<'a> {
    list: Vec<(Cow<'a, str>, Json<'a>)>,
    /// Of more than a few, so that none is looked for long, whatever a mapping does with an object of thousands.
    order: Option<Box<Order>>,
}

/// Places of members sorted by their names, each name once.
#[derive(Clone, Debug, PartialEq)]
struct Order(Vec<usize>);

impl<'a> Members<'a> {
    fn of(list: Vec<(Cow<'a, str>, Json<'a>)>) -> Self {
        let order = (list.len() > FEW).then(|| {
            let name = |place: usize| list.get(place).map(|(name, _)| name.as_ref());
            let mut order: Vec<usize> = (0..list.len()).collect();
            // Of equal names the last one is kept.
            order.sort_unstable_by(|a, b| name(*a).cmp(&name(*b)).then(b.cmp(a)));
            order.dedup_by(|a, b| name(*a) == name(*b));
            Box::new(Order(order))
        });
        Self { list, order }
    }

    /// A member by its name.
    pub fn get(&self, name: &str) -> Option<&Json<'a>> {
        let Some(order) = &self.order else {
            return self.list.iter().rev().find(|(own, _)| own == name).map(|(_, value)| value);
        };
        let found = order.0.binary_search_by(|place| self.list[*place].0.as_ref().cmp(name)).ok()?;
        Some(&self.list[order.0[found]].1)
    }

    /// Names and values as they were read.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &Json<'a>)> + ExactSizeIterator {
        self.list.iter().map(|(name, value)| (name.as_ref(), value))
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        // Of many it is known: whoever asks again and again need not be waited for.
        if let Some(order) = &self.order {
            return order.0.len();
        }
        let mut names = 0;
        self.each_sorted(|_, _| names += 1);
        names
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Names and values sorted by name, each name once.
    pub fn sorted(&self) -> Vec<(&str, &Json<'a>)> {
        let mut members = Vec::with_capacity(self.list.len());
        self.each_sorted(|name, value| members.push((name, value)));
        members
    }

    /// Goes through names and values sorted by name, each name once.
    pub fn each_sorted<'m>(&'m self, mut each: impl FnMut(&'m str, &'m Json<'a>)) {
        let mut visit = |place: usize| {
            if let Some((name, value)) = self.list.get(place) {
                each(name, value);
            }
        };
        if let Some(order) = &self.order {
            return order.0.iter().for_each(|place| visit(*place));
        }
        let name = |place: usize| self.list.get(place).map(|(name, _)| name.as_ref());
        // So few are put in order where they lie; behind an equal name comes the one that was read later, and counts.
        let mut places = [0_usize; FEW];
        let places = &mut places[..self.list.len().min(FEW)];
        for next in 0..places.len() {
            let mut at = next;
            while at > 0 && name(places[at - 1]) > name(next) {
                places[at] = places[at - 1];
                at -= 1;
            }
            places[at] = next;
        }
        for (at, place) in places.iter().enumerate() {
            if places.get(at + 1).is_none_or(|next| name(*next) != name(*place)) {
                visit(*place);
            }
        }
    }
}

impl<'a> FromIterator<(Cow<'a, str>, Json<'a>)> for Members<'a> {
    fn from_iter<I: IntoIterator<Item = (Cow<'a, str>, Json<'a>)>>(members: I) -> Self {
        Self::of(members.into_iter().collect())
    }
}

impl<'a> Json<'a> {
    /// Reads a text.
    ///
    /// # Errors
    /// When it is no JSON.
    pub fn read(text: &'a str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }

    /// Its text, without spaces.
    pub fn text(&self) -> String {
        print::text(self, print::Order::AsRead)
    }

    /// What is at a JSON pointer (RFC 6901).
    pub fn pointer(&self, pointer: &str) -> Option<&Self> {
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return None;
        }
        pointer.split('/').skip(1).try_fold(self, |value, token| match value {
            Self::Object(members) => {
                if token.contains('~') {
                    members.get(&token.replace("~1", "/").replace("~0", "~"))
                } else {
                    members.get(token)
                }
            }
            Self::List(items) => items.get(index(token)?),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) => None,
        })
    }

    /// A copy that borrows nothing.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(boolean) => Value::Bool(*boolean),
            Self::Number(number) => Value::Number(number.clone()),
            Self::Text(text) => Value::from(text.as_ref()),
            Self::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Self::Object(members) => {
                let mut copied = Map::with_capacity(members.list.len());
                for (name, value) in members.iter() {
                    copied.insert(name.to_owned(), value.to_value());
                }
                Value::Object(copied)
            }
        }
    }

    /// An object of what is at some pointers alone, each at its pointer; what is not there is left out.
    pub fn part<'p>(&self, pointers: impl IntoIterator<Item = &'p str>) -> Value {
        let mut part = Value::Null;
        for pointer in pointers {
            if let Some(found) = self.pointer(pointer) {
                put(&mut part, pointer, found.to_value());
            }
        }
        part
    }
}

impl<'a> From<&'a Value> for Json<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(boolean) => Self::Bool(*boolean),
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => Self::Text(Cow::Borrowed(text)),
            Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            Value::Object(members) => {
                let members = members.iter().map(|(name, value)| (Cow::Borrowed(name.as_str()), Self::from(value)));
                Self::Object(members.collect())
            }
        }
    }
}

/// A place in a list, as RFC 6901 writes it.
fn index(token: &str) -> Option<usize> {
    if token.starts_with('+') || (token.starts_with('0') && token.len() > 1) {
        return None;
    }
    token.parse().ok()
}

/// Puts a value at a pointer, and objects on the way to it, whatever was there.
pub fn put(place: &mut Value, pointer: &str, value: Value) {
    let mut place = place;
    for segment in pointer.split('/').skip(1) {
        let name = segment.replace("~1", "/").replace("~0", "~");
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let Some(members) = place.as_object_mut() else { return };
        place = members.entry(name).or_insert(Value::Null);
    }
    *place = value;
}

/// What a visitor makes of everything but lists and objects.
macro_rules! scalars {
    () => {
        fn visit_bool<E: de::Error>(self, value: bool) -> Result<Json<'de>, E> {
            Ok(Json::Bool(value))
        }

        fn visit_i64<E: de::Error>(self, value: i64) -> Result<Json<'de>, E> {
            Ok(Json::Number(value.into()))
        }

        fn visit_u64<E: de::Error>(self, value: u64) -> Result<Json<'de>, E> {
            Ok(Json::Number(value.into()))
        }

        fn visit_f64<E: de::Error>(self, value: f64) -> Result<Json<'de>, E> {
            Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
        }

        fn visit_borrowed_str<E: de::Error>(self, value: &'de str) -> Result<Json<'de>, E> {
            Ok(Json::Text(Cow::Borrowed(value)))
        }

        fn visit_str<E: de::Error>(self, value: &str) -> Result<Json<'de>, E> {
            Ok(Json::Text(Cow::Owned(value.to_owned())))
        }

        fn visit_unit<E: de::Error>(self) -> Result<Json<'de>, E> {
            Ok(Json::Null)
        }
    };
}
pub(crate) use scalars;

impl<'de: 'a, 'a> Deserialize<'de> for Json<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Whole)
    }
}

struct Whole;

impl<'de> Visitor<'de> for Whole {
    type Value = Json<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("JSON")
    }

    scalars!();

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json<'de>, A::Error> {
        let Some(first) = members.next_key_seed(Name)? else { return Ok(Json::Object(Members::default())) };
        let mut object = Vec::with_capacity(USUAL_MEMBERS);
        object.push((first, members.next_value()?));
        while let Some(name) = members.next_key_seed(Name)? {
            object.push((name, members.next_value()?));
        }
        Ok(Json::Object(Members::of(object)))
    }
}

/// A member's name, borrowed where it has no escapes.
pub(crate) struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_borrowed_str<E: de::Error>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// The text of it, without spaces.
impl fmt::Display for Json<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text())
    }
}

impl serde::Serialize for Json<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(boolean) => serializer.serialize_bool(*boolean),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Object(members) => serializer.collect_map(members.iter()),
        }
    }
}

#[cfg(test)]
mod tests;
