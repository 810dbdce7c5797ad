//! On whose behalf calls are made: known to the task that makes them, so that nothing between it and the vendor's client has to pass it on.

use tokio::task::futures::TaskLocalFuture;

use crate::{lane::Lane, store::Claimed};

tokio::task_local! {
    static CALLER: Caller;
}

/// On whose behalf a call is made.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// Name of the flow.
    pub flow: Option<String>,
    /// Key of the record.
    pub key: Option<String>,
    /// Which attempt of it, from 1 on.
    pub attempt: Option<u32>,
    /// How many records, where they are several.
    pub records: Option<u32>,
}

impl Caller {
    /// A flow that reads.
    pub fn flow(lane: &Lane) -> Self {
        Self { flow: Some(lane.flow.name.clone()), ..Self::default() }
    }

    /// A record that is carried.
    pub fn record(lane: &Lane, claimed: &Claimed) -> Self {
        let failures = &claimed.facts.failures;
        let attempt = failures.attempts.saturating_add(failures.unjudged).saturating_add(1);
        Self { key: Some(claimed.key.clone()), attempt: Some(attempt), ..Self::flow(lane) }
    }

    /// Records that are carried together.
    pub fn records(lane: &Lane, records: &[Box<Claimed>]) -> Self {
        match records {
            [one] => Self::record(lane, one),
            many => Self { records: u32::try_from(many.len()).ok(), ..Self::flow(lane) },
        }
    }

    /// Whoever makes calls in this task now; nobody in particular outside of [`makes`](Self::makes).
    pub fn present() -> Self {
        CALLER.try_with(Clone::clone).unwrap_or_default()
    }

    /// Does something on this one's behalf.
    pub fn makes<F: Future>(self, calls: F) -> TaskLocalFuture<Self, F> {
        CALLER.scope(self, calls)
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join;

    use super::*;

    fn of(flow: &str) -> Caller {
        Caller { flow: Some(flow.into()), ..Caller::default() }
    }

    async fn present() -> Option<String> {
        tokio::task::yield_now().await;
        Caller::present().flow
    }

    #[tokio::test]
    async fn each_of_several_that_call_at_once_in_one_task_is_known_and_nobody_afterwards() {
        let (one, other) = join(of("orders").makes(present()), of("refunds").makes(present())).await;
        assert_eq!((one.as_deref(), other.as_deref()), (Some("orders"), Some("refunds")));
        let nested = of("orders").makes(async { (of("inner").makes(present()).await, present().await) }).await;
        assert_eq!((nested.0.as_deref(), nested.1.as_deref()), (Some("inner"), Some("orders")));
        assert_eq!(present().await, None);
    }
}
