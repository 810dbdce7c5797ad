//! Pure sync semantics: what a plan is and how one is compiled, how windows move, what is delivered and what is not, how
//! failures count. No sockets, files, clocks or randomness: time and chance come in as arguments.
//!
//! The operator compiles plans with it, the worker runs plans with it, and the command line checks specs with it.

pub mod alert;
pub mod body;
pub mod canonical;
pub mod circuit;
pub mod compile;
pub mod credentials;
pub mod delivery;
pub mod fixture;
pub mod glob;
pub mod grant;
pub mod inlay;
pub mod json;
pub mod lifecycle;
pub mod mapping;
pub mod pair;
pub mod plan;
pub mod preset;
pub mod proxy;
pub mod rate;
pub mod retry;
pub mod schedule;
pub mod template;
pub mod version;
pub mod webhook;
pub mod window;
