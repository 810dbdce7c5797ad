//! Access tokens from a server that this project did not write: the OpenID Provider of github.com/zitadel/oidc (`tests/cluster/modules/oidc`), which
//! checks clients, assertions and refresh tokens by its own reading of the standards.

use std::{path::PathBuf, process::Stdio};

use anyhow::{Context as _, Result, ensure};
use crosstie_crds::condition::Reason;
use crosstie_tests::{
    cluster::Cluster,
    wait::{Seen, until},
};
use reqwest::redirect::Policy;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, ChildStdout, Command},
};

use crate::operator::World;

/// Where the server sends whoever consented, with a code. Nobody listens there.
const CALLBACK: &str = "http://localhost:9999/auth/callback";

/// The server, ended when this is dropped.
struct Server {
    url: String,
    /// What assertions are signed with, in PEM.
    key: String,
    http: reqwest::Client,
    _process: Child,
    /// Kept open: a closed pipe would end it with the next line.
    _said: BufReader<ChildStdout>,
}

impl Server {
    async fn start(name: &str) -> Result<Self> {
        let program = Cluster::find().await?.programs.join("oidc");
        ensure!(program.is_file(), "{} is not built: run this through make", program.display());
        let file: PathBuf = std::env::temp_dir().join(format!("crosstie-{name}-{}.pem", std::process::id()));
        let mut process = Command::new(program)
            .arg("--private-key")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let mut said = BufReader::new(process.stdout.take().context("it has no output")?);
        let mut line = String::new();
        said.read_line(&mut line).await?;
        let url = line.trim().strip_prefix("listening on ").context("it said no address")?.to_owned();
        let key = std::fs::read_to_string(&file)?;
        std::fs::remove_file(file)?;
        let http = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build()?;
        Ok(Self { url, key, http, _process: process, _said: said })
    }

    /// A user signs in and consents; gives the refresh token of the client `web`.
    async fn consent(&self) -> Result<String> {
        let callback = form(&[("redirect_uri", CALLBACK)])?;
        let ask = format!(
            "{}/auth?client_id=web&response_type=code&scope=openid%20offline_access&state=x&{callback}",
            self.url
        );
        let login = self.sent_to(self.http.get(ask)).await?;
        let id = parameter(&login, "authRequestID")?;
        let who = form(&[("username", "test-user2"), ("password", "verysecure"), ("id", &id)])?;
        let back = self.sent_to(self.post("/login/username", who)).await?;
        let code = parameter(&self.sent_to(self.http.get(back)).await?, "code")?;
        let exchange = form(&[("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", CALLBACK)])?;
        let answer = self.post("/oauth/token", exchange).basic_auth("web", Some("secret")).send().await?;
        let granted: Value = answer.error_for_status()?.json().await?;
        Ok(granted["refresh_token"].as_str().context("no refresh token")?.to_owned())
    }

    fn post(&self, path: &str, form: String) -> reqwest::RequestBuilder {
        let request = self.http.post(format!("{}{path}", self.url));
        request.header("content-type", "application/x-www-form-urlencoded").body(form)
    }

    /// Where a request is redirected to.
    async fn sent_to(&self, request: reqwest::RequestBuilder) -> Result<String> {
        let answer = request.send().await?;
        let to = answer.headers().get("location").with_context(|| format!("no redirect but {}", answer.status()))?;
        // It may be said relative to where it was asked.
        Ok(answer.url().join(to.to_str()?)?.into())
    }

    /// Whether the server knows whose an access token is.
    async fn accepts(&self, token: &str) -> Result<bool> {
        let answer = self.http.get(format!("{}/userinfo", self.url)).bearer_auth(token).send().await?;
        Ok(answer.status().is_success())
    }

    /// A Connector whose tokens the server grants.
    async fn connector(&self, world: &World, name: &str, stored: &Value, oauth2: Value) -> Result<()> {
        world.secrets.put_json(&world.secret(name), stored).await?;
        let mut oauth2 = oauth2;
        oauth2["tokenURL"] = json!("/oauth/token");
        let object = json!({
            "apiVersion": "crosstie.dev/v1alpha1", "kind": "Connector",
            "metadata": {"name": name, "namespace": world.namespace},
            "spec": {
                "preset": "REST", "baseURL": self.url,
                "credentials": {"awsSecretsManager": {"secretId": world.secret(name)}, "oauth2": oauth2},
            },
        });
        world.kubectl.apply(&object.to_string()).await.map(drop)
    }
}

/// A form, or the query of a URL.
fn form(pairs: &[(&str, &str)]) -> Result<String> {
    let url = reqwest::Url::parse_with_params("http://form/", pairs)?;
    Ok(url.query().unwrap_or_default().to_owned())
}

/// A parameter of a URL's query.
fn parameter(url: &str, name: &str) -> Result<String> {
    let url = reqwest::Url::parse(url)?;
    let found = url.query_pairs().find(|(key, _)| key == name);
    Ok(found.with_context(|| format!("{url} has no {name}"))?.1.into_owned())
}

/// Waits until workers are handed another token than these, and gives it.
async fn handed_out(world: &World, connector: &str, but: &[&str]) -> Result<String> {
    until(&format!("{connector} is handed a token"), async || {
        let document = world.document(connector).await?.unwrap_or_default();
        let token = document["current"]["values"]["token"].as_str().unwrap_or_default().to_owned();
        let new = !token.is_empty() && !but.contains(&token.as_str());
        Ok(if new { Seen::Yes(token) } else { Seen::NotYet(world.status(connector).await?.to_string()) })
    })
    .await
}

#[tokio::test]
async fn a_server_of_somebody_else_grants_tokens_to_clients_and_to_signed_assertions() -> Result<()> {
    let mut world = World::start("independent-clients").await?;
    let server = Server::start("clients").await?;
    world.run("info")?;
    let client = json!({"clientId": "sid1", "clientSecret": "verysecret"});
    for authentication in ["Basic", "Body"] {
        let oauth2 =
            json!({"grant": "ClientCredentials", "clientAuthentication": authentication, "scopes": ["openid"]});
        let name = authentication.to_lowercase();
        server.connector(&world, &name, &client, oauth2).await?;
        handed_out(&world, &name, &[]).await?;
        world.says(&name, Reason::Resolved).await?;
    }
    let asserted = |issuer: &str| {
        let assertion =
            json!({"algorithm": "RS256", "keyId": "key1", "issuer": issuer, "subject": issuer, "audience": server.url});
        json!({"grant": "JwtBearer", "scopes": ["openid"], "assertion": assertion})
    };
    let key = json!({"privateKey": server.key});
    server.connector(&world, "robot", &key, asserted("service")).await?;
    handed_out(&world, "robot", &[]).await?;
    // The server looks: whom it does not know it grants nothing, and a token of five minutes is said to end.
    let stranger = json!({"clientId": "sid1", "clientSecret": "guessed"});
    server.connector(&world, "guesser", &stranger, json!({"grant": "ClientCredentials"})).await?;
    server.connector(&world, "stranger", &key, asserted("somebody")).await?;
    for name in ["guesser", "stranger"] {
        let said = until(&format!("{name} is refused"), async || {
            let object = world.kubectl.get(&world.namespace, "connector", name).await?.unwrap_or_default();
            let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let ready = conditions.into_iter().find(|found| found["type"] == "Ready").unwrap_or_default();
            let refused = ready["reason"] == "TokenUnavailable" || ready["reason"] == "ReauthRequired";
            Ok(if refused { Seen::Yes(ready) } else { Seen::NotYet(ready.to_string()) })
        })
        .await?;
        ensure!(world.document(name).await?.is_none(), "{name} was handed something: {said}");
    }
    ensure!(world.status("robot").await?["expiresAt"].is_string(), "the server's lifetime was not read");
    world.kill().await?;
    Ok(std::fs::remove_file(&world.log)?)
}

#[tokio::test]
async fn refresh_tokens_of_a_server_of_somebody_else_rotate_and_each_is_used_once() -> Result<()> {
    let mut world = World::start("independent-refresh").await?;
    let server = Server::start("refresh").await?;
    world.run("info")?;
    let refresh = world.secret("crm-refresh");
    world.secrets.put_json(&refresh, &json!({"refreshToken": server.consent().await?})).await?;
    // Another number makes the operator get another token, with the refresh token that the one before left.
    let client = |number: u32| json!({"clientId": "web", "clientSecret": "secret", "number": number.to_string()});
    let oauth2 = json!({"grant": "RefreshToken", "refreshTokenSecretId": refresh});
    server.connector(&world, "crm", &client(1), oauth2).await?;
    let mut tokens = vec![handed_out(&world, "crm", &[]).await?];
    for number in 2..=4 {
        world.secrets.put_json(&world.secret("crm"), &client(number)).await?;
        let before: Vec<&str> = tokens.iter().map(String::as_str).collect();
        let next = handed_out(&world, "crm", &before).await?;
        ensure!(server.accepts(&next).await?, "token {number} is not accepted");
        // This server ends a token with the refresh token it came with.
        ensure!(!server.accepts(&tokens[tokens.len() - 1]).await?, "the token before {number} is still accepted");
        tokens.push(next);
    }
    world.says("crm", Reason::Resolved).await?;
    // One that the server does not know, as one that is used up: whoever stores it is told.
    world.secrets.put_json(&refresh, &json!({"refreshToken": "unknown"})).await?;
    let said = world.says("crm", Reason::ReauthRequired).await?;
    ensure!(said["message"].as_str().is_some_and(|message| message.contains(&refresh)), "{said}");
    world.secrets.put_json(&refresh, &json!({"refreshToken": server.consent().await?})).await?;
    let before: Vec<&str> = tokens.iter().map(String::as_str).collect();
    ensure!(server.accepts(&handed_out(&world, "crm", &before).await?).await?, "the token after that is not accepted");
    world.kill().await?;
    Ok(std::fs::remove_file(&world.log)?)
}
