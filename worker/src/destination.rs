//! The destination as delivery sees it: writes and look-ups. In production it is a vendor's client; the protocol's tests put one in its place
//! that fails in every way there is.

use crosstie_connect::{CallFailure, LookedUp, Outgoing, VendorClient, Written, WrittenBatch};
use crosstie_engine::{
    body::Body,
    plan::{LookUp, Operation},
};
use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::Value;

/// Where records are written.
pub trait Destination: Send + Sync {
    /// Writes a record.
    fn write<'a>(&'a self, operation: &'a Operation, outgoing: Outgoing<'a>) -> BoxFuture<'a, Written>;

    /// Writes several records by one call.
    fn write_batch<'a>(
        &'a self,
        operation: &'a Operation,
        bodies: &'a [&'a Body],
        idempotency_key: Option<&'a str>,
    ) -> BoxFuture<'a, WrittenBatch>;

    /// Looks up whether a record is there whose write was decided at that time.
    fn look_up<'a>(
        &'a self,
        operation: &'a Operation,
        lookup: &'a LookUp,
        body: &'a Value,
        decided: Timestamp,
    ) -> BoxFuture<'a, Result<LookedUp, CallFailure>>;
}

impl Destination for VendorClient {
    fn write<'a>(&'a self, operation: &'a Operation, outgoing: Outgoing<'a>) -> BoxFuture<'a, Written> {
        Box::pin(self.write(operation, outgoing))
    }

    fn write_batch<'a>(
        &'a self,
        operation: &'a Operation,
        bodies: &'a [&'a Body],
        idempotency_key: Option<&'a str>,
    ) -> BoxFuture<'a, WrittenBatch> {
        Box::pin(self.write_batch(operation, bodies, idempotency_key))
    }

    fn look_up<'a>(
        &'a self,
        operation: &'a Operation,
        lookup: &'a LookUp,
        body: &'a Value,
        decided: Timestamp,
    ) -> BoxFuture<'a, Result<LookedUp, CallFailure>> {
        Box::pin(self.look_up(operation, lookup, body, decided))
    }
}
