//! The protocol's rules, by name. Each place that follows one says so by asking whether it holds, so that the tests can take one away and show
//! what it is for (`docs/adr/0007-rules-by-name.md`). Outside of this crate's own unit tests every rule holds, always: there is no switch.

/// A rule of the protocol. `docs/delivery.md` says beside each which property it keeps true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// A window's upper bound is fixed before its first page, and the cursor moves to it.
    BoundsAreFixedFirst,
    /// The next window begins earlier than the last one ended.
    WindowsReachBack,
    /// Where pages are positions, a page overlaps the one before; if the last record read is not in its place, reading steps back.
    PagesOverlap,
    /// A page's records and the state of reading are stored together.
    PageAndPositionTogether,
    /// A state is known already only if its content is the same too.
    ContentIsCompared,
    /// The ledger says that a state is known only while nothing waits for its key.
    LedgerIsAskedWhenNothingWaits,
    /// A state that lies in the dead letters is not taken again.
    DeadLettersRest,
    /// Word of a record that does not say what became of it is news, whatever lies in the dead letters.
    WordIsNews,
    /// A dead letter that is read again after another state of its version is news.
    BackToADeadLetterIsNews,
    /// One record of a key is handed out at a time, the one that came first.
    KeysAreLocked,
    /// A record that waits blocks its own key only.
    WaitingBlocksItsKeyOnly,
    /// A state older than what was settled is not written.
    OlderIsSuperseded,
    /// A body that the destination has is not written again.
    SameBodyIsNotWritten,
    /// A decision that wrote nothing advances the version too.
    EveryDecisionAdvances,
    /// A delete leaves a tombstone with its version.
    TombstonesStay,
    /// An intent is stored before its first call.
    IntentBeforeCall,
    /// An open intent is resolved before anything else is decided, and the ledger is not asked meanwhile.
    OpenIntentFirst,
    /// Record, ledger and intent are settled together.
    SettledTogether,
    /// After a start every open intent is in doubt.
    RestartIsDoubt,
    /// A send that was begun and not accounted for leaves its intent in doubt.
    AbandonedIsDoubt,
    /// Doubt counts from the last send that could have left.
    DoubtIsRenewed,
    /// An intent in doubt is sent again with its own key.
    ResendKeepsItsKey,
    /// A key is used only while the vendor remembers it.
    KeyHasAWindow,
    /// The longest flight is taken off the key's window.
    FlightIsTakenOff,
    /// A key names its store.
    KeyNamesItsStore,
    /// A look-up is believed only after the settle time.
    LookUpSettles,
    /// An update is proved only by its fields.
    UpdateIsProvedByItsFields,
    /// After the key's window, the look-up tells.
    LookUpAfterTheKey,
    /// A refusal says nothing of an earlier send in doubt.
    RefusalLeavesDoubt,
    /// What nothing can tell is held.
    UnknownIsHeld,
    /// Another record in this one's place, or several, are a fault; nothing is written over them.
    StrangersAreFaults,
    /// When a record is given up while a write of it is in doubt, the ledger says that its state may be at the destination, and no more.
    GivenUpInDoubtIsForgotten,
    /// What a flow writes once is not written again while the destination has it.
    WrittenOnceStays,
    /// Of what a flow writes once, that whose write was given up in doubt counts as not written.
    GivenUpIsNotWritten,
    /// A dead letter is not replayed behind a state that is no older, nor before one that was set aside later.
    ReplayIsNoNews,
    /// A dead letter with the version of what was settled and another content stays, where its source could tell which is the newer.
    EqualDeadLettersStay,
    /// What the answer to a batch means for its records is stored together.
    BatchSettlesTogether,
    /// A batch that is refused as a whole is followed by smaller ones.
    RefusedWholeIsSplit,
    /// A refusal counts against a record only if it was refused alone.
    OnlyAloneCounts,
    /// A batch in doubt that failed as often as the policy retries is followed by smaller ones, whoever is to blame.
    WornIsSplit,
    /// A record whose batch was taken apart never carries the batch's key.
    ApartHasItsOwnKey,
    /// The key of a record whose batch was taken apart says nothing of the batch.
    KeyApartTellsNothing,
    /// A record whose batch was taken apart was decided about when the batch was.
    ApartKeepsItsTime,
    /// A 429 or 5xx counts against a record only if other calls passed.
    OthersMustPass,
    /// A 429 or 5xx counts against a record if other calls passed.
    PoisonCounts,
    /// A failing record is set aside after its retries.
    RetriesEnd,
    /// The vendor's wait is kept.
    WaitsAreKept,
    /// Each probe is made with another key.
    ProbesChangeKeys,
    /// A state with the version of what was settled and another content is fetched anew.
    EqualIsFetched,
    /// Without a version, what was read is a hint, and what is delivered is fetched.
    HintsAreFetched,
    /// A state whose write was given up in doubt is not written again before a person replays it.
    GivenUpRests,
    /// A single read that shows an older state than the one that asked for it is made again later.
    OlderFetchIsRetried,
    /// While a write is under way, intake compares with the state that is written.
    WhatIsWrittenIsNewest,
    /// A record waits until what it depends on is at the destination.
    ParentsComeFirst,
    /// What was deleted at the destination is not there.
    GoneParentIsAwaited,
    /// To wait for a parent is no attempt.
    AwaitingIsNoAttempt,
    /// What waits for a record is due when that one is settled.
    ParentWakesChildren,
    /// What does not match is not written, but as the flow says.
    ConditionIsKept,
    /// A record that stops matching is written only if it is there.
    OnlyWhatIsThereIsUpdated,
    /// A record is deleted only if it is there.
    OnlyWhatIsThereIsDeleted,
    /// What is left out leaves known what the destination has.
    LeftOutStaysKnown,
    /// Each operation has a circuit of its own.
    CircuitsArePerOperation,
    /// Whether the destination has a record is looked up before the first write that may carry what is the destination's.
    OwnedIsLookedUpFirst,
    /// A write over a record that is there carries nothing that is the destination's.
    OwnedIsLeftOut,
    /// What is the destination's proves nothing of a write.
    OwnedProvesNothing,
}

impl Rule {
    /// Whether the rule holds.
    #[cfg(not(test))]
    #[inline]
    #[expect(clippy::unused_self, reason = "read in the unit tests' variant")]
    pub(crate) const fn holds(self) -> bool {
        true
    }
}

#[cfg(test)]
mod switch {
    use std::cell::Cell;

    use super::Rule;

    thread_local! {
        static TAKEN_AWAY: Cell<Option<Rule>> = const { Cell::new(None) };
    }

    impl Rule {
        /// All of them.
        pub(crate) const ALL: [Self; 65] = [
            Self::BoundsAreFixedFirst,
            Self::WindowsReachBack,
            Self::PagesOverlap,
            Self::PageAndPositionTogether,
            Self::ContentIsCompared,
            Self::LedgerIsAskedWhenNothingWaits,
            Self::DeadLettersRest,
            Self::WordIsNews,
            Self::BackToADeadLetterIsNews,
            Self::KeysAreLocked,
            Self::WaitingBlocksItsKeyOnly,
            Self::OlderIsSuperseded,
            Self::SameBodyIsNotWritten,
            Self::EveryDecisionAdvances,
            Self::TombstonesStay,
            Self::IntentBeforeCall,
            Self::OpenIntentFirst,
            Self::SettledTogether,
            Self::RestartIsDoubt,
            Self::AbandonedIsDoubt,
            Self::DoubtIsRenewed,
            Self::ResendKeepsItsKey,
            Self::KeyHasAWindow,
            Self::FlightIsTakenOff,
            Self::KeyNamesItsStore,
            Self::LookUpSettles,
            Self::UpdateIsProvedByItsFields,
            Self::LookUpAfterTheKey,
            Self::RefusalLeavesDoubt,
            Self::UnknownIsHeld,
            Self::StrangersAreFaults,
            Self::GivenUpInDoubtIsForgotten,
            Self::WrittenOnceStays,
            Self::GivenUpIsNotWritten,
            Self::ReplayIsNoNews,
            Self::EqualDeadLettersStay,
            Self::BatchSettlesTogether,
            Self::RefusedWholeIsSplit,
            Self::OnlyAloneCounts,
            Self::WornIsSplit,
            Self::ApartHasItsOwnKey,
            Self::KeyApartTellsNothing,
            Self::ApartKeepsItsTime,
            Self::OthersMustPass,
            Self::PoisonCounts,
            Self::RetriesEnd,
            Self::WaitsAreKept,
            Self::ProbesChangeKeys,
            Self::EqualIsFetched,
            Self::HintsAreFetched,
            Self::GivenUpRests,
            Self::OlderFetchIsRetried,
            Self::WhatIsWrittenIsNewest,
            Self::ParentsComeFirst,
            Self::GoneParentIsAwaited,
            Self::AwaitingIsNoAttempt,
            Self::ParentWakesChildren,
            Self::ConditionIsKept,
            Self::OnlyWhatIsThereIsUpdated,
            Self::OnlyWhatIsThereIsDeleted,
            Self::LeftOutStaysKnown,
            Self::CircuitsArePerOperation,
            Self::OwnedIsLookedUpFirst,
            Self::OwnedIsLeftOut,
            Self::OwnedProvesNothing,
        ];

        /// Whether the rule holds.
        pub(crate) fn holds(self) -> bool {
            TAKEN_AWAY.get() != Some(self)
        }

        /// Does something without the rule, on this thread.
        pub(crate) fn without<T>(self, act: impl FnOnce() -> T) -> T {
            TAKEN_AWAY.set(Some(self));
            let done = act();
            TAKEN_AWAY.set(None);
            done
        }
    }
}
