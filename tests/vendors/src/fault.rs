//! Which fault strikes which request. Pure: what happens then is the dispatcher's part.

use crate::random::Stream;
use crate::wire::{Fault, FaultMatch, FaultRule, FaultState};

/// The moment at which a fault acts. At each, the oldest rule that strikes wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Before anything else; the request then goes on.
    Before,
    /// In place of the vendor's own handling.
    Instead,
    /// When the request is to take effect, and its credentials are good.
    Applying,
    /// After the request took effect and succeeded.
    After,
}

/// What a rule can look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probe<'a> {
    /// The method, in upper case.
    pub(crate) method: &'a str,
    /// The path below the instance, with its query.
    pub(crate) path: &'a str,
    /// The whole body.
    pub(crate) body: &'a [u8],
}

/// The rules of one instance, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    rules: Vec<FaultState>,
    last_id: u64,
}

impl Faults {
    /// Adds a rule and returns its id.
    ///
    /// # Errors
    /// A sentence that says which part of the rule cannot be used.
    pub(crate) fn add(&mut self, rule: FaultRule) -> Result<u64, String> {
        if rule.percent.is_some_and(|percent| !(1..=100).contains(&percent)) {
            return Err("percent must be between 1 and 100".to_owned());
        }
        if let Fault::RefuseRows { percent, .. } = rule.fault
            && !(1..=100).contains(&percent)
        {
            return Err("the percent of rows must be between 1 and 100".to_owned());
        }
        if let Fault::Status { code, .. } | Fault::ErrorAfterCommit { code } = rule.fault
            && !(200..=599).contains(&code)
        {
            return Err(format!("status code {code} is not between 200 and 599"));
        }
        self.last_id += 1;
        self.rules.push(FaultState { id: self.last_id, rule, matched: 0, applied: 0 });
        Ok(self.last_id)
    }

    /// The fault that strikes this request at this moment; it is counted as applied.
    pub(crate) fn strike(&mut self, moment: Moment, probe: Probe<'_>) -> Option<Fault> {
        self.rules
            .iter_mut()
            .filter(|state| moment_of(&state.rule.fault) == moment)
            .find_map(|state| strikes(state, probe).then(|| state.rule.fault.clone()))
    }

    /// All rules with their counts, spent ones too.
    pub(crate) fn list(&self) -> Vec<FaultState> {
        self.rules.clone()
    }

    /// Removes one rule; false when there is none with this id.
    pub(crate) fn remove(&mut self, id: u64) -> bool {
        let before = self.rules.len();
        self.rules.retain(|state| state.id != id);
        self.rules.len() < before
    }

    /// Removes all rules.
    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }
}

fn strikes(state: &mut FaultState, probe: Probe<'_>) -> bool {
    let spent = state.rule.count.is_some_and(|count| state.applied >= count);
    if spent || !matches(&state.rule.matching, probe) {
        return false;
    }
    state.matched += 1;
    let chosen = state
        .rule
        .percent
        .is_none_or(|percent| Stream::new(state.rule.seed, state.matched).below(100) < u64::from(percent));
    state.applied += u64::from(chosen);
    chosen
}

fn matches(matching: &FaultMatch, probe: Probe<'_>) -> bool {
    let FaultMatch { method, path_contains, body_contains } = matching;
    method.as_deref().is_none_or(|method| method == probe.method)
        && path_contains.as_deref().is_none_or(|part| probe.path.contains(part))
        && body_contains.as_deref().is_none_or(|part| contains(probe.body, part.as_bytes()))
}

fn contains(body: &[u8], part: &[u8]) -> bool {
    part.is_empty() || body.windows(part.len()).any(|window| window == part)
}

fn moment_of(fault: &Fault) -> Moment {
    match fault {
        Fault::Slow { .. } => Moment::Before,
        Fault::Status { .. } | Fault::RateLimited { .. } | Fault::DropConnection {} => Moment::Instead,
        Fault::CommitAfterTimeout { .. } | Fault::RefuseRows { .. } => Moment::Applying,
        Fault::TimeoutAfterCommit {}
        | Fault::ErrorAfterCommit { .. }
        | Fault::MalformedBody {}
        | Fault::TruncatedBody {} => Moment::After,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUT: Probe<'_> = Probe { method: "PUT", path: "/salesOrder/eid:1", body: br#"{"memo":"x"}"# };

    fn faults(rule: FaultRule) -> Faults {
        let mut faults = Faults::default();
        faults.add(rule).unwrap();
        faults
    }

    #[test]
    fn a_counted_fault_strikes_that_often_and_no_more() {
        let mut faults = faults(FaultRule::new(Fault::DropConnection {}).times(2));
        let struck = (0..5).filter(|_| faults.strike(Moment::Instead, PUT).is_some()).count();
        assert_eq!(struck, 2);
    }

    #[test]
    fn every_given_part_of_the_match_must_hold() {
        let rule = FaultRule::new(Fault::DropConnection {}).method("PUT").path_contains("eid:1").body_contains("memo");
        let mut faults = faults(rule);
        assert!(faults.strike(Moment::Instead, Probe { method: "GET", ..PUT }).is_none());
        assert!(faults.strike(Moment::Instead, Probe { path: "/salesOrder/eid:2", ..PUT }).is_none());
        assert!(faults.strike(Moment::Instead, Probe { body: b"{}", ..PUT }).is_none());
        assert!(faults.strike(Moment::Instead, PUT).is_some());
    }

    #[test]
    fn a_share_is_the_same_choice_for_the_same_seed() {
        let chosen = |seed| {
            let mut faults = faults(FaultRule::new(Fault::DropConnection {}).percent(10, seed));
            (0..1000).map(|_| faults.strike(Moment::Instead, PUT).is_some()).collect::<Vec<_>>()
        };
        assert_eq!(chosen(1), chosen(1));
        assert_ne!(chosen(1), chosen(2));
        let struck = chosen(1).iter().filter(|struck| **struck).count();
        assert!((70..=130).contains(&struck), "{struck} of 1000 is not about 10%");
    }

    #[test]
    fn a_fault_waits_for_its_moment() {
        let mut faults = faults(FaultRule::new(Fault::TimeoutAfterCommit {}).times(1));
        assert!(faults.strike(Moment::Instead, PUT).is_none());
        assert!(faults.strike(Moment::After, PUT).is_some());
    }

    #[test]
    fn a_rule_that_cannot_be_used_is_refused() {
        let mut faults = Faults::default();
        assert!(faults.add(FaultRule::new(Fault::DropConnection {}).percent(0, 1)).is_err());
        assert!(faults.add(FaultRule::new(Fault::ErrorAfterCommit { code: 99 })).is_err());
    }
}
