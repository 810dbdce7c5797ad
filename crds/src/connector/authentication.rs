//! How a Connector authenticates: a union of which exactly one member is set. No secret value ever stands here, only
//! templates that name keys of the credentials.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How requests are authenticated: exactly one member. In every template, `{key}` is replaced by that key of the credentials.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.header), has(self.bearer), has(self.basic)].filter(set, set).size() == 1").message("set exactly one of header, bearer and basic under auth"))]
pub struct Authentication {
    /// A header of the vendor's own, for example `X-Shopify-Access-Token: {token}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderAuthentication>,
    /// `Authorization: Bearer …` (RFC 6750).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<BearerAuthentication>,
    /// `Authorization: Basic …` (RFC 7617).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<BasicAuthentication>,
}

/// Authentication by a header of the vendor's own.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HeaderAuthentication {
    /// Name of the header (RFC 9110 token). 1 to 128 characters.
    #[schemars(length(min = 1, max = 128), regex(pattern = "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"))]
    pub name: String,
    /// Template of the header's value, for example `{token}`. 1 to 1024 characters.
    #[schemars(length(min = 1, max = 1024))]
    pub value: String,
}

/// Authentication by a bearer token.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BearerAuthentication {
    /// Template of the token, for example `{token}`. 1 to 1024 characters.
    #[schemars(length(min = 1, max = 1024))]
    pub token: String,
}

/// Authentication by user name and password.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BasicAuthentication {
    /// Template of the user name, for example `{email}/token`. 1 to 1024 characters.
    #[schemars(length(min = 1, max = 1024))]
    pub username: String,
    /// Template of the password, for example `{apiToken}`. 1 to 1024 characters.
    #[schemars(length(min = 1, max = 1024))]
    pub password: String,
}
