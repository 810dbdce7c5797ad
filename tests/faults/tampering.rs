//! Faults that no spec can cause, each in one namespace only: pods that are changed on their way into the cluster, reports that are refused, a worker
//! that stands still, a volume that is too small.

use anyhow::{Context as _, Result};
use crosstie_tests::{
    shop::Shop,
    wait::{Seen, until},
};
use serde_json::{Value, json};

/// An image that no node has.
const NO_IMAGE: &str = "crosstie/worker:none";
/// The worker's claim.
const CLAIM: &str = "orders-state";

/// A policy of admission that concerns a shop's namespace alone, and what binds it.
fn policy(shop: &Shop, kind: &str, rules: &Value, more: &Value, binding: &Value) -> Vec<Value> {
    let name = &shop.namespace;
    let mut spec = json!({
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [rules],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
        },
    });
    let mut bound = json!({"policyName": name});
    for (to, from) in [(&mut spec, more), (&mut bound, binding)] {
        if let (Some(to), Some(from)) = (to.as_object_mut(), from.as_object()) {
            to.extend(from.clone());
        }
    }
    let version = "admissionregistration.k8s.io/v1";
    vec![
        json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec}),
        json!({"apiVersion": version, "kind": format!("{kind}Binding"), "metadata": {"name": name}, "spec": bound}),
    ]
}

/// Workers' pods get an image that is nowhere.
fn without_image(shop: &Shop) -> Vec<Value> {
    let rules = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]});
    let expression = format!(r#"[JSONPatch{{op: "replace", path: "/spec/containers/0/image", value: "{NO_IMAGE}"}}]"#);
    let mutations = json!([{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}]);
    let more = json!({"reinvocationPolicy": "Never", "mutations": mutations});
    policy(shop, "MutatingAdmissionPolicy", &rules, &more, &json!({}))
}

/// Nobody can write a report.
fn without_reports(shop: &Shop) -> Vec<Value> {
    let rules = json!({
        "apiGroups": ["crosstie.dev"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": ["syncreports/status"],
    });
    let more = json!({"validations": [{"expression": "false", "message": "no reports here"}]});
    policy(shop, "ValidatingAdmissionPolicy", &rules, &more, &json!({"validationActions": ["Deny"]}))
}

async fn put_up(shop: &Shop, policy: &[Value]) -> Result<()> {
    shop.apply(&policy.iter().collect::<Vec<_>>()).await.map(drop)
}

async fn take_down(shop: &Shop, policy: &[Value]) -> Result<()> {
    for object in policy {
        let kind = object["kind"].as_str().unwrap_or_default();
        shop.world.kubectl.run(&["delete", kind, &shop.namespace, "--ignore-not-found"]).await?;
    }
    Ok(())
}

/// Ends the worker's pods, without waiting.
async fn end_pods(shop: &Shop) -> Result<()> {
    let end = ["-n", &shop.namespace, "delete", "pods", "-l", "crosstie.dev/integration=orders", "--wait=false"];
    shop.world.kubectl.run(&end).await.map(drop)
}

/// Waits until pods get the image that is nowhere, or no longer do: the API server takes a moment for a new policy.
async fn pods_are_changed(shop: &Shop, changed: bool) -> Result<()> {
    let container = json!({
        "name": "probe", "image": "probe",
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
    });
    let security = json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe", "namespace": shop.namespace},
        "spec": {"containers": [container], "securityContext": security},
    });
    let dry = ["create", "--dry-run=server", "-o", "json", "-f", "-"];
    until("the policy on pods counts", async || {
        let made = shop.world.kubectl.feed(&dry, &pod.to_string()).await?;
        Ok(if made.contains(NO_IMAGE) == changed { Seen::Yes(()) } else { Seen::NotYet(made) })
    })
    .await
}

/// The worker's pod is made anew, with an image that is nowhere.
pub async fn take_image(shop: &Shop) -> Result<()> {
    put_up(shop, &without_image(shop)).await?;
    pods_are_changed(shop, true).await?;
    end_pods(shop).await
}

/// The same with the right one.
pub async fn give_image(shop: &Shop) -> Result<()> {
    take_down(shop, &without_image(shop)).await?;
    pods_are_changed(shop, false).await?;
    end_pods(shop).await
}

/// The worker's reports are refused.
pub async fn refuse_reports(shop: &Shop) -> Result<()> {
    put_up(shop, &without_reports(shop)).await?;
    let touch = [
        "-n",
        &shop.namespace,
        "patch",
        "syncreport",
        "orders",
        "--subresource=status",
        "--type=merge",
        "--dry-run=server",
        r#"--patch={"status": {"workers": []}}"#,
    ];
    until("the policy on reports counts", async || {
        Ok(match shop.world.kubectl.run(&touch).await {
            Ok(said) => Seen::NotYet(said),
            Err(_) => Seen::Yes(()),
        })
    })
    .await
}

/// They are taken again.
pub async fn take_reports(shop: &Shop) -> Result<()> {
    take_down(shop, &without_reports(shop)).await
}

/// The namespace may have no pods, and the worker's ends.
pub async fn forbid_pods(shop: &Shop) -> Result<()> {
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": shop.namespace},
        "spec": {"hard": {"pods": "0"}},
    });
    shop.apply(&[&quota]).await?;
    until("the quota counts", async || {
        let quota = shop.world.kubectl.get(&shop.namespace, "resourcequota", "none").await?.unwrap_or_default();
        Ok(if quota["status"]["hard"]["pods"] == "0" { Seen::Yes(()) } else { Seen::NotYet(quota.to_string()) })
    })
    .await?;
    end_pods(shop).await
}

/// It may have pods again.
pub async fn allow_pods(shop: &Shop) -> Result<()> {
    shop.world.kubectl.run(&["-n", &shop.namespace, "delete", "resourcequota", "none"]).await.map(drop)
}

/// Sends a signal to the worker's process, which its node has among its own.
pub async fn signal_worker(shop: &Shop, signal: &str) -> Result<()> {
    let script = r#"
        sent=
        for process in /proc/[0-9]*; do
            tr '\0' '\n' 2>/dev/null <"$process/environ" | grep -qx "CROSSTIE_NAMESPACE=$1" || continue
            kill -s "$2" "${process#/proc/}" && sent=yes
        done
        [ "$sent" ]
    "#;
    let arguments = ["--node", "--", "sh", "-c", script, "sh", &shop.namespace, signal];
    shop.world.cluster.run("exec", &arguments).await.map(drop)
}

/// Where the small volume of a shop is, on the node.
fn place(shop: &Shop) -> String {
    shop.world.cluster.data.join("small").join(&shop.namespace).to_string_lossy().into_owned()
}

async fn on_node(shop: &Shop, script: &str) -> Result<()> {
    shop.world.cluster.run("exec", &["--node", "--", "sh", "-c", script, "sh", &place(shop)]).await.map(drop)
}

/// Makes a volume of 16 MiB that the worker's claim will be bound to. It ends with the cluster.
pub async fn small_volume(shop: &Shop) -> Result<()> {
    on_node(shop, r#"mkdir -p "$1" && mount -t tmpfs -o size=16m,mode=0777 small "$1""#).await?;
    let nodes = shop.world.kubectl.list("default", "nodes").await?;
    let node = &nodes.first().context("no node")?["metadata"]["labels"]["kubernetes.io/hostname"];
    let on_it = json!([{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]);
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": shop.namespace},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain", "storageClassName": "standard",
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": shop.namespace, "name": CLAIM},
            "local": {"path": place(shop)}, "nodeAffinity": {"required": {"nodeSelectorTerms": on_it}},
        },
    });
    shop.apply(&[&volume]).await.map(drop)
}

/// Takes all the room that is left on it.
pub async fn fill_volume(shop: &Shop) -> Result<()> {
    on_node(shop, r#"! head -c 64M /dev/zero 2>/dev/null >"$1/ballast""#).await
}

/// Gives it back.
pub async fn empty_volume(shop: &Shop) -> Result<()> {
    on_node(shop, r#"rm "$1/ballast""#).await
}

/// Deletes the volume's object.
pub async fn drop_volume(shop: &Shop) -> Result<()> {
    shop.world
        .kubectl
        .run(&["delete", "persistentvolume", &shop.namespace, "--wait=false", "--ignore-not-found"])
        .await
        .map(drop)
}
