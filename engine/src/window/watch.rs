//! Whether a vendor gives the same pages again: one that ignores what is to lead to the next page, or whose pages lead in a circle, would be
//! read for ever. What is remembered is one page, renewed at page 1, 2, 4, 8 and so on, so that any circle is noticed before it was gone round
//! three times, however many pages come before it. (R. P. Brent, "An improved Monte Carlo factorization algorithm", BIT 20, 1980.)

use serde::{Deserialize, Serialize};

use crate::canonical;

/// Pages without records, one after the other, beyond which a window does not lead anywhere.
const MOST_EMPTY: u32 = 1_000;

/// How often a window is begun again because a page came again.
const MOST_RESTARTS: u32 = 3;

/// What is remembered of the pages of a window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Watch {
    /// Pages with records since the window began.
    pages: u64,
    /// Pages without records since the last one that had some.
    empty: u32,
    /// Hash of the page that is remembered.
    page: Option<String>,
    /// How often the window was begun again because a page came again.
    restarts: u32,
}

impl Watch {
    pub(super) fn is_new(&self) -> bool {
        *self == Self::default()
    }

    /// What is remembered after a page; or, if the page came again, what is when the window is begun again.
    pub(super) fn seen(&self, hashes: &[String]) -> Result<Self, Self> {
        let again = Self { restarts: self.restarts.saturating_add(1), ..Self::default() };
        if hashes.is_empty() {
            let empty = self.empty.saturating_add(1);
            return if empty > MOST_EMPTY { Err(again) } else { Ok(Self { empty, ..self.clone() }) };
        }
        let page = canonical::short_hash(&hashes);
        if self.page.as_ref() == Some(&page) {
            return Err(again);
        }
        let pages = self.pages.saturating_add(1);
        let page = if pages.is_power_of_two() { Some(page) } else { self.page.clone() };
        Ok(Self { pages, page, empty: 0, restarts: self.restarts })
    }

    /// What is remembered when reading goes on from an earlier page, which may well hold what it held.
    pub(super) fn stepped_back(&self) -> Self {
        Self { restarts: self.restarts, ..Self::default() }
    }

    /// Whether the window may be begun again.
    pub(super) fn may_restart(&self) -> bool {
        self.restarts <= MOST_RESTARTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many pages are read until one is known to have come before; none if none is.
    fn noticed(pages: impl Iterator<Item = u64>) -> Option<usize> {
        let mut watch = Watch::default();
        for (read, page) in pages.take(5_000).enumerate() {
            match watch.seen(&[page.to_string()]) {
                Ok(next) => watch = next,
                Err(_) => return Some(read),
            }
        }
        None
    }

    #[test]
    fn a_circle_is_noticed_before_it_was_gone_round_three_times_and_nothing_else_is() {
        assert_eq!(noticed(0..), None);
        for before in [0, 1, 5, 100] {
            for length in [1, 2, 3, 64, 300] {
                let pages = (0..before).chain((0..length).cycle().map(|page| before + page));
                let read = noticed(pages).unwrap() as u64;
                assert!(read <= 3 * (before + length), "{before} {length}: {read}");
            }
        }
    }

    #[test]
    fn pages_without_records_lead_on_for_a_while_and_not_for_ever() {
        let mut watch = Watch::default();
        for _ in 0..MOST_EMPTY {
            watch = watch.seen(&[]).unwrap();
        }
        assert!(watch.seen(&["a".into()]).is_ok());
        assert!(watch.seen(&[]).is_err());
    }

    #[test]
    fn what_is_remembered_stays_small() {
        let watch = (0..1000).fold(Watch::default(), |watch, page| watch.seen(&[page.to_string()]).unwrap());
        assert!(serde_json::to_string(&watch).unwrap().len() < 100);
    }
}
