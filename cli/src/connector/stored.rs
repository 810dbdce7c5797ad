//! Credentials as a person passes them, or as AWS Secrets Manager has them. What stands in them is never part of an error.

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use crosstie_crds::Connector;
use crosstie_engine::{
    credentials::CredentialVersion,
    grant::{Grant, GrantKind, REFRESH_TOKEN},
};

use super::{
    aws,
    token::{self, Refresh, Stored},
};

/// Where credentials are.
#[derive(Debug, clap::Args)]
pub(super) struct Given {
    /// File with the credentials as a JSON object of texts; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "credentials_env")]
    credentials: Option<PathBuf>,
    /// Environment variable with the credentials as a JSON object of texts
    #[arg(long, value_name = "VARIABLE")]
    credentials_env: Option<String>,
    /// Use the refresh token that access tokens are got with. Servers may replace it: what replaces it is written to this new file, for you to store
    #[arg(long, value_name = "FILE")]
    use_refresh_token: Option<PathBuf>,
}

impl Given {
    /// The credentials, and where they came from.
    pub(super) async fn read(&self, connector: &Connector) -> Result<(BTreeMap<String, String>, String)> {
        if let Some(path) = &self.credentials {
            return Ok((texts(&read(path)?).context("the credentials")?, path.display().to_string()));
        }
        if let Some(variable) = &self.credentials_env {
            let text =
                std::env::var(variable).with_context(|| format!("the environment has no readable {variable}"))?;
            return Ok((texts(&text).context("the credentials")?, format!("the variable {variable}")));
        }
        let source = &connector.spec.credentials;
        let Some(secret) = &source.aws_secrets_manager else {
            bail!(
                "the credentials are in a Kubernetes Secret: pass them with --credentials FILE or --credentials-env VARIABLE"
            );
        };
        from_aws(&secret.secret_id, secret.region.as_deref()).await
    }

    /// What tokens are got with, of these credentials. A refresh token stands beside the client's where they were passed here, and else in a secret of
    /// its own.
    pub(super) async fn for_grant(
        &self,
        connector: &Connector,
        grant: &Grant,
        mut values: BTreeMap<String, String>,
    ) -> Result<Stored> {
        let beside = values.remove(REFRESH_TOKEN);
        let refresh = match grant.kind {
            GrantKind::ClientCredentials | GrantKind::JwtBearer => None,
            GrantKind::RefreshToken => {
                let source = &connector.spec.credentials;
                let own = source.oauth2.as_ref().and_then(|oauth2| oauth2.refresh_token_secret_id.as_deref());
                let Some(to) = &self.use_refresh_token else { return Err(token::not_used(own)) };
                let passed = self.credentials.is_some() || self.credentials_env.is_some();
                let secret = source.aws_secrets_manager.as_ref().zip(own).filter(|_| !passed);
                let values = match secret {
                    Some((secret, own)) => from_aws(own, secret.region.as_deref()).await?.0,
                    None => beside.map(|token| (REFRESH_TOKEN.to_owned(), token)).into_iter().collect(),
                };
                Some(Refresh::new(values, to)?)
            }
        };
        Ok(Stored { client: CredentialVersion { version_id: "check".into(), values }, refresh })
    }
}

async fn from_aws(id: &str, region: Option<&str>) -> Result<(BTreeMap<String, String>, String)> {
    let text = aws::secret(id, region).await?;
    let origin = format!("{id} in AWS Secrets Manager");
    Ok((texts(&text).with_context(|| origin.clone())?, origin))
}

fn read(path: &Path) -> Result<String> {
    if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// A JSON object of texts.
fn texts(text: &str) -> Result<BTreeMap<String, String>> {
    serde_json::from_str(text).ok().context("are no JSON object of texts, such as {\"token\": \"…\"}")
}
