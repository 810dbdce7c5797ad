//! The AWS emulator: one MiniStack of a test's own on the loopback, which ends with the test, or the one of a cluster; and queues in it.

use std::{process::Stdio, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::{
    aws::{KEY_ID, REGION},
    cluster::cache,
    wait::{Seen, until},
};

/// A running emulator.
pub struct Emulator {
    url: String,
    _process: Option<Child>,
}

impl Emulator {
    /// The one at a URL, which somebody else started.
    pub fn at(url: &str) -> Self {
        Self { url: url.to_owned(), _process: None }
    }

    /// Starts one with these services, and waits until it answers.
    ///
    /// # Errors
    /// When it is not installed or never answers.
    pub async fn start(services: &str) -> Result<Self> {
        let program = cache()?.join("python/bin/ministack");
        ensure!(program.is_file(), "{} is not there: run make setup", program.display());
        let port = free_port().await?;
        let process = Command::new(&program)
            .env("SERVICES", services)
            .env("GATEWAY_PORT", port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let emulator = Self { url: format!("http://127.0.0.1:{port}"), _process: Some(process) };
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build()?;
        let health = format!("{}/_ministack/health", emulator.url);
        until("the AWS emulator answers", async || {
            let answer = http.get(&health).send().await?.status();
            Ok(if answer.is_success() { Seen::Yes(()) } else { Seen::NotYet(answer.to_string()) })
        })
        .await?;
        Ok(emulator)
    }

    /// Its endpoint.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Makes a queue that gets every event of AWS Secrets Manager through a rule of EventBridge, and gives its URL.
    ///
    /// # Errors
    /// When the emulator refuses.
    pub async fn queue_of_changes(&self, name: &str) -> Result<String> {
        let queue = self.call("sqs", "AmazonSQS.CreateQueue", &json!({"QueueName": name})).await?;
        let url = queue["QueueUrl"].as_str().context("the queue has no URL")?.to_owned();
        let asked = json!({"QueueUrl": url, "AttributeNames": ["QueueArn"]});
        let attributes = self.call("sqs", "AmazonSQS.GetQueueAttributes", &asked).await?;
        let arn = &attributes["Attributes"]["QueueArn"];
        ensure!(arn.is_string(), "the queue has no ARN: {attributes}");
        let rule = json!({"Name": name, "EventPattern": r#"{"source": ["aws.secretsmanager"]}"#});
        self.call("events", "AWSEvents.PutRule", &rule).await?;
        let target = json!({"Rule": name, "Targets": [{"Id": "queue", "Arn": arn}]});
        let put = self.call("events", "AWSEvents.PutTargets", &target).await?;
        ensure!(put["FailedEntryCount"] == 0, "the rule has no target: {put}");
        Ok(url)
    }

    /// Puts a message into a queue.
    ///
    /// # Errors
    /// When the emulator refuses.
    pub async fn send(&self, queue: &str, body: &str) -> Result<()> {
        self.call("sqs", "AmazonSQS.SendMessage", &json!({"QueueUrl": queue, "MessageBody": body})).await.map(drop)
    }

    /// How many messages a queue shows, and how many it hides because somebody works on them.
    ///
    /// # Errors
    /// When the emulator refuses.
    pub async fn messages(&self, queue: &str) -> Result<(u32, u32)> {
        let names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];
        let asked = json!({"QueueUrl": queue, "AttributeNames": names});
        let attributes = self.call("sqs", "AmazonSQS.GetQueueAttributes", &asked).await?;
        let [shown, hidden] = names.map(|name| {
            let text = attributes["Attributes"][name].as_str().context("a queue that does not count");
            text.and_then(|text| Ok(text.parse()?))
        });
        Ok((shown?, hidden?))
    }

    /// A call for which no client is worth building. The emulator checks no signature, and reads the region from its scope.
    async fn call(&self, service: &str, target: &str, body: &Value) -> Result<Value> {
        let scope = format!("{KEY_ID}/20260101/{REGION}/{service}/aws4_request");
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
        let request = http
            .post(format!("{}/", self.url))
            .header("authorization", format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"))
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", target)
            .body(body.to_string());
        let answer = request.send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{target} was answered {status}: {text}");
        Ok(if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? })
    }
}

async fn free_port() -> Result<u16> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.context("no free port")?;
    Ok(listener.local_addr()?.port())
}
