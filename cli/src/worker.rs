//! The way to an Integration's worker: the API server forwards a connection to the loopback address of its pod.

use anyhow::{Context as _, Result, bail};
use crosstie_crds::{
    calls::{Call, Calls},
    letters::{Event, Events, Fate, Fates, Ids, Letter, Letters, MOST, PORT},
    names::LABEL_INTEGRATION,
    resync::{Answer, Ask},
};
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, body::Bytes, client::conn::http1::SendRequest, header};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Portforwarder};
use serde::{Serialize, de::DeserializeOwned};

use crate::cluster::Of;

/// A connection to a worker.
pub(crate) struct Worker {
    sender: SendRequest<Full<Bytes>>,
    _forwarder: Portforwarder,
}

impl Worker {
    /// Connects to the worker of an Integration.
    pub(crate) async fn reach(of: &Of) -> Result<Self> {
        let (pods, integration) = (of.objects::<Pod>().await?, &of.name);
        let labels = ListParams::default().labels(&format!("{LABEL_INTEGRATION}={integration}"));
        let found = pods.list(&labels).await.context("cannot list the pods of the Integration")?;
        // One that is not at work, because its credentials are missing for example, shows them too.
        let chosen = found.items.iter().filter(|pod| may_run(pod)).max_by_key(|pod| runs(pod));
        let Some((name, runs)) = chosen.and_then(|pod| Some((pod.metadata.name.clone()?, runs(pod)))) else {
            bail!("{}", none_runs(integration));
        };
        let refused = || {
            if runs {
                format!("cannot connect to the pod {name}: this takes the rights to get and create pods/portforward")
            } else {
                none_runs(integration)
            }
        };
        let mut forwarder = pods.portforward(&name, &[PORT]).await.with_context(refused)?;
        let stream = forwarder.take_stream(PORT).context("the API server forwarded nothing")?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // A connection that ends is said by the request that needs it.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender, _forwarder: forwarder })
    }

    /// All its dead letters, without payloads.
    pub(crate) async fn letters(&mut self) -> Result<Vec<Letter>> {
        let mut letters: Vec<Letter> = Vec::new();
        loop {
            let after = letters.last().map_or(0, |letter| letter.id);
            let page: Letters = self.get(&format!("/letters?after={after}&limit={MOST}")).await?;
            let is_last = page.letters.len() < MOST;
            letters.extend(page.letters);
            if is_last {
                return Ok(letters);
            }
        }
    }

    /// The newest events that webhooks brought, so many at most.
    pub(crate) async fn events(&mut self, most: usize) -> Result<Vec<Event>> {
        let mut events: Vec<Event> = Vec::new();
        while events.len() < most {
            let before = events.last().map_or(i64::MAX, |event| event.number);
            let limit = MOST.min(most - events.len());
            let page: Events = self.get(&format!("/events?before={before}&limit={limit}")).await?;
            let is_last = page.events.len() < limit;
            events.extend(page.events);
            if is_last {
                break;
            }
        }
        Ok(events)
    }

    /// The newest calls of those that a query asks for, so many at most, with what is known of the log as a whole.
    pub(crate) async fn calls(&mut self, query: &str, most: usize) -> Result<Calls> {
        let mut calls: Vec<Call> = Vec::new();
        let mut before = i64::MAX;
        loop {
            let limit = MOST.min(most - calls.len());
            let page: Calls = self.get(&format!("/calls?before={before}&limit={limit}{query}")).await?;
            calls.extend(page.calls);
            match page.next.filter(|next| *next < before && calls.len() < most) {
                Some(next) => before = next,
                None => return Ok(Calls { calls, ..page }),
            }
        }
    }

    /// One of the dead letters, whole.
    pub(crate) async fn letter(&mut self, id: i64) -> Result<Letter> {
        self.get(&format!("/letters/{id}")).await
    }

    /// Replays some. Says what became of each.
    pub(crate) async fn replay(&mut self, ids: &[i64]) -> Result<Vec<Fate>> {
        self.change("/letters/replay", ids).await
    }

    /// Drops some. Says what became of each.
    pub(crate) async fn discard(&mut self, ids: &[i64]) -> Result<Vec<Fate>> {
        self.change("/letters/drop", ids).await
    }

    /// Has flows read again. Says what became of each.
    pub(crate) async fn resync(&mut self, ask: &Ask) -> Result<Answer> {
        self.call(Method::POST, "/resync", Some(ask)).await
    }

    async fn change(&mut self, path: &str, ids: &[i64]) -> Result<Vec<Fate>> {
        let mut fates = Vec::with_capacity(ids.len());
        for some in ids.chunks(MOST) {
            let answer = self.call(Method::POST, path, Some(&Ids { ids: some.to_vec() })).await;
            let done = fates.len();
            let answer: Fates =
                answer.with_context(|| format!("{done} were done before; the same command does the rest"))?;
            fates.extend(answer.fates);
        }
        Ok(fates)
    }

    async fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T> {
        self.call(Method::GET, path, None::<&Ids>).await
    }

    async fn call<T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T> {
        let body = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))?;
        self.sender.ready().await.context("the worker does not take connections for people")?;
        let answer = self.sender.send_request(request).await.context("the worker did not answer")?;
        let status = answer.status();
        let body = answer.into_body().collect().await.context("the worker's answer broke off")?.to_bytes();
        if !status.is_success() {
            bail!("{}", String::from_utf8_lossy(&body).trim());
        }
        serde_json::from_slice(&body)
            .context("the worker answers something else: is it of another version than this program?")
    }
}

fn none_runs(integration: &str) -> String {
    format!(
        "no worker of the Integration {integration} runs, and only a worker can show what it keeps: \
         `kubectl crosstie status {integration}` says what is wrong"
    )
}

/// Whether a pod runs, by what its node said last.
fn runs(pod: &Pod) -> bool {
    phase(pod) == Some("Running")
}

/// Whether a pod runs or may do so by now: on a busy node seconds go by until it is said.
fn may_run(pod: &Pod) -> bool {
    let placed = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    pod.metadata.deletion_timestamp.is_none() && placed && matches!(phase(pod), Some("Running" | "Pending"))
}

fn phase(pod: &Pod) -> Option<&str> {
    pod.status.as_ref().and_then(|status| status.phase.as_deref())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::json;

    use super::*;

    fn pod(phase: &str, node: Option<&str>) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": phase}, "spec": {"containers": [], "nodeName": node}, "status": {"phase": phase}}))
            .unwrap()
    }

    #[test]
    fn a_pod_that_is_not_yet_said_to_run_is_asked_when_no_other_one_is() {
        let starting = pod("Pending", Some("node"));
        assert!(may_run(&starting) && !runs(&starting));
        assert!(runs(&pod("Running", Some("node"))));
        for other in [pod("Pending", None), pod("Succeeded", Some("node")), pod("Failed", Some("node"))] {
            assert!(!may_run(&other), "{other:?}");
        }
        let mut ending = starting;
        ending.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        assert!(!may_run(&ending));
    }
}
