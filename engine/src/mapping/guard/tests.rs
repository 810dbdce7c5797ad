//! How deep expressions nest, and what is refused before the parser sees it.

mod lexer;

use super::*;

/// The deepest brackets, and the most operators on one way from the root to a leaf.
fn depth(source: &str) -> (usize, usize) {
    let walk = walk(source).unwrap();
    (walk.deepest_nesting, walk.operators())
}

#[test]
fn brackets_in_text_and_comments_do_not_nest() {
    for source in [r#""(((""#, r"'(\'('", r#"r"(\""#, "'''('(\n'''", "1 // ((((", "b'(('", "record.`a-b c`"] {
        assert_eq!(depth(source).0, 0, "{source}");
    }
    assert_eq!(depth("f([{1: 2}])").0, 3);
}

#[test]
fn unfinished_literals_are_refused() {
    for source in ["\"a", "'a\nb'", "'''a", "\"\\q\"", "\"\\u12\"", "r'", "`a", "`a(`", "``"] {
        assert!(measure(source).is_err(), "{source}");
    }
}

#[test]
fn what_begins_no_token_is_refused() {
    for source in [
        "a = b",
        "a & b",
        "a | b",
        "a ; b",
        "é",
        "a\u{a0}+ b",
        "a\u{b}",
        "=//[[[[1]]]]",
        "\0//((((1))))",
        "#",
        "$a",
        "@a",
        "~1",
        "^",
    ] {
        assert!(measure(source).is_err(), "{source}");
    }
    assert!(measure("a\t==\r\nb\u{c}&& c || !d").is_ok());
    let problem = measure("a\n = b").unwrap_err();
    assert_eq!(
        (problem.what.as_str(), problem.remedy.as_str()),
        ("'=' means nothing in an expression", "compare with `==`")
    );
    assert_eq!(problem.position, Some(Position { line: 2, column: 2 }));
}

#[test]
fn a_raw_literal_behind_a_number_is_seen() {
    assert_eq!(depth(r#"1e5r"\"(("#).0, 2);
    assert_eq!(depth(r#".5e5r"\"(("#).0, 2);
    assert_eq!(depth(r#"7ur"\"(("#).0, 2);
    assert_eq!(depth(r#"0x1b"\"((""#).0, 0);
}

#[test]
fn what_the_parser_does_not_read_in_a_raw_text_is_refused_there() {
    for character in ['\0', '\u{10ffff}'] {
        for quotes in ["\"\"\"", "'''"] {
            let refused = measure(&format!("r{quotes}{character}\"(((({quotes}"));
            let remedy = refused.unwrap_err().remedy;
            assert!(remedy.contains("as an escape"), "{remedy}");
            assert!(measure(&format!("{quotes}{character}(({quotes}")).is_ok());
        }
        assert!(measure(&format!("br'{character}(('")).is_ok());
    }
    assert!(measure("r\"\"\"\u{1}((\u{10fffe}\"\"\"").is_ok());
}

#[test]
fn brackets_close_what_they_open() {
    for source in ["(]", "f(}", "[)", ")", "a]", "{(})"] {
        assert!(measure(source).is_err(), "{source}");
    }
    assert!(measure("({[").is_ok(), "the parser says what is missing");
}

#[test]
fn chains_add_up_and_alternatives_do_not() {
    assert_eq!(depth("a + b + c").1, 2);
    assert_eq!(depth("a.b.c[0]").1, 3);
    assert_eq!(depth("f(a.b, c.d)").1, 1);
    assert_eq!(depth("f(a + b, (c + d) * e)").1, 2);
    assert!(depth(&["record.a == 1"; 100].join(" || ")).1 < 12);
}

#[test]
fn deep_sources_are_refused() {
    for open in ["(", "[", "{1:", "f("] {
        assert!(measure(&open.repeat(MAX_NESTING)).is_ok(), "{open}");
        assert!(measure(&open.repeat(MAX_NESTING + 1)).is_err(), "{open}");
    }
    for link in ["!", "-", "+1", ".a", "[0]", "a?b:", "<1", ".a()"] {
        assert!(measure(&link.repeat(MAX_OPERATORS)).is_ok(), "{link}");
        assert!(measure(&link.repeat(MAX_OPERATORS + 1)).is_err(), "{link}");
    }
    assert!(measure(&"x".repeat(MAX_SOURCE_BYTES)).is_ok());
    assert!(measure(&"x".repeat(MAX_SOURCE_BYTES + 1)).is_err());
}

#[test]
fn positions_count_characters_from_one() {
    let source = "'é' + 1\n  + 'a";
    assert_eq!(position_at(source, 0), Position { line: 1, column: 1 });
    assert_eq!(position_at(source, source.find('+').unwrap()), Position { line: 1, column: 5 });
    assert_eq!(measure(source).unwrap_err().position, Some(Position { line: 2, column: 5 }));
}
