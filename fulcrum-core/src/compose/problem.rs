//! Who may run on what: the blueprint's components against the catalogue's offers, as numbers.

use std::collections::BTreeSet;

use super::{
    error::ComposeError,
    id_vec::{IdVec, id_type},
    options::ComposeOptions,
};
use crate::{
    catalogue::{Catalogue, OfferIx},
    model::{Blueprint, Component, ComponentId, Constraint, Dimension, Filter, OfferKind, Over, to_micros},
};

id_type!(
    /// A component, in the blueprint's order.
    CompId
);
id_type!(
    /// A set of places that no constraint tells apart.
    ClassId
);

/// Replicas of one component that the engine considers when the blueprint sets no limit.
const DEFAULT_MAX_REPLICAS: u32 = 250;

/// A component as numbers.
#[derive(Debug, Clone)]
pub(crate) struct Comp {
    pub(crate) kind: OfferKind,
    /// Needs along `Problem::dimensions`.
    pub(crate) demand: Vec<u64>,
    pub(crate) disk_gib: u64,
    /// Replicas if deployed.
    pub(crate) min: u32,
    pub(crate) max: u32,
    pub(crate) per_machine: u32,
    /// Whether a `one_of` may leave it out.
    pub(crate) is_optional: bool,
}

/// A set of components.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CompSet([u64; 4]);

impl CompSet {
    pub(crate) fn insert(&mut self, component: usize) {
        self.0[component / 64] |= 1 << (component % 64);
    }

    pub(crate) fn contains(&self, component: usize) -> bool {
        self.0[component / 64] >> (component % 64) & 1 == 1
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }

    pub(crate) fn is_superset(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(own, theirs)| own & theirs == *theirs)
    }
}

/// Money over the horizon, in micro-units: a month's cost times the months, plus what is paid once. Exact,
/// where a share of a set-up fee would have to be rounded.
pub(crate) type Cost = i64;

/// An offer that some component may use.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) offer: OfferIx,
    pub(crate) class: ClassId,
    /// Who may use it.
    pub(crate) allowed: CompSet,
    /// What it holds along `Problem::dimensions`.
    pub(crate) capacity: Vec<u64>,
    pub(crate) disk_gib: u64,
    /// Cost without further disk; of prices per unit: nothing yet.
    pub(crate) base: Cost,
    pub(crate) stock: Option<u32>,
}

/// The blueprint and what of the catalogue can serve it.
#[derive(Debug)]
pub(crate) struct Problem<'a> {
    pub(crate) catalogue: &'a Catalogue,
    pub(crate) blueprint: &'a Blueprint,
    pub(crate) components: IdVec<CompId, Comp>,
    /// Axes that some component asks for; disk is kept apart, as it can be bought with a machine.
    pub(crate) dimensions: Vec<Dimension>,
    /// Sorted by offer.
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) classes: usize,
    /// A level that a constraint counts places at, with the place that each class belongs to there.
    pub(crate) levels: Vec<Level>,
}

/// One level of places.
#[derive(Debug)]
pub(crate) struct Level {
    pub(crate) over: Over,
    /// Place of each class at this level, numbered from 0.
    pub(crate) place_of: IdVec<ClassId, usize>,
    pub(crate) places: usize,
}

impl<'a> Problem<'a> {
    pub(crate) fn new(
        catalogue: &'a Catalogue,
        blueprint: &'a Blueprint,
        options: &ComposeOptions,
    ) -> Result<Self, ComposeError> {
        let optional: BTreeSet<&ComponentId> = blueprint
            .constraints
            .iter()
            .filter_map(|constraint| match constraint {
                Constraint::OneOf(components) => Some(components),
                _ => None,
            })
            .flatten()
            .collect();
        let dimensions = dimensions(blueprint);
        let components: IdVec<CompId, Comp> = blueprint
            .components
            .iter()
            .map(|(name, component)| Comp::new(component, &dimensions, optional.contains(name)))
            .collect();
        let mut problem = Self {
            catalogue,
            blueprint,
            components,
            dimensions,
            candidates: Vec::new(),
            classes: 0,
            levels: Vec::new(),
        };
        problem.collect_candidates(options);
        problem.class_places();
        Ok(problem)
    }

    fn collect_candidates(&mut self, options: &ComposeOptions) {
        let catalogue = self.catalogue;
        let filters: Vec<(&Component, Filter)> = self
            .blueprint
            .components
            .values()
            .map(|component| (component, merged(&self.blueprint.filter, &component.filter)))
            .collect();
        for ix in catalogue.ids() {
            let kind = catalogue.kind(ix);
            let price = catalogue.price(ix);
            if price.term_months > self.blueprint.horizon_months {
                continue;
            }
            let mut allowed = CompSet::default();
            for (position, (component, filter)) in filters.iter().enumerate() {
                let admits = component.kind == kind
                    && catalogue.refusal(ix, &self.blueprint.filter).is_none_or(|clause| {
                        // Markets are chosen by the component if it names some.
                        clause == "markets" && !component.filter.markets.is_empty()
                    })
                    && catalogue.refusal(ix, filter).is_none();
                if admits {
                    allowed.insert(position);
                }
            }
            if allowed.is_empty()
                || (!options.exclude.is_empty() && options.exclude.contains(&catalogue.offer(ix).id()))
            {
                continue;
            }
            let capacity = catalogue.capacity(ix);
            // Without an exchange rate, or beyond the range of money, an offer cannot be compared.
            let Some(base) = self.cost(ix, 0) else { continue };
            self.candidates.push(Candidate {
                offer: ix,
                class: ClassId::first(),
                allowed,
                capacity: self.dimensions.iter().map(|dimension| capacity.along(dimension)).collect(),
                disk_gib: capacity.disk_gib,
                base,
                stock: catalogue.stock(ix),
            });
        }
    }

    /// What an offer costs over the horizon; `gib` is the size for prices per unit. Each part is rounded to
    /// micro-units as a price line is.
    pub(crate) fn cost(&self, ix: OfferIx, gib: u64) -> Option<Cost> {
        let currency = self.blueprint.currency;
        let price = self.catalogue.price(ix);
        let month = to_micros(self.catalogue.net_month(price, gib, currency)?).ok()?;
        let once = self.catalogue.rates().convert(price.net_once()?, price.currency, currency)?;
        month.checked_mul(self.blueprint.horizon_months.into())?.checked_add(to_micros(once).ok()?)
    }

    /// What so many GiB of further disk cost over the horizon; `None` if the offer sells none.
    pub(crate) fn disk_cost(&self, ix: OfferIx, gib: u64) -> Option<Cost> {
        if gib == 0 {
            return Some(0);
        }
        let price = &self.catalogue.elastic_disk(ix)?.price;
        let month = to_micros(self.catalogue.net_month(price, gib, self.blueprint.currency)?).ok()?;
        month.checked_mul(self.blueprint.horizon_months.into())
    }

    /// Places that no constraint tells apart become one class.
    fn class_places(&mut self) {
        let mut levels: Vec<Over> = self.blueprint.constraints.iter().filter_map(level_of).collect();
        levels.sort_unstable();
        levels.dedup();
        let mut class_of_place: std::collections::BTreeMap<u32, ClassId> = std::collections::BTreeMap::new();
        let mut class_of_key: std::collections::BTreeMap<Vec<String>, ClassId> =
            std::collections::BTreeMap::new();
        let mut keys: Vec<Vec<String>> = Vec::new();
        for candidate in &mut self.candidates {
            let place = self.catalogue.place_number(candidate.offer);
            candidate.class = *class_of_place.entry(place).or_insert_with(|| {
                let key: Vec<String> =
                    levels.iter().map(|over| self.catalogue.place_key(candidate.offer, *over)).collect();
                *class_of_key.entry(key.clone()).or_insert_with(|| {
                    keys.push(key);
                    super::id_vec::Id::from_index(keys.len() - 1)
                })
            });
        }
        self.classes = keys.len();
        self.levels = levels
            .into_iter()
            .enumerate()
            .map(|(position, over)| {
                let mut numbers = std::collections::BTreeMap::new();
                let place_of = keys
                    .iter()
                    .map(|key| {
                        let next = numbers.len();
                        *numbers.entry(&key[position]).or_insert(next)
                    })
                    .collect();
                Level { over, place_of, places: numbers.len() }
            })
            .collect();
    }

    pub(crate) fn component(&self, name: &ComponentId) -> CompId {
        let index = self.blueprint.components.get_index_of(name);
        // Blueprint::check has refused names that do not exist.
        super::id_vec::Id::from_index(index.expect("checked before"))
    }
}

impl ClassId {
    fn first() -> Self {
        super::id_vec::Id::from_index(0)
    }
}

impl Comp {
    fn new(component: &Component, dimensions: &[Dimension], is_optional: bool) -> Self {
        let demand = component.demand();
        let max = component.replicas.max.unwrap_or(component.replicas.min.max(DEFAULT_MAX_REPLICAS));
        Self {
            kind: component.kind,
            demand: dimensions.iter().map(|dimension| demand.along(dimension)).collect(),
            disk_gib: component.disk_gib,
            min: component.replicas.min,
            max,
            per_machine: component.per_machine,
            is_optional,
        }
    }
}

fn dimensions(blueprint: &Blueprint) -> Vec<Dimension> {
    let used: BTreeSet<Dimension> = blueprint
        .components
        .values()
        .flat_map(|component| component.demand().dimensions().collect::<Vec<_>>())
        .filter(|dimension| *dimension != Dimension::DiskGib)
        .collect();
    used.into_iter().collect()
}

/// The component's own filter, which sees the markets of the blueprint's unless it names its own.
fn merged(global: &Filter, own: &Filter) -> Filter {
    let markets = if own.markets.is_empty() { global.markets.clone() } else { own.markets.clone() };
    Filter { markets, ..own.clone() }
}

fn level_of(constraint: &Constraint) -> Option<Over> {
    match constraint {
        Constraint::Spread(spread) => Some(spread.over),
        Constraint::Survive(survive) => Some(survive.loss_of),
        Constraint::Distinct(distinct) => Some(distinct.over),
        Constraint::Count(_)
        | Constraint::Serves(_)
        | Constraint::Linear(_)
        | Constraint::OneOf(_)
        | Constraint::Conflict(_)
        | Constraint::Colocate(_)
        | Constraint::Everywhere(_) => None,
    }
}
