//! The proxy that requests by https leave through, where the operator's configuration names one, and the hosts that are called past it. Pure.
//!
//! Requests by http never pass it: they go to the operator's own allowed ranges only, and a proxy would read their credentials.

use std::net::IpAddr;

use ipnet::IpNet;
use url::{Host, Url};

/// A proxy that tunnels (`CONNECT`), and what is called past it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    url: Url,
    past: Vec<Past>,
}

/// What is called past the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Past {
    Everything,
    /// A host and all beneath it, in lower case, without a dot at either end.
    Domain(String),
    /// URLs that have an address of this range in the place of a host.
    Range(IpNet),
}

/// Why a proxy cannot be used. It repeats no URL, which may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyProblem {
    /// Not an http URL of a host alone.
    #[error("the proxy's URL {0}: write one such as http://proxy.example.com:3128")]
    Url(&'static str),
    /// An exception that is neither a host nor a range.
    #[error(
        "`{0}` among the hosts to be called past the proxy is neither a host name, an address, a range such as 10.0.0.0/8, nor `*`; ports cannot be told apart"
    )]
    Exception(String),
}

impl Proxy {
    /// Reads a proxy's URL and what is called past it, separated by commas, as `HTTPS_PROXY` and `NO_PROXY` have them. An empty URL is no proxy.
    ///
    /// # Errors
    /// When either cannot be understood: nothing is called past a proxy, or through it, by guessing.
    pub fn parse(url: &str, exceptions: &str) -> Result<Option<Self>, ProxyProblem> {
        if url.trim().is_empty() {
            return Ok(None);
        }
        let url = Url::parse(url.trim()).map_err(|_| ProxyProblem::Url("cannot be read"))?;
        if url.scheme() != "http" {
            return Err(ProxyProblem::Url("does not begin with http:// (what passes it is encrypted from end to end)"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ProxyProblem::Url("has a user name or password in it, which every worker's pod would show"));
        }
        if url.host_str().is_none_or(str::is_empty) || url.path() != "/" || url.query().is_some() {
            return Err(ProxyProblem::Url("is not that of a host alone"));
        }
        let exceptions = exceptions.split(',').map(str::trim).filter(|text| !text.is_empty());
        let past = exceptions.map(Past::parse).collect::<Result<_, _>>()?;
        Ok(Some(Self { url, past }))
    }

    /// Its URL.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Whether a request passes it.
    pub fn takes(&self, url: &Url) -> bool {
        url.scheme() == "https" && url.host().is_some_and(|host| !self.past.iter().any(|past| past.has(&host)))
    }
}

impl Past {
    fn parse(text: &str) -> Result<Self, ProxyProblem> {
        if text == "*" {
            return Ok(Self::Everything);
        }
        if let Ok(range) = text.parse::<IpNet>() {
            return Ok(Self::Range(range));
        }
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Self::Range(address.into()));
        }
        let name = text.strip_prefix("*.").or_else(|| text.strip_prefix('.')).unwrap_or(text);
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let is_name = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(ProxyProblem::Exception(text.to_owned()));
        }
        Ok(Self::Domain(name))
    }

    fn has(&self, host: &Host<&str>) -> bool {
        match (self, host) {
            (Self::Everything, _) => true,
            (Self::Domain(domain), Host::Domain(name)) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                name.strip_suffix(domain.as_str()).is_some_and(|before| before.is_empty() || before.ends_with('.'))
            }
            (Self::Range(range), Host::Ipv4(address)) => range.contains(&IpAddr::V4(*address)),
            (Self::Range(range), Host::Ipv6(address)) => range.contains(&IpAddr::V6(*address)),
            (Self::Domain(_), Host::Ipv4(_) | Host::Ipv6(_)) | (Self::Range(_), Host::Domain(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(exceptions: &str) -> Proxy {
        Proxy::parse("http://proxy.example.com:3128", exceptions).unwrap().unwrap()
    }

    fn takes(proxy: &Proxy, url: &str) -> bool {
        proxy.takes(&url.parse().unwrap())
    }

    #[test]
    fn an_empty_url_is_no_proxy() {
        assert_eq!(Proxy::parse(" ", "x"), Ok(None));
    }

    #[test]
    fn https_passes_it_and_http_never_does() {
        assert!(takes(&proxy(""), "https://api.example.com/x"));
        assert!(!takes(&proxy(""), "http://api.example.com/x"));
    }

    #[test]
    fn exceptions_are_names_with_all_beneath_them_addresses_ranges_and_everything() {
        let some = proxy("example.com, .svc,*.Cluster.Local.,10.0.0.0/8,192.0.2.1,[2001:db8::1]");
        for past in [
            "https://example.com",
            "https://api.EXAMPLE.com",
            "https://api.example.com.",
            "https://vendor.shop.svc",
            "https://vendor.cluster.local:8443",
            "https://10.1.2.3",
            "https://192.0.2.1",
            "https://[2001:db8::1]",
        ] {
            assert!(!takes(&some, past), "{past}");
        }
        for through in
            ["https://anexample.com", "https://example.com.evil.net", "https://11.0.0.1", "https://[2001:db8::2]"]
        {
            assert!(takes(&some, through), "{through}");
        }
        assert!(!takes(&proxy("*"), "https://api.stripe.com"));
    }

    #[test]
    fn what_cannot_be_understood_is_refused_and_no_password_repeated() {
        for url in [
            "proxy",
            "https://proxy.example.com",
            "socks5://proxy.example.com",
            "http://user:hush@proxy.example.com",
            "http://proxy.example.com/path",
        ] {
            let problem = Proxy::parse(url, "").unwrap_err();
            assert!(matches!(problem, ProxyProblem::Url(_)) && !problem.to_string().contains("hush"), "{url}");
        }
        for exception in ["example.com:443", "http://example.com", "ex*mple.com", "10.0.0.0/33"] {
            let problem = Proxy::parse("http://proxy.example.com", exception).unwrap_err();
            assert_eq!(problem, ProxyProblem::Exception(exception.into()));
        }
    }
}
