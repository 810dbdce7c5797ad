//! The bounds of the mapping language. What is refused here is refused with the limit and a way out in the message.
//! No logic lives here.

/// Longest source of one expression, in bytes of UTF-8.
pub const MAX_SOURCE_BYTES: usize = 4096;

/// Most destination fields one `map` may have.
pub const MAX_FIELDS: usize = 256;

/// Longest destination path, in bytes of UTF-8, escapes included.
pub const MAX_PATH_BYTES: usize = 512;

/// Most segments one destination path may have.
pub const MAX_PATH_SEGMENTS: usize = 32;

/// Most levels of brackets `()`, `[]`, `{}` inside one another in one expression.
pub const MAX_NESTING: usize = 32;

/// Most operators on one way from an expression's root to a leaf: the links of a chain such as `a + b + c` or
/// `a.b.c`. Alternatives beside each other (`a == 1 || b == 2`, list elements, arguments) do not add up.
pub const MAX_OPERATORS: usize = 64;

/// Most operators in one expression, wherever they are.
pub const MAX_ALL_OPERATORS: usize = 1024;

/// Most comprehensions (`map`, `filter`, `all`, `exists`, `exists_one`) inside one another's body.
pub const MAX_COMPREHENSION_DEPTH: usize = 3;

/// Longest list or largest map that a comprehension iterates, in elements.
pub const MAX_ITERATED: usize = 10_000;

/// Steps one evaluation of all fields may take: about one for each node of an expression that is evaluated in a
/// comprehension, each element that is compared, and each 64 bytes of text that are read. Bounds time.
pub const MAX_STEPS: u64 = 2_000_000;

/// Cells one evaluation of all fields may make: about one for each list element, two for each map entry, and one
/// for each 32 bytes of text. Bounds memory.
pub const MAX_CELLS: u64 = 1_000_000;

/// Longest text a function or `+` may make, in bytes of UTF-8.
pub const MAX_TEXT_BYTES: usize = 1024 * 1024;

/// Largest destination body, in bytes of its JSON.
pub const MAX_OUTPUT_BYTES: usize = 1024 * 1024;

/// Largest compiled form of one regular expression, in bytes.
pub const MAX_PATTERN_BYTES: usize = 256 * 1024;

/// Longest `strftime` format, in bytes.
pub const MAX_FORMAT_BYTES: usize = 256;

/// Most look-ups that one evaluation asks for at once; what is beyond is asked for by the next one.
pub const MAX_WANTED: usize = 256;
