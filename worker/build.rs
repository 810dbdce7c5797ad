//! Puts a faster memcpy and memmove into the static binary; see `memory/copy.c`. Other targets have good ones.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=memory/copy.c");
    let target = |part: &str| env::var(format!("CARGO_CFG_TARGET_{part}")).unwrap_or_default();
    if target("ENV") != "musl" || target("ARCH") != "x86_64" {
        return;
    }
    // The compiler must not take a loop that copies for a call of what is being defined.
    let flags = ["-ffreestanding", "-fno-builtin", "-fno-tree-loop-distribute-patterns"];
    let mut build = cc::Build::new();
    flags.iter().fold(build.file("memory/copy.c").opt_level(3), |build, flag| build.flag_if_supported(flag));
    for object in build.compile_intermediates() {
        println!("cargo::rustc-link-arg-bins={}", object.display());
    }
    println!("cargo::rustc-link-arg-bins=-Wl,--wrap=memcpy,--wrap=memmove");
}
