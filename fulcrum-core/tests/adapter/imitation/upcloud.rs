use std::{path::Path, sync::Arc};

use fulcrum_core::provider::adapters::upcloud::{UpCloud, UpCloudConfig};
use serde_json::{Value, json};

use super::{Api, Ask, Reply, Thing, World, config, json, known};

pub const API: Api = Api {
    name: "upcloud",
    build: |folder, url| Arc::new(adapter(folder, url)),
    over: |folder, url, way| Arc::new(adapter(folder, url).with_transport(way)),
    answer,
    is_purchase: |ask| ask.method == "POST" && ask.path == "/server",
    blueprint: "{ name: shop, components: { web: { vcpu: 2 } } }",
    no_element: r#"{"servers": {}}"#,
    goes_on: None,
    kind: "application/json",
};

fn adapter(folder: &Path, url: &str) -> UpCloud {
    let document = json!({ "image": IMAGE, "token": "file:secret",
        "http": { "base_url": url, "timeout_ms": 3000 } });
    config::<UpCloudConfig>(document).build(folder).expect("an adapter")
}

const IMAGE: &str = "01000000-0000-4000-8000-000020060100";
/// What a component's settings name in tests.
const OTHER_IMAGE: &str = "11111111-2222-3333-4444-555555555556";

fn told_storage(world: &World, id: &str) -> Value {
    let title = world.made_with.get(id).map_or_else(|| format!("title of {id}"), |key| format!("{key}-disk"));
    json!({ "uuid": id, "title": title, "type": "normal", "zone": "fi-hel1", "tier": "maxiops", "license": 0,
        "state": "online", "servers": { "server": world.holders(id) } })
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
            let all =
                world.things.values().filter(|_| !world.hides).filter(|it| key.is_empty() || it.key == key);
            json(200, &json!({ "servers": { "server": all.map(told).collect::<Vec<_>>() } }))
        }
        ("POST", ["server"]) => {
            let key = ask.json["server"]["labels"]["label"][0]["value"].as_str().expect("a label").to_owned();
            let id = |at: u32| uuid::Uuid::from_u128(0xc10d + u128::from(at)).to_string();
            let thing = world.make(id, &key, "small");
            json(202, &json!({ "server": told(&thing) }))
        }
        ("POST", ["server", id, "stop"]) => {
            world.act(id, |thing| thing.is_on = false);
            let Some(thing) = known(world, id) else { return missing("SERVER_NOT_FOUND") };
            let told = told(thing);
            json(200, &json!({ "server": told }))
        }
        ("POST", ["server", id, "start"]) => {
            world.act(id, |thing| thing.is_on = true);
            let Some(thing) = known(world, id) else { return missing("SERVER_NOT_FOUND") };
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
        ("PUT", ["server", id]) => {
            let plan = ask.json["server"]["plan"].as_str().expect("a plan").to_owned();
            world.act(id, |thing| thing.sku = plan);
            let Some(thing) = known(world, id) else { return missing("SERVER_NOT_FOUND") };
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
        // Its image.
        ("GET", ["storage", "template"]) => {
            let told = |uuid: &str, title: &str| json!({ "uuid": uuid, "title": title, "type": "template", "access": "public" });
            let all = [
                told(OTHER_IMAGE, "Debian GNU/Linux 12 (Bookworm)"),
                told(IMAGE, "Debian GNU/Linux 13 (Trixie)"),
            ];
            json(200, &json!({ "storages": { "storage": all } }))
        }
        ("GET", ["storage", IMAGE]) => {
            let image = json!({ "uuid": IMAGE, "title": "Debian", "type": "template", "license": 0 });
            json(200, &json!({ "storage": world.told_image(image) }))
        }
        ("GET", ["storage", id]) if *id == OTHER_IMAGE => {
            let image = json!({ "uuid": OTHER_IMAGE, "title": "Debian", "type": "template", "license": 0 });
            json(200, &json!({ "storage": world.told_image(image) }))
        }
        ("GET", ["storage", "private"]) => {
            let told = |id: &String| {
                let mut storage = told_storage(world, id);
                storage.as_object_mut().expect("an object").remove("servers");
                storage
            };
            let all: Vec<_> = world.parts.keys().map(told).collect();
            json(200, &json!({ "storages": { "storage": all } }))
        }
        (method, ["storage", id]) => {
            if !world.parts.contains_key(*id) {
                return missing("STORAGE_NOT_FOUND");
            }
            match method {
                "DELETE" if !world.holders(id).is_empty() => json(
                    409,
                    &json!({ "error": { "error_code": "STORAGE_STATE_ILLEGAL", "error_message": "it is attached" } }),
                ),
                "DELETE" => {
                    world.parts.remove(*id);
                    json(204, &Value::Null)
                }
                _ => json(200, &json!({ "storage": told_storage(world, id) })),
            }
        }
        _ => missing("NOT_FOUND"),
    }
}
