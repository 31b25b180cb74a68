//! The file formats of price tables.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, Error as _, Visitor},
};

use crate::model::{
    AnyDecimal, Certification, CountryCode, DocumentError, LegalEntity, ProviderId, RegionId, SealAssessment,
    SkuId, SovereigntyObjective, ZoneId, is_hidden, limits,
};

/// Names of architectures.
pub(super) const ARCHITECTURES: [&str; 5] = ["x86_64", "arm64", "riscv64", "ppc64le", "s390x"];

/// A cell's value, or its column and the error.
pub(super) type CellResult<T> = Result<T, (&'static str, String)>;

/// A whole catalogue in one JSON document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CatalogueDocument {
    /// The format of the document: `fulcrum-catalogue/1`.
    pub format: String,
    /// The providers, each with its offers.
    pub providers: Vec<ProviderDocument>,
}

impl CatalogueDocument {
    /// The format that this version reads.
    pub const FORMAT: &str = "fulcrum-catalogue/1";
}

/// A provider with its regions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderDocument {
    /// The format of the document: `fulcrum-provider/1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// The id of the provider in the federation, such as `hetzner`.
    pub id: ProviderId,
    /// The name that people see.
    pub name: String,
    /// The company that sells and invoices, as registered.
    pub legal_name: String,
    /// The country whose law governs the company.
    pub country: CountryCode,
    /// The companies that own the seller, upwards, as far as it is published.
    #[serde(default)]
    pub control_chain: Vec<LegalEntity>,
    /// The certificates that the seller holds, as it publishes them.
    #[serde(default)]
    pub certifications: Vec<Certification>,
    /// Assessed sovereignty levels; they take precedence over computed ones.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub assessments: BTreeMap<SovereigntyObjective, SealAssessment>,
    /// The regions in which it sells, by the names that the price rows use.
    pub regions: Vec<RegionDocument>,
    /// The page or document that these facts were read from.
    #[serde(default)]
    pub source: String,
    /// The day on which these facts were read.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub observed: Option<Date>,
    /// Its offers; empty if these are in a CSV file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offers: Vec<Row>,
}

impl ProviderDocument {
    /// Checks what the schema does not: regions have different ids, and valid coordinates.
    ///
    /// # Errors
    /// [`DocumentError`] with the path, and what to write instead.
    pub fn check(&self) -> Result<(), DocumentError> {
        if self.format.as_deref().is_some_and(|format| format != "fulcrum-provider/1") {
            return Err(DocumentError::at("format", "write \"fulcrum-provider/1\""));
        }
        let owners = self.control_chain.iter().map(|owner| ("control_chain", &owner.name));
        let names = [("name", &self.name), ("legal_name", &self.legal_name), ("source", &self.source)];
        if let Some((field, _)) =
            names.into_iter().chain(owners).find(|(_, name)| name.chars().any(is_hidden))
        {
            return Err(DocumentError::at(field, "the text has invisible characters; leave them out"));
        }
        let too_many = |count: usize| format!("these are {count}; write at most {}", limits::MAX_REGIONS);
        if self.regions.len() > limits::MAX_REGIONS {
            return Err(DocumentError::at("regions", too_many(self.regions.len())));
        }
        let mut known = BTreeSet::new();
        for (at, region) in self.regions.iter().enumerate() {
            let fail = |field: &str, message: String| {
                Err(DocumentError::at(format!("regions[{at}].{field}"), message))
            };
            if !known.insert(&region.id) {
                return fail("id", format!("two regions are called `{}`; keep one of them", region.id));
            }
            if region.zones.len() > limits::MAX_REGIONS {
                return fail("zones", too_many(region.zones.len()));
            }
            let mut zones = BTreeSet::new();
            if let Some(zone) = region.zones.iter().find(|zone| !zones.insert(*zone)) {
                return fail("zones", format!("two zones are called `{zone}`; keep one of them"));
            }
            for (field, degrees, most) in
                [("latitude", region.latitude, 90), ("longitude", region.longitude, 180)]
            {
                if degrees.is_some_and(|degrees| degrees.abs() > most.into()) {
                    return fail(field, format!("write degrees from -{most} to {most}"));
                }
            }
        }
        Ok(())
    }
}

/// A provider's area.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegionDocument {
    /// The provider's own name of the region.
    pub id: RegionId,
    /// The country in which the machines stand, as ISO 3166-1 code.
    pub country: CountryCode,
    /// The nearest city, for people.
    #[serde(default)]
    pub city: Option<String>,
    /// Degrees north of the equator, -90 to 90; needed for distances.
    #[serde(default, with = "crate::model::decimal_option")]
    #[schemars(with = "Option<crate::model::AnyDecimal>")]
    pub latitude: Option<Decimal>,
    /// Degrees east of Greenwich, -180 to 180; needed for distances.
    #[serde(default, with = "crate::model::decimal_option")]
    #[schemars(with = "Option<crate::model::AnyDecimal>")]
    pub longitude: Option<Decimal>,
    /// The zones of the region, which fail apart from each other.
    #[serde(default)]
    pub zones: Vec<ZoneId>,
}

/// One row of a price table. The README of the catalogue explains the fields' formats.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Row {
    /// The kind of product; or `egress` for traffic, `surcharge` for what is paid with other products and not sold by
    /// itself.
    pub kind: String,
    /// The provider's product code.
    #[serde(deserialize_with = "sku")]
    #[schemars(with = "CellText")]
    pub sku: Option<SkuId>,
    /// Regions, separated by blanks, or `*` for all.
    pub region: String,
    /// Zones of the region, separated by blanks; empty for the region as a whole.
    pub zone: String,
    /// The number of virtual CPUs.
    #[serde(deserialize_with = "number")]
    #[schemars(with = "CellNumber")]
    pub vcpu: Option<Decimal>,
    /// The memory in MiB.
    #[serde(deserialize_with = "number")]
    #[schemars(with = "CellNumber")]
    pub memory_mib: Option<Decimal>,
    /// GiB of disk that is included; empty for a machine whose disk is bought as block storage.
    #[serde(deserialize_with = "number")]
    #[schemars(with = "CellNumber")]
    pub disk_gib: Option<Decimal>,
    /// The number of graphics processors.
    #[serde(deserialize_with = "number")]
    #[schemars(with = "CellNumber")]
    pub gpu: Option<Decimal>,
    /// `x86_64` or `arm64`; `riscv64`, `ppc64le` and `s390x` are known, too. Empty if it is not told.
    #[schemars(with = "CellArchitecture")]
    pub architecture: String,
    /// The price of an hour.
    #[serde(deserialize_with = "number")]
    #[schemars(with = "CellNumber")]
    pub hourly: Option<Decimal>,
    /// The price of a month; with `hourly`, the most that a month costs.
    #[serde(deserialize_with = "number")]
    #[schemars(with = "CellNumber")]
    pub monthly: Option<Decimal>,
    /// The set-up fee.
    #[serde(deserialize_with = "number")]
    #[schemars(with = "CellNumber")]
    pub once: Option<Decimal>,
    /// The unit of `unit_price`: GB-month, GiB-month, GB-hour, GiB-hour, GB, GiB.
    pub unit: String,
    /// A price, or tiers as `0:0 1000:0.01`.
    #[serde(deserialize_with = "text")]
    #[schemars(with = "CellText")]
    pub unit_price: String,
    /// The currency as ISO 4217 code, such as EUR.
    pub currency: String,
    /// Whether tax is in the price: `net`, or `gross:19` for 19 % inside.
    pub tax: String,
    /// `on_demand`, `committed` or `spot`; empty for the first.
    #[serde(alias = "market")]
    pub purchase_option: String,
    /// The months that must be paid at least.
    #[serde(deserialize_with = "number")]
    #[schemars(with = "CellNumber")]
    pub term_months: Option<Decimal>,
    /// How many can be had; empty if it is not told.
    #[serde(deserialize_with = "number")]
    #[schemars(with = "CellNumber")]
    pub stock: Option<Decimal>,
    /// Free attributes as `cpu=shared;family=cx`. `with` names the products that a row is paid with, `least_gib` the least disk,
    /// and `storage=extra` a part that another row prices.
    pub attributes: String,
    /// The day on which the price was read.
    #[serde(deserialize_with = "date")]
    #[schemars(with = "CellDate")]
    pub observed: Option<Date>,
    /// The page or document that the price was read from.
    pub source: String,
}

impl Row {
    /// The columns of the CSV form, in its order.
    pub const COLUMNS: [&str; 22] = [
        "kind",
        "sku",
        "region",
        "zone",
        "vcpu",
        "memory_mib",
        "disk_gib",
        "gpu",
        "architecture",
        "hourly",
        "monthly",
        "once",
        "unit",
        "unit_price",
        "currency",
        "tax",
        "market",
        "term_months",
        "stock",
        "attributes",
        "observed",
        "source",
    ];
}

/// The schema of a cell that is read by [`text`]: text or a number, or empty in one of three ways.
macro_rules! cell_schema {
    ($(#[$doc:meta])* $name:ident, $title:literal, $schema:expr) => {
        $(#[$doc])*
        struct $name;

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                $title.into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $schema
            }
        }
    };
}

cell_schema!(
    /// Whatever is written.
    CellText,
    "CellText",
    schemars::json_schema!({ "type": ["string", "number", "null"] })
);
cell_schema!(
    /// A number, also in quotes.
    CellNumber,
    "CellNumber",
    schemars::json_schema!({
        "type": ["string", "number", "null"], "pattern": format!("^({})?$", AnyDecimal::PATTERN),
    })
);
cell_schema!(
    /// An architecture.
    CellArchitecture,
    "CellArchitecture",
    schemars::json_schema!({ "type": "string", "pattern": format!("^({})?$", ARCHITECTURES.join("|")) })
);
cell_schema!(
    /// A day.
    CellDate,
    "CellDate",
    schemars::json_schema!({ "type": ["string", "null"], "pattern": "^([0-9]{4}-[0-9]{2}-[0-9]{2})?$" })
);

/// Text, or a number in JSON. Cells of CSV are all text, so nothing is guessed about a product called 1e3.
struct Cell;

/// Digits that survive a binary floating-point number, which is what a JSON parser makes of a fraction.
const EXACT_DIGITS: usize = 15;

impl Visitor<'_> for Cell {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or a number")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<String, E> {
        let text = number.to_string();
        let digits = text.trim_start_matches(['-', '0', '.']).bytes().filter(u8::is_ascii_digit).count();
        if digits > EXACT_DIGITS {
            return Err(E::custom(format!("write {number} in quotes, so that no digit is lost")));
        }
        Ok(text)
    }

    fn visit_unit<E: de::Error>(self) -> Result<String, E> {
        Ok(String::new())
    }
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    deserializer.deserialize_any(Cell)
}

fn parsed<'de, D: Deserializer<'de>, T: std::str::FromStr>(
    deserializer: D,
    hint: &str,
) -> Result<Option<T>, D::Error> {
    let text = text(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| D::Error::custom(format!("{text:?} is not {hint}")))
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Decimal>, D::Error> {
    parsed(deserializer, "a number such as 12.5")
}

fn sku<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SkuId>, D::Error> {
    parsed(deserializer, "a product code")
}

fn date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Date>, D::Error> {
    parsed(deserializer, "a date such as 2026-11-20")
}

/// `k=v;k=v`.
pub(super) fn attributes(text: &str) -> Result<BTreeMap<String, String>, String> {
    text.split(';')
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) =
                pair.split_once('=').ok_or_else(|| format!("{pair:?} is no attribute; write name=value"))?;
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}
