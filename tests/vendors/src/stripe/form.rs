//! Form bodies as Stripe reads them: brackets nest, whole numbers and truth values are told from texts by the parameter's name. Pure.

use serde_json::{Map, Value, json};

use crate::message::parse_query;

/// Parameters that are whole numbers.
const NUMBERS: &[&str] = &["amount", "balance", "quantity", "unit_amount"];
/// Parameters that are true or false.
const TRUTHS: &[&str] = &["active", "capture", "confirm", "livemode", "refund_application_fee", "reverse_transfer"];

/// Reads a form.
///
/// # Errors
/// The name of the parameter that cannot be read.
pub(super) fn parse(body: &str) -> Result<Map<String, Value>, String> {
    let mut fields = Map::new();
    for (name, text) in parse_query(body) {
        let path = segments(&name).ok_or_else(|| name.clone())?;
        let leaf = path.iter().rev().find(|segment| segment.parse::<usize>().is_err() && !segment.is_empty());
        let in_metadata = path.first() == Some(&"metadata");
        let value = match leaf.filter(|_| !in_metadata) {
            Some(leaf) if NUMBERS.contains(leaf) => json!(text.parse::<i64>().map_err(|_| name.clone())?),
            Some(leaf) if TRUTHS.contains(leaf) => json!(text.parse::<bool>().map_err(|_| name.clone())?),
            Some(_) | None => json!(text),
        };
        let mut root = Value::Object(std::mem::take(&mut fields));
        insert(&mut root, &path, value).ok_or(name)?;
        if let Value::Object(read) = root {
            fields = read;
        }
    }
    Ok(fields)
}

/// `a[b][0]` as `a`, `b`, `0`.
fn segments(name: &str) -> Option<Vec<&str>> {
    let (first, mut rest) = match name.find('[') {
        Some(open) => name.split_at(open),
        None => (name, ""),
    };
    let mut path = vec![first];
    while !rest.is_empty() {
        let (segment, after) = rest.strip_prefix('[')?.split_once(']')?;
        path.push(segment);
        rest = after;
    }
    (!first.is_empty()).then_some(path)
}

fn insert(target: &mut Value, path: &[&str], value: Value) -> Option<()> {
    let Some((first, rest)) = path.split_first() else {
        *target = value;
        return Some(());
    };
    let index = if first.is_empty() { None } else { first.parse::<usize>().ok() };
    if first.is_empty() || index.is_some() && !target.is_object() {
        if target.is_null() {
            *target = json!([]);
        }
        let items = target.as_array_mut()?;
        let index = index.unwrap_or(items.len());
        if index > 1_000 {
            return None;
        }
        while items.len() <= index {
            items.push(Value::Null);
        }
        return insert(items.get_mut(index)?, rest, value);
    }
    if target.is_null() {
        *target = json!({});
    }
    insert(target.as_object_mut()?.entry((*first).to_owned()).or_insert(Value::Null), rest, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_nest_and_types_follow_the_names() {
        let read =
            parse("amount=1200&metadata[amount]=7&items[0][price]=p&items[0][quantity]=2&expand[]=a&expand[]=b+c")
                .unwrap();
        let expected = json!({
            "amount": 1200, "metadata": {"amount": "7"}, "items": [{"price": "p", "quantity": 2}], "expand": ["a", "b c"],
        });
        assert_eq!(Value::Object(read), expected);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for body in ["amount=12.5", "a[b=1", "[a]=1", "a=1&a[b]=2", "a[99999]=1"] {
            assert!(parse(body).is_err(), "{body}");
        }
    }
}
