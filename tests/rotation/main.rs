//! Rotations at the operator's real process, on etcd and API server alone, with the AWS emulator: what kills do not make it miss.

mod kills;
mod operator;
