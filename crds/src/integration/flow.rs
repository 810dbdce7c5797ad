//! A flow: when records are read, which, what they become, and how they are written.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::verification::FixtureSource;

/// One kind of record on its way from the source to the destination.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.onWhenFalse) || has(self.when)").message("set when as well: onWhenFalse says what becomes of the records that it leaves out"),
    validation = Rule::new("!has(self.onWhenFalse) || self.onWhenFalse != 'Delete' || has(self.write.deleteOperation)").message("set write.deleteOperation: onWhenFalse Delete needs an operation to delete with"),
    validation = Rule::new("!has(self.write.mode) || self.write.mode != 'Mirror' || has(self.write.deleteOperation)").message("set write.deleteOperation: mode Mirror deletes what the source no longer has"),
    validation = Rule::new("!has(self.write.mode) || self.write.mode != 'Mirror' || !has(self.onWhenFalse) || self.onWhenFalse == 'Delete'").message("leave onWhenFalse out, or set it to Delete: mode Mirror keeps no record that stops to take part"),
    validation = Rule::new("!has(self.dependsOn) || self.dependsOn.flow != self.name").message("set dependsOn.flow to another flow: a flow cannot wait for itself"),
    validation = Rule::new("!has(self.pair) || self.pair.flow != self.name").message("set pair.flow to the flow that carries the same records the other way"),
    validation = Rule::new("!has(self.pair) || !has(self.ownership)").message("leave ownership out of a flow with pair: it writes only what its source changed"),
    validation = Rule::new("!has(self.direction) || self.direction != 'Reverse' || self.triggers.all(trigger, !has(trigger.webhook))").message("give flows in the direction Reverse other triggers than webhook: webhooks come from spec.source")
)]
pub struct Flow {
    /// Name, unique in the Integration. State is kept under it: a renamed flow begins anew. 1 to 63 characters, a DNS label.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,

    /// Which way a flow's records go: `Forward`, from spec.source to spec.destination, or `Reverse`, from spec.destination to spec.source, so that
    /// what is said of source and destination in a flow is the other one. `Forward` when left out. A flow that is turned begins anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,

    /// The flow of the other direction that carries the same records back. What one of the two writes is no change to the other, each writes
    /// only the fields that changed, and where both ends changed the same, Forward wins. Both flows name each other. No record has a twin when it
    /// is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<Pair>,

    /// What makes the flow read the source. At least 1, at most 8.
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub triggers: Vec<Trigger>,

    /// Stream of the source's Connector, for example `orders`. 1 to 63 characters.
    #[schemars(length(min = 1, max = 63))]
    pub stream: String,

    /// Where the very first read begins: `Now` (records that change from then on), `Beginning`, or a time in RFC 3339 such as
    /// `2026-07-01T00:00:00Z`. `Now` when left out. A stream without a `cursor` lists every record at each read and can only begin at
    /// `Beginning`. Later changes of this field have no effect on a flow that has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 40))]
    #[x_kube(validation = Rule::new("self in ['Now', 'Beginning'] || self.matches('^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\\\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$')").message("set startFrom to Now, Beginning, or a time such as 2026-07-01T00:00:00Z"))]
    pub start_from: Option<String>,

    /// CEL expression over `record` that says whether a record takes part, for example `record.cancelled_at == null`. All do when it is
    /// left out. At most 4096 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Expression>,

    /// What becomes, at the destination, of a record that took part and stops to, because `when` turned false: `Ignore` leaves it as it was
    /// written last, `Delete` deletes it with write.deleteOperation, `Update` writes it once more, mapped as ever. A record that was never
    /// written stays unwritten. `Ignore` when left out, with write.mode `Mirror` `Delete`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_when_false: Option<OnWhenFalse>,

    /// What is written: destination field (dots nest, `\.` is a dot) to a CEL expression over `record`. An absent optional leaves
    /// the field out; null writes null. 1 to 256 fields, names up to 256 and expressions up to 4096 characters.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 256))]
    #[x_kube(validation = Rule::new("self.all(field, field.size() <= 256)").message("keep field names in map to 256 characters"))]
    pub map: BTreeMap<String, Expression>,

    /// Mapped fields that only the write which makes a record carries: later writes leave them out, and what people enter at the destination
    /// stays. A path is one of map, or leads into one or around several, written as there (`shipAddress.city`); not into lists. Every mapped
    /// field is written each time when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ownership: Option<Ownership>,

    /// What has to be at the destination before a record: its parent, brought there by another flow of this Integration. A record whose parent
    /// is missing waits, which counts as no attempt and holds up no other record. Records wait for nothing when it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depends_on: Option<DependsOn>,

    /// How records are written to the destination.
    pub write: Write,

    /// What to do when a write's outcome stays unknown and the operation offers neither an idempotency header nor a look-up: `Hold` the
    /// record and say so, or `Resend` and accept that it may be applied twice. `Hold` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_unknown_outcome: Option<OnUnknownOutcome>,

    /// Where the flow's fixtures are: records, and what the mapping has to make of each. A new plan is tried on all of them before workers get it;
    /// verification.gate says what becomes of one that fails. At most 8; nothing is tried when it is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub fixtures: Vec<FixtureSource>,
}

/// Which way a flow's records go: `Forward`, from spec.source to spec.destination, or `Reverse`, from spec.destination to spec.source, so that what is
/// said of source and destination in a flow is the other one. `Forward` when left out. A flow that is turned begins anew.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Direction {
    /// From spec.source to spec.destination.
    #[default]
    Forward,
    /// From spec.destination to spec.source.
    Reverse,
}

/// The flow that carries the same records back.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Pair {
    /// Flow of this Integration, of the other direction, that names this one. 1 to 63 characters.
    #[schemars(length(min = 1, max = 63))]
    pub flow: String,
    /// CEL expression over `record` that gives the key of the record's twin at the other end, as text or a number, where the record says it:
    /// what the other flow writes there when it makes the record, for example `record.?External_Id__c.orValue(null)`; null for a record that
    /// has none. It is asked of records whose twin is not known yet, so that none is made twice. It can use neither `xref` nor `lookup`. At
    /// most 4096 characters.
    pub key: Expression,
}

/// Mapped fields that only the write which makes a record carries. Each stands in one of the two lists.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.destinationOwned) || has(self.createOnly)").message("name fields in destinationOwned or in createOnly, or leave ownership out"),
    validation = Rule::new("!has(self.destinationOwned) || !has(self.createOnly) || self.destinationOwned.all(path, !(path in self.createOnly))").message("name each field in one of destinationOwned and createOnly, not in both")
)]
pub struct Ownership {
    /// Fields that belong to the destination: a record gets them when this flow makes it, and never if the destination had it already. Unless
    /// it is known what is there, it is looked up first, by the operation's `find` or its outcome's `lookup`, one of which it needs. At most 32
    /// paths of up to 256 characters; none when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 256)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub destination_owned: Vec<String>,
    /// Fields that are given once: the first write of a record carries them, also where the destination had the record before, unless the
    /// operation looks before it writes (`find`). At most 32 paths of up to 256 characters; none when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 256)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub create_only: Vec<String>,
}

/// A CEL expression, at most 4096 characters.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(transparent)]
pub struct Expression(#[schemars(length(min = 1, max = 4096))] pub String);

/// What makes a flow read the source: exactly one member.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.everySeconds), has(self.cron), has(self.webhook)].filter(set, set).size() == 1").message("set exactly one of everySeconds, cron and webhook in each trigger"))]
pub struct Trigger {
    /// Read this often, in seconds. 1 to 604800.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 604_800))]
    pub every_seconds: Option<u32>,
    /// Read at these times: a cron expression of five fields, in UTC, for example `0 * * * *`. At most 128 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 9, max = 128))]
    pub cron: Option<String>,
    /// Take the source's webhooks of these topics, the moment they come. What the vendor never sends is found by reading: every hour, if no other
    /// trigger says when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookTrigger>,
}

/// Which webhooks make a flow take a record.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct WebhookTrigger {
    /// Topics as the vendor names them, for example `orders/updated`; `*` stands for any text. The Connector says what their events bring to the
    /// flow's stream. 1 to 32, each 1 to 128 characters.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 128)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub topics: Vec<String>,
}

/// How records are written to the destination.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Write {
    /// Operation of the destination's Connector, for example `upsertSalesOrder`. 1 to 63 characters.
    #[schemars(length(min = 1, max = 63))]
    pub operation: String,

    /// Which records are written: `Upsert` makes those that are not there and writes all again whenever they map to another body; `Create`
    /// writes each once, for messages and other things that are made once; `Update` writes those that the destination has and makes none;
    /// `Mirror` is Upsert, and deletes what the source no longer has. `Upsert` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<WriteMode>,

    /// Operation of the destination's Connector that deletes a record, for example `deleteSalesOrder`. It is called for records that were
    /// deleted at the source, and for those that stop to take part where onWhenFalse is `Delete` or mode is `Mirror`; only if the record was
    /// written before. Nothing is ever deleted when it is left out. 1 to 63 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub delete_operation: Option<String>,

    /// How many records one call carries, at most; more than 1 only with an operation that has `batch`, and at most its maxRecords. No record
    /// waits for others: a call carries those that are there. One record goes by the operation's single form, and so do deletes. 1 to 10000;
    /// 1 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub batch_size: Option<u32>,
}

/// Which records are written: `Upsert` makes those that are not there and writes all again whenever they map to another body; `Create` writes each
/// once, for messages and other things that are made once; `Update` writes those that the destination has and makes none; `Mirror` is Upsert, and
/// deletes what the source no longer has. `Upsert` when left out.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum WriteMode {
    /// All: those that are not there are made, and a record is written again whenever it maps to another body.
    #[default]
    Upsert,
    /// All, each once: a record that was written is left as it is.
    Create,
    /// Those that the destination has; one that it does not have is left out until its source changes it again. The operation has to be able
    /// to tell which are there.
    Update,
    /// All, as Upsert does; and what the source deleted, no longer lists or no longer lets take part is deleted. It needs deleteOperation.
    Mirror,
}

/// What has to be at the destination before a record.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DependsOn {
    /// Flow of this Integration that brings the parent to the destination. Flows must not wait for each other in a circle. 1 to 63
    /// characters.
    #[schemars(length(min = 1, max = 63))]
    pub flow: String,
    /// CEL expression over `record` that gives the parent's key in that flow, as text or a number, for example
    /// `record.?customer.?id.orValue(null)`; null for a record that has no parent. It can use neither `xref` nor `lookup`. At most 4096
    /// characters.
    pub key: Expression,
}

/// What becomes, at the destination, of a record that took part in a flow and stops to, because `when` turned false. `Ignore` when left out, with
/// write.mode `Mirror` `Delete`.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnWhenFalse {
    /// It stays as it was written last.
    #[default]
    Ignore,
    /// It is deleted with write.deleteOperation, if it was written.
    Delete,
    /// It is written once more, if it was written.
    Update,
}

/// What to do when a write's outcome stays unknown and the operation offers neither an idempotency header nor a look-up: `Hold` the
/// record and say so, or `Resend` and accept that it may be applied twice. `Hold` when left out.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnUnknownOutcome {
    /// Keep the record back and say so in status; a person decides.
    #[default]
    Hold,
    /// Send again and accept that the record may be applied twice.
    Resend,
}
