//! The CEL environment that all expressions share, and the names an expression may use. No evaluation.

use std::sync::{Arc, LazyLock};

use cel::{DeclarationError, Env};

use super::{functions, operators};

/// The environment, made once. Declaring it cannot fail with the versions the tests ran with; if it does, every
/// expression says so instead of the process ending.
pub(super) fn environment() -> Result<Arc<Env>, DeclarationError> {
    static ENVIRONMENT: LazyLock<Result<Arc<Env>, DeclarationError>> = LazyLock::new(|| {
        let mut environment = Env::stdlib();
        operators::declare(&mut environment)?;
        functions::declare(&mut environment)?;
        Ok(Arc::new(environment))
    });
    ENVIRONMENT.clone()
}

/// The variable that holds the record.
pub(super) const RECORD: &str = "record";

/// The function that answers what id the other system gave.
pub(super) const XREF: &str = "xref";

/// The function that answers with a record of another stream.
pub(super) const LOOKUP: &str = "lookup";

/// Names that stand for types.
pub(super) const TYPES: &[&str] = &[
    "bool",
    "bytes",
    "decimal",
    "double",
    "int",
    "list",
    "map",
    "null_type",
    "optional_type",
    "string",
    "type",
    "uint",
];

/// The types that CEL names with dots.
pub(super) const DOTTED_TYPES: &[&str] = &["google.protobuf.Duration", "google.protobuf.Timestamp"];

/// How a function may be called.
pub(super) struct Callable {
    pub(super) name: &'static str,
    /// Numbers of arguments of `name(…)`.
    pub(super) global: &'static [usize],
    /// Numbers of arguments of `x.name(…)`, without `x`.
    pub(super) member: &'static [usize],
}

const fn callable(name: &'static str, global: &'static [usize], member: &'static [usize]) -> Callable {
    Callable { name, global, member }
}

/// Every function an expression may call. Macros are gone when calls are checked.
pub(super) const CALLABLE: &[Callable] = &[
    // the CEL standard library
    callable("bool", &[1], &[]),
    callable("bytes", &[1], &[]),
    callable("contains", &[], &[1]),
    callable("double", &[1], &[]),
    callable("duration", &[1], &[]),
    callable("dyn", &[1], &[]),
    callable("endsWith", &[], &[1]),
    callable("getDate", &[], &[0, 1]),
    callable("getDayOfMonth", &[], &[0, 1]),
    callable("getDayOfWeek", &[], &[0, 1]),
    callable("getDayOfYear", &[], &[0, 1]),
    callable("getFullYear", &[], &[0, 1]),
    callable("getHours", &[], &[0, 1]),
    callable("getMilliseconds", &[], &[0, 1]),
    callable("getMinutes", &[], &[0, 1]),
    callable("getMonth", &[], &[0, 1]),
    callable("getSeconds", &[], &[0, 1]),
    callable("hasValue", &[], &[0]),
    callable("int", &[1], &[]),
    callable("matches", &[2], &[1]),
    callable("or", &[], &[1]),
    callable("orValue", &[], &[1]),
    callable("size", &[1], &[0]),
    callable("startsWith", &[], &[1]),
    callable("string", &[1], &[]),
    callable("timestamp", &[1], &[]),
    callable("type", &[1], &[]),
    callable("uint", &[1], &[]),
    callable("value", &[], &[0]),
    // our own
    callable("base64", &[1], &[0]),
    callable("decimal", &[1], &[]),
    callable("formatTime", &[3], &[2]),
    callable("fromEpochMillis", &[1], &[]),
    callable("fromMinorUnits", &[2], &[]),
    callable("join", &[2], &[1]),
    callable("lookup", &[2], &[]),
    callable("lower", &[1], &[0]),
    callable("md5", &[1], &[0]),
    callable("minorUnits", &[2], &[]),
    callable("parseTime", &[1], &[0]),
    callable("replace", &[3], &[2]),
    callable("round", &[2], &[1]),
    callable("sha256", &[1], &[0]),
    callable("split", &[2], &[1]),
    callable("sum", &[1], &[0]),
    callable("trim", &[1], &[0]),
    callable("truncate", &[2], &[1]),
    callable("upper", &[1], &[0]),
    callable("uuid5", &[2], &[]),
    callable("xref", &[2], &[]),
];

/// Macros, for messages about calls that none of them took.
pub(super) const MACROS: &[(&str, &str)] = &[
    ("all", "list.all(x, condition)"),
    ("exists", "list.exists(x, condition)"),
    ("exists_one", "list.exists_one(x, condition)"),
    ("existsOne", "list.existsOne(x, condition)"),
    ("filter", "list.filter(x, condition)"),
    ("has", "has(record.field)"),
    ("map", "list.map(x, expression)"),
    ("optFlatMap", "optional.optFlatMap(x, expression)"),
    ("optMap", "optional.optMap(x, expression)"),
];

/// The functions of `optional`.
pub(super) const OPTIONAL_FUNCTIONS: &[(&str, usize)] = &[("none", 0), ("of", 1), ("ofNonZeroValue", 1)];
