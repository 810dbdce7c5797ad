//! What the end-to-end tests and the demo share: a cluster, the AWS emulator, the vendor simulator, the operator installed with Helm, and
//! ways to await what a person would see. Tests themselves live in `api/`, `emulator/`, `stories/`, `faults/` and `disruption/`.
//!
//! Everything here drives real programs: `kubectl`, `helm`, MiniStack, and the simulator's HTTP API.

pub mod aws;
pub mod aws_faults;
pub mod cluster;
pub mod emulator;
pub mod example;
pub mod install;
pub mod kubectl;
pub mod mail;
pub mod marked;
pub mod push;
pub mod shop;
pub mod wait;
pub mod world;
