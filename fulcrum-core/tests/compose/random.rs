//! Small random markets and blueprints that use every kind of condition.

use std::{collections::BTreeMap, sync::Arc};

use fulcrum_core::{
    catalogue::{Catalogue, CatalogueBuilder, Rates},
    compose::{ComposeError, ComposeOptions, Method, Signal, compose},
    model::{
        Blueprint, Certification, Charge, Offer, Place, Plan, Price, PurchaseOption, Seller, Tax, Tier, Unit,
        parse_json,
    },
    provider::table::Table,
};
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use rust_decimal::Decimal;
use serde_json::{Value, json};

pub use crate::support::seed::seed;

/// The best plan, with the usual options.
pub fn solve(catalogue: &Catalogue, blueprint: &Blueprint) -> Result<Plan, ComposeError> {
    compose(catalogue, blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue)
}

const HEADER: &str =
    "kind,sku,region,vcpu,memory_mib,disk_gib,monthly,once,currency,tax,stock,observed,source";

/// Solves over all columns written down.
pub fn solve_over_all(catalogue: &Catalogue, blueprint: &Blueprint) -> Result<Plan, ComposeError> {
    let options = ComposeOptions { method: Method::AllColumns, ..ComposeOptions::default() };
    compose(catalogue, blueprint, &options, &mut |_| Signal::Continue)
}

/// Offers of one provider from rows of a price table.
pub fn offers(provider: &str, country: &str, rows: &str) -> Vec<Offer> {
    let provider = json!({
        "id": provider, "name": provider, "legal_name": provider, "country": country,
        "regions": [
            {"id": "one", "country": country, "latitude": "52.5", "longitude": if provider == "acme" { "13.4" } else { "9" }},
            {"id": "two", "country": country, "latitude": "48.1", "longitude": "11.6"},
        ],
    });
    let provider = parse_json(&provider.to_string()).expect("a provider");
    let table = Table::from_csv(&provider, &format!("{HEADER}\n{rows}")).expect("a table");
    assert!(table.rejected.is_empty() && table.quarantined.is_empty(), "{table:?}");
    table.offers
}

pub fn catalogue(offers: impl IntoIterator<Item = Offer>) -> Catalogue {
    let mut builder = CatalogueBuilder::new("2026-11-23T00:00:00Z".parse().expect("a time"), Rates::none());
    builder.extend(offers);
    builder.build()
}

fn egress(chance: &mut StdRng) -> Option<Arc<Price>> {
    let tiers: &[(i64, i64)] = match chance.random_range(0..6) {
        0 => return None,
        1 | 2 => &[(0, 10)],
        3 => &[(0, 0), (15, 20)],
        4 => &[(0, 20), (15, 5)],
        _ => &[(0, 9), (8, 12), (20, 4)],
    };
    Some(Arc::new(Price {
        charge: Charge::PerUnit {
            unit: Unit::Gib,
            tiers: tiers
                .iter()
                .map(|(from, price)| Tier { from: (*from).into(), price: Decimal::new(*price, 2) })
                .collect(),
        },
        once: Decimal::ZERO,
        currency: iso_currency::Currency::EUR,
        tax: Tax::Net,
        purchase_option: PurchaseOption::OnDemand,
        term_months: 0,
    }))
}

fn put(offer: &mut Offer, zone: Option<&str>) {
    let zone = zone.map(|zone| zone.parse().expect("a zone"));
    offer.place = Arc::new(Place { zone, ..(*offer.place).clone() });
}

/// Machines of random size and price in three places of two providers.
pub fn random_offers(chance: &mut StdRng) -> Vec<Offer> {
    let mut all = Vec::new();
    // In some markets machines and addresses have zones; then some stand in a region as a whole still.
    let has_zones = chance.random_bool(0.3);
    let zone = |chance: &mut StdRng| {
        let zones = [None, Some("z1"), Some("z2")];
        zones.choose(chance).copied().flatten().filter(|_| has_zones)
    };
    for (provider, country, regions) in [("acme", "DE", ["one", "two"].as_slice()), ("umbra", "US", &["one"])]
    {
        let certified = chance.random_bool(0.5);
        for region in regions {
            let egress = egress(chance);
            for (_, kind) in RELATIONS {
                let price = chance.random_range(u8::from(kind != "network")..=6);
                let row = format!("{kind},{kind},{region},,,,{price},,EUR,net,,2026-11-01,test\n");
                let mut offer = offers(provider, country, &row).remove(0);
                if kind == "public_ip" {
                    put(&mut offer, zone(chance));
                }
                all.push(offer);
            }
            for size in 0..chance.random_range(1..=2) {
                let (vcpu, memory) = (chance.random_range(1..=4), chance.random_range(1..=4) * 1024);
                let price = chance.random_range(1..=20);
                let once = ["", "", "6"].choose(chance).copied().unwrap_or("");
                let stock = ["", "", "1"].choose(chance).copied().unwrap_or("");
                let row = format!(
                    "machine,s{size},{region},{vcpu},{memory},10,{price},{once},EUR,net,{stock},2026-11-01,test\n"
                );
                let mut offer = offers(provider, country, &row).remove(0);
                put(&mut offer, zone(chance));
                offer.egress = egress.clone();
                offer.capacity.named.insert("power_w".to_owned(), chance.random_range(1..=9));
                if chance.random_bool(0.2) {
                    offer.price.term_months = chance.random_range(1..=4);
                    offer.price.purchase_option = PurchaseOption::Committed(offer.price.term_months);
                }
                if certified {
                    let certificate = Certification {
                        name: "ISO 27001".to_owned(),
                        valid_until: None,
                        source: None,
                        observed: None,
                    };
                    offer.seller =
                        Arc::new(Seller { certifications: vec![certificate], ..(*offer.seller).clone() });
                }
                all.push(offer);
            }
        }
    }
    all
}

/// The kinds of condition that the generator knows.
pub const KINDS: [&str; 36] = [
    "conflict",
    "colocate",
    "everywhere",
    "spread",
    "max_percent",
    "share",
    "share_all",
    "unshared",
    "survive",
    "distinct",
    "count",
    "serves",
    "linear",
    "one_of",
    "budget",
    "where",
    "resource",
    "limit",
    "link",
    "link_ms",
    "users",
    "users_ms",
    "fees",
    "markets",
    "sovereignty",
    "within",
    "in_turn",
    "weighted",
    "running",
    "pinned",
    "max_moves",
    "settings",
    "attach",
    "targets",
    "network",
    "nodes_of",
];

/// Kinds that need a product beside the machines, of this kind.
const RELATIONS: [(&str, &str); 4] = [
    ("attach", "public_ip"),
    ("targets", "load_balancer"),
    ("network", "network"),
    ("nodes_of", "kubernetes"),
];

/// Kinds for which both components must be machines.
const OF_MACHINES: [&str; 6] = ["conflict", "colocate", "share", "running", "pinned", "max_moves"];

/// What can be asked for together: the first of what excludes each other stays.
fn compatible(chosen: &[&'static str]) -> Vec<&'static str> {
    let is_relation = |kind: &str| RELATIONS.iter().any(|(word, _)| *word == kind);
    let mut kept: Vec<&'static str> = Vec::new();
    for kind in chosen {
        let is_out = match () {
            () if is_relation(kind) => kept.iter().any(|it| is_relation(it) || OF_MACHINES.contains(it)),
            () => OF_MACHINES.contains(kind) && kept.iter().any(|it| is_relation(it)),
        };
        if !is_out {
            kept.push(kind);
        }
    }
    kept
}

/// Two small components under one to four random conditions; counts which.
pub fn random_blueprint(chance: &mut StdRng, kinds: &mut BTreeMap<&'static str, usize>) -> Blueprint {
    let chosen: Vec<&'static str> =
        (0..chance.random_range(1..=4)).map(|_| *KINDS.choose(chance).expect("kinds")).collect();
    blueprint_with(chance, &chosen, kinds)
}

/// One or two services that run, of offers that may be there.
fn running(number: &mut impl FnMut(i64, i64) -> i64) -> Value {
    let services: Vec<Value> = (0..number(1, 2))
        .map(|at| {
            let place = ["acme/one", "acme/two", "umbra/one"][usize::try_from(number(0, 2)).unwrap_or(0)];
            let replicas = match number(0, 2) {
                0 => json!({ "a": 1 }),
                1 => json!({ "b": 1 }),
                _ => json!({ "a": 1, "b": 1 }),
            };
            json!({ "id": format!("s{at}"), "offer": format!("{place}/s{}", number(0, 1)), "replicas": replicas })
        })
        .collect();
    json!({ "services": services, "move_cost": number(0, 9), "move_costs": { "b": number(0, 30) } })
}

fn must_share(chosen: &[&'static str]) -> bool {
    chosen.iter().any(|kind| matches!(*kind, "colocate" | "everywhere"))
}

/// Two small components under these conditions.
pub fn blueprint_with(
    chance: &mut StdRng,
    chosen: &[&'static str],
    kinds: &mut BTreeMap<&'static str, usize>,
) -> Blueprint {
    let mut component = || {
        let (vcpu, memory) = (chance.random_range(1..=3), chance.random_range(1..=3) * 1024);
        let min = chance.random_range(1..=2);
        let per_machine = chance.random_range(1..=2);
        json!({ "vcpu": vcpu, "memory_mib": memory, "replicas": { "min": min, "max": 2 }, "per_machine": per_machine })
    };
    let (mut a, mut b) = (component(), component());
    let chosen = &*compatible(chosen);
    let mut constraints: Vec<Value> = Vec::new();
    let mut links: Vec<Value> = Vec::new();
    let mut users: Vec<Value> = Vec::new();
    let mut filter = json!({});
    let mut whole = json!({ "name": "random", "horizon_months": 3 });
    whole["assume"] = json!({ "carbon": { "g_per_kwh": { "DE": 400, "US": 300 }, "watts_per_vcpu": 10 } });
    for kind in chosen {
        let kind = *kind;
        *kinds.entry(kind).or_default() += 1;
        let over = ["provider", "region", "country"].choose(chance).copied().unwrap_or("provider");
        let mut number = |low: i64, high: i64| chance.random_range(low..=high);
        let user =
            |at: usize| json!({ "name": format!("u{at}"), "at": { "latitude": "53.5", "longitude": "10" } });
        match kind {
            "conflict" => constraints.push(json!({ "conflict": { "component": "a", "with": ["b"] } })),
            "colocate" => constraints.push(json!({ "colocate": { "components": ["a", "b"] } })),
            "everywhere" => constraints.push(json!({ "everywhere": { "component": "a" } })),
            "spread" => {
                constraints.push(json!({ "spread": { "components": ["a"], "over": over, "at_least": 2 } }));
            }
            "max_percent" => {
                constraints
                    .push(json!({ "spread": { "components": ["b"], "over": over, "max_percent": 50 } }));
            }
            "share" => constraints.push(json!({ "share": ["a", "b"] })),
            "unshared" => {} // as long as nothing else lets components share
            "share_all" => constraints.push(json!({ "share": "all" })),
            "survive" => {
                constraints.push(json!({ "survive": { "components": ["a", "b"], "loss_of": over } }));
            }
            "distinct" => constraints.push(json!({ "distinct": { "over": over, "at_most": 1 } })),
            "count" => {
                let n = number(2, 4);
                constraints.push(json!({ "count": { "components": ["a", "b"], "exactly": n } }));
            }
            "serves" => constraints
                .push(json!({ "serves": { "server": "a", "client": "b", "clients": 1, "no_spare": true } })),
            "linear" => {
                let min = number(0, 3);
                constraints.push(json!({ "linear": { "terms": { "a": 2, "b": -1 }, "min": min } }));
            }
            "one_of" => {
                if !constraints.iter().any(|constraint| constraint.get("one_of").is_some()) {
                    constraints.push(json!({ "one_of": ["a", "b"] }));
                }
            }
            "budget" => whole["budget"] = json!(number(5, 40)),
            "where" => filter["jurisdiction"] = json!("EU"),
            "markets" => filter["markets"] = json!(["on_demand", "committed"]),
            "sovereignty" => filter["sovereignty"] = json!({ "score": number(20, 60) }),
            "within" => {
                filter["within"] =
                    json!({ "km": number(100, 500), "of": { "latitude": "52", "longitude": "12" } });
            }
            "resource" => {
                let max = number(3, 20);
                constraints.push(json!({ "limit": { "resource": "power_w", "max": max } }));
            }
            "limit" => {
                let (measure, max) = match number(0, 4) {
                    0 => ("carbon", number(2, 20)),
                    1 => ("providers", 1),
                    2 => ("sovereignty", number(50, 300)),
                    3 => ("latency", number(1, 200)),
                    _ => ("worst_latency", number(1, 12)),
                };
                constraints.push(json!({ "limit": { "measure": measure, "max": max } }));
            }
            "link" => links.push(json!({ "from": "a", "to": "b", "traffic_gib": number(1, 20) })),
            "link_ms" => links.push(json!({ "from": "b", "to": "a", "max_ms": number(0, 9) })),
            "users" => {
                let mut group = user(users.len());
                group["traffic_gib"] = json!(number(1, 30));
                users.push(group);
            }
            "users_ms" => {
                let mut group = user(users.len());
                group["max_ms"] = json!(number(2, 12));
                users.push(group);
            }
            "fees" => {
                whole["provider_fees"] = json!({ "default": { "monthly": number(0, 5) }, "providers": { "acme": { "once": number(0, 9) } } });
            }
            "in_turn" => {
                let first = ["carbon", "providers", "sovereignty", "latency", "worst_latency"];
                let first = first.choose(chance).copied().unwrap_or("carbon");
                whole["objective"] = json!([first, "cost"]);
            }
            "weighted" => {
                let how = number(0, 3);
                let second = ["carbon", "providers", "sovereignty", "latency", "worst_latency"];
                let second = second.choose(chance).copied().unwrap_or("carbon");
                // Also one measure alone, counted several times or in part.
                whole["objective"] = match how {
                    0 => json!({ "cost": 2 }),
                    1 => json!({ "cost": "0.5" }),
                    _ => json!({ "cost": 1, second: "0.25" }),
                };
            }
            "running" | "pinned" | "max_moves" => {
                if whole.get("running").is_none() {
                    whole["running"] = running(&mut number);
                }
                if kind == "pinned" {
                    whole["running"]["services"][0]["pinned"] = json!(true);
                } else if kind == "max_moves" {
                    whole["running"]["max_moves"] = json!(number(0, 2));
                }
            }
            "settings" => {
                // What must share a machine cannot want different ones.
                let other = if must_share(chosen) { "debian" } else { "alpine" };
                (a["settings"]["image"], a["settings"]["size"]) = (json!("debian"), json!("s"));
                b["settings"]["image"] = json!(other);
            }
            other => {
                let related = RELATIONS.iter().find(|(word, _)| *word == other);
                let (word, product) = related.unwrap_or_else(|| panic!("unknown kind {other}"));
                b = json!({ "kind": product, "replicas": b["replicas"], "settings": b["settings"] });
                if b["settings"].is_null() {
                    b["settings"] = json!({});
                }
                let (of, to) =
                    if matches!(other, "attach" | "targets") { (&mut b, "a") } else { (&mut a, "b") };
                of[*word] = json!(to);
            }
        }
    }
    // What forbids sharing matters only where something else permits it.
    let forbids = chosen.iter().any(|kind| matches!(*kind, "conflict" | "settings"));
    if forbids || (!chosen.contains(&"unshared") && chance.random_bool(0.5)) {
        constraints.push(json!({ "share": "all" }));
    }
    a["users"] = json!(users);
    whole["components"] = json!({ "a": a, "b": b });
    whole["constraints"] = json!(constraints);
    whole["links"] = json!(links);
    whole["where"] = filter;
    let text = whole.to_string();
    Blueprint::from_json(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}
