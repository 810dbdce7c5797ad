//! The pagination of a stream, checked and resolved.

use crosstie_crds::connector::{CursorPagination, Pagination as SpecPagination};

use super::stream::Site;
use crate::plan::{CursorPages, Pagination, Stream, page_names};

/// Resolves a pagination for a stream whose request is resolved. `None` only together with findings.
pub(super) fn resolve(site: &mut Site, spec: &SpecPagination, stream: &Stream) -> Option<Pagination> {
    if spec.link_header.is_some() {
        return Some(Pagination::LinkHeader);
    }
    if let Some(cursor) = &spec.cursor {
        return pages(site, cursor, stream);
    }
    if let Some(offset) = &spec.offset {
        let (param, limit_param) = (offset.param.clone(), offset.limit_param.clone());
        return Some(Pagination::Offset { param, limit_param, limit: offset.limit });
    }
    if let Some(page) = &spec.page {
        let (param, size_param) = (page.param.clone(), page.size_param.clone());
        let (first, in_records) = (page.first.unwrap_or(1), page.in_records.unwrap_or(false));
        return Some(Pagination::Page { param, first, size_param, size: page.size, in_records });
    }
    if let Some(next_url) = &spec.next_url {
        return Some(Pagination::NextUrl { pointer: next_url.pointer.clone() });
    }
    if let Some(links) = &spec.delta_link {
        return Some(Pagination::DeltaLink { next: links.next.clone(), delta: links.delta.clone() });
    }
    Some(Pagination::None)
}

fn pages(site: &mut Site, cursor: &CursorPagination, stream: &Stream) -> Option<Pagination> {
    let named = stream.names(page_names::CURSOR);
    if cursor.pointer.is_some() == cursor.last_record.is_some() {
        site.invalid("pagination.cursor", "set exactly one of pointer and lastRecord");
        return None;
    }
    if cursor.param.is_some() == named {
        let problem =
            if named { "the cursor goes into the request twice" } else { "say how the cursor goes into the request" };
        site.invalid("pagination.cursor", format!("{problem}: set param, or write {{cursor}} in query or body"));
        return None;
    }
    Some(Pagination::Cursor(CursorPages {
        pointer: cursor.pointer.clone(),
        last_record: cursor.last_record.clone(),
        param: cursor.param.clone(),
        has_more: cursor.has_more.clone(),
        size: cursor.size,
    }))
}
