use std::{path::Path, sync::Arc};

use fulcrum_core::provider::adapters::exoscale::{Exoscale, ExoscaleConfig};
use serde_json::{Value, json};

use super::{Api, Ask, Reply, Thing, World, config, json, table};

pub const API: Api = Api {
    name: "exoscale",
    build: |folder, url| Arc::new(adapter(folder, url)),
    over: |folder, url, way| Arc::new(adapter(folder, url).with_transport(way)),
    answer,
    is_purchase: |ask| ask.method == "POST" && ask.path == "/instance",
    blueprint: "{ name: shop, components: { web: { vcpu: 2, disk_gib: 20 } } }",
    no_element: r#"{"total": 0}"#,
    goes_on: None,
    kind: "application/json",
};

const TYPE: &str = "b6cd1ff5-3a2f-4e9d-a4d1-8988c1191fe8";

fn adapter(folder: &Path, url: &str) -> Exoscale {
    table(folder, "exoscale", true);
    let prices = std::fs::read_to_string(folder.join("prices.csv")).expect("a file");
    std::fs::write(folder.join("prices.csv"), prices.replace("machine,small", "machine,standard.small"))
        .expect("a file");
    let document = json!({ "catalogue": "prices.csv", "key": "file:secret", "secret": "file:secret", "list_lag_ms": 100,
        "image": TYPE, "public_ip": false, "accept": "document", "http": { "base_url": url, "timeout_ms": 3000 } });
    config::<ExoscaleConfig>(document).build(folder).expect("an adapter")
}

fn told(thing: &Thing) -> Value {
    json!({ "id": thing.id, "name": "web", "state": if thing.is_on { "running" } else { "stopped" }, "labels": { "fulcrum-key": thing.key },
        "instance-type": { "id": TYPE }, "public-ip": "192.0.2.7" })
}

fn answer(world: &mut World, ask: &Ask) -> Reply {
    let gone = || json(404, &json!({ "message": "Not Found" }));
    let begun = |id: &str| {
        json(
            200,
            &json!({ "id": "0f000000-0000-4000-8000-000000000001", "state": "success", "reference": { "id": id } }),
        )
    };
    match (ask.method.as_str(), ask.parts().as_slice()) {
        ("GET", ["instance-type"]) => json(
            200,
            &json!({ "instance-types": [{ "id": TYPE, "family": "standard", "size": "small", "cpus": 2,
            "memory": 2_147_483_648_u64, "authorized": true }] }),
        ),
        ("GET", ["quota", "instance"]) => {
            json(200, &json!({ "resource": "instance", "usage": world.things.len(), "limit": 20 }))
        }
        ("GET", ["template"]) => {
            let row = |id: &str, name: &str, day: &str| json!({ "id": id, "name": name, "created-at": day });
            let rows = [
                row("0", "Linux Debian 13 (Trixie) 64-bit", "2026-09-01T00:00:00Z"),
                row(TYPE, "Linux Debian 13 (Trixie) 64-bit", "2026-11-01T00:00:00Z"),
                row("1", "Linux Debian 12 (Bookworm) 64-bit", "2026-11-20T00:00:00Z"),
            ];
            json(200, &json!({ "templates": rows }))
        }
        ("GET", ["operation", _]) => begun("x"),
        ("GET", ["instance"]) => {
            json(200, &json!({ "instances": world.things.values().map(told).collect::<Vec<_>>() }))
        }
        ("POST", ["instance"]) => {
            let key = ask.json["labels"]["fulcrum-key"].as_str().expect("a label").to_owned();
            let id = |at: u32| uuid::Uuid::from_u128(0xe0 + u128::from(at)).to_string();
            let thing = world.make(id, &key, "standard.small");
            begun(&thing.id)
        }
        ("PUT", ["instance", name]) => {
            let (id, verb) = name.split_once(':').expect("a verb");
            world.act(id, |thing| thing.is_on = verb == "start");
            begun(id)
        }
        (method, ["instance", id]) => {
            let Some(thing) = world.things.get(*id) else { return gone() };
            let told = told(thing);
            match method {
                "DELETE" => {
                    world.end_with_own(id);
                    begun(id)
                }
                _ => json(200, &told),
            }
        }
        ("GET", ["block-storage"]) if world.forbids_parts => json(403, &json!({ "message": "Forbidden" })),
        ("GET", ["block-storage"]) => {
            let volume = |(id, made): (&String, &bool)| {
                let on = world.things.values().find(|it| it.parts.contains_key(id));
                (!made)
                    .then(|| json!({ "id": id, "name": id, "instance": on.map(|it| json!({ "id": it.id })) }))
            };
            json(
                200,
                &json!({ "block-storage-volumes": world.parts.iter().filter_map(volume).collect::<Vec<_>>() }),
            )
        }
        _ => gone(),
    }
}
