//! Limits and what may be kept, checked and resolved.

use crosstie_crds::connector::{Cache as SpecCache, RateLimit};

use super::{
    Findings,
    connector::{Names, Resolved},
    errors,
};
use crate::plan::{Allowance, Cache, Cost, Daily, Endpoint, RateHeaders, RateRules, ResetHeader, Restore};

/// Memory that kept answers take when nothing is said, in MiB.
const DEFAULT_CACHE_MIB: u32 = 16;

impl Resolved {
    /// The limits beside the whole allowance.
    pub(super) fn rate_rules(&self, rate: &RateLimit, findings: &mut Findings) -> RateRules {
        let base = self.system.base_url.path().trim_end_matches('/').to_owned();
        let endpoints = rate.endpoints.iter().map(|endpoint| {
            let at = format!("spec.rateLimit.endpoints[{}].paths", endpoint.name);
            let paths = self.patterns(&at, &endpoint.paths, findings);
            Endpoint {
                name: endpoint.name.clone(),
                methods: endpoint.methods.clone(),
                paths: paths.into_iter().map(|path| format!("{base}{path}")).collect(),
                allowance: Allowance {
                    requests: endpoint.requests,
                    per_seconds: endpoint.per_seconds,
                    concurrency: endpoint.concurrency.unwrap_or(self.system.allowance.concurrency),
                },
            }
        });
        let endpoints = endpoints.collect();
        let daily = rate.daily.as_ref().and_then(|daily| {
            let reset_minute = minute(daily.reset_at.as_deref().unwrap_or("00:00"));
            if reset_minute.is_none() {
                findings.invalid("spec.rateLimit.daily.resetAt", "write a time of day in UTC such as 07:00");
            }
            Some(Daily { requests: daily.requests, reset_minute: reset_minute? })
        });
        let cost = rate.cost.as_ref().and_then(|cost| {
            let restore = match (&cost.restore_pointer, cost.restore_per_second) {
                (Some(pointer), None) => Restore::Pointer(pointer.clone()),
                (None, Some(points)) => Restore::PerSecond(points),
                (Some(_), Some(_)) | (None, None) => {
                    findings.invalid("spec.rateLimit.cost", "set exactly one of restorePointer and restorePerSecond");
                    return None;
                }
            };
            Some(Cost { requested: cost.requested.clone(), remaining: cost.remaining.clone(), restore })
        });
        let headers = rate.headers.as_ref().map(|headers| {
            if headers.remaining.is_some() == headers.used.is_some() {
                findings.invalid("spec.rateLimit.headers", "set exactly one of remaining and used");
            }
            let reset = headers.reset.as_ref();
            RateHeaders {
                limit: headers.limit.clone(),
                remaining: headers.remaining.clone(),
                used: headers.used.clone(),
                reset: reset
                    .map(|reset| ResetHeader { header: reset.header.clone(), format: errors::format(reset.format) }),
            }
        });
        RateRules { endpoints, daily, cost, headers }
    }

    /// What may be kept for a while.
    pub(super) fn cache(&self, cache: &SpecCache, findings: &mut Findings) -> Cache {
        Cache {
            ttl_seconds: cache.ttl_seconds,
            paths: self.patterns("spec.cache.paths", &cache.paths, findings),
            max_mib: cache.max_mib.unwrap_or(DEFAULT_CACHE_MIB),
        }
    }

    fn patterns(&self, at: &str, paths: &[String], findings: &mut Findings) -> Vec<String> {
        let bound = paths.iter().filter_map(|path| self.bound(at, path, Names::Version, findings));
        bound.map(|path| path.to_string()).collect()
    }
}

fn minute(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}
