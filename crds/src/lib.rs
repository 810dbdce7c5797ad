//! The `crosstie.dev/v1alpha1` API: what people write (`Connector`, `Integration`), what workers say (`SyncReport`),
//! and the conditions, reasons, labels and annotations that belong to it.
//!
//! Types, their schema and their names live here. I/O, clocks and decisions do not: those are in `engine` and above.

pub mod calls;
pub mod condition;
pub mod connector;
pub mod definition;
pub mod integration;
pub mod letters;
pub mod names;
pub mod reference;
pub mod resync;
pub mod sync_report;

pub use connector::{Connector, ConnectorSpec, ConnectorStatus};
pub use definition::definitions;
pub use integration::{Integration, IntegrationSpec, IntegrationStatus};
pub use sync_report::{SyncReport, SyncReportSpec, SyncReportStatus};

/// API group of every Crosstie kind.
pub const GROUP: &str = "crosstie.dev";
/// API version of every Crosstie kind.
pub const VERSION: &str = "v1alpha1";
