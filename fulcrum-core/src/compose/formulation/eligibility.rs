//! Which components an offer may carry, asked once for each combination of what filters look at.

use rustc_hash::FxHashMap;

use super::ids::{AllowedId, CompSet};
use crate::{
    catalogue::{Catalogue, OfferIx},
    compose::id_vec::IdVec,
    model::{Blueprint, Component, Filter, Market, OfferKind},
};

/// What filters look at of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    kind: OfferKind,
    place: u32,
    seller: u32,
    attributes: u32,
    provenance: u32,
    market: Market,
    term_months: u32,
}

pub(crate) struct Eligibility<'a> {
    catalogue: &'a Catalogue,
    horizon_months: u32,
    /// The blueprint's filter with a component's markets, and the component's own; each pair once.
    filters: Vec<(Filter, Filter)>,
    /// Each component, and the position of its filters.
    components: Vec<(&'a Component, usize)>,
    last: Option<(Key, Option<AllowedId>)>,
    known: FxHashMap<Key, Option<AllowedId>>,
    sets: FxHashMap<CompSet, AllowedId>,
}

impl<'a> Eligibility<'a> {
    pub(crate) fn new(catalogue: &'a Catalogue, blueprint: &'a Blueprint) -> Self {
        let mut filters = Vec::new();
        let mut components = Vec::new();
        for component in blueprint.components.values() {
            let pair = pair(&blueprint.filter, &component.filter);
            let at = filters.iter().position(|known| *known == pair).unwrap_or_else(|| {
                filters.push(pair);
                filters.len() - 1
            });
            components.push((component, at));
        }
        Self {
            catalogue,
            horizon_months: blueprint.horizon_months,
            filters,
            components,
            last: None,
            known: FxHashMap::default(),
            sets: FxHashMap::default(),
        }
    }

    /// The set of components that an offer may carry; `None` if there are none.
    pub(crate) fn allowed(&mut self, ix: OfferIx, sets: &mut IdVec<AllowedId, CompSet>) -> Option<AllowedId> {
        let positions = self.catalogue.positions(ix);
        let price = self.catalogue.price(ix);
        let key = Key {
            kind: self.catalogue.kind(ix),
            place: positions.place,
            seller: positions.seller,
            attributes: positions.attributes,
            provenance: positions.provenance,
            market: price.purchase_option.market(),
            term_months: price.term_months,
        };
        if let Some((last, answer)) = &self.last
            && *last == key
        {
            return *answer;
        }
        let answer = match self.known.get(&key) {
            Some(answer) => *answer,
            None => {
                let answer = self.ask(ix, key, sets);
                self.known.insert(key, answer);
                answer
            }
        };
        self.last = Some((key, answer));
        answer
    }

    /// The same for what runs already, whose minimum term is no new commitment.
    pub(crate) fn allowed_to_stay(
        &mut self,
        ix: OfferIx,
        sets: &mut IdVec<AllowedId, CompSet>,
    ) -> Option<AllowedId> {
        self.passing(ix, self.catalogue.kind(ix), false, sets)
    }

    fn ask(&mut self, ix: OfferIx, key: Key, sets: &mut IdVec<AllowedId, CompSet>) -> Option<AllowedId> {
        if key.term_months > self.horizon_months { None } else { self.passing(ix, key.kind, true, sets) }
    }

    fn passing(
        &mut self,
        ix: OfferIx,
        sold: OfferKind,
        is_new: bool,
        sets: &mut IdVec<AllowedId, CompSet>,
    ) -> Option<AllowedId> {
        let passes: Vec<bool> = self
            .filters
            .iter()
            .map(|(global, own)| {
                self.catalogue.refusal(ix, global).is_none() && self.catalogue.refusal(ix, own).is_none()
            })
            .collect();
        let mut set = CompSet::default();
        for (position, (component, filter)) in self.components.iter().enumerate() {
            // What runs already is made with what it is made with.
            let is_made = || !is_new || self.catalogue.unknown_setting(ix, &component.settings).is_none();
            if component.kind == sold && passes[*filter] && is_made() {
                set.insert(position);
            }
        }
        (!set.is_empty()).then(|| *self.sets.entry(set).or_insert_with_key(|set| sets.push(set.clone())))
    }
}

/// The component's markets count for both filters if it names some, else the blueprint's.
pub(crate) fn pair(global: &Filter, own: &Filter) -> (Filter, Filter) {
    let markets = if own.markets.is_empty() { &global.markets } else { &own.markets };
    (
        Filter { markets: markets.clone(), ..global.clone() },
        Filter { markets: markets.clone(), ..own.clone() },
    )
}
