//! Name resolution under the egress rules. A host is resolved once for a connection, every address is checked, and the connection is made to
//! exactly those: there is no second look-up in which a name could lead elsewhere. Only a proxy looks a name up once more, after it was checked here.

use std::{
    error::Error,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
};

use reqwest::dns;

use crate::egress::{EgressRefusal, Rules, Scheme};

/// A look-up of a name under way.
pub type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// A look-up whose addresses are checked; an [`EgressRefusal`] where requests may not go to all of them.
pub type Admitting = Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, Box<dyn Error + Send + Sync>>> + Send>>;

/// Whoever knows the addresses of names.
pub trait Names: Send + Sync {
    /// Looks the addresses of a host up.
    ///
    /// # Errors
    /// When the name has none, or nobody can be asked.
    fn resolve(&self, host: String) -> Resolving;
}

/// The machine's own resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemNames;

impl Names for SystemNames {
    fn resolve(&self, host: String) -> Resolving {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect()) })
    }
}

/// Resolves names and refuses those that lead where requests may not go.
pub struct GuardedNames {
    pub rules: Arc<Rules>,
    /// Of the connections that are made with it; a name may be allowed for one and not for the other.
    pub scheme: Scheme,
    pub names: Arc<dyn Names>,
}

impl GuardedNames {
    /// The addresses of a host, if requests may go to all of them.
    pub fn addresses(&self, host: String) -> Admitting {
        let resolving = self.names.resolve(host.clone());
        let this = Self { rules: Arc::clone(&self.rules), scheme: self.scheme, names: Arc::clone(&self.names) };
        Box::pin(async move {
            let addresses = resolving.await?;
            this.admit(&host, &addresses)?;
            if addresses.is_empty() { Err(io::Error::from(io::ErrorKind::NotFound).into()) } else { Ok(addresses) }
        })
    }

    fn admit(&self, host: &str, addresses: &[IpAddr]) -> Result<(), EgressRefusal> {
        // One address out of bounds refuses them all: a name that mixes them is set up to be tried again until it hits.
        addresses.iter().try_for_each(|address| self.rules.admit_address(self.scheme, host, *address))
    }
}

impl dns::Resolve for GuardedNames {
    fn resolve(&self, name: dns::Name) -> dns::Resolving {
        let addresses = self.addresses(name.as_str().to_owned());
        Box::pin(async move { Ok(sockets(addresses.await?)) })
    }
}

/// Resolves the name of the proxy, which the operator's configuration chose and no egress rule is about, and no other.
pub struct ProxyNames {
    pub host: String,
    pub names: Arc<dyn Names>,
}

impl dns::Resolve for ProxyNames {
    fn resolve(&self, name: dns::Name) -> dns::Resolving {
        if !name.as_str().eq_ignore_ascii_case(&self.host) {
            return Box::pin(std::future::ready(Err("it is not the proxy's name".into())));
        }
        let addresses = self.names.resolve(self.host.clone());
        Box::pin(async move { Ok(sockets(addresses.await?)) })
    }
}

fn sockets(addresses: Vec<IpAddr>) -> dns::Addrs {
    Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0)))
}
