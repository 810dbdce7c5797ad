//! Alerts by mail. The conversation is lettre's; whom it may be held with is the egress guard's: the server's name is resolved once, every address
//! is checked, and the connection is made to exactly those. Login and mail go through TLS, unless the plan says that they need not.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, SystemTime},
};

use crosstie_engine::{
    alert::Message,
    plan::{Authentication, System},
    template::Template,
};
use lettre::{
    address::Envelope,
    message::{Mailbox, header::ContentType},
    transport::smtp::{
        Error as SmtpError,
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters, TlsParametersBuilder},
        extension::ClientId,
    },
};
use tokio::time::timeout;

use crate::{
    credentials::{Attempt, CredentialStore, Version},
    egress::{Rules, Scheme},
    failure::{BuildError, CallFailure, FailureKind},
    guard,
    resolve::Names,
    surroundings::{Surroundings, Timeouts},
    tls,
};

/// Port of mail servers that are asked for TLS.
const SUBMISSION: u16 = 587;
/// Port of mail servers with TLS from the beginning.
const SUBMISSIONS: u16 = 465;
/// Times a login is tried, at most: there are two versions of credentials.
const TRIES: usize = 2;
/// What servers answer to a login that they refuse, or miss.
const LOGIN_REFUSED: [u16; 4] = [530, 534, 535, 538];

/// Sends mails through one server.
pub struct Mailer {
    connector: String,
    rules: Rules,
    host: String,
    port: u16,
    way: Tls,
    authentication: Authentication,
    credentials: CredentialStore,
    names: Arc<dyn Names>,
    timeouts: Timeouts,
    from: String,
    to: Vec<String>,
}

/// How a conversation is encrypted.
enum Tls {
    /// From the beginning.
    Wrapped(TlsParameters),
    /// After asking for it, or not at all.
    Asked(TlsParameters),
    /// It is not.
    None,
}

impl std::fmt::Debug for Mailer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Mailer").field("connector", &self.connector).finish_non_exhaustive()
    }
}

impl Mailer {
    /// Whoever sends mails through a system, from an address to others.
    pub fn new(
        system: &System,
        credentials: CredentialStore,
        surroundings: &Surroundings,
        (from, to): (&str, &[String]),
        encrypted: bool,
    ) -> Result<Self, BuildError> {
        let rules = Rules::of_mail(system)?;
        let host = rules.host().to_owned();
        let wrapped = system.base_url.scheme() == "smtps";
        let parameters = || {
            parameters(&host, surroundings)
                .map_err(|source| BuildError::Client { connector: system.connector.clone(), source: Box::new(source) })
        };
        let way = match (encrypted, wrapped) {
            (false, _) => Tls::None,
            (true, true) => Tls::Wrapped(parameters()?),
            (true, false) => Tls::Asked(parameters()?),
        };
        Ok(Self {
            connector: system.connector.clone(),
            rules,
            port: system.base_url.port().unwrap_or(if wrapped { SUBMISSIONS } else { SUBMISSION }),
            host,
            way,
            authentication: system.authentication.clone(),
            credentials,
            names: Arc::clone(&surroundings.names),
            timeouts: surroundings.timeouts,
            from: from.to_owned(),
            to: to.to_vec(),
        })
    }

    /// Sends a message to all of the addresses; accepted is it by the server, for all of them or for none.
    pub async fn send(&self, message: &Message) -> Result<(), CallFailure> {
        let (envelope, mail) = self.mail(message)?;
        let addresses = self.addresses().await?;
        let mut refused: Vec<Attempt> = Vec::new();
        loop {
            let Some(attempt) = self.credentials.pick(&refused) else {
                return Err(self.failure(FailureKind::CredentialsRejected, "there are no credentials left to try"));
            };
            let conversation = self.converse(&addresses, &attempt.version, &envelope, &mail);
            let outcome = timeout(self.timeouts.whole, conversation)
                .await
                .unwrap_or_else(|_| Err(self.failure(FailureKind::TimedOut, "the conversation took too long")));
            match outcome {
                Err(failure) if failure.kind == FailureKind::CredentialsRejected => {
                    self.credentials.refused(&attempt);
                    refused.push(attempt);
                    if refused.len() >= TRIES || self.credentials.pick(&refused).is_none() {
                        return Err(failure);
                    }
                }
                outcome => {
                    if outcome.is_ok() {
                        self.credentials.answered(&attempt, true);
                    }
                    return outcome;
                }
            }
        }
    }

    /// The mail, and whom it goes to.
    fn mail(&self, message: &Message) -> Result<(Envelope, Vec<u8>), CallFailure> {
        let mailbox = |address: &String| {
            address.parse::<Mailbox>().map_err(|error| {
                self.failure(FailureKind::Refused, "an address of the alert is none: correct from and to")
                    .because(error)
            })
        };
        let at = SystemTime::UNIX_EPOCH + Duration::try_from(message.at.as_duration()).unwrap_or_default();
        let domain = self.from.rsplit('@').next().unwrap_or(&self.host);
        let mut builder = lettre::Message::builder()
            .from(mailbox(&self.from)?)
            .subject(message.title.clone())
            .date(at)
            .message_id(Some(format!("<{}@{domain}>", message.id)))
            .user_agent("crosstie".to_owned())
            .header(ContentType::TEXT_PLAIN);
        for address in &self.to {
            builder = builder.to(mailbox(address)?);
        }
        let text = format!("{}\n\n{}\n", message.title, message.text());
        let mail = builder.body(text).map_err(|error| {
            self.failure(FailureKind::Refused, "no mail can be made of the alert: correct from and to").because(error)
        })?;
        Ok((mail.envelope().clone(), mail.formatted()))
    }

    /// The server's addresses, all of them allowed.
    async fn addresses(&self) -> Result<Vec<SocketAddr>, CallFailure> {
        let found: Vec<IpAddr> = match self.host.parse() {
            Ok(address) => vec![address],
            Err(_) => {
                let resolved = timeout(self.timeouts.connect, self.names.resolve(self.host.clone())).await;
                let resolved =
                    resolved.map_err(|_| self.failure(FailureKind::TimedOut, "its name was not resolved in time"))?;
                resolved
                    .map_err(|error| self.failure(FailureKind::Unreachable, "its name has no address").because(error))?
            }
        };
        let scheme = match self.way {
            Tls::Wrapped(_) | Tls::Asked(_) => Scheme::Https,
            Tls::None => Scheme::Http,
        };
        for address in &found {
            let admitted = self.rules.admit_address(scheme, &self.host, *address);
            admitted.map_err(|refusal| guard::refused("mail", refusal))?;
        }
        if found.is_empty() {
            return Err(self.failure(FailureKind::Unreachable, "its name has no address"));
        }
        Ok(found.into_iter().map(|address| SocketAddr::new(address, self.port)).collect())
    }

    /// Connects, encrypts, logs in and sends.
    async fn converse(
        &self,
        addresses: &[SocketAddr],
        version: &Version,
        envelope: &Envelope,
        mail: &[u8],
    ) -> Result<(), CallFailure> {
        let login = self.login(version)?;
        let hello = ClientId::default();
        let wrapped = match &self.way {
            Tls::Wrapped(parameters) => Some(parameters.clone()),
            Tls::Asked(_) | Tls::None => None,
        };
        let connecting =
            AsyncSmtpConnection::connect_tokio1(addresses, Some(self.timeouts.connect), &hello, wrapped, None);
        let mut connection = connecting.await.map_err(|error| self.step("connecting", error))?;
        if let Tls::Asked(parameters) = &self.way {
            let encrypting = connection.starttls(parameters.clone(), &hello).await;
            encrypting.map_err(|error| self.step("encrypting the connection (STARTTLS)", error))?;
        }
        if let Some(login) = login {
            let logging_in = connection.auth(&[Mechanism::Plain, Mechanism::Login], &login).await;
            logging_in.map_err(|error| self.step("logging in", error))?;
        }
        let sending = connection.send(envelope, mail).await;
        sending.map_err(|error| self.step("sending", error))?;
        // It was accepted; how the conversation ends is of no matter.
        let _ended = connection.quit().await;
        Ok(())
    }

    fn login(&self, version: &Version) -> Result<Option<Credentials>, CallFailure> {
        let Authentication::Basic { username, password } = &self.authentication else { return Ok(None) };
        let fill = |template: &Template| {
            template.fill(|name| version.value(name)).map_err(|error| {
                let detail = format!("version {} of its credentials cannot be used: {error}", version.id);
                self.failure(FailureKind::CredentialsRejected, &detail)
            })
        };
        Ok(Some(Credentials::new(fill(username)?, fill(password)?)))
    }

    /// A step of the conversation that failed. What the server says beside its code stays with it: it may repeat addresses.
    fn step(&self, step: &str, error: SmtpError) -> CallFailure {
        let status = error.status().map(u16::from);
        let (kind, what) = match status {
            Some(code) if LOGIN_REFUSED.contains(&code) => {
                (FailureKind::CredentialsRejected, format!("{step} was refused ({code})"))
            }
            Some(code) if code >= 500 => (FailureKind::Refused, format!("{step} was refused ({code})")),
            Some(code) => (FailureKind::ServerError, format!("{step} was put off ({code})")),
            None if error.is_timeout() => (FailureKind::TimedOut, format!("{step} took too long")),
            None if error.is_client() => {
                (FailureKind::Refused, format!("{step} failed: the server does not offer what is needed"))
            }
            None => (FailureKind::Unreachable, format!("{step} failed")),
        };
        let failure = self.failure(kind, &what).because(error);
        match status {
            Some(code) => failure.answered(code, None),
            None => failure,
        }
    }

    fn failure(&self, kind: FailureKind, what: &str) -> CallFailure {
        CallFailure::new(kind, format!("mail server `{}` of Connector `{}`: {what}", self.host, self.connector))
    }
}

/// What certificates are verified by.
fn parameters(host: &str, surroundings: &Surroundings) -> Result<TlsParameters, SmtpError> {
    let mut builder = TlsParametersBuilder::new(host.to_owned()).certificate_store(CertificateStore::None);
    for certificate in tls::usable(&surroundings.authorities) {
        builder = builder.add_root_certificate(Certificate::from_der(certificate)?);
    }
    builder.build_rustls()
}
