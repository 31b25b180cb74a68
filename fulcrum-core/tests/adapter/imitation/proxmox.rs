use std::{path::Path, sync::Arc};

use fulcrum_core::provider::adapters::proxmox::{Proxmox, ProxmoxConfig};
use serde_json::{Value, json};

use super::{Api, Ask, Reply, World, config, json, table};

pub const API: Api = Api {
    name: "proxmox",
    build: |folder, url| Arc::new(adapter(folder, url)),
    over: |folder, url, way| Arc::new(adapter(folder, url).with_transport(way)),
    answer,
    is_purchase: |ask| ask.method == "POST" && ask.path.ends_with("/clone"),
    blueprint: "{ name: shop, components: { web: { vcpu: 2, disk_gib: 20 } } }",
    no_element: r#"{"success": 1}"#,
    goes_on: None,
    kind: "application/json;charset=UTF-8",
};

fn adapter(folder: &Path, url: &str) -> Proxmox {
    table(folder, "proxmox", true);
    let document = json!({ "id": "proxmox", "catalogue": "prices.csv", "nodes": { "r": ["pve1"] }, "image": "debian-13", "token_id": "a@pve!b",
        "token": "file:secret", "list_lag_ms": 100, "http": { "base_url": url, "timeout_ms": 3000 } });
    config::<ProxmoxConfig>(document).build(folder).expect("an adapter")
}

const TASK: &str = "UPID:pve1:00000001:00000001:00000001:qmclone:9000:a@pve!b:";

fn data(data: &Value) -> Reply {
    json(200, &json!({ "data": data }))
}

fn answer(world: &mut World, ask: &Ask) -> Reply {
    let says = |status: u16, message: &str| json(status, &json!({ "data": null, "message": message }));
    match (ask.method.as_str(), ask.parts().as_slice()) {
        ("GET", ["cluster", "resources"]) => {
            let mut all = vec![
                json!({ "type": "node", "node": "pve1", "status": "online", "maxmem": 68_719_476_736_u64, "id": "node/pve1" }),
                json!({ "type": "qemu", "id": "qemu/9000", "vmid": 9000, "node": "pve1", "name": "debian-13", "template": 1,
                    "status": "stopped", "maxmem": 2_147_483_648_u64 }),
            ];
            all.extend(world.things.values().map(|it| {
                json!({ "type": "qemu", "vmid": it.id.parse::<u64>().expect("a number"), "node": "pve1", "name": it.key, "template": 0,
                    "status": "running", "maxmem": 2_147_483_648_u64 })
            }));
            data(&json!(all))
        }
        ("GET", ["cluster", "nextid"]) => match world.things.contains_key(ask.get("vmid")) {
            true => json(
                400,
                &json!({ "data": null, "errors": { "vmid": "VM exists" }, "message": "Parameter verification failed." }),
            ),
            false => data(&json!(ask.get("vmid"))),
        },
        ("POST", [.., "clone"]) => {
            let (vmid, name, notes) = (ask.get("newid"), ask.get("name"), ask.get("description"));
            if world.things.contains_key(vmid) {
                return says(500, &format!("unable to create VM {vmid}: config file already exists"));
            }
            let mut thing = world.make(|_| vmid.to_owned(), name, notes);
            thing.is_on = world.clones_run;
            world.things.insert(vmid.to_owned(), thing);
            data(&json!(TASK))
        }
        ("GET", [.., "tasks", _, "status"]) => data(&json!({ "status": "stopped", "exitstatus": "OK" })),
        ("GET", [.., "tasks"]) => data(&json!([])),
        (method, ["nodes", "pve1", "qemu", vmid, rest @ ..]) => {
            let Some(thing) = world.things.get_mut(*vmid) else {
                return says(
                    500,
                    &format!("Configuration file 'nodes/pve1/qemu-server/{vmid}.conf' does not exist\n"),
                );
            };
            match (method, rest) {
                ("GET", ["config"]) => {
                    let mut told = json!({ "name": thing.key, "description": thing.sku, "digest": "1" });
                    for (field, value) in &thing.notes {
                        told[field] = json!(value);
                    }
                    let mut parts: Vec<_> = thing.parts.iter().collect();
                    parts.sort_by_key(|(_, made)| !**made);
                    // As large as its template's, until it is made larger.
                    let size = thing.notes.get("size").map_or("2G", String::as_str);
                    for (at, (part, _)) in parts.into_iter().enumerate() {
                        told[format!("scsi{at}")] = json!(format!("local:{vmid}/{part},size={size}"));
                    }
                    data(&told)
                }
                ("PUT", ["config"]) => {
                    for field in ["tags", "description", "cores", "memory", "cpulimit"] {
                        thing
                            .notes
                            .extend(ask.form.get(field).map(|value| (field.to_owned(), value.clone())));
                    }
                    data(&Value::Null)
                }
                ("PUT", ["resize"]) => {
                    thing.notes.insert("size".to_owned(), ask.get("size").to_owned());
                    data(&json!(TASK))
                }
                ("GET", ["status", "current"]) => {
                    data(&json!({ "status": if thing.is_on { "running" } else { "stopped" } }))
                }
                ("POST", ["status", verb]) => {
                    world.act(vmid, |thing| thing.is_on = *verb == "start");
                    data(&json!(TASK))
                }
                ("DELETE", []) => {
                    world.end_with_parts(vmid);
                    data(&json!(TASK))
                }
                _ => says(501, "not implemented"),
            }
        }
        _ => says(501, "not implemented"),
    }
}
