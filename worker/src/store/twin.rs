//! What is asked of a store about pairs of records, and what it answers: types only.

use crosstie_engine::{pair::Memory, plan::Direction};
use serde::{Deserialize, Serialize};

use super::ScopeId;

/// The scopes of a pair of flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairScopes {
    /// Of the flow in the direction Forward.
    pub forward: ScopeId,
    /// Of the other one.
    pub reverse: ScopeId,
}

impl PairScopes {
    /// The one of a direction.
    pub fn of(self, direction: Direction) -> ScopeId {
        match direction {
            Direction::Forward => self.forward,
            Direction::Reverse => self.reverse,
        }
    }
}

/// A pair of records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TwinRow {
    /// Its number; none of one that is not stored yet.
    pub id: Option<i64>,
    /// Key of the record that the flow in the direction Forward reads.
    pub forward: Option<String>,
    /// Key of the record that the other one reads.
    pub reverse: Option<String>,
    /// The flow whose record the pair is gone with: it was deleted, and the flow deleted its twin; or it stands alone, because its twin was deleted
    /// and it was changed meanwhile. It makes a pair again when it is carried once more, and what is left of its twin never does.
    pub gone: Option<Direction>,
    /// What is remembered of both.
    pub memory: Memory,
}

impl TwinRow {
    /// Key of the record that the flow of a direction reads.
    pub fn key(&self, direction: Direction) -> Option<&str> {
        match direction {
            Direction::Forward => self.forward.as_deref(),
            Direction::Reverse => self.reverse.as_deref(),
        }
    }

    /// Sets it.
    pub fn set_key(&mut self, direction: Direction, key: Option<String>) {
        match direction {
            Direction::Forward => self.forward = key,
            Direction::Reverse => self.reverse = key,
        }
    }
}

/// What becomes of a pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TwinChange {
    /// Its flows' scopes.
    pub scopes: PairScopes,
    /// Direction of the flow that does it.
    pub direction: Direction,
    /// The pair afterwards. The key of a record that is being made is still missing.
    pub row: TwinRow,
    /// The flow a change of whose record is not carried any more, because the other end changed the same.
    pub overruled: Option<Direction>,
    /// Word of the record at the other end, whose own flow is to look at it, because a change was left out for what changed of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub word: Option<TwinWord>,
}

/// Word of a record for the flow that reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TwinWord {
    /// The record's key.
    pub key: String,
    /// A record of which nothing but the key is known, as JSON.
    pub payload: String,
}

/// A question about the pair of a claimed record.
#[derive(Clone, Debug)]
pub struct TwinQuestion {
    /// Its flows' scopes.
    pub scopes: PairScopes,
    /// Direction of the flow that asks.
    pub direction: Direction,
    /// The claimed record's number in the queue.
    pub record: i64,
    /// Its key.
    pub key: String,
    /// The key of its twin, where the record itself says it.
    pub named: Option<String>,
}

/// What is known of the pair of a claimed record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TwinFacts {
    /// The pair that it belongs to.
    pub row: Option<TwinRow>,
    /// The pair that the twin it names belongs to.
    pub named: Option<TwinRow>,
    /// What becomes of its pair by the write that is under way for it.
    pub writing: Option<TwinChange>,
    /// Whether a write is under way for its twin, known or named.
    pub busy: bool,
}
