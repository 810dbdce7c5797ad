//! The operator's way to AWS, on the emulator with the fault proxy before it, without a cluster: whose secrets are read as whom, what is shared, and
//! what becomes of it when AWS denies, throttles or is slow.

mod push;
mod roles;
mod sweep;
mod vault;
