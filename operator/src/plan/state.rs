//! Whether an Integration's store is where it was. Losing it silently would send everything twice, so an Integration whose store
//! is gone stops until a person accepts the loss by naming the store that was lost.

use crosstie_crds::names::ANNOTATION_STORE_ID;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Stands for the id of a store that was in use but never reported one.
pub const UNRECORDED: &str = "unrecorded";

/// What is known of a store.
#[derive(Clone, Copy, Debug, Default)]
pub struct StateSeen<'a> {
    /// The volume claim; absent only if the API server itself said so.
    pub claim: Option<&'a ObjectMeta>,
    /// The Integration.
    pub owner_uid: &'a str,
    /// Store id in the shares ConfigMap of this very Integration.
    pub recorded: Option<&'a str>,
    /// Store id that the running worker reports.
    pub reported: Option<&'a str>,
    /// Whether the worker found another store than it was told to find.
    pub worker_says_lost: bool,
    /// Whether a worker was started before.
    pub started: bool,
    /// Store id whose loss a person accepts.
    pub accepted: Option<&'a str>,
}

/// Where a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Its volume is there, or is to be made. The id is the one to remember, if there is one.
    Held {
        /// Id of the store on it.
        store_id: Option<String>,
    },
    /// A volume of an earlier life is on its way out; nothing can start before it is gone.
    Waiting,
    /// The volume is marked for deletion and lives only as long as the worker that uses it.
    Going {
        /// Id of the store on it.
        store_id: String,
    },
    /// The volume is gone, or holds another store.
    Lost {
        /// Id of the store that was lost.
        store_id: String,
    },
}

/// Tells where a store is.
pub fn derive(seen: &StateSeen<'_>) -> State {
    let state = judge(seen, None);
    let lost = match &state {
        State::Lost { store_id } | State::Going { store_id } => Some(store_id.clone()),
        State::Held { store_id } if seen.worker_says_lost => store_id.clone(),
        State::Held { .. } | State::Waiting => None,
    };
    match lost {
        Some(lost) if seen.accepted == Some(lost.as_str()) => judge(seen, Some(&lost)),
        Some(_) | None => state,
    }
}

/// The same with everything forgotten that names the store `given_up`.
fn judge(seen: &StateSeen<'_>, given_up: Option<&str>) -> State {
    let keep = |id: &&str| Some(*id) != given_up;
    let recorded = seen.recorded.filter(keep);
    let reported = seen.reported.filter(keep);
    let Some(claim) = seen.claim else {
        let lost = recorded.or_else(|| (seen.started && given_up.is_none()).then_some(UNRECORDED));
        return lost.map_or(State::Held { store_id: None }, |store_id| State::Lost { store_id: store_id.to_owned() });
    };
    if claim.deletion_timestamp.is_some() {
        return recorded.map_or(State::Waiting, |store_id| State::Going { store_id: store_id.to_owned() });
    }
    if owned_by_another(claim, seen.owner_uid) {
        return State::Waiting;
    }
    let marked = claim.annotations.as_ref().and_then(|annotations| annotations.get(ANNOTATION_STORE_ID));
    let marked = marked.map(String::as_str).filter(keep);
    let expected = recorded.or(marked);
    let found = reported.or(marked);
    match (expected, found) {
        (Some(expected), Some(found)) if expected != found => State::Lost { store_id: expected.to_owned() },
        (expected, found) => State::Held { store_id: found.or(expected).map(str::to_owned) },
    }
}

/// Whether the claim belongs to an earlier Integration of the same name, with which it is about to be deleted.
fn owned_by_another(claim: &ObjectMeta, owner_uid: &str) -> bool {
    let owners = claim.owner_references.as_deref().unwrap_or_default();
    !owners.is_empty() && owners.iter().all(|owner| owner.uid != owner_uid)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};

    use super::*;

    fn claim(store_id: Option<&str>) -> ObjectMeta {
        let annotations = store_id.map(|id| [(ANNOTATION_STORE_ID.to_owned(), id.to_owned())].into());
        ObjectMeta { annotations, ..ObjectMeta::default() }
    }

    fn terminating(store_id: Option<&str>) -> ObjectMeta {
        ObjectMeta { deletion_timestamp: Some(Time(jiff::Timestamp::UNIX_EPOCH)), ..claim(store_id) }
    }

    fn seen(claim: Option<&ObjectMeta>) -> StateSeen<'_> {
        StateSeen { claim, owner_uid: "me", ..StateSeen::default() }
    }

    fn held(store_id: Option<&str>) -> State {
        State::Held { store_id: store_id.map(str::to_owned) }
    }

    fn lost(store_id: &str) -> State {
        State::Lost { store_id: store_id.to_owned() }
    }

    #[test]
    fn a_new_integration_gets_a_volume() {
        assert_eq!(derive(&seen(None)), held(None));
    }

    #[test]
    fn the_first_reported_store_is_remembered() {
        assert_eq!(derive(&StateSeen { reported: Some("a"), ..seen(Some(&claim(None))) }), held(Some("a")));
    }

    #[test]
    fn a_retained_volume_says_which_store_to_expect() {
        assert_eq!(derive(&seen(Some(&claim(Some("a"))))), held(Some("a")));
    }

    #[test]
    fn a_volume_that_is_gone_is_never_made_anew_by_itself() {
        assert_eq!(derive(&StateSeen { recorded: Some("a"), started: true, ..seen(None) }), lost("a"));
        assert_eq!(derive(&StateSeen { started: true, ..seen(None) }), lost(UNRECORDED));
    }

    #[test]
    fn a_volume_with_another_store_is_a_loss() {
        assert_eq!(derive(&StateSeen { recorded: Some("a"), ..seen(Some(&claim(Some("b")))) }), lost("a"));
        let replaced = claim(None);
        assert_eq!(derive(&StateSeen { recorded: Some("a"), reported: Some("b"), ..seen(Some(&replaced)) }), lost("a"));
    }

    #[test]
    fn a_loss_is_accepted_by_naming_the_store() {
        let gone = StateSeen { recorded: Some("a"), started: true, ..seen(None) };
        assert_eq!(derive(&StateSeen { accepted: Some("b"), ..gone }), lost("a"));
        assert_eq!(derive(&StateSeen { accepted: Some("a"), ..gone }), held(None));
        let unrecorded = StateSeen { started: true, accepted: Some(UNRECORDED), ..seen(None) };
        assert_eq!(derive(&unrecorded), held(None));
        let wiped = claim(Some("a"));
        let wiped = StateSeen { recorded: Some("a"), worker_says_lost: true, ..seen(Some(&wiped)) };
        assert_eq!(derive(&wiped), held(Some("a")));
        assert_eq!(derive(&StateSeen { accepted: Some("a"), ..wiped }), held(None));
    }

    #[test]
    fn an_acceptance_of_an_earlier_loss_or_in_advance_changes_nothing() {
        let healthy = claim(Some("b"));
        let healthy = StateSeen { recorded: Some("b"), reported: Some("b"), ..seen(Some(&healthy)) };
        assert_eq!(derive(&StateSeen { accepted: Some("a"), ..healthy }), held(Some("b")));
        assert_eq!(derive(&StateSeen { accepted: Some("b"), ..healthy }), held(Some("b")));
    }

    #[test]
    fn a_volume_marked_for_deletion_keeps_its_worker_until_a_person_decides() {
        let going = terminating(Some("a"));
        let going = StateSeen { recorded: Some("a"), reported: Some("a"), ..seen(Some(&going)) };
        assert_eq!(derive(&going), State::Going { store_id: "a".into() });
        assert_eq!(derive(&StateSeen { accepted: Some("a"), ..going }), State::Waiting);
    }

    #[test]
    fn the_volume_of_an_earlier_life_is_waited_for() {
        let old = terminating(Some("a"));
        assert_eq!(derive(&seen(Some(&old))), State::Waiting);
        let owner = OwnerReference { uid: "before".into(), ..OwnerReference::default() };
        let old = ObjectMeta { owner_references: Some(vec![owner]), ..claim(Some("a")) };
        assert_eq!(derive(&seen(Some(&old))), State::Waiting);
    }
}
