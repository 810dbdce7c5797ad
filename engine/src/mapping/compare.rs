//! Equality, order and size of CEL values, over built-in values and views alike. The `cel` crate compares its own list
//! and map types only with themselves; here a list is a list.

use std::cmp::Ordering;

use cel::ExecutionError;
use cel::common::types::{CelBytes, CelInt, CelList, CelMap, CelOptional, CelString, Kind};
use cel::common::value::Val;

use super::decimal::{self, Compared};
use super::meter;
use super::record::Ask;

/// Bytes of text that make one cell.
const TEXT_BYTES_PER_CELL: usize = 32;

/// The cells that text of `bytes` takes, beside the one of its value.
pub(super) fn text_cells(bytes: usize) -> u64 {
    (bytes / TEXT_BYTES_PER_CELL) as u64
}

/// The cells a copy of `value` would take. A view is one cell: its copy borrows the same record.
pub(super) fn weight(value: &dyn Val) -> u64 {
    if let Some(text) = value.downcast_ref::<CelString>() {
        return 1 + text_cells(text.inner().len());
    }
    if let Some(list) = value.downcast_ref::<CelList>() {
        return list.inner().iter().fold(1, |sum, item| sum + weight(item.as_ref()));
    }
    if let Some(map) = value.downcast_ref::<CelMap>() {
        return map.inner().iter().fold(1, |sum, (key, item)| sum + weight(key.inner()) + weight(item.as_ref()));
    }
    if let Some(bytes) = value.downcast_ref::<CelBytes>() {
        return 1 + text_cells(bytes.inner().len());
    }
    match value.downcast_ref::<CelOptional>().and_then(CelOptional::option) {
        Some(inner) => 1 + weight(inner),
        None => 1,
    }
}

/// What is in an optional, or the value itself; `None` for an absent one.
pub(super) fn present<'b, 'v>(value: &'b (dyn Val + 'v)) -> Option<&'b (dyn Val + 'v)> {
    match value.downcast_ref::<CelOptional>() {
        Some(optional) => optional.option().and_then(present),
        None => Some(value),
    }
}

/// The number of items or entries of a list or map.
pub(super) fn size(value: &dyn Val) -> usize {
    let size = value.as_sizer().map_or(0, |sizer| *sizer.size().inner());
    usize::try_from(size).unwrap_or(0)
}

/// The items of a list, lent out one by one.
pub(super) fn for_each<'v>(
    list: &(dyn Val + 'v),
    mut each: impl FnMut(&(dyn Val + 'v)) -> Result<(), ExecutionError>,
) -> Result<(), ExecutionError> {
    let Some(iterable) = list.as_iterable() else {
        return Ok(());
    };
    let mut items = iterable.iter();
    while let Some(item) = items.next() {
        each(item)?;
    }
    Ok(())
}

/// The keys of a map, sorted so that evaluation does not depend on how the map hashes.
pub(super) fn sorted_keys<'v>(map: &(dyn Val + 'v)) -> Result<Vec<Box<dyn Val + 'v>>, ExecutionError> {
    let mut keys: Vec<Box<dyn Val + 'v>> = Vec::with_capacity(size(map));
    if let Some(built_in) = map.downcast_ref::<CelMap>() {
        keys.extend(built_in.inner().keys().map(|key| key.inner().clone_as_boxed()));
    } else if let Some(indexer) = map.as_indexer() {
        let names = indexer.get(&Ask::Names)?;
        for_each(names.as_ref(), |name| {
            keys.push(name.clone_as_boxed());
            Ok(())
        })?;
    }
    keys.sort_by(|a, b| order_keys(a.as_ref(), b.as_ref()));
    Ok(keys)
}

fn order_keys(a: &dyn Val, b: &dyn Val) -> Ordering {
    let compared = a.as_comparer().and_then(|comparer| comparer.compare(b).ok());
    // Keys of different kinds do not compare; their types' names do.
    compared.unwrap_or_else(|| a.get_type().name().cmp(b.get_type().name()))
}

/// Whether `a == b`.
pub(super) fn equal(a: &dyn Val, b: &dyn Val) -> Result<bool, ExecutionError> {
    meter::step(1)?;
    match decimal::compare(a, b) {
        Compared::Others => {}
        compared @ (Compared::Unordered | Compared::Ordered(_)) => {
            return Ok(compared == Compared::Ordered(Ordering::Equal));
        }
    }
    match (a.get_type().kind(), b.get_type().kind()) {
        (Kind::List, Kind::List) => equal_lists(a, b),
        (Kind::Map, Kind::Map) => equal_maps(a, b),
        // Not asked themselves: a view would ask here again.
        (Kind::List | Kind::Map, _) | (_, Kind::List | Kind::Map) => Ok(false),
        (Kind::String, Kind::String) => {
            let length = a.downcast_ref::<CelString>().map_or(0, |text| text.inner().len());
            meter::step(text_cells(length))?;
            Ok(a.equals(b))
        }
        _ => match (a.downcast_ref::<CelOptional>(), b.downcast_ref::<CelOptional>()) {
            (Some(a), Some(b)) => match (a.option(), b.option()) {
                (Some(a), Some(b)) => equal(a, b),
                (None, None) => Ok(true),
                (Some(_), None) | (None, Some(_)) => Ok(false),
            },
            _ => Ok(a.equals(b)),
        },
    }
}

fn equal_lists(a: &dyn Val, b: &dyn Val) -> Result<bool, ExecutionError> {
    let (Some(first), Some(second)) = (a.as_iterable(), b.as_iterable()) else {
        return Ok(false);
    };
    if size(a) != size(b) {
        return Ok(false);
    }
    let (mut first, mut second) = (first.iter(), second.iter());
    while let (Some(a), Some(b)) = (first.next(), second.next()) {
        if !equal(a, b)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn equal_maps(a: &dyn Val, b: &dyn Val) -> Result<bool, ExecutionError> {
    let (Some(first), Some(second)) = (a.as_indexer(), b.as_indexer()) else {
        return Ok(false);
    };
    if size(a) != size(b) {
        return Ok(false);
    }
    for key in sorted_keys(a)? {
        let in_a = first.get(key.as_ref())?;
        match second.get(key.as_ref()) {
            Ok(in_b) if equal(in_a.as_ref(), in_b.as_ref())? => {}
            Ok(_) | Err(ExecutionError::NoSuchKey(_) | ExecutionError::UnexpectedType { .. }) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Whether `value in container`, or `None` if the container cannot hold it.
pub(super) fn contains(container: &dyn Val, value: &dyn Val) -> Result<Option<bool>, ExecutionError> {
    match container.get_type().kind() {
        Kind::List => {
            let Some(iterable) = container.as_iterable() else {
                return Ok(None);
            };
            let mut items = iterable.iter();
            while let Some(item) = items.next() {
                if equal(item, value)? {
                    return Ok(Some(true));
                }
            }
            Ok(Some(false))
        }
        Kind::Map => {
            let Some(indexer) = container.as_indexer() else {
                return Ok(None);
            };
            match indexer.get(value) {
                Ok(_) => Ok(Some(true)),
                Err(ExecutionError::NoSuchKey(_)) => Ok(Some(false)),
                Err(ExecutionError::UnexpectedType { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        }
        _ => Ok(None),
    }
}

/// How `a` orders against `b`, or `None` if they do not.
pub(super) fn order(a: &dyn Val, b: &dyn Val) -> Option<Ordering> {
    match decimal::compare(a, b) {
        Compared::Others => a.as_comparer()?.compare(b).ok(),
        Compared::Unordered => None,
        Compared::Ordered(ordering) => Some(ordering),
    }
}

/// An integer as CEL has it.
pub(super) fn int(value: &dyn Val) -> Option<i64> {
    value.downcast_ref::<CelInt>().map(|int| *int.inner())
}
