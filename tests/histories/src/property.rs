//! What must be true whatever happens, by name.

/// Something that must be true whatever happens. The names are the ones in `docs/delivery.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Property {
    /// `every_change_is_read`
    EveryChangeIsRead,
    /// `nothing_acknowledged_is_lost`
    NothingAcknowledgedIsLost,
    /// `nothing_is_applied_twice`
    NothingIsAppliedTwice,
    /// `an_older_version_never_overwrites_a_newer_one`
    AnOlderVersionNeverOverwritesANewerOne,
    /// `a_to_b_to_a_ends_at_a`
    AToBToAEndsAtA,
    /// `an_echo_is_not_written`
    AnEchoIsNotWritten,
    /// `one_key_never_carries_two_bodies`
    OneKeyNeverCarriesTwoBodies,
    /// `what_stands_in_anothers_place_is_never_written_over`
    AStrangerIsNeverWrittenOver,
    /// `what_can_be_known_is_never_held`
    WhatCanBeKnownIsNeverHeld,
    /// `an_outage_never_fills_the_dead_letters`
    AnOutageNeverFillsTheDeadLetters,
    /// `one_poisoned_key_never_blocks_another`
    OnePoisonedKeyNeverBlocksAnother,
    /// `a_poisoned_record_is_set_aside`
    APoisonedRecordIsSetAside,
    /// `a_refused_record_is_sent_no_more_often_than_the_policy_says`
    ARefusedRecordIsNotSentForEver,
    /// `a_dead_letter_does_not_come_back_by_itself`
    ADeadLetterDoesNotComeBackByItself,
    /// `a_newer_state_has_its_own_chance`
    ANewerStateHasItsOwnChance,
    /// `nothing_is_sent_before_the_vendor_allows_it`
    NothingIsSentBeforeTheVendorAllowsIt,
    /// `a_record_never_comes_before_its_parent`
    ARecordNeverComesBeforeItsParent,
    /// `waiting_for_a_parent_is_no_attempt`
    WaitingForAParentIsNoAttempt,
    /// `a_child_follows_its_parent_at_once`
    AChildFollowsItsParent,
    /// `what_takes_no_part_is_not_written`
    WhatTakesNoPartIsNotWritten,
    /// `what_is_written_once_stays_as_it_was_written`
    WhatIsWrittenOnceStays,
    /// `what_was_never_there_is_not_deleted`
    WhatWasNeverThereIsNotDeleted,
    /// `one_operation_never_blocks_another`
    OneOperationNeverBlocksAnother,
    /// `what_is_the_destinations_is_never_written_over`
    WhatIsTheDestinationsStays,
}

/// A property that was not true, and of what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The property.
    pub property: Property,
    /// What happened instead.
    pub what: String,
}

impl Property {
    /// Its name in the documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::EveryChangeIsRead => "every_change_is_read",
            Self::NothingAcknowledgedIsLost => "nothing_acknowledged_is_lost",
            Self::NothingIsAppliedTwice => "nothing_is_applied_twice",
            Self::AnOlderVersionNeverOverwritesANewerOne => "an_older_version_never_overwrites_a_newer_one",
            Self::AToBToAEndsAtA => "a_to_b_to_a_ends_at_a",
            Self::AnEchoIsNotWritten => "an_echo_is_not_written",
            Self::OneKeyNeverCarriesTwoBodies => "one_key_never_carries_two_bodies",
            Self::AStrangerIsNeverWrittenOver => "what_stands_in_anothers_place_is_never_written_over",
            Self::WhatCanBeKnownIsNeverHeld => "what_can_be_known_is_never_held",
            Self::AnOutageNeverFillsTheDeadLetters => "an_outage_never_fills_the_dead_letters",
            Self::OnePoisonedKeyNeverBlocksAnother => "one_poisoned_key_never_blocks_another",
            Self::APoisonedRecordIsSetAside => "a_poisoned_record_is_set_aside",
            Self::ARefusedRecordIsNotSentForEver => "a_refused_record_is_sent_no_more_often_than_the_policy_says",
            Self::ADeadLetterDoesNotComeBackByItself => "a_dead_letter_does_not_come_back_by_itself",
            Self::ANewerStateHasItsOwnChance => "a_newer_state_has_its_own_chance",
            Self::NothingIsSentBeforeTheVendorAllowsIt => "nothing_is_sent_before_the_vendor_allows_it",
            Self::ARecordNeverComesBeforeItsParent => "a_record_never_comes_before_its_parent",
            Self::WaitingForAParentIsNoAttempt => "waiting_for_a_parent_is_no_attempt",
            Self::AChildFollowsItsParent => "a_child_follows_its_parent_at_once",
            Self::WhatTakesNoPartIsNotWritten => "what_takes_no_part_is_not_written",
            Self::WhatIsWrittenOnceStays => "what_is_written_once_stays_as_it_was_written",
            Self::WhatWasNeverThereIsNotDeleted => "what_was_never_there_is_not_deleted",
            Self::OneOperationNeverBlocksAnother => "one_operation_never_blocks_another",
            Self::WhatIsTheDestinationsStays => "what_is_the_destinations_is_never_written_over",
        }
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} is not true: {}", self.property.name(), self.what)
    }
}
