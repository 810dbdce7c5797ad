//! The API as the API server enforces it, on etcd and API server alone: every definition is accepted (its CEL within the cost budget), bad specs are
//! refused with a sentence that says what to do, and every field explains itself.

use anyhow::{Context as _, Result, bail, ensure};
use crosstie_tests::{
    cluster::{Cluster, repository},
    kubectl::Kubectl,
    wait::{Seen, until},
};
use serde_json::{Value, json};

/// `kubectl` for a cluster that has the definitions.
async fn kubectl() -> Result<Kubectl> {
    let kubectl = Kubectl::new(&Cluster::find().await?);
    let folder = repository().join("crds/generated");
    let folder = folder.to_str().context("a path that is no text")?;
    kubectl.run(&["apply", "--server-side", "-f", folder]).await?;
    until("the definitions are established", async || {
        let listed = kubectl.run(&["get", "connectors,integrations,syncreports", "-A"]).await;
        Ok(listed.map_or_else(|error| Seen::NotYet(format!("{error:#}")), |_| Seen::Yes(())))
    })
    .await?;
    Ok(kubectl)
}

fn example(file: &str) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(repository().join("examples/orders").join(file))?;
    let documents = text.split("\n---\n").map(serde_saphyr::from_str::<Value>);
    let mut documents = documents.collect::<Result<Vec<_>, _>>()?;
    for document in &mut documents {
        document["metadata"]["namespace"] = json!("default");
    }
    Ok(documents)
}

fn integration() -> Result<Value> {
    example("integration.yaml")?.pop().context("no integration")
}

fn connector() -> Result<Value> {
    Ok(example("connectors.yaml")?.remove(0))
}

fn with(mut object: Value, pointer: &str, value: Value) -> Result<Value> {
    let (parent, name) = pointer.rsplit_once('/').context("no pointer")?;
    object.pointer_mut(parent).context("nothing there")?[name] = value;
    Ok(object)
}

/// Applies without storing anything, and gives what the API server said against it.
async fn refusal(kubectl: &Kubectl, object: &Value) -> Result<String> {
    let path = std::env::temp_dir().join(format!(
        "crosstie-api-{}-{:?}.json",
        std::process::id(),
        std::thread::current().id()
    ));
    std::fs::write(&path, object.to_string())?;
    let applied = kubectl.run(&["apply", "--dry-run=server", "-f", &path.to_string_lossy()]).await;
    std::fs::remove_file(&path)?;
    match applied {
        Ok(said) => bail!("it was accepted: {said}\n{object}"),
        Err(error) => Ok(format!("{error:#}")),
    }
}

#[tokio::test]
async fn the_example_is_accepted_and_nothing_is_added_to_it() -> Result<()> {
    let kubectl = kubectl().await?;
    let mut all = example("connectors.yaml")?;
    all.extend(example("integration.yaml")?);
    for object in &all {
        let said = kubectl.apply(&object.to_string()).await?;
        ensure!(!said.contains("Warning"), "{said}");
    }
    let name = integration()?["metadata"]["name"].as_str().context("no name")?.to_owned();
    let stored = kubectl.get("default", "integration", &name).await?.context("it is gone")?;
    let mut wanted = integration()?["spec"].clone();
    wanted["suspend"] = json!(false);
    ensure!(stored["spec"] == wanted, "a GitOps tool would see a difference: {}", stored["spec"]);
    Ok(())
}

#[tokio::test]
async fn a_bad_connector_is_refused_with_what_to_do() -> Result<()> {
    let kubectl = kubectl().await?;
    let header = json!({"header": {"name": "a", "value": "b"}, "bearer": {"token": "c"}});
    let cases = [
        ("/spec/baseURL", json!("acme.myshopify.com"), "write baseURL as an absolute URL"),
        ("/spec/baseURL", json!("https://user@acme.myshopify.com"), "write baseURL as an absolute URL"),
        ("/spec/baseURL", json!("ftp://acme.myshopify.com"), "write baseURL as an absolute URL"),
        ("/spec/baseURL", json!("smtp://user@mail.example.com"), "write baseURL as an absolute URL"),
        ("/spec/credentials", json!({}), "set exactly one of awsSecretsManager and secretRef"),
        (
            "/spec/credentials/awsSecretsManager/roleARN",
            json!("arn:aws:iam::123456789012:user/somebody"),
            "write roleARN as the ARN of an IAM role",
        ),
        (
            "/spec/credentials/awsSecretsManager/roleARN",
            json!("arn:aws:iam::1234:role/crosstie-shop"),
            "write roleARN as the ARN of an IAM role",
        ),
        ("/spec/auth", header, "set exactly one of header, bearer, basic, query, oauth1"),
        ("/spec/auth", json!({}), "set exactly one of header, bearer, basic, query, oauth1"),
        ("/spec/rateLimit", json!({"requests": 5}), "set rateLimit.requests and rateLimit.perSeconds together"),
        ("/spec/rateLimit", json!({"concurrency": 0}), "should be greater than or equal to 1"),
        ("/spec/apiVersion", json!("2026 07"), "should match"),
        ("/spec/streams", json!([{"name": "a"}, {"name": "a"}]), "Duplicate value"),
        (
            "/spec/streams",
            json!([{"name": "a", "pagination": {}}]),
            "set exactly one of linkHeader, cursor, offset, page, nextURL and deltaLink",
        ),
        ("/spec/streams", json!([{"name": "a", "path": "orders"}]), "should match '^/'"),
        (
            "/spec/operations",
            json!([{"name": "a", "identifier": {}}]),
            "set exactly one of pointer and header under identifier",
        ),
        (
            "/spec/operations",
            json!([{"name": "a", "batch": {"maxRecords": 5, "path": "/x", "method": "DELETE"}}]),
            "set batch.method to POST, PUT or PATCH",
        ),
        (
            "/spec/operations",
            json!([{"name": "a", "batch": {"maxRecords": 1, "path": "/x"}}]),
            "should be greater than or equal to 2",
        ),
        ("/spec/webhooks", json!({"verify": {}}), "set exactly one of hmac, standardWebhooks and token"),
        ("/spec/webhooks", json!({"eventId": {}}), "set exactly one of header and pointer"),
        (
            "/spec/webhooks",
            json!({"routes": [{"topics": ["x"], "stream": "s", "record": "/a", "key": "/b"}]}),
            "set record where events carry the record, or key",
        ),
        ("/spec/streams", json!([{"name": "a", "one": {"path": "/x"}}]), "put {key} into the path or the query of one"),
        ("/metadata/name", json!("a".repeat(60)), "at most 52 characters"),
    ];
    for (pointer, value, expected) in cases {
        let said = refusal(&kubectl, &with(connector()?, pointer, value.clone())?).await?;
        ensure!(said.contains(expected), "{pointer} = {value}: {said}");
    }
    let mut bare = connector()?;
    bare["spec"].as_object_mut().context("no spec")?.remove("preset");
    let said = refusal(&kubectl, &bare).await?;
    ensure!(said.contains("set spec.preset (for example Shopify), or describe the system yourself"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_bad_integration_is_refused_with_what_to_do() -> Result<()> {
    let kubectl = kubectl().await?;
    let flow = integration()?["spec"]["flows"][0].clone();
    let cases = [
        ("/spec/flows", json!([flow, flow]), "Duplicate value"),
        ("/spec/alerts", json!([{"name": "ops"}]), "set exactly one of slack, email and webhook in each alert"),
        (
            "/spec/alerts",
            json!([{"name": "ops", "email": {"connectorRef": {"name": "mail"}, "from": "Ops <ops@example.com>", "to": ["a@b.c"]}}]),
            "should match",
        ),
        ("/spec/flows", json!([]), "should have at least 1 items"),
        ("/spec/flows/0/triggers", json!([{}]), "set exactly one of everySeconds, cron and webhook"),
        ("/spec/flows/0/triggers", json!([{"everySeconds": 0}]), "should be greater than or equal to 1"),
        ("/spec/receiver", json!({"ingress": {}}), "set receiver.host"),
        ("/spec/receiver", json!({"maxBodyBytes": 5}), "should be greater than or equal to 1024"),
        ("/spec/flows/0/startFrom", json!("yesterday"), "set startFrom to Now, Beginning, or a time"),
        ("/spec/flows/0/name", json!("Orders"), "should match"),
        ("/spec/flows/0/map", json!({}), "should have at least 1 properties"),
        ("/spec/flows/0/map", json!({"a": "x".repeat(5000)}), "may not be more than 4096"),
        ("/spec/flows/0/onUnknownOutcome", json!("Guess"), "supported values: \"Hold\", \"Resend\""),
        ("/spec/flows/0/onWhenFalse", json!("Delete"), "set write.deleteOperation"),
        ("/spec/flows/0/onWhenFalse", json!("Forget"), "supported values: \"Ignore\", \"Delete\", \"Update\""),
        ("/spec/flows/0/dependsOn", json!({"flow": "orders", "key": "record.id"}), "a flow cannot wait for itself"),
        ("/spec/flows/0/ownership", json!({}), "name fields in destinationOwned or in createOnly"),
        (
            "/spec/flows/0/ownership",
            json!({"destinationOwned": ["memo"], "createOnly": ["entity", "memo"]}),
            "name each field in one of destinationOwned and createOnly, not in both",
        ),
        ("/spec/flows/0/write/batchSize", json!(0), "should be greater than or equal to 1"),
        (
            "/spec/errorPolicy/backoff",
            json!({"initialSeconds": 60, "maxSeconds": 5}),
            "set backoff.maxSeconds to at least",
        ),
        ("/spec/state", json!({}), "set state.embedded"),
        ("/spec/state", json!({"embedded": {"storage": "lots"}}), "should match"),
        ("/spec/workers", json!({"resources": {"limits": {"memory": "many"}}}), "should match"),
        ("/spec/flow", json!("typo"), "unknown field"),
    ];
    for (pointer, value, expected) in cases {
        let said = refusal(&kubectl, &with(integration()?, pointer, value.clone())?).await?;
        ensure!(said.contains(expected), "{pointer} = {value}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn constant_members_of_a_batch_are_kept_whatever_their_type() -> Result<()> {
    let kubectl = kubectl().await?;
    let fields = json!({"allOrNone": false, "options": {"mode": ["fast", 1]}, "count": 3});
    let batch = json!({"maxRecords": 200, "path": "/batch", "records": "/records", "fields": fields});
    let mut connector = with(connector()?, "/spec/operations", json!([{"name": "a", "batch": batch}]))?;
    connector["metadata"]["name"] = json!("batches");
    kubectl.apply(&connector.to_string()).await?;
    let stored = kubectl.get("default", "connector", "batches").await?.context("it is gone")?;
    let kept = &stored["spec"]["operations"][0]["batch"]["fields"];
    ensure!(*kept == fields, "{kept}");
    Ok(())
}

#[tokio::test]
async fn every_kind_explains_itself_and_is_found_by_its_short_names_and_category() -> Result<()> {
    let kubectl = kubectl().await?;
    for kind in ["connector", "integration", "syncreport"] {
        // What a kind says of itself is published a moment after it is served.
        until(&format!("{kind} explains itself"), async || {
            let text = kubectl.run(&["explain", kind, "--recursive"]).await?;
            Ok(if text.contains("FIELDS") { Seen::Yes(()) } else { Seen::NotYet(text) })
        })
        .await?;
    }
    let text = kubectl.run(&["explain", "connector.spec.streams.cursor.lookbackSeconds"]).await?;
    ensure!(text.contains("in seconds") && text.contains("300 when left out"), "{text}");
    for names in ["conn", "integ", "syncr", "crosstie"] {
        kubectl.run(&["get", names, "-A"]).await?;
    }
    Ok(())
}
