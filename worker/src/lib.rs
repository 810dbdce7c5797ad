//! The worker: three loops around one store that move records from one system to another and can die at any time.

pub mod store;
