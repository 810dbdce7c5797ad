//! Reading pages: asks for one, and takes of its records what is wanted while the page is at hand.

use crosstie_engine::{
    json::Json,
    plan::Stream,
    window::{Bounds, Position},
};
use http::StatusCode;
use serde_json::Value;

use crate::{
    ask::{self, Ask},
    call::Reply,
    client::{VendorClient, page_call},
    failure::{CallFailure, FailureKind},
    observe::Purpose,
    outcome::Page,
    page::{Arrived, Opened},
    response,
};

impl VendorClient {
    /// Reads a page of a stream.
    ///
    /// # Errors
    /// [`CallFailure`]; of kind [`FailureKind::PageExpired`] when the window is to start again from its first page.
    pub async fn read_page(
        &self,
        stream: &Stream,
        bounds: Option<&Bounds>,
        position: &Position,
    ) -> Result<Page, CallFailure> {
        self.take_page(stream, bounds, position, |record: &Json| record.to_value()).await
    }

    /// Reads a page of a stream, and takes of each record what is wanted without copying the rest.
    ///
    /// # Errors
    /// As of [`read_page`](Self::read_page).
    pub async fn take_page<R>(
        &self,
        stream: &Stream,
        bounds: Option<&Bounds>,
        position: &Position,
        take: impl FnMut(&Json) -> R,
    ) -> Result<Page<R>, CallFailure> {
        let ask = ask::page(&self.0.system.base_url, stream, bounds, position)?;
        self.page(stream, position, ask, take).await
    }

    /// Reads a page of a stream that has a parent, for one record of the parent's stream and its key.
    ///
    /// # Errors
    /// [`CallFailure`]; as with [`Self::read_page`], and of kind [`FailureKind::Refused`] when the parent lacks what the request needs of it.
    pub async fn read_page_of(
        &self,
        stream: &Stream,
        parent: &Value,
        key: &str,
        position: &Position,
    ) -> Result<Page, CallFailure> {
        let ask = ask::page_of(&self.0.system.base_url, stream, parent, key, position)?;
        self.page(stream, position, ask, |record: &Json| record.to_value()).await
    }

    async fn page<R>(
        &self,
        stream: &Stream,
        position: &Position,
        ask: Ask,
        take: impl FnMut(&Json) -> R,
    ) -> Result<Page<R>, CallFailure> {
        if matches!(position, Position::Url(_)) && self.0.shared.rules.admit(&ask.url).is_err() {
            // It was admitted when it was stored, so the Connector was changed since: a new first page leads to pages that are admitted.
            let detail =
                format!("the page of `{}` to read next lies outside of what the Connector allows now", stream.name);
            return Err(CallFailure::new(FailureKind::PageExpired, detail));
        }
        let (url, reply) = self.read(page_call(Purpose::ReadPage, stream, ask)).await?;
        match reply {
            Reply::Success(answer) => {
                let body = answer.body.as_ref().map_err(|failure| self.without_body(&stream.name, &answer, failure))?;
                let arrived = Arrived { stream, position, url: &url, headers: &answer.headers, body };
                let opened = arrived.open(&self.0.shared.rules, take);
                let Opened { records, mut next, mut delta } =
                    opened.map_err(|failure| failure.answered(answer.status.as_u16(), self.request_id(&answer)))?;
                if let Some(Position::Url(url)) = &mut next {
                    self.without_key(url);
                }
                if let Some(url) = &mut delta {
                    self.without_key(url);
                }
                let served_version = response::header(&answer.headers, self.0.system.served_version_header.as_deref());
                Ok(Page { records, next, delta, request_id: self.request_id(&answer), served_version })
            }
            Reply::Ignored(answer) => {
                let request_id = self.request_id(&answer);
                Ok(Page { records: Vec::new(), next: None, delta: None, request_id, served_version: None })
            }
            Reply::Refusal(answer) if has_expired(position, answer.status) => {
                let detail = format!("a page of `{}` is no longer known: its window starts again", stream.name);
                Err(CallFailure::new(FailureKind::PageExpired, detail)
                    .answered(answer.status.as_u16(), self.request_id(&answer)))
            }
            Reply::Refusal(answer) | Reply::Redirect(answer) => {
                if answer.status == StatusCode::GONE {
                    self.0.shared.heard.gone(&stream.name);
                }
                Err(self.refused(&stream.name, &answer))
            }
        }
    }
}

/// Whether a refusal says that the vendor no longer knows a page: only of pages that the vendor itself named.
fn has_expired(position: &Position, status: StatusCode) -> bool {
    let named_by_vendor = match position {
        Position::Url(_) | Position::Cursor(_) => true,
        Position::First | Position::Offset(_) => false,
    };
    named_by_vendor && matches!(status.as_u16(), 400 | 404 | 410)
}
