//! Generated Shopify records: alike in shape and size to real ones, and the same for the same request.
//!
//! Names are plainly made of a word for "buyer" and a number, in several scripts; nobody is meant.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::shop_time;
use crate::random::Stream;
use crate::store::{RecordId, State};
use crate::wire::{SeedRequest, Settings};

const CUSTOMERS: u64 = 1_000;
const FIRST_CUSTOMER: u64 = 7_000_000_000;
/// One order in so many repeats the updated time of the one before it.
const SAME_TIME_EVERY: u64 = 7;
const NO_CUSTOMER_EVERY: u64 = 12;

const FIRST_NAMES: [&str; 7] = ["Buyer", "Käufer", "Acheteuse", "Køber", "Nabywca", "購入者", "Покупатель"];

/// Street, city, province code, postal code, country code.
type Address = (&'static str, &'static str, &'static str, &'static str, &'static str);

const ADDRESSES: [Address; 8] = [
    ("12 Example Street", "Springfield", "IL", "62701", "US"),
    ("400 Sample Avenue, Apt 7", "Portland", "OR", "97201", "US"),
    ("Musterstraße 9a", "München", "BY", "80331", "DE"),
    ("Åsgårdsvägen 7", "Malmö", "M", "211 20", "SE"),
    ("ul. Świętokrzyska 12", "Łódź", "LD", "90-001", "PL"),
    ("Rua São João 45", "São Paulo", "SP", "01036-000", "BR"),
    ("千代田1丁目2-3", "東京", "JP-13", "100-0001", "JP"),
    ("7 O'Sample Lane", "Montréal", "QC", "H2Y 1C6", "CA"),
];

/// Product, unit price in cents.
const PRODUCTS: [(&str, u64); 8] = [
    ("Linen shirt", 5_900),
    ("Wool jumper", 11_950),
    ("Canvas tote", 2_400),
    ("Crew socks, 3 pairs", 1_800),
    ("Raincoat \"Fjord\"", 18_900),
    ("Jeans, straight", 8_950),
    ("Gift card", 5_000),
    ("Repair kit", 0),
];

/// The shop itself and its locations.
pub(super) fn furnish(state: &mut State, settings: &Settings) {
    let made = "2020-01-01T00:00:00-05:00";
    let shop = json!({
        "id": 1, "name": "Example Apparel", "email": "owner@example.com", "domain": "shop.example.com",
        "myshopify_domain": "example.myshopify.com", "country_code": "US", "currency": "USD",
        "enabled_presentment_currencies": ["USD", "EUR"], "iana_timezone": settings.time_zone,
        "plan_name": "professional", "created_at": made, "updated_at": made,
    });
    put(state, "shop", 1, shop);
    for (id, name, city) in
        [(61_000_000_001, "Main warehouse", "Springfield"), (61_000_000_002, "Shop floor", "Portland")]
    {
        put(state, "locations", id, location(id, name, city, made));
    }
}

fn location(id: u64, name: &str, city: &str, time: &str) -> Value {
    json!({
        "id": id, "name": name, "address1": "1 Example Road", "city": city, "country_code": "US",
        "active": true, "legacy": false, "created_at": time, "updated_at": time,
        "admin_graphql_api_id": format!("gid://shopify/Location/{id}"),
    })
}

fn put(state: &mut State, resource: &str, id: u64, record: Value) {
    if let Some(collection) = state.collection(resource) {
        // Without external ids there is nothing to be in conflict with.
        let _no_conflict = collection.put(&RecordId::Number(id), record);
    }
}

/// One record of a seed.
pub(super) fn generate(request: &SeedRequest, settings: &Settings, id: u64, at: Timestamp) -> Option<Value> {
    match request.resource.as_str() {
        "orders" => Some(order(request, settings, id, at)),
        "customers" => Some(customer(id, &shop_time(at, settings))),
        "products" => Some(product(id, &shop_time(at, settings))),
        "locations" => Some(location(id, &format!("Location {id}"), "Springfield", &shop_time(at, settings))),
        _ => None,
    }
}

fn customer(id: u64, time: &str) -> Value {
    let mut choices = Stream::new(0, id);
    json!({
        "id": id,
        "email": format!("buyer{id}@example.com"),
        "first_name": choices.pick(&FIRST_NAMES),
        "last_name": format!("No. {id}"),
        "created_at": time,
        "updated_at": time,
        "orders_count": 0,
        "state": "enabled",
        "currency": "USD",
        "tags": "",
        "admin_graphql_api_id": format!("gid://shopify/Customer/{id}"),
    })
}

fn product(id: u64, time: &str) -> Value {
    let (title, price) = Stream::new(0, id).pick(&PRODUCTS);
    let variant = json!({"id": id.saturating_add(1), "sku": format!("SKU-{:05}", id % 100_000), "title": "Default", "price": money(price)});
    json!({
        "id": id, "title": title, "status": "active", "tags": "", "variants": [variant], "created_at": time, "updated_at": time,
        "admin_graphql_api_id": format!("gid://shopify/Product/{id}"),
    })
}

fn order(request: &SeedRequest, settings: &Settings, id: u64, at: Timestamp) -> Value {
    let mut choices = Stream::new(request.seed, id);
    let index = id.saturating_sub(request.start_id);
    let repeats = index % SAME_TIME_EVERY == SAME_TIME_EVERY - 1;
    let step = SignedDuration::from_millis(if repeats { i64::from(request.step_millis) } else { 0 });
    let created = shop_time(at, settings);
    let updated = shop_time(at.checked_sub(step).unwrap_or(at), settings);
    let buyer = FIRST_CUSTOMER + 1 + choices.below(CUSTOMERS);
    let customer = (choices.below(NO_CUSTOMER_EVERY) != 0).then(|| customer_of_order(buyer, &created));
    let (lines, subtotal) = lines(&mut choices, request, id);
    let discount = if choices.below(5) == 0 { subtotal / 10 } else { 0 };
    let tax = (subtotal - discount) * 8_875 / 100_000;
    let total = subtotal - discount + tax;
    let presentment = choices.pick(&["USD", "USD", "USD", "EUR"]);
    let email = customer.as_ref().map_or(Value::from(""), |customer| customer["email"].clone());
    let number = id.saturating_add(1_000);
    json!({
        "id": id,
        "admin_graphql_api_id": format!("gid://shopify/Order/{id}"),
        "name": format!("#{number}"),
        "order_number": number,
        "created_at": created,
        "updated_at": updated,
        "processed_at": created,
        "cancelled_at": null,
        "closed_at": null,
        "currency": "USD",
        "presentment_currency": presentment,
        "total_price": money(total),
        "subtotal_price": money(subtotal - discount),
        "total_tax": money(tax),
        "total_discounts": money(discount),
        "total_price_set": {
            "shop_money": {"amount": money(total), "currency_code": "USD"},
            "presentment_money": {
                "amount": money(if presentment == "EUR" { total * 92 / 100 } else { total }),
                "currency_code": presentment,
            },
        },
        "financial_status": choices.pick(&["paid", "paid", "paid", "pending", "authorized"]),
        "fulfillment_status": choices.pick(&[None, None, Some("fulfilled"), Some("partial")]),
        "email": email,
        "customer": customer,
        "shipping_address": address(&mut choices, buyer),
        "line_items": lines,
        "refunds": [],
        "note": choices.pick(&[None, None, Some("Leave at the door"), Some("Bitte klingeln – 2. Stock")]),
        "tags": choices.pick(&["", "vip", "wholesale, net30"]),
    })
}

fn customer_of_order(id: u64, time: &str) -> Value {
    let mut customer = customer(id, time);
    if let Value::Object(fields) = &mut customer {
        fields.retain(|name, _| matches!(name.as_str(), "id" | "email" | "first_name" | "last_name" | "updated_at"));
    }
    customer
}

fn address(choices: &mut Stream, buyer: u64) -> Value {
    let (street, city, province, zip, country) = choices.pick(&ADDRESSES);
    let name = format!("{} No. {buyer}", Stream::new(0, buyer).pick(&FIRST_NAMES));
    json!({
        "name": name, "address1": street, "city": city, "province_code": province, "zip": zip, "country_code": country,
    })
}

/// One to three lines, or as many as the request says, and what they cost together in cents.
fn lines(choices: &mut Stream, request: &SeedRequest, order: u64) -> (Vec<Value>, u64) {
    let mut subtotal = 0;
    let drawn = 1 + choices.below(3);
    let count = request.lines.unwrap_or(drawn);
    let lines = (0..count).map(|line| {
        let (title, price) = choices.pick(&PRODUCTS);
        let quantity = 1 + choices.below(3);
        let product = 8_000_000_000 + seed_of_title(title);
        subtotal += price * quantity;
        json!({
            "id": order.saturating_mul(10).saturating_add(line),
            "sku": format!("SKU-{:05}", product % 100_000),
            "title": title,
            "quantity": quantity,
            "price": money(price),
            "product_id": product,
            "variant_id": product + 1,
        })
    });
    let lines = lines.collect();
    (lines, subtotal)
}

fn seed_of_title(title: &str) -> u64 {
    crate::random::seed_of(title) % 1_000_000
}

fn money(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}
