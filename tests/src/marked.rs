//! Secret values that can be told from everything else, and the search for them in what is said and written.

/// What every seeded value begins with, and nothing else contains. A part of a value that is shown is found as well.
pub const MARK: &str = "CTSEED";
/// What a search has to find: printed on purpose.
pub const CONTROL: &str = "CTSEED-on-purpose";
/// The start of the mark in Base64, wherever the text before it ends.
const ENCODED: [&str; 3] = ["Q1RTRUVE", "NUU0VFR", "DVFNFRU"];

/// The surroundings of each place where a seeded value stands, other than the control.
pub fn shown(text: &str) -> Vec<&str> {
    let marks = ENCODED.iter().chain(std::iter::once(&MARK));
    let places = marks.flat_map(|mark| text.match_indices(*mark)).filter(|(at, _)| !text[*at..].starts_with(CONTROL));
    places
        .map(|(at, _)| &text[text.floor_char_boundary(at.saturating_sub(200))..text.ceil_char_boundary(at + 40)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_finds_a_value_plain_and_encoded_and_not_the_control() {
        assert_eq!(shown(&format!("token={MARK}000001")).len(), 1);
        // `{"a":"` + value, `{"ab":"` + value and `{"abc":"` + value, as `base64` writes them.
        for encoded in ["eyJhIjoiQ1RTRUVEMDAwMDAx", "eyJhYiI6IkNUU0VFRDAwMDAwMQ", "eyJhYmMiOiJDVFNFRUQwMDAwMDE"] {
            assert_eq!(shown(encoded).len(), 1, "{encoded}");
        }
        assert!(shown(CONTROL).is_empty());
    }
}
