//! What is made of documents as vendors write them.

use serde_json::json;

use super::*;

fn document() -> Value {
    let list = |name: &str| json!({"200": {"content": {"application/json": {"schema": {"$ref": format!("#/components/schemas/{name}")}}}}});
    let text = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string"}});
    let body = json!({"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}});
    json!({
        "openapi": "3.0.3",
        "info": {"title": "Shop", "version": "2"},
        "servers": [{"url": "https://{account}.example.com/api/", "variables": {"account": {"default": "acme"}}}],
        "security": [{"key": []}],
        "paths": {
            "/v2/orders": {
                "parameters": [text("updated_since"), text("updated_until"), text("cursor")],
                "get": {"operationId": "listOrders", "responses": list("Orders")},
                "post": {"operationId": "createOrder", "requestBody": body, "responses": list("Order"),
                         "parameters": [{"name": "Idempotency-Key", "in": "header", "schema": {"type": "string"}}]},
            },
            "/v2/orders/{id}": {
                "get": {"operationId": "getOrder", "responses": list("Order")},
                "patch": {"operationId": "updateOrder", "requestBody": body, "responses": list("Order")},
                "delete": {"operationId": "deleteOrder", "responses": {"204": {}}},
            },
            "/v2/orders/{id}/refunds": {"get": {"responses": list("Orders")}},
            "/v2/tags": {"get": {"responses": {"200": {"content": {"application/json": {"schema": {"type": "array", "items": {"type": "string"}}}}}}}},
            "/v2/old": {"get": {"deprecated": true, "responses": list("Orders")}},
            "/v2/upload": {"post": {"requestBody": {"content": {"multipart/form-data": {"schema": {}}}}, "responses": {}}},
        },
        "components": {
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"}, "other": {"type": "http", "scheme": "basic"}},
            "schemas": {
                "Orders": {"type": "object", "properties": {
                    "orders": {"type": "array", "items": {"$ref": "#/components/schemas/Order"}},
                    "meta": {"type": "object", "properties": {"next_cursor": {"type": "string"}}},
                }},
                "Order": {"allOf": [{"$ref": "#/components/schemas/Base"}, {"type": "object", "properties": {"total": {"type": "string"}}}]},
                "Base": {"type": "object", "properties": {"id": {"type": "integer"}, "updated_at": {"type": "string", "format": "date-time"}}},
            },
        },
    })
}

fn made(document: &Value, paths: &[&str]) -> Scaffold {
    let paths: Vec<String> = paths.iter().map(|&path| path.to_owned()).collect();
    let choice = Choice { base_url: None, paths: &paths, secret: "shop/shop" };
    scaffold(&Document::parse(&document.to_string()).unwrap(), &choice)
}

#[test]
fn a_list_with_its_records_becomes_a_stream() {
    let spec = made(&document(), &[]).spec;
    assert_eq!(spec["baseURL"], "https://acme.example.com/api");
    assert_eq!(spec["auth"], json!({"header": {"name": "X-Api-Key", "value": "{apiKey}"}}));
    let expected = json!([{
        "name": "orders", "path": "/v2/orders", "records": "/orders", "key": "/id", "version": "/updated_at",
        "one": {"path": "/v2/orders/{key}"},
        "cursor": {"field": "/updated_at", "param": "updated_since", "untilParam": "updated_until", "lookbackSeconds": 300},
        "pagination": {"cursor": {"pointer": "/meta/next_cursor", "param": "cursor"}},
    }]);
    assert_eq!(spec["streams"], expected);
}

#[test]
fn what_takes_json_becomes_an_operation() {
    let Scaffold { spec, notes } = made(&document(), &[]);
    let expected = json!([
        {"name": "createOrder", "method": "POST", "path": "/v2/orders", "identifier": {"pointer": "/id"},
         "outcome": {"idempotencyHeader": {"name": "Idempotency-Key", "windowSeconds": 86400}}},
        {"name": "updateOrder", "method": "PATCH", "path": "/v2/orders/{body.id}", "omit": ["id"], "identifier": {"pointer": "/id"}, "outcome": {}},
        {"name": "deleteOrder", "method": "DELETE", "path": "/v2/orders/{identifier}", "outcome": {}},
    ]);
    assert_eq!(spec["operations"], expected);
    assert!(notes.iter().any(|note| note.starts_with("2 operations have `outcome: {}`")), "{notes:?}");
    assert!(
        notes.iter().any(|note| note.contains("1 operations were left out because they take no JSON")),
        "{notes:?}"
    );
}

#[test]
fn only_the_paths_that_were_chosen_are_taken() {
    let spec = made(&document(), &["/v2/tags", "/v2/orders/{id}"]).spec;
    assert_eq!(spec.get("streams"), None);
    assert_eq!(spec["operations"].as_array().unwrap().len(), 2);
}

#[test]
fn a_bare_list_with_a_link_header_is_read_by_it() {
    let mut document = document();
    let schema = json!({"type": ["array", "null"], "items": {"$ref": "#/components/schemas/Order"}});
    document["paths"]["/v2/orders"]["get"]["responses"] =
        json!({"2XX": {"headers": {"Link": {}}, "content": {"application/json; charset=utf-8": {"schema": schema}}}});
    document["paths"]["/v2/orders"]["parameters"] = json!([]);
    let made = made(&document, &[]);
    let stream = &made.spec["streams"][0];
    assert_eq!((stream.get("records"), &stream["pagination"]), (None, &json!({"linkHeader": {}})));
    assert!(made.notes.iter().any(|note| note.starts_with("1 streams have no cursor")), "{:?}", made.notes);
}

#[test]
fn a_document_that_refers_to_itself_ends() {
    let mut document = document();
    document["components"]["schemas"]["Base"] = json!({"$ref": "#/components/schemas/Order"});
    document["components"]["schemas"]["Loop"] = json!({"$ref": "#/components/schemas/Loop"});
    document["paths"]["/v2/loop"] = json!({"$ref": "#/paths/~1v2~1loop"});
    assert_eq!(made(&document, &[]).spec.get("streams"), None);
}

#[test]
fn what_is_no_document_of_version_3_is_refused_in_words() {
    let refused = |text: &str| Document::parse(text).err().unwrap().to_string();
    assert!(refused("{\"swagger\": \"2.0\"}").contains("convert it"));
    assert!(refused("{\"openapi\": \"4.0.0\"}").contains("only version 3"));
    assert!(refused("[]").contains("no OpenAPI document"));
    assert!(refused("a: [").contains("neither JSON nor YAML"));
}
