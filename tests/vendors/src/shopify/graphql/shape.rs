//! Records as GraphQL shows them: the REST record in other words. Times are in UTC, ids are `gid://` names, money has a currency.

use jiff::Timestamp;
use serde_json::{Value, json};

/// A record of a connection.
pub(super) fn node(resource: &str, record: &Value) -> Value {
    match resource {
        "orders" => order(record),
        "customers" => customer(record),
        "products" => product(record),
        _ => location(record),
    }
}

fn gid(kind: &str, record: &Value) -> Value {
    json!(format!("gid://shopify/{kind}/{}", record["id"]))
}

fn utc(value: &Value) -> Value {
    let time = value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    time.map_or(Value::Null, |time| json!(time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()))
}

/// A list as a connection that holds all of it.
fn all(nodes: &[Value]) -> Value {
    let edges: Vec<Value> = nodes.iter().map(|node| json!({"node": node, "cursor": "end"})).collect();
    json!({"nodes": nodes, "edges": edges, "pageInfo": {"hasNextPage": false, "endCursor": "end"}})
}

fn list(record: &Value, name: &str) -> Vec<Value> {
    record[name].as_array().cloned().unwrap_or_default()
}

/// In the shop's currency and in the customer's, which are the same here where the record does not say more.
fn money(amount: &Value, currency: &Value) -> Value {
    let amount = json!({"amount": amount, "currencyCode": currency});
    json!({"shopMoney": amount, "presentmentMoney": amount})
}

fn tags(record: &Value) -> Value {
    let tags = record["tags"].as_str().unwrap_or_default().split(',').map(str::trim).filter(|tag| !tag.is_empty());
    tags.map(Value::from).collect()
}

fn upper(value: &Value, otherwise: &str) -> Value {
    json!(value.as_str().unwrap_or(otherwise).to_uppercase())
}

fn order(record: &Value) -> Value {
    let currency = &record["currency"];
    let address = &record["shipping_address"];
    let lines = list(record, "line_items").into_iter().map(|line| {
        json!({"id": gid("LineItem", &line), "sku": line["sku"], "title": line["title"], "quantity": line["quantity"],
            "originalUnitPriceSet": money(&line["price"], currency)})
    });
    let refunds: Vec<Value> = list(record, "refunds").iter().map(|refund| {
        let id = gid("Refund", refund);
        json!({"id": id, "createdAt": utc(&refund["created_at"]), "totalRefundedSet": money(&refund["amount"], currency)})
    }).collect();
    let buyer = &record["customer"];
    json!({
        "id": gid("Order", record), "legacyResourceId": record["id"].to_string(), "name": record["name"], "email": record["email"],
        "createdAt": utc(&record["created_at"]), "updatedAt": utc(&record["updated_at"]), "cancelledAt": utc(&record["cancelled_at"]),
        "displayFinancialStatus": upper(&record["financial_status"], "pending"),
        "displayFulfillmentStatus": upper(&record["fulfillment_status"], "unfulfilled"),
        "currencyCode": currency, "note": record["note"], "tags": tags(record),
        "totalPriceSet": money(&record["total_price"], currency), "totalTaxSet": money(&record["total_tax"], currency),
        "totalDiscountsSet": money(&record["total_discounts"], currency),
        "customer": if buyer.is_object() { customer(buyer) } else { Value::Null },
        "shippingAddress": if address.is_object() {
            json!({"name": address["name"], "address1": address["address1"], "city": address["city"], "zip": address["zip"],
                "provinceCode": address["province_code"], "countryCodeV2": address["country_code"]})
        } else { Value::Null },
        "lineItems": all(&lines.collect::<Vec<_>>()), "refunds": refunds,
    })
}

fn customer(record: &Value) -> Value {
    json!({
        "id": gid("Customer", record), "legacyResourceId": record["id"].to_string(), "firstName": record["first_name"],
        "lastName": record["last_name"], "createdAt": utc(&record["created_at"]), "updatedAt": utc(&record["updated_at"]),
        "tags": tags(record), "defaultEmailAddress": {"emailAddress": record["email"]},
    })
}

fn product(record: &Value) -> Value {
    let variants = list(record, "variants").into_iter().map(|variant| {
        json!({"id": gid("ProductVariant", &variant), "sku": variant["sku"], "title": variant["title"], "price": variant["price"]})
    });
    json!({
        "id": gid("Product", record), "legacyResourceId": record["id"].to_string(), "title": record["title"],
        "status": upper(&record["status"], "active"), "createdAt": utc(&record["created_at"]), "updatedAt": utc(&record["updated_at"]),
        "tags": tags(record), "variants": all(&variants.collect::<Vec<_>>()),
    })
}

fn location(record: &Value) -> Value {
    json!({
        "id": gid("Location", record), "legacyResourceId": record["id"].to_string(), "name": record["name"],
        "isActive": record["active"], "createdAt": utc(&record["created_at"]), "updatedAt": utc(&record["updated_at"]),
    })
}
