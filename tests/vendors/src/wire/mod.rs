//! The control API's JSON, as types that the server and [`crate::control::Client`] share.
//!
//! Only shapes live here: no state, no checks and no I/O.

mod account;
mod fault;
mod oauth2;
mod stats;

pub use account::*;
pub use fault::*;
pub use oauth2::*;
pub use stats::*;
