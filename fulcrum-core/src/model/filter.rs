//! Filters: which offers a blueprint or a component may use.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Coordinates, CountryCode, Jurisdiction, PricingCategory, ProviderId, RegionId, SkuId, SovereigntyFloor,
    ZoneId,
};

/// Names that are allowed, and names that are not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Allow<T> {
    /// Names that may be used; empty for all of them.
    #[serde(default = "Vec::<T>::new", skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<T>,
    /// Names that may not be used.
    #[serde(default = "Vec::<T>::new", skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<T>,
}

impl<T> Default for Allow<T> {
    fn default() -> Self {
        Self { allow: Vec::new(), deny: Vec::new() }
    }
}

impl<T: PartialEq> Allow<T> {
    /// Whether a name passes.
    pub fn admits(&self, name: &T) -> bool {
        (self.allow.is_empty() || self.allow.contains(name)) && !self.deny.contains(name)
    }

    /// Whether every name passes.
    pub fn is_open(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }
}

/// A circle on the globe. A place whose coordinates are not known is outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Within")]
pub struct GeoCircle {
    /// Its radius along the surface, in kilometres.
    pub km: u32,
    /// The centre of the circle.
    pub of: Coordinates,
}

/// Conditions on an offer that do not depend on the rest of the plan. Empty admits everything that is sold
/// on demand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Filter {
    /// Providers that may or may not sell, by their ids in the federation.
    #[serde(skip_serializing_if = "Allow::is_open")]
    pub providers: Allow<ProviderId>,
    /// Products that may or may not be used, by the providers' own codes.
    #[serde(skip_serializing_if = "Allow::is_open")]
    pub skus: Allow<SkuId>,
    /// Regions that may or may not be used, by the providers' names of them.
    #[serde(skip_serializing_if = "Allow::is_open")]
    pub regions: Allow<RegionId>,
    /// Zones that may or may not be used; an offer without a zone passes only if none is allowed by name.
    #[serde(skip_serializing_if = "Allow::is_open")]
    pub zones: Allow<ZoneId>,
    /// Countries in which the machines may or may not stand, as ISO 3166-1 codes such as DE.
    #[serde(skip_serializing_if = "Allow::is_open")]
    pub countries: Allow<CountryCode>,
    /// The area of law that the place, the seller and all who control it must be in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jurisdiction: Option<Jurisdiction>,
    /// Certificates that the seller must hold on the day of the catalogue, such as `ISO 27001`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certifications: Vec<String>,
    /// The least that the offer must show of the EU's Cloud Sovereignty Framework.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sovereignty: Option<SovereigntyFloor>,
    /// A circle in which the place must be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<GeoCircle>,
    /// Attributes that the offer must have, with these values; `architecture` is one of them. An offer's value may be a set,
    /// `postgresql+mysql`: it has each of its members.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// How it may be sold: `on_demand`, `committed`, `spot`; empty for on demand only.
    #[serde(rename = "markets", skip_serializing_if = "Vec::is_empty")]
    pub pricing_categories: Vec<PricingCategory>,
    /// The greatest age of a price in days, counted back from the day of the catalogue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age_days: Option<u32>,
}
