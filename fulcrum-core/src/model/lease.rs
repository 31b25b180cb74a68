//! Leases: what a plan buys, and what each lease costs.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{
    ComponentId, OfferId, OfferKind, Place, PriceCheck, PurchaseOption, ServiceId, Settings, SkuId,
    offer::{offer_id, offer_id_of},
};

fn is_zero(rank: &u32) -> bool {
    *rank == 0
}

/// One instance of an offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(from = "LeaseDocument")]
#[schemars(!from)]
#[non_exhaustive]
pub struct Lease {
    /// Which offer.
    pub offer: OfferId,
    /// Its SKU.
    pub sku: SkuId,
    /// Its kind.
    pub kind: OfferKind,
    /// Where it is.
    pub place: Place,
    /// How it is sold.
    #[serde(default)]
    pub purchase_option: PurchaseOption,
    /// Months that must be paid at least; 0 for none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub term_months: u32,
    /// How many replicas of which components are on it.
    #[schemars(with = "std::collections::BTreeMap<ComponentId, u32>")]
    pub replicas: IndexMap<ComponentId, u32>,
    /// GiB of storage that are bought with it or as it; 0 if its size is fixed.
    pub size_gib: u64,
    /// The block storage product of that size, if it is bought with a machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_sku: Option<SkuId>,
    /// The running service that it is, if the blueprint named one that stays; else it is to be bought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keeps: Option<ServiceId>,
    /// What it is made with: the settings of its components.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: Settings,
    /// Components of which all leases with a lower rank must be there before this one is bought.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub after: BTreeSet<ComponentId>,
    /// The greatest rank of its components: how many must be there one after the other before it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rank: u32,
    /// For each of `attach`, `targets`, `network` and `nodes_of` the leases with which it is made, by their positions in the plan.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub partners: BTreeMap<String, Vec<u32>>,
    /// What it costs, line by line.
    pub lines: Vec<PriceLine>,
    /// In an order's step: the price as it was last checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked: Option<PriceCheck>,
    /// What a later minor version has written; kept as it is.
    #[serde(flatten)]
    pub later: BTreeMap<String, serde_json::Value>,
}

impl Lease {
    /// A lease with nothing on it and no costs; set those on the value.
    pub fn new(place: Place, sku: SkuId, kind: OfferKind, purchase_option: PurchaseOption) -> Self {
        Self {
            offer: offer_id(&place, &sku, purchase_option),
            sku,
            kind,
            place,
            purchase_option,
            term_months: purchase_option.committed_months().unwrap_or(0),
            replicas: IndexMap::new(),
            size_gib: 0,
            disk_sku: None,
            keeps: None,
            settings: Settings::new(),
            after: BTreeSet::new(),
            rank: 0,
            partners: BTreeMap::new(),
            lines: Vec::new(),
            checked: None,
            later: BTreeMap::new(),
        }
    }
}

impl Lease {
    /// The name of the offer that its own fields tell of: provider, place, SKU and purchase option belong together.
    pub fn own_offer_id(&self) -> OfferId {
        offer_id(&self.place, &self.sku, self.purchase_option)
    }

    /// Whether `offer` names what the other fields say, also as format 3 wrote it.
    pub(crate) fn names_its_offer(&self) -> bool {
        self.offer == self.own_offer_id()
            || self.offer == offer_id_of(&self.place, self.sku.as_str(), self.purchase_option)
    }

    /// What is paid for it at the start: at the price that was last checked, else as planned. `None` if that leaves the range
    /// of a decimal.
    pub(crate) fn paid_once(&self) -> Option<Decimal> {
        match &self.checked {
            Some(check) => Some(check.once),
            None => self.lines.iter().try_fold(Decimal::ZERO, |sum, line| sum.checked_add(line.once)),
        }
    }

    /// What it costs over the horizon for which it was planned; `None` if that leaves the range of a decimal.
    pub fn total(&self) -> Option<Decimal> {
        self.lines.iter().try_fold(Decimal::ZERO, |sum, line| sum.checked_add(line.total))
    }
}

/// A lease as plans and ledgers have it. Format 3 has no purchase option: there the offer's name tells it.
#[derive(Deserialize)]
struct LeaseDocument {
    offer: OfferId,
    sku: SkuId,
    kind: OfferKind,
    place: Place,
    purchase_option: Option<PurchaseOption>,
    #[serde(default)]
    term_months: u32,
    replicas: IndexMap<ComponentId, u32>,
    size_gib: u64,
    #[serde(default)]
    disk_sku: Option<SkuId>,
    #[serde(default)]
    keeps: Option<ServiceId>,
    #[serde(default)]
    settings: Settings,
    #[serde(default)]
    after: BTreeSet<ComponentId>,
    #[serde(default)]
    rank: u32,
    #[serde(default)]
    partners: BTreeMap<String, Vec<u32>>,
    lines: Vec<PriceLine>,
    #[serde(default)]
    checked: Option<PriceCheck>,
    #[serde(flatten)]
    later: BTreeMap<String, serde_json::Value>,
}

impl From<LeaseDocument> for Lease {
    fn from(read: LeaseDocument) -> Self {
        let is_format_3 = read.purchase_option.is_none();
        let purchase_option = read
            .purchase_option
            .unwrap_or_else(|| option_of_format_3(&read.offer, &read.place, &read.sku).unwrap_or_default());
        let mut lease = Self {
            offer: read.offer,
            sku: read.sku,
            kind: read.kind,
            place: read.place,
            purchase_option,
            term_months: read.term_months,
            replicas: read.replicas,
            size_gib: read.size_gib,
            disk_sku: read.disk_sku,
            keeps: read.keeps,
            settings: read.settings,
            after: read.after,
            rank: read.rank,
            partners: read.partners,
            lines: read.lines,
            checked: read.checked,
            later: read.later,
        };
        if is_format_3 {
            lease.term_months = purchase_option.committed_months().unwrap_or(0);
            // Format 3 had one line for the offer and one for its disk.
            lease.disk_sku = lease.lines.get(1).map(|line| line.sku.clone());
            lease.lines.iter_mut().skip(1).for_each(|line| line.kind = LineKind::Disk);
        }
        lease
    }
}

/// The longest term of a commitment in years' worth of months that format 3 could have meant.
const MAX_TERM_MONTHS: u32 = 240;

/// The purchase option that makes the offer's name from place and SKU; the name itself is never taken apart.
fn option_of_format_3(offer: &OfferId, place: &Place, sku: &SkuId) -> Option<PurchaseOption> {
    let commitments = (0..=MAX_TERM_MONTHS).map(PurchaseOption::Committed);
    [PurchaseOption::OnDemand, PurchaseOption::Spot]
        .into_iter()
        .chain(commitments)
        .find(|option| offer_id_of(place, sku.as_str(), *option) == *offer)
}

/// What a line of a lease pays for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LineKind {
    /// The offer itself.
    #[default]
    Offer,
    /// The disk that is bought with it.
    Disk,
    /// What must be paid with it: an address, a licence.
    Surcharge,
}

impl LineKind {
    fn is_offer(&self) -> bool {
        *self == Self::Offer
    }
}

/// One line of a lease's cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[non_exhaustive]
pub struct PriceLine {
    /// What is paid for, by its product code: the offer, its disk, or a surcharge.
    pub sku: SkuId,
    /// Which of these.
    #[serde(default, skip_serializing_if = "LineKind::is_offer")]
    pub kind: LineKind,
    /// For people: how the figure comes about.
    pub text: String,
    /// Net, per month, in the plan's currency, rounded to micro-units.
    #[serde(with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub monthly: Decimal,
    /// Net, once; of a commitment each time that it is renewed.
    #[serde(with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub once: Decimal,
    /// Net, all that is paid over the blueprint's horizon, renewals included.
    #[serde(with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub total: Decimal,
    /// What a later minor version has written; kept as it is.
    #[serde(flatten)]
    pub later: BTreeMap<String, serde_json::Value>,
}

impl PriceLine {
    /// A line with its amounts over a month, at the start and over the horizon.
    pub fn new(sku: SkuId, kind: LineKind, monthly: Decimal, once: Decimal, total: Decimal) -> Self {
        Self { sku, kind, text: String::new(), monthly, once, total, later: BTreeMap::new() }
    }
}
