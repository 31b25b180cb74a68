//! The published multiple-choice knapsack instances as blueprints: one component for each group, one offer for each
//! item, one limited resource for each budget. The value of an item becomes what it is cheaper.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use fulcrum_core::{
    catalogue::{Catalogue, CatalogueBuilder, Rates},
    model::{
        Blueprint, Charge, LegalEntity, Offer, OfferKind, Place, Plan, Price, PriceAuthority, Provenance,
        PurchaseOption, Resources, Seller, Tax,
    },
};
use iso_currency::Currency;
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::json;

use crate::published::Error;

/// One instance.
#[derive(Debug)]
pub struct Instance {
    /// As published, `I01`.
    pub name: String,
    /// One component for each group.
    pub blueprint: Blueprint,
    /// One offer for each item.
    pub catalogue: Catalogue,
    /// The best value that is known.
    pub best_known: Decimal,
    /// What no choice exceeds.
    pub upper_bound: Decimal,
    /// Whether the best known value is proven.
    pub is_proven: bool,
    /// What all items together are short of: cost and value add up to it.
    offset: Decimal,
}

impl Instance {
    /// The value of a plan.
    pub fn value(&self, plan: &Plan) -> Decimal {
        self.offset - plan.monthly
    }

    /// What no plan's value exceeds, by a plan's own bound.
    pub fn bound(&self, plan: &Plan) -> Decimal {
        self.offset - plan.bound
    }
}

/// Where the instances are; says aloud that they are skipped if they are not there.
pub fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/compose/mmkp");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("SKIPPED: the published knapsack instances are not there ({})", folder.display());
    None
}

/// Reads one instance.
///
/// # Errors
/// The file is missing or not as published.
pub fn instance(folder: &Path, name: &str) -> Result<Instance, Error> {
    let text = std::fs::read_to_string(folder.join(name))?;
    let known: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("best_known.json"))?)?;
    let known = &known[name];
    let mut numbers = text.split_whitespace().map(str::parse::<Decimal>);
    let mut next = || numbers.next().ok_or("the file ends early")?.map_err(Error::from);
    let mut count = || -> Result<usize, Error> { Ok(usize::try_from(next()?)?) };
    let (groups, items, resources) = (count()?, count()?, count()?);
    let capacities = (0..resources).map(|_| next()).collect::<Result<Vec<_>, Error>>()?;
    let mut rows: Vec<(usize, usize, Decimal, Vec<Decimal>)> = Vec::new();
    for group in 0..groups {
        next()?; // its number
        for item in 0..items {
            let value = next()?;
            let uses = (0..resources).map(|_| next()).collect::<Result<_, _>>()?;
            rows.push((group, item, value, uses));
        }
    }
    // Prices above zero: zero ones are quarantined.
    let highest = rows.iter().map(|(_, _, value, _)| *value).max().ok_or("no items")? + Decimal::ONE;
    let entity = LegalEntity { name: "Published".to_owned(), country: "CA".parse()? };
    let seller = Arc::new(Seller {
        owner: entity,
        control_chain: Vec::new(),
        certifications: Vec::new(),
        assessments: BTreeMap::new(),
    });
    let place = Arc::new(Place {
        provider: "published".parse()?,
        region: "any".parse()?,
        zone: None,
        country: "CA".parse()?,
        coordinates: None,
    });
    let provenance = Arc::new(Provenance {
        source: "published knapsack benchmark".to_owned(),
        observed: "2002-01-01".parse()?,
        valid_until: None,
        authority: PriceAuthority::Listing,
    });
    let mut builder = CatalogueBuilder::new(Timestamp::UNIX_EPOCH, Rates::none());
    let resource = |at: usize| format!("budget{at:02}");
    for (group, item, value, uses) in &rows {
        let named = uses
            .iter()
            .enumerate()
            .map(|(at, used)| Ok((resource(at), u64::try_from(*used)?)))
            .collect::<Result<BTreeMap<_, _>, rust_decimal::Error>>()?;
        builder.add(Offer {
            sku: format!("g{group:03}i{item:02}").parse()?,
            kind: OfferKind::Other,
            place: place.clone(),
            capacity: Resources { named, ..Resources::default() },
            surcharges: Arc::default(),
            elastic_disk: None,
            attributes: Arc::new(BTreeMap::from([("group".to_owned(), group.to_string())])),
            price: Price {
                charge: Charge::Monthly(highest - value),
                once: Decimal::ZERO,
                currency: Currency::EUR,
                tax: Tax::Net,
                purchase_option: PurchaseOption::OnDemand,
                term_months: 0,
            },
            egress: None,
            stock: None,
            settings: None,
            seller: seller.clone(),
            provenance: provenance.clone(),
        });
    }
    let components: serde_json::Map<String, serde_json::Value> = (0..groups)
        .map(|group| {
            let part = json!({ "kind": "other", "replicas": 1, "where": { "attributes": { "group": group.to_string() } } });
            (format!("g{group:03}"), part)
        })
        .collect();
    let limits: Vec<_> = capacities
        .iter()
        .enumerate()
        .map(|(at, capacity)| json!({ "limit": { "resource": resource(at), "max": capacity.to_string() } }))
        .collect();
    let document =
        json!({ "name": name, "components": components, "constraints": limits, "horizon_months": 1 });
    let number = |field: &str| -> Result<Decimal, Error> {
        Ok(known[field].to_string().parse().map_err(|_| format!("{name} has no {field}"))?)
    };
    Ok(Instance {
        name: name.to_owned(),
        blueprint: Blueprint::from_json(&document.to_string())?,
        catalogue: builder.build(),
        best_known: number("best_known")?,
        upper_bound: number("upper_bound")?,
        is_proven: known["status"] == "proven optimal",
        offset: highest * Decimal::from(groups),
    })
}
