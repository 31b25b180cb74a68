//! One purchasable product at one place.

use std::{collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{Market, OfferId, Place, Price, Resources, Seller, SkuId};

/// What sort of product an offer is.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum OfferKind {
    /// A virtual or physical machine, on which components are packed.
    #[default]
    Machine,
    /// Disk for machines, by size.
    BlockStorage,
    /// Object storage, by size.
    ObjectStorage,
    /// A managed database.
    Database,
    /// A managed load balancer.
    LoadBalancer,
    /// A public IP address.
    PublicIp,
    /// A managed Kubernetes control plane.
    Kubernetes,
    /// Anything else.
    Other,
}

impl OfferKind {
    /// All kinds, in a fixed order, with their names.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Machine, "machine"),
        (Self::BlockStorage, "block_storage"),
        (Self::ObjectStorage, "object_storage"),
        (Self::Database, "database"),
        (Self::LoadBalancer, "load_balancer"),
        (Self::PublicIp, "public_ip"),
        (Self::Kubernetes, "kubernetes"),
        (Self::Other, "other"),
    ];
}

impl fmt::Display for OfferKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(kind, _)| kind == self).map_or("", |(_, name)| name))
    }
}

impl FromStr for OfferKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.iter().find(|(_, name)| *name == text).map(|(kind, _)| *kind).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|(_, name)| *name).collect();
            format!("{text:?} is no kind of offer; write one of {}", names.join(", "))
        })
    }
}

/// Disk that a machine gets beyond what is included, bought with it by size.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ElasticDisk {
    /// The block storage product.
    pub sku: SkuId,
    /// Charged per unit.
    pub price: Price,
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
    /// What traffic from it to the internet costs, per unit; none if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<Arc<Price>>,
    /// How many can still be had; none if not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock: Option<u32>,
    /// Who sells it.
    pub seller: Arc<Seller>,
    /// Where these figures come from.
    pub provenance: Arc<Provenance>,
}

impl Offer {
    /// The name that tells this offer from all others: `provider/region[/zone]/sku`, then `@spot` or
    /// `@committed-<months>`.
    pub fn id(&self) -> OfferId {
        let market = match self.price.market {
            Market::OnDemand => String::new(),
            Market::Spot => "@spot".to_owned(),
            Market::Committed => format!("@committed-{}", self.price.term_months),
        };
        let text = format!("{}/{}{market}", self.place, self.sku);
        OfferId::new(&text).unwrap_or_else(|_| {
            // Names of 200 characters each can add up to more: then the tail becomes a digest.
            let head: String = text.chars().take(130).collect();
            let tail = blake3::hash(text.as_bytes()).to_hex();
            OfferId::new(format!("{head}~{tail}"))
                .expect("130 + 1 + 64 characters without control characters")
        })
    }
}
