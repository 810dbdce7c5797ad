//! Rotations at the operator's real process, on etcd and API server alone, with the AWS emulator: what kills do not make it miss, and that nothing
//! it says shows a secret value.

mod independent;
mod kills;
mod operator;
mod secrecy;
mod tokens;
