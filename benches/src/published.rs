//! The published deployment benchmark: four applications on lists of 20 to 500 machines.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use fulcrum_core::{
    catalogue::{Catalogue, CatalogueBuilder, Rates},
    model::{
        Blueprint, Charge, LegalEntity, Offer, OfferKind, Place, Price, PriceAuthority, Provenance,
        PurchaseOption, Resources, Seller, Tax,
    },
};
use iso_currency::Currency;
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json};

/// Any error, for tests and benches.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// One case with its proven optimum.
#[derive(Debug)]
pub struct Case {
    /// Such as `wordpress-12 on 500`.
    pub name: String,
    /// What is asked for.
    pub blueprint: Blueprint,
    /// What is on offer.
    pub catalogue: Arc<Catalogue>,
    /// In thousandths of a currency unit an hour.
    pub optimum: u64,
}

/// The folder with the instances, if it is there. Says loudly if it is not.
pub fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/compose/deployment");
    if folder.is_dir() {
        return Some(folder);
    }
    println!(
        "SKIPPED: the published instances are not beside the project; nothing was compared with their optima"
    );
    None
}

#[derive(Deserialize)]
struct Optima {
    cases: Vec<OptimumRow>,
}

#[derive(Deserialize)]
struct OptimumRow {
    application: String,
    offers: u32,
    #[serde(default)]
    parameters: BTreeMap<String, u64>,
    optimum: u64,
}

/// All cases.
///
/// # Errors
/// A file is missing or has another form.
pub fn cases(folder: &Path) -> Result<Vec<Case>, Error> {
    let read = |name: &str| -> Result<Value, Error> {
        Ok(serde_json::from_str(&std::fs::read_to_string(folder.join(name))?)?)
    };
    let optima: Optima = serde_json::from_value(read("optima.json")?)?;
    let mut catalogues: BTreeMap<u32, Arc<Catalogue>> = BTreeMap::new();
    optima
        .cases
        .into_iter()
        .map(|row| {
            let catalogue = match catalogues.get(&row.offers) {
                Some(catalogue) => catalogue.clone(),
                None => {
                    let catalogue = Arc::new(catalogue(&read(&format!("offers_{}.json", row.offers))?)?);
                    catalogues.insert(row.offers, catalogue.clone());
                    catalogue
                }
            };
            let file = row.application.to_lowercase().replace("secure", "secure_").replace("__", "_");
            let instances: Vec<String> = row.parameters.values().map(|value| format!("-{value}")).collect();
            Ok(Case {
                name: format!("{}{} on {}", row.application, instances.concat(), row.offers),
                blueprint: blueprint(&read(&format!("app_{file}.json"))?, &row.parameters)?,
                catalogue,
                optimum: row.optimum,
            })
        })
        .collect()
}

fn catalogue(document: &Value) -> Result<Catalogue, Error> {
    let entity = LegalEntity { name: "Published".to_owned(), country: "RO".parse()? };
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
        country: "RO".parse()?,
        coordinates: None,
    });
    let provenance = Arc::new(Provenance {
        source: "published deployment benchmark".to_owned(),
        observed: "2021-01-01".parse()?,
        valid_until: None,
        authority: PriceAuthority::Listing,
    });
    let mut builder = CatalogueBuilder::new(Timestamp::UNIX_EPOCH, Rates::none());
    for offer in document["offers"].as_array().ok_or("no offers")? {
        let number = |field: &str| offer[field].as_u64().ok_or_else(|| format!("no {field}"));
        builder.add(Offer {
            sku: offer["id"].as_str().ok_or("no id")?.parse()?,
            kind: OfferKind::Machine,
            place: place.clone(),
            capacity: Resources {
                vcpu_milli: u32::try_from(number("cpu")? * 1000)?,
                memory_mib: number("memory")?,
                disk_gib: number("storage")?,
                ..Resources::default()
            },
            surcharges: Arc::default(),
            elastic_disk: None,
            attributes: Arc::default(),
            price: Price {
                charge: Charge::Monthly(Decimal::new(i64::try_from(number("price")?)?, 3)),
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
    Ok(builder.build())
}

fn blueprint(document: &Value, parameters: &BTreeMap<String, u64>) -> Result<Blueprint, Error> {
    let array = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let components: serde_json::Map<String, Value> = array(&document["components"])
        .into_iter()
        .map(|component| {
            let needs = json!({"vcpu": component["cpu"], "memory_mib": component["memory"], "disk_gib": component["storage"]});
            Ok((component["name"].as_str().ok_or("no name")?.to_owned(), needs))
        })
        .collect::<Result<_, Error>>()?;
    let mut constraints = array(&document["constraints"])
        .iter()
        .map(|constraint| {
            let value = || match &constraint["value"] {
                Value::String(name) => parameters.get(name).map(|value| json!(value)).ok_or(format!("no {name}")),
                value => Ok(value.clone()),
            };
            Ok(match constraint["type"].as_str().unwrap_or_default() {
                "min_count" => json!({"count": {"components": constraint["components"], "min": value()?}}),
                "max_count" => json!({"count": {"components": constraint["components"], "max": value()?}}),
                "exact_count" => json!({"count": {"components": constraint["components"], "exactly": value()?}}),
                "exactly_one_deployed" => json!({"one_of": constraint["components"]}),
                "ratio" => {
                    let mut serves = json!({"server": constraint["right"], "servers": constraint["times_left"],
                        "client": constraint["left"], "clients": constraint["times_right"]});
                    if !constraint["when_deployed"].is_null() {
                        serves["when"] = constraint["when_deployed"].clone();
                    }
                    json!({"serves": serves})
                }
                // 0 < capacity·n(server) - n(client) ≤ capacity
                "serves" => {
                    let capacity = &constraint["capacity"];
                    let mut terms = serde_json::Map::new();
                    terms.insert(constraint["server"].as_str().ok_or("no server")?.to_owned(), capacity.clone());
                    terms.insert(constraint["client"].as_str().ok_or("no client")?.to_owned(), json!(-1));
                    json!({"linear": {"terms": terms, "min": 1, "max": capacity}})
                }
                "conflict" => json!({"conflict": {"component": constraint["component"], "with": constraint["with"]}}),
                "colocate" => json!({"colocate": {"components": constraint["components"]}}),
                "full_deployment" => json!({"everywhere": {"component": constraint["component"], "unless": constraint["unless"]}}),
                other => return Err(format!("unknown constraint {other}").into()),
            })
        })
        .collect::<Result<Vec<Value>, Error>>()?;
    // The benchmark's components may share machines.
    constraints.push(json!({"share": "all"}));
    let blueprint =
        json!({"name": document["application"], "components": components, "constraints": constraints});
    Ok(Blueprint::from_json(&blueprint.to_string())?)
}
