//! What a page holds: its records, and what comes next. Pure.

use bytes::Bytes;
use crosstie_engine::{
    plan::{Pagination, Stream},
    window::Position,
};
use http::HeaderMap;
use serde_json::Value;
use url::Url;

use crate::{
    egress::Rules,
    failure::{CallFailure, FailureKind},
    guard, link, response,
};

/// A page that came, with where it came from.
pub struct Arrived<'a> {
    pub stream: &'a Stream,
    /// The page's position as it was asked for.
    pub position: &'a Position,
    /// The URL that answered; relative links start from it.
    pub url: &'a Url,
    pub headers: &'a HeaderMap,
    pub body: &'a Bytes,
}

impl Arrived<'_> {
    /// Its records and what comes next.
    pub fn open(&self, rules: &Rules) -> Result<(Vec<Value>, Option<Position>), CallFailure> {
        // 204, and servers that answer so without saying it.
        let mut document = if self.body.is_empty() { None } else { Some(self.document()?) };
        let pointed = |pointer: &str| {
            document.as_ref().and_then(|document| document.pointer(pointer)).unwrap_or(&Value::Null).clone()
        };
        let next = match &self.stream.pagination {
            Pagination::None | Pagination::Offset { .. } => None,
            Pagination::LinkHeader => {
                link::next(self.headers).map(|target| self.next_url(rules, &target)).transpose()?
            }
            Pagination::NextUrl { pointer } => match pointed(pointer) {
                Value::String(target) if !target.is_empty() => Some(self.next_url(rules, &target)?),
                Value::Null | Value::Bool(false) | Value::String(_) => None,
                Value::Bool(true) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                    return Err(self.malformed(&format!("what is at `{pointer}` is no URL of a next page")));
                }
            },
            Pagination::Cursor { pointer, .. } => match pointed(pointer) {
                Value::Null | Value::Bool(false) => None,
                Value::String(text) if text.is_empty() => None,
                value => Some(Position::Cursor(
                    response::key_text(&value)
                        .ok_or_else(|| self.malformed(&format!("what is at `{pointer}` is no cursor")))?,
                )),
            },
        };
        let records = document.as_mut().map_or(Ok(Vec::new()), |document| self.records(document))?;
        let next = match &self.stream.pagination {
            Pagination::Offset { .. } => self.next_offset(records.len()),
            Pagination::None | Pagination::LinkHeader | Pagination::Cursor { .. } | Pagination::NextUrl { .. } => next,
        };
        self.without_circles(records, next)
    }

    fn document(&self) -> Result<Value, CallFailure> {
        serde_json::from_slice(self.body)
            .map_err(|error| self.malformed("it is no JSON").because(response::without_content(&error)))
    }

    fn records(&self, document: &mut Value) -> Result<Vec<Value>, CallFailure> {
        match document.pointer_mut(&self.stream.records).map(Value::take) {
            Some(Value::Array(records)) => Ok(records),
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) | None => {
                Err(self.malformed(&format!("there is no list of records at `{}`", self.stream.records)))
            }
        }
    }

    fn next_url(&self, rules: &Rules, target: &str) -> Result<Position, CallFailure> {
        let url = self.url.join(target).map_err(|error| self.malformed("its next page has no URL").because(error))?;
        rules.admit(&url).map_err(|refusal| guard::refused(&self.stream.name, refusal))?;
        Ok(Position::Url(url.into()))
    }

    /// A page may hold fewer records than were asked for, because vendors cap that, so a short page is not the end. The end is a page with
    /// no more than the one record that pages have in common.
    fn next_offset(&self, records: usize) -> Option<Position> {
        let offset = match self.position {
            Position::Offset(offset) => *offset,
            Position::First | Position::Url(_) | Position::Cursor(_) => 0,
        };
        (records > 1).then(|| Position::Offset(offset.saturating_add(u64::try_from(records).unwrap_or(u64::MAX))))
    }

    /// A page that is its own next page would be read for ever. Without records it is the end, as some vendors mark it.
    fn without_circles(
        &self,
        records: Vec<Value>,
        next: Option<Position>,
    ) -> Result<(Vec<Value>, Option<Position>), CallFailure> {
        let circle = match &next {
            Some(Position::Url(url)) => *url == self.url.as_str(),
            Some(cursor @ Position::Cursor(_)) => cursor == self.position,
            Some(Position::First | Position::Offset(_)) | None => false,
        };
        match (circle, records.is_empty()) {
            (true, true) => Ok((records, None)),
            (true, false) => Err(self.malformed("it names itself as the next page")),
            (false, _) => Ok((records, next)),
        }
    }

    fn malformed(&self, problem: &str) -> CallFailure {
        let detail = format!("a page of `{}` cannot be read: {problem}", self.stream.name);
        CallFailure::new(FailureKind::Malformed, detail)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crosstie_engine::plan::{Allowance, Authentication, Egress, System};
    use http::header;
    use serde_json::json;

    use super::*;

    fn rules() -> Rules {
        let system = System {
            connector: "shop".into(),
            base_url: Url::parse("https://api.example.com").unwrap(),
            api_version: None,
            authentication: Authentication::Bearer { token: "{token}".to_owned().try_into().unwrap() },
            egress: Egress { allow_hosts: vec!["files.example.com".into()], allow_cidrs: Vec::new() },
            allowance: Allowance { requests: 1, per_seconds: 1, concurrency: 1 },
            served_version_header: None,
            deprecated_reason_header: None,
            request_id_header: None,
            credential_rejection_statuses: Vec::new(),
        };
        Rules::new(&system).unwrap()
    }

    type Opened = Result<(Vec<Value>, Option<Position>), (FailureKind, String)>;

    fn opened(pagination: &Pagination, position: &Position, link: &str, body: &str) -> Opened {
        let stream = Stream {
            name: "orders".into(),
            path: "/orders".into(),
            query: BTreeMap::new(),
            records: "/data".into(),
            key: "/id".into(),
            version: Some("/updated_at".into()),
            deleted: None,
            one: None,
            cursor: None,
            pagination: pagination.clone(),
        };
        let url = Url::parse("https://api.example.com/orders?page=1").unwrap();
        let headers = HeaderMap::from_iter([(header::LINK, link.parse().unwrap())]);
        let body = Bytes::from(body.to_owned());
        let arrived = Arrived { stream: &stream, position, url: &url, headers: &headers, body: &body };
        arrived.open(&rules()).map_err(|failure| (failure.kind, failure.detail))
    }

    fn next(pagination: &Pagination, position: &Position, link: &str, body: &Value) -> Option<Position> {
        opened(pagination, position, link, &body.to_string()).unwrap().1
    }

    fn kind(pagination: &Pagination, link: &str, body: &str) -> FailureKind {
        opened(pagination, &Position::First, link, body).unwrap_err().0
    }

    fn next_url() -> Pagination {
        Pagination::NextUrl { pointer: "/links/next".into() }
    }

    fn cursor() -> Pagination {
        Pagination::Cursor { pointer: "/after".into(), param: "after".into() }
    }

    fn offset() -> Pagination {
        Pagination::Offset { param: "offset".into(), limit_param: "limit".into(), limit: 100 }
    }

    #[test]
    fn the_next_page_is_found_for_each_kind_of_pagination() {
        let data = json!([{"id": 1}, {"id": 2}]);
        let link = r#"</orders?page=2>; rel="next""#;
        let second = Some(Position::Url("https://api.example.com/orders?page=2".into()));
        assert_eq!(next(&Pagination::None, &Position::First, link, &json!({"data": data})), None);
        assert_eq!(next(&Pagination::LinkHeader, &Position::First, link, &json!({"data": data})), second);
        let body = json!({"data": data, "links": {"next": "?page=2"}});
        assert_eq!(next(&next_url(), &Position::First, "", &body), second);
        assert_eq!(
            next(&cursor(), &Position::First, "", &json!({"data": data, "after": 12})),
            Some(Position::Cursor("12".into()))
        );
        assert_eq!(next(&offset(), &Position::Offset(99), "", &json!({"data": data})), Some(Position::Offset(101)));
    }

    #[test]
    fn whatever_vendors_write_for_no_next_page_is_the_end() {
        for nothing in [json!(null), json!(""), json!(false)] {
            let body = json!({"data": [{}], "links": {"next": nothing}, "after": nothing});
            assert_eq!(next(&next_url(), &Position::First, "", &body), None);
            assert_eq!(next(&cursor(), &Position::First, "", &body), None);
        }
        assert_eq!(next(&cursor(), &Position::First, "", &json!({"data": []})), None);
        assert_eq!(next(&Pagination::LinkHeader, &Position::First, "", &json!({"data": [1]})), None);
    }

    #[test]
    fn a_short_page_by_position_is_not_the_end_but_one_with_nothing_new_is() {
        let page = |records: usize| json!({"data": vec![json!({}); records]});
        assert_eq!(
            next(&offset(), &Position::First, "", &page(30)),
            Some(Position::Offset(30)),
            "the vendor caps pages at 30"
        );
        assert_eq!(next(&offset(), &Position::Offset(29), "", &page(1)), None);
        assert_eq!(next(&offset(), &Position::First, "", &page(0)), None);
        assert_eq!(next(&offset(), &Position::Offset(u64::MAX), "", &page(2)), Some(Position::Offset(u64::MAX)));
    }

    #[test]
    fn an_empty_answer_has_no_records_and_may_have_a_next_page() {
        let (records, next) = opened(&Pagination::LinkHeader, &Position::First, "<?page=2>; rel=next", "").unwrap();
        assert!(records.is_empty() && next.is_some());
    }

    #[test]
    fn a_next_page_elsewhere_is_refused() {
        for target in [
            "https://evil.example/orders",
            "http://api.example.com/orders",
            "https://api.example.com:8443/orders",
            "//evil.example/orders",
            "https://api.example.com@evil.example/",
            "https://user@api.example.com/",
            "https://api.example.com.evil.example/",
            "http://169.254.169.254/latest",
            "file:///etc/passwd",
            "gopher://api.example.com/",
            "http://files.example.com:8080/",
        ] {
            assert_eq!(
                kind(&Pagination::LinkHeader, &format!("<{target}>; rel=next"), r#"{"data":[]}"#),
                FailureKind::EgressRefused,
                "{target}"
            );
            let body = json!({"data": [], "links": {"next": target}}).to_string();
            assert_eq!(kind(&next_url(), "", &body), FailureKind::EgressRefused, "{target}");
        }
        let allowed = next(
            &Pagination::LinkHeader,
            &Position::First,
            "<https://files.example.com/p>; rel=next",
            &json!({"data": []}),
        );
        assert_eq!(allowed, Some(Position::Url("https://files.example.com/p".into())));
    }

    #[test]
    fn a_page_that_names_itself_as_the_next_is_refused_or_without_records_the_end() {
        let itself = "<https://api.example.com/orders?page=1>; rel=next";
        assert_eq!(kind(&Pagination::LinkHeader, itself, r#"{"data":[1]}"#), FailureKind::Malformed);
        assert_eq!(next(&Pagination::LinkHeader, &Position::First, itself, &json!({"data": []})), None);
        let position = Position::Cursor("c".into());
        assert!(opened(&cursor(), &position, "", r#"{"data":[1],"after":"c"}"#).is_err());
        assert_eq!(next(&cursor(), &position, "", &json!({"data": [], "after": "c"})), None);
    }

    #[test]
    fn an_answer_of_another_shape_is_malformed_and_its_content_is_not_repeated() {
        for body in
            ["<html>jane</html>", "{", r#"{"data":{"jane":1}}"#, r#"{"orders":["jane"]}"#, r#""jane""#, "[1] jane"]
        {
            let (kind, detail) = opened(&Pagination::None, &Position::First, "", body).unwrap_err();
            assert_eq!(kind, FailureKind::Malformed, "{body}");
            assert!(!detail.contains("jane"), "{detail}");
        }
        assert_eq!(kind(&cursor(), "", r#"{"data":[],"after":{"x":1}}"#), FailureKind::Malformed);
        assert_eq!(kind(&next_url(), "", r#"{"data":[],"links":{"next":7}}"#), FailureKind::Malformed);
    }

    #[test]
    fn where_json_breaks_is_told_without_what_stands_there() {
        let error = serde_json::from_str::<Value>(r#"{"jane": jane}"#).unwrap_err();
        let told = response::without_content(&error);
        assert!(told.contains("line 1") && !told.contains("jane"), "{told}");
    }
}
