//! Where requests may go. Pure: URLs and addresses come in, a verdict comes out. It is asked twice on each request's way: by the guard for
//! the URL, and by the resolver for the addresses that the connection is then made to.

use std::net::IpAddr;

use crosstie_engine::plan::System;
use ipnet::IpNet;
use url::{Host, Url};

use crate::{
    address::{self, Class},
    failure::BuildError,
};

/// Whether a connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// TLS.
    Https,
    /// In the clear: only to addresses within the allowed ranges.
    Http,
}

/// Why a request may not go where it would. Names hosts, never addresses they resolve to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EgressRefusal {
    /// Neither http nor https.
    #[error("the URL's scheme `{scheme}` is neither https nor http")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// A URL with a user name or password in it.
    #[error("the URL of host `{host}` has a user name or password in it")]
    UserInfo {
        /// The host.
        host: String,
    },
    /// Not the base URL's host and not an allowed one.
    #[error("host `{host}` is neither the base URL's nor among the Connector's allowed hosts")]
    Host {
        /// The host.
        host: String,
    },
    /// Another scheme or port than the base URL's, or than the default ports of an allowed host.
    #[error(
        "host `{host}` may not be called by {scheme} on port {port}: only as the base URL does, or on the default port of an allowed host"
    )]
    Origin {
        /// The host.
        host: String,
        /// The scheme.
        scheme: String,
        /// The port.
        port: u16,
    },
    /// An address that is not public and within no allowed range.
    #[error("host `{host}` leads to a {class} address, which no allowed address range of the operator contains")]
    Address {
        /// The host.
        host: String,
        /// What the address is.
        class: &'static str,
    },
    /// A redirect away from where the request went.
    #[error(
        "it was redirected to host `{host}`, scheme or port of another: redirects are followed within the same origin only"
    )]
    Redirect {
        /// The host it would lead to.
        host: String,
    },
    /// In the clear over a public network.
    #[error("host `{host}` would be called without encryption: use https, or let the operator allow its address range")]
    Plaintext {
        /// The host.
        host: String,
    },
}

/// Where requests of one system may go.
#[derive(Clone, Debug)]
pub struct Rules {
    scheme: Scheme,
    host: String,
    port: u16,
    allowed_hosts: Vec<String>,
    allowed_ranges: Vec<IpNet>,
}

impl Rules {
    /// The rules of a system.
    pub fn new(system: &System) -> Result<Self, BuildError> {
        let connector = &system.connector;
        let base = &system.base_url;
        let bad = |problem| BuildError::BaseUrl { connector: connector.clone(), problem };
        if has_user_info(base) {
            return Err(bad("has a user name or password in it"));
        }
        let (scheme, host, port) = origin(base).ok_or_else(|| bad("is not an http or https URL with a host"))?;
        Self::to(system, scheme, host, port)
    }

    /// The rules of a mail server, which is called by its own name alone. No URL is admitted by them.
    pub fn of_mail(system: &System) -> Result<Self, BuildError> {
        let base = &system.base_url;
        let bad = |problem| BuildError::BaseUrl { connector: system.connector.clone(), problem };
        if has_user_info(base) {
            return Err(bad("has a user name or password in it"));
        }
        let scheme = match base.scheme() {
            "smtps" | "smtp" => Scheme::Https,
            _ => return Err(bad("is not an smtp or smtps URL")),
        };
        let host = base.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        if host.is_empty() {
            return Err(bad("names no host"));
        }
        Self::to(system, scheme, host, 0)
    }

    fn to(system: &System, scheme: Scheme, host: String, port: u16) -> Result<Self, BuildError> {
        let connector = &system.connector;
        let allowed_hosts = system.egress.allow_hosts.iter().map(|host| {
            allowed_host(host)
                .ok_or_else(|| BuildError::AllowedHost { connector: connector.clone(), host: host.clone() })
        });
        let allowed_ranges = system.egress.allow_cidrs.iter().map(|range| {
            range.trim().parse::<IpNet>().map_err(|source| BuildError::AllowedRange { range: range.clone(), source })
        });
        Ok(Self {
            scheme,
            host,
            port,
            allowed_hosts: allowed_hosts.collect::<Result<_, _>>()?,
            allowed_ranges: allowed_ranges.collect::<Result<_, _>>()?,
        })
    }

    /// Whether a request may be made to a URL; gives the URL without the dot that may end a host name. An address in the URL's place of a
    /// host is judged here, because no resolver will be asked for it.
    pub fn admit(&self, url: &Url) -> Result<Url, EgressRefusal> {
        let Some((scheme, host, port)) = origin(url) else {
            return Err(EgressRefusal::Scheme { scheme: url.scheme().to_owned() });
        };
        if has_user_info(url) {
            return Err(EgressRefusal::UserInfo { host });
        }
        let own = host == self.host;
        let allowed = self.allowed_hosts.contains(&host);
        if !own && !allowed {
            return Err(EgressRefusal::Host { host });
        }
        let as_base = own && scheme == self.scheme && port == self.port;
        let by_default = allowed && port == default_port(scheme);
        if !as_base && !by_default {
            return Err(EgressRefusal::Origin { host, scheme: url.scheme().to_owned(), port });
        }
        let mut admitted = url.clone();
        match url.host() {
            Some(Host::Ipv4(address)) => self.admit_address(scheme, &host, IpAddr::V4(address))?,
            Some(Host::Ipv6(address)) => self.admit_address(scheme, &host, IpAddr::V6(address))?,
            // Only a name with the dot that marks it as complete is spelled otherwise here.
            Some(Host::Domain(name)) => {
                if name != host && admitted.set_host(Some(&host)).is_err() {
                    return Err(EgressRefusal::Host { host });
                }
            }
            None => return Err(EgressRefusal::Host { host }),
        }
        Ok(admitted)
    }

    /// Whether a connection may be made to an address.
    pub fn admit_address(&self, scheme: Scheme, host: &str, address: IpAddr) -> Result<(), EgressRefusal> {
        for reached in address::stands_for(address) {
            let named = self.allowed_ranges.iter().any(|range| range.contains(&reached));
            let alone = self
                .allowed_ranges
                .iter()
                .any(|range| range.prefix_len() == range.max_prefix_len() && range.addr() == reached);
            let class = match address::class(reached) {
                Class::Metadata if !alone => Some("metadata service"),
                Class::Internal(word) if !named => Some(word),
                Class::Metadata | Class::Internal(_) | Class::Public => None,
            };
            if let Some(class) = class {
                return Err(EgressRefusal::Address { host: host.to_owned(), class });
            }
            if scheme == Scheme::Http && !named {
                return Err(EgressRefusal::Plaintext { host: host.to_owned() });
            }
        }
        Ok(())
    }

    /// The base URL's host, for messages.
    pub fn host(&self) -> &str {
        &self.host
    }
}

/// Scheme, host and port of a URL, with the host in one spelling.
fn origin(url: &Url) -> Option<(Scheme, String, u16)> {
    let scheme = match url.scheme() {
        "https" => Scheme::Https,
        "http" => Scheme::Http,
        _ => return None,
    };
    let host = match url.host()? {
        // Names compare without the dot that marks them as complete; the URL parser has lowered and decoded them already.
        Host::Domain(name) => name.strip_suffix('.').unwrap_or(name).to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    };
    (!host.is_empty()).then_some((scheme, host, url.port().unwrap_or_else(|| default_port(scheme))))
}

fn default_port(scheme: Scheme) -> u16 {
    match scheme {
        Scheme::Https => 443,
        Scheme::Http => 80,
    }
}

fn has_user_info(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// An allowed host in the spelling that URLs are compared in.
fn allowed_host(text: &str) -> Option<String> {
    let text = text.trim();
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let spelled = match bare.parse::<std::net::Ipv6Addr>() {
        Ok(address) => format!("[{address}]"),
        Err(_) if text.contains(['/', '?', '#', '@', '\\', ':', ' ']) => return None,
        Err(_) => text.to_owned(),
    };
    let url = Url::parse(&format!("https://{spelled}/")).ok()?;
    origin(&url).map(|(_, host, _)| host)
}

#[cfg(test)]
mod tests;
