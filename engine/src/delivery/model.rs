//! The protocol as a whole: the engine's decisions over a model of the disk, in a world where everything fails that can. What must be true of
//! that world is checked after every step, and what each rule is for is shown by taking it away.

mod batches;
mod calls;
mod disk;
mod gates;
mod setup;
mod worker;

use std::{collections::BTreeMap, env, sync::Mutex, thread};

use crosstie_histories::{
    Bounds, History, Means, Property, Shared, Shows, Violation, an_hours_outage, check, fewest_steps, first_failure,
    known, play,
};

use self::worker::Worker;
use super::Rule;

/// Where the histories come from that show what each rule is for; `CROSSTIE_SEED` overrides it.
const SEED: u64 = 5;
/// Histories that show what a rule is for which few others show, by the rule's name: without them most of the time would be spent with looking for them.
const SHOWN: &str = include_str!("model/shown.json");
/// From this number on a history is worth keeping there.
const LATE: u32 = 150;

fn run(history: &History) -> Result<(), Violation> {
    let world = Shared::new(history.means);
    play(history, &world, &mut Worker::new(world.clone()))
}

#[test]
fn an_hours_outage_is_waited_out() {
    an_hours_outage(|history, world| play(history, world, &mut Worker::new(world.clone())));
}

#[test]
fn whatever_happens_every_property_is_true() {
    check(Bounds { cases: 4000, stretches: 60, shrinks: 20_000 }, run);
}

/// Which property each rule keeps true.
fn keeps_true(rule: Rule) -> Property {
    match rule {
        Rule::BoundsAreFixedFirst | Rule::WindowsReachBack | Rule::PagesOverlap | Rule::PageAndPositionTogether => {
            Property::EveryChangeIsRead
        }
        Rule::ContentIsCompared
        | Rule::UpdateIsProvedByItsFields
        | Rule::BackToADeadLetterIsNews
        | Rule::EqualDeadLettersStay
        | Rule::HintsAreFetched
        | Rule::OlderFetchIsRetried
        | Rule::GivenUpIsNotWritten
        | Rule::WhatIsWrittenIsNewest => Property::NothingAcknowledgedIsLost,
        Rule::LedgerIsAskedWhenNothingWaits | Rule::GivenUpInDoubtIsForgotten | Rule::ReplayIsNoNews => {
            Property::AToBToAEndsAtA
        }
        Rule::WordIsNews => Property::ANewerStateHasItsOwnChance,
        Rule::WrittenOnceStays => Property::WhatIsWrittenOnceStays,
        Rule::DeadLettersRest => Property::ADeadLetterDoesNotComeBackByItself,
        Rule::KeysAreLocked
        | Rule::OlderIsSuperseded
        | Rule::EveryDecisionAdvances
        | Rule::TombstonesStay
        | Rule::EqualIsFetched => Property::AnOlderVersionNeverOverwritesANewerOne,
        Rule::SameBodyIsNotWritten | Rule::LeftOutStaysKnown => Property::AnEchoIsNotWritten,
        Rule::IntentBeforeCall
        | Rule::OpenIntentFirst
        | Rule::SettledTogether
        | Rule::RestartIsDoubt
        | Rule::AbandonedIsDoubt
        | Rule::DoubtIsRenewed
        | Rule::ResendKeepsItsKey
        | Rule::KeyHasAWindow
        | Rule::FlightIsTakenOff
        | Rule::LookUpSettles
        | Rule::RefusalLeavesDoubt
        | Rule::UnknownIsHeld
        | Rule::ApartKeepsItsTime
        | Rule::KeyApartTellsNothing
        | Rule::OwnedProvesNothing => Property::NothingIsAppliedTwice,
        Rule::KeyNamesItsStore | Rule::BatchSettlesTogether | Rule::ApartHasItsOwnKey => {
            Property::OneKeyNeverCarriesTwoBodies
        }
        Rule::LookUpAfterTheKey => Property::WhatCanBeKnownIsNeverHeld,
        Rule::StrangersAreFaults | Rule::GivenUpRests => Property::AStrangerIsNeverWrittenOver,
        Rule::OthersMustPass | Rule::OnlyAloneCounts => Property::AnOutageNeverFillsTheDeadLetters,
        Rule::WaitingBlocksItsKeyOnly | Rule::ProbesChangeKeys | Rule::RefusedWholeIsSplit | Rule::WornIsSplit => {
            Property::OnePoisonedKeyNeverBlocksAnother
        }
        Rule::PoisonCounts => Property::APoisonedRecordIsSetAside,
        Rule::RetriesEnd => Property::ARefusedRecordIsNotSentForEver,
        Rule::WaitsAreKept => Property::NothingIsSentBeforeTheVendorAllowsIt,
        Rule::ParentsComeFirst | Rule::GoneParentIsAwaited => Property::ARecordNeverComesBeforeItsParent,
        Rule::AwaitingIsNoAttempt => Property::WaitingForAParentIsNoAttempt,
        Rule::ParentWakesChildren => Property::AChildFollowsItsParent,
        Rule::ConditionIsKept | Rule::OnlyWhatIsThereIsUpdated => Property::WhatTakesNoPartIsNotWritten,
        Rule::OnlyWhatIsThereIsDeleted => Property::WhatWasNeverThereIsNotDeleted,
        Rule::CircuitsArePerOperation => Property::OneOperationNeverBlocksAnother,
        Rule::OwnedIsLookedUpFirst | Rule::OwnedIsLeftOut => Property::WhatIsTheDestinationsStays,
    }
}

/// The circumstances in which it shows what a rule is for that needs several things to come together. Others take the histories as they come.
fn circumstances(rule: Rule, means: Means) -> Means {
    let single = Means { keys: 1, parents: false, batch: 1, ..means };
    if rule == Rule::OlderFetchIsRetried {
        Means { shows: Shows::VersionsAndSingles, traced: true, ..single }
    } else if rule == Rule::GivenUpInDoubtIsForgotten {
        Means { shows: Shows::Versions, look_up: true, key: false, ..single }
    } else if rule == Rule::GivenUpIsNotWritten {
        Means { shows: Shows::Versions, look_up: true, key: false, once: true, ..single }
    } else if matches!(rule, Rule::OwnedIsLookedUpFirst | Rule::OwnedIsLeftOut | Rule::OwnedProvesNothing) {
        Means { look_up: true, owned: true, ..means }
    } else {
        means
    }
}

/// Without its rule, the first history in which the property is not true: of those that are kept, else of a fixed seed, by number. Histories
/// that break another one before are passed by.
fn broken_by(rule: Rule, bounds: Bounds) -> Option<String> {
    let property = keeps_true(rule);
    let only = |history: &History| {
        let history = History { means: circumstances(rule, history.means), steps: history.steps.clone() };
        run(&history).or_else(|violation| if violation.property == property { Err(violation) } else { Ok(()) })
    };
    let seed = env::var("CROSSTIE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(SEED);
    let shown: BTreeMap<String, History> = serde_json::from_str(SHOWN).unwrap();
    let own = shown.get(&format!("{rule:?}")).map(|history| ("its own", history.clone()));
    rule.without(|| match own.into_iter().chain(known()).find(|(_, history)| only(history).is_err()) {
        Some((name, _)) => Some(format!("{name:?}")),
        None => first_failure(seed, bounds, only).map(|(number, history)| {
            if number < LATE {
                return number.to_string();
            }
            let history = History { means: circumstances(rule, history.means), ..history };
            let kept = serde_json::to_string(&fewest_steps(history, only)).unwrap();
            format!("{number}; to find it at once, put this line into shown.json:\n\"{rule:?}\": {kept}")
        }),
    })
}

#[test]
fn with_every_rule_the_histories_that_show_what_one_is_for_break_nothing() {
    let shown: BTreeMap<String, History> = serde_json::from_str(SHOWN).unwrap();
    for (rule, history) in shown {
        assert!(Rule::ALL.iter().any(|known| format!("{known:?}") == rule), "there is no rule {rule}");
        assert_eq!(run(&history), Ok(()), "{rule}");
    }
}

#[test]
fn without_any_one_rule_its_property_is_not_true() {
    let bounds = Bounds { cases: 20_000, stretches: 60, shrinks: 0 };
    // `CROSSTIE_RULE` names one, for whoever looks for a better seed.
    let named = env::var("CROSSTIE_RULE").ok();
    let meant = |rule: &&Rule| named.as_ref().is_none_or(|name| *name == format!("{rule:?}"));
    let rules = Mutex::new(Rule::ALL.iter().filter(meant));
    let needless = Mutex::new(Vec::new());
    let work = || {
        while let Some(rule) = { rules.lock().unwrap().next() } {
            match broken_by(*rule, bounds) {
                Some(history) => {
                    println!("without {rule:?}, {} fails at history {history}", keeps_true(*rule).name());
                }
                None => needless.lock().unwrap().push(*rule),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    assert_eq!(*needless.lock().unwrap(), [], "nothing fails without these");
}
