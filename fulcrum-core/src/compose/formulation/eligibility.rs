//! Eligibility: which components an offer may carry. Filters run once for each combination of the attributes that they
//! read.

use rustc_hash::{FxHashMap, FxHashSet};

use super::ids::{AllowedId, ComponentBitSet};
use crate::{
    catalogue::{Catalogue, OfferIx},
    compose::id_vec::IdVec,
    model::{Blueprint, Component, Filter, Interface, OfferKind, PricingCategory, SkuId},
};

/// The attributes of an offer that filters read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    kind: OfferKind,
    /// Only if a filter names this SKU: all others are alike.
    sku: Option<u32>,
    place: u32,
    seller: u32,
    attributes: u32,
    provenance: u32,
    own_settings: u32,
    market: PricingCategory,
    term_months: u32,
}

pub(crate) struct Eligibility<'a> {
    catalogue: &'a Catalogue,
    horizon_months: u32,
    /// The blueprint's filter with a component's markets, and the component's own; each pair once.
    filters: Vec<(Filter, Filter)>,
    named_skus: FxHashSet<SkuId>,
    /// Each component, its interface, and the position of its filters.
    components: Vec<(&'a Component, Interface<'a>, usize)>,
    last: Option<(Key, Option<AllowedId>)>,
    known: FxHashMap<Key, Option<AllowedId>>,
    sets: FxHashMap<ComponentBitSet, AllowedId>,
}

impl<'a> Eligibility<'a> {
    pub(crate) fn new(catalogue: &'a Catalogue, blueprint: &'a Blueprint) -> Self {
        let mut filters = Vec::new();
        let mut components = Vec::new();
        for (component, interface) in blueprint.components.values().zip(blueprint.interfaces()) {
            let pair = pair(&blueprint.filter, &component.filter);
            let at = filters.iter().position(|known| *known == pair).unwrap_or_else(|| {
                filters.push(pair);
                filters.len() - 1
            });
            components.push((component, interface, at));
        }
        Self {
            catalogue,
            horizon_months: blueprint.horizon_months,
            named_skus: filters
                .iter()
                .flat_map(|(global, own)| [&global.skus, &own.skus])
                .flat_map(|skus| skus.allow.iter().chain(&skus.deny).cloned())
                .collect(),
            filters,
            components,
            last: None,
            known: FxHashMap::default(),
            sets: FxHashMap::default(),
        }
    }

    /// The set of components that an offer may carry; `None` if it is empty.
    pub(crate) fn allowed(
        &mut self,
        ix: OfferIx,
        sets: &mut IdVec<AllowedId, ComponentBitSet>,
    ) -> Option<AllowedId> {
        let positions = self.catalogue.positions(ix);
        let price = self.catalogue.price(ix);
        let key = Key {
            kind: self.catalogue.kind(ix),
            sku: self.named_skus.contains(self.catalogue.sku(ix)).then_some(positions.sku),
            place: positions.place,
            seller: positions.seller,
            attributes: positions.attributes,
            provenance: positions.provenance,
            own_settings: positions.own_settings,
            market: price.purchase_option.pricing_category(),
            term_months: price.term_months,
        };
        if let Some((last, allowed)) = &self.last
            && *last == key
        {
            return *allowed;
        }
        let allowed = match self.known.get(&key) {
            Some(allowed) => *allowed,
            None => {
                let allowed = self.compute(ix, key, sets);
                self.known.insert(key, allowed);
                allowed
            }
        };
        self.last = Some((key, allowed));
        allowed
    }

    /// The same for a running service, whose minimum term is no new commitment. `may_stay` says of a component whether it may be on
    /// it, and whether it was there before.
    pub(crate) fn allowed_to_stay(
        &mut self,
        ix: OfferIx,
        may_stay: &dyn Fn(usize) -> (bool, bool),
        sets: &mut IdVec<AllowedId, ComponentBitSet>,
    ) -> Option<AllowedId> {
        self.passing(ix, self.catalogue.kind(ix), Some(may_stay), sets)
    }

    fn compute(
        &mut self,
        ix: OfferIx,
        key: Key,
        sets: &mut IdVec<AllowedId, ComponentBitSet>,
    ) -> Option<AllowedId> {
        if key.term_months > self.horizon_months { None } else { self.passing(ix, key.kind, None, sets) }
    }

    fn passing(
        &mut self,
        ix: OfferIx,
        sold: OfferKind,
        may_stay: Option<&dyn Fn(usize) -> (bool, bool)>,
        sets: &mut IdVec<AllowedId, ComponentBitSet>,
    ) -> Option<AllowedId> {
        let passes: Vec<bool> = self
            .filters
            .iter()
            .map(|(global, own)| {
                self.catalogue.failed_clause(ix, global).is_none()
                    && self.catalogue.failed_clause(ix, own).is_none()
            })
            .collect();
        let mut set = ComponentBitSet::default();
        for (position, (component, interface, filter)) in self.components.iter().enumerate() {
            // A running service has its settings already. Whoever comes to it takes its address and its disk as they are.
            let is_fit = || match may_stay.map(|may_stay| may_stay(position)) {
                Some((may_stay, was_there)) => {
                    may_stay && (was_there || self.catalogue.offer_fault(ix, interface).is_none())
                }
                None => self.catalogue.interface_fault(ix, interface).is_none(),
            };
            if component.kind == sold && passes[*filter] && is_fit() {
                set.insert(position);
            }
        }
        (!set.is_empty()).then(|| *self.sets.entry(set).or_insert_with_key(|set| sets.push(set.clone())))
    }
}

/// Both filters use the component's markets if it names some, otherwise the blueprint's.
pub(crate) fn pair(global: &Filter, own: &Filter) -> (Filter, Filter) {
    let markets =
        if own.pricing_categories.is_empty() { &global.pricing_categories } else { &own.pricing_categories };
    (
        Filter { pricing_categories: markets.clone(), ..global.clone() },
        Filter { pricing_categories: markets.clone(), ..own.clone() },
    )
}
