//! The static binary's memcpy and memmove copy what they should, and nothing else. Their check is a C program, because no Rust of ours is unsafe.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg(target_arch = "x86_64")]

use std::{env, path::Path, process::Command};

#[test]
fn every_length_alignment_and_overlap_is_copied_rightly() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("check");
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("memory");
    let compiled = Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()))
        .args(["-O3", "-Wall", "-Wextra", "-Werror", "-fno-builtin", "-o"])
        .arg(&program)
        .args([sources.join("copy.c"), sources.join("check.c")])
        .status()
        .unwrap();
    assert!(compiled.success());
    let checked = Command::new(program).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}
