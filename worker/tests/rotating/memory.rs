//! What is left of superseded keys in the worker's memory, read from outside as a core would show it: everything that the process may write to. The
//! current keys are found the same way, so the search finds what is there.
//!
//! In reach are the copies that the worker itself makes: files as they are read, values, headers. Buffers of connections are hyper's and TLS' own; they
//! are written over by later requests, which the test waits for, as long as their connection lives.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufRead, BufReader},
    os::unix::fs::FileExt,
};

use super::{Load, key, rotations, signing};
use crate::common::until;

/// What is read at once, in bytes.
const PART: usize = 16 * PAGE;
/// A page of memory, or the smallest part of one.
const PAGE: usize = 4096;
/// Longer than any key.
const OVERLAP: usize = 64;

/// Whether any page of a part was ever touched: allocators ask for far more than they use.
fn is_there(pages: &File, at: u64, length: usize) -> bool {
    const PRESENT_OR_SWAPPED: u64 = 0b11 << 62;
    let mut entries = vec![0; length.div_ceil(PAGE) * 8];
    pages.read_exact_at(&mut entries, at / PAGE as u64 * 8).is_ok()
        && entries.chunks_exact(8).any(|entry| u64::from_ne_bytes(entry.try_into().unwrap()) & PRESENT_OR_SWAPPED != 0)
}

/// Everything that a process may write to, part by part.
fn memory(process: u32, mut look: impl FnMut(&[u8])) {
    let open = |name: &str| File::open(format!("/proc/{process}/{name}")).unwrap();
    let (maps, memory, pages) = (BufReader::new(open("maps")), open("mem"), open("pagemap"));
    let mut part = vec![0; PART + OVERLAP];
    for line in maps.lines().map(Result::unwrap) {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next().unwrap(), words.next().unwrap());
        if !rights.starts_with("rw") {
            continue;
        }
        let (from, to) = range.split_once('-').unwrap();
        let [mut at, end] = [from, to].map(|number| u64::from_str_radix(number, 16).unwrap());
        while at < end {
            let length = usize::try_from(end - at).unwrap().min(part.len());
            // What was given back meanwhile holds nothing.
            if is_there(&pages, at, length) && memory.read_exact_at(&mut part[..length], at).is_ok() {
                look(&part[..length]);
            }
            at += PART as u64;
        }
    }
}

/// The numbers of keys of one name that stand in a process's memory.
fn found(process: u32, name: &str) -> BTreeSet<u64> {
    let mut numbers = BTreeSet::new();
    memory(process, |bytes| {
        for at in memchr::memmem::find_iter(bytes, name.as_bytes()) {
            let digits = bytes[at + name.len()..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            let number = std::str::from_utf8(&bytes[at + name.len()..at + name.len() + digits]).unwrap();
            numbers.extend(number.parse::<u64>());
        }
    });
    numbers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_were_superseded_are_no_longer_in_the_workers_memory() {
    let mut load = Load::start().await;
    let last = rotations().div_ceil(3);
    for number in 1..=last {
        load.hand_out(number);
        // Then the worker has it.
        load.until_refused(number).await;
        load.vendor.signs_with(&[number]);
        load.bench.books.set_tokens(&[&key(number - 1), &key(number)]).await.unwrap();
        load.some_pass("with the new key").await;
    }
    let process = load.process.id();
    let names = [key(0), signing(0)].map(|name| name.trim_end_matches('0').to_owned());
    let left = |name: &str| -> BTreeSet<u64> {
        found(process, name).into_iter().filter(|number| *number + 1 < last).collect()
    };
    until("of both kinds only the current and the previous one are left", || async {
        let all: Vec<BTreeSet<u64>> = names.iter().map(|name| left(name)).collect();
        all.iter().all(BTreeSet::is_empty)
    })
    .await;
    for name in &names {
        let there = found(process, name);
        assert!(there.contains(&last), "the search does not find the current one: {there:?}");
    }
    load.settled().await;
}
