//! Blueprints that take some searching: more components than brute force can do, on machines whose prices are close.

use fulcrum_core::{
    catalogue::Catalogue,
    model::{Blueprint, Offer},
};
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};

use crate::random::{catalogue, offers};

/// Twelve machines in four places of two providers; a larger one costs a little less for its size.
pub fn market(chance: &mut StdRng) -> Catalogue {
    let mut all: Vec<Offer> = Vec::new();
    for (provider, country) in [("acme", "DE"), ("umbra", "US")] {
        let mut rows = String::new();
        for region in ["one", "two"] {
            for (size, vcpu) in [2, 4, 8].into_iter().enumerate() {
                let gib = vcpu * chance.random_range(2..=4);
                let price = vcpu * chance.random_range(60..=80) / 10 + gib * 2;
                let stock = ["", "", "2"].choose(chance).copied().unwrap_or("");
                rows.push_str(&format!(
                    "machine,s{size},{region},{vcpu},{},40,{price},,EUR,net,{stock},2026-11-01,test\n",
                    gib * 1024
                ));
            }
        }
        all.extend(offers(provider, country, &rows));
    }
    catalogue(all)
}

/// Four to six components that do not fill the machines evenly, with conflicts, spread and survival.
pub fn application(chance: &mut StdRng) -> Blueprint {
    let names: Vec<String> = (0..chance.random_range(4..=6)).map(|at| format!("c{at}")).collect();
    let mut components = serde_json::Map::new();
    let mut constraints: Vec<Value> = vec![json!({ "share": "all" })];
    for (at, name) in names.iter().enumerate() {
        let vcpu = [0.5, 1.0, 1.5, 2.5, 3.0].choose(chance).copied().unwrap_or(1.0);
        let memory_mib = 512 * chance.random_range(1..=12);
        let replicas = chance.random_range(1..=3);
        components.insert(
            name.clone(),
            json!({ "vcpu": vcpu, "memory_mib": memory_mib, "replicas": replicas, "per_machine": 2 }),
        );
        match chance.random_range(0..5) {
            0 if at > 0 => {
                constraints.push(json!({ "conflict": { "component": name, "with": [names[at - 1]] } }));
            }
            1 if replicas > 1 => {
                constraints
                    .push(json!({ "spread": { "components": [name], "over": "region", "at_least": 2 } }));
            }
            2 if replicas > 1 => {
                constraints.push(json!({ "survive": { "components": [name], "loss_of": "provider" } }));
            }
            _ => {}
        }
    }
    let text = json!({ "name": "packing", "components": components, "constraints": constraints }).to_string();
    Blueprint::from_json(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}
