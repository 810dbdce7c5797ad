//! Webhooks, as far as they can be decided without I/O: whether one is what it says it is (`verify`), and which events it carries and what these
//! bring to a flow (`event`).

mod event;
mod verify;

pub use event::{Brought, Event, Malformed, brought, events, route, text_at};
pub use verify::{NotVerified, Received, Secret, verify};
