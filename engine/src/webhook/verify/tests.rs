//! Vectors that others published, and what must not pass.

use std::{cell::Cell, collections::BTreeMap};

use super::*;

thread_local! {
    /// How many messages were hashed.
    pub static HASHED: Cell<usize> = const { Cell::new(0) };
}

/// A request over which tests vary.
struct Request {
    headers: BTreeMap<&'static str, String>,
    parameters: BTreeMap<&'static str, String>,
    id: Option<&'static str>,
    body: &'static str,
}

impl Request {
    fn of(body: &'static str, headers: &[(&'static str, &str)]) -> Self {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self { headers, parameters: BTreeMap::new(), id: None, body }
    }

    fn verified(&self, verification: &Verification, secrets: &[&str], now: i64) -> Result<(), NotVerified> {
        let header = |name: &str| self.headers.get(name).map(String::as_str);
        let parameter = |name: &str| self.parameters.get(name).cloned();
        let received = Received {
            method: "POST",
            path: "/shop/orders?a=b",
            origin: Some("https://hooks.example.com"),
            header: &header,
            parameter: &parameter,
            id: self.id,
            body: self.body.as_bytes(),
        };
        let of = |secret: &str| {
            let secret = secret.to_owned();
            move |key: &str| (key == "secret").then(|| Zeroizing::new(secret.clone()))
        };
        let secrets: Vec<_> = secrets.iter().map(|secret| of(secret)).collect();
        let secrets: Vec<Secret> = secrets.iter().map(|secret| secret as Secret).collect();
        verify(verification, &received, &secrets, Timestamp::from_second(now).unwrap())
    }
}

fn part(header: &str, prefix: &str, separator: Option<char>) -> HeaderPart {
    HeaderPart { header: header.into(), prefix: prefix.into(), separator }
}

fn template(text: &str) -> Template {
    Template::parse(text).unwrap()
}

fn plain(signature: HeaderPart, encoding: SignatureEncoding) -> WebhookHash {
    WebhookHash {
        algorithm: HashAlgorithm::Sha256,
        secret: template("{secret}"),
        secret_is_base64: false,
        message: template("{body}"),
        encoding,
        signature,
        timestamp: None,
    }
}

fn seconds(at: HeaderPart) -> SentAt {
    SentAt { at, format: TimestampFormat::EpochSeconds, tolerance_seconds: 300 }
}

fn in_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// From the documentation of the `X-Hub-Signature` family, "Validating webhook deliveries" of GitHub.
#[test]
fn a_signature_of_the_hub_family_is_verified() {
    let hash = plain(part("X-Hub-Signature-256", "sha256=", None), SignatureEncoding::Hex);
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let request = Request::of("Hello, World!", &[("x-hub-signature-256", signature)]);
    let verification = Verification::Hash(hash);
    let secret = "It's a Secret to Everybody";
    assert_eq!(request.verified(&verification, &[secret], 0), Ok(()));
    assert_eq!(request.verified(&verification, &["new", secret], 0), Ok(()), "the secret before still counts");
    assert_eq!(request.verified(&verification, &["another"], 0), Err(NotVerified::Forged));
    assert_eq!(request.verified(&verification, &[], 0), Err(NotVerified::NoSecret));
    let changed = Request { body: "Hello, World?", ..request };
    assert_eq!(changed.verified(&verification, &[secret], 0), Err(NotVerified::Forged));
}

/// From "Verifying requests from Slack".
#[test]
fn slacks_published_example_is_verified_within_its_time_and_not_after() {
    let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=\
                U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2F\
                T1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    let hash = WebhookHash {
        message: template("v0:{timestamp}:{body}"),
        timestamp: Some(seconds(part("X-Slack-Request-Timestamp", "", None))),
        ..plain(part("X-Slack-Signature", "v0=", None), SignatureEncoding::Hex)
    };
    let verification = Verification::Hash(hash);
    let headers = [("x-slack-signature", signature), ("x-slack-request-timestamp", "1531420618")];
    let verified = |headers: &[(&'static str, &str)], now| {
        Request::of(body, headers).verified(&verification, &["8f742231b10e8888abcd99yyyzzz85a5"], now)
    };
    assert_eq!(verified(&headers, 1_531_420_618), Ok(()));
    assert_eq!(verified(&headers, 1_531_420_618 + 300), Ok(()));
    assert_eq!(verified(&headers, 1_531_420_618 + 301), Err(NotVerified::Stale));
    assert_eq!(verified(&headers, 1_531_420_618 - 301), Err(NotVerified::Stale), "from the future");
    assert_eq!(verified(&headers[..1], 1_531_420_618), Err(NotVerified::Unsigned));
    let moved = [headers[0], ("x-slack-request-timestamp", "1531420700")];
    assert_eq!(verified(&moved, 1_531_420_700), Err(NotVerified::Forged), "the time is signed too");
}

/// By "Working with system webhooks" of Klaviyo, whose example shows the time and no body.
#[test]
fn a_time_that_is_a_date_of_http_is_signed_as_it_stands_and_kept_to() {
    let sent = "Thu, 04 Jan 2024 18:05:25 GMT";
    let hash = |format| WebhookHash {
        message: template("{body}{timestamp}"),
        timestamp: Some(SentAt { format, ..seconds(part("Klaviyo-Timestamp", "", None)) }),
        ..plain(part("Klaviyo-Signature", "", None), SignatureEncoding::Hex)
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(b"hush").unwrap();
    mac.update(b"{\"data\":[]}");
    mac.update(sent.as_bytes());
    let signature = in_hex(&mac.finalize().into_bytes());
    let headers = [("klaviyo-signature", signature.as_str()), ("klaviyo-timestamp", sent)];
    let verified = |format, headers: &[(&'static str, &str)], now| {
        Request::of("{\"data\":[]}", headers).verified(&Verification::Hash(hash(format)), &["hush"], now)
    };
    let now = 1_704_391_525;
    assert_eq!(verified(TimestampFormat::HttpDate, &headers, now + 300), Ok(()));
    assert_eq!(verified(TimestampFormat::HttpDate, &headers, now + 301), Err(NotVerified::Stale));
    assert_eq!(verified(TimestampFormat::Rfc3339, &headers, now), Err(NotVerified::Unsigned));
    let later = [headers[0], ("klaviyo-timestamp", "Thu, 04 Jan 2024 18:05:26 GMT")];
    assert_eq!(verified(TimestampFormat::HttpDate, &later, now), Err(NotVerified::Forged));
}

/// From the specification of Standard Webhooks.
#[test]
fn the_published_example_of_standard_webhooks_is_verified() {
    let hash = WebhookHash {
        secret_is_base64: true,
        message: template("{id}.{timestamp}.{body}"),
        timestamp: Some(seconds(part("webhook-timestamp", "", None))),
        ..plain(part("webhook-signature", "v1,", Some(' ')), SignatureEncoding::Base64)
    };
    let verification = Verification::Hash(hash);
    let signature =
        "v1,bm9wZQ== v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    let mut request = Request::of(
        r#"{"test": 2432232314}"#,
        &[("webhook-signature", signature), ("webhook-timestamp", "1614265330")],
    );
    request.id = Some("msg_p5jXN8AQM9LWM0D4loKWxJek");
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    assert_eq!(request.verified(&verification, &[secret], 1_614_265_330), Ok(()));
    assert_eq!(request.verified(&verification, &["no base64!"], 1_614_265_330), Err(NotVerified::NoSecret));
    request.id = None;
    assert_eq!(request.verified(&verification, &[secret], 1_614_265_330), Err(NotVerified::Unsigned));
}

#[test]
fn one_header_may_hold_the_time_and_several_signatures() {
    let hash = WebhookHash {
        message: template("{timestamp}.{body}"),
        timestamp: Some(seconds(part("Stripe-Signature", "t=", Some(',')))),
        ..plain(part("Stripe-Signature", "v1=", Some(',')), SignatureEncoding::Hex)
    };
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(b"whsec_test").unwrap();
    mac.update(b"1700000000.{}");
    let signature = in_hex(&mac.finalize().into_bytes());
    let verification = Verification::Hash(hash);
    for (header, outcome) in [
        (format!("t=1700000000,v1=00ff,v1={signature}"), Ok(())),
        (format!("t=1700000000, v1={signature}"), Ok(())),
        (format!("v1={signature}"), Err(NotVerified::Unsigned)),
        (format!("t=1700000000,v0={signature}"), Err(NotVerified::Unsigned)),
        ("t=1700000000,v1=zz".to_owned(), Err(NotVerified::Unsigned)),
        ("t=1700000000,v1=é".to_owned(), Err(NotVerified::Unsigned)),
    ] {
        let request = Request::of("{}", &[("stripe-signature", &header)]);
        assert_eq!(request.verified(&verification, &["whsec_test"], 1_700_000_000), outcome, "{header}");
    }
}

#[test]
fn a_body_is_hashed_once_for_each_secret_however_many_signatures_are_given() {
    let verification = Verification::Hash(plain(part("X-Signature", "", Some(',')), SignatureEncoding::Hex));
    let request = Request::of("body", &[("x-signature", &vec!["00ff"; 100].join(","))]);
    let before = HASHED.get();
    assert_eq!(request.verified(&verification, &["new", "old"], 0), Err(NotVerified::Forged));
    assert_eq!(HASHED.get() - before, 2);
}

#[test]
fn method_and_address_can_be_signed_as_the_vendor_knows_them() {
    let hash = WebhookHash {
        algorithm: HashAlgorithm::Sha1,
        message: template("{method}{url}{body}"),
        ..plain(part("X-Signature", "", None), SignatureEncoding::Base64)
    };
    let mut mac = <Hmac<Sha1> as KeyInit>::new_from_slice(b"k").unwrap();
    mac.update(b"POSThttps://hooks.example.com/shop/orders?a=bbody");
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    let request = Request::of("body", &[("x-signature", &signature)]);
    assert_eq!(request.verified(&Verification::Hash(hash), &["k"], 0), Ok(()));
}

#[test]
fn a_secret_text_is_compared_whole() {
    let verification = |at| Verification::Token(WebhookToken { at, value: template("Bearer {secret}") });
    let by_header = verification(TokenPlace::Header("Authorization".into()));
    for (given, outcome) in [
        ("Bearer t0ken", Ok(())),
        ("Bearer t0ke", Err(NotVerified::Forged)),
        ("Bearer t0ken ", Err(NotVerified::Forged)),
        ("", Err(NotVerified::Forged)),
    ] {
        let request = Request::of("", &[("authorization", given)]);
        assert_eq!(request.verified(&by_header, &["other", "t0ken"], 0), outcome, "{given}");
    }
    assert_eq!(Request::of("", &[]).verified(&by_header, &["t0ken"], 0), Err(NotVerified::Unsigned));
    let by_parameter = verification(TokenPlace::Parameter("secret".into()));
    let mut request = Request::of("", &[]);
    request.parameters.insert("secret", "Bearer t0ken".to_owned());
    assert_eq!(request.verified(&by_parameter, &["t0ken"], 0), Ok(()));
    assert_eq!(request.verified(&by_parameter, &[""], 0), Err(NotVerified::Forged), "an empty secret opens nothing");
}
