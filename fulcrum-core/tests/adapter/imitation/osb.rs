use std::{path::Path, sync::Arc};

use fulcrum_core::provider::adapters::osb::{Osb, OsbConfig};
use serde_json::{Value, json};

use super::{Api, Ask, Reply, World, config, json};

pub const API: Api = Api {
    name: "osb",
    build: |folder, url| Arc::new(adapter(folder, url)),
    over: |folder, url, way| Arc::new(adapter(folder, url).with_transport(way)),
    answer,
    is_purchase: |ask| ask.method == "PUT",
    blueprint: "{ name: shop, components: { db: { kind: database } } }",
    no_element: r#"{"description": "ok"}"#,
    goes_on: None,
    kind: "application/json",
};

/// A broker that makes everything at once, does not declare that it tells its instances, and tells none.
pub const UNTOLD: Api = Api {
    name: "osb, untold",
    answer: |world, ask| {
        world.untold.get_or_insert_with(|| (json(404, &json!({})), json(410, &json!({}))));
        answer(world, ask)
    },
    ..API
};

fn adapter(folder: &Path, url: &str) -> Osb {
    let seller = r#"{"id": "osb", "name": "H", "legal_name": "H", "country": "DE", "regions": [{"id": "r", "country": "DE"}]}"#;
    std::fs::write(folder.join("seller.json"), seller).expect("a file");
    let document = json!({ "provider": "seller.json", "username": "u", "password": "file:secret", "list_lag_ms": 100,
        "http": { "base_url": url, "timeout_ms": 3000 } });
    config::<OsbConfig>(document).build(folder).expect("an adapter")
}

fn service(at: u32, name: &str, euro: f64, is_told: bool) -> Value {
    let plan = json!({ "id": format!("p{at}"), "name": "small", "description": "x",
        "metadata": { "costs": [{ "amount": { "eur": euro }, "unit": "MONTHLY" }] } });
    json!({ "id": format!("s{at}"), "name": name, "description": "x", "bindable": true, "instances_retrievable": is_told, "plans": [plan] })
}

fn answer(world: &mut World, ask: &Ask) -> Reply {
    let refused = |why: &str| json(400, &json!({ "description": why }));
    let said = |name: &str| ask.json[name].as_str().unwrap_or(ask.get(name)).to_owned();
    let product = (said("service_id"), said("plan_id"));
    match (ask.method.as_str(), ask.parts().as_slice()) {
        ("GET", ["v2", "catalog"]) => {
            let mut pg = service(1, "pg", 49.0, world.tells_instances);
            if let Some(parameters) = &world.parameters {
                pg["plans"][0]["schemas"]["service_instance"]["create"]["parameters"] = parameters.clone();
            }
            let services = match world.untold.is_some() {
                true => vec![service(0, "mysql", 99.0, true), pg],
                false => vec![pg],
            };
            json(200, &json!({ "services": services }))
        }
        (_, ["v2", "service_instances", ..]) if world.lost_way.is_some() => {
            world.lost_way.clone().expect("it is there")
        }
        ("PUT" | "DELETE", _) if product.0.is_empty() || product.1.is_empty() => {
            refused("service_id and plan_id are needed")
        }
        // Behind it is another broker for each service, which knows its own instances only.
        ("DELETE", _) if product.0 != "s1" => json(410, &json!({})),
        ("PUT", ["v2", "service_instances", id]) => {
            if world.things.contains_key(*id) {
                return json(200, &json!({}));
            }
            world.make(|_| (*id).to_owned(), id, "pg/small");
            json(201, &json!({}))
        }
        (method, ["v2", "service_instances", id, rest @ ..]) => {
            let untold = world.untold.clone().filter(|_| method == "GET");
            match (untold, rest) {
                (Some((instance, _)), []) => return instance,
                (Some((_, last)), ["last_operation"]) => return last,
                _ => {}
            }
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
