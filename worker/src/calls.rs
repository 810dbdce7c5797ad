//! The log of calls to vendors: what is noted of each (`watcher`), on whose behalf it was made (`caller`), and showing it to people (`show`). The log
//! itself is the store's: a call is written together with what came of it, never by itself.

mod caller;
mod show;
mod watcher;

pub use self::{caller::Caller, show::router, watcher::Watcher};
