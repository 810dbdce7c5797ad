//! The `Link` header (RFC 8288), as far as it is needed: the target of a relation, such as `rel="next"`. Pure.

use http::{HeaderMap, header};

/// The target of the first link to the next page, as it is written there; it may be relative.
pub fn next(headers: &HeaderMap) -> Option<String> {
    target(headers, "next")
}

/// The target of the first link of a relation, as it is written there; it may be relative.
pub fn target(headers: &HeaderMap, relation: &str) -> Option<String> {
    let mut values = headers.get_all(header::LINK).iter().filter_map(|value| value.to_str().ok());
    values.find_map(|text| target_in(text, relation))
}

fn target_in(text: &str, relation: &str) -> Option<String> {
    let mut rest = text;
    while let Some((link, after)) = take_link(rest) {
        if link.has(relation) {
            return Some(link.target.to_owned());
        }
        rest = after;
    }
    None
}

struct Link<'a> {
    target: &'a str,
    parameters: Vec<(String, String)>,
}

impl Link<'_> {
    fn has(&self, relation: &str) -> bool {
        let first = |wanted: &str| self.parameters.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
        // A link with an anchor is about another document than this page.
        let about_this_page = first("anchor").is_none();
        about_this_page
            && first("rel")
                .is_some_and(|relations| relations.split_whitespace().any(|word| word.eq_ignore_ascii_case(relation)))
    }
}

/// Takes one link, with what follows its comma. Text that is no link ends the list.
fn take_link(text: &str) -> Option<(Link<'_>, &str)> {
    let text = text.trim_start_matches([' ', '\t', ',']);
    let (target, mut rest) = text.strip_prefix('<')?.split_once('>')?;
    let mut parameters = Vec::new();
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix(';') {
            let (parameter, after) = take_parameter(after);
            parameters.extend(parameter);
            rest = after;
        } else {
            // The end, a comma, or noise: whatever it is, the next link begins after the next comma.
            let after = rest.split_once(',').map_or("", |(_, after)| after);
            return Some((Link { target: target.trim(), parameters }, after));
        }
    }
}

/// Takes `name`, `name=token` or `name="text"`, up to the next `;` or `,`.
fn take_parameter(text: &str) -> (Option<(String, String)>, &str) {
    let end = text.find(['=', ';', ',']).unwrap_or(text.len());
    let name = text[..end].trim().to_ascii_lowercase();
    let (value, rest) = match text[end..].strip_prefix('=') {
        Some(value) => take_value(value.trim_start()),
        None => (String::new(), &text[end..]),
    };
    ((!name.is_empty()).then_some((name, value)), rest)
}

fn take_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',']).unwrap_or(text.len());
        return (text[..end].trim().to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((index, letter)) = letters.next() {
        match letter {
            '"' => return (value, &quoted[index + 1..]),
            '\\' => value.extend(letters.next().map(|(_, escaped)| escaped)),
            _ => value.push(letter),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn next_of(values: &[&str]) -> Option<String> {
        let headers: HeaderMap = values.iter().map(|value| (header::LINK, value.parse().unwrap())).collect();
        next(&headers)
    }

    #[test]
    fn the_next_page_is_found_among_several_links() {
        let text = r#"<https://x/p?page_info=a>; rel="previous", <https://x/p?page_info=b>; rel="next""#;
        assert_eq!(next_of(&[text]).as_deref(), Some("https://x/p?page_info=b"));
        assert_eq!(next_of(&["<a>; rel=first", "<b>;rel=next"]).as_deref(), Some("b"));
    }

    #[test]
    fn relations_are_words_whatever_their_case() {
        assert_eq!(next_of(&[r#"<b>; title="x"; REL="last NEXT""#]).as_deref(), Some("b"));
        assert_eq!(next_of(&[r#"<b>; rel="nextish""#]), None);
        assert_eq!(next_of(&[r#"<b>; rel="last"; rel="next""#]), None, "only the first rel counts");
    }

    #[test]
    fn commas_and_semicolons_within_targets_and_quotes_separate_nothing() {
        let text = r#"<https://x/?ids=1,2;3>; title="a, b; \"c\" <d>"; rel="prev", </n?ids=4,5>; rel="next""#;
        assert_eq!(next_of(&[text]).as_deref(), Some("/n?ids=4,5"));
    }

    #[test]
    fn a_link_about_another_document_is_passed_over() {
        assert_eq!(next_of(&[r##"<b>; rel="next"; anchor="#other""##]), None);
    }

    #[test]
    fn noise_is_no_link() {
        for noise in ["", ",", "next", "<b", "<b>", "<b>;", "<b>; rel", "<b>; rel=", r#"<b>; rel="previous"#] {
            assert_eq!(next_of(&[noise]), None, "{noise}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "[<>;,=\"\\\\ a-zü\u{1F600}]{0,60}") {
            let _ = target_in(&text, "next");
        }
    }
}
