//! The error language of a Connector, checked and resolved.

use crosstie_crds::connector::{
    ErrorCondition, ErrorMeaning, ErrorRule as SpecRule, RetryAfter as SpecRetryAfter, WaitFormat as SpecFormat,
};

use super::Findings;
use crate::plan::{BodyTest, Condition, ErrorRule, HeaderTest, Meaning, Place, RetryAfter, Test, WaitFormat};

/// Resolves rules; each that is wrong is a finding and left out. `operations` and `streams` are the names there are.
pub(super) fn resolve(
    rules: &[SpecRule],
    operations: &[&str],
    streams: &[&str],
    findings: &mut Findings,
) -> Vec<ErrorRule> {
    let mut resolved = Vec::with_capacity(rules.len());
    for (index, rule) in rules.iter().enumerate() {
        let at = |field: &str| format!("spec.errors[{index}].{field}");
        for (kind, named, known) in
            [("operation", &rule.when.operations, operations), ("stream", &rule.when.streams, streams)]
        {
            for name in named.iter().filter(|name| !known.contains(&name.as_str())) {
                findings.invalid(at(&format!("when.{kind}s")), format!("the Connector has no {kind} `{name}`"));
            }
        }
        let when = condition(&rule.when).map_err(|problem| findings.invalid(at("when"), problem));
        let retry_after = rule.retry_after.as_ref().map(retry_after).transpose();
        let retry_after = retry_after.map_err(|problem| findings.invalid(at("retryAfter"), problem));
        if let (Ok(when), Ok(retry_after)) = (when, retry_after) {
            resolved.push(ErrorRule { when, means: meaning(rule.means), message: rule.message.clone(), retry_after });
        }
    }
    resolved
}

fn condition(when: &ErrorCondition) -> Result<Condition, &'static str> {
    let mut tests: Vec<Test> = Vec::new();
    tests.extend(when.equals.clone().map(|text| Test::In(vec![text])));
    tests.extend((!when.r#in.is_empty()).then(|| Test::In(when.r#in.clone())));
    tests.extend(when.exists.map(Test::Exists));
    tests.extend(when.contains.clone().map(Test::Contains));
    let body = match (&when.pointer, tests.pop(), tests.is_empty()) {
        (None, None, _) => None,
        (Some(pointer), Some(test), true) => Some(BodyTest { pointer: pointer.clone(), test }),
        _ => return Err("with pointer set exactly one of equals, in, exists and contains; without it none"),
    };
    if when.statuses.is_empty() && body.is_none() && when.header.is_none() {
        return Err("set statuses, pointer or header: a rule for every answer would leave none that is good");
    }
    let header = when.header.as_ref();
    Ok(Condition {
        statuses: when.statuses.clone(),
        body,
        header: header.map(|header| HeaderTest { name: header.name.clone(), contains: header.contains.clone() }),
        operations: when.operations.clone(),
        streams: when.streams.clone(),
    })
}

fn meaning(means: ErrorMeaning) -> Meaning {
    match means {
        ErrorMeaning::Success => Meaning::Success,
        ErrorMeaning::Ignore => Meaning::Ignore,
        ErrorMeaning::Retry => Meaning::Retry,
        ErrorMeaning::RateLimited => Meaning::RateLimited,
        ErrorMeaning::CredentialsRejected => Meaning::CredentialsRejected,
        ErrorMeaning::RecordFailure => Meaning::RecordFailure,
        ErrorMeaning::SystemFailure => Meaning::SystemFailure,
        ErrorMeaning::Unsupported => Meaning::Unsupported,
    }
}

fn retry_after(spec: &SpecRetryAfter) -> Result<RetryAfter, &'static str> {
    let at = match (&spec.header, &spec.pointer) {
        (Some(header), None) => Place::Header(header.clone()),
        (None, Some(pointer)) => Place::Pointer(pointer.clone()),
        (Some(_), Some(_)) | (None, None) => return Err("set exactly one of header and pointer"),
    };
    Ok(RetryAfter { at, format: format(spec.format) })
}

/// A way of writing waits, as plans have it.
pub(super) fn format(format: SpecFormat) -> WaitFormat {
    match format {
        SpecFormat::Seconds => WaitFormat::Seconds,
        SpecFormat::Milliseconds => WaitFormat::Milliseconds,
        SpecFormat::EpochSeconds => WaitFormat::EpochSeconds,
        SpecFormat::EpochMilliseconds => WaitFormat::EpochMilliseconds,
        SpecFormat::HttpDate => WaitFormat::HttpDate,
        SpecFormat::Rfc3339 => WaitFormat::Rfc3339,
    }
}
