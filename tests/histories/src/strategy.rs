//! How histories are made up: one strategy for all who play them.

use proptest::prelude::*;

use crate::{
    history::{End, Fetch, Flight, History, Look, Means, OnWhenFalse, Outage, Poison, Shows, Step, Write},
    source::State,
    world::{KEYS, PARENTS},
};

/// Histories of up to so many stretches; most of them are one step.
pub fn history(most_stretches: usize) -> impl Strategy<Value = History> {
    let stretch = prop_oneof![20 => step().prop_map(|step| vec![step]), 1 => storm()];
    (means(), prop::collection::vec(stretch, 1..=most_stretches))
        .prop_map(|(means, stretches)| History { means, steps: stretches.concat() })
}

/// Trouble upon trouble with the same few records: what one send left open meets the next, and the same look-up each time.
fn storm() -> impl Strategy<Value = Vec<Step>> {
    prop_oneof![Just(Look::Fresh), Just(Look::Stranger)].prop_flat_map(|look| {
        let writes = vec![Write::Lost, Write::AnswerLost, Write::Late(4), Write::Refused];
        let carry =
            prop::sample::select(writes).prop_map(move |write| Step::Carry(Flight { write, look, ..Flight::WELL }));
        let pass = prop::sample::select(vec![1_u16, 10, 30]).prop_map(Step::Pass);
        prop::collection::vec(prop_oneof![5 => carry, 3 => pass], 4..12)
    })
}

fn means() -> impl Strategy<Value = Means> {
    let outcome = (any::<bool>(), any::<bool>(), prop::bool::weighted(0.2));
    let records = (any::<bool>(), 1..=KEYS, -90_i8..90, shows(), on_when_false(), prop::bool::weighted(0.3));
    let calls = (prop_oneof![Just(1), 2..=KEYS], any::<bool>(), prop::bool::weighted(0.3));
    let kinds = (prop::bool::weighted(0.3), prop::bool::weighted(0.15));
    (outcome, records, calls, kinds).prop_map(|(outcome, records, (batch, rows, since), (words, once))| {
        let (key, look_up, resend) = outcome;
        let (traced, keys, skew, shows, on_when_false, parents) = records;
        // Told by the skew, so that no history of a seed is another one because of it. A look-up that does not reach back shows nothing of a record that
        // was there before.
        let owned = look_up && skew % 4 == 0 && !since && !once;
        let words = words && shows == Shows::SinglesOnly;
        Means {
            key,
            look_up,
            resend,
            traced,
            keys,
            skew,
            shows,
            on_when_false,
            parents,
            batch,
            rows,
            words,
            since,
            once,
            owned,
        }
    })
}

fn shows() -> impl Strategy<Value = Shows> {
    prop_oneof![2 => Just(Shows::Versions), 1 => Just(Shows::VersionsAndSingles), 1 => Just(Shows::SinglesOnly)]
}

fn on_when_false() -> impl Strategy<Value = OnWhenFalse> {
    prop_oneof![Just(OnWhenFalse::Ignore), Just(OnWhenFalse::Delete), Just(OnWhenFalse::Update)]
}

fn step() -> impl Strategy<Value = Step> {
    let key = || 0..KEYS;
    prop_oneof![
        12 => (key(), content(), late()).prop_map(|(key, content, late)| Step::Change { key, content, late }),
        2 => key().prop_map(|key| Step::Delete { key }),
        12 => prop::bool::weighted(0.1).prop_map(|killed| Step::Read { killed }),
        4 => (key(), 0_u8..4).prop_map(|(key, age)| Step::Hint { key, age }),
        24 => flight().prop_map(Step::Carry),
        6 => flight().prop_map(Step::Begin),
        5 => Just(Step::Finish),
        10 => prop_oneof![4 => Just(1_u16), 4 => 2_u16..8, 2 => 20_u16..70, 2 => 400_u16..700, 1 => 560_u16..571, 1 => 592_u16..601].prop_map(Step::Pass),
        2 => Just(Step::Crash),
        1 => Just(Step::LoseStore),
        2 => Just(Step::Replay),
        2 => (key(), poison()).prop_map(|(key, poison)| Step::Poison { key, poison }),
        2 => prop_oneof![Just(Outage::Over), Just(Outage::Half), Just(Outage::Whole), Just(Outage::Busy), Just(Outage::DeletesBusy)].prop_map(Step::Outage),
        2 => (0..PARENTS, prop::bool::weighted(0.7)).prop_map(|(parent, there)| Step::Parent { parent, there }),
    ]
}

/// Two contents that match, and less often one that does not.
fn content() -> impl Strategy<Value = u8> {
    prop_oneof![5 => 0_u8..2, 1 => Just(State::OUT)]
}

fn poison() -> impl Strategy<Value = Poison> {
    prop_oneof![2 => Just(Poison::Cured), 1 => Just(Poison::With500), 1 => Just(Poison::Refused)]
}

fn late() -> impl Strategy<Value = u8> {
    prop_oneof![3 => Just(0_u8), 1 => 0_u8..20]
}

fn flight() -> impl Strategy<Value = Flight> {
    (write(), look(), fetch(), end()).prop_map(|(write, look, fetch, end)| Flight { write, look, fetch, end })
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![
        10 => Just(Write::Applied),
        3 => Just(Write::AnswerLost),
        1 => Just(Write::Partly),
        1 => Just(Write::AppliedWith500),
        4 => (1_u8..5).prop_map(Write::Late),
        2 => Just(Write::Lost),
        1 => Just(Write::NeverLeft),
        4 => Just(Write::Refused),
        2 => Just(Write::With500),
        1 => (1_u8..30).prop_map(Write::Limited),
    ]
}

fn look() -> impl Strategy<Value = Look> {
    prop_oneof![
        8 => Just(Look::Fresh),
        2 => (0_u8..2).prop_map(Look::Lagging),
        1 => Just(Look::Fails),
        1 => Just(Look::Stranger),
        1 => Just(Look::Several),
    ]
}

fn fetch() -> impl Strategy<Value = Fetch> {
    prop_oneof![8 => Just(Fetch::Fresh), 3 => Just(Fetch::Lagging), 1 => Just(Fetch::Fails), 1 => Just(Fetch::Absent)]
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        8 => Just(End::Stored),
        1 => Just(End::Abandoned),
        1 => Just(End::KilledBefore),
        2 => Just(End::KilledAfter),
    ]
}
