//! Converts rows to offers.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    sync::Arc,
};

use iso_currency::Currency;
use rust_decimal::{Decimal, prelude::ToPrimitive};

use super::{
    ProviderDocument, Quarantined, Row, Table,
    document::{ARCHITECTURES, CellResult, attributes},
    parts::{Completeness, Part, Parts},
    places::PlaceIndex,
    quarantine_reason,
};
use crate::{
    model::{
        Charge, DocumentError, LegalEntity, Offer, OfferKind, Place, Price, PriceAuthority, Provenance,
        PurchaseOption, RegionId, Resources, Seller, SkuId, Tax, Tier, is_hidden, limits,
    },
    provider::RejectedRow,
};

/// Plausible years of a price. A day in the future is refused later, by code that has a clock.
const OBSERVATION_YEARS: std::ops::RangeInclusive<i16> = 2000..=2099;

/// The origin of rows, which decides their authority and how a mistake is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A person's document: a mistake is an error, with its line.
    Document,
    /// A program's list: a mistake rejects its own row only. The first `dated` rows come from a dated table.
    Listing { dated: usize },
}

impl Origin {
    /// The authority of a row's price, by its position.
    fn authority(self, position: usize) -> PriceAuthority {
        match self {
            Self::Listing { dated } if position >= dated => PriceAuthority::Listing,
            Self::Document | Self::Listing { .. } => PriceAuthority::Table,
        }
    }
}

/// How a catalogue is read: which parts its offers get, and what remains of the size limits of all its providers together.
#[derive(Debug)]
pub(super) struct Reading {
    completeness: Completeness,
    rows: usize,
    offers: usize,
    places: usize,
    tiers: usize,
}

impl Reading {
    /// Nothing is used up yet.
    pub(super) fn new(completeness: Completeness) -> Self {
        Self {
            completeness,
            rows: limits::MAX_PRICE_ROWS,
            offers: limits::MAX_OFFERS,
            places: limits::MAX_TABLE_PLACES,
            tiers: limits::MAX_TIERS_PER_CATALOGUE,
        }
    }

    /// Offers with all that is paid with them.
    pub(super) fn whole() -> Self {
        Self::new(Completeness::Whole)
    }
}

/// Consumes part of a limit.
fn consume(left: &mut usize, count: usize, most: usize, what: &str) -> Result<(), DocumentError> {
    *left = left
        .checked_sub(count)
        .ok_or_else(|| DocumentError::at("", format!("more than {most} {what}; sell fewer")))?;
    Ok(())
}

/// Converts numbered rows: lines of a file, or positions in a list.
pub(super) fn convert(
    provider: &ProviderDocument,
    rows: Vec<(usize, Row)>,
    origin: Origin,
    reading: &mut Reading,
) -> Result<Table, DocumentError> {
    let completeness = reading.completeness;
    consume(&mut reading.rows, rows.len(), limits::MAX_PRICE_ROWS, "rows")?;
    provider.check()?;
    let index = PlaceIndex::new(provider);
    let seller = Arc::new(Seller {
        owner: LegalEntity { name: provider.legal_name.clone(), country: provider.country },
        control_chain: provider.control_chain.clone(),
        certifications: provider.certifications.clone(),
        assessments: provider.assessments.clone(),
    });
    let mut table = Table {
        provider: provider.id.clone(),
        name: provider.name.clone(),
        offers: Vec::new(),
        quarantined: Vec::new(),
        quarantined_offers: Vec::new(),
        rejected: Vec::new(),
    };
    let mut offers = Vec::new();
    let mut egress: BTreeMap<RegionId, Arc<Price>> = BTreeMap::new();
    let mut parts = Parts::default();
    // Offers are completed when all parts are known.
    let mut have_no_disk = Vec::new();
    let mut once = Once::new(origin);
    for (position, (number, row)) in rows.iter().enumerate() {
        let sold = match (read(&index, row, &seller, origin.authority(position)), origin) {
            (Ok(sold), _) => sold,
            (Err((column, message)), Origin::Listing { .. }) => {
                let sku = row.sku.as_ref().map(ToString::to_string);
                let name = row_name(*number, sku.as_deref(), &row.region);
                table.rejected.push(RejectedRow::new(name, DocumentError::at(column, message)));
                continue;
            }
            (Err((column, message)), Origin::Document) => {
                return Err(at_row(position, *number, column, message));
            }
        };
        once.check(row, (position, *number), &sold)?;
        match sold {
            Sold::Traffic(price, places) => {
                consume(
                    &mut reading.places,
                    places.len(),
                    limits::MAX_TABLE_PLACES,
                    "prices of traffic and surcharges",
                )?;
                let price = Arc::new(price);
                egress.extend(places.iter().map(|place| (place.region.clone(), price.clone())));
            }
            Sold::Part(part, places) => add_part(&mut parts, reading, position, &part, &places)?,
            Sold::Product { template, part, disk, places } => {
                if let Some(part) = part.filter(|_| completeness == Completeness::Whole) {
                    add_part(&mut parts, reading, position, &part, &places)?;
                }
                if let Some(disk) = disk {
                    places.iter().for_each(|place| parts.add_block_storage(position, place, &disk));
                }
                consume(&mut reading.offers, places.len(), limits::MAX_OFFERS, "offers")?;
                if let Charge::PerUnit { tiers, .. } = &template.price.charge {
                    let all = tiers.len().saturating_mul(places.len());
                    consume(&mut reading.tiers, all, limits::MAX_TIERS_PER_CATALOGUE, "tiers of prices")?;
                }
                for place in places {
                    let offer = Offer { place, ..(*template).clone() };
                    let is_by_size = matches!(offer.price.charge, Charge::PerUnit { .. });
                    have_no_disk.push(row.disk_gib.is_none() && !is_by_size);
                    offers.push(offer);
                }
            }
        }
    }
    for (mut offer, has_no_disk) in offers.into_iter().zip(have_no_disk) {
        offer.egress = egress.get(&offer.place.region).cloned();
        if let Err(why) = parts.complete(&mut offer, has_no_disk, completeness) {
            table.rejected.push(RejectedRow::new(offer.id(), why));
            continue;
        }
        match quarantine_reason(&offer) {
            None => table.offers.push(offer),
            Some(reason) => {
                table.quarantined.push(Quarantined {
                    provider: provider.id.clone(),
                    sku: offer.sku.clone(),
                    place: offer.place.to_string(),
                    reason,
                });
                table.quarantined_offers.push(offer);
            }
        }
    }
    Ok(table)
}

/// A mistake in a row of a document, by its position or, in a file of rows, by its line.
fn at_row(position: usize, line: usize, column: &str, message: String) -> DocumentError {
    let path = match (line, column) {
        (0, "") => format!("offers[{position}]"),
        (0, column) => format!("offers[{position}].{column}"),
        (_, column) => column.to_owned(),
    };
    DocumentError { path, line, column: 0, message }
}

/// Which row sells what at which place, and prices the traffic of a region. In a person's document none does so twice, as nobody
/// can tell which of the two prices is meant.
struct Once<'a> {
    origin: Origin,
    lines: HashMap<(&'a str, Option<&'a SkuId>, PurchaseOption, *const Place), usize>,
}

impl<'a> Once<'a> {
    fn new(origin: Origin) -> Self {
        Self { origin, lines: HashMap::new() }
    }

    /// Checks a row by its position in the document and its line in the file, 0 if it has none.
    fn check(
        &mut self,
        row: &'a Row,
        (position, line): (usize, usize),
        sold: &Sold,
    ) -> Result<(), DocumentError> {
        if self.origin != Origin::Document {
            return Ok(());
        }
        // A place is one allocation for all rows of a table.
        let (what, sku, option, places) = match sold {
            Sold::Product { template, places, .. } => {
                ("offer", row.sku.as_ref(), template.price.purchase_option, places)
            }
            Sold::Traffic(_, places) => ("traffic", None, PurchaseOption::OnDemand, places),
            Sold::Part(..) => return Ok(()),
        };
        for place in places {
            match self.lines.entry((what, sku, option, Arc::as_ptr(place))) {
                Entry::Vacant(entry) => _ = entry.insert(line),
                Entry::Occupied(entry) => {
                    let name = sku.map_or("the traffic", SkuId::as_str);
                    let before = match *entry.get() {
                        0 => "another row".to_owned(),
                        line => format!("line {line}"),
                    };
                    let message =
                        format!("{name} in {place} is priced by {before} already; keep one row for it");
                    return Err(at_row(position, line, "sku", message));
                }
            }
        }
        Ok(())
    }
}

/// The name of a rejected row.
pub(super) fn row_name(position: usize, sku: Option<&str>, region: &str) -> String {
    match (sku, region) {
        (None, _) => format!("rows[{position}]"),
        (Some(sku), "") => format!("rows[{position}], {sku}"),
        (Some(sku), region) => format!("rows[{position}], {sku} in {region}"),
    }
}

/// Adds a row that is paid with others, at each of its places.
fn add_part(
    parts: &mut Parts,
    reading: &mut Reading,
    position: usize,
    part: &Arc<Part>,
    places: &[Arc<Place>],
) -> Result<(), DocumentError> {
    let what = "prices of traffic and surcharges";
    consume(&mut reading.places, places.len(), limits::MAX_TABLE_PLACES, what)?;
    places.iter().try_for_each(|place| parts.add(position, place, part))
}

/// The meaning of one row.
enum Sold {
    /// A product at each place; the template has none.
    Product {
        template: Box<Offer>,
        /// What it is for other products.
        part: Option<Arc<Part>>,
        /// What it is for machines, if it is block storage.
        disk: Option<Arc<Part>>,
        places: Vec<Arc<Place>>,
    },
    /// Traffic out of the regions of these places.
    Traffic(Price, Vec<Arc<Place>>),
    /// What is paid with products of each place, and not sold by itself.
    Part(Arc<Part>, Vec<Arc<Place>>),
}

/// Names all missing mandatory cells at once.
fn check_missing(row: &Row) -> CellResult<()> {
    let is_offer = row.kind != "egress";
    let cells = [
        ("kind", row.kind.is_empty(), "a kind of offer, or egress"),
        ("sku", is_offer && row.sku.is_none(), "the provider's product code"),
        ("region", row.region.is_empty(), "a region, or * for all"),
        ("currency", row.currency.is_empty(), "a currency of ISO 4217, such as EUR"),
        ("tax", row.tax.is_empty(), "net, or gross:19 for 19 % inside"),
        ("observed", is_offer && row.observed.is_none(), "the day of the price, such as 2026-11-20"),
        ("source", is_offer && row.source.is_empty(), "where the price was read"),
    ];
    let missing: Vec<_> = cells.into_iter().filter(|(_, is_missing, _)| *is_missing).collect();
    match missing.as_slice() {
        [] => Ok(()),
        [(column, _, what)] => Err((column, format!("nothing is written here; write {what}"))),
        [first @ .., last] => {
            let names: Vec<_> = first.iter().map(|(column, ..)| *column).collect();
            let what: Vec<_> = missing.iter().map(|(column, _, what)| format!("{column}: {what}")).collect();
            let message =
                format!("{} and {} are missing; write {}", names.join(", "), last.0, what.join("; "));
            Err(("", message))
        }
    }
}

fn read(
    index: &PlaceIndex<'_>,
    row: &Row,
    seller: &Arc<Seller>,
    authority: PriceAuthority,
) -> CellResult<Sold> {
    check_missing(row)?;
    let price = price(row)?;
    let places = index.places(row)?;
    if row.kind == "egress" {
        check_egress(&price)?;
        return Ok(Sold::Traffic(price, places));
    }
    if row.kind == "surcharge" {
        let attributes = attributes(&row.attributes).map_err(|message| ("attributes", message))?;
        let sku = row.sku.clone().ok_or(("sku", "write the code of the surcharge".to_owned()))?;
        let provenance = Arc::new(provenance(row, authority)?);
        let part = Part::of_surcharge(sku, price, &attributes, provenance)?;
        return Ok(Sold::Part(Arc::new(part), places));
    }
    let template = Box::new(offer(row, price, seller, authority)?);
    let (part, disk) = (Part::of_product(&template)?, Part::of_block_storage(&template)?);
    Ok(Sold::Product { template, part: part.map(Arc::new), disk: disk.map(Arc::new), places })
}

/// Checks a price of traffic, which has no offer that could be quarantined.
fn check_egress(price: &Price) -> CellResult<()> {
    match &price.charge {
        Charge::PerUnit { tiers, .. } if tiers.iter().any(|tier| tier.price < Decimal::ZERO) => {
            Err(("unit_price", "traffic has a negative price; write prices of zero or more".to_owned()))
        }
        Charge::PerUnit { .. } => Ok(()),
        _ => Err(("unit_price", "traffic is priced by quantity; fill unit and unit_price".to_owned())),
    }
}

fn offer(row: &Row, price: Price, seller: &Arc<Seller>, authority: PriceAuthority) -> CellResult<Offer> {
    let kind = row.kind.parse().map_err(|message| ("kind", format!("{message}, egress or surcharge")))?;
    let mut attributes = attributes(&row.attributes).map_err(|message| ("attributes", message))?;
    if !row.architecture.is_empty() {
        attributes.insert("architecture".to_owned(), architecture(&row.architecture)?);
    }
    let milli = row.vcpu.and_then(|vcpu| vcpu.checked_mul(Decimal::ONE_THOUSAND)).map(|milli| milli.floor());
    let capacity = Resources {
        vcpu_milli: whole("vcpu", milli)?.unwrap_or(0).try_into().unwrap_or(u32::MAX),
        memory_mib: whole("memory_mib", row.memory_mib)?.unwrap_or(0),
        disk_gib: whole("disk_gib", row.disk_gib)?.unwrap_or(0),
        gpu: whole("gpu", row.gpu)?.unwrap_or(0).try_into().unwrap_or(u32::MAX),
        named: BTreeMap::new(),
    };
    if kind == OfferKind::Machine {
        let missing = [("vcpu", capacity.vcpu_milli == 0), ("memory_mib", capacity.memory_mib == 0)];
        if let Some((column, _)) = missing.into_iter().find(|(_, is_zero)| *is_zero) {
            return Err((column, "a machine has some of it; write how much".to_owned()));
        }
    }
    let provenance = provenance(row, authority)?;
    let place = Place {
        provider: crate::model::ProviderId::new("unplaced").map_err(|error| ("region", error.to_string()))?,
        region: RegionId::new("unplaced").map_err(|error| ("region", error.to_string()))?,
        zone: None,
        country: seller.owner.country,
        coordinates: None,
    };
    Ok(Offer {
        sku: row.sku.clone().ok_or(("sku", "write the provider's product code".to_owned()))?,
        kind,
        place: Arc::new(place),
        capacity,
        elastic_disk: None,
        surcharges: Arc::default(),
        attributes: Arc::new(attributes),
        price,
        egress: None,
        stock: whole("stock", row.stock)?.map(|stock| stock.try_into().unwrap_or(u32::MAX)),
        settings: None,
        seller: seller.clone(),
        provenance: Arc::new(provenance),
    })
}

/// A processor's architecture, by the one name that blueprints ask for.
fn architecture(text: &str) -> CellResult<String> {
    if ARCHITECTURES.contains(&text) {
        return Ok(text.to_owned());
    }
    let usual = match text.to_ascii_lowercase().as_str() {
        "amd64" | "x86-64" | "x64" | "x86" => "write x86_64".to_owned(),
        "aarch64" | "arm" | "armv8" => "write arm64".to_owned(),
        _ => format!("write one of {}", ARCHITECTURES.join(", ")),
    };
    Err(("architecture", format!("{text:?} is not the name of an architecture here; {usual}")))
}

/// Source, day and authority of a row's price.
fn provenance(row: &Row, authority: PriceAuthority) -> CellResult<Provenance> {
    let observed = row.observed.ok_or_else(|| ("observed", "write the day of the price".to_owned()))?;
    if !OBSERVATION_YEARS.contains(&observed.year()) {
        return Err((
            "observed",
            format!("{observed} is not the day of a price; write one such as 2026-11-20"),
        ));
    }
    if row.source.chars().any(is_hidden) {
        return Err(("source", "the text has invisible characters; leave them out".to_owned()));
    }
    if row.source.chars().count() > limits::MAX_SOURCE_CHARS {
        return Err(("source", format!("write at most {} characters", limits::MAX_SOURCE_CHARS)));
    }
    Ok(Provenance { source: row.source.clone(), observed, valid_until: None, authority })
}

fn whole(column: &'static str, number: Option<Decimal>) -> CellResult<Option<u64>> {
    let Some(number) = number else { return Ok(None) };
    let is_whole = number.fract().is_zero() && !number.is_sign_negative();
    let whole = number.to_u64().filter(|whole| is_whole && *whole <= 1 << 40);
    whole
        .map(Some)
        .ok_or_else(|| (column, format!("{number} is no size; write a whole number of zero or more")))
}

fn price(row: &Row) -> CellResult<Price> {
    let charge = match (row.hourly, row.monthly, row.unit_price.is_empty()) {
        (Some(hourly), None, true) => Charge::Hourly(hourly),
        (None, Some(monthly), true) => Charge::Monthly(monthly),
        (Some(hourly), Some(monthly), true) => Charge::HourlyCapped { hourly, monthly },
        (None, None, false) => Charge::PerUnit {
            unit: row.unit.parse().map_err(|message| ("unit", message))?,
            tiers: tiers(&row.unit_price).map_err(|message| ("unit_price", message))?,
        },
        (None, None, true) if row.once.is_some() => Charge::Once,
        (None, None, true) => {
            return Err(("hourly", "no price; fill hourly, monthly, unit_price or once".to_owned()));
        }
        _ => return Err(("unit_price", "write a price per unit or per time, not both".to_owned())),
    };
    let currency = Currency::from_code(&row.currency).ok_or_else(|| {
        let capitals = row.currency.to_ascii_uppercase();
        let word = if Currency::from_code(&capitals).is_some() { capitals } else { "EUR, say".to_owned() };
        ("currency", format!("{:?} is not a currency of ISO 4217; write {word}", row.currency))
    })?;
    let tax = match row.tax.as_str() {
        "net" => Tax::Net,
        gross => gross
            .strip_prefix("gross:")
            .and_then(|percent| percent.parse().ok())
            .filter(|percent| *percent >= Decimal::ZERO && *percent <= Decimal::ONE_HUNDRED)
            .map(|vat_percent| Tax::Gross { vat_percent })
            .ok_or_else(|| ("tax", format!("{gross:?}; write net, or gross:19 for 19 % inside")))?,
    };
    let term_months = whole("term_months", row.term_months)?.unwrap_or(0).try_into().unwrap_or(u32::MAX);
    let purchase_option = match row.purchase_option.as_str() {
        "" | "on_demand" => PurchaseOption::OnDemand,
        "committed" => PurchaseOption::Committed(term_months),
        "spot" => PurchaseOption::Spot,
        other => {
            return Err(("purchase_option", format!("{other:?}; write on_demand, committed or spot")));
        }
    };
    Price { charge, once: row.once.unwrap_or_default(), currency, tax, purchase_option, term_months }
        .with_term_of_option()
        .map_err(|message| ("term_months", message))
}

/// A bare price, or `0:0 1000:0.01`.
fn tiers(text: &str) -> Result<Vec<Tier>, String> {
    let number = |text: &str| {
        text.parse::<Decimal>()
            .map_err(|_| format!("{text:?} is not a number; write 0.01, or tiers as 0:0 1000:0.01"))
    };
    if text.split_whitespace().nth(limits::MAX_TIERS_PER_PRICE).is_some() {
        return Err(format!("write at most {} tiers", limits::MAX_TIERS_PER_PRICE));
    }
    let tiers: Vec<Tier> = if text.contains(':') {
        text.split_whitespace()
            .map(|tier| {
                let (from, price) =
                    tier.split_once(':').ok_or_else(|| format!("{tier:?} is not a tier; write 1000:0.01"))?;
                Ok(Tier { from: number(from)?, price: number(price)? })
            })
            .collect::<Result<_, String>>()?
    } else {
        vec![Tier { from: Decimal::ZERO, price: number(text)? }]
    };
    let starts_at_zero = tiers.first().is_some_and(|tier| tier.from.is_zero());
    if !starts_at_zero || !tiers.is_sorted_by(|a, b| a.from < b.from) {
        return Err("tiers must start at 0 and rise; write 0:0 1000:0.01".to_owned());
    }
    Ok(tiers)
}
