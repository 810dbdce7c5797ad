//! How the flows of an Integration depend on each other: every flow that is named is there, and by `dependsOn` none waits for itself, not even
//! over others.

use std::collections::BTreeSet;

use crosstie_crds::integration::Flow;

use super::{Findings, flow::listed};

/// Notes which flows that a mapping asks for cross-references of are not there: it would wait for them for ever.
pub(crate) fn references(at: &str, wanted: &BTreeSet<String>, flows: &[Flow], findings: &mut Findings) {
    for flow in wanted.iter().filter(|wanted| !flows.iter().any(|flow| flow.name == **wanted)) {
        let known = listed(flows.iter().map(|flow| flow.name.as_str()));
        let message = format!("`xref` names the flow `{flow}`, which this Integration does not have; it has {known}");
        findings.invalid(at, message);
    }
}

/// Notes what is wrong with the flows' dependencies.
pub(crate) fn check(flows: &[Flow], findings: &mut Findings) {
    for flow in flows {
        let Some(depends_on) = &flow.depends_on else { continue };
        let at = format!("spec.flows[{}].dependsOn.flow", flow.name);
        if !flows.iter().any(|other| other.name == depends_on.flow) {
            let known: Vec<&str> =
                flows.iter().map(|flow| flow.name.as_str()).filter(|name| *name != flow.name).collect();
            let known =
                if known.is_empty() { "it has no other".into() } else { format!("it has {}", known.join(", ")) };
            findings
                .invalid(at, format!("this Integration has no flow `{}`; beside this one {known}", depends_on.flow));
            continue;
        }
        let way = way(flow, flows);
        if way.last() == Some(&flow.name.as_str()) {
            let way = way.join(" → ");
            let message =
                format!("the flow waits for itself ({} → {way}): take dependsOn out of one of them", flow.name);
            findings.invalid(at, message);
        }
    }
}

/// The flows that one waits for, one after the other, until there is none, or one comes again.
fn way<'a>(flow: &'a Flow, flows: &'a [Flow]) -> Vec<&'a str> {
    let mut way: Vec<&str> = Vec::new();
    let mut next = flow.depends_on.as_ref();
    while let Some(depends_on) = next {
        let again = way.contains(&depends_on.flow.as_str()) || depends_on.flow == flow.name;
        way.push(&depends_on.flow);
        if again {
            break;
        }
        next = flows.iter().find(|other| other.name == depends_on.flow).and_then(|other| other.depends_on.as_ref());
    }
    way
}
