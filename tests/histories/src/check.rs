//! Playing many histories: which ones comes from a seed that is printed; one that fails is made smaller and printed whole.

use std::{env, fs};

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner},
};

use crate::{History, Violation, history};

const KNOWN: [(&str, &str); 11] = [
    ("equal versions in the dead letters", include_str!("../known/equal-versions-in-the-dead-letters.json")),
    ("a late hint after a dead letter", include_str!("../known/a-late-hint-after-a-dead-letter.json")),
    ("given up in doubt and shown again", include_str!("../known/given-up-in-doubt-and-shown-again.json")),
    ("died where records had moved between pages", include_str!("../known/died-where-records-had-moved.json")),
    ("a lookalike after a page that was lost", include_str!("../known/a-lookalike-after-a-page-that-was-lost.json")),
    ("held before a dead letter", include_str!("../known/held-before-a-dead-letter.json")),
    ("word after a dead letter", include_str!("../known/word-after-a-dead-letter.json")),
    ("written once and given up in doubt", include_str!("../known/written-once-and-given-up-in-doubt.json")),
    (
        "a batch apart is looked up from its beginning",
        include_str!("../known/a-batch-apart-is-looked-up-from-its-beginning.json"),
    ),
    (
        "a poisoned record that is sent ever more seldom",
        include_str!("../known/a-poisoned-record-that-is-sent-ever-more-seldom.json"),
    ),
    ("back to a dead letter", include_str!("../known/back-to-a-dead-letter.json")),
];

/// Histories that once broke a property, or that show what a rule is for which others seldom meet, by what they are about. [`check`] plays them first, whatever the seed.
pub fn known() -> impl Iterator<Item = (&'static str, History)> {
    KNOWN.into_iter().map(|(name, text)| (name, serde_json::from_str(text).unwrap()))
}

/// How much is tried.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Histories; `CROSSTIE_CASES` overrides it.
    pub cases: u32,
    /// Stretches a history, at most; most of them are one step.
    pub stretches: usize,
    /// How often one that fails is tried smaller.
    pub shrinks: u32,
}

/// Plays the known histories, and others until one fails or there have been enough. `CROSSTIE_HISTORY`, a file with a history as it was printed, plays that one
/// alone; `CROSSTIE_SEED` plays those of a seed again.
///
/// # Panics
/// When a history fails.
pub fn check(bounds: Bounds, run: impl Fn(&History) -> Result<(), Violation>) {
    if let Ok(path) = env::var("CROSSTIE_HISTORY") {
        let history = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        if let Err(violation) = run(&history) {
            panic!("{violation}");
        }
        return;
    }
    for (name, history) in known() {
        if let Err(violation) = run(&history) {
            panic!("{name}: {violation}");
        }
    }
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse().ok());
    let seed = number("CROSSTIE_SEED").unwrap_or_else(|| u64::from_le_bytes(rand_bytes()));
    let cases = number("CROSSTIE_CASES").and_then(|cases| u32::try_from(cases).ok()).unwrap_or(bounds.cases);
    println!("histories come from CROSSTIE_SEED={seed}");
    let mut runner = runner(seed, cases, bounds.shrinks);
    let result = runner.run(&history(bounds.stretches), |history| {
        run(&history).map_err(|violation| proptest::test_runner::TestCaseError::fail(violation.to_string()))
    });
    match result {
        Ok(()) => {}
        Err(TestError::Abort(reason)) => panic!("no histories could be made up: {reason}"),
        Err(TestError::Fail(reason, history)) => {
            let text = serde_json::to_string(&history).unwrap();
            panic!(
                "{reason}\nCROSSTIE_SEED={seed}; the smallest history (put it in a file, CROSSTIE_HISTORY=that file):\n{text}"
            );
        }
    }
}

/// The first history of a seed that fails within so many, as it came, with its number.
pub fn first_failure(
    seed: u64,
    bounds: Bounds,
    run: impl Fn(&History) -> Result<(), Violation>,
) -> Option<(u32, History)> {
    let mut runner = runner(seed, bounds.cases, bounds.shrinks);
    let histories = history(bounds.stretches);
    (0..bounds.cases).find_map(|number| {
        let history = histories.new_tree(&mut runner).unwrap().current();
        run(&history).is_err().then_some((number, history))
    })
}

/// The same history without every step that it fails without.
pub fn fewest_steps(mut history: History, run: impl Fn(&History) -> Result<(), Violation>) -> History {
    for place in (0..history.steps.len()).rev() {
        let step = history.steps.remove(place);
        if run(&history).is_ok() {
            history.steps.insert(place, step);
        }
    }
    history
}

fn runner(seed: u64, cases: u32, shrinks: u32) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases, max_shrink_iters: shrinks, failure_persistence: None, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

fn rand_bytes() -> [u8; 8] {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0_u8).to_le_bytes()
}
