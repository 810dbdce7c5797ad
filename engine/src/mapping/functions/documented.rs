//! The table of functions, from which the user guide is generated. Every example is a test.

/// One function of the mapping language beside the CEL standard library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionDoc {
    /// The name it is called by.
    pub name: &'static str,
    /// Parameters and result. Where the first parameter is called `this`, it may stand before a dot instead:
    /// `lower(x)` or `x.lower()`.
    pub signature: &'static str,
    /// What it does, its bounds and when it fails, in one or two sentences.
    pub says: &'static str,
    /// An expression that calls it, without a record.
    pub example: &'static str,
    /// What the example yields, as JSON.
    pub result: &'static str,
}

const fn doc(
    name: &'static str,
    signature: &'static str,
    says: &'static str,
    example: &'static str,
    result: &'static str,
) -> FunctionDoc {
    FunctionDoc { name, signature, says, example, result }
}

/// Every function of the mapping language beside the CEL standard library, in the order the guide shows them.
pub const FUNCTIONS: &[FunctionDoc] = &[
    doc(
        "parseTime",
        "parseTime(this string) timestamp",
        "Reads an RFC 3339 time with its offset, whose colon may be missing, or a date, which is its midnight in UTC.",
        r#"parseTime("2026-07-01T10:00:00.25-04:00")"#,
        r#""2026-07-01T14:00:00.25Z""#,
    ),
    doc(
        "fromEpochMillis",
        "fromEpochMillis(int) timestamp",
        "The time that many milliseconds after 1970-01-01T00:00:00Z.",
        "fromEpochMillis(1782914400000)",
        r#""2026-07-01T14:00:00Z""#,
    ),
    doc(
        "formatTime",
        "formatTime(this timestamp, format string, zone string) string",
        "Writes a time as the strftime format says, in a time zone of the IANA database.",
        r#"formatTime(parseTime("2026-07-01T02:00:00Z"), "%Y-%m-%d", "America/New_York")"#,
        r#""2026-06-30""#,
    ),
    doc(
        "decimal",
        "decimal(string | int | double | decimal) decimal",
        "An exact decimal number of up to 28 digits. It knows + - * / % and comparisons, also with ints and doubles. \
         In a body it is a number if a double can hold it exactly; otherwise write `string(...)`.",
        r#"decimal("19.90") * 3"#,
        "59.7",
    ),
    doc(
        "round",
        "round(this decimal | double | int, places int) decimal",
        "Rounds to 0 to 28 decimal places, halves away from zero, and keeps the zeros at the end.",
        r#"string(round(decimal("2.345"), 2))"#,
        r#""2.35""#,
    ),
    doc(
        "sum",
        "sum(this list) int | decimal",
        "Adds up a list of numbers exactly: an int if all are ints, a decimal otherwise, 0 if there are none.",
        "sum([0.1, 0.2, 3])",
        "3.3",
    ),
    doc(
        "minorUnits",
        "minorUnits(decimal | string | int | double, currency string) int",
        "An amount in the smallest unit of an ISO 4217 currency. Fails if the amount is no whole number of them.",
        r#"[minorUnits("12.50", "EUR"), minorUnits(500, "JPY"), minorUnits("1.234", "KWD")]"#,
        "[1250, 500, 1234]",
    ),
    doc(
        "fromMinorUnits",
        "fromMinorUnits(int, currency string) decimal",
        "The amount that a number of smallest units of an ISO 4217 currency is.",
        r#"string(fromMinorUnits(1250, "EUR"))"#,
        r#""12.50""#,
    ),
    doc("lower", "lower(this string) string", "In lower case.", r#"lower("ÅSA@Example.com")"#, r#""åsa@example.com""#),
    doc("upper", "upper(this string) string", "In upper case.", r#""de".upper()"#, r#""DE""#),
    doc("trim", "trim(this string) string", "Without white space at both ends.", r#"trim("  a b ")"#, r#""a b""#),
    doc(
        "truncate",
        "truncate(this string, length int) string",
        "The first characters of a text, at most that many.",
        r#"truncate("Straße 12", 5)"#,
        r#""Straß""#,
    ),
    doc(
        "split",
        "split(this string, separator string) list",
        "The parts of a text between separators.",
        r#"split("a, b,", ",")"#,
        r#"["a", " b", ""]"#,
    ),
    doc(
        "join",
        "join(this list, separator string) string",
        "The texts of a list in one, with separators between them.",
        r#"["a", "b"].join("-")"#,
        r#""a-b""#,
    ),
    doc(
        "replace",
        "replace(this string, old string, new string) string",
        "With every occurrence of a text replaced by another.",
        r#"replace("+49 30 1234", " ", "")"#,
        r#""+49301234""#,
    ),
    doc(
        "matches",
        "matches(this string, pattern string) bool",
        "Whether a text holds a match of a regular expression (RE2). The pattern is written as a literal, so that it is \
         checked and compiled once.",
        r#""DE-12345".matches("^[A-Z]{2}-[0-9]+$")"#,
        "true",
    ),
    doc(
        "base64",
        "base64(this string | bytes) string",
        "In base64, with padding. Bytes in a body are written so without it.",
        r#"base64("key:secret")"#,
        r#""a2V5OnNlY3JldA==""#,
    ),
    doc(
        "md5",
        "md5(this string | bytes) string",
        "The MD5 digest in lower-case hexadecimal, for vendors that key contacts by it. Not for secrets.",
        r#"md5(lower("A@Example.com"))"#,
        r#""b418773a2c51fb9777a1648346fa7394""#,
    ),
    doc(
        "sha256",
        "sha256(this string | bytes) string",
        "The SHA-256 digest in lower-case hexadecimal.",
        r#"sha256("abc")"#,
        r#""ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad""#,
    ),
    doc(
        "uuid5",
        "uuid5(namespace string, name string) string",
        "The version 5 UUID of a name: the same name always gives the same UUID. The namespace is \"dns\", \"url\", \
         \"oid\", \"x500\" or a UUID.",
        r#"uuid5("dns", "www.example.com")"#,
        r#""2ed6657d-e927-568b-95e1-2665a8aea6a2""#,
    ),
    doc(
        "xref",
        "xref(flow string, key string | int) optional",
        "The id that the other system gave the record with that key, if the flow has delivered it. While it has not, a \
         record whose field or condition comes to nothing without the id waits, which counts as no attempt; `.orValue(…)` \
         says what to do instead. The flow is written as a literal. An absent or null key has no id, and nothing waits \
         for it.",
        r#"xref("customers", 1001)"#,
        r#""C-17""#,
    ),
    doc(
        "lookup",
        "lookup(stream string, key string | int) optional",
        "A record of another stream of the connectors, read before mapping and cached, if there is one with that key. \
         The stream is written as a literal. An absent or null key has none.",
        r#"lookup("locations", "7").name"#,
        r#""Berlin""#,
    ),
];
