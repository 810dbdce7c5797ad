//! Name resolution under the egress rules. A host is resolved once for a connection, every address is checked, and the connection is made to
//! exactly those: there is no second look-up in which a name could lead elsewhere.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
};

use reqwest::dns;

use crate::egress::{EgressRefusal, Rules, Scheme};

/// A look-up of a name under way.
pub type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

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
    fn admit(&self, host: &str, addresses: &[IpAddr]) -> Result<(), EgressRefusal> {
        // One address out of bounds refuses them all: a name that mixes them is set up to be tried again until it hits.
        addresses.iter().try_for_each(|address| self.rules.admit_address(self.scheme, host, *address))
    }
}

impl dns::Resolve for GuardedNames {
    fn resolve(&self, name: dns::Name) -> dns::Resolving {
        let host = name.as_str().to_owned();
        let resolving = self.names.resolve(host.clone());
        let this = Self { rules: Arc::clone(&self.rules), scheme: self.scheme, names: Arc::clone(&self.names) };
        Box::pin(async move {
            let addresses = resolving.await?;
            this.admit(&host, &addresses)?;
            let sockets: dns::Addrs = Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(sockets)
        })
    }
}
