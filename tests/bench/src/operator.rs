//! The operator's benchmark: its program against a real API server and an AWS endpoint of the benchmark's own. `objects` says what is created,
//! `api` talks to the API server, `aws` answers as Secrets Manager, `audit` counts what the API server logged, `progress` keeps the times,
//! `start` starts the operator and says how long that takes.

pub mod api;
pub mod audit;
pub mod aws;
pub mod objects;
pub mod progress;
pub mod start;
