//! What the benchmarks share: figures as JSON lines on standard output, what the machine is, and what a process has used. Each benchmark is a
//! program of its own in `src/bin`; progress goes to standard error, so that standard output holds figures only.

pub mod figure;
pub mod machine;
pub mod operator;
pub mod process;
pub mod usage;
