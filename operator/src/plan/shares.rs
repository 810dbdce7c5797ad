//! How a rate allowance is split among the Integrations that use it: in equal parts. A part grows only when it is certain that the
//! others leave room: their published parts are reported as kept, or their pods are gone. Parts shrink at once.

use crosstie_engine::{
    plan::Allowance,
    rate::{self, Shares},
};
use serde::{Deserialize, Serialize};

/// While others have not made room yet, a newcomer gets the part that so many times as many users would get.
const TRICKLE: u32 = 10;

/// A part of an account's allowance: one of `parts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The account, as `engine::compile::rate_group` names it.
    pub account: String,
    /// One of how many equal parts.
    pub parts: u32,
    /// What `parts` was before its last change; 0 if it was nothing.
    pub before: u32,
}

/// What was published for an Integration, kept as an annotation of its shares ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Part of the source's account.
    pub source: Part,
    /// Part of the destination's account.
    pub destination: Part,
    /// Hash of the shares, by which a report shows that they are kept.
    pub hash: String,
}

impl Published {
    /// The annotation's value.
    pub fn to_json(&self) -> String {
        crosstie_engine::canonical::json(self)
    }

    /// Reads the annotation; `None` when it is not one of ours.
    pub fn parse(annotation: &str) -> Option<Self> {
        serde_json::from_str(annotation).ok()
    }

    /// Both parts, the source's first.
    pub fn parts(&self) -> [&Part; 2] {
        [&self.source, &self.destination]
    }
}

/// Another Integration of the namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Accounts it uses; none when it is suspended or deleted.
    pub accounts: Vec<String>,
    /// What was published for it last.
    pub published: Option<Published>,
    /// Whether it keeps to what was published: its pods report it, or it has none.
    pub confirmed: bool,
    /// Whether it has pods, so that its part is in use also when it is suspended or deleted.
    pub running: bool,
}

/// One end of the Integration that asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The account.
    pub account: String,
    /// The account's whole allowance.
    pub whole: Allowance,
}

/// What an Integration gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The shares.
    pub shares: Shares,
    /// How they came about.
    pub published: Published,
    /// Whether it would get more if others had made room.
    pub waiting: bool,
}

/// Splits both accounts for one Integration that is `mine` so far, among its peers.
pub fn grant(source: &End, destination: &End, mine: Option<&Published>, peers: &[Peer]) -> Granted {
    let same = source.account == destination.account;
    let own_uses = if same { 2 } else { 1 };
    let (source_part, source_waits) = part(&source.account, own_uses, mine.map(|mine| &mine.source), peers);
    let (destination_part, destination_waits) =
        part(&destination.account, own_uses, mine.map(|mine| &mine.destination), peers);
    let shares = Shares {
        source: rate::share(&source.whole, source_part.parts),
        destination: rate::share(&destination.whole, destination_part.parts),
    };
    let published = Published { source: source_part, destination: destination_part, hash: shares.hash() };
    Granted { shares, published, waiting: source_waits || destination_waits }
}

fn part(account: &str, own_uses: u32, mine: Option<&Part>, peers: &[Peer]) -> (Part, bool) {
    let others: u32 = peers.iter().map(|peer| count(peer.accounts.iter().filter(|&name| name == account))).sum();
    let equal = others.saturating_add(own_uses);
    let mine = mine.filter(|mine| mine.account == account);
    let have = mine.map_or(0, |mine| mine.parts);
    if have == equal {
        return (mine.cloned().unwrap_or_else(|| Part { account: account.to_owned(), parts: equal, before: 0 }), false);
    }
    let shrinks = have != 0 && have < equal;
    let fits = in_use(account, peers) + f64::from(own_uses) / f64::from(equal) <= 1.0 + 1e-9;
    if shrinks || fits {
        return (Part { account: account.to_owned(), parts: equal, before: have }, false);
    }
    let keep = mine.cloned().unwrap_or_else(|| Part {
        account: account.to_owned(),
        parts: equal.saturating_mul(TRICKLE),
        before: 0,
    });
    (keep, true)
}

/// How much of an account others may be using at this moment, as a fraction.
fn in_use(account: &str, peers: &[Peer]) -> f64 {
    peers
        .iter()
        .filter(|peer| peer.running || !peer.accounts.is_empty())
        .filter_map(|peer| peer.published.as_ref().map(|published| (peer, published)))
        .flat_map(|(peer, published)| published.parts().map(|part| (peer, part)))
        .filter(|(_, part)| part.account == account)
        .map(|(peer, part)| {
            let published = fraction(part.parts);
            if peer.confirmed { published } else { published.max(fraction(part.before)) }
        })
        .sum()
}

fn fraction(parts: u32) -> f64 {
    if parts == 0 { 0.0 } else { 1.0 / f64::from(parts) }
}

fn count(items: impl Iterator) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Allowance = Allowance { requests: 120, per_seconds: 10, concurrency: 12 };

    fn end(account: &str) -> End {
        End { account: account.into(), whole: WHOLE }
    }

    fn published(parts: u32, before: u32) -> Published {
        let part = |account: &str, parts, before| Part { account: account.into(), parts, before };
        Published { source: part("shop", parts, before), destination: part("erp", 1, 0), hash: "h".into() }
    }

    /// One that uses the same source, and a destination of its own.
    fn peer(published: Option<Published>, confirmed: bool) -> Peer {
        let published = published.map(|mut published| {
            published.destination.account = "ledger".into();
            published
        });
        Peer { accounts: vec!["shop".into()], published, confirmed, running: true }
    }

    fn parts(granted: &Granted) -> (u32, bool) {
        (granted.published.source.parts, granted.waiting)
    }

    fn ask(mine: Option<&Published>, peers: &[Peer]) -> Granted {
        grant(&end("shop"), &end("erp"), mine, peers)
    }

    #[test]
    fn the_only_user_gets_everything() {
        let granted = ask(None, &[]);
        assert_eq!(parts(&granted), (1, false));
        assert_eq!(granted.shares.source, WHOLE);
    }

    #[test]
    fn an_integration_that_uses_an_account_at_both_ends_gets_half_for_each() {
        let granted = grant(&end("shop"), &end("shop"), None, &[]);
        assert_eq!((granted.published.source.parts, granted.published.destination.parts), (2, 2));
        assert_eq!(granted.shares.source.requests + granted.shares.destination.requests, WHOLE.requests);
    }

    #[test]
    fn those_who_begin_together_get_equal_parts_at_once() {
        assert_eq!(parts(&ask(None, &[peer(None, true)])), (2, false));
        assert_eq!(parts(&ask(None, &[peer(Some(published(2, 0)), false)])), (2, false));
    }

    #[test]
    fn a_part_shrinks_at_once() {
        let granted = ask(Some(&published(1, 0)), &[peer(None, true)]);
        assert_eq!(parts(&granted), (2, false));
        assert_eq!(granted.published.source.before, 1);
    }

    #[test]
    fn a_newcomer_waits_with_a_trickle_until_others_report_their_smaller_parts() {
        let unreported = [peer(Some(published(2, 1)), false)];
        let granted = ask(None, &unreported);
        assert_eq!(parts(&granted), (20, true));
        let reported = [peer(Some(published(2, 1)), true)];
        assert_eq!(parts(&ask(Some(&granted.published), &reported)), (2, false));
    }

    #[test]
    fn a_part_grows_only_when_the_pods_of_those_who_left_are_gone() {
        let mut left = Peer { accounts: Vec::new(), ..peer(Some(published(2, 0)), true) };
        assert_eq!(parts(&ask(Some(&published(2, 0)), std::slice::from_ref(&left))), (2, true));
        left.running = false;
        assert_eq!(parts(&ask(Some(&published(2, 0)), &[left])), (1, false));
    }

    #[test]
    fn all_grow_together_without_waiting_for_each_other() {
        let grown_but_unreported = peer(Some(published(2, 3)), false);
        assert_eq!(parts(&ask(Some(&published(3, 0)), &[grown_but_unreported])), (2, false));
    }

    #[test]
    fn another_account_is_another_matter() {
        let elsewhere = Peer { accounts: vec!["crm".into()], published: None, confirmed: true, running: true };
        assert_eq!(parts(&ask(None, &[elsewhere])), (1, false));
    }

    #[test]
    fn what_is_settled_stays_word_for_word() {
        let mine = published(2, 1);
        let granted = ask(Some(&mine), &[peer(Some(published(2, 1)), true)]);
        assert_eq!(granted.published.source, mine.source);
        assert_eq!(Published::parse(&granted.published.to_json()), Some(granted.published));
    }
}
