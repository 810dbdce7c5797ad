//! How long a version of a vendor's API lives: what the vendor says of it, and what its calendar says before the vendor does. Arithmetic only:
//! headers are read in `connect`, and what is told to people is decided in the operator.

mod calendar;
mod observed;

pub use calendar::{Announced, Scheme, Versions};
pub use crosstie_crds::connector::LifecycleSource as Source;
pub use observed::{Notice, Observed};
