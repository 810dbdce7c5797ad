//! The innermost service: sends a call and reads the answer, within bounds of time and size. What came of it is told by how far it got;
//! what that means is decided in `classify`.
//!
//! - A proxy is used by https alone, and only where whoever sets the client up names one; the HTTP library reads no variables by itself. Because
//!   the proxy resolves names once more, a host's addresses are looked up and checked here before each request that passes it.
//! - No redirect is followed and nothing is sent twice, except where the HTTP library knows that a pooled connection was closed before
//!   it took anything of the request.
//! - Connections by https and by http have a pool each, because a name may be allowed for one and not for the other.

use std::{
    error::Error,
    mem,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use crosstie_engine::proxy::Proxy;
use reqwest::{Client, ClientBuilder, Request, Response, redirect, retry};
use tokio::time::timeout;
use tower::Service;
use url::{Host, Url};

use crate::{
    call::{Answer, BodyFailure, Break, Call, Cause, Pending, Reading},
    egress::{EgressRefusal, Rules, Scheme},
    identity::Identity,
    resolve::{GuardedNames, ProxyNames},
    surroundings::Surroundings,
    tls::Tls,
};

/// Largest body of a 2xx answer, in bytes after decompression.
pub const LARGEST_BODY: usize = 32 * 1024 * 1024;

/// How much of any other answer's body is read, in bytes after decompression; the rest is left.
pub const LARGEST_ERROR_BODY: usize = 1024 * 1024;

/// How much of an answer's headers is read by HTTP/2, in bytes, as much as the library reads by HTTP/1.1.
const LARGEST_HEAD: u32 = 400 * 1024;

/// How long a connection is kept without use. Shorter than vendors' servers and load balancers keep theirs, so that a request is seldom sent
/// into a connection that is being closed at the other end: that request's outcome would be unknown.
const LONGEST_IDLE: Duration = Duration::from_secs(20);

/// How often a connection by HTTP/2 is tested while requests wait on it, and how long the answer may take. A request that is given up does not
/// end such a connection, so without a test one that died silently would fail every request until TCP gives it up.
const TEST_OF_LIFE: Duration = Duration::from_secs(10);

const USER_AGENT: &str = concat!("crosstie/", env!("CARGO_PKG_VERSION"));

/// Client certificates that connections are kept for: as many as there are versions of credentials.
const MOST_IDENTITIES: usize = 2;

/// Sends calls. It is cloned for each.
#[derive(Clone)]
pub struct Transport(Arc<Own>);

struct Own {
    rules: Arc<Rules>,
    surroundings: Surroundings,
    /// Connections without a client certificate.
    plain: Pools,
    /// Connections by client certificate, which no two may share.
    identified: Mutex<Vec<(Arc<Identity>, Pools)>>,
}

/// Connections by https, by https through the proxy, and by http.
#[derive(Clone)]
struct Pools {
    https: Client,
    proxied: Option<Client>,
    http: Client,
    knows_authorities: bool,
}

impl Pools {
    /// Sets the pools up. Nothing is connected yet.
    fn new(
        rules: &Arc<Rules>,
        surroundings: &Surroundings,
        identity: Option<&Identity>,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let tls = Tls::new(&surroundings.authorities, identity)?;
        let begin = || {
            Client::builder()
                .tls_backend_preconfigured(tls.configuration.clone())
                .no_proxy()
                .redirect(redirect::Policy::none())
                .retry(retry::never())
                .referer(false)
                .user_agent(USER_AGENT)
                .connect_timeout(surroundings.timeouts.connect)
                .timeout(surroundings.timeouts.whole)
                .pool_idle_timeout(LONGEST_IDLE)
                .http2_max_header_list_size(LARGEST_HEAD)
                .http2_keep_alive_interval(TEST_OF_LIFE)
                .http2_keep_alive_timeout(TEST_OF_LIFE)
        };
        let direct = |scheme| {
            let names = GuardedNames { rules: Arc::clone(rules), scheme, names: Arc::clone(&surroundings.names) };
            begin().https_only(scheme == Scheme::Https).dns_resolver(Arc::new(names)).build()
        };
        let proxied = surroundings.proxy.as_ref().map(|proxy| through(begin(), proxy, surroundings));
        Ok(Self {
            https: direct(Scheme::Https)?,
            proxied: proxied.transpose()?,
            http: direct(Scheme::Http)?,
            knows_authorities: tls.knows_authorities,
        })
    }
}

/// Connections through a proxy.
fn through(client: ClientBuilder, proxy: &Proxy, surroundings: &Surroundings) -> reqwest::Result<Client> {
    let host = proxy.url().host_str().unwrap_or_default().to_owned();
    let names = ProxyNames { host, names: Arc::clone(&surroundings.names) };
    let proxy = reqwest::Proxy::https(proxy.url().clone())?;
    client.proxy(proxy).https_only(true).dns_resolver(Arc::new(names)).build()
}

impl Transport {
    /// Sets connections up. Nothing is connected yet.
    pub fn new(rules: &Arc<Rules>, surroundings: &Surroundings) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let plain = Pools::new(rules, surroundings, None)?;
        let (rules, surroundings) = (Arc::clone(rules), surroundings.clone());
        Ok(Self(Arc::new(Own { rules, surroundings, plain, identified: Mutex::default() })))
    }

    /// The connections that are made with a client certificate.
    fn identified(&self, identity: &Arc<Identity>) -> Result<Pools, Break> {
        let mut identified = self.0.identified.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, pools)) = identified.iter().find(|(known, _)| Arc::ptr_eq(known, identity)) {
            return Ok(pools.clone());
        }
        let pools = Pools::new(&self.0.rules, &self.0.surroundings, Some(identity));
        let pools = pools.map_err(|error| Break { cause: Cause::NoRequest, source: Some(error) })?;
        if identified.len() >= MOST_IDENTITIES {
            identified.remove(0);
        }
        identified.push((Arc::clone(identity), pools.clone()));
        Ok(pools)
    }

    async fn send(self, call: Call) -> Result<Answer, Break> {
        let identified = call.identity.as_ref().map(|identity| self.identified(identity)).transpose()?;
        let pools = identified.as_ref().unwrap_or(&self.0.plain);
        let proxy = self.0.surroundings.proxy.as_ref().filter(|proxy| proxy.takes(&call.url));
        let proxied = pools.proxied.as_ref().filter(|_| proxy.is_some());
        if proxied.is_some() {
            self.admit_beyond_proxy(&call.url).await?;
        }
        let direct = if call.url.scheme() == "https" { &pools.https } else { &pools.http };
        let client = proxied.unwrap_or(direct);
        let mut request = Request::new(call.method, call.url);
        *request.headers_mut() = call.headers;
        *request.body_mut() = call.body.map(Into::into);
        // Within it, a connection that is not made in time is told by itself.
        let head = timeout(self.0.surroundings.timeouts.first_byte, client.execute(request)).await;
        let head = head.map_err(|elapsed| Break { cause: Cause::NoAnswerInTime, source: Some(Box::new(elapsed)) })?;
        let mut response = head.map_err(|error| pools.broken(error, proxied))?;
        let (status, headers) = (response.status(), mem::take(response.headers_mut()));
        let body = match call.reading {
            Reading::Head => Ok(Bytes::new()),
            Reading::Whole if status.is_success() => read(response, LARGEST_BODY, Beyond::Fails).await,
            Reading::Whole => read(response, LARGEST_ERROR_BODY, Beyond::IsLeft).await,
        };
        Ok(Answer { status, headers, body, code: None, asked_as: None })
    }

    /// Whether a host's addresses are such as requests may go to. An address in the place of a host was judged by the guard already.
    async fn admit_beyond_proxy(&self, url: &Url) -> Result<(), Break> {
        let Some(Host::Domain(host)) = url.host() else { return Ok(()) };
        let Own { rules, surroundings, .. } = &*self.0;
        let names =
            GuardedNames { rules: Arc::clone(rules), scheme: Scheme::Https, names: Arc::clone(&surroundings.names) };
        let looked_up = timeout(surroundings.timeouts.connect, names.addresses(host.to_owned())).await;
        let looked_up =
            looked_up.map_err(|elapsed| Break { cause: Cause::NoConnectionInTime, source: Some(Box::new(elapsed)) })?;
        looked_up.map(drop).map_err(|error| {
            let refusal = causes(&*error).find_map(|cause| cause.downcast_ref::<EgressRefusal>()).cloned();
            Break { cause: refusal.map_or(Cause::NoName, Cause::Egress), source: Some(error) }
        })
    }
}

impl Pools {
    fn broken(&self, error: reqwest::Error, proxied: Option<&Client>) -> Break {
        // The URL may hold keys of records and cursors.
        let error = error.without_url();
        let refusal = causes(&error).find_map(|cause| cause.downcast_ref::<EgressRefusal>()).cloned();
        let tls = causes(&error).find_map(|cause| cause.downcast_ref::<rustls::Error>());
        let (of_tls, not_known) = (tls.is_some(), tls.is_some_and(is_about_our_certificate));
        let too_large = causes(&error)
            .any(|cause| cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse_too_large));
        let unreadable = causes(&error).any(|cause| cause.downcast_ref::<h2::Error>().is_some_and(is_about_a_head));
        let cause = match refusal {
            Some(refusal) => Cause::Egress(refusal),
            None if error.is_builder() => Cause::NoRequest,
            None if error.is_connect() && error.is_timeout() => Cause::NoConnectionInTime,
            // The name that was looked up is the proxy's.
            None if error.is_connect() && error.is_dns() && proxied.is_some() => Cause::NoPassage,
            None if error.is_connect() && error.is_dns() => Cause::NoName,
            None if not_known => Cause::NotKnown,
            None if error.is_connect() && of_tls && !self.knows_authorities => Cause::NoAuthority,
            None if error.is_connect() && of_tls => Cause::NoTrust,
            None if error.is_connect() && proxied.is_some() => Cause::NoPassage,
            None if error.is_connect() => Cause::NoConnection,
            None if error.is_timeout() => Cause::NoAnswerInTime,
            None if too_large => Cause::HeadTooLarge,
            None if unreadable => Cause::HeadUnreadable,
            None => Cause::ConnectionLost,
        };
        Break { cause, source: Some(Box::new(error)) }
    }
}

/// What to do with what lies beyond the limit of a body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beyond {
    Fails,
    IsLeft,
}

async fn read(mut response: Response, limit: usize, beyond: Beyond) -> Result<Bytes, BodyFailure> {
    let told = response.content_length().and_then(|length| usize::try_from(length).ok());
    if told.is_some_and(|length| length > limit) && beyond == Beyond::Fails {
        return Err(BodyFailure::TooLarge { limit });
    }
    // Most answers come in one piece, which is taken as it is.
    let mut body = Collected::Nothing;
    loop {
        let chunk = response.chunk().await.map_err(|error| {
            let error = error.without_url();
            if error.is_timeout() { BodyFailure::TimedOut(error) } else { BodyFailure::Lost(error) }
        })?;
        let Some(chunk) = chunk else { return Ok(body.whole()) };
        let room = limit - body.len();
        if chunk.len() > room && beyond == Beyond::Fails {
            return Err(BodyFailure::TooLarge { limit });
        }
        let is_more = chunk.len() > room;
        body.add(chunk.slice(..chunk.len().min(room)));
        if is_more {
            return Ok(body.whole());
        }
    }
}

/// What came of a body.
enum Collected {
    Nothing,
    One(Bytes),
    Several(BytesMut),
}

impl Collected {
    fn len(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::One(piece) => piece.len(),
            Self::Several(pieces) => pieces.len(),
        }
    }

    fn add(&mut self, piece: Bytes) {
        match self {
            Self::Nothing => *self = Self::One(piece),
            Self::One(first) => {
                let mut pieces = BytesMut::with_capacity(2 * (first.len() + piece.len()));
                pieces.extend_from_slice(first);
                pieces.extend_from_slice(&piece);
                *self = Self::Several(pieces);
            }
            Self::Several(pieces) => pieces.extend_from_slice(&piece),
        }
    }

    fn whole(self) -> Bytes {
        match self {
            Self::Nothing => Bytes::new(),
            Self::One(piece) => piece,
            Self::Several(pieces) => pieces.freeze(),
        }
    }
}

/// Whether a vendor says that it does not accept our certificate, or that it wants one. In TLS 1.3 it says so only after the request may have
/// left, and has not looked at it.
fn is_about_our_certificate(error: &rustls::Error) -> bool {
    use rustls::AlertDescription as Alert;
    let rustls::Error::AlertReceived(alert) = error else { return false };
    let of_certificates = [
        Alert::CertificateRequired,
        Alert::BadCertificate,
        Alert::UnsupportedCertificate,
        Alert::CertificateRevoked,
        Alert::CertificateExpired,
        Alert::CertificateUnknown,
        Alert::UnknownCA,
        // What an authority of the same name signed, and it did not.
        Alert::DecryptError,
        Alert::AccessDenied,
    ];
    of_certificates.contains(alert)
}

/// Whether the library gave an answer up by HTTP/2 for what it was sent, and no vendor did. Before there are headers of it, that is about them.
fn is_about_a_head(error: &h2::Error) -> bool {
    use h2::Reason;
    let reasons = [Reason::PROTOCOL_ERROR, Reason::COMPRESSION_ERROR, Reason::ENHANCE_YOUR_CALM];
    error.is_library() && error.reason().is_some_and(|reason| reasons.contains(&reason))
}

/// An error and everything beneath it. What an I/O error wraps is no source of it by the standard library's reading, but its stand-in.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let cause = next?;
        let wrapped = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = wrapped.map(|inner| inner as &(dyn Error + 'static)).or_else(|| cause.source());
        Some(cause)
    })
}

impl Service<Call> for Transport {
    type Response = Answer;
    type Error = Break;
    type Future = Pending<Answer, Break>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Break>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        Box::pin(self.clone().send(call))
    }
}
