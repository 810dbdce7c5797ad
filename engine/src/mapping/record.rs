//! JSON as CEL values. A record is not copied: objects and lists are views that read the JSON when an expression does.
//! What comes from a look-up is owned by nobody else and is copied. No functions and no errors of the mapping live here.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};

use cel::ExecutionError;
use cel::common::traits::{self, Indexer, Iterable, Sizer, Zeroer};
use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt, LIST_TYPE, MAP_TYPE, Type,
};
use cel::common::value::{CowVal, StaticVal, Val};
use serde_json::{Number, Value};

use super::compare;
use super::meter;
use crate::json::{Json, Members};

/// Bytes of a record's text that are read in one step.
const TEXT_BYTES_PER_STEP: usize = 64;

/// A value of the record, borrowed from it.
pub(super) fn view<'a>(value: &'a Json<'a>) -> Box<dyn Val + 'a> {
    match value {
        Json::Null => Box::new(CelNull),
        Json::Bool(boolean) => Box::new(CelBool::from(*boolean)),
        Json::Number(number) => view_number(number),
        Json::Text(text) => Box::new(CelString::from(text.as_ref())),
        Json::List(items) => Box::new(ArrayView::new(items)),
        Json::Object(fields) => Box::new(ObjectView { fields }),
    }
}

/// A JSON value as a CEL value of its own.
pub(super) fn owned(value: Value) -> Result<Box<dyn Val>, ExecutionError> {
    meter::cells(1)?;
    Ok(match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(boolean) => Box::new(CelBool::from(boolean)),
        Value::Number(number) => view_number(&number),
        Value::String(text) => {
            meter::cells(compare::text_cells(text.len()))?;
            Box::new(CelString::from(text))
        }
        Value::Array(items) => {
            let items = items.into_iter().map(owned).collect::<Result<Vec<_>, _>>()?;
            Box::new(CelList::from(items))
        }
        Value::Object(fields) => {
            let entries = fields
                .into_iter()
                .map(|(name, value)| Ok((CelMapKey::from(name), owned(value)?)))
                .collect::<Result<HashMap<_, _>, ExecutionError>>()?;
            Box::new(CelMap::from(entries))
        }
    })
}

fn view_number<'a>(number: &Number) -> Box<dyn Val + 'a> {
    if let Some(int) = number.as_i64() {
        Box::new(CelInt::from(int))
    } else if let Some(unsigned) = number.as_u64() {
        Box::new(CelUInt::from(unsigned))
    } else {
        // Without serde_json's `arbitrary_precision`, what is no integer is a double.
        Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN)))
    }
}

fn read<'b, 'v, 'a: 'v>(value: &'a Json<'a>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let text = if let Json::Text(text) = value { text.len() / TEXT_BYTES_PER_STEP } else { 0 };
    meter::step(1 + text as u64)?;
    Ok(CowVal::Owned(view(value)))
}

/// What the engine, but no expression, can ask a view for by indexing it: views borrow the record, and a borrowing
/// value cannot be recovered by its Rust type.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ask {
    /// A copy of the JSON, as [`Copied`].
    Json,
    /// The names of an object's fields, as a list.
    Names,
}

/// A copy of a view's JSON, for one taker: a value can only be looked at, so what is in it is taken out from behind a
/// lock.
struct Copied(Mutex<Option<Value>>);

impl fmt::Debug for Copied {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("copied")
    }
}

impl Clone for Copied {
    fn clone(&self) -> Self {
        Copied(Mutex::new(None))
    }
}

static ENGINE_TYPE: Type = Type::new_unspecified_type("@engine");

macro_rules! engine_value {
    ($type:ty) => {
        impl Val for $type {
            fn get_type(&self) -> &Type {
                &ENGINE_TYPE
            }

            fn cel_type() -> &'static Type {
                &ENGINE_TYPE
            }

            fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
            where
                Self: 'v,
            {
                Box::new(self.clone())
            }

            fn as_any(&self) -> Option<&dyn Any> {
                Some(self)
            }
        }

        impl StaticVal for $type {}
    };
}

engine_value!(Ask);
engine_value!(Copied);

/// The JSON that `value` is a view of, or `None` if it is no view.
pub(super) fn json_of(value: &dyn Val) -> Option<Value> {
    let answer = value.as_indexer()?.get(&Ask::Json).ok()?;
    let copied = answer.downcast_ref::<Copied>()?;
    copied.0.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// A copy with the fields of every object sorted by name.
fn sorted(value: &Json) -> Value {
    match value {
        Json::List(items) => sorted_array(items),
        Json::Object(fields) => sorted_object(fields),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) => value.to_value(),
    }
}

fn sorted_array(items: &[Json]) -> Value {
    Value::Array(items.iter().map(sorted).collect())
}

fn sorted_object(fields: &Members) -> Value {
    let entries = fields.sorted().into_iter();
    Value::Object(entries.map(|(name, value)| (name.to_owned(), sorted(value))).collect())
}

/// A JSON object.
#[derive(Clone)]
struct ObjectView<'a> {
    fields: &'a Members<'a>,
}

impl fmt::Debug for ObjectView<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("object")
    }
}

impl Val for ObjectView<'_> {
    fn get_type(&self) -> &Type {
        &MAP_TYPE_OF_VIEWS
    }

    fn cel_type() -> &'static Type {
        &MAP_TYPE_OF_VIEWS
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    fn as_zeroer(&self) -> Option<&dyn Zeroer> {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        compare::equal(self, other).unwrap_or(false)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }
}

impl Indexer for ObjectView<'_> {
    fn get<'b, 'v>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        if let Some(name) = key.downcast_ref::<CelString>() {
            return match self.fields.get(name.inner()) {
                Some(value) => read(value),
                None => Err(ExecutionError::no_such_key(name.inner())),
            };
        }
        match key.downcast_ref::<Ask>() {
            Some(Ask::Json) => Ok(CowVal::owned(Copied(Mutex::new(Some(sorted_object(self.fields)))))),
            Some(Ask::Names) => {
                let fields = self.fields.sorted().into_iter();
                let names: Vec<Box<dyn Val + 'v>> =
                    fields.map(|(name, _)| Box::new(CelString::from(name)) as _).collect();
                Ok(CowVal::owned(CelList::from(names)))
            }
            None => {
                Err(ExecutionError::UnexpectedType { got: key.get_type().name().to_owned(), want: "string".to_owned() })
            }
        }
    }

    fn steal<'v>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(key).map(CowVal::into_owned)
    }
}

impl Sizer for ObjectView<'_> {
    fn size(&self) -> CelInt {
        length(self.fields.len())
    }
}

impl Zeroer for ObjectView<'_> {
    fn is_zero_value(&self) -> bool {
        self.fields.is_empty()
    }
}

/// A JSON list.
struct ArrayView<'a> {
    items: &'a [Json<'a>],
    /// The items as values, made when the list is first iterated: iteration lends them out.
    values: OnceLock<Vec<Box<dyn Val + 'a>>>,
}

impl<'a> ArrayView<'a> {
    fn new(items: &'a [Json<'a>]) -> Self {
        ArrayView { items, values: OnceLock::new() }
    }
}

impl fmt::Debug for ArrayView<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("list")
    }
}

impl Val for ArrayView<'_> {
    fn get_type(&self) -> &Type {
        &LIST_TYPE_OF_VIEWS
    }

    fn cel_type() -> &'static Type {
        &LIST_TYPE_OF_VIEWS
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_iterable<'b, 'v>(&'b self) -> Option<&'b (dyn Iterable + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    fn as_zeroer(&self) -> Option<&dyn Zeroer> {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        compare::equal(self, other).unwrap_or(false)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(ArrayView::new(self.items))
    }
}

impl Indexer for ArrayView<'_> {
    fn get<'b, 'v>(&'b self, index: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        if let Some(Ask::Json) = index.downcast_ref::<Ask>() {
            return Ok(CowVal::owned(Copied(Mutex::new(Some(sorted_array(self.items))))));
        }
        let position = position(index).ok_or_else(|| ExecutionError::UnexpectedType {
            got: index.get_type().name().to_owned(),
            want: "int".to_owned(),
        })?;
        match usize::try_from(position).ok().and_then(|position| self.items.get(position)) {
            Some(value) => read(value),
            None => Err(ExecutionError::IndexOutOfBounds(cel::Value::Null)),
        }
    }

    fn steal<'v>(self: Box<Self>, index: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(index).map(CowVal::into_owned)
    }
}

impl Iterable for ArrayView<'_> {
    fn iter<'b, 'v>(&'b self) -> Box<dyn traits::Iterator<'b, 'v> + 'b>
    where
        Self: 'v,
    {
        let values = self.values.get_or_init(|| self.items.iter().map(view).collect());
        Box::new(Items { values, next: 0 })
    }
}

impl Sizer for ArrayView<'_> {
    fn size(&self) -> CelInt {
        length(self.items.len())
    }
}

impl Zeroer for ArrayView<'_> {
    fn is_zero_value(&self) -> bool {
        self.items.is_empty()
    }
}

struct Items<'b, 'a> {
    values: &'b [Box<dyn Val + 'a>],
    next: usize,
}

impl<'b, 'a: 'v, 'v> traits::Iterator<'b, 'v> for Items<'b, 'a> {
    fn next(&mut self) -> Option<&'b (dyn Val + 'v)> {
        let value = self.values.get(self.next)?;
        self.next += 1;
        Some(value.as_ref())
    }
}

// The types of the built-in list and map, which overloads are found by, need a place to be borrowed from.
static LIST_TYPE_OF_VIEWS: Type = LIST_TYPE;
static MAP_TYPE_OF_VIEWS: Type = MAP_TYPE;

fn length(length: usize) -> CelInt {
    CelInt::from(i64::try_from(length).unwrap_or(i64::MAX))
}

/// A list position: an integer, or a double without a fraction.
fn position(index: &dyn Val) -> Option<i64> {
    if let Some(int) = index.downcast_ref::<CelInt>() {
        return Some(*int.inner());
    }
    if let Some(unsigned) = index.downcast_ref::<CelUInt>() {
        return i64::try_from(*unsigned.inner()).ok();
    }
    let double = *index.downcast_ref::<CelDouble>()?.inner();
    let whole = double.fract() == 0.0 && double.abs() <= f64::from(u32::MAX);
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small in the line above")]
    whole.then_some(double as i64)
}
