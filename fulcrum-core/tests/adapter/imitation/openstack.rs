use std::{path::Path, sync::Arc};

use fulcrum_core::provider::adapters::openstack::{OpenStack, OpenStackConfig};
use serde_json::{Value, json};

use super::{Api, Ask, Reply, Thing, World, config, json, table};

pub const API: Api = Api {
    name: "openstack",
    build: |folder, url| Arc::new(adapter(folder, url)),
    over: |folder, url, way| Arc::new(adapter(folder, url).with_transport(way)),
    answer,
    is_purchase: |ask| ask.method == "POST" && ask.path.ends_with("/servers"),
    blueprint: "{ name: shop, components: { web: { vcpu: 2 } } }",
    no_element: r#"{"servers_links": []}"#,
    goes_on: Some(
        r#"{"servers": [{"id": "5e000000-0000-4000-8000-00000000ffff", "name": "x", "status": "ACTIVE", "metadata": {}}],
        "servers_links": [{"rel": "next", "href": "http://127.0.0.1/x"}]}"#,
    ),
    kind: "application/json",
};

fn adapter(folder: &Path, url: &str) -> OpenStack {
    table(folder, "openstack", false);
    let document = json!({ "auth_url": format!("{url}/v3"), "auth": { "password": { "user": "u", "project": "p", "password": "file:secret" } },
        "catalogue": "prices.csv", "endpoints": { "compute": format!("{url}/compute/v2.1"), "image": format!("{url}/image"), "network": format!("{url}/network") }, "list_lag_ms": 100, "network": "none",
        "image": "11111111-2222-3333-4444-555555555556", "http": { "timeout_ms": 3000 } });
    config::<OpenStackConfig>(document).build(folder).expect("an adapter")
}

fn told(thing: &Thing) -> Value {
    let attached: Vec<_> =
        thing.parts.keys().map(|id| json!({ "id": id, "delete_on_termination": true })).collect();
    let mut metadata = json!({ "fulcrum-key": thing.key, "fulcrum-sku": thing.sku });
    for (key, value) in &thing.notes {
        metadata[key] = json!(value);
    }
    json!({ "id": thing.id, "name": "web", "status": if thing.is_on { "ACTIVE" } else { "SHUTOFF" }, "metadata": metadata, "flavor": { "original_name": thing.sku }, "addresses": {}, "OS-EXT-STS:task_state": null,
        "os-extended-volumes:volumes_attached": attached })
}

fn told_in_part(thing: &Thing) -> Value {
    json!({ "id": thing.id, "status": "UNKNOWN", "created": "2026-11-28T00:00:00Z", "tenant_id": "p1", "links": [] })
}

fn answer(world: &mut World, ask: &Ask) -> Reply {
    let gone =
        || json(404, &json!({ "itemNotFound": { "code": 404, "message": "Instance could not be found." } }));
    match (ask.method.as_str(), ask.parts().as_slice()) {
        ("POST", ["v3", "auth", "tokens"]) => {
            let token = json!({ "issued_at": "2026-11-28T00:00:00.000000Z", "expires_at": "2026-11-28T01:00:00.000000Z",
                "project": { "id": world.project.unwrap_or("p"), "name": world.project.unwrap_or("p") }, "catalog": [] });
            json(201, &json!({ "token": token })).with_token("t0k3n-0000")
        }
        ("GET", ["compute", "v2.1"]) => json(200, &json!({ "version": { "id": "v2.1", "version": "2.96" } })),
        ("GET", [.., "flavors", "detail"]) => json(
            200,
            &json!({ "flavors": [{ "id": "1", "name": "small", "vcpus": 2, "ram": 2048, "disk": 20 }] }),
        ),
        ("GET", [.., "limits"]) => json(
            200,
            &json!({ "limits": { "rate": [], "absolute": { "maxTotalInstances": 10, "totalInstancesUsed": 0,
                "maxTotalCores": -1, "totalCoresUsed": 0, "maxTotalRAMSize": 51200, "totalRAMUsed": 0 } } }),
        ),
        ("GET", [.., "security-groups"]) => json(200, &json!({ "security_groups": [] })),
        ("GET", [.., "os-availability-zone"]) => json(
            200,
            &json!({ "availabilityZoneInfo": [{ "zoneName": "nova", "zoneState": { "available": true } }] }),
        ),
        ("GET", ["image", "v2", "images", rest @ ..]) => {
            let id = rest.first().unwrap_or(&"11111111-2222-3333-4444-555555555556");
            let mut image = json!({ "id": id, "status": "active" });
            if let Some(volumes) = &world.image_volumes {
                image["block_device_mapping"] = volumes.clone();
            }
            json(200, &if rest.is_empty() { json!({ "images": [image] }) } else { image })
        }
        // Who asks with any query, or as before 2.69, is told nothing of what is missing.
        ("GET", [.., "servers", "detail"]) if world.is_cell_down => {
            let names = ask.version() >= (2, 69) && ask.query.is_empty();
            let all: Vec<_> = world.things.values().filter(|_| names).map(told_in_part).collect();
            json(200, &json!({ "servers": all }))
        }
        ("GET", [.., "servers", id]) if world.is_cell_down && world.things.contains_key(*id) => {
            match ask.version() >= (2, 69) || world.answers_in_part {
                true => json(200, &json!({ "server": told_in_part(&world.things[*id]) })),
                false => json(
                    500,
                    &json!({ "computeFault": { "code": 500, "message": "Cell is not responding" } }),
                ),
            }
        }
        ("GET", [.., "servers", "detail"]) => {
            let all: Vec<_> = world.things.values().map(told).collect();
            json(200, &json!({ "servers": all }))
        }
        ("POST", [.., "servers"]) => {
            let key = ask.json["server"]["metadata"]["fulcrum-key"].as_str().expect("a key").to_owned();
            let id = |at: u32| uuid::Uuid::from_u128(0x5e00 + u128::from(at)).to_string();
            let thing = world.make(id, &key, "small");
            json(202, &json!({ "server": { "id": thing.id } }))
        }
        ("POST", [.., "servers", id, "metadata"]) => {
            let Some(thing) = world.things.get_mut(*id) else { return gone() };
            for (key, value) in ask.json["metadata"].as_object().expect("an object") {
                thing.notes.insert(key.clone(), value.as_str().expect("text").to_owned());
            }
            json(200, &ask.json)
        }
        ("POST", [.., "servers", id, "action"]) => {
            world.act(id, |thing| thing.is_on = ask.json.get("os-start").is_some());
            json(202, &Value::Null)
        }
        (method, [.., "servers", id]) => {
            let Some(thing) = world.things.get(*id).cloned() else { return gone() };
            match method {
                "DELETE" => {
                    world.end_with_parts(id);
                    json(204, &Value::Null)
                }
                _ => json(200, &json!({ "server": told(&thing) })),
            }
        }
        _ => gone(),
    }
}
