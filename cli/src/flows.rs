//! The flow that a person means, and its mapping.

use anyhow::{Context as _, Result, anyhow, bail};
use crosstie_crds::{Integration, integration::Flow};
use crosstie_engine::mapping::{Mapping, MappingSource};

use crate::files::Manifests;

/// The Integration of that name, or the only one.
pub(crate) fn integration<'a>(manifests: &'a Manifests, name: Option<&str>) -> Result<&'a Integration> {
    let mut found = manifests.integrations.iter().filter(|((_, found), _)| name.is_none_or(|name| found == name));
    let (_, first) = match name {
        Some(name) => found.next().with_context(|| format!("the files hold no Integration {name}"))?,
        None => found.next().context("the files hold no Integration")?,
    };
    if found.next().is_some() {
        bail!("the files hold several Integrations: say which one");
    }
    Ok(first)
}

/// The flow of that name, or the only one.
pub(crate) fn flow<'a>(integration: &'a Integration, name: Option<&str>) -> Result<&'a Flow> {
    let flows = &integration.spec.flows;
    match (name, flows.as_slice()) {
        (Some(name), _) => {
            flows.iter().find(|flow| flow.name == name).with_context(|| format!("there is no flow {name}"))
        }
        (None, [flow]) => Ok(flow),
        (None, _) => bail!("the Integration has {} flows: say which one", flows.len()),
    }
}

/// A flow's mapping, compiled.
pub(crate) fn mapping(flow: &Flow) -> Result<Mapping> {
    let map = flow.map.iter().map(|(field, expression)| (field.clone(), expression.0.clone())).collect();
    let when = flow.when.as_ref().map(|expression| expression.0.as_str());
    Mapping::compile(&MappingSource { when, map: &map }).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow!("the mapping does not compile:\n{}", lines.join("\n"))
    })
}
