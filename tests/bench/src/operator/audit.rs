//! The API server's audit log: every write, one JSON line each.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead as _, BufReader, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde_json::Value;

/// A place in the log.
#[derive(Clone, Debug)]
pub struct Mark {
    path: PathBuf,
    offset: u64,
}

impl Mark {
    /// The log's end at the moment.
    ///
    /// # Errors
    /// When there is no log.
    pub fn now(path: &Path) -> Result<Self> {
        let length = std::fs::metadata(path).with_context(|| format!("no audit log at {}", path.display()))?.len();
        Ok(Self { path: path.to_owned(), offset: length })
    }

    /// The operator's writes since then, by resource; those of a subresource as `resource/subresource`.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn writes(&self) -> Result<BTreeMap<String, u32>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut writes = BTreeMap::new();
        for line in BufReader::new(file).lines() {
            if let Some(resource) = by_the_operator(&line?) {
                *writes.entry(resource).or_default() += 1;
            }
        }
        Ok(writes)
    }
}

/// What the operator wrote, if it was the operator. The last line may be unfinished.
fn by_the_operator(line: &str) -> Option<String> {
    let event: Value = serde_json::from_str(line).ok()?;
    event["userAgent"].as_str().filter(|agent| agent.starts_with("crosstie-operator/"))?;
    let target = &event["objectRef"];
    let resource = target["resource"].as_str()?;
    Some(match target["subresource"].as_str() {
        Some(part) => format!("{resource}/{part}"),
        None => resource.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_writes_are_told_from_those_of_others() {
        let line = |agent: &str| {
            format!(r#"{{"userAgent":"{agent}","objectRef":{{"resource":"connectors","subresource":"status"}}}}"#)
        };
        assert_eq!(by_the_operator(&line("crosstie-operator/0.1.0")).as_deref(), Some("connectors/status"));
        assert_eq!(by_the_operator(&line("kubectl/v1.34")), None);
        assert_eq!(by_the_operator(r#"{"userAgent":"crosstie-oper"#), None);
    }
}
