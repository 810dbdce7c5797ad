//! The report: what this pod says in the Integration's `SyncReport`. `compose` puts it together (pure), `pace` decides when it is written
//! (pure), `publish` writes it to the API server.

mod compose;
mod observe;
mod pace;
mod publish;

pub use observe::{Reporter, Troubles};
pub use publish::{ReportTarget, publish};
