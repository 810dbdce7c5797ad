//! NetSuite's token-based authentication, with a signer that shares nothing with the simulator.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crosstie_vendors::wire::{OAuth1Credentials, TokenSet};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::fixture::Fixture;

async fn account() -> Fixture {
    let fixture = Fixture::netsuite().await;
    let credentials = OAuth1Credentials {
        realm: "123456_SB1".to_owned(),
        consumer_key: "ck".to_owned(),
        consumer_secret: "cs&1".to_owned(),
        token: "tk".to_owned(),
        token_secret: "ts".to_owned(),
    };
    let set = TokenSet { valid: Vec::new(), oauth1: vec![credentials] };
    fixture.control.set_credentials(&set).await.unwrap();
    fixture
}

struct Signed<'a> {
    secret: &'a str,
    realm: &'a str,
    nonce: &'a str,
    timestamp: i64,
}

impl Default for Signed<'_> {
    fn default() -> Self {
        Self { secret: "ts", realm: "123456_SB1", nonce: "n1", timestamp: jiff::Timestamp::now().as_second() }
    }
}

impl Signed<'_> {
    /// `GET …/customer?limit=5&q=email IS "a b"`: the parameters in their sorted order, encoded twice.
    async fn status(&self, fixture: &Fixture) -> u16 {
        let Self { secret, realm, nonce, timestamp } = self;
        let address = fixture.simulator.address();
        let url = format!(
            "http%3A%2F%2F{}%2Fnetsuite%2Fmain%2Fservices%2Frest%2Frecord%2Fv1%2Fcustomer",
            address.to_string().replace(':', "%3A")
        );
        let text = format!(
            "GET&{url}&limit%3D5%26oauth_consumer_key%3Dck%26oauth_nonce%3D{nonce}\
             %26oauth_signature_method%3DHMAC-SHA256%26oauth_timestamp%3D{timestamp}%26oauth_token%3Dtk\
             %26oauth_version%3D1.0%26q%3Demail%2520IS%2520%2522a%2520b%2522"
        );
        let mut mac = Hmac::<Sha256>::new_from_slice(format!("cs%261&{secret}").as_bytes()).unwrap();
        mac.update(text.as_bytes());
        let signature = STANDARD.encode(mac.finalize().into_bytes());
        let signature = signature.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        let header = format!(
            "OAuth realm=\"{realm}\", oauth_consumer_key=\"ck\", oauth_token=\"tk\", oauth_nonce=\"{nonce}\", \
             oauth_timestamp=\"{timestamp}\", oauth_signature_method=\"HMAC-SHA256\", oauth_version=\"1.0\", \
             oauth_signature=\"{signature}\""
        );
        let path = "/services/rest/record/v1/customer?limit=5&q=email%20IS%20%22a%20b%22";
        let request = fixture.http.get(format!("{}{path}", fixture.control.base_url()));
        request.header("Authorization", header).send().await.unwrap().status().as_u16()
    }
}

#[tokio::test]
async fn a_signed_request_is_accepted() {
    assert_eq!(Signed::default().status(&account().await).await, 200);
}

#[tokio::test]
async fn a_wrong_secret_or_realm_is_refused() {
    let fixture = account().await;
    assert_eq!(Signed { secret: "other", ..Signed::default() }.status(&fixture).await, 401);
    assert_eq!(Signed { realm: "999", ..Signed::default() }.status(&fixture).await, 401);
}

#[tokio::test]
async fn a_nonce_works_once() {
    let fixture = account().await;
    assert_eq!(Signed::default().status(&fixture).await, 200);
    assert_eq!(Signed::default().status(&fixture).await, 401);
    assert_eq!(Signed { nonce: "n2", ..Signed::default() }.status(&fixture).await, 200);
}

#[tokio::test]
async fn an_old_signature_is_refused() {
    let fixture = account().await;
    let timestamp = jiff::Timestamp::now().as_second() - 301;
    assert_eq!(Signed { timestamp, ..Signed::default() }.status(&fixture).await, 401);
}

#[tokio::test]
async fn a_revoked_token_signs_nothing() {
    let fixture = account().await;
    fixture.control.revoke_token("tk").await.unwrap();
    assert_eq!(Signed::default().status(&fixture).await, 401);
}
