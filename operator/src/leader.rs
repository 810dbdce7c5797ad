//! Leader election by a Lease. Every change is a replacement of the version that was read, so two replicas can never both take it;
//! a rival's lease ends by our own clock, so clocks need not agree; and whoever cannot renew in time stops by itself.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, api::PostParams};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// How long a lease is valid after it was renewed.
const DURATION: Duration = Duration::from_secs(15);
/// How often it is renewed, and looked at by those who wait.
const PERIOD: Duration = Duration::from_secs(5);
/// When a leader that cannot renew steps down: well before others may take over.
const DEADLINE: Duration = Duration::from_secs(10);
/// Wait after a failed call.
const RETRY: Duration = Duration::from_secs(1);

/// One replica's way to the Lease.
pub struct Election {
    leases: Api<Lease>,
    name: String,
    identity: String,
}

/// What a rival's Lease looked like and since when.
struct Rival {
    version: Option<String>,
    since: Instant,
}

impl Election {
    /// An election among the replicas that use this Lease.
    pub fn new(leases: Api<Lease>, name: String, identity: String) -> Self {
        Self { leases, name, identity }
    }

    /// Waits until this replica leads. Returns `false` when it is stopped before.
    pub async fn win(&self, stop: &CancellationToken) -> bool {
        let mut rival: Option<Rival> = None;
        loop {
            let wait = match self.try_take(&mut rival).await {
                Ok(true) => return true,
                Ok(false) => PERIOD,
                Err(error) => {
                    tracing::warn!(error = %error, lease = self.name, "the lease could not be asked for");
                    RETRY
                }
            };
            tokio::select! {
                () = stop.cancelled() => return false,
                () = sleep(wait) => {}
            }
        }
    }

    /// Renews the lease for as long as this replica leads. Returns when it is stopped (`true`) or has lost the lease (`false`).
    pub async fn hold(&self, stop: &CancellationToken) -> bool {
        let mut renewed = Instant::now();
        let mut wait = PERIOD;
        loop {
            tokio::select! {
                () = stop.cancelled() => return true,
                () = sleep(wait) => {}
            }
            let left = DEADLINE.saturating_sub(renewed.elapsed());
            match tokio::time::timeout(left, self.renew()).await {
                Ok(Ok(true)) => (renewed, wait) = (Instant::now(), PERIOD),
                Ok(Ok(false)) => {
                    tracing::error!(lease = self.name, "another replica has taken the lease");
                    return false;
                }
                Ok(Err(error)) if renewed.elapsed() < DEADLINE => {
                    tracing::warn!(error = %error, lease = self.name, "the lease could not be renewed; it is tried again");
                    wait = RETRY;
                }
                Ok(Err(_)) | Err(_) => {
                    tracing::error!(lease = self.name, "the lease could not be renewed in time");
                    return false;
                }
            }
        }
    }

    /// Gives the lease up, so that the next replica need not wait for its end.
    pub async fn release(&self) {
        let outcome: Result<(), kube::Error> = async {
            let Some(mut lease) = self.leases.get_opt(&self.name).await? else { return Ok(()) };
            let Some(spec) = lease.spec.as_mut().filter(|spec| holder(spec) == Some(&self.identity)) else {
                return Ok(());
            };
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
            self.leases.replace(&self.name, &PostParams::default(), &lease).await.map(drop)
        }
        .await;
        if let Err(error) = outcome {
            tracing::warn!(error = %error, lease = self.name, "the lease could not be given up; it ends by itself");
        }
    }

    async fn try_take(&self, rival: &mut Option<Rival>) -> Result<bool, kube::Error> {
        let Some(lease) = self.leases.get_opt(&self.name).await? else {
            let lease = Lease {
                metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
                spec: Some(taken(&LeaseSpec::default(), &self.identity, Timestamp::now())),
            };
            return won(self.leases.create(&PostParams::default(), &lease).await);
        };
        let spec = lease.spec.clone().unwrap_or_default();
        let version = lease.metadata.resource_version.clone();
        if rival.as_ref().is_none_or(|rival| rival.version != version) {
            *rival = Some(Rival { version, since: Instant::now() });
        }
        let unchanged_for = rival.as_ref().map_or(Duration::ZERO, |rival| rival.since.elapsed());
        if !is_free(&spec, &self.identity, unchanged_for) {
            return Ok(false);
        }
        let lease = Lease { spec: Some(taken(&spec, &self.identity, Timestamp::now())), ..lease };
        won(self.leases.replace(&self.name, &PostParams::default(), &lease).await)
    }

    async fn renew(&self) -> Result<bool, kube::Error> {
        let mut lease = self.leases.get(&self.name).await?;
        let Some(spec) = lease.spec.as_mut().filter(|spec| holder(spec) == Some(&self.identity)) else {
            return Ok(false);
        };
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        self.leases.replace(&self.name, &PostParams::default(), &lease).await.map(|_| true)
    }
}

/// A conflict means that another replica was faster.
fn won(outcome: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
    match outcome {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}

fn holder(spec: &LeaseSpec) -> Option<&String> {
    spec.holder_identity.as_ref().filter(|holder| !holder.is_empty())
}

/// Whether a lease may be taken: nobody holds it, we do (from before a restart), or it has not been renewed for as long as its holder
/// asked for.
fn is_free(spec: &LeaseSpec, identity: &str, unchanged_for: Duration) -> bool {
    let lasts = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
    holder(spec).is_none_or(|holder| holder == identity) || unchanged_for >= lasts.unwrap_or(DURATION)
}

fn taken(before: &LeaseSpec, identity: &str, now: Timestamp) -> LeaseSpec {
    let changes_hands = holder(before).is_none_or(|holder| holder != identity);
    LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
        acquire_time: Some(MicroTime(now)),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(before.lease_transitions.unwrap_or(0).saturating_add(i32::from(changes_hands))),
        ..LeaseSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_by(holder: &str) -> LeaseSpec {
        taken(&LeaseSpec::default(), holder, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_lease_that_is_renewed_is_not_taken() {
        assert!(!is_free(&held_by("other"), "me", Duration::from_secs(14)));
    }

    #[test]
    fn a_lease_that_is_no_longer_renewed_is_taken() {
        assert!(is_free(&held_by("other"), "me", DURATION));
    }

    #[test]
    fn a_lease_that_was_given_up_or_is_our_own_is_taken_at_once() {
        assert!(is_free(&held_by(""), "me", Duration::ZERO));
        assert!(is_free(&held_by("me"), "me", Duration::ZERO));
        assert!(is_free(&LeaseSpec::default(), "me", Duration::ZERO));
    }

    #[test]
    fn transitions_count_changes_of_hands_only() {
        let first = held_by("me");
        assert_eq!(taken(&first, "me", Timestamp::UNIX_EPOCH).lease_transitions, first.lease_transitions);
        assert_eq!(taken(&first, "other", Timestamp::UNIX_EPOCH).lease_transitions, Some(2));
    }

    #[test]
    fn a_leader_steps_down_before_others_may_take_over() {
        assert!(DEADLINE + PERIOD <= DURATION);
    }
}
