//! What was sent between the process and the server and is not read yet, as the kernel knows it. On a busy machine that takes as long as it takes:
//! who has to know that something arrived looks here, and does not guess a time.

use std::fs;

/// Whether a socket of the server has something that the server has not read, or a connection that it has not taken.
pub fn unread_by_the_server(port: u16) -> bool {
    unread(|ends| ends.local == port)
}

/// Whether a socket of the process, which is connected to the server, has something that the process has not read.
pub fn unread_by_the_process(port: u16) -> bool {
    unread(|ends| ends.remote == port)
}

struct Ends {
    local: u16,
    remote: u16,
}

fn unread(concerns: impl Fn(&Ends) -> bool) -> bool {
    let sockets = fs::read_to_string("/proc/net/tcp").unwrap();
    sockets.lines().skip(1).any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let port = |word: &str| u16::from_str_radix(word.rsplit_once(':').unwrap().1, 16).unwrap();
        let waiting = u64::from_str_radix(words[4].rsplit_once(':').unwrap().1, 16).unwrap();
        // The end of a connection counts as one; nobody has to read that. Of a listener the number is that of connections.
        let listens = words[3] == "0A";
        concerns(&Ends { local: port(words[1]), remote: port(words[2]) }) && waiting > u64::from(!listens)
    })
}
