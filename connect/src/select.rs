//! The list of records in a response. Pure.

use serde_json::Value;

/// The records at a JSON pointer in which a segment `*` goes through all items of a list; none when there is no list. Behind a `*`, lists
/// become one and single values are records. Items that lack what the pointer goes on with are passed over, unless all of them do: then the
/// pointer is wrong.
pub fn list(document: Value, pointer: &str) -> Option<Vec<Value>> {
    let segments: Vec<String> =
        pointer.split('/').skip(1).map(|segment| segment.replace("~1", "/").replace("~0", "~")).collect();
    let Some(star) = segments.iter().position(|segment| segment == "*") else {
        return match descend(document, &segments)? {
            Value::Array(records) => Some(records),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => None,
        };
    };
    let mut found = Found::default();
    found.collect(descend(document, &segments[..star])?, &segments[star..]);
    (!found.missed || found.met).then_some(found.records)
}

/// The same in what was XML, where a list of one is the one, and an empty list is nothing at all. What the list stands in has to be there.
pub fn elements(document: Value, pointer: &str) -> Option<Vec<Value>> {
    let segments: Vec<String> = pointer.split('/').skip(1).map(str::to_owned).collect();
    let star = segments.iter().position(|segment| segment == "*").unwrap_or(segments.len());
    let (list, place) = segments[..star].split_last()?;
    let items = match descend(descend(document, place)?, std::slice::from_ref(list)) {
        // An element without children is read as an empty text.
        None => return Some(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(one) => vec![one],
    };
    let mut found = Found::default();
    found.collect(
        Value::Array(items),
        segments.get(star..).filter(|rest| !rest.is_empty()).unwrap_or(&["*".to_owned()]),
    );
    (!found.missed || found.met).then_some(found.records)
}

#[derive(Default)]
struct Found {
    records: Vec<Value>,
    met: bool,
    missed: bool,
}

impl Found {
    fn collect(&mut self, value: Value, segments: &[String]) {
        match (segments.split_first(), value) {
            (None, Value::Array(items)) => {
                self.met = true;
                self.records.extend(items);
            }
            (None, record) => {
                self.met = true;
                self.records.push(record);
            }
            (Some((star, rest)), Value::Array(items)) if star == "*" => {
                self.met |= items.is_empty();
                for item in items {
                    self.collect(item, rest);
                }
            }
            (Some((star, _)), _) if star == "*" => self.missed = true,
            (Some((segment, rest)), value) => match descend(value, std::slice::from_ref(segment)) {
                Some(value) => self.collect(value, rest),
                None => self.missed = true,
            },
        }
    }
}

fn descend(value: Value, segments: &[String]) -> Option<Value> {
    segments.iter().try_fold(value, |value, segment| match value {
        Value::Object(mut members) => members.swap_remove(segment),
        Value::Array(mut items) => {
            let index: usize = segment.parse().ok()?;
            (index < items.len()).then(|| items.swap_remove(index))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn without_a_star_there_is_one_list() {
        let document = json!({"a/b": [{"x": [1, 2]}], "one": {}});
        assert_eq!(list(document.clone(), "/a~1b/0/x"), Some(vec![json!(1), json!(2)]));
        assert_eq!(list(json!([3]), ""), Some(vec![json!(3)]));
        for pointer in ["/one", "/none", "/a~1b/1/x", "/a~1b/x"] {
            assert_eq!(list(document.clone(), pointer), None, "{pointer}");
        }
    }

    #[test]
    fn in_xml_one_element_is_a_list_of_one_and_none_is_an_empty_list() {
        let feed = |entry: Value| json!({"feed": {"title": "x", "entry": entry}});
        let entry = |id: u8| json!({"content": {"properties": {"id": id}}});
        let pointer = "/feed/entry/*/content/properties";
        let ids = |ids: &[u8]| Some(ids.iter().map(|id| json!({ "id": id })).collect::<Vec<_>>());
        assert_eq!(elements(feed(entry(1)), pointer), ids(&[1]));
        assert_eq!(elements(feed(json!([entry(1), entry(2)])), pointer), ids(&[1, 2]));
        assert_eq!(elements(json!({"feed": {"title": "x"}}), pointer), Some(Vec::new()));
        assert_eq!(elements(json!({"feed": ""}), pointer), Some(Vec::new()));
        assert_eq!(elements(json!({"error": "x"}), pointer), None);
        assert_eq!(elements(feed(entry(1)), "/feed/entry/*/contents"), None);
        assert_eq!(elements(feed(entry(1)), "/feed/entry"), Some(vec![entry(1)]));
    }

    #[test]
    fn a_star_goes_through_all_items() {
        let page = json!({"data": {"orders": {"edges": [{"node": {"id": 1}}, {"node": {"id": 2}}]}}});
        assert_eq!(list(page.clone(), "/data/orders/edges/*/node"), Some(vec![json!({"id": 1}), json!({"id": 2})]));
        assert_eq!(list(page.clone(), "/data/orders/edges/*/nodes"), None, "a pointer that is wrong everywhere");
        assert_eq!(list(page, "/data/orders/*"), None, "no list");
        let lists = json!([{"lines": [1, 2]}, {"lines": []}, {}, {"lines": [3]}]);
        assert_eq!(list(lists, "/*/lines"), Some(vec![json!(1), json!(2), json!(3)]));
        assert_eq!(list(json!({"edges": []}), "/edges/*/node"), Some(Vec::new()));
    }
}
