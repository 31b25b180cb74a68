use std::{path::Path, sync::Arc};

use fulcrum_core::provider::adapters::scaleway::{Scaleway, ScalewayConfig};
use serde_json::{Map, Value, json};

use super::{Api, Ask, Reply, Thing, World, config, json, known, read_today};

pub const API: Api = Api {
    name: "scaleway",
    build: |folder, url| Arc::new(adapter(folder, url)),
    over: |folder, url, way| Arc::new(adapter(folder, url).with_transport(way)),
    answer,
    is_purchase: |ask| ask.method == "POST" && ask.path.ends_with("/servers"),
    blueprint: "{ name: shop, components: { web: { vcpu: 2, disk_gib: 20 } } }",
    no_element: r#"{"total_count": 0}"#,
    goes_on: None,
    kind: "application/json",
};

fn adapter(folder: &Path, url: &str) -> Scaleway {
    let built_in = include_str!("../../../src/provider/adapters/scaleway/storage.csv");
    std::fs::write(folder.join("storage.csv"), read_today(built_in)).expect("a file");
    let document = json!({ "project": "11111111-2222-3333-4444-555555555555", "secret_key": "file:secret", "zones": ["fr-par-1"],
        "storage": "storage.csv", "image": "11111111-2222-3333-4444-555555555556", "http": { "base_url": url, "timeout_ms": 3000 } });
    config::<ScalewayConfig>(document).build(folder).expect("an adapter")
}

fn told(thing: &Thing) -> Value {
    let volume =
        |(at, id): (usize, &String)| (at.to_string(), json!({ "id": id, "volume_type": "sbs_volume" }));
    let volumes: Map<String, Value> = thing.parts.keys().enumerate().map(volume).collect();
    let mut tags = vec![format!("fulcrum-key={}", thing.key)];
    tags.extend(thing.notes.keys().cloned());
    json!({ "id": thing.id, "commercial_type": thing.sku, "state": if thing.is_on { "running" } else { "stopped" },
        "tags": tags, "volumes": volumes, "public_ips": [] })
}

fn told_volume(world: &World, id: &str) -> Value {
    let tags = world.part_notes.get(id).cloned().unwrap_or_else(|| json!([]));
    let reference = |id: String| json!({ "product_resource_type": "instance_server", "product_resource_id": id, "status": "attached" });
    let references: Vec<_> = world.holders(id).into_iter().map(reference).collect();
    json!({ "id": id, "type": "sbs_5k", "tags": tags, "references": references, "status": "available" })
}

fn answer(world: &mut World, ask: &Ask) -> Reply {
    let gone = || {
        json(
            404,
            &json!({ "type": "not_found", "message": "resource is not found", "resource": "instance_server" }),
        )
    };
    let parts = ask.parts();
    match (ask.method.as_str(), parts.as_slice()) {
        ("GET", [.., "products", "servers"]) => json(
            200,
            &json!({ "servers": { "small": { "arch": "x86_64", "ncpus": 2, "ram": 2_147_483_648_u64, "hourly_price": 0.01 } } }),
        ),
        ("GET", [.., "products", "servers", "availability"]) => {
            json(200, &json!({ "servers": { "small": { "availability": "available" } } }))
        }
        ("GET", [.., "zones", _, "servers"]) => {
            let tag = ask.get("tags").trim_start_matches("fulcrum-key=");
            let all =
                world.things.values().filter(|_| !world.hides).filter(|it| tag.is_empty() || it.key == tag);
            json(200, &json!({ "servers": all.map(told).collect::<Vec<_>>() }))
        }
        ("POST", [.., "zones", _, "servers"]) => {
            let tag =
                ask.json["tags"][0].as_str().expect("a tag").trim_start_matches("fulcrum-key=").to_owned();
            let id = |at: u32| uuid::Uuid::from_u128(0x5c00 + u128::from(at)).to_string();
            let mut thing = world.make(id, &tag, "small");
            thing.is_on = false;
            world.things.insert(thing.id.clone(), thing.clone());
            json(201, &json!({ "server": told(&thing) }))
        }
        ("POST", [.., "servers", id, "action"]) => {
            if !world.things.contains_key(*id) {
                return gone();
            }
            world.act(id, |thing| thing.is_on = ask.json["action"] == "poweron");
            json(202, &json!({ "task": { "id": "t" } }))
        }
        ("PATCH", [.., "servers", id]) if ask.json["commercial_type"].is_string() => {
            let sku = ask.json["commercial_type"].as_str().expect("text").to_owned();
            world.act(id, |thing| thing.sku = sku);
            let Some(thing) = known(world, id) else { return gone() };
            let told = told(thing);
            json(200, &json!({ "server": told }))
        }
        ("PATCH", [.., "servers", id]) => {
            let Some(thing) = known(world, id) else { return gone() };
            let tags =
                ask.json["tags"].as_array().expect("tags").iter().map(|tag| tag.as_str().expect("text"));
            let notes = tags.filter(|tag| !tag.starts_with("fulcrum-key="));
            thing.notes = notes.map(|tag| (tag.to_owned(), String::new())).collect();
            let told = told(thing);
            json(200, &json!({ "server": told }))
        }
        (method, [.., "servers", id]) => {
            let Some(thing) = world.things.get(*id) else { return gone() };
            let told = told(thing);
            match method {
                "DELETE" => {
                    world.end(id);
                    json(204, &Value::Null)
                }
                _ => json(200, &json!({ "server": told })),
            }
        }
        ("GET", ["marketplace", "v2", "local-images"]) => {
            let is_there = ask.get("image_label") == "debian_trixie";
            let image =
                json!({ "id": "11111111-2222-3333-4444-555555555556", "compatible_commercial_types": [] });
            let rows: Vec<_> = is_there.then_some(image).into_iter().collect();
            json(200, &json!({ "local_images": rows }))
        }
        ("GET", [.., "images", id]) => {
            let image =
                json!({ "id": id, "name": "Debian", "root_volume": { "id": "r" }, "extra_volumes": {} });
            json(200, &json!({ "image": world.told_image(image) }))
        }
        ("GET", ["block", .., "volumes"]) => {
            let all = world.parts.keys().map(|id| told_volume(world, id));
            let is_it = |volume: &Value| {
                let tag = ask.get("tags");
                tag.is_empty()
                    || volume["tags"].as_array().is_some_and(|tags| tags.iter().any(|it| it == tag))
            };
            let all: Vec<_> = all.filter(is_it).collect();
            json(200, &json!({ "total_count": all.len(), "volumes": all }))
        }
        (method, ["block", .., "volumes", id]) => {
            if !world.parts.contains_key(*id) {
                return gone();
            }
            match method {
                "DELETE" if !world.holders(id).is_empty() => json(
                    409,
                    &json!({ "type": "precondition_failed", "message": "it is in use", "resource": "volume" }),
                ),
                "DELETE" => {
                    world.parts.remove(*id);
                    json(204, &Value::Null)
                }
                "PATCH" => {
                    world.part_notes.insert((*id).to_owned(), ask.json["tags"].clone());
                    json(200, &told_volume(world, id))
                }
                _ => json(200, &told_volume(world, id)),
            }
        }
        _ => gone(),
    }
}
