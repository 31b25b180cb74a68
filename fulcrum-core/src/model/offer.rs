//! An offer: one SKU at one place at one price.

use std::{collections::BTreeMap, fmt, sync::Arc};

use jiff::{Timestamp, Unit, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::{DeclaredSettings, OfferId, OfferKind, Place, Price, PurchaseOption, Resources, Seller, SkuId};

/// Disk that a machine gets beyond what is included, bought with it by size.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ElasticDisk {
    /// The block storage product.
    pub sku: SkuId,
    /// Charged per unit.
    pub price: Price,
}

/// What must be paid with an offer though it is another line of the price list: an IPv4 address, a licence.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Surcharge {
    /// The other line of the price list.
    pub sku: SkuId,
    /// What one of it costs; never a price per unit.
    pub price: Price,
}

/// Who says that a price holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PriceAuthority {
    /// The provider, for this very request.
    Quote,
    /// The provider's API, in its list of offers.
    #[default]
    Listing,
    /// A dated table, the host's or ours.
    Table,
}

impl PriceAuthority {
    fn is_listing(&self) -> bool {
        *self == Self::Listing
    }
}

impl fmt::Display for PriceAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quote => "quote",
            Self::Listing => "listing",
            Self::Table => "table",
        })
    }
}

/// Where a figure comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// A public address, a repository and path, or the API call that answered.
    pub source: String,
    /// When it was read or published.
    #[schemars(with = "String")]
    pub observed: Date,
    /// The last day on which it holds; none when the source tells none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub valid_until: Option<Date>,
    /// Whether the provider's API says so, or a table.
    #[serde(default, skip_serializing_if = "PriceAuthority::is_listing")]
    pub authority: PriceAuthority,
}

impl Provenance {
    /// Days that a day may lie in the future: time zones, and clocks that are late.
    pub(crate) const MAX_DAYS_AHEAD: i64 = 2;

    /// Why the day of a table's price cannot be, in words; none if it can.
    pub(crate) fn day_to_come(&self, now: Timestamp) -> Option<String> {
        let today = TimeZone::UTC.to_datetime(now).date();
        let ahead = today.until((Unit::Day, self.observed)).map_or(i64::MAX, |span| span.get_days().into());
        (self.authority == PriceAuthority::Table && ahead > Self::MAX_DAYS_AHEAD).then(|| {
            let observed = self.observed;
            format!("its table's price is of {observed}, a day to come; write the day on which it was read")
        })
    }
}

/// One purchasable product: SKU, place, price, capacity, attributes, and who stands behind it.
///
/// What many offers share is behind an [`Arc`], so that a list of them stays small; a [`Catalogue`]
/// keeps columns instead.
///
/// [`Catalogue`]: crate::catalogue::Catalogue
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// The provider's product code.
    pub sku: SkuId,
    /// What sort of product.
    pub kind: OfferKind,
    /// Where.
    pub place: Arc<Place>,
    /// How much it holds.
    #[serde(default)]
    pub capacity: Resources,
    /// How disk beyond the capacity is bought; none if it cannot be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elastic_disk: Option<Arc<ElasticDisk>>,
    /// Free attributes, such as `architecture: x86_64`.
    #[serde(default)]
    pub attributes: Arc<BTreeMap<String, String>>,
    /// What it costs.
    pub price: Price,
    /// What must be paid with each of it.
    #[serde(default, skip_serializing_if = "no_surcharges")]
    pub surcharges: Arc<Vec<Surcharge>>,
    /// What traffic from it to the internet costs, per unit; none if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<Arc<Price>>,
    /// How many can still be had; none if not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock: Option<u32>,
    /// What it can be made with, where it says so itself; otherwise what its provider declares holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Arc<DeclaredSettings>>,
    /// Who sells it.
    pub seller: Arc<Seller>,
    /// Where these figures come from.
    pub provenance: Arc<Provenance>,
}

impl Offer {
    /// The name that tells this offer from all others: `provider/region[/zone]/sku`, then `@spot` or
    /// `@committed-<months>`; an `@` of the SKU is doubled. It is a name only: nothing is read out of it.
    pub fn id(&self) -> OfferId {
        offer_id(&self.place, &self.sku, self.price.purchase_option)
    }
}

fn no_surcharges(surcharges: &[Surcharge]) -> bool {
    surcharges.is_empty()
}

/// As [`Offer::id`].
pub(super) fn offer_id(place: &Place, sku: &SkuId, option: PurchaseOption) -> OfferId {
    offer_id_of(place, &sku.as_str().replace('@', "@@"), option)
}

/// As before plan format 4, when an `@` of the SKU stood alone.
pub(super) fn offer_id_of(place: &Place, sku: &str, option: PurchaseOption) -> OfferId {
    let option = match option {
        PurchaseOption::OnDemand => String::new(),
        PurchaseOption::Spot => "@spot".to_owned(),
        PurchaseOption::Committed(months) => format!("@committed-{months}"),
    };
    let text = format!("{place}/{sku}{option}");
    OfferId::new(&text).unwrap_or_else(|_| {
        // Names of 200 characters each can add up to more: then the tail becomes a digest.
        let head: String = text.chars().take(130).collect();
        let tail = blake3::hash(text.as_bytes()).to_hex();
        OfferId::new(format!("{head}~{tail}")).expect("130 + 1 + 64 characters without control characters")
    })
}

/// Where a price is from that has several parts: it is as certain as the least certain of them, as old as the oldest, and holds
/// until the first of them ends.
pub(crate) fn weakest(one: &Arc<Provenance>, other: &Provenance) -> Arc<Provenance> {
    let is_weaker = other.authority == PriceAuthority::Table && one.authority != PriceAuthority::Table;
    let weakest = Provenance {
        source: match is_weaker {
            true => format!("{}; {}", one.source, other.source),
            false => one.source.clone(),
        },
        observed: one.observed.min(other.observed),
        valid_until: one.valid_until.into_iter().chain(other.valid_until).min(),
        authority: if is_weaker { PriceAuthority::Table } else { one.authority },
    };
    if weakest == **one { one.clone() } else { Arc::new(weakest) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_at_sign_of_a_sku_is_doubled_so_that_no_two_offers_share_a_name() {
        let place: Place =
            serde_json::from_str(r#"{"provider": "p", "region": "r", "country": "DE"}"#).expect("a place");
        let id = |sku, option| offer_id(&place, &SkuId::new(sku).expect("a SKU"), option).to_string();
        assert_eq!(id("a@spot", PurchaseOption::OnDemand), "p/r/a@@spot");
        assert_eq!(id("a", PurchaseOption::Spot), "p/r/a@spot");
        assert_eq!(id("a@@b", PurchaseOption::Committed(12)), "p/r/a@@@@b@committed-12");
    }
}
