//! Compiled specs between two looks at their Integrations. There may be thousands, and most are not looked at for minutes: what is kept of each is its
//! plan's text, a fraction of what a compiled plan takes, and it is read back at each look, which takes a fraction of what compiling does.

use std::sync::Arc;

use crosstie_engine::{compile::Finding, plan::Plan};

use super::Table;
use crate::{plan::integration::Compilation, trigger::Key};

/// Uid and generation of an Integration, or of a Connector that it is compiled with.
pub type Source = (Option<String>, Option<i64>);

/// What a spec compiled to, at rest.
#[derive(Clone, Debug, PartialEq)]
pub struct Compiled {
    from: Vec<Source>,
    /// The plan's JSON, and its hash.
    plan: Option<(Box<str>, String)>,
    findings: Vec<Finding>,
}

impl Compiled {
    fn new(from: Vec<Source>, compilation: &Compilation) -> Self {
        let plan = compilation.plan.as_ref().map(|(plan, hash)| (plan.to_json().into(), hash.clone()));
        Self { from, plan, findings: compilation.findings.clone() }
    }

    /// What it compiled to; none when that was something else, or cannot be read back.
    fn compilation(&self, from: &[Source]) -> Option<Compilation> {
        if self.from != from {
            return None;
        }
        let plan = match &self.plan {
            Some((json, hash)) => Some((Plan::parse(json.as_bytes()).ok()?, hash.clone())),
            None => None,
        };
        Some(Compilation { plan, findings: self.findings.clone() })
    }
}

impl Table<Key, Arc<Compiled>> {
    /// What an Integration's spec compiles to. It is compiled when it was not before from these very sources.
    pub fn recall(&self, key: &Key, from: Vec<Source>, compile: impl FnOnce() -> Compilation) -> Arc<Compilation> {
        // Read back without the lock.
        let known = self.get(key);
        if let Some(known) = known.and_then(|known| known.compilation(&from)) {
            return Arc::new(known);
        }
        let compilation = Arc::new(compile());
        self.lock().insert(key.clone(), Arc::new(Compiled::new(from, &compilation)));
        compilation
    }
}

#[cfg(test)]
#[path = "compiled_tests.rs"]
mod tests;
