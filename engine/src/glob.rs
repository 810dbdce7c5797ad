//! Patterns of paths: `*` stands for any text, also with slashes, or for none.

/// Whether a text is of a pattern. Takes no longer than the product of their lengths.
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(found) = rest.find(part) else { return false };
        rest = &rest[found + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, texts, others) in [
            ("/a", &["/a"][..], &["/a/", "/ab", "", "a"][..]),
            ("/a*", &["/a", "/ab/c"], &["/b"]),
            ("/*/menu", &["/1/menu", "/1/2/menu"], &["/menu", "/1/menus"]),
            ("*", &["", "/x"], &[]),
            ("/a*a", &["/aa", "/a/a"], &["/a"]),
            ("/a*b*c", &["/abc", "/axbxc"], &["/acb", "/ab"]),
        ] {
            for text in texts {
                assert!(matches(pattern, text), "{pattern} {text}");
            }
            for text in others {
                assert!(!matches(pattern, text), "{pattern} {text}");
            }
        }
    }
}
