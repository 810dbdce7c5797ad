//! Hostile spellings of where a request would go, in one table. There is no socket in these tests: below the guard stands a connector that counts,
//! and names are resolved by the test, so that nothing could leave even if the guard let it pass.

use std::{
    io,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use crosstie_engine::plan::System;
use reqwest::dns::Resolve;
use tower::{Service, ServiceExt, service_fn};
use url::Url;

use super::{EgressRefusal, Rules, Scheme};
use crate::{
    call::{Call, Reply, Setback},
    failure::FailureKind,
    guard::Guard,
    resolve::{GuardedNames, Names, Resolving},
    testing::{answer, call},
};

/// Spellings of hosts, each with what it is. All are hosts of the base URL itself: an author of Connectors may write any.
const HOSTS: [(&str, &str); 62] = [
    ("127.0.0.1", "loopback"),
    ("127.0.0.1.", "a trailing dot"),
    ("127.1", "a short form"),
    ("127.0.1", "a short form"),
    ("2130706433", "decimal"),
    ("0x7f000001", "hexadecimal"),
    ("0X7F000001", "hexadecimal, upper case"),
    ("0x7f.1", "hexadecimal, short"),
    ("0x7F.0x0.0x0.0x1", "hexadecimal by bytes"),
    ("0177.0.0.1", "octal"),
    ("017700000001", "octal"),
    ("0x7f.0.0.01", "mixed"),
    ("00000177.0.0.1", "octal with zeros"),
    ("127.255.255.254", "the end of loopback"),
    ("%31%32%37.0.0.1", "percent-encoded"),
    ("１２７.0.0.1", "full-width digits"),
    ("127。0。0。1", "full-width dots"),
    ("①②⑦.0.0.1", "circled digits"),
    ("0.0.0.0", "unspecified"),
    ("0", "unspecified, short"),
    ("0x0", "unspecified, hexadecimal"),
    ("[::1]", "loopback"),
    ("[0:0:0:0:0:0:0:1]", "loopback in full"),
    ("[0000:0000:0000:0000:0000:0000:0000:0001]", "loopback with zeros"),
    ("[::]", "unspecified"),
    ("[::127.0.0.1]", "IPv4-compatible"),
    ("[::7f00:1]", "IPv4-compatible"),
    ("[::ffff:127.0.0.1]", "IPv4-mapped"),
    ("[::FFFF:127.0.0.1]", "IPv4-mapped, upper case"),
    ("[::ffff:7f00:1]", "IPv4-mapped"),
    ("[0:0:0:0:0:ffff:a9fe:a9fe]", "IPv4-mapped in full"),
    ("[::ffff:0:127.0.0.1]", "IPv4-translated"),
    ("[64:ff9b::127.0.0.1]", "NAT64"),
    ("[64:ff9b::a9fe:a9fe]", "NAT64 of a metadata service"),
    ("[64:ff9b:1::7f00:1]", "NAT64 of a local prefix"),
    ("[64:ff9b:1:7f00:0:100::]", "NAT64 of a local prefix, 48 bits"),
    ("[2002:7f00:1::]", "6to4"),
    ("[2002:a9fe:a9fe::1]", "6to4 of a metadata service"),
    ("[2002:c0a8:1::1]", "6to4 of a private address"),
    ("[2001:0:808:808::80ff:fffe]", "Teredo"),
    ("[2001:0:7f00:1::f7f7:f7f7]", "Teredo by its relay"),
    ("[2606:4700::5efe:10.0.0.1]", "ISATAP"),
    ("[fe80::1]", "link-local"),
    ("[fec0::1]", "site-local"),
    ("[fc00::1]", "unique local"),
    ("[fd00:ec2::254]", "a metadata service"),
    ("[ff02::1]", "multicast"),
    ("169.254.169.254", "a metadata service"),
    ("0xa9fea9fe", "a metadata service, hexadecimal"),
    ("2852039166", "a metadata service, decimal"),
    ("0251.0376.0251.0376", "a metadata service, octal"),
    ("169.254.43518", "a metadata service, short"),
    ("169.254.170.2", "container credentials"),
    ("168.63.129.16", "a platform channel in a public range"),
    ("10.0.0.1", "private"),
    ("172.16.0.1", "private"),
    ("192.168.0.1", "private"),
    ("100.64.0.1", "carrier-grade NAT"),
    ("198.18.0.1", "benchmarking"),
    ("203.0.113.1", "documentation"),
    ("224.0.0.1", "multicast"),
    ("255.255.255.255", "broadcast"),
];

/// So many are asked for at least.
const _: () = assert!(HOSTS.len() >= 40);

/// What is no host at all, by any reading: it must never become a request.
const NO_HOSTS: [(&str, &str); 6] = [
    ("[fe80::1%25eth0]", "a zone id"),
    ("[fe80::1%eth0]", "a bare zone id"),
    ("127.0.0.1.1", "five bytes"),
    ("4294967296", "more than 32 bits"),
    ("0x7f.0.0.0x100", "a byte too large"),
    ("[::ffff:127.0.0.1", "an open bracket"),
];

fn system(base_url: &Url) -> System {
    let system = serde_json::json!({
        "connector": "shop", "baseUrl": base_url, "apiVersion": null, "authentication": {"bearer": {"token": "{token}"}},
        "egress": {"allowHosts": [], "allowCidrs": []},
        "allowance": {"requests": 10, "perSeconds": 1, "concurrency": 1},
        "servedVersionHeader": null, "requestIdHeader": null,
    });
    serde_json::from_value(system).unwrap()
}

fn rules(base_url: &str) -> Rules {
    Rules::new(&system(&Url::parse(base_url).unwrap())).unwrap()
}

/// A connector in place of the network: counts what reaches it.
fn connector(
    count: &Arc<AtomicUsize>,
) -> impl Service<Call, Response = Reply, Error = Setback, Future: Send> + Clone + Send + 'static {
    let count = Arc::clone(count);
    service_fn(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok(Reply::Success(answer(200, &[], ""))))
    })
}

async fn refused(guarded: &Rules, url: Url, count: &Arc<AtomicUsize>) -> Result<(), String> {
    let guard = Guard::new(connector(count), Arc::new(guarded.clone()));
    match guard.oneshot(Call { url, ..call("orders") }).await {
        Err(setback) if setback.failure.kind == FailureKind::EgressRefused => Ok(()),
        Err(setback) => Err(setback.failure.to_string()),
        Ok(_) => Err("it passed".into()),
    }
}

#[tokio::test]
async fn no_hostile_spelling_of_a_host_reaches_a_connection() {
    let count = Arc::new(AtomicUsize::new(0));
    for (host, what) in HOSTS {
        for scheme in ["https", "http"] {
            for port in ["", ":443", ":8080"] {
                let url = format!("{scheme}://{host}{port}/orders");
                let rules = rules(&url);
                let verdict = refused(&rules, Url::parse(&url).unwrap(), &count).await;
                assert_eq!(verdict, Ok(()), "{url} ({what})");
            }
        }
    }
    for (host, what) in NO_HOSTS {
        assert!(Url::parse(&format!("https://{host}/orders")).is_err(), "{host} ({what})");
    }
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn no_url_that_leads_away_from_the_base_reaches_a_connection() {
    let count = Arc::new(AtomicUsize::new(0));
    let rules = rules("https://api.example.com");
    for url in [
        "https://user@api.example.com/",
        "https://user:password@api.example.com/",
        "https://api.example.com:443@evil.example/",
        "https://api.example.com@127.0.0.1/",
        "https://api.example.com.evil.example/",
        "https://evil.example/api.example.com",
        "https://API.example.com.:444/",
        "http://api.example.com/",
        "https://api.example.com:8443/",
        "https://xn--pi-6ia.example.com/",
        "https://аpi.example.com/",
        "https://api.example.com\\@evil.example/",
        "ftp://api.example.com/",
        "file:///etc/passwd",
        "data:text/plain,x",
        "https://[::ffff:127.0.0.1]/",
    ] {
        let Ok(parsed) = Url::parse(url) else { continue };
        if parsed.host_str() == Some("api.example.com") && parsed.path().starts_with("/@evil") {
            // A backslash is a slash in URLs: the host is the right one.
            continue;
        }
        assert_eq!(refused(&rules, parsed, &count).await, Ok(()), "{url}");
    }
    assert_eq!(count.load(Ordering::SeqCst), 0);
    let right = Url::parse("https://API.example.com.:443/orders").unwrap();
    assert!(refused(&rules, right, &count).await.is_err(), "the host itself, in another spelling, passes");
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

/// Gives one list of addresses at the first look-up of a name and another at every later one.
struct Changing {
    looks: AtomicUsize,
    first: Vec<IpAddr>,
    later: Vec<IpAddr>,
}

impl Names for Changing {
    fn resolve(&self, _: String) -> Resolving {
        let first = self.looks.fetch_add(1, Ordering::SeqCst) == 0;
        let addresses = if first { self.first.clone() } else { self.later.clone() };
        Box::pin(std::future::ready(io::Result::Ok(addresses)))
    }
}

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// What the transport is given to connect to; or that it was refused.
async fn resolved(names: &Arc<Changing>) -> Result<Vec<IpAddr>, EgressRefusal> {
    let names: Arc<dyn Names> = Arc::<Changing>::clone(names);
    let guarded = GuardedNames { rules: Arc::new(rules("https://api.example.com")), scheme: Scheme::Https, names };
    match guarded.resolve("api.example.com".parse().unwrap()).await {
        Ok(sockets) => Ok(sockets.map(|socket| socket.ip()).collect()),
        Err(error) => Err(error.downcast_ref::<EgressRefusal>().unwrap().clone()),
    }
}

#[tokio::test]
async fn no_name_that_leads_inside_is_given_to_the_transport() {
    for (answers, what) in [
        (&["127.0.0.1"][..], "loopback"),
        (&["::1"], "loopback"),
        (&["::ffff:10.0.0.1"], "IPv4-mapped"),
        (&["::10.0.0.1"], "IPv4-compatible"),
        (&["64:ff9b::a9fe:a9fe"], "NAT64"),
        (&["2002:a00:1::1"], "6to4"),
        (&["2001:0:808:808::f5ff:fffe"], "Teredo"),
        (&["169.254.169.254"], "a metadata service"),
        (&["fe80::1"], "link-local"),
        (&["8.8.8.8", "10.0.0.1"], "one of two"),
        (&["10.0.0.1", "8.8.8.8"], "one of two"),
        (&["0.0.0.0"], "unspecified"),
    ] {
        let names = Changing { looks: AtomicUsize::new(0), first: addresses(answers), later: addresses(answers) };
        assert!(resolved(&Arc::new(names)).await.is_err(), "{answers:?} ({what})");
    }
}

#[tokio::test]
async fn a_connection_is_made_to_exactly_what_was_checked_by_one_look() {
    let names = Arc::new(Changing {
        looks: AtomicUsize::new(0),
        first: addresses(&["8.8.8.8"]),
        later: addresses(&["169.254.169.254"]),
    });
    assert_eq!(resolved(&names).await, Ok(addresses(&["8.8.8.8"])));
    assert_eq!(names.looks.load(Ordering::SeqCst), 1, "no second look could lead elsewhere");
    let Err(refusal) = resolved(&names).await else { panic!("the name leads inside now") };
    assert!(!refusal.to_string().contains("169.254"), "an address is repeated: {refusal}");
}
