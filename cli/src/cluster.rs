//! An Integration in the cluster, and what belongs to it, with the person's own rights.

use anyhow::{Context as _, Result};
use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Client, Resource};

/// Which Integration is meant.
#[derive(Debug, clap::Args)]
pub(crate) struct Of {
    /// Name of the Integration
    pub(crate) name: String,
    /// Its namespace; the current context's when left out
    #[arg(short, long)]
    pub(crate) namespace: Option<String>,
}

/// How something is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// For people
    Table,
    /// For programs
    Json,
}

impl Of {
    /// Objects of a kind in its namespace.
    pub(crate) async fn objects<K>(&self) -> Result<Api<K>>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType: Default>,
    {
        let client = Client::try_default().await.context("cannot reach a cluster: is KUBECONFIG set?")?;
        Ok(match &self.namespace {
            Some(namespace) => Api::namespaced(client, namespace),
            None => Api::default_namespaced(client),
        })
    }
}
