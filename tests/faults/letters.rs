//! Dead letters, looked at and replayed with `kubectl crosstie dlq`.

use anyhow::{Context as _, Result, ensure};
use crosstie_tests::shop::Shop;
use serde_json::{Value, json};

#[tokio::test]
async fn a_letter_is_found_shown_and_replayed_after_the_mapping_was_mended() -> Result<()> {
    let shop = Shop::open("letters").await?;
    shop.add_orders(1, 3).await?;
    shop.shopify.patch_record("orders", "2", &json!({"note": {"gift": true}})).await?;
    let mut broken = shop.orders()?;
    broken["spec"]["flows"][0]["map"]["memo"] = json!("record.note + '!'");
    shop.apply(&[&shop.source(), &shop.destination(), &broken]).await?;
    shop.condition("integration", "orders", "DeadLettersEmpty", "False", "DeadLetters").await?;
    let crosstie = async |arguments: &[&str]| {
        let of = ["orders", "-n", "letters"];
        let (command, rest) = arguments.split_at(2);
        shop.world.kubectl.crosstie(&[command, &of, rest].concat()).await
    };
    let table = crosstie(&["dlq", "list"]).await?;
    let letters: Vec<Value> = serde_json::from_str(&crosstie(&["dlq", "list", "-o", "json"]).await?)?;
    ensure!(letters.iter().any(|letter| letter["key"] == "2") && table.contains("memo"), "{table}");
    let ids: Vec<String> = letters.iter().map(|letter| letter["id"].to_string()).collect();
    let status = shop.world.kubectl.get("letters", "integration", "orders").await?.context("it exists")?;
    ensure!(status["status"]["sync"]["oldestDeadLetterTime"].is_string(), "{}", status["status"]);
    let gift = letters.iter().find(|letter| letter["key"] == "2").context("it is there")?;
    let whole = crosstie(&["dlq", "show", &gift["id"].to_string()]).await?;
    ensure!(whole.contains("\"gift\": true"), "{whole}");
    ensure!(crosstie(&["dlq", "replay"]).await.is_err(), "nothing is replayed unless it is said which");
    let dry = crosstie(&["dlq", "replay", "--cause", "memo", "--dry-run"]).await?;
    ensure!(dry.contains("nothing was changed"), "{dry}");

    shop.apply(&[&shop.orders()?]).await?;
    shop.ready("integration", "orders", "True", "Flowing").await?;
    let replayed = crosstie(&["dlq", "replay", "--all"]).await?;
    ensure!(replayed.contains(&format!("{} replayed, 0 left", ids.len())), "{replayed}");
    shop.delivered(3).await?;
    shop.condition("integration", "orders", "DeadLettersEmpty", "True", "NoDeadLetters").await?;
    shop.exactly_once().await?;
    shop.close().await
}
