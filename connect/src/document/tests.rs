//! Responses in each format: read as they are, and given up where they are broken or too much.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use serde_json::json;

use super::*;

fn csv(delimiter: char, columns: &[&str]) -> Format {
    Format::Csv { delimiter, columns: columns.iter().map(ToString::to_string).collect() }
}

fn problem(format: &Format, body: &[u8]) -> String {
    match read(format, body).unwrap_err() {
        Unreadable::Malformed { problem, source } => {
            let told = format!("{problem}: {source}");
            assert!(!told.contains("jane"), "{told}");
            told
        }
        Unreadable::TooLarge | Unreadable::TooMany => panic!("too large"),
    }
}

fn packed(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn what_holds_more_values_than_there_is_room_for_is_not_read() {
    let rows = b",,,\n".repeat(room::MOST / room::VALUE / 4);
    for (format, body) in [
        (Format::Json, [b"[", &b"{},".repeat(200_000)[..], b"0]"].concat()),
        (Format::Json, [b"[", &b"[],".repeat(300_000)[..], b"0]"].concat()),
        (Format::JsonLines, b"0\n".repeat(600_000)),
        (csv(',', &["a", "b", "c", "d"]), rows.clone()),
        // A quote within a value hides none of what follows.
        (csv(',', &["a", "b", "c", "d"]), [b"0\",,,\n", &rows[..]].concat()),
        (Format::Xml, format!("<a>{}</a>", "<b/>".repeat(200_000)).into_bytes()),
    ] {
        assert!(matches!(read(&format, &body), Err(Unreadable::TooMany)), "{format:?}");
    }
    assert!(matches!(value(&[b"[", &b"{},".repeat(100_000)[..], b"0]"].concat()), Err(Unreadable::TooMany)));
    assert_eq!(value(b"[{}, {}]").unwrap(), json!([{}, {}]));
}

#[test]
fn names_of_columns_that_each_row_repeats_count_as_often() {
    let name = "n".repeat(1 << 20);
    assert!(matches!(read(&csv(',', &[&name, "b"]), &b"1,2\n".repeat(40)), Err(Unreadable::TooLarge)));
    assert_eq!(read(&csv(',', &[&name]), b"1\n2\n").unwrap(), json!([{ name.as_str(): "1" }, { name.as_str(): "2" }]));
}

#[test]
fn what_is_nested_too_deep_is_told_as_that() {
    for format in [Format::Json, Format::JsonLines] {
        let told = problem(&format, &[b"[".repeat(200), b"]".repeat(200)].concat());
        assert!(told.contains("nested deeper than 127"), "{told}");
    }
    let deepest = [b"[".repeat(DEEPEST), b"]".repeat(DEEPEST)].concat();
    assert!(read(&Format::Json, &deepest).is_ok());
    let told = value(&b"[".repeat(200)).unwrap_err().failure("the answer").detail;
    assert!(told.contains("the answer cannot be read: its lists and objects are nested deeper"), "{told}");
}

#[test]
fn lines_of_json_are_a_list() {
    let read = read(&Format::JsonLines, b"{\"id\": 1}\r\n\n{\"id\": 2}\n").unwrap();
    assert_eq!(read, json!([{"id": 1}, {"id": 2}]));
    assert!(problem(&Format::JsonLines, b"{\"id\": 1}\n{\"id\": \"jane").contains("line 2 is no JSON"));
}

#[test]
fn rows_of_csv_are_objects_of_texts() {
    let body = b"\xef\xbb\xbfid,name\r\n1,\"a, \"\"b\"\"\nc\"\n2,\n";
    let expected = json!([{"id": "1", "name": "a, \"b\"\nc"}, {"id": "2", "name": ""}]);
    assert_eq!(read(&csv(',', &[]), body).unwrap(), expected);
    assert_eq!(read(&csv(';', &["a", "b"]), b"1;2").unwrap(), json!([{"a": "1", "b": "2"}]));
    assert_eq!(read(&csv(',', &[]), b"id,name\n").unwrap(), json!([]));
}

#[test]
fn csv_that_is_cut_off_or_no_text_is_not_taken() {
    assert!(problem(&csv(',', &[]), b"id,name\n1,jane\n2").contains("line 3"));
    assert!(problem(&csv(',', &["a", "b"]), b"jane\n").contains("not as many values as there are columns"));
    assert!(problem(&csv(',', &[]), b"id,name\n1,jane\xff\n").contains("no UTF-8"));
    assert!(problem(&csv(',', &[]), b"id,id\n1,2\n").contains("same name"));
}

#[test]
fn a_quote_that_is_not_closed_or_is_not_the_end_of_its_value_swallows_no_records() {
    for (body, said) in [
        (&b"id,name\n1,\"jane\n2,b\n"[..], "the quote that opens in line 2 is not closed"),
        (b"id,\"name\n1,jane\n2,b\n", "the quote that opens in line 1 is not closed"),
        (b"id,name\n1,a\n2,\"", "the quote that opens in line 3 is not closed"),
        // The next quote seems to close it, and the record between them would be part of its value.
        (b"id,name\n1,\"jane\n2,\"b\"\n3,c\n", "whose quote opens in line 2 goes on behind its closing quote"),
        (b"id,name\n1,\"a\"jane\n", "whose quote opens in line 2 goes on behind its closing quote"),
    ] {
        let told = problem(&csv(',', &[]), body);
        assert!(told.contains(said), "{told}");
    }
    let body = b"id,name\r\n1,\"a \"\"b\"\"\"\r\n2,5\" pipe\r\n3,\"\"\r\n4,\"two\r\nlines\"";
    let names = ["a \"b\"", "5\" pipe", "", "two\r\nlines"];
    let rows: Vec<_> = (1..).zip(names).map(|(id, name)| json!({"id": id.to_string(), "name": name})).collect();
    assert_eq!(read(&csv(',', &[]), body).unwrap(), json!(rows));
    assert!(problem(&csv(';', &["a"]), b"\"jane;\n").contains("not closed"));
}

#[test]
fn what_gzip_packed_is_unpacked_whatever_it_is_called() {
    assert_eq!(read(&Format::Json, &packed(b"{\"id\": 1}")).unwrap(), json!({"id": 1}));
    let two = [packed(b"[1,"), packed(b"2]")].concat();
    assert_eq!(read(&Format::Json, &two).unwrap(), json!([1, 2]));
    let whole = packed(b"[\"jane\", 2]");
    assert!(problem(&Format::Json, &whole[..whole.len() - 6]).contains("damaged"));
}

#[test]
fn a_body_that_unpacks_to_more_than_is_read_is_given_up_at_the_limit() {
    let bomb = packed(&vec![b' '; LARGEST + 1]);
    assert!(bomb.len() < LARGEST / 100);
    assert!(matches!(read(&Format::Json, &bomb), Err(Unreadable::TooLarge)));
    let mut largest = vec![b' '; LARGEST];
    largest[0] = b'7';
    assert_eq!(read(&Format::Json, &packed(&largest)).unwrap(), json!(7));
}

#[test]
fn text_that_is_no_utf_8_is_not_taken() {
    assert!(problem(&Format::Json, b"{\"name\": \"jane\xff\"}").contains("no JSON"));
    assert!(problem(&Format::JsonLines, b"{\"name\": \"jane\xff\"}").contains("line 1 is no JSON"));
}
