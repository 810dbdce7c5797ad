//! Which API version answers a request. Pure.

/// The version that serves a request for `requested`: itself while it is supported, the next newer supported one for a
/// version that is no longer, none for what is not a version or not out yet.
pub(super) fn served(requested: &str, supported: &[String]) -> Option<String> {
    if requested == "unstable" {
        return Some(requested.to_owned());
    }
    if !is_version(requested) {
        return None;
    }
    supported.iter().filter(|version| version.as_str() >= requested).min().cloned()
}

/// A year and the first month of a quarter.
fn is_version(text: &str) -> bool {
    text.split_once('-').is_some_and(|(year, month)| {
        year.len() == 4 && year.bytes().all(|byte| byte.is_ascii_digit()) && matches!(month, "01" | "04" | "07" | "10")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serve(requested: &str) -> Option<String> {
        served(requested, &["2026-07".to_owned(), "2026-04".to_owned(), "2026-10".to_owned()])
    }

    #[test]
    fn a_supported_version_serves_itself() {
        assert_eq!(serve("2026-07").as_deref(), Some("2026-07"));
    }

    #[test]
    fn a_retired_version_falls_forward_to_the_oldest_supported() {
        assert_eq!(serve("2024-01").as_deref(), Some("2026-04"));
    }

    #[test]
    fn a_version_that_is_not_out_or_not_a_version_is_unknown() {
        assert_eq!(serve("2027-01"), None);
        assert_eq!(serve("2026-05"), None);
        assert_eq!(serve("latest"), None);
    }
}
