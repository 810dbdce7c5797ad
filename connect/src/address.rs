//! Which addresses are public, and which ones an address stands for. Pure. An IPv6 address that carries an IPv4 address to some translator or
//! tunnel is judged by the address it carries, whatever the notation.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Reachable on the public internet.
    Public,
    /// Not public; the word says what it is instead.
    Internal(&'static str),
    /// A platform's metadata or credentials service: refused even within an allowed range, unless the range is that one address.
    Metadata,
}

const METADATA_V4: [Ipv4Addr; 6] = [
    Ipv4Addr::new(169, 254, 169, 254), // AWS, Azure, Google and many others
    Ipv4Addr::new(169, 254, 170, 2),   // AWS container credentials
    Ipv4Addr::new(169, 254, 170, 23),  // AWS pod identity
    Ipv4Addr::new(100, 100, 100, 200), // Alibaba
    Ipv4Addr::new(168, 63, 129, 16),   // Azure's platform channel, in a public range
    Ipv4Addr::new(192, 0, 0, 192),     // Oracle
];

const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),  // AWS
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x0023), // AWS pod identity
];

/// IPv4 ranges that are not public, after IANA's special-purpose registry.
const INTERNAL_V4: [(Ipv4Addr, u32, &str); 16] = [
    (Ipv4Addr::UNSPECIFIED, 8, "unspecified"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "carrier-grade NAT"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "protocol assignment"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "documentation"),
    (Ipv4Addr::new(192, 31, 196, 0), 24, "protocol assignment"),
    (Ipv4Addr::new(192, 52, 193, 0), 24, "protocol assignment"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "relay"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "benchmarking"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 3, "multicast or reserved"),
];

/// IPv6 ranges that are not public although they lie within 2000::/3, the only space that is given out.
const INTERNAL_V6: [(Ipv6Addr, u32, &str); 6] = [
    (Ipv6Addr::new(0x2001, 0x2, 0, 0, 0, 0, 0, 0), 48, "benchmarking"),
    (Ipv6Addr::new(0x2001, 0x10, 0, 0, 0, 0, 0, 0), 28, "identifier"),
    (Ipv6Addr::new(0x2001, 0x20, 0, 0, 0, 0, 0, 0), 28, "identifier"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "documentation"),
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48, "protocol assignment"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "documentation"),
];

/// What an address is. Addresses that stand for others are to be resolved by [`stands_for`] before.
pub fn class(address: IpAddr) -> Class {
    match address {
        IpAddr::V4(address) => class_v4(address),
        IpAddr::V6(address) => class_v6(address),
    }
}

fn class_v4(address: Ipv4Addr) -> Class {
    if METADATA_V4.contains(&address) {
        return Class::Metadata;
    }
    let bits = address.to_bits();
    let range = INTERNAL_V4.iter().find(|(start, length, _)| (bits ^ start.to_bits()) >> (32 - length) == 0);
    range.map_or(Class::Public, |(_, _, word)| Class::Internal(word))
}

fn class_v6(address: Ipv6Addr) -> Class {
    if METADATA_V6.contains(&address) {
        return Class::Metadata;
    }
    let bits = address.to_bits();
    if let Some((_, _, word)) =
        INTERNAL_V6.iter().find(|(start, length, _)| (bits ^ start.to_bits()) >> (128 - length) == 0)
    {
        return Class::Internal(word);
    }
    match address.segments()[0] {
        0x2000..=0x3fff => Class::Public,
        0xfc00..=0xfdff | 0xfec0..=0xfeff => Class::Internal("private"),
        0xfe80..=0xfebf => Class::Internal("link-local"),
        0xff00..=0xffff => Class::Internal("multicast"),
        _ if address.is_loopback() => Class::Internal("loopback"),
        _ if address.is_unspecified() => Class::Internal("unspecified"),
        _ => Class::Internal("reserved"),
    }
}

/// The addresses that traffic to this one may really reach; at least one. Mostly itself.
pub fn stands_for(address: IpAddr) -> Vec<IpAddr> {
    let IpAddr::V6(outer) = address else { return vec![address] };
    let carried = carried(outer);
    if carried.is_empty() { vec![address] } else { carried.into_iter().map(IpAddr::V4).collect() }
}

fn carried(outer: Ipv6Addr) -> Vec<Ipv4Addr> {
    let bits = outer.to_bits();
    let last = low(bits);
    match outer.segments() {
        // Loopback and unspecified are addresses in their own right, not IPv4 ones in the compatible notation.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Vec::new(),
        // Compatible, mapped, translated (RFC 2765), and NAT64 by the well-known prefix (RFC 6052).
        [0, 0, 0, 0, 0, 0 | 0xffff, _, _] | [0, 0, 0, 0, 0xffff, 0, _, _] | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => {
            vec![last]
        }
        [0x64, 0xff9b, 1, ..] => local_translation(bits),
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => vec![Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))],
        // Teredo (RFC 4380): the relay, and the client with its bits flipped.
        [0x2001, 0, high, low, ..] => {
            vec![Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)), Ipv4Addr::from_bits(!last.to_bits())]
        }
        // ISATAP (RFC 5214), under any prefix.
        [_, _, _, _, 0 | 0x200, 0x5efe, _, _] => vec![last],
        _ => Vec::new(),
    }
}

/// Readings of a NAT64 address under the local-use prefix (RFC 8215). Only the network's operator knows the prefix length in use, so every
/// one that RFC 6052 has is read. A reading within 0.0.0.0/8 is an artefact of reading the wrong way, unless there is no other.
fn local_translation(bits: u128) -> Vec<Ipv4Addr> {
    // Bits 64 to 71 are skipped by every layout that spans them.
    let squeezed = (bits >> 64 << 56) | (bits & ((1 << 56) - 1));
    let readings = [low(squeezed >> 40), low(squeezed >> 32), low(squeezed >> 24), low(bits)];
    let meant: Vec<Ipv4Addr> = readings.into_iter().filter(|reading| reading.octets()[0] != 0).collect();
    if meant.is_empty() { vec![Ipv4Addr::UNSPECIFIED] } else { meant }
}

/// The lowest 32 bits as an address.
fn low(bits: u128) -> Ipv4Addr {
    let [.., a, b, c, d] = bits.to_be_bytes();
    Ipv4Addr::new(a, b, c, d)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(text: &str) -> bool {
        stands_for(text.parse().unwrap()).into_iter().all(|address| class(address) == Class::Public)
    }

    #[test]
    fn public_addresses_are_public_in_every_notation() {
        for text in [
            "8.8.8.8",
            "1.1.1.1",
            "100.128.0.1",
            "172.32.0.1",
            "223.255.255.254",
            "2606:4700:4700::1111",
            "2a00:1450:4001::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "64:ff9b:1::8.8.8.8",
            "64:ff9b:1:808:8:800::",
            "64:ff9b:1:08:8:808::",
            "2002:808:808::1",
        ] {
            assert!(public(text), "{text}");
        }
    }

    #[test]
    fn everything_that_leads_inside_is_seen_in_every_notation() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.1.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:0:10.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1:7f00:0:100::",
            "64:ff9b:1:7f:0:1::",
            "64:ff9b:1:0:7f:0:100:0",
            "64:ff9b:1::127.0.0.1",
            "64:ff9b:1:7f00:0:100:808:808",
            "64:ff9b:1::",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2001:0:808:808::80ff:fffe",
            "2001:0:a00:1::f7f7:f7f7",
            "2001:db8::1",
            "2001:2::1",
            "2001:10::1",
            "3fff::1",
            "2606:4700::5efe:10.0.0.1",
            "2606:4700::200:5efe:127.0.0.1",
            "100::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
        ] {
            assert!(!public(text), "{text}");
        }
    }

    #[test]
    fn metadata_services_are_told_from_other_internal_addresses() {
        for text in
            ["169.254.169.254", "fd00:ec2::254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "100.100.100.200"]
        {
            let faces = stands_for(text.parse().unwrap());
            assert!(faces.into_iter().any(|address| class(address) == Class::Metadata), "{text}");
        }
    }
}
