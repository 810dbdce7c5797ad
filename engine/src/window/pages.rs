//! Pages that are positions: which page has a record, and which streams have such pages.

use crate::plan::{Pagination, Stream};

/// The numbered page, of at most `size` records, that has the record at a position and as many as possible behind it: its number, counted
/// from 0, and its size.
pub fn numbered_page(position: u64, size: u32) -> (u64, u32) {
    // From the largest down, so that among equals the largest is taken.
    let behind = |size: &u32| u64::from(*size) - 1 - position % u64::from(*size);
    let size = (1..=size).rev().max_by_key(|size| (behind(size), *size)).unwrap_or(1);
    (position / u64::from(size), size)
}

/// Records a page, where pages are positions and overlap.
pub(super) fn overlapping(stream: &Stream) -> Option<u32> {
    match &stream.pagination {
        Pagination::Offset { limit, .. } => Some(*limit),
        Pagination::Page { size, .. } => Some(*size),
        Pagination::None
        | Pagination::LinkHeader
        | Pagination::Cursor(_)
        | Pagination::NextUrl { .. }
        | Pagination::DeltaLink { .. } => None,
    }
}
