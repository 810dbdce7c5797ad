//! Who calls: the address that the connection comes from or, where that is a trusted proxy's, the last one in `X-Forwarded-For` that is not. Pure.

use std::net::IpAddr;

use crosstie_engine::plan::Receiver as Rules;
use ipnet::IpNet;

use super::Head;

/// The address of whoever calls.
pub fn caller(rules: &Rules, head: &Head) -> IpAddr {
    let trusted: Vec<IpNet> = rules.trusted_proxies.iter().filter_map(|range| range.parse().ok()).collect();
    let forwarded = head.headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let forwarded: Vec<&str> = forwarded.flat_map(|value| value.split(',')).map(str::trim).collect();
    behind(head.peer.to_canonical(), &forwarded, &trusted)
}

fn behind(peer: IpAddr, forwarded: &[&str], trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|range| range.contains(&address));
    let mut caller = peer;
    for text in forwarded.iter().rev() {
        if !is_trusted(caller) {
            break;
        }
        // What a proxy cannot name is the proxy's own.
        let Ok(address) = text.parse::<IpAddr>() else { break };
        caller = address.to_canonical();
    }
    caller
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed_and_only_as_far_as_they_reach() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let of = |peer: &str, forwarded: &[&str]| behind(peer.parse().unwrap(), forwarded, &trusted).to_string();
        assert_eq!(of("192.0.2.1", &["198.51.100.7"]), "192.0.2.1", "whoever calls directly may claim anything");
        assert_eq!(of("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(of("10.0.0.1", &["203.0.113.9", "198.51.100.7"]), "198.51.100.7", "the one before was claimed");
        assert_eq!(of("10.0.0.1", &["198.51.100.7", "10.0.0.2"]), "198.51.100.7", "two proxies in a row");
        assert_eq!(of("10.0.0.1", &["unknown"]), "10.0.0.1");
        assert_eq!(of("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(of("10.0.0.1", &["::ffff:192.0.2.1"]), "192.0.2.1");
    }
}
