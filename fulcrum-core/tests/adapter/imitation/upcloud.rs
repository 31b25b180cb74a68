use std::{path::Path, sync::Arc};

use fulcrum_core::provider::{Provider, adapters::upcloud::UpCloudConfig};
use serde_json::{Value, json};

use super::{Api, Ask, Reply, Thing, World, config, json, known};

pub const API: Api = Api {
    name: "upcloud",
    build,
    answer,
    is_purchase: |ask| ask.method == "POST" && ask.path == "/server",
    blueprint: "{ name: shop, components: { web: { vcpu: 2 } } }",
    no_element: r#"{"servers": {}}"#,
    goes_on: None,
    kind: "application/json",
};

fn build(folder: &Path, url: &str) -> Arc<dyn Provider> {
    let document = json!({ "image": "01000000-0000-4000-8000-000020060100", "token": "file:secret",
        "http": { "base_url": url, "timeout_ms": 3000 } });
    Arc::new(config::<UpCloudConfig>(document).build(folder).expect("an adapter"))
}

fn told(thing: &Thing) -> Value {
    let title =
        |id: &String, made: bool| if made { format!("{}-disk", thing.key) } else { format!("title of {id}") };
    let device = |(id, made): (&String, &bool)| json!({ "storage": id, "type": "disk", "storage_title": title(id, *made) });
    let devices: Vec<_> = thing.parts.iter().map(device).collect();
    json!({ "uuid": thing.id, "zone": "fi-hel1", "plan": thing.sku, "state": if thing.is_on { "started" } else { "stopped" },
        "labels": { "label": [{ "key": "fulcrum-key", "value": thing.key }] }, "ip_addresses": { "ip_address": [] },
        "storage_devices": { "storage_device": devices } })
}

fn answer(world: &mut World, ask: &Ask) -> Reply {
    let missing = |code: &str| {
        json(404, &json!({ "error": { "error_code": code, "error_message": "it does not exist" } }))
    };
    match (ask.method.as_str(), ask.parts().as_slice()) {
        ("GET", ["plan"]) => {
            let names = (0..world.odd_prices.len()).map(|at| format!("odd-{at}")).chain(["small".to_owned()]);
            let plan = |name| json!({ "name": name, "core_number": 2, "memory_amount": 2048, "storage_size": 20, "storage_tier": "maxiops" });
            json(200, &json!({ "plans": { "plan": names.map(plan).collect::<Vec<_>>() } }))
        }
        ("GET", ["price"]) => {
            let mut zone = json!({ "name": "fi-hel1", "server_plan_small": { "amount": 1, "price": 1.0 } });
            for (at, odd) in world.odd_prices.iter().enumerate() {
                zone[format!("server_plan_odd-{at}")] = odd.clone();
            }
            json(200, &json!({ "prices": { "zone": [zone] } }))
        }
        ("GET", ["server"]) => {
            let key = ask.get("label").trim_start_matches("fulcrum-key").trim_start_matches('=');
            let all = world.things.values().filter(|it| key.is_empty() || it.key == key);
            json(200, &json!({ "servers": { "server": all.map(told).collect::<Vec<_>>() } }))
        }
        ("POST", ["server"]) => {
            let key = ask.json["server"]["labels"]["label"][0]["value"].as_str().expect("a label").to_owned();
            let id = |at: u32| uuid::Uuid::from_u128(0xc10d + u128::from(at)).to_string();
            let thing = world.make(id, &key, "small");
            json(202, &json!({ "server": told(&thing) }))
        }
        ("POST", ["server", id, "stop"]) => {
            let Some(thing) = known(world, id) else { return missing("SERVER_NOT_FOUND") };
            thing.is_on = false;
            let told = told(thing);
            json(200, &json!({ "server": told }))
        }
        ("POST", ["server", id, "storage", "detach"]) => {
            let part = ask.json["storage_device"]["storage"].as_str().unwrap_or_default().to_owned();
            let Some(thing) = known(world, id) else { return missing("SERVER_NOT_FOUND") };
            thing.parts.remove(&part);
            let told = told(thing);
            json(200, &json!({ "server": told }))
        }
        ("DELETE", ["server", id]) => {
            if !world.things.contains_key(*id) {
                return missing("SERVER_NOT_FOUND");
            }
            match ask.get("storages") {
                "1" => world.end_with_parts(id),
                _ => world.end(id),
            }
            json(204, &Value::Null)
        }
        ("GET", ["server", id]) => match world.things.get(*id) {
            None => missing("SERVER_NOT_FOUND"),
            Some(thing) => json(200, &json!({ "server": told(thing) })),
        },
        (method, ["storage", id]) => {
            if !world.parts.contains_key(*id) {
                return missing("STORAGE_NOT_FOUND");
            }
            match method {
                "DELETE" => {
                    world.parts.remove(*id);
                    json(204, &Value::Null)
                }
                _ => json(200, &json!({ "storage": { "uuid": id, "title": id, "state": "online" } })),
            }
        }
        _ => missing("NOT_FOUND"),
    }
}
