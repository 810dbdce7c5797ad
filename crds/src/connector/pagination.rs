//! How a stream's next page is got.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How to get the next page: exactly one member.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.linkHeader), has(self.cursor), has(self.offset), has(self.page), has(self.nextURL), has(self.deltaLink)].filter(set, set).size() == 1").message("set exactly one of linkHeader, cursor, offset, page, nextURL and deltaLink under pagination"))]
pub struct Pagination {
    /// The response's `Link` header with `rel="next"` (RFC 8288) holds the next page's URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_header: Option<LinkHeaderPagination>,
    /// The response's body holds a cursor that goes into the next request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<CursorPagination>,
    /// Pages are positions counted in records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<OffsetPagination>,
    /// Pages are numbered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<PagePagination>,
    /// The response's body holds the next page's URL.
    #[serde(default, rename = "nextURL", skip_serializing_if = "Option::is_none")]
    pub next_url: Option<NextUrlPagination>,
    /// As nextURL, and the last page holds a URL that leads to what changes from then on (OData).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta_link: Option<DeltaLinkPagination>,
    /// How deep the system lets pages go, beside whatever leads to the next page. Any depth when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth_cap: Option<DepthCap>,
}

/// Pagination by the `Link` header. It has no settings.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Default)]
pub struct LinkHeaderPagination {}

/// Pagination by a cursor in the response's body. It goes into the query parameter `param`, or stands as `{cursor}` in the stream's query or
/// body, for example among the variables of a GraphQL query: one of the two ways. There is none on the first page: a parameter or member
/// that is `{cursor}` and nothing else is then left out.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.pointer) != has(self.lastRecord)").message("set exactly one of pointer and lastRecord under pagination.cursor"))]
pub struct CursorPagination {
    /// JSON pointer to the cursor in the response, for example `/paging/next/after`; absent or null on the last page, unless `hasMore` says
    /// which page is the last. At most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub pointer: Option<String>,
    /// JSON pointer, within a page's last record, to what serves as the cursor, for example `/id`. The last page is the one that `hasMore`
    /// says; without it, the first one without records. At most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub last_record: Option<String>,
    /// Query parameter that takes the cursor, for example `after`. At most 128 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub param: Option<String>,
    /// JSON pointer, in the response, to true while there are more pages, and to false or null on the last, for example `/has_more`. At
    /// most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub has_more: Option<String>,
    /// Records a page, for `{pageSize}` in the stream's query or body, where a text that is `{pageSize}` and nothing else becomes a number.
    /// 1 to 10000. There is no `{pageSize}` when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub size: Option<u32>,
}

/// Pagination by position, counted in records.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OffsetPagination {
    /// Query parameter that takes the position of the first record, for example `offset`. At most 128 characters.
    #[schemars(length(min = 1, max = 128))]
    pub param: String,
    /// Query parameter that takes the number of records a page, for example `limit`. At most 128 characters.
    #[schemars(length(min = 1, max = 128))]
    pub limit_param: String,
    /// Records a page. 2 to 10000, because a page overlaps the one before by one record.
    #[schemars(range(min = 2, max = 10_000))]
    pub limit: u32,
}

/// Pagination by the page's number. So that no record slips between two pages when others come or go, each page overlaps the one before: its
/// size is chosen anew each time, at most `size`, so that some page begins at or before the last record that was read.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PagePagination {
    /// Query parameter that takes the page's number, for example `page`. At most 128 characters.
    #[schemars(length(min = 1, max = 128))]
    pub param: String,
    /// Number of the first page: 0 or 1; 1 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1))]
    pub first: Option<u32>,
    /// Query parameter that takes the number of records a page, for example `per_page`. The system has to take any number up to `size`. At
    /// most 128 characters.
    #[schemars(length(min = 1, max = 128))]
    pub size_param: String,
    /// Records a page, at most, and no more than the system gives in one. 20 to 10000.
    #[schemars(range(min = 20, max = 10_000))]
    pub size: u32,
    /// `param` takes the position of the page's first record, which is then always a multiple of the page's size, instead of the page's number:
    /// for systems that refuse other positions. False when left out; with true, `first` has no meaning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_records: Option<bool>,
}

/// Pagination by a URL in the response's body.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct NextUrlPagination {
    /// JSON pointer to the next page's URL in the response, for example `/links/next`; absent or null on the last page. At most 256
    /// characters.
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub pointer: String,
}

/// Pagination by URLs in the response's body, the last of which leads to what changes from then on: the next window begins there. While a
/// system knows it, nothing else is asked for; when it answers 400, 404 or 410, the list is read again from its beginning, or from the
/// cursor on.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DeltaLinkPagination {
    /// JSON pointer to the next page's URL in the response, for example `/@odata.nextLink` or `/d/__next`. At most 256 characters.
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub next: String,
    /// JSON pointer to the URL that the last page holds, for example `/@odata.deltaLink` or `/d/__delta`. At most 256 characters.
    #[schemars(length(min = 1, max = 256), regex(pattern = "^/"))]
    pub delta: String,
}

/// How deep a system lets pages go. Past it, reading begins again with the last value of the cursor that was seen as the lower bound. The list
/// has to be in the cursor's order, oldest first, and the lower bound has to be inclusive.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DepthCap {
    /// Records that one search gives, at most, over all of its pages. 100 to 1000000.
    #[schemars(range(min = 100, max = 1_000_000))]
    pub records: u32,
}
