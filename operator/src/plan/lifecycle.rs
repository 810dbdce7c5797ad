//! What is said of the version of a vendor's API: on the Connector, from what workers heard and what the vendor's calendar says; on the Integration, from
//! what its two Connectors say. Derived from facts each time. Word of the vendor that nobody repeats at the moment, because no worker runs, stands until
//! a worker says otherwise or another version is asked for.

use std::cmp::Reverse;

use crosstie_crds::{
    Connector, ConnectorStatus,
    condition::{ConditionType, Reason},
    connector::{ApiVersionStatus, Lifecycle, LifecycleSource},
    integration::DriftStatus,
    sync_report::ApiReport,
};
use crosstie_engine::lifecycle::{Notice, Observed};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::conditions::Draft;

/// How long before a version's end people are told that it is near.
const NEAR: SignedDuration = SignedDuration::from_hours(90 * 24);

/// What a Connector's status says of its version: the words for people, and whether the vendor refused the version.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    /// For status.
    pub status: ApiVersionStatus,
    refused: bool,
    heard: bool,
}

/// Puts together what is known: of workers' reports those count that asked for this version.
pub fn word(
    requested: Option<&str>,
    before: Option<&ConnectorStatus>,
    reports: &[ApiReport],
    calendar: Option<Notice>,
    now: Timestamp,
) -> Word {
    let current = reports.iter().filter(|report| report.requested.as_deref() == requested);
    let mut heard: Vec<Observed> = current.map(observed).collect();
    if heard.is_empty() {
        heard.extend(before.and_then(|before| recalled(requested, before, now)));
    }
    let Observed { served, unsupported, notice } = Observed::worst(heard.iter().cloned(), requested);
    // The vendor's own word of the end wins over the calendar; what it leaves open the calendar fills in.
    let notice = match (notice, calendar) {
        (Some(said), Some(planned)) => Some(Notice { sunset_at: said.sunset_at.or(planned.sunset_at), ..said }),
        (said, planned) => said.or(planned),
    };
    let lifecycle = notice.map(|Notice { source, deprecated_at, sunset_at, link }| Lifecycle {
        deprecated_at: deprecated_at.map(Time),
        sunset_at: sunset_at.map(Time),
        source,
        link,
    });
    let status = ApiVersionStatus { requested: requested.map(str::to_owned), served, lifecycle };
    Word { status, refused: unsupported, heard: !heard.is_empty() }
}

fn observed(report: &ApiReport) -> Observed {
    Observed {
        served: report.served.clone(),
        unsupported: report.unsupported,
        notice: report.lifecycle.as_ref().map(notice),
    }
}

fn notice(lifecycle: &Lifecycle) -> Notice {
    let time = |time: &Option<Time>| time.as_ref().map(|time| time.0);
    Notice {
        source: lifecycle.source,
        deprecated_at: time(&lifecycle.deprecated_at),
        sunset_at: time(&lifecycle.sunset_at),
        link: lifecycle.link.clone(),
    }
}

/// What workers said of this version while they ran. The calendar is not a vendor's word and is asked again.
fn recalled(requested: Option<&str>, before: &ConnectorStatus, now: Timestamp) -> Option<Observed> {
    let version = before.api_version.as_ref().filter(|version| version.requested.as_deref() == requested)?;
    let said = version.lifecycle.as_ref().filter(|lifecycle| by_vendor(lifecycle)).map(notice);
    let condition = condition(before, ConditionType::VersionSupported);
    // The same is said of a version whose end has passed, which is no refusal.
    let ended =
        version.lifecycle.as_ref().and_then(|lifecycle| lifecycle.sunset_at.as_ref()).is_some_and(|at| at.0 <= now);
    let unsupported =
        !ended && condition.is_some_and(|condition| condition.reason == Reason::VersionUnsupported.as_str());
    let observed = Observed { served: version.served.clone(), unsupported, notice: said };
    (observed != Observed::default()).then_some(observed)
}

fn by_vendor(lifecycle: &Lifecycle) -> bool {
    lifecycle.source != LifecycleSource::VersionCalendar
}

fn condition(status: &ConnectorStatus, kind: ConditionType) -> Option<&Condition> {
    status.conditions.iter().find(|condition| condition.type_ == kind.as_str())
}

impl Word {
    /// The condition `VersionSupported`; none where no version is asked for and nothing is known of any.
    pub fn supported(&self, now: Timestamp) -> Option<Draft> {
        let kind = ConditionType::VersionSupported;
        let ApiVersionStatus { requested, served, lifecycle } = &self.status;
        if requested.is_none() && served.is_none() && lifecycle.is_none() && !self.refused {
            return None;
        }
        let version = requested.as_deref().map_or_else(|| "the API".to_owned(), |version| format!("version {version}"));
        let next = "try a newer one in spec.apiVersion of a Connector for a test account, then here";
        if self.refused {
            let message = format!(
                "the vendor refuses requests because it does not serve {version} any more: set spec.apiVersion to one it serves"
            );
            return Some(Draft::no(kind, Reason::VersionUnsupported, message));
        }
        if let Some(served) =
            served.as_ref().filter(|served| requested.as_ref().is_some_and(|requested| requested != *served))
        {
            let message = format!(
                "{version} is asked for and the vendor serves {served}: look at what changed between the two, then set spec.apiVersion to one it serves"
            );
            return Some(Draft::no(kind, Reason::OtherVersionServed, message));
        }
        let Some(lifecycle) = lifecycle else {
            return Some(if self.heard {
                Draft::yes(kind, Reason::VersionCurrent, format!("{version} is served and nothing says that it ends"))
            } else {
                Draft::unknown(kind, Reason::Starting, format!("no worker has called with {version} yet"))
            });
        };
        let told = told(&version, lifecycle, now);
        Some(match lifecycle.sunset_at.as_ref().map(|sunset| sunset.0) {
            Some(sunset) if sunset <= now => {
                let message = format!("{told}; the vendor may stop serving it at any moment: {next}");
                Draft::no(kind, Reason::VersionUnsupported, message)
            }
            Some(sunset) if sunset.duration_since(now) <= NEAR => {
                Draft::yes(kind, Reason::SunsetNear, format!("{told}: {next}"))
            }
            Some(_) | None if by_vendor(lifecycle) => {
                Draft::yes(kind, Reason::VersionDeprecated, format!("{told}: {next}"))
            }
            Some(_) | None => Draft::yes(kind, Reason::VersionCurrent, told),
        })
    }
}

/// What is known of a version's end, as a sentence without its full stop.
fn told(version: &str, lifecycle: &Lifecycle, now: Timestamp) -> String {
    let mut parts = Vec::new();
    match lifecycle.deprecated_at.as_ref().map(|at| at.0) {
        Some(at) if at <= now => parts.push(format!("deprecated since {}", day(at))),
        Some(at) => parts.push(format!("to be deprecated on {}", day(at))),
        None if by_vendor(lifecycle) => parts.push("deprecated".to_owned()),
        None => {}
    }
    if let Some(at) = lifecycle.sunset_at.as_ref().map(|at| at.0) {
        let verb = if at <= now { "ended" } else { "ends" };
        parts.push(format!("{verb} on {}", day(at)));
    }
    let says = match lifecycle.source {
        LifecycleSource::SunsetHeader => "says the Sunset header of its answers",
        LifecycleSource::DeprecationHeader => "says the Deprecation header of its answers",
        LifecycleSource::VendorHeader => "says a header of its answers",
        LifecycleSource::WarningHeader => "says a Warning header of its answers",
        LifecycleSource::VersionCalendar => "says the vendor's calendar of versions",
    };
    let link = lifecycle.link.as_ref().map(|link| format!(", see {link}")).unwrap_or_default();
    // An endpoint may be deprecated while its version is not; headers do not tell the two apart.
    let what = if by_vendor(lifecycle) { format!("{version}, or something asked of it,") } else { version.to_owned() };
    let is =
        if parts.first().is_some_and(|part| part.starts_with("ende") || part.starts_with("ends")) { "" } else { "is " };
    format!("{what} {is}{}, {says}{link}", parts.join(" and "))
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

/// How a version stands, from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Current,
    Unheard,
    Deprecated,
    SunsetNear,
    OtherServed,
    Unsupported,
}

impl Standing {
    const ALL: [Self; 6] =
        [Self::Current, Self::Unheard, Self::Deprecated, Self::SunsetNear, Self::OtherServed, Self::Unsupported];

    /// The reason by which `VersionSupported` says it.
    fn reason(self) -> Reason {
        match self {
            Self::Current => Reason::VersionCurrent,
            Self::Unheard => Reason::Starting,
            Self::Deprecated => Reason::VersionDeprecated,
            Self::SunsetNear => Reason::SunsetNear,
            Self::OtherServed => Reason::OtherVersionServed,
            Self::Unsupported => Reason::VersionUnsupported,
        }
    }
}

/// The Integration's condition `ApiVersionCurrent`, and the change that comes next. `ends` are the two Connectors' names and objects.
pub fn current(ends: [(&str, Option<&Connector>); 2]) -> (Draft, Option<DriftStatus>) {
    let kind = ConditionType::ApiVersionCurrent;
    let said = ends.into_iter().filter_map(|(name, connector)| End::of(name, connector?.status.as_ref()?));
    let mut said: Vec<End<'_>> = said.collect();
    // Worst first; of two that are as bad the one that ends first.
    said.sort_by_key(|end| (Reverse(end.standing), end.sunset().is_none(), end.sunset()));
    let Some(worst) = said.first() else {
        let message = "nothing is known of the versions of the two Connectors' APIs";
        return (Draft::yes(kind, Reason::VersionCurrent, message), None);
    };
    let (reason, message) = (worst.standing.reason(), format!("Connector {}: {}", worst.name, worst.message));
    let draft = match worst.standing {
        Standing::Current => Draft::yes(kind, reason, message),
        Standing::Unheard => Draft::unknown(kind, reason, message),
        Standing::Deprecated | Standing::SunsetNear | Standing::OtherServed | Standing::Unsupported => {
            Draft::no(kind, reason, message)
        }
    };
    let drift = said.iter().find_map(|end| Some((end.name, end.summary()?)));
    (draft, drift.map(|(connector, summary)| DriftStatus { summary, connector: connector.to_owned() }))
}

/// What one Connector's status says.
struct End<'a> {
    name: &'a str,
    version: Option<&'a ApiVersionStatus>,
    standing: Standing,
    message: &'a str,
}

impl<'a> End<'a> {
    fn of(name: &'a str, status: &'a ConnectorStatus) -> Option<Self> {
        let condition = condition(status, ConditionType::VersionSupported)?;
        let standing = Standing::ALL.into_iter().find(|standing| standing.reason().as_str() == condition.reason)?;
        Some(Self { name, version: status.api_version.as_ref(), standing, message: &condition.message })
    }

    fn sunset(&self) -> Option<Timestamp> {
        self.version?.lifecycle.as_ref()?.sunset_at.as_ref().map(|at| at.0)
    }

    /// The column DRIFT. Days are named as days: a count of them would be written anew every day.
    fn summary(&self) -> Option<String> {
        let sunset = self.sunset().map(|at| format!("Sunset {}", day(at)));
        match self.standing {
            Standing::OtherServed => Some(format!("Serves {}", self.version?.served.as_ref()?)),
            Standing::Unsupported => Some("Unsupported".to_owned()),
            Standing::Deprecated => Some(sunset.unwrap_or_else(|| "Deprecated".to_owned())),
            Standing::Current | Standing::Unheard | Standing::SunsetNear => sunset,
        }
    }
}

#[cfg(test)]
#[path = "lifecycle_tests.rs"]
mod tests;
