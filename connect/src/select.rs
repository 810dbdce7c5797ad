//! The list of records in a response. Pure.

use crosstie_engine::json::Json;

/// The records at a JSON pointer in which a segment `*` goes through all items of a list; none when there is no list. Behind a `*`, lists
/// become one and single values are records. Items that lack what the pointer goes on with are passed over, unless all of them do: then the
/// pointer is wrong.
pub fn list<'d, 'a>(document: &'d Json<'a>, pointer: &str) -> Option<Vec<&'d Json<'a>>> {
    let segments: Vec<String> =
        pointer.split('/').skip(1).map(|segment| segment.replace("~1", "/").replace("~0", "~")).collect();
    let Some(star) = segments.iter().position(|segment| segment == "*") else {
        return match descend(document, &segments)? {
            Json::List(records) => Some(records.iter().collect()),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) | Json::Object(_) => None,
        };
    };
    let mut found = Found::default();
    found.collect(descend(document, &segments[..star])?, &segments[star..]);
    (!found.missed || found.met).then_some(found.records)
}

/// The same in what was XML, where a list of one is the one, and an empty list is nothing at all. What the list stands in has to be there.
pub fn elements<'d, 'a>(document: &'d Json<'a>, pointer: &str) -> Option<Vec<&'d Json<'a>>> {
    let segments: Vec<String> = pointer.split('/').skip(1).map(str::to_owned).collect();
    let star = segments.iter().position(|segment| segment == "*").unwrap_or(segments.len());
    let (list, place) = segments[..star].split_last()?;
    let items = match descend(descend(document, place)?, std::slice::from_ref(list)) {
        // An element without children is read as an empty text.
        None => return Some(Vec::new()),
        Some(Json::List(items)) => items.as_slice(),
        Some(one) => std::slice::from_ref(one),
    };
    let mut found = Found::default();
    let behind = segments.get(star + 1..).unwrap_or_default();
    found.collect_items(items, behind);
    (!found.missed || found.met).then_some(found.records)
}

#[derive(Default)]
struct Found<'d, 'a> {
    records: Vec<&'d Json<'a>>,
    met: bool,
    missed: bool,
}

impl<'d, 'a> Found<'d, 'a> {
    fn collect(&mut self, value: &'d Json<'a>, segments: &[String]) {
        match (segments.split_first(), value) {
            (None, Json::List(items)) => {
                self.met = true;
                self.records.extend(items);
            }
            (None, record) => {
                self.met = true;
                self.records.push(record);
            }
            (Some((star, rest)), Json::List(items)) if star == "*" => self.collect_items(items, rest),
            (Some((star, _)), _) if star == "*" => self.missed = true,
            (Some((segment, rest)), value) => match descend(value, std::slice::from_ref(segment)) {
                Some(value) => self.collect(value, rest),
                None => self.missed = true,
            },
        }
    }

    fn collect_items(&mut self, items: &'d [Json<'a>], segments: &[String]) {
        self.met |= items.is_empty();
        for item in items {
            self.collect(item, segments);
        }
    }
}

fn descend<'d, 'a>(value: &'d Json<'a>, segments: &[String]) -> Option<&'d Json<'a>> {
    segments.iter().try_fold(value, |value, segment| match value {
        Json::Object(members) => members.get(segment),
        Json::List(items) => items.get(segment.parse::<usize>().ok()?),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "values as tests write them")]
    fn list(document: Value, pointer: &str) -> Option<Vec<Value>> {
        let found = super::list(&Json::from(&document), pointer)?.into_iter().map(Json::to_value).collect();
        Some(found)
    }

    #[expect(clippy::needless_pass_by_value, reason = "values as tests write them")]
    fn elements(document: Value, pointer: &str) -> Option<Vec<Value>> {
        let found = super::elements(&Json::from(&document), pointer)?.into_iter().map(Json::to_value).collect();
        Some(found)
    }

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
