//! `raw-loop`: the least that the worker's job can cost with the libraries it uses: pages are read into types made for them, mapped by plain
//! code and written, so many at once, one by one or in batches. Nothing is stored, nothing is retried, and whatever goes wrong ends it. It waits to be ended when it is
//! done, as the worker does.

use std::future::pending;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use futures::{TryStreamExt as _, stream};
use jiff::{Timestamp, tz::TimeZone};
use reqwest::{Client, Response, header};
use serde::{Deserialize, Serialize};

/// Moves orders from a shop to the books
#[derive(Debug, Parser)]
struct Options {
    #[arg(long)]
    source: String,
    #[arg(long)]
    destination: String,
    #[arg(long)]
    token: String,
    #[arg(long)]
    in_flight: usize,
    /// Records a call carries, if it carries several
    #[arg(long)]
    batch: Option<usize>,
}

#[derive(Deserialize)]
struct Page {
    orders: Vec<Order>,
}

#[derive(Deserialize)]
struct Order {
    id: u64,
    name: String,
    created_at: Timestamp,
    cancelled_at: Option<String>,
    currency: String,
    note: Option<String>,
    customer: Option<Customer>,
    shipping_address: Option<Address>,
    line_items: Vec<Line>,
}

#[derive(Deserialize)]
struct Customer {
    email: Option<String>,
}

#[derive(Deserialize)]
struct Address {
    name: String,
    address1: String,
    city: String,
    zip: String,
    country_code: String,
}

#[derive(Deserialize)]
struct Line {
    sku: String,
    quantity: u32,
    price: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SalesOrder {
    currency: String,
    entity: Entity,
    /// As NetSuite calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    /// As it is called in Salesforce.
    #[serde(rename = "External_Id__c", skip_serializing_if = "Option::is_none")]
    custom_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<Attributes>,
    item: Items,
    memo: Option<String>,
    other_ref_num: String,
    shipping_address: Option<ShippingAddress>,
    tran_date: String,
}

#[derive(Serialize)]
struct Attributes {
    r#type: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Batch {
    all_or_none: bool,
    records: Vec<SalesOrder>,
}

#[derive(Deserialize)]
struct Written {
    success: bool,
}

#[derive(Serialize)]
struct Entity {
    email: String,
}

#[derive(Serialize)]
struct ShippingAddress {
    addressee: String,
    addr1: String,
    city: String,
    country: String,
    zip: String,
}

#[derive(Serialize)]
struct Items {
    items: Vec<Item>,
}

#[derive(Serialize)]
struct Item {
    quantity: u32,
    rate: f64,
    sku: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::parse();
    let client = Client::builder().no_proxy().build()?;
    let zone = TimeZone::get("America/New_York")?;
    let first = format!(
        "{}/admin/api/2026-07/orders.json?status=any&order=updated_at%20asc&limit=250&updated_at_max={}",
        options.source,
        Timestamp::now().strftime("%FT%TZ")
    );
    let pages = stream::try_unfold(Some(first), |next| async {
        let Some(url) = next else { return Ok::<_, anyhow::Error>(None) };
        let response =
            client.get(url).header("X-Shopify-Access-Token", &options.token).send().await?.error_for_status()?;
        let next = next_page(&response);
        let page: Page = response.json().await?;
        Ok(Some((stream::iter(page.orders.into_iter().map(Ok::<_, anyhow::Error>)), next)))
    });
    let orders = pages.try_flatten().try_filter(|order| std::future::ready(order.cancelled_at.is_none()));
    match options.batch {
        None => {
            let single = |order| write(&client, &options, mapped(order, &zone, false));
            orders.map_ok(single).try_buffer_unordered(options.in_flight).try_collect::<()>().await?;
        }
        Some(size) => {
            let batch = |orders: Vec<Order>| {
                let records = orders.into_iter().map(|order| mapped(order, &zone, true)).collect::<Result<_>>();
                write_batch(&client, &options, records)
            };
            let batches = orders.try_chunks(size).map_err(|broken| broken.1);
            batches.map_ok(batch).try_buffer_unordered(options.in_flight).try_collect::<()>().await?;
        }
    }
    pending().await
}

async fn write(client: &Client, options: &Options, order: Result<SalesOrder>) -> Result<()> {
    let body = order?;
    let url = format!(
        "{}/services/rest/record/v1/salesOrder/eid:{}?replace=item",
        options.destination,
        body.external_id.as_deref().unwrap_or_default()
    );
    let response = client.put(url).bearer_auth(&options.token).json(&body).send().await?.error_for_status()?;
    response.bytes().await?;
    Ok(())
}

async fn write_batch(client: &Client, options: &Options, records: Result<Vec<SalesOrder>>) -> Result<()> {
    let body = Batch { all_or_none: false, records: records? };
    let url = format!("{}/services/data/v67.0/composite/sobjects/Order__c/External_Id__c", options.destination);
    let response = client.patch(url).bearer_auth(&options.token).json(&body).send().await?.error_for_status()?;
    let written: Vec<Written> = response.json().await?;
    ensure!(written.len() == body.records.len() && written.iter().all(|row| row.success), "a record was refused");
    Ok(())
}

/// The target of `Link: <…>; rel="next"`.
fn next_page(response: &Response) -> Option<String> {
    let links = response.headers().get(header::LINK)?.to_str().ok()?;
    let next = links.split(',').find(|link| link.contains("rel=\"next\""))?;
    Some(next.split_once('<')?.1.split_once('>')?.0.to_owned())
}

fn mapped(order: Order, zone: &TimeZone, in_batches: bool) -> Result<SalesOrder> {
    let item = |line: Line| -> Result<Item> {
        let rate: f64 = line.price.parse().context("a price is no number")?;
        ensure!(rate.is_finite(), "a price is no number");
        Ok(Item { quantity: line.quantity, rate, sku: line.sku })
    };
    Ok(SalesOrder {
        currency: order.currency,
        entity: Entity {
            email: order.customer.and_then(|customer| customer.email).unwrap_or_else(|| "guest@example.com".to_owned()),
        },
        external_id: (!in_batches).then(|| order.id.to_string()),
        custom_id: in_batches.then(|| order.id.to_string()),
        attributes: in_batches.then_some(Attributes { r#type: "Order__c" }),
        item: Items { items: order.line_items.into_iter().map(item).collect::<Result<_>>()? },
        memo: order.note,
        other_ref_num: order.name,
        shipping_address: order.shipping_address.map(|address| ShippingAddress {
            addressee: address.name,
            addr1: address.address1,
            city: address.city,
            country: address.country_code,
            zip: address.zip,
        }),
        tran_date: order.created_at.to_zoned(zone.clone()).strftime("%Y-%m-%d").to_string(),
    })
}
