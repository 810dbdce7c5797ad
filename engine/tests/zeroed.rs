//! What is left in memory of credentials that were dropped, as the kernel shows this process' own memory. The one test here is alone in its program:
//! nothing else may ask for memory between the end of a value and the look at where it was.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::{fs::File, os::unix::fs::FileExt};

use crosstie_engine::credentials::CredentialVersion;

const MARK: &[u8] = b"CTSEED";
/// How often the mark stands in a value. As much as an allocator keeps for the next one who asks, and gives to nobody else.
const TIMES: usize = 80;

/// How often the mark stands where a value was.
fn left(memory: &File, buffer: &mut [u8], address: usize) -> usize {
    memory.read_exact_at(buffer, address.try_into().unwrap()).unwrap();
    buffer.windows(MARK.len()).filter(|window| *window == MARK).count()
}

#[test]
fn credentials_that_are_dropped_leave_no_value_in_memory() {
    let memory = File::open("/proc/self/mem").unwrap();
    let secret = || String::from_utf8(MARK.repeat(TIMES)).unwrap();
    let mut buffer = vec![0; MARK.len() * TIMES];

    // What is seen this way: a text that nobody zeroes is still there, but for its beginning, where the allocator keeps its books.
    let text = secret();
    let address = text.as_ptr().addr();
    drop(text);
    assert!(left(&memory, &mut buffer, address) > TIMES / 2, "this does not see memory that was given back");

    let version = CredentialVersion { version_id: "v1".into(), values: [("token".to_owned(), secret())].into() };
    let address = version.values["token"].as_ptr().addr();
    assert_eq!(left(&memory, &mut buffer, address), TIMES);
    drop(version);
    assert_eq!(left(&memory, &mut buffer, address), 0);
}
