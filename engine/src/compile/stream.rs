//! Streams of a Connector, checked and resolved.

use crosstie_crds::connector::{Pagination as SpecPagination, ReadOne as SpecReadOne};

use super::{
    Findings,
    connector::{Names, Resolved},
};
use crate::{
    plan::{Cursor, KEY, Pagination, ReadOne, Stream},
    template::Template,
};

/// How far windows reach back when nothing is said, in seconds.
const DEFAULT_LOOKBACK_SECONDS: u32 = 300;

impl Resolved {
    /// The stream of a name, resolved. `None` together with findings, or when there is none of that name.
    pub(crate) fn stream(&self, name: &str, findings: &mut Findings) -> Option<Stream> {
        let stream = self.streams.iter().find(|stream| stream.name == name)?;
        let at = |field: &str| format!("spec.streams[{name}].{field}");
        let mut needed = |field: &str, value: &Option<String>, say: &str| {
            if value.is_none() {
                findings.invalid(at(field), say);
            }
            value.clone()
        };
        let path = needed("path", &stream.path, "say under which path the list is found");
        let key = needed("key", &stream.key, "say which field identifies a record, for example /id");
        if stream.version.is_none() && stream.one.is_none() {
            let message = "say which field orders a record's states, for example /updated_at; or, where records have none, set `one`, so \
                           that each can be fetched anew before it is delivered";
            findings.invalid(at("version"), message);
        }
        let path = self.bound(&at("path"), &path?, Names::Version, findings);
        let query = self.bound_texts(&at("query"), &stream.query, findings);
        let one = stream.one.as_ref().map(|one| self.one(&at("one"), one, findings));
        if stream.version.is_none() && one.is_none() {
            return None;
        }
        Some(Stream {
            name: name.to_owned(),
            path: path?.to_string(),
            query: query?,
            records: stream.records.clone().unwrap_or_default(),
            key: key?,
            version: stream.version.clone(),
            deleted: stream.deleted.clone(),
            one: match one {
                None => None,
                Some(one) => Some(one?),
            },
            cursor: stream.cursor.as_ref().map(|cursor| Cursor {
                field: cursor.field.clone(),
                param: cursor.param.clone(),
                until_param: cursor.until_param.clone(),
                lookback_seconds: cursor.lookback_seconds.unwrap_or(DEFAULT_LOOKBACK_SECONDS),
            }),
            pagination: stream.pagination.as_ref().map_or(Pagination::None, pagination),
        })
    }

    fn one(&self, at: &str, one: &SpecReadOne, findings: &mut Findings) -> Option<ReadOne> {
        let path = self.bound(&format!("{at}.path"), &one.path, Names::Key, findings);
        let query = self.bound_map(&format!("{at}.query"), &one.query, Names::Key, findings);
        let (path, query) = (path?, query?);
        if !path.names().chain(query.values().flat_map(Template::names)).any(|name| name == KEY) {
            findings.invalid(at, "put {key} into the path or the query, for example /orders/{key}.json");
            return None;
        }
        Some(ReadOne { path, query, record: one.record.clone().unwrap_or_default() })
    }
}

fn pagination(pagination: &SpecPagination) -> Pagination {
    if pagination.link_header.is_some() {
        return Pagination::LinkHeader;
    }
    if let Some(cursor) = &pagination.cursor {
        return Pagination::Cursor { pointer: cursor.pointer.clone(), param: cursor.param.clone() };
    }
    if let Some(offset) = &pagination.offset {
        return Pagination::Offset {
            param: offset.param.clone(),
            limit_param: offset.limit_param.clone(),
            limit: offset.limit,
        };
    }
    if let Some(next_url) = &pagination.next_url {
        return Pagination::NextUrl { pointer: next_url.pointer.clone() };
    }
    Pagination::None
}
