//! The access token that a check goes out with, where what is stored is what tokens are got with. One request to the token URL, and nothing is kept:
//! a refresh token is used only when the person says so, and what replaces it is written where they say.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use crosstie_connect::{
    Surroundings,
    grants::{self, GrantFailure, Granted, Remains, TokenSource},
};
use crosstie_engine::{
    credentials::CredentialVersion,
    grant::{ACCESS_TOKEN, Grant, GrantKind, REFRESH_TOKEN},
    plan::System,
};

/// What tokens are got with.
pub(super) struct Stored {
    /// The client's credentials.
    pub(super) client: CredentialVersion,
    /// The refresh token, if there is one and it may be used.
    pub(super) refresh: Option<Refresh>,
}

/// A refresh token that may be used.
pub(super) struct Refresh {
    version: CredentialVersion,
    /// Where the one goes that replaces it.
    successor: Successor,
}

/// A new file that only the person can read. It is there before the refresh token is used, so that nothing is lost for want of a place.
struct Successor {
    file: File,
    path: PathBuf,
}

/// A token, and what is said of how it was got.
pub(super) struct Token {
    /// What requests are made with.
    pub(super) values: BTreeMap<String, String>,
    /// In words.
    pub(super) said: String,
}

impl Refresh {
    /// Takes a refresh token for use. `to` is a new file for the one that replaces it.
    pub(super) fn new(values: BTreeMap<String, String>, to: &Path) -> Result<Self> {
        if !values.contains_key(REFRESH_TOKEN) {
            bail!("the credentials have no {REFRESH_TOKEN}: add it to the JSON object");
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(to).with_context(|| format!("cannot make the new file {}", to.display()))?;
        let successor = Successor { file, path: to.to_owned() };
        Ok(Self { version: CredentialVersion { version_id: "check".to_owned(), values }, successor })
    }
}

impl Successor {
    fn keep(mut self, version: &CredentialVersion) -> Result<String> {
        let text = serde_json::to_string(&version.values)?;
        self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_all())?;
        Ok(format!(
            "the refresh token was replaced: store {} as the secret with the refresh token now, the old one is used up",
            self.path.display()
        ))
    }

    fn drop_it(self) -> Result<()> {
        Ok(fs::remove_file(&self.path)?)
    }
}

/// What a person is told who has not said that the refresh token may be used.
pub(super) fn not_used(secret_id: Option<&str>) -> anyhow::Error {
    anyhow::anyhow!(
        "tokens are got with a refresh token here, and many servers replace it with each use, which would leave the operator without: check with \
         an access token, {{\"{ACCESS_TOKEN}\": \"…\"}} in the credentials, or pass --use-refresh-token FILE and store what is written to FILE as {}",
        secret_id.unwrap_or("the secret with the refresh token")
    )
}

/// Asks for a token, once. The inner error is what the server said of it.
pub(super) async fn get(
    system: &System,
    grant: &Grant,
    stored: Stored,
    surroundings: &Surroundings,
) -> Result<Result<Token, GrantFailure>> {
    let Stored { client, refresh } = stored;
    let (refresh, successor) = refresh.map_or((None, None), |refresh| (Some(refresh.version), Some(refresh.successor)));
    let asked = grants::request(grant, &client, refresh.as_ref());
    let outcome = match asked {
        Ok(request) => {
            let begun = Instant::now();
            let granted = TokenSource::new(system, surroundings)?.fetch(&request, &grants::nonce()).await;
            granted.map(|granted| (granted, begun.elapsed()))
        }
        Err(unasked) => {
            successor.map(Successor::drop_it).transpose()?;
            return Err(unasked.into());
        }
    };
    match outcome {
        Ok((granted, took)) => {
            let mut said = said(grant, &granted, took);
            let new = refresh.as_ref().and_then(|old| grants::replaced("check", &granted, old));
            match (successor, new) {
                (Some(successor), Some(new)) => said = format!("{said}; {}", successor.keep(&new)?),
                (Some(successor), None) => successor.drop_it()?,
                (None, _) => {}
            }
            Ok(Ok(Token { values: grants::handed_out("check", &granted, &client).values.clone(), said }))
        }
        Err(failure) => {
            successor.map(Successor::drop_it).transpose()?;
            Ok(Err(failure))
        }
    }
}

fn said(grant: &Grant, granted: &Granted, took: Duration) -> String {
    let by = match grant.kind {
        GrantKind::ClientCredentials => "client credentials",
        GrantKind::RefreshToken => "a refresh token",
        GrantKind::JwtBearer => "a signed assertion",
    };
    let host = grant.token_url.host_str().unwrap_or_default();
    let lifetime = granted.lifetime.map(|lifetime| format!(", valid for {} s", lifetime.as_secs())).unwrap_or_default();
    format!("got from {host} by {by} ({} ms{lifetime})", took.as_millis())
}

/// What is to be known of a refresh token that a token was asked for with.
pub(super) fn of_the_refresh_token(remains: Remains) -> Option<&'static str> {
    match remains {
        Remains::Intact => None,
        Remains::PerhapsUsedUp => Some("a refresh token that rotates may be used up: the operator may need a new one"),
        Remains::Invalid => Some("authorise the client again and store the new refresh token"),
    }
}
