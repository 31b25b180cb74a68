use std::{path::Path, sync::Arc};

use fulcrum_core::provider::adapters::hetzner::{Hetzner, HetznerConfig};
use serde_json::{Value, json};

use super::{Api, Ask, Reply, Thing, World, config, json, table};

pub const API: Api = Api {
    name: "hetzner",
    build: |folder, url| Arc::new(adapter(folder, url)),
    over: |folder, url, way| Arc::new(adapter(folder, url).with_transport(way)),
    answer,
    is_purchase: |ask| ask.method == "POST" && ask.path == "/servers",
    blueprint: "{ name: shop, components: { web: { vcpu: 2 } } }",
    no_element: r#"{"meta": {"pagination": {"page": 1, "next_page": null, "total_entries": 0}}}"#,
    goes_on: Some(
        r#"{"servers": [], "meta": {"pagination": {"page": 1, "next_page": 2, "total_entries": 60}}}"#,
    ),
    kind: "application/json",
};

fn adapter(folder: &Path, url: &str) -> Hetzner {
    table(folder, "hetzner", false);
    let document = json!({ "token": "file:secret", "catalogue": "prices.csv", "list_lag_ms": 100,
        "http": { "base_url": url, "timeout_ms": 3000 } });
    config::<HetznerConfig>(document).build(folder).expect("an adapter")
}

/// What a machine is called now: a person may have changed it.
fn name_of(thing: &Thing) -> &str {
    thing.notes.get("name").unwrap_or(&thing.key)
}

fn told(thing: &Thing) -> Value {
    let later: Vec<u64> = thing.parts.keys().filter_map(|part| part.parse().ok()).collect();
    let window = thing.parts.contains_key("backups").then_some("22-02");
    json!({ "id": thing.id.parse::<u64>().expect("a number"), "name": name_of(thing), "status": if thing.is_on { "running" } else { "off" },
        "server_type": { "name": thing.sku }, "location": { "name": "r" }, "labels": { "fulcrum-key": thing.key }, "locked": false,
        "public_net": { "ipv4": null, "ipv6": { "ip": "2001:db8::/64" }, "floating_ips": [] }, "private_net": [], "volumes": later, "backup_window": window })
}

fn answer(world: &mut World, ask: &Ask) -> Reply {
    let meta = json!({ "pagination": { "page": 1, "next_page": null, "total_entries": 1 } });
    let gone = || json(404, &json!({ "error": { "code": "not_found", "message": "server not found" } }));
    let action = |id: u64| json!({ "id": id, "status": "success", "progress": 100, "error": null });
    match (ask.method.as_str(), ask.parts().as_slice()) {
        ("GET", ["server_types"]) => {
            let small = json!({ "id": 1, "name": "small", "cores": 2, "memory": 2.0, "disk": 20, "prices": [],
                "locations": [{ "id": 1, "name": "r", "available": true }] });
            json(200, &json!({ "server_types": [small], "meta": meta }))
        }
        ("GET", ["servers"]) => {
            let key = ask.get("label_selector").trim_start_matches("fulcrum-key").trim_start_matches("==");
            let name = ask.get("name");
            let all = world.things.values().filter(|it| key.is_empty() || it.key == key);
            let all = all.filter(|it| name.is_empty() || name_of(it) == name);
            json(200, &json!({ "servers": all.map(told).collect::<Vec<_>>(), "meta": meta }))
        }
        ("POST", ["servers"]) => {
            let name = ask.json["name"].as_str().expect("a name");
            if world.things.values().any(|it| name_of(it) == name) {
                return json(409, &json!({ "error": { "code": "uniqueness_error", "message": "taken" } }));
            }
            let thing = world.make(|at| (100 + at).to_string(), name, "small");
            json(201, &json!({ "server": told(&thing), "action": action(1), "next_actions": [] }))
        }
        ("POST", ["servers", id, "actions", verb]) => {
            world.act(id, |thing| match *verb {
                "poweron" => thing.is_on = true,
                "shutdown" => thing.is_on = false,
                "change_type" => {
                    ask.json["server_type"].as_str().unwrap_or_default().clone_into(&mut thing.sku)
                }
                _ => {}
            });
            let mut begun = action(1);
            begun["resources"] = json!([{ "id": id.parse::<u64>().expect("a number"), "type": "server" }]);
            json(201, &json!({ "action": begun }))
        }
        ("GET", [list @ ("images" | "ssh_keys" | "networks" | "firewalls" | "placement_groups")]) => {
            let is_there = ["images", "ssh_keys"].contains(list) && !ask.get("name").starts_with("no");
            let rows: Vec<_> =
                is_there.then(|| json!({ "id": 1, "name": ask.get("name") })).into_iter().collect();
            json(200, &json!({ (*list): rows, "meta": meta }))
        }
        ("GET", ["actions", _]) => json(200, &json!({ "action": action(1) })),
        (method, ["servers", id]) => {
            let Some(thing) = world.things.get(*id) else { return gone() };
            let told = told(thing);
            match method {
                "DELETE" => {
                    // Backups go with it.
                    if told["backup_window"] != Value::Null {
                        world.parts.remove("backups");
                    }
                    world.end_with_own(id);
                    json(200, &json!({ "action": action(2) }))
                }
                _ => json(200, &json!({ "server": told })),
            }
        }
        _ => gone(),
    }
}
