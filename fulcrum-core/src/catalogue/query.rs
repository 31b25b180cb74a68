//! Queries on a snapshot.

use std::collections::BTreeMap;

use iso_currency::Currency;
use jiff::Unit;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{Catalogue, OfferIx};
use crate::model::{
    Charge, FailureDomain, Filter, GeoCircle, Micros, OfferKind, PricingCategory, Resources,
    SovereigntyFloor, SovereigntyReport, from_micros,
    offer_settings::{NO_ADDRESS, PUBLIC_IPV4, is_without_address},
    to_micros,
};

/// A query. Empty for all on-demand offers, but an adapter's machines without the address that others of their type have
/// (`TYPE+no-ipv4`): these are found by `where: { attributes: { public_ipv4: none } }`, or by their SKU, as a component gets them only
/// if it says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Query {
    /// Only these kinds; empty for all.
    pub kinds: Vec<OfferKind>,
    /// Place, seller, attributes, market.
    #[serde(rename = "where")]
    pub filter: Filter,
    /// Minimum capacity in every dimension. Elastic disk counts as any size; it is in the compared price.
    pub at_least: Resources,
    /// The currency of compared prices; ISO 4217.
    #[schemars(with = "String")]
    pub currency: Currency,
    /// The size in GiB at which prices per unit are compared, if `at_least` asks for no more.
    pub size_gib: u64,
    /// The highest net monthly cost of what was asked for.
    #[serde(with = "crate::model::decimal::option")]
    #[schemars(with = "Option<crate::model::AnyDecimal>")]
    pub max_monthly: Option<Decimal>,
    /// The order of results.
    pub sort: Sort,
    /// Only the first result of each failure domain of this kind.
    pub first_per: Option<FailureDomain>,
    /// Results to skip, for the next page.
    pub offset: usize,
    /// Results at most; none for all.
    pub limit: Option<usize>,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            kinds: Vec::new(),
            filter: Filter::default(),
            at_least: Resources::default(),
            currency: Currency::EUR,
            size_gib: 1,
            max_monthly: None,
            sort: Sort::Price,
            first_per: None,
            offset: 0,
            limit: None,
        }
    }
}

/// The order of results. Ties are broken by offer id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// Cheapest first; offers without an exchange rate are left out.
    #[default]
    Price,
    /// By id: provider, region, zone, SKU.
    Id,
}

/// An offer that a query has found, with its net price in the query's currency and in the size that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PricedOffer {
    /// Which.
    pub ix: OfferIx,
    /// A month with surcharges and disk, rounded to micro-units; none if there is no exchange rate.
    pub monthly: Option<Decimal>,
    /// What is paid at the start; none if there is no exchange rate.
    pub once: Option<Decimal>,
}

/// Whether an attribute has each member of a wanted value: `postgresql+mysql` has `mysql`.
fn has(all: &str, wanted: &str) -> bool {
    wanted.split('+').all(|wanted| all.split('+').any(|one| one == wanted))
}

impl Catalogue {
    /// The first clause of a filter that an offer fails, named as in blueprints; none if it passes.
    ///
    /// Time: O(length of the filter's lists).
    pub fn failed_clause(&self, ix: OfferIx, filter: &Filter) -> Option<&'static str> {
        let place = self.place(ix);
        let market = self.price(ix).purchase_option.pricing_category();
        let is_market = if filter.pricing_categories.is_empty() {
            market == PricingCategory::OnDemand
        } else {
            filter.pricing_categories.contains(&market)
        };
        let is_zone =
            place.zone.as_ref().map_or(filter.zones.allow.is_empty(), |zone| filter.zones.admits(zone));
        let is_lawful = |area| self.seller(ix).is_within(area, place);
        let attributes = self.attributes(ix);
        let has_attributes = || {
            filter
                .attributes
                .iter()
                .all(|(name, value)| attributes.get(name).is_some_and(|all| has(all, value)))
        };
        let is_valid = self.provenance(ix).valid_until.is_none_or(|end| self.day() <= end);
        let is_sovereign = |floor: &SovereigntyFloor| {
            SovereigntyReport::new(self.seller(ix), place, self.day()).meets(floor)
        };
        let is_near = |within: &GeoCircle| {
            let km = place.coordinates.and_then(|at| at.distance_km(&within.of));
            km.is_some_and(|km| km <= within.km)
        };
        let checks: [(&'static str, bool); 13] = [
            ("providers", filter.providers.admits(&place.provider)),
            ("skus", filter.skus.admits(self.sku(ix))),
            ("regions", filter.regions.admits(&place.region)),
            ("zones", is_zone),
            ("countries", filter.countries.admits(&place.country)),
            ("jurisdiction", filter.jurisdiction.is_none_or(is_lawful)),
            (
                "certifications",
                filter.certifications.iter().all(|name| self.seller(ix).is_certified(name, self.day())),
            ),
            ("sovereignty", filter.sovereignty.as_ref().is_none_or(is_sovereign)),
            ("within", filter.within.as_ref().is_none_or(is_near)),
            ("attributes", has_attributes()),
            ("markets", is_market),
            (
                "max_age_days",
                filter.max_age_days.is_none_or(|limit| i64::from(self.age_days(ix)) <= i64::from(limit)),
            ),
            ("validity", is_valid),
        ];
        checks.into_iter().find(|(_, passes)| !passes).map(|(clause, _)| clause)
    }

    /// How many days old an offer's price is, on the day of the catalogue.
    pub fn age_days(&self, ix: OfferIx) -> i32 {
        let observed = self.provenance(ix).observed;
        observed.until((Unit::Day, self.day())).map_or(i32::MAX, |span| span.get_days())
    }

    /// The results of a query. Time: O(n log n) in the matching offers.
    pub fn query(&self, query: &Query) -> Vec<OfferIx> {
        self.sorted_by_price(query).map(|(_, ix)| ix).collect()
    }

    /// The results of a query with what each costs in the size that was asked for. Time: as [`query`](Self::query).
    ///
    /// ```
    /// # use fulcrum_core::catalogue::{Catalogue, Query};
    /// # fn example(catalogue: &Catalogue) {
    /// for found in catalogue.query_priced(&Query::default()) {
    ///     println!("{}: {:?} EUR a month", catalogue.sku(found.ix), found.monthly);
    /// }
    /// # }
    /// ```
    pub fn query_priced(&self, query: &Query) -> Vec<PricedOffer> {
        self.sorted_by_price(query)
            .map(|(micros, ix)| PricedOffer {
                ix,
                monthly: micros.map(from_micros),
                once: self.once_as_asked(ix, query),
            })
            .collect()
    }

    fn sorted_by_price(&self, query: &Query) -> impl Iterator<Item = (Option<Micros>, OfferIx)> + use<> {
        let max = query.max_monthly.and_then(|max| to_micros(max).ok());
        // `false` sorts before `true`: offers without a price come last.
        let mut found: Vec<(bool, Option<Micros>, OfferIx)> = self
            .ids()
            .filter(|ix| query.kinds.is_empty() || query.kinds.contains(&self.kind(*ix)))
            .filter(|ix| {
                self.failed_clause(*ix, &query.filter).is_none() && self.has_capacity(*ix, &query.at_least)
            })
            .filter(|ix| self.is_shown(*ix, &query.filter))
            .filter_map(|ix| match (self.month_as_asked(ix, query), query.sort) {
                (Some(price), _) => max.is_none_or(|max| price <= max).then_some((false, Some(price), ix)),
                (None, Sort::Id) if max.is_none() => Some((true, None, ix)),
                (None, _) => None,
            })
            .collect();
        match query.sort {
            Sort::Price => found.sort_unstable(),
            Sort::Id => {}
        }
        if let Some(over) = query.first_per {
            let mut seen = std::collections::BTreeSet::new();
            found.retain(|(_, _, ix)| seen.insert(self.place_key(*ix, over)));
        }
        found
            .into_iter()
            .map(|(_, micros, ix)| (micros, ix))
            .skip(query.offset)
            .take(query.limit.unwrap_or(usize::MAX))
    }

    /// A month's net cost of an offer in the size that was asked for, with the disk beyond its own.
    pub(super) fn month_as_asked(&self, ix: OfferIx, query: &Query) -> Option<Micros> {
        let size_gib = query.size_gib.max(query.at_least.disk_gib);
        let month = self.month_micros(ix, size_gib, query.currency)?;
        let further_gib = query.at_least.disk_gib.saturating_sub(self.capacity(ix).disk_gib);
        match self.elastic_disk(ix).filter(|_| further_gib > 0) {
            None => Some(month),
            Some(disk) => {
                let more = to_micros(self.net_month(&disk.price, further_gib, query.currency)?).ok()?;
                month.checked_add(more)
            }
        }
    }

    /// What is paid at the start, net, with surcharges and the disk beyond its own.
    fn once_as_asked(&self, ix: OfferIx, query: &Query) -> Option<Decimal> {
        let further_gib = query.at_least.disk_gib.saturating_sub(self.capacity(ix).disk_gib);
        let disk = self.elastic_disk(ix).filter(|_| further_gib > 0).map(|disk| &disk.price);
        let parts = self.surcharges(ix).iter().map(|it| &it.price).chain([self.price(ix)]).chain(disk);
        parts.into_iter().try_fold(Decimal::ZERO, |sum, price| {
            sum.checked_add(self.rates().convert(price.net_once()?, price.currency, query.currency)?)
        })
    }

    /// Whether a query shows an offer at all: machines without an address only if they are asked for.
    pub(super) fn is_shown(&self, ix: OfferIx, filter: &Filter) -> bool {
        !is_without_address(self.sku(ix)) || self.is_sought(ix, filter)
    }

    /// Whether a filter asks for machines without an address, or for this product.
    fn is_sought(&self, ix: OfferIx, filter: &Filter) -> bool {
        filter.attributes.get(PUBLIC_IPV4).is_some_and(|it| it == NO_ADDRESS)
            || filter.skus.allow.contains(self.sku(ix))
    }

    pub(super) fn has_capacity(&self, ix: OfferIx, at_least: &Resources) -> bool {
        // Where the buyer chooses the size, a disk is as large as is asked for.
        let is_by_size = matches!(self.price(ix).charge, Charge::PerUnit { .. });
        let has_elastic_disk = is_by_size || self.elastic_disk(ix).is_some();
        at_least.dimensions().all(|dimension| {
            self.capacity(ix).along(&dimension) >= at_least.along(&dimension)
                || (dimension == crate::model::Dimension::DiskGib && has_elastic_disk)
        })
    }

    /// The key of an offer's failure domain of one kind: equal keys mean the same domain.
    pub fn place_key(&self, ix: OfferIx, over: FailureDomain) -> String {
        let place = self.place(ix);
        match over {
            FailureDomain::Provider => place.provider.to_string(),
            FailureDomain::Region => format!("{}/{}", place.provider, place.region),
            FailureDomain::Zone => place.to_string(),
            FailureDomain::Country => place.country.to_string(),
        }
    }

    /// The number of offers of each provider.
    pub fn providers(&self) -> BTreeMap<String, usize> {
        self.ids().fold(BTreeMap::new(), |mut counts, ix| {
            *counts.entry(self.place(ix).provider.to_string()).or_default() += 1;
            counts
        })
    }
}
