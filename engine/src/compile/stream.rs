//! Streams of a Connector, checked and resolved.

use std::collections::BTreeMap;

use crosstie_crds::connector::{
    ParentStream, ReadOne as SpecReadOne, Stream as SpecStream, StreamFormat, StreamMethod,
};
use serde_json::Value;

use super::{
    Findings,
    connector::{Names, Resolved},
    cursor, pagination,
};
use crate::{
    plan::{Format, KEY, Pagination, Parent, ReadMethod, ReadOne, Stream, page_names},
    template::{self, Template},
};

/// Longest body of a request, in bytes of JSON.
const LONGEST_BODY: usize = 16_384;

/// Where a stream's problems are, and where they go.
pub(super) struct Site<'a> {
    pub(super) stream: &'a str,
    pub(super) findings: &'a mut Findings,
}

impl Site<'_> {
    pub(super) fn at(&self, field: &str) -> String {
        format!("spec.streams[{}].{field}", self.stream)
    }

    pub(super) fn invalid(&mut self, field: &str, message: impl Into<String>) {
        self.findings.invalid(self.at(field), message);
    }

    fn needed(&mut self, field: &str, value: Option<&String>, say: &str) -> Option<String> {
        if value.is_none() {
            self.invalid(field, say);
        }
        value.cloned()
    }
}

impl Resolved {
    /// The stream of a name, resolved. `None` together with findings, or when there is none of that name.
    pub(crate) fn stream(&self, name: &str, findings: &mut Findings) -> Option<Stream> {
        let spec = self.streams.iter().find(|stream| stream.name == name)?;
        let mut site = Site { stream: name, findings };
        let path = site.needed("path", spec.path.as_ref(), "say under which path the list is found");
        let key = site.needed("key", spec.key.as_ref(), "say which field identifies a record, for example /id");
        if spec.version.is_none() && spec.one.is_none() {
            let message = "say which field orders a record's states, for example /updated_at; or, where records have none, set `one`, so \
                           that each can be fetched anew before it is delivered";
            site.invalid("version", message);
        }
        let request = self.request(&mut site, spec, &path?);
        let one = spec.one.as_ref().map(|one| self.one(&site.at("one"), one, site.findings));
        if spec.version.is_none() && one.is_none() {
            return None;
        }
        let mut stream = Stream {
            key: key?,
            records: spec.records.clone().unwrap_or_default(),
            version: spec.version.clone(),
            deleted: spec.deleted.clone(),
            one: match one {
                None => None,
                Some(one) => Some(one?),
            },
            ..request?
        };
        stream.cursor = match &spec.cursor {
            None => None,
            Some(spec) => Some(cursor::resolve(&mut site, spec, &stream)?),
        };
        stream.pagination = match &spec.pagination {
            None => Pagination::None,
            Some(spec) => pagination::resolve(&mut site, spec, &stream)?,
        };
        stream.parent = match &spec.parent {
            None => None,
            Some(parent) => Some(self.parent(&mut site, spec, parent)?),
        };
        if stream.parent.is_some() && stream.parent_names().is_empty() {
            site.invalid("parent", "say in path, query or body which parent is meant, for example with {parent.key}");
            return None;
        }
        stream.format = format(&mut site, spec)?;
        let cap = spec.pagination.as_ref().and_then(|pagination| pagination.depth_cap.as_ref());
        stream.depth_cap = cap.map(|cap| cap.records);
        has_what_a_cap_needs(&mut site, &stream)?;
        every_name_is_filled(&mut site, &stream)?;
        Some(stream)
    }

    /// What a stream's request is made of.
    fn request(&self, site: &mut Site, spec: &SpecStream, path: &str) -> Option<Stream> {
        let method = match spec.method {
            None | Some(StreamMethod::Get) => ReadMethod::Get,
            Some(StreamMethod::Post) => ReadMethod::Post,
        };
        if spec.body.is_some() && method == ReadMethod::Get {
            site.invalid("body", "set method to POST: a GET has no body");
        }
        let path = self.page_text(site, "path", path);
        let query = spec
            .query
            .iter()
            .map(|(name, value)| Some((name.clone(), self.page_text(site, &format!("query.{name}"), &value.0)?)));
        // Every entry is looked at, so that every problem is found.
        let query = query.collect::<Vec<_>>().into_iter().collect::<Option<BTreeMap<_, _>>>();
        let headers = self.bound_texts(&site.at("headers"), &spec.headers, site.findings);
        let body = match &spec.body {
            None => None,
            Some(body) => Some(self.page_body(site, body)?),
        };
        let name = site.stream.to_owned();
        Some(Stream { name, method, path: path?, query: query?, headers: headers?, body, ..Stream::default() })
    }

    fn parent_of(&self, name: &str) -> Option<&ParentStream> {
        self.streams.iter().find(|stream| stream.name == name)?.parent.as_ref()
    }

    /// The parent of a stream, resolved.
    fn parent(&self, site: &mut Site, spec: &SpecStream, parent: &ParentStream) -> Option<Box<Parent>> {
        let problem = match self.streams.iter().find(|stream| stream.name == parent.stream) {
            None => format!("this Connector has no stream `{}`", parent.stream),
            Some(found) if found.parent.is_some() => {
                format!("the stream `{}` has a parent itself: only one is followed", parent.stream)
            }
            Some(_) if spec.cursor.is_some() => {
                format!("leave cursor out: the one of `{}` decides what is read", parent.stream)
            }
            Some(_) if spec.pagination.as_ref().is_some_and(|pagination| pagination.delta_link.is_some()) => {
                "use nextURL in place of deltaLink: where changes begin is kept for the parent only".to_owned()
            }
            // Problems of streams as such are found with them.
            Some(_) => {
                let stream = self.stream(&parent.stream, &mut Findings::new())?;
                let key = parent.key.clone().unwrap_or_else(|| stream.key.clone());
                return Some(Box::new(Parent { stream, key }));
            }
        };
        site.invalid("parent", problem);
        None
    }

    /// A text of a stream's request with the version filled in. What stands between braces and looks like a name has to be one.
    fn page_text(&self, site: &mut Site, field: &str, text: &str) -> Option<String> {
        let has_parent = self.parent_of(site.stream).is_some();
        for name in template::names(text) {
            let of_parent = has_parent && name.starts_with(page_names::PARENT);
            if name != "apiVersion" && !of_parent && !page_names::ALL.contains(&name) {
                let message = format!(
                    "`{{{name}}}` is not known here; known are {{apiVersion}}, {{{}}}",
                    page_names::ALL.join("}, {")
                );
                site.invalid(field, message);
                return None;
            }
        }
        self.with_version(site, text)
    }

    /// A body with the version filled in. Braces around anything but a known name are text: other languages mean something by them.
    fn page_body(&self, site: &mut Site, body: &Value) -> Option<Value> {
        let size = body.to_string().len();
        if size > LONGEST_BODY {
            site.invalid("body", format!("it has {size} bytes of JSON, at most {LONGEST_BODY} are taken"));
            return None;
        }
        Some(match body {
            Value::String(text) => Value::String(self.with_version(site, text)?),
            Value::Array(items) => {
                Value::Array(items.iter().map(|item| self.page_body(site, item)).collect::<Option<_>>()?)
            }
            Value::Object(members) => {
                let members = members.iter().map(|(name, member)| Some((name.clone(), self.page_body(site, member)?)));
                Value::Object(members.collect::<Option<_>>()?)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => body.clone(),
        })
    }

    fn with_version(&self, site: &mut Site, text: &str) -> Option<String> {
        let version = self.system.api_version.as_deref();
        if version.is_none() && template::mentions(text, "apiVersion") {
            let message = format!("`{text}` needs a version and the preset has no default: set spec.apiVersion");
            site.findings.invalid("spec.apiVersion", message);
            return None;
        }
        Some(template::replace(text, |name| version.filter(|_| name == "apiVersion")))
    }

    fn one(&self, at: &str, one: &SpecReadOne, findings: &mut Findings) -> Option<ReadOne> {
        let path = self.bound(&format!("{at}.path"), &one.path, Names::Key, findings);
        let query = self.bound_map(&format!("{at}.query"), &one.query, Names::Key, findings);
        let (path, query) = (path?, query?);
        if !path.names().chain(query.values().flat_map(Template::names)).any(|name| name == KEY) {
            findings.invalid(at, "put {key} into the path or the query, for example /orders/{key}.json");
            return None;
        }
        let (record, into) = (one.record.clone().unwrap_or_default(), one.into.clone().unwrap_or_default());
        Some(ReadOne { path, query, record, into })
    }
}

/// What responses are written in.
fn format(site: &mut Site, spec: &SpecStream) -> Option<Format> {
    let format = spec.format.unwrap_or_default();
    if spec.csv.is_some() && format != StreamFormat::Csv {
        site.invalid("csv", "set format to Csv as well, or leave csv out");
        return None;
    }
    Some(match format {
        StreamFormat::Json => Format::Json,
        StreamFormat::JsonLines => Format::JsonLines,
        StreamFormat::Xml => Format::Xml,
        StreamFormat::Csv => {
            let csv = spec.csv.clone().unwrap_or_default();
            let mut letters = csv.delimiter.as_deref().unwrap_or(",").chars();
            match (letters.next(), letters.next()) {
                (Some(delimiter), None) if delimiter.is_ascii() && !matches!(delimiter, '"' | '\r' | '\n') => {
                    Format::Csv { delimiter, columns: csv.columns }
                }
                _ => {
                    site.invalid("csv.delimiter", "write one ASCII character that is no quote and no line break");
                    return None;
                }
            }
        }
    })
}

/// Past a cap, reading begins again from a value of the cursor.
fn has_what_a_cap_needs(site: &mut Site, stream: &Stream) -> Option<()> {
    if stream.depth_cap.is_some() && stream.cursor.is_none() {
        site.invalid("pagination.depthCap", "set cursor: past the cap, reading begins again from the last value of it");
        return None;
    }
    Some(())
}

/// Every name in a request has to be one that the stream has a value for.
fn every_name_is_filled(site: &mut Site, stream: &Stream) -> Option<()> {
    let window = stream.cursor.is_some();
    let pages = stream.pagination.cursor_pages();
    let (cursor, size) = (pages.is_some(), pages.is_some_and(|pages| pages.size.is_some()));
    let filled = [
        (page_names::SINCE, window, "set cursor, which says what it stands for"),
        (page_names::UNTIL, window, "set cursor, which says what it stands for"),
        (page_names::CURSOR, cursor, "set pagination.cursor, which says where the cursor is found"),
        (page_names::PAGE_SIZE, size, "set pagination.cursor.size, which says what it stands for"),
    ];
    for (name, has_value, message) in filled {
        if !has_value && stream.names(name) {
            site.invalid("pagination", format!("`{{{name}}}` stands in the request: {message}"));
            return None;
        }
    }
    Some(())
}
