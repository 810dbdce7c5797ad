//! Has the linker write down shortly which addresses of the static program are filled in when it starts. In the usual form that is a list of 2.7 MB, which is
//! read whole at each start and stays in memory. musl understands the short form; of others' C libraries only newer ones do.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|library| library == "musl") {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
