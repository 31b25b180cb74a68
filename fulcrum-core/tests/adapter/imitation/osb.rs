use std::{path::Path, sync::Arc};

use fulcrum_core::provider::{Provider, adapters::osb::OsbConfig};
use serde_json::json;

use super::{Api, Ask, Reply, World, config, json};

pub const API: Api = Api {
    name: "osb",
    build,
    answer,
    is_purchase: |ask| ask.method == "PUT",
    blueprint: "{ name: shop, components: { db: { kind: database } } }",
    no_element: r#"{"description": "ok"}"#,
    goes_on: None,
    kind: "application/json",
};

fn build(folder: &Path, url: &str) -> Arc<dyn Provider> {
    let seller = r#"{"id": "osb", "name": "H", "legal_name": "H", "country": "DE", "regions": [{"id": "r", "country": "DE"}]}"#;
    std::fs::write(folder.join("seller.json"), seller).expect("a file");
    let document = json!({ "provider": "seller.json", "username": "u", "password": "file:secret", "list_lag_ms": 100,
        "http": { "base_url": url, "timeout_ms": 3000 } });
    Arc::new(config::<OsbConfig>(document).build(folder).expect("an adapter"))
}

fn answer(world: &mut World, ask: &Ask) -> Reply {
    match (ask.method.as_str(), ask.parts().as_slice()) {
        ("GET", ["v2", "catalog"]) => {
            let plan = json!({ "id": "p1", "name": "small", "description": "x", "metadata": { "costs": [{ "amount": { "eur": 49.0 }, "unit": "MONTHLY" }] } });
            json(
                200,
                &json!({ "services": [{ "id": "s1", "name": "pg", "description": "x", "bindable": true, "plans": [plan] }] }),
            )
        }
        ("PUT", ["v2", "service_instances", id]) => {
            if world.things.contains_key(*id) {
                return json(200, &json!({}));
            }
            world.make(|_| (*id).to_owned(), id, "pg/small");
            json(201, &json!({}))
        }
        (method, ["v2", "service_instances", id, rest @ ..]) => {
            if !world.things.contains_key(*id) {
                return json(if method == "GET" && rest.is_empty() { 404 } else { 410 }, &json!({}));
            }
            match (method, rest) {
                ("GET", ["last_operation"]) => json(200, &json!({ "state": "succeeded" })),
                ("DELETE", []) => {
                    world.end_with_own(id);
                    json(200, &json!({}))
                }
                _ => json(200, &json!({ "service_id": "s1", "plan_id": "p1" })),
            }
        }
        _ => json(404, &json!({})),
    }
}
