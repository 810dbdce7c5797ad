//! What a vendor's answers say of the version they were asked in, and how several of them are folded into one.

use jiff::Timestamp;

use super::Source;

/// Word of a version's end. That there is one means that the version is deprecated, or will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Who says so.
    pub source: Source,
    /// When the version is deprecated; none when it is and no time was named.
    pub deprecated_at: Option<Timestamp>,
    /// When it is not served any more, if that was named.
    pub sunset_at: Option<Timestamp>,
    /// Where people can read more: an https address without user, query and fragment, at most 256 characters.
    pub link: Option<String>,
}

/// What the answers to one stream or operation, or to all of them, say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The version that was served, where the vendor says so.
    pub served: Option<String>,
    /// Whether the vendor refused a request because it does not serve the version any more.
    pub unsupported: bool,
    /// Word of the version's end.
    pub notice: Option<Notice>,
}

impl Notice {
    /// Two words of the same version: the earlier times, in the words of the one whose end is nearer.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let theirs_is_nearer = match (self.sunset_at, other.sunset_at) {
            (Some(ours), Some(theirs)) => theirs < ours,
            (None, theirs) => theirs.is_some(),
            (Some(_), None) => false,
        };
        let (nearer, farther) = if theirs_is_nearer { (other, self) } else { (self, other) };
        let deprecated_at = match (nearer.deprecated_at, farther.deprecated_at) {
            (Some(one), Some(another)) => Some(one.min(another)),
            (one, another) => one.or(another),
        };
        Self { deprecated_at, link: nearer.link.or(farther.link), ..nearer }
    }
}

impl Observed {
    /// Folds what several answers say of a version into the worst of it. A version that differs from the one asked for counts more than one that
    /// does not. The order of the answers does not matter.
    pub fn worst(all: impl IntoIterator<Item = Self>, requested: Option<&str>) -> Self {
        let mut worst = Self::default();
        for observed in all {
            let differs = |served: &String| Some(served.as_str()) != requested;
            worst.served = match (worst.served.take(), observed.served) {
                // Of two that differ, the smaller by letter: any rule does that does not depend on the order.
                (Some(one), Some(another)) => Some(match (differs(&one), differs(&another)) {
                    (true, false) => one,
                    (false, true) => another,
                    (true, true) | (false, false) => one.min(another),
                }),
                (one, another) => one.or(another),
            };
            worst.unsupported |= observed.unsupported;
            worst.notice = match (worst.notice.take(), observed.notice) {
                (Some(one), Some(another)) => Some(one.and(another)),
                (one, another) => one.or(another),
            };
        }
        worst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn notice(source: Source, deprecated: Option<i64>, sunset: Option<i64>, link: Option<&str>) -> Notice {
        Notice { source, deprecated_at: deprecated.map(at), sunset_at: sunset.map(at), link: link.map(str::to_owned) }
    }

    fn served(version: &str) -> Observed {
        Observed { served: Some(version.into()), ..Observed::default() }
    }

    #[test]
    fn the_nearer_end_counts_and_nothing_known_is_lost() {
        let deprecated = notice(Source::DeprecationHeader, Some(10), None, Some("https://a"));
        let (late, soon) = (
            notice(Source::SunsetHeader, None, Some(90), None),
            notice(Source::VendorHeader, Some(20), Some(50), None),
        );
        assert_eq!(
            deprecated.clone().and(late.clone()),
            notice(Source::SunsetHeader, Some(10), Some(90), Some("https://a"))
        );
        let all = [deprecated.clone(), late.clone(), soon.clone()];
        let expected = notice(Source::VendorHeader, Some(10), Some(50), Some("https://a"));
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [1, 0, 2]] {
            let notices = order.map(|index| Observed { notice: Some(all[index].clone()), ..Observed::default() });
            assert_eq!(Observed::worst(notices, None).notice, Some(expected.clone()), "{order:?}");
        }
    }

    #[test]
    fn a_version_other_than_the_one_asked_for_counts_whatever_the_order() {
        for order in [["2026-07", "2026-10", "2027-01"], ["2027-01", "2026-07", "2026-10"]] {
            assert_eq!(Observed::worst(order.map(served), Some("2026-07")), served("2026-10"));
        }
        let unsupported = Observed { unsupported: true, ..Observed::default() };
        let folded = Observed::worst([served("2026-07"), unsupported, Observed::default()], Some("2026-07"));
        assert_eq!(folded, Observed { unsupported: true, ..served("2026-07") });
    }
}
