//! The expressions of a plan's flows, compiled, and which flows' records wait for which by them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crosstie_engine::{
    delivery::{needed_fields, part_of},
    mapping::{Expression, Mapping, MappingSource},
    plan::{Flow, Plan},
};
use tokio::sync::Notify;

use super::HireError;

/// What wakes the delivery of each flow.
pub type Wakes<'a> = BTreeMap<&'a str, Arc<Notify>>;

/// A flow's expressions, compiled.
pub struct Expressions {
    pub mapping: Arc<Mapping>,
    /// As much of it as deleting a record needs.
    pub remains: Option<Arc<Mapping>>,
    /// The key of what a record depends on.
    pub parent: Option<Arc<Expression>>,
    /// The key of a record's twin.
    pub twin: Option<Arc<Expression>>,
}

/// Compiles a flow's expressions.
pub fn compile(flow: &Flow) -> Result<Expressions, HireError> {
    let failed = |problems| HireError::Mapping { flow: flow.name.clone(), problems };
    let source = MappingSource { when: flow.when.as_deref(), map: &flow.map };
    let mapping = Mapping::compile(&source).map(Arc::new).map_err(failed)?;
    let fields = flow.delete_operation.as_ref().and_then(needed_fields);
    let part = fields.map(|fields| part_of(&flow.map, &fields));
    let remains = part.map(|part| Mapping::compile(&MappingSource { when: None, map: &part }));
    let remains = remains.transpose().map_err(failed)?.map(Arc::new);
    let parent = flow.depends_on.as_ref().map(|depends_on| Expression::compile("dependsOn.key", &depends_on.key));
    let twin = flow.pair.as_ref().map(|pair| Expression::compile("pair.key", &pair.key));
    let parent = parent.transpose().map_err(failed)?.map(Arc::new);
    let twin = twin.transpose().map_err(failed)?.map(Arc::new);
    Ok(Expressions { mapping, remains, parent, twin })
}

/// What wakes the flows whose records may wait for a flow's.
pub fn dependents(plan: &Plan, referring: &[BTreeSet<String>], name: &str, wakes: &Wakes) -> Vec<Arc<Notify>> {
    let waits = |(flow, xrefs): &(&Flow, &BTreeSet<String>)| {
        flow.depends_on.as_ref().is_some_and(|depends_on| depends_on.flow == name) || xrefs.contains(name)
    };
    let flows = plan.flows.iter().zip(referring).filter(waits);
    flows.filter_map(|(flow, _)| wakes.get(flow.name.as_str()).cloned()).collect()
}
