//! An SQS queue of changes, asked as the operator itself.

use std::{sync::Arc, time::Duration};

use aws_config::{Region, timeout::TimeoutConfig};
use aws_sdk_sqs::{
    Client,
    config::Builder,
    error::{ProvideErrorMetadata, SdkError},
};
use tokio::sync::OnceCell;

use super::{SecretsManager, faults::root_cause};
use crate::vault::push::{Message, Queue, QueueFault};

/// How long a message is hidden after it was received: longer than reading a secret and writing status take, also while AWS throttles.
pub const VISIBILITY: Duration = Duration::from_mins(2);
/// How long a call waits for a message; the longest that SQS takes.
const WAIT_SECONDS: i32 = 20;
/// How many messages a call brings; the most that SQS gives.
const MOST_AT_ONCE: i32 = 10;
/// How long one call may take, the wait for messages included.
const CALL_TIMEOUT: Duration = Duration::from_secs(40);
/// How long a message that nobody understands is hidden: long enough to cost nothing, short enough for the queue's redrive policy to end it.
const ASIDE_SECONDS: i32 = 60 * 60;

/// A queue.
pub struct ChangeQueue {
    vault: Arc<SecretsManager>,
    url: String,
    visibility: Duration,
    client: OnceCell<Client>,
}

impl ChangeQueue {
    /// The queue at a URL, asked with the same credentials as secrets are.
    pub fn new(vault: Arc<SecretsManager>, url: &str, visibility: Duration) -> Self {
        Self { vault, url: url.to_owned(), visibility, client: OnceCell::new() }
    }

    async fn client(&self) -> &Client {
        self.client
            .get_or_init(|| async {
                let config = self.vault.config().await;
                let timeouts =
                    TimeoutConfig::builder().operation_timeout(CALL_TIMEOUT).operation_attempt_timeout(CALL_TIMEOUT);
                let mut builder = Builder::from(config).timeout_config(timeouts.build());
                if let Some(region) = region_of(&self.url) {
                    builder = builder.region(Region::new(region.to_owned()));
                }
                Client::from_conf(builder.build())
            })
            .await
    }

    fn fault<E>(&self, what: &str, error: &SdkError<E>) -> QueueFault
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
    {
        let detail = match error.as_service_error() {
            Some(service) => {
                format!("{}: {}", service.code().unwrap_or("unknown error"), service.message().unwrap_or_default())
            }
            None => root_cause(error),
        };
        QueueFault(format!("the queue {} could not be {what}, {detail}", self.url))
    }
}

impl Queue for ChangeQueue {
    async fn receive(&self) -> Result<Vec<Message>, QueueFault> {
        let request = self.client().await.receive_message().queue_url(&self.url);
        let request = request.max_number_of_messages(MOST_AT_ONCE).wait_time_seconds(WAIT_SECONDS);
        let visibility = i32::try_from(self.visibility.as_secs()).unwrap_or(i32::MAX);
        let outcome = request.visibility_timeout(visibility).send().await;
        self.vault.metrics.aws_call("ReceiveMessage", outcome.is_ok());
        let messages = outcome.map_err(|error| self.fault("read", &error))?.messages.unwrap_or_default();
        let complete = messages.into_iter().filter_map(|message| {
            Some(Message { receipt: message.receipt_handle?, body: message.body.unwrap_or_default() })
        });
        Ok(complete.collect())
    }

    async fn delete(&self, receipt: &str) -> Result<(), QueueFault> {
        let request = self.client().await.delete_message().queue_url(&self.url).receipt_handle(receipt);
        let outcome = request.send().await;
        self.vault.metrics.aws_call("DeleteMessage", outcome.is_ok());
        outcome.map(drop).map_err(|error| self.fault("relieved of a message", &error))
    }

    async fn set_aside(&self, receipt: &str) -> Result<(), QueueFault> {
        let request = self.client().await.change_message_visibility().queue_url(&self.url).receipt_handle(receipt);
        let outcome = request.visibility_timeout(ASIDE_SECONDS).send().await;
        self.vault.metrics.aws_call("ChangeMessageVisibility", outcome.is_ok());
        outcome.map(drop).map_err(|error| self.fault("told to set a message aside", &error))
    }

    fn hidden(&self) -> Duration {
        self.visibility
    }

    async fn region(&self) -> Option<String> {
        self.vault.config().await.region().map(ToString::to_string)
    }
}

/// The region in a queue's URL, such as `https://sqs.eu-west-1.amazonaws.com/123456789012/name`; none in an emulator's.
fn region_of(url: &str) -> Option<&str> {
    let host = url.split_once("://")?.1.split(['/', ':']).next()?;
    let mut labels = host.split('.');
    if labels.next()? != "sqs" || !host.contains("amazonaws.com") {
        return None;
    }
    labels.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_asked_in_its_own_region() {
        assert_eq!(region_of("https://sqs.eu-west-1.amazonaws.com/123456789012/changes"), Some("eu-west-1"));
        assert_eq!(region_of("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/changes"), Some("cn-north-1"));
        assert_eq!(region_of("http://127.0.0.1:4566/000000000000/changes"), None);
    }
}
