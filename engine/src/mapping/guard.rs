//! A look at an expression's tokens before the recursive parser sees them: how deep it nests, and whether its literals
//! are whole. It refuses what would overflow the parser's stack, and says how much stack the rest can need. It does not
//! understand expressions; where it cannot follow the parser's lexer exactly, it refuses.

use super::error::{Position, Problem};
use super::limits::{MAX_ALL_OPERATORS, MAX_NESTING, MAX_OPERATORS, MAX_SOURCE_BYTES};

/// Bounds on what the parser will build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Measure {
    /// Brackets. They may all nest: where a source is wrong, the parser may skip what closes them.
    pub(super) brackets: usize,
    /// Operators. They may all chain: where a source is wrong, the parser may skip what separates them.
    pub(super) operators: usize,
}

/// Measures `source`, or says why it must not be parsed.
pub(super) fn measure(source: &str) -> Result<Measure, Problem> {
    if source.len() > MAX_SOURCE_BYTES {
        return Err(Problem::new(
            format!("the expression has {} bytes, and {MAX_SOURCE_BYTES} are the most", source.len()),
            "split it over several fields, or prepare the value in the source system",
        ));
    }
    walk(source).map(|walk| Measure { brackets: walk.all_brackets, operators: walk.all_operators })
}

fn walk(source: &str) -> Result<Walk, Problem> {
    let mut walk = Walk::default();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = token_length(rest, first);
        let taken = length.and_then(|length| walk.token(&rest[..length]).and_then(|()| walk.check()).map(|()| length));
        let length = taken.map_err(|problem| problem.at(Some(position_at(source, source.len() - rest.len()))))?;
        rest = &rest[length..];
    }
    Ok(walk)
}

/// Line and column of the byte at `offset`.
pub(super) fn position_at(source: &str, offset: usize) -> Position {
    let before = &source[..offset];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Position { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
}

/// One level of brackets, or the whole expression.
#[derive(Debug, Default, Clone, Copy)]
struct Level {
    /// Operators that chain in the operand of the current `&&`, `||`, `?` or `:`.
    chain: usize,
    /// Deepest brackets inside that operand, in operators.
    inside: usize,
    /// Deepest operand so far, in operators.
    operand: usize,
    /// `?` so far: each nests what follows.
    conditionals: usize,
    /// `&&` and `||` so far; the parser balances them into a tree.
    connectives: usize,
    /// Deepest of the items before the last comma.
    item: usize,
}

impl Level {
    fn end_operand(&mut self) {
        self.operand = self.operand.max(self.chain + self.inside);
        self.chain = 0;
        self.inside = 0;
    }

    fn end_item(&mut self) {
        self.end_operand();
        let tree =
            usize::try_from((self.connectives + 1).ilog2()).unwrap_or(usize::MAX) + usize::from(self.connectives > 0);
        self.item = self.item.max(self.operand + self.conditionals + tree);
        self.operand = 0;
        self.conditionals = 0;
        self.connectives = 0;
    }

    fn depth(mut self) -> usize {
        self.end_item();
        self.item
    }
}

#[derive(Debug, Default)]
struct Walk {
    /// The brackets around, each with the level it interrupts.
    outer: Vec<(char, Level)>,
    level: Level,
    deepest_nesting: usize,
    all_brackets: usize,
    all_operators: usize,
    previous: Option<char>,
}

impl Walk {
    fn token(&mut self, token: &str) -> Result<(), Problem> {
        let Some(first) = token.chars().next() else {
            return Ok(());
        };
        if is_white_space(first) || token.starts_with("//") {
            return Ok(());
        }
        match token {
            "(" | "[" | "{" => {
                // An index follows what it indexes, as in `a[0][0]`; other brackets stand in an operator's place.
                self.level.chain += usize::from(token == "[");
                self.outer.push((first, std::mem::take(&mut self.level)));
                self.deepest_nesting = self.deepest_nesting.max(self.outer.len());
                self.all_brackets += 1;
            }
            ")" | "]" | "}" => self.close(first)?,
            "," => self.level.end_item(),
            ":" => self.level.end_operand(),
            "&&" | "||" => {
                self.level.end_operand();
                self.level.connectives += 1;
                self.all_operators += 1;
            }
            "?" if !matches!(self.previous, Some('.' | '[' | '{' | ',')) => {
                self.level.end_operand();
                self.level.conditionals += 1;
                self.all_operators += 1;
            }
            "." | "+" | "-" | "*" | "/" | "%" | "!" | "<" | ">" | "<=" | ">=" | "==" | "!=" | "in" => {
                self.level.chain += 1;
                self.all_operators += 1;
            }
            _ => {}
        }
        self.previous = Some(first);
        Ok(())
    }

    fn close(&mut self, bracket: char) -> Result<(), Problem> {
        match self.outer.pop() {
            Some((open, mut around)) if matches!((open, bracket), ('(', ')') | ('[', ']') | ('{', '}')) => {
                around.inside = around.inside.max(self.level.depth());
                self.level = around;
                Ok(())
            }
            Some((open, _)) => Err(Problem::new(
                format!("`{bracket}` cannot close `{open}`"),
                "close brackets in the order they are opened",
            )),
            None => Err(Problem::new(format!("`{bracket}` closes nothing"), "remove it, or open a bracket before it")),
        }
    }

    /// The depth the levels so far add up to if everything ended here.
    fn operators(&self) -> usize {
        self.outer.iter().rev().fold(self.level.depth(), |inside, (_, around)| {
            let mut around = *around;
            around.inside = around.inside.max(inside);
            around.depth()
        })
    }

    fn check(&self) -> Result<(), Problem> {
        if self.outer.len() > MAX_NESTING {
            return Err(Problem::new(
                format!("brackets nest more than {MAX_NESTING} levels deep"),
                "split the expression over several fields",
            ));
        }
        if self.operators() > MAX_OPERATORS {
            return Err(Problem::new(
                format!("more than {MAX_OPERATORS} operators depend on each other"),
                "split the expression over several fields, or write alternatives as a list: `x in [\"a\", \"b\"]`",
            ));
        }
        if self.all_operators > MAX_ALL_OPERATORS {
            return Err(Problem::new(
                format!("there are more than {MAX_ALL_OPERATORS} operators"),
                "split the expression over several fields",
            ));
        }
        Ok(())
    }
}

/// The length in bytes of the token that `rest` begins with. What begins none is refused: the parser's lexer passes over it together with the character
/// behind it, and sees brackets in what is a comment or a text without that.
fn token_length(rest: &str, first: char) -> Result<usize, Problem> {
    if first.is_ascii_alphabetic() || first == '_' {
        let word = word_length(rest);
        return match literal_prefix(&rest[..word], &rest[word..]) {
            Some(raw) => Ok(word + quoted_length(&rest[word..], raw)?),
            None => Ok(word),
        };
    }
    if first == '"' || first == '\'' {
        return quoted_length(rest, false);
    }
    if first == '`' {
        return quoted_name_length(rest);
    }
    if let Some(length) = number_length(rest) {
        return Ok(length);
    }
    if rest.starts_with("//") {
        return Ok(rest.find('\n').unwrap_or(rest.len()));
    }
    if ["&&", "||", "==", "!=", "<=", ">="].iter().any(|operator| rest.starts_with(operator)) {
        return Ok(2);
    }
    if is_white_space(first) || "()[]{},.?:+-*/%!<>".contains(first) {
        return Ok(1);
    }
    let remedy = match first {
        '=' => "compare with `==`",
        '&' | '|' => "write `&&` or `||`",
        _ => "write it between quotation marks, if it is text",
    };
    Err(Problem::new(format!("{first:?} means nothing in an expression"), remedy))
}

fn unclosed(what: &str) -> Problem {
    Problem::new(what, "close the literal, and write a backslash inside it as `\\\\`")
}

/// White space of the language, which is less than that of Unicode.
fn is_white_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r' | '\u{c}')
}

/// The length in bytes of the number that `rest` begins with. Numbers matter because what follows one, as `r"` in
/// `1e5r"`, would read differently as part of a word.
fn number_length(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    let digits = |from: usize| bytes[from.min(bytes.len())..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let suffix = |at: usize| usize::from(matches!(bytes.get(at), Some(b'u' | b'U')));
    if rest.starts_with("0x") {
        let hexadecimal = bytes[2..].iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        if hexadecimal > 0 {
            return Some(2 + hexadecimal + suffix(2 + hexadecimal));
        }
    }
    let whole = digits(0);
    let fraction = match bytes.get(whole) {
        Some(b'.') => digits(whole + 1),
        _ => 0,
    };
    if whole == 0 && fraction == 0 {
        return None;
    }
    let length = if fraction > 0 { whole + 1 + fraction } else { whole };
    if matches!(bytes.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
        let exponent = digits(length + 1 + sign);
        if exponent > 0 {
            return Some(length + 1 + sign + exponent);
        }
    }
    Some(if fraction == 0 { length + suffix(length) } else { length })
}

/// The length in bytes of the quoted field name that `rest` begins with.
fn quoted_name_length(rest: &str) -> Result<usize, Problem> {
    let inside = rest[1..]
        .find(|character: char| !character.is_ascii_alphanumeric() && !matches!(character, '_' | '.' | '-' | '/' | ' '))
        .unwrap_or(rest.len() - 1);
    if inside > 0 && rest[1 + inside..].starts_with('`') {
        Ok(inside + 2)
    } else {
        Err(unclosed("a quoted name is not closed, or has more than letters, digits, `_`, `.`, `-`, `/` and spaces"))
    }
}

fn word_length(rest: &str) -> usize {
    rest.find(|character: char| !character.is_ascii_alphanumeric() && character != '_').unwrap_or(rest.len())
}

/// Whether `word` is the prefix of the string or bytes literal that `after` begins with, and if so whether it is raw.
fn literal_prefix(word: &str, after: &str) -> Option<bool> {
    if !after.starts_with(['"', '\'']) {
        return None;
    }
    match word {
        "b" | "B" => Some(false),
        "r" | "R" | "br" | "bR" | "Br" | "BR" => Some(true),
        _ => None,
    }
}

/// The length in bytes of the string literal that `rest` begins with. It is an error if the literal is not closed or
/// has an escape that the language does not know: the parser would go on lexing behind the error, inside what was meant
/// to be text.
fn quoted_length(rest: &str, raw: bool) -> Result<usize, Problem> {
    let single = &rest[..1];
    let triple = single.repeat(3);
    let long = rest.starts_with(&triple);
    let quote = if long { triple.as_str() } else { single };
    let mut at = quote.len();
    loop {
        let left = &rest[at..];
        if left.starts_with(quote) {
            return Ok(at + quote.len());
        }
        match left.chars().next() {
            None => return Err(unclosed("a text literal is not closed")),
            Some('\n' | '\r') if !long => {
                return Err(unclosed("a text literal is not closed before the end of its line"));
            }
            // The parser's lexer takes neither for the character of any kind that stands there: it sees two shorter literals, and brackets behind them.
            Some(character @ ('\0' | '\u{10ffff}')) if long && raw => {
                return Err(Problem::new(
                    format!("{character:?} cannot stand in a raw text between three quotation marks"),
                    "write it as an escape, in a text without `r`",
                ));
            }
            Some('\\') if !raw => at += escape_length(left)?,
            Some(character) => at += character.len_utf8(),
        }
    }
}

/// The length in bytes of the escape sequence that `rest` begins with.
fn escape_length(rest: &str) -> Result<usize, Problem> {
    let bytes = rest.as_bytes();
    let hexadecimal = |count: usize| {
        let digits = bytes.get(2..2 + count)?;
        digits.iter().all(u8::is_ascii_hexdigit).then_some(2 + count)
    };
    let length = match bytes.get(1) {
        Some(b'a' | b'b' | b'f' | b'n' | b'r' | b't' | b'v' | b'"' | b'\'' | b'\\' | b'?' | b'`') => Some(2),
        Some(b'x' | b'X') => hexadecimal(2),
        Some(b'u') => hexadecimal(4),
        Some(b'U') => hexadecimal(8),
        Some(b'0'..=b'3') => match bytes.get(2..4) {
            Some([b'0'..=b'7', b'0'..=b'7']) => Some(4),
            _ => None,
        },
        _ => None,
    };
    length.ok_or_else(|| unclosed("a text literal has an escape that does not exist"))
}

#[cfg(test)]
mod tests;
