//! Medium blueprints and markets for a comparison with an independent program: too large for brute force, small
//! enough for a plain integer program. Seeded; four to eight components, fifteen to forty offers in three or four
//! providers, two to five kinds of condition.

use std::{collections::BTreeMap, sync::Arc};

use fulcrum_core::model::{
    Charge, ElasticDisk, LegalEntity, Offer, OfferKind, Place, Price, PriceAuthority, Provenance,
    PurchaseOption, Resources, Seller, Tax, Tier, Unit,
};
use iso_currency::Currency;
use rand::{
    Rng, SeedableRng,
    rngs::SmallRng,
    seq::{IndexedRandom, SliceRandom},
};
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use crate::published::Error;

/// What a customer hands in, and what is on offer.
#[derive(Debug)]
pub struct Instance {
    /// The blueprint as a document.
    pub blueprint: Value,
    /// The market.
    pub offers: Vec<Offer>,
}

/// The kinds of condition, each at most a few times in one blueprint.
pub const KINDS: [&str; 23] = [
    "count",
    "serves",
    "linear",
    "one_of",
    "conflict",
    "colocate",
    "everywhere",
    "spread",
    "share",
    "survive",
    "distinct",
    "stock",
    "budget",
    "jurisdiction",
    "attributes",
    "markets",
    "limit",
    "fees",
    "link",
    "users",
    "attach",
    "targets",
    "network",
];

/// The instance of a seed.
///
/// # Errors
/// Never; names and countries are made to be well formed.
pub fn instance(seed: u64) -> Result<Instance, Error> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let count = rng.random_range(2..=5);
    let mut kinds = KINDS.to_vec();
    kinds.shuffle(&mut rng);
    kinds.truncate(count);
    let offers = market(&mut rng, kinds.contains(&"stock"))?;
    let blueprint = blueprint(&mut rng, &kinds);
    Ok(Instance { blueprint, offers })
}

fn market(rng: &mut SmallRng, is_scarce: bool) -> Result<Vec<Offer>, Error> {
    let provenance = Arc::new(Provenance {
        source: "generated".to_owned(),
        observed: "2026-11-01".parse()?,
        valid_until: None,
        authority: PriceAuthority::Listing,
    });
    let wanted = rng.random_range(15..=40);
    let mut places: Vec<(Arc<Place>, Terms)> = Vec::new();
    for provider in 0..rng.random_range(3..=4) {
        let terms = Terms::new(rng, provider)?;
        for region in 0..rng.random_range(1..=2) {
            let country = pick(rng, ["DE", "DE", "FR", "FI", "CH", "US"]);
            let zones: &[Option<&str>] = if rng.random_bool(0.3) { &[Some("a"), Some("b")] } else { &[None] };
            for zone in zones {
                let place = Arc::new(Place {
                    provider: format!("p{provider}").parse()?,
                    region: format!("r{region}").parse()?,
                    zone: zone.map(str::parse).transpose()?,
                    country: country.parse()?,
                    coordinates: None,
                });
                places.push((place, terms.clone()));
            }
        }
    }
    let per_place = wanted / places.len();
    let mut offers = Vec::new();
    for (place, terms) in &places {
        for number in 0..per_place.max(2) {
            let kind = match (number, rng.random_range(0..4)) {
                (0, 0) => OfferKind::ObjectStorage,
                (1, 0) => OfferKind::LoadBalancer,
                (1, 1) => OfferKind::PublicIp,
                (1, 2) => OfferKind::Network,
                _ => OfferKind::Machine,
            };
            let (capacity, price) = product(rng, kind, terms.level);
            let architecture = if rng.random_bool(0.25) { "aarch64" } else { "x86_64" };
            let stock = rng.random_bool(if is_scarce { 0.7 } else { 0.05 });
            offers.push(Offer {
                sku: format!("{kind}-{number}").parse()?,
                kind,
                place: place.clone(),
                capacity,
                surcharges: Arc::default(),
                elastic_disk: terms.disk.clone().filter(|_| kind == OfferKind::Machine),
                attributes: Arc::new(BTreeMap::from([("architecture".to_owned(), architecture.to_owned())])),
                price,
                egress: terms.egress.clone(),
                stock: stock.then(|| rng.random_range(1..=2)),
                settings: None,
                seller: terms.seller.clone(),
                provenance: provenance.clone(),
            });
        }
    }
    Ok(offers)
}

/// What all offers of a provider have in common.
#[derive(Clone)]
struct Terms {
    seller: Arc<Seller>,
    /// Of its prices, in per cent.
    level: i64,
    disk: Option<Arc<ElasticDisk>>,
    egress: Option<Arc<Price>>,
}

impl Terms {
    fn new(rng: &mut SmallRng, provider: usize) -> Result<Self, Error> {
        let mut entity = |name: String| -> Result<LegalEntity, Error> {
            let country = pick(rng, ["DE", "FR", "DE", "US"]);
            Ok(LegalEntity { name, country: country.parse()? })
        };
        let owner = entity(format!("Provider {provider} AG"))?;
        let parent = entity(format!("Parent {provider} SE"))?;
        let control_chain = if rng.random_bool(0.3) { vec![parent] } else { Vec::new() };
        let seller =
            Seller { owner, control_chain, certifications: Vec::new(), assessments: BTreeMap::new() };
        let disk_price = rng.random_range(40..=120);
        let disk = ElasticDisk { sku: "disk".parse()?, price: per_unit(Unit::GibMonth, disk_price, 3) };
        let unit = pick(rng, [Unit::Gb, Unit::Gib]);
        let egress = per_unit(unit, rng.random_range(1..=90), 3);
        Ok(Self {
            seller: Arc::new(seller),
            level: rng.random_range(70..=160),
            disk: rng.random_bool(0.5).then(|| Arc::new(disk)),
            egress: rng.random_bool(0.9).then(|| Arc::new(egress)),
        })
    }
}

fn product(rng: &mut SmallRng, kind: OfferKind, level: i64) -> (Resources, Price) {
    let mut price = match kind {
        OfferKind::ObjectStorage => {
            let unit = pick(rng, [Unit::GbMonth, Unit::GibMonth, Unit::GibHour]);
            return (Resources::default(), per_unit(unit, rng.random_range(8..=25), 4));
        }
        OfferKind::LoadBalancer => {
            let capacity = Resources {
                named: BTreeMap::from([("power_w".to_owned(), rng.random_range(1..=5))]),
                ..Resources::default()
            };
            return (capacity, price(Charge::Monthly(Decimal::new(rng.random_range(500..=2000), 2))));
        }
        OfferKind::PublicIp | OfferKind::Network => {
            let monthly = Decimal::new(rng.random_range(50..=900), 2);
            return (Resources::default(), price(Charge::Monthly(monthly)));
        }
        _ => price(Charge::Once),
    };
    let vcpu: u32 = pick(rng, [1, 2, 2, 4, 4, 8, 16]);
    let gib = u64::from(vcpu) * pick(rng, [1, 2, 2, 4]);
    let cents = (i64::from(vcpu) * 300 + gib.cast_signed() * 100) * level / 100;
    let cents = cents * rng.random_range(85..=115) / 100;
    let monthly = Decimal::new(cents, 2);
    // In ten thousandths an hour.
    let hourly = Decimal::new(cents * 100 / 730, 4);
    price.charge = match rng.random_range(0..5) {
        0 => Charge::Hourly(hourly),
        1 => Charge::HourlyCapped { hourly, monthly: monthly * Decimal::new(9, 1) },
        _ => Charge::Monthly(monthly),
    };
    if rng.random_bool(0.15) {
        price.once = Decimal::from(rng.random_range(5..=30));
    }
    if rng.random_bool(0.1) {
        price.tax = Tax::Gross { vat_percent: Decimal::from(19) };
    }
    if rng.random_bool(0.15) {
        price.term_months = pick(rng, [1, 7, 12, 24]);
        price.purchase_option = PurchaseOption::Committed(price.term_months);
    }
    let power = u64::from(vcpu) * rng.random_range(3..=8);
    let capacity = Resources {
        vcpu_milli: vcpu * 1000,
        memory_mib: gib * 1024,
        disk_gib: pick(rng, [20, 40, 80]),
        gpu: 0,
        named: BTreeMap::from([("power_w".to_owned(), power)]),
    };
    (capacity, price)
}

/// One of these; one that stands there twice is twice as likely.
fn pick<T: Copy, const N: usize>(rng: &mut SmallRng, from: [T; N]) -> T {
    from[rng.random_range(0..N)]
}

fn price(charge: Charge) -> Price {
    Price {
        charge,
        once: Decimal::ZERO,
        currency: Currency::EUR,
        tax: Tax::Net,
        purchase_option: PurchaseOption::OnDemand,
        term_months: 0,
    }
}

fn per_unit(unit: Unit, number: i64, digits: u32) -> Price {
    price(Charge::PerUnit {
        unit,
        tiers: vec![Tier { from: Decimal::ZERO, price: Decimal::new(number, digits) }],
    })
}

fn blueprint(rng: &mut SmallRng, kinds: &[&str]) -> Value {
    let count = rng.random_range(4..=8);
    let names: Vec<String> = (0..count).map(|at| format!("c{at}")).collect();
    let mut parts: Vec<Value> = Vec::new();
    for at in 0..count {
        // The last two may be what is no machine.
        parts.push(if at + 2 >= count && rng.random_bool(0.3) {
            let storage =
                json!({ "kind": "object_storage", "disk_gib": rng.random_range(50..=500), "replicas": 1 });
            if rng.random_bool(0.5) { storage } else { json!({ "kind": "load_balancer", "replicas": 1 }) }
        } else {
            machine_part(rng)
        });
    }
    let machines: Vec<&String> =
        names.iter().zip(&parts).filter(|(_, part)| part["kind"].is_null()).map(|(name, _)| name).collect();
    let mut related: Vec<Value> = Vec::new();
    let mut whole = json!({ "name": "medium", "horizon_months": pick(rng, [3, 12]) });
    let mut constraints = Vec::new();
    let mut links = Vec::new();
    match rng.random_range(0..5) {
        0 => {}
        1 if machines.len() > 1 => {
            let some: Vec<&&String> = machines.choose_multiple(rng, 2.max(machines.len() / 2)).collect();
            constraints.push(json!({ "share": some }));
        }
        _ => constraints.push(json!({ "share": "all" })),
    }
    for kind in kinds {
        match *kind {
            "stock" => {} // of the offers
            "budget" => whole["budget"] = json!(rng.random_range(40..=300)),
            "jurisdiction" => {
                let area = pick(rng, ["EU", "EU", "EEA", "DE"]);
                if rng.random_bool(0.5) {
                    whole["where"]["jurisdiction"] = json!(area);
                } else {
                    parts[rng.random_range(0..count)]["where"]["jurisdiction"] = json!(area);
                }
            }
            "attributes" => {
                let wanted = pick(rng, ["x86_64", "aarch64"]);
                parts[rng.random_range(0..count)]["where"]["attributes"] = json!({ "architecture": wanted });
            }
            "markets" => {
                let markets = json!(["on_demand", "committed"]);
                if rng.random_bool(0.5) {
                    whole["where"]["markets"] = markets;
                } else {
                    parts[rng.random_range(0..count)]["where"]["markets"] = markets;
                }
            }
            "fees" => {
                whole["provider_fees"] = json!({
                    "default": { "monthly": rng.random_range(0..=10) },
                    "providers": { "p0": { "once": rng.random_range(0..=50) } },
                });
            }
            "link" => {
                for _ in 0..rng.random_range(1..=2) {
                    let two: Vec<&String> = names.choose_multiple(rng, 2).collect();
                    let gib = rng.random_range(1..=300);
                    links.push(json!({ "from": two[0], "to": two[1], "traffic_gib": gib }));
                }
            }
            "users" => {
                let at = json!({ "latitude": 50, "longitude": 9 });
                parts[rng.random_range(0..count)]["users"] =
                    json!([{ "name": "u", "at": at, "traffic_gib": rng.random_range(1..=300) }]);
            }
            // Products that stand with machines.
            "attach" | "targets" if !machines.is_empty() => {
                let product = if *kind == "attach" { "public_ip" } else { "load_balancer" };
                let machine = machines.choose(rng);
                related.push(json!({ "kind": product, *kind: machine, "replicas": { "min": 1, "max": 6 } }));
            }
            "network" if !machines.is_empty() => {
                let name = format!("c{}", count + related.len());
                related.push(json!({ "kind": "network", "replicas": { "min": 1, "max": 4 } }));
                // What shares a machine waits for the same components.
                let must_share = kinds.iter().any(|kind| matches!(*kind, "colocate" | "everywhere"));
                let members = if must_share { machines.len() } else { 2 };
                for machine in machines.choose_multiple(rng, members) {
                    let at = names.iter().position(|name| name == *machine).unwrap_or_default();
                    parts[at]["network"] = json!(name);
                }
            }
            "attach" | "targets" | "network" => {}
            kind => constraints.push(condition(rng, kind, &names, &machines)),
        }
    }
    let numbered = |(at, part)| (format!("c{}", count + at), part);
    let related = related.into_iter().enumerate().map(numbered);
    let all = names.iter().cloned().zip(parts).chain(related);
    whole["components"] = all.collect::<Map<_, _>>().into();
    whole["constraints"] = json!(constraints);
    whole["links"] = json!(links);
    whole
}

fn machine_part(rng: &mut SmallRng) -> Value {
    let min: u32 = pick(rng, [1, 1, 2, 2, 3]);
    let max = min + rng.random_range(0..=2);
    let per_machine = if rng.random_bool(0.3) { 2 } else { 1 };
    json!({
        "vcpu": pick(rng, ["0.5", "1", "1", "2", "2", "3"]),
        "memory_mib": 512 * pick(rng, [1, 2, 2, 4, 6, 8]),
        "disk_gib": pick(rng, [0, 5, 10, 30, 50]),
        "replicas": { "min": min, "max": max },
        "per_machine": per_machine,
    })
}

/// One condition of a kind over these components; of `machines` where it is about what shares one.
fn condition(rng: &mut SmallRng, kind: &str, names: &[String], machines: &[&String]) -> Value {
    let two: Vec<&String> = names.choose_multiple(rng, 2).collect();
    let shared: Vec<&&String> = machines.choose_multiple(rng, 2).collect();
    let over = pick(rng, ["provider", "provider", "region", "zone", "country"]);
    match kind {
        "count" => match rng.random_range(0..3) {
            0 => json!({ "count": { "components": two, "min": rng.random_range(3..=6) } }),
            1 => json!({ "count": { "components": two, "max": rng.random_range(2..=5) } }),
            _ => json!({ "count": { "components": two, "exactly": rng.random_range(2..=5) } }),
        },
        "serves" => json!({ "serves": {
            "server": two[0], "servers": rng.random_range(1..=2),
            "client": two[1], "clients": rng.random_range(1..=3), "no_spare": rng.random_bool(0.5),
        } }),
        "linear" => {
            let terms = Map::from_iter([(two[0].clone(), json!(2)), (two[1].clone(), json!(-1))]);
            let min = rng.random_range(0..=3);
            json!({ "linear": { "terms": terms, "min": min, "max": min + 2 } })
        }
        "one_of" => {
            let size = rng.random_range(2..=3);
            json!({ "one_of": names.choose_multiple(rng, size).collect::<Vec<_>>() })
        }
        "conflict" => json!({ "conflict": { "component": shared[0], "with": [shared[1]] } }),
        "colocate" => json!({ "colocate": { "components": shared } }),
        "everywhere" => {
            let unless: &[&&String] = if rng.random_bool(0.5) { &shared[1..] } else { &[] };
            json!({ "everywhere": { "component": shared[0], "unless": unless } })
        }
        "spread" => json!({ "spread": { "components": two, "over": over, "at_least": 2 } }),
        "share" => json!({ "spread": {
            "components": [shared[0]], "over": over, "max_percent": pick(rng, [34, 50, 67]),
        } }),
        "survive" => json!({ "survive": {
            "components": [shared[0]], "loss_of": over, "remaining": rng.random_range(1..=2),
        } }),
        "distinct" => json!({ "distinct": { "over": over, "at_most": rng.random_range(1..=2) } }),
        _ => {
            let components: &[&String] = if rng.random_bool(0.5) { &two } else { &[] };
            let max = rng.random_range(20..=120);
            json!({ "limit": { "resource": "power_w", "components": components, "max": max } })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fulcrum_core::model::Blueprint;

    #[test]
    fn every_seed_makes_a_blueprint_that_is_read_and_they_reach_every_kind() -> Result<(), Error> {
        let mut words = String::new();
        for seed in 0..200 {
            let instance = instance(seed)?;
            let text = instance.blueprint.to_string();
            Blueprint::from_json(&text).map_err(|error| format!("seed {seed}: {error}\n{text}"))?;
            assert!((8..=48).contains(&instance.offers.len()), "{} offers", instance.offers.len());
            words += &text;
        }
        for word in ["at_least", "max_percent", "resource", "provider_fees", "traffic_gib", "users"] {
            assert!(words.contains(word), "no blueprint has {word}");
        }
        Ok(())
    }
}
