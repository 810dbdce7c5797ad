//! The delivery protocol's decisions: what intake keeps (`intake`), whether a claimed record is still news (`standing`), how a call whose
//! answer never came is resolved (`intent`), what a failure counts and against whom (`failing`), and, made of these, what is done next with a
//! claimed record and what an answer means for it (`judge`); which state of it is delivered is in `present`, what is wanted of it at all in `wish`,
//! how much of its mapped body is sent in `carried`. Pure: the worker's store and client carry them out, and tests drive them
//! without either.
//!
//! The rules, in short. A key's records are handled in the order they came. The ledger holds the newest state that was settled for each key.
//! Before a call, an intent is stored; it is settled together with record and ledger. An intent whose outcome is unknown is resolved before
//! anything else touches its key, and the ledger is not asked meanwhile.

mod answer;
mod batch;
mod carried;
mod facts;
mod failing;
mod intake;
mod intent;
mod judge;
mod present;
mod rule;
mod standing;
mod unlisted;
mod untimed;
mod wish;

#[cfg(test)]
mod model;

pub use answer::{Fault, Found, Sent, Setback};
pub use batch::{BatchSent, NextBatch, Row, batch_spares_system, call_size, shares_with, together};
pub use carried::{Carried, only_creates};
pub use facts::{Facts, Failures, LedgerEntry, Seen};
pub use failing::{Weather, spares_system};
pub use intake::{Known, keeps, outdates, replays};
pub use intent::{Intent, OpenIntent, Step, carries, idempotency_key, key_apart, shows_applied, step};
pub use judge::{Change, IntentChange, Judge, Mapped, Next, Postponement, Resolved, Settled, Terms, Wanted};
pub use present::{Compared, Fetched, Fetching};
pub use rule::Rule;
pub use standing::{Standing, needs_write, standing};
pub use unlisted::{gone, is_unlisted, unlisted};
pub use untimed::{is_untimed, mark_untimed};
pub use wish::{Wish, is_deleted, needed_fields, part_of};
