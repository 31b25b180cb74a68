//! Parts: what is paid with a product though another row prices it, such as an address, or the disk of a database.
//!
//! A row names the products that it goes with by its attribute `with`. A price by time is a surcharge of each of them, a price
//! by quantity their disk by size. An attribute such as `public_ipv4=extra` says that a product has a part of this name: a row
//! there names it in its `with`, or the product is left out.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rust_decimal::Decimal;

use super::{document::CellResult, quarantine_reason};
use crate::{
    model::{
        Charge, DocumentError, ElasticDisk, Offer, OfferKind, Place, Price, Provenance, PurchaseOption,
        RegionId, SkuId, Surcharge, ZoneId, limits, map_of, weakest,
    },
    provider::surcharges::least_disk,
};

/// The value of an attribute whose part is priced by another row.
const EXTRA: &str = "extra";
/// GiB that rank disks by their price: a common size of a system disk.
const RANKED_GIB: u64 = 100;

/// Which parts the offers of a table have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Completeness {
    /// All that is paid with a product.
    Whole,
    /// Rows of kind `surcharge` and disk by size only: an adapter adds the parts that it orders.
    Bare,
}

/// The products that a row goes with.
#[derive(Debug)]
struct With {
    /// Of one of these kinds.
    kinds: BTreeSet<OfferKind>,
    /// With all of these attributes.
    attributes: BTreeMap<String, String>,
}

impl With {
    /// Parses `machine load_balancer public_ipv4=extra`.
    fn parse(text: &str) -> CellResult<Self> {
        let wrong = |message: String| ("attributes", format!("with: {message}"));
        let (conditions, kinds): (Vec<_>, Vec<_>) =
            text.split_whitespace().partition(|word| word.contains('='));
        if kinds.is_empty() {
            return Err(wrong("no kind of product is named; write with=machine, say".to_owned()));
        }
        if conditions.len() > limits::MAX_WITH_ATTRIBUTES {
            return Err(wrong(format!("name at most {} attributes", limits::MAX_WITH_ATTRIBUTES)));
        }
        let kinds: Result<BTreeSet<OfferKind>, String> = kinds.into_iter().map(str::parse).collect();
        let kinds = kinds.map_err(|message| wrong(format!("{message}, and attributes as storage=extra")))?;
        let pairs = conditions.into_iter().filter_map(|pair| pair.split_once('='));
        Ok(Self { kinds, attributes: map_of(pairs.map(|(name, value)| (name.to_owned(), value.to_owned()))) })
    }

    fn machines() -> Self {
        Self { kinds: BTreeSet::from([OfferKind::Machine]), attributes: BTreeMap::new() }
    }

    /// The names of the extra parts that the row prices.
    fn extras(&self) -> impl Iterator<Item = &String> {
        extras(&self.attributes)
    }

    fn admits(&self, offer: &Offer) -> bool {
        let has = |(name, value): (&String, &String)| offer.attributes.get(name) == Some(value);
        self.kinds.contains(&offer.kind) && self.attributes.iter().all(has)
    }
}

/// A row that is paid with other products.
#[derive(Debug)]
pub(super) struct Part {
    with: With,
    paid: Paid,
    provenance: Arc<Provenance>,
}

/// How a part is paid.
#[derive(Debug)]
enum Paid {
    /// Once for each product.
    Line(Surcharge),
    /// By size.
    Disk(SizedDisk),
}

/// Disk by size.
#[derive(Debug)]
struct SizedDisk {
    disk: Arc<ElasticDisk>,
    /// The lowest of several is taken: SSD or unmarked `media` first, then the cheapest. The price per GiB is linear in all
    /// tables so far.
    rank: (bool, Decimal),
    /// GiB that a product has of it at least, and their line.
    least: Option<(u64, Surcharge)>,
}

impl SizedDisk {
    /// The disk of a row, or none if its price is not by quantity on demand.
    fn of(sku: &SkuId, price: &Price, attributes: &BTreeMap<String, String>) -> CellResult<Option<Self>> {
        let (Charge::PerUnit { .. }, PurchaseOption::OnDemand, Some(month)) =
            (&price.charge, price.purchase_option, price.net_month(RANKED_GIB))
        else {
            return Ok(None);
        };
        let disk = ElasticDisk { sku: sku.clone(), price: price.clone() };
        let gib = |name: &str| match attributes.get(name).map(|text| text.parse::<u32>()) {
            None => Ok(None),
            Some(Ok(gib @ 1..)) => Ok(Some(u64::from(gib))),
            Some(_) => Err(("attributes", format!("{name}: write a whole number of GiB, 1 or more"))),
        };
        let least = match (gib("least_gib")?, gib("least_billed_gib")?) {
            (None, None) => None,
            (None, Some(_)) => {
                return Err(("attributes", "least_billed_gib: write least_gib, too".to_owned()));
            }
            (Some(gib), billed) => {
                let line = least_disk(&disk, billed.unwrap_or(gib));
                let line = line
                    .ok_or(("unit_price", "the price of least_gib is beyond the range of money".to_owned()));
                Some((gib, line?))
            }
        };
        let rank = (attributes.get("media").is_some_and(|media| media != "ssd"), month);
        Ok(Some(Self { disk: Arc::new(disk), rank, least }))
    }
}

impl Part {
    /// The part that a row of kind `surcharge` is. It goes with machines unless it says with what.
    pub(super) fn of_surcharge(
        sku: SkuId,
        price: Price,
        attributes: &BTreeMap<String, String>,
        provenance: Arc<Provenance>,
    ) -> CellResult<Self> {
        let with = attributes.get("with").map(|with| With::parse(with)).transpose()?;
        let paid = match (&price.charge, &with) {
            (Charge::PerUnit { .. }, None) => {
                let message = "a price by quantity is the disk of other products; name them, as with=database, or fill \
                    hourly or monthly";
                return Err(("unit_price", message.to_owned()));
            }
            (Charge::PerUnit { .. }, Some(_)) => Paid::Disk(Self::disk_of(&sku, &price, attributes)?),
            _ => Paid::Line(Surcharge { sku, price }),
        };
        Ok(Self { with: with.unwrap_or_else(With::machines), paid, provenance })
    }

    /// The part that a product is for others, if its row says with which.
    pub(super) fn of_product(offer: &Offer) -> CellResult<Option<Self>> {
        let Some(with) = offer.attributes.get("with") else { return Ok(None) };
        let with = With::parse(with)?;
        if offer.price.purchase_option != PurchaseOption::OnDemand {
            return Err(("attributes", "with: what goes with other products is on demand".to_owned()));
        }
        let paid = match &offer.price.charge {
            Charge::PerUnit { .. } => Paid::Disk(Self::disk_of(&offer.sku, &offer.price, &offer.attributes)?),
            _ => Paid::Line(Surcharge { sku: offer.sku.clone(), price: offer.price.clone() }),
        };
        Ok(Some(Self { with, paid, provenance: offer.provenance.clone() }))
    }

    /// The disk that a row of block storage is for the machines of its region.
    pub(super) fn of_block_storage(offer: &Offer) -> CellResult<Option<Self>> {
        if offer.kind != OfferKind::BlockStorage || quarantine_reason(offer).is_some() {
            return Ok(None);
        }
        let with = offer.attributes.get("with").map(|with| With::parse(with)).transpose()?;
        let with = with.unwrap_or_else(With::machines);
        if !with.kinds.contains(&OfferKind::Machine) {
            return Ok(None);
        }
        let disk = SizedDisk::of(&offer.sku, &offer.price, &offer.attributes)?;
        let part = |disk| Self { with, paid: Paid::Disk(disk), provenance: offer.provenance.clone() };
        Ok(disk.map(part))
    }

    fn disk_of(sku: &SkuId, price: &Price, attributes: &BTreeMap<String, String>) -> CellResult<SizedDisk> {
        let none =
            || ("unit_price", "a disk of other products has a price by the GB or GiB, on demand".to_owned());
        SizedDisk::of(sku, price, attributes)?.ok_or_else(none)
    }

    fn line(&self) -> Option<&Surcharge> {
        match &self.paid {
            Paid::Line(line) => Some(line),
            Paid::Disk(_) => None,
        }
    }

    fn disk(&self) -> Option<&SizedDisk> {
        match &self.paid {
            Paid::Line(_) => None,
            Paid::Disk(disk) => Some(disk),
        }
    }
}

/// A part with the position of its row.
type NumberedPart = (usize, Arc<Part>);

/// The parts of a table, by place.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// By region, and by zone if they apply to one zone only.
    by_place: BTreeMap<(RegionId, Option<ZoneId>), Vec<NumberedPart>>,
    /// The best disk of a region for all machines, and those for some of them.
    disks: BTreeMap<RegionId, Vec<NumberedPart>>,
    /// The lines of equal offers, by the positions of their rows.
    shared: BTreeMap<Vec<usize>, Arc<Vec<Surcharge>>>,
}

impl Parts {
    /// Adds a row that is paid with others.
    pub(super) fn add(
        &mut self,
        position: usize,
        place: &Place,
        part: &Arc<Part>,
    ) -> Result<(), DocumentError> {
        let here = self.by_place.entry((place.region.clone(), place.zone.clone())).or_default();
        if here.len() >= limits::MAX_SURCHARGES {
            let message = format!("more than {} surcharges in {place}; add some up", limits::MAX_SURCHARGES);
            return Err(DocumentError::at("", message));
        }
        here.push((position, part.clone()));
        Ok(())
    }

    /// Adds a row of block storage.
    pub(super) fn add_block_storage(&mut self, position: usize, place: &Place, part: &Arc<Part>) {
        let rank = |(_, part): &NumberedPart| part.disk().map(|disk| disk.rank);
        let disk = (position, part.clone());
        let here = self.disks.entry(place.region.clone()).or_default();
        let is_for_all = |(_, part): &NumberedPart| part.with.attributes.is_empty();
        let best = here.iter().position(is_for_all).filter(|_| is_for_all(&disk));
        match best {
            Some(at) if rank(&disk) < rank(&here[at]) => here[at] = disk,
            None if here.len() < limits::MAX_SURCHARGES => here.push(disk),
            Some(_) | None => {}
        }
    }

    /// Gives an offer its surcharges in the order of their rows, and its disk by size if it `has_no_disk`.
    ///
    /// # Errors
    /// In words: a part has no price there.
    pub(super) fn complete(
        &mut self,
        offer: &mut Offer,
        has_no_disk: bool,
        completeness: Completeness,
    ) -> Result<(), String> {
        let Self { by_place, disks, shared } = self;
        let Place { region, zone, .. } = &*offer.place;
        let at = |zone: Option<&ZoneId>| by_place.get(&(region.clone(), zone.cloned())).into_iter().flatten();
        let in_zone = zone.as_ref().into_iter().flat_map(|zone| at(Some(zone)));
        let mut here: Vec<_> = at(None).chain(in_zone).filter(|(_, part)| part.with.admits(offer)).collect();
        here.sort_by_key(|(at, _)| *at);
        if completeness == Completeness::Whole {
            check_extras(offer, &here)?;
        }
        let of_region = disks.get(region).into_iter().flatten().filter(|(_, part)| part.with.admits(offer));
        let sized =
            here.iter().copied().chain(of_region).filter_map(|(at, part)| Some((*at, part, part.disk()?)));
        let disk = sized.filter(|_| has_no_disk).min_by_key(|(at, _, disk)| (disk.rank, *at));

        let due = due_once(&here);
        let mut lines: Vec<_> = due.iter().filter_map(|(at, part)| Some((*at, part.line()?))).collect();
        let paid = due.iter().map(|(_, part)| &part.provenance);
        offer.provenance = paid.fold(offer.provenance.clone(), |all, due| weakest(&all, due));
        if let Some((at, part, sized)) = disk {
            offer.provenance = weakest(&offer.provenance, &part.provenance);
            offer.elastic_disk = Some(sized.disk.clone());
            if let Some((gib, line)) = sized.least.as_ref().filter(|_| completeness == Completeness::Whole) {
                offer.capacity.disk_gib = *gib;
                lines.push((at, line));
            }
        }
        if !lines.is_empty() {
            lines.sort_by_key(|(at, _)| *at);
            let key = lines.iter().map(|(at, _)| *at).collect();
            let all = || Arc::new(lines.iter().map(|(_, line)| (*line).clone()).collect());
            offer.surcharges = shared.entry(key).or_insert_with(all).clone();
        }
        Ok(())
    }
}

/// The lines among these rows. Of several that price the same extra part, the first counts.
fn due_once<'a>(here: &[&'a NumberedPart]) -> Vec<&'a NumberedPart> {
    let mut priced = BTreeSet::new();
    let lines = here.iter().copied().filter(|(_, part)| part.line().is_some());
    lines
        .filter(|(_, part)| {
            let extras: Vec<_> = part.with.extras().collect();
            let is_first = extras.iter().all(|name| !priced.contains(name));
            priced.extend(extras);
            is_first
        })
        .collect()
}

/// Succeeds if a row here prices each part that an offer's attributes call extra.
fn check_extras(offer: &Offer, here: &[&NumberedPart]) -> Result<(), String> {
    let mut extras = extras(&offer.attributes).peekable();
    if extras.peek().is_none() {
        return Ok(());
    }
    let priced: BTreeSet<_> = here.iter().flat_map(|(_, part)| part.with.extras()).collect();
    match extras.find(|name| !priced.contains(name)) {
        None => Ok(()),
        Some(name) => Err(format!(
            "its {name} is extra, and no row prices it there; add one with the attribute `with={} {name}=extra`",
            offer.kind
        )),
    }
}

/// The names of the parts that attributes call extra.
fn extras(attributes: &BTreeMap<String, String>) -> impl Iterator<Item = &String> {
    attributes.iter().filter(|(_, value)| *value == EXTRA).map(|(name, _)| name)
}
