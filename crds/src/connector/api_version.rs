//! What is known of the version of a vendor's API: which one is asked for, which one answers, and how long it lives.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// The version of the vendor's API, and what is known of its end.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct ApiVersionStatus {
    /// The version that requests ask for: the spec's, or the preset's default. Absent when neither names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested: Option<String>,
    /// The version that the vendor last said it served. Absent while no worker has called, and for vendors that do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served: Option<String>,
    /// Word of the version's end. Absent while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Lifecycle>,
}

/// Word of a version's end, from the vendor's answers or from its calendar.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Lifecycle {
    /// When the version is deprecated. Absent when the vendor names no time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated_at: Option<Time>,
    /// When the version is not served any more. Absent when the vendor names no time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sunset_at: Option<Time>,
    /// Who says so.
    pub source: LifecycleSource,
    /// An address where the vendor says more, without its query. At most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub link: Option<String>,
}

/// Where word of a version's end comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum LifecycleSource {
    /// The `Sunset` header of an answer (RFC 8594).
    SunsetHeader,
    /// The `Deprecation` header of an answer (RFC 9745), or a link with that relation.
    DeprecationHeader,
    /// A header of the vendor's own that its preset names.
    VendorHeader,
    /// A `Warning: 299` header of an answer that speaks of deprecation.
    WarningHeader,
    /// The calendar of versions in the preset: the vendor itself has not said anything yet.
    VersionCalendar,
}

/// Reads the status of an operator of before, in which the version was a text.
pub(super) fn also_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ApiVersionStatus>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Form {
        Text(String),
        Status(ApiVersionStatus),
    }
    let form = Option::<Form>::deserialize(deserializer)?;
    Ok(form.map(|form| match form {
        Form::Text(requested) => ApiVersionStatus { requested: Some(requested), ..ApiVersionStatus::default() },
        Form::Status(status) => status,
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::ConnectorStatus;

    #[test]
    fn the_status_of_an_operator_of_before_is_read() {
        let read = |status| serde_json::from_value::<ConnectorStatus>(status).unwrap().api_version;
        let text = read(json!({"apiVersion": "2026-07"})).unwrap();
        assert_eq!((text.requested.as_deref(), text.lifecycle), (Some("2026-07"), None));
        assert_eq!(
            read(json!({"apiVersion": {"requested": "2026-07"}})).unwrap().requested.as_deref(),
            Some("2026-07")
        );
        assert_eq!(read(json!({})), None);
    }
}
