//! The source as delivery sees it: single records. In production it is a vendor's client; the protocol's tests put one in its place that lags and
//! fails.

use crosstie_connect::{CallFailure, VendorClient};
use crosstie_engine::plan::Stream;
use futures::future::BoxFuture;
use serde_json::Value;

/// Where single records are read.
pub trait Singles: Send + Sync {
    /// A record of a stream by its key; none is one that the source does not have.
    fn read_one<'a>(&'a self, stream: &'a Stream, key: &'a str) -> BoxFuture<'a, Result<Option<Value>, CallFailure>>;

    /// The same for a mapping, for which it may be as old as the Connector's cache says.
    fn consult<'a>(&'a self, stream: &'a Stream, key: &'a str) -> BoxFuture<'a, Result<Option<Value>, CallFailure>> {
        self.read_one(stream, key)
    }
}

impl Singles for VendorClient {
    fn read_one<'a>(&'a self, stream: &'a Stream, key: &'a str) -> BoxFuture<'a, Result<Option<Value>, CallFailure>> {
        Box::pin(self.read_one(stream, key))
    }

    fn consult<'a>(&'a self, stream: &'a Stream, key: &'a str) -> BoxFuture<'a, Result<Option<Value>, CallFailure>> {
        Box::pin(self.consult(stream, key))
    }
}
