//! Our tokens beside those of the parser's own lexer, which nobody else can call. But it says what begins no token: outside of texts and comments a `#`
//! does not, and within them it is a character like any other. So a `#` before each bracket shows which of them the parser sees.

use std::{
    cell::Cell,
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
};

use cel::parser::Parser;
use proptest::{prelude::*, sample::select, test_runner::TestRunner};

use super::*;

/// Enough for whatever is parsed here, in bytes. Pages that are not touched cost nothing.
const STACK: usize = 256 * 1024 * 1024;

/// Sources to try.
const SOURCES: u32 = 2000;

/// A line and a column, both from 1 on.
type Place = (usize, usize);

/// Where the parser's lexer finds nothing that begins a token; none when the parser breaks off.
fn strays(source: &str) -> Option<BTreeSet<Place>> {
    let parse = || {
        let parser = Parser::new().max_recursion_depth(u16::MAX).error_recovery_limit(u32::MAX);
        parser.enable_ident_escape_syntax(true).parse(source)
    };
    let parsed = stacker::grow(STACK, || catch_unwind(AssertUnwindSafe(parse))).ok()?;
    let errors = parsed.err().map(|errors| errors.errors).unwrap_or_default();
    let strays = errors.iter().filter(|error| error.msg.contains("token recognition error"));
    Some(strays.map(|error| (error.pos.0.try_into().unwrap(), error.pos.1.try_into().unwrap())).collect())
}

/// The source with a `#` before each bracket and at its end, and where those stand that are neither in a text nor in a comment by our tokens.
fn marked(source: &str) -> (String, BTreeSet<Place>) {
    let (mut marked, mut outside) = (String::new(), BTreeSet::new());
    let end = |marked: &str| {
        let Position { line, column } = position_at(marked, marked.len());
        (line, column)
    };
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let (token, behind) = rest.split_at(token_length(rest, first).unwrap());
        for character in token.chars() {
            if "()[]{}".contains(character) {
                if token.len() == 1 {
                    outside.insert(end(&marked));
                }
                marked.push('#');
            }
            marked.push(character);
        }
        rest = behind;
    }
    marked.push('\n');
    // That it is found shows that everything before it was read.
    outside.insert(end(&marked));
    marked.push('#');
    (marked, outside)
}

/// What stands in literals and comments.
fn content() -> impl Strategy<Value = String> {
    let brackets = select(vec!["(", "[", "{", ")", "]", "}", "(("]);
    let quotes = select(vec!["\"", "'", "\"\"", "''", "\\\"", "\\'", "\\\\", "\\", "`", "r\"", "//"]);
    let escapes =
        select(vec!["\\n", "\\x28", "\\X5b", "\\u0028", "\\050", "\\400", "\\U00000028", "\\q", "\\u00", "\\?"]);
    let others = select(vec!["=", "a", " ", "é", "🦀", "#", "\n", "\r", "\u{2028}", "\0", "\u{10ffff}"]);
    let part = prop_oneof![4 => brackets, 3 => quotes, 2 => escapes, 2 => others];
    prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

fn literal() -> impl Strategy<Value = String> {
    let prefix = select(vec![
        "", "", "r", "R", "b", "B", "br", "bR", "Br", "BR", "rb", "xr", "1e5r", "7ur", "0xbr", ".5b", "0xr",
    ]);
    let quote = select(vec!["\"", "'", "\"\"\"", "'''"]);
    let end = prop_oneof![2 => Just(""), 1 => Just("\\")];
    (prefix, quote, content(), end, any::<bool>()).prop_map(|(prefix, quote, content, end, plain)| {
        let raw = prefix.contains(['r', 'R']);
        // Half of them without what would end the literal too early, or make it none.
        let content = if plain { content.replace(&quote[..1], "").replace(['\n', '\r'], "") } else { content };
        let content = if plain && !raw { content.replace('\\', "\\\\") } else { content };
        let end = if raw { end } else { "" };
        format!("{prefix}{quote}{content}{end}{quote}")
    })
}

/// A part of a source.
#[derive(Clone, Debug)]
enum Part {
    /// It opens a bracket, its last character.
    Open(&'static str),
    /// Whatever is open is closed.
    Close,
    /// Anything else.
    Other(String),
}

fn part() -> impl Strategy<Value = Part> {
    let open = select(vec!["(", "[", "{", "a(", "a[", "[?", "r(", "-("]);
    let operators = select(vec![
        "+", "-", "*", "/", "%", "!", "<", ">", "<=", ">=", "==", "!=", "&&", "||", ".", "?", ":", ",", ".?", " in ",
    ]);
    let words = select(vec![
        "a",
        "r",
        "b",
        "R",
        "br",
        "rb",
        "in",
        "true",
        "null",
        "x1",
        "_",
        "1",
        "1.5",
        "1e5",
        "1e",
        "1e+",
        "1.",
        ".5",
        "0x",
        "0x1f",
        "7u",
        "`a b`",
        "`a-b/c.d`",
    ]);
    let white = select(vec![" ", "\t", "\n", "\r", "\r\n", "\u{c}"]);
    let nothing = select(vec![
        "=", "&", "|", "#", "\\", "`", "\"", "'", ")", "]", "}", "é", "\0", "\u{b}", "\u{a0}", "\u{2028}", "\u{feff}",
        "🦀", "@", "$", ";",
    ]);
    prop_oneof![
        8 => open.prop_map(Part::Open),
        8 => Just(Part::Close),
        8 => literal().prop_map(Part::Other),
        3 => content().prop_map(|content| Part::Other(format!("//{}\n", content.replace('\n', "")))),
        6 => operators.prop_map(|text| Part::Other(text.to_owned())),
        8 => words.prop_map(|text| Part::Other(text.to_owned())),
        4 => white.prop_map(|text| Part::Other(text.to_owned())),
        1 => nothing.prop_map(|text| Part::Other(text.to_owned())),
    ]
}

fn source(parts: Vec<Part>) -> String {
    let (mut source, mut open) = (String::new(), Vec::new());
    for part in parts {
        match part {
            Part::Open(text) => {
                source.push_str(text);
                open.push(if text.contains('(') {
                    ')'
                } else if text.contains('{') {
                    '}'
                } else {
                    ']'
                });
            }
            Part::Close => source.extend(open.pop()),
            Part::Other(text) => source.push_str(&text),
        }
    }
    source
}

#[test]
fn of_what_is_let_through_the_parser_sees_the_brackets_that_were_counted() {
    let compared = Cell::new(0);
    let mut runner =
        TestRunner::new(ProptestConfig { cases: SOURCES, failure_persistence: None, ..ProptestConfig::default() });
    let outcome = runner.run(&prop::collection::vec(part(), 0..16).prop_map(source), |source| {
        if measure(&source).is_err() {
            return Ok(());
        }
        prop_assert_eq!(strays(&source).unwrap_or_default(), BTreeSet::new(), "let through: {:?}", source);
        let (marked, outside) = marked(&source);
        if let Some(strays) = strays(&marked) {
            prop_assert_eq!(strays, outside, "{:?}", marked);
            compared.set(compared.get() + 1);
        }
        Ok(())
    });
    outcome.unwrap();
    assert!(compared.get() > SOURCES / 10, "only {} of {SOURCES} sources say something", compared.get());
}
