//! A federated market of any size, and blueprints to match: seeded, so that every run sees the same.
//!
//! Prices follow what European providers publish: a vCPU at about 3 € and a GiB of memory at about 1 € a month,
//! times a level of the provider's own, a little noise, larger machines at the same rate, traffic at one to nine
//! cents a GB with some providers giving the first TB away.

use std::{collections::BTreeMap, sync::Arc};

use fulcrum_core::{
    catalogue::{Catalogue, CatalogueBuilder, Rates},
    model::{
        Blueprint, Charge, Coordinates, ElasticDisk, LegalEntity, Offer, OfferKind, Place, Price,
        PriceAuthority, Provenance, PurchaseOption, Resources, Seller, Tax, Tier, Unit,
    },
};
use iso_currency::Currency;
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::published::Error;

/// Countries with the position of a city in thousandths of a degree.
const COUNTRIES: [(&str, i64, i64); 16] = [
    ("AT", 48_208, 16_373),
    ("BE", 50_850, 4_352),
    ("CZ", 50_075, 14_438),
    ("DE", 50_110, 8_682),
    ("DK", 55_676, 12_568),
    ("EE", 59_437, 24_754),
    ("ES", 40_417, -3_704),
    ("FI", 60_170, 24_938),
    ("FR", 48_857, 2_352),
    ("IE", 53_350, -6_260),
    ("IT", 45_464, 9_190),
    ("NL", 52_368, 4_904),
    ("PL", 52_230, 21_012),
    ("PT", 38_722, -9_139),
    ("SE", 59_329, 18_069),
    ("US", 39_043, -77_487),
];

/// How large a market is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Who sells.
    pub providers: usize,
    /// Of each provider.
    pub regions: usize,
    /// In all.
    pub offers: usize,
}

impl Size {
    /// The market of so many offers: 20, 200 or 2,000 providers, in five regions each; in two if it is tiny.
    pub fn of(offers: usize) -> Self {
        let providers = match offers {
            0..=10_000 => 20,
            10_001..=100_000 => 200,
            _ => 2_000,
        };
        Self { providers, regions: if offers <= 1_000 { 2 } else { 5 }, offers }
    }
}

/// A market.
///
/// # Errors
/// Never for sizes above zero; the parts of an offer are checked as they are made.
pub fn catalogue(seed: u64, size: Size) -> Result<Catalogue, Error> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut builder = CatalogueBuilder::new("2026-11-24T00:00:00Z".parse()?, Rates::none());
    let provenance = Arc::new(Provenance {
        source: format!("generated from seed {seed}"),
        observed: "2026-11-01".parse()?,
        valid_until: None,
        authority: PriceAuthority::Listing,
    });
    let attributes = ["x86_64", "aarch64"]
        .map(|name| Arc::new(BTreeMap::from([("architecture".to_owned(), name.to_owned())])));
    let places = size.providers * size.regions;
    let mut left = size.offers;
    for provider in 0..size.providers {
        let (country, ..) = COUNTRIES[rng.random_range(0..COUNTRIES.len())];
        let owner = LegalEntity { name: format!("Provider {provider} AG"), country: country.parse()? };
        let seller = Arc::new(Seller {
            owner,
            control_chain: Vec::new(),
            certifications: Vec::new(),
            assessments: BTreeMap::new(),
        });
        let level = rng.random_range(70..=160);
        let egress = egress(&mut rng);
        let disk = Arc::new(ElasticDisk {
            sku: "disk".parse()?,
            price: per_gib(&[(0, rng.random_range(40..=120))], Unit::GibMonth, 3),
        });
        for region in 0..size.regions {
            let (country, latitude, longitude) = COUNTRIES[rng.random_range(0..COUNTRIES.len())];
            let place = Arc::new(Place {
                provider: format!("p{provider:04}").parse()?,
                region: format!("r{region}-{}", country.to_lowercase()).parse()?,
                zone: None,
                country: country.parse()?,
                coordinates: Some(Coordinates {
                    latitude: Decimal::new(latitude, 3),
                    longitude: Decimal::new(longitude, 3),
                }),
            });
            let done = provider * size.regions + region;
            let here = left / (places - done);
            left -= here;
            for number in 0..here {
                let is_machine = number >= 2 || here < 3;
                let kind = match (is_machine, number) {
                    (true, _) => OfferKind::Machine,
                    (false, 0) => OfferKind::ObjectStorage,
                    (false, _) => OfferKind::LoadBalancer,
                };
                let vcpu: u32 = *[1, 2, 2, 4, 4, 8, 8, 16, 32, 64].choose(&mut rng).ok_or("no size")?;
                let ratio: u64 = *[2, 4, 4, 8].choose(&mut rng).ok_or("no ratio")?;
                let gib = u64::from(vcpu) * ratio;
                let cents = (i64::from(vcpu) * 300 + gib.cast_signed() * 100) * level / 100;
                let cents = cents * rng.random_range(95..=110) / 100;
                let charge = match kind {
                    OfferKind::Machine => Charge::Monthly(Decimal::new(cents, 2)),
                    OfferKind::ObjectStorage => {
                        per_gib(&[(0, rng.random_range(8..=25))], Unit::GibMonth, 3).charge
                    }
                    _ => Charge::Monthly(Decimal::new(rng.random_range(500..=2000), 2)),
                };
                let capacity = if kind == OfferKind::Machine {
                    Resources {
                        vcpu_milli: vcpu * 1000,
                        memory_mib: gib * 1024,
                        disk_gib: 40,
                        ..Resources::default()
                    }
                } else {
                    Resources::default()
                };
                builder.add(Offer {
                    sku: format!("{kind}-{vcpu}-{gib}-{number}").parse()?,
                    kind,
                    place: place.clone(),
                    capacity,
                    surcharges: Arc::default(),
                    elastic_disk: (kind == OfferKind::Machine).then(|| disk.clone()),
                    attributes: attributes[usize::from(number % 5 == 4)].clone(),
                    price: Price { charge, ..per_gib(&[], Unit::Gib, 0) },
                    egress: Some(egress.clone()),
                    stock: rng.random_bool(0.03).then(|| rng.random_range(1..=4)),
                    settings: None,
                    seller: seller.clone(),
                    provenance: provenance.clone(),
                });
            }
        }
    }
    Ok(builder.build())
}

fn egress(rng: &mut SmallRng) -> Arc<Price> {
    let cents = rng.random_range(1..=9);
    let free_first = rng.random_bool(0.3);
    let tiers: &[(i64, i64)] = if free_first { &[(0, 0), (1000, cents)] } else { &[(0, cents)] };
    Arc::new(per_gib(tiers, Unit::Gb, 2))
}

fn per_gib(tiers: &[(i64, i64)], unit: Unit, digits: u32) -> Price {
    let tiers =
        tiers.iter().map(|(from, price)| Tier { from: (*from).into(), price: Decimal::new(*price, digits) });
    Price {
        charge: Charge::PerUnit { unit, tiers: tiers.collect() },
        once: Decimal::ZERO,
        currency: Currency::EUR,
        tax: Tax::Net,
        purchase_option: PurchaseOption::OnDemand,
        term_months: 0,
    }
}

/// An application of so many components: services of random size in a chain of links, every fifth an object storage
/// or load balancer, every fourth to survive the loss of a provider, every sixth spread over regions.
///
/// Components have machines of their own, or share all.
///
/// # Errors
/// Never; the document is made to be well formed.
pub fn blueprint(seed: u64, components: usize, is_shared: bool) -> Result<Blueprint, Error> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut parts = serde_json::Map::new();
    let (mut links, mut constraints) = (Vec::new(), Vec::new());
    if is_shared {
        constraints.push(json!({ "share": "all" }));
    }
    let name = |at: usize| format!("c{at:02}");
    for at in 0..components {
        let replicas = rng.random_range(1..=3) + u32::from(at % 4 == 1);
        let vcpu = [0.5, 1.0, 1.0, 2.0, 2.0, 4.0, 6.0].choose(&mut rng).copied().ok_or("no size")?;
        let gib: u64 = [1, 2, 2, 4, 8, 12, 16].choose(&mut rng).copied().ok_or("no size")?;
        let part = match at % 10 {
            4 => {
                json!({ "kind": "object_storage", "disk_gib": rng.random_range(50..=500), "replicas": replicas })
            }
            9 => json!({ "kind": "load_balancer", "replicas": replicas }),
            _ => json!({
                "vcpu": vcpu,
                "memory_mib": 1024 * gib,
                "disk_gib": rng.random_range(5..=60),
                "replicas": replicas,
            }),
        };
        parts.insert(name(at), part);
        if at > 0 && at % 2 == 0 {
            links.push(
                json!({ "from": name(at - 1), "to": name(at), "traffic_gib": rng.random_range(5..=50) }),
            );
        }
        if at % 4 == 1 {
            constraints.push(json!({ "survive": { "components": [name(at)], "loss_of": "provider" } }));
        }
        if at % 6 == 3 && replicas > 1 {
            constraints
                .push(json!({ "spread": { "components": [name(at)], "over": "region", "at_least": 2 } }));
        }
    }
    let document: Value = json!({
        "name": format!("generated-{components}"),
        "components": parts,
        "where": { "jurisdiction": "EU" },
        "links": links,
        "constraints": constraints,
    });
    Ok(Blueprint::from_json(&document.to_string())?)
}
