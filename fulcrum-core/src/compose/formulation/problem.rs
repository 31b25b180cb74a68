//! Who may run on what: the blueprint's components against the catalogue's offers, as numbers.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use super::{
    eligibility::Eligibility,
    ids::{AllowedId, ClassId, CompId, CompSet, FiguresId, ShapeId},
    place_classes::Sites,
};
use crate::{
    catalogue::{Catalogue, OfferIx},
    compose::{
        deferred_drop::Aside,
        error::ComposeError,
        id_vec::{Id, IdVec},
        interrupt::{BETWEEN_LOOKS, watch_for_stop},
        objective::{Aim, Cost},
        options::{ComposeOptions, Progress, Signal},
    },
    model::{
        Blueprint, Charge, Component, ComponentId, Constraint, Dimension, Measure, OfferKind,
        SovereigntyReport,
    },
};

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

/// An offer that some component may use, in 40 bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate {
    pub(crate) offer: OfferIx,
    pub(crate) class: ClassId,
    /// Who may use it.
    pub(crate) allowed: AllowedId,
    /// What it holds.
    pub(crate) shape: ShapeId,
    /// Equal numbers mean equal terms for further disk.
    pub(crate) disk: u32,
    stock: u32,
    /// Position in `Problem::running` of the services that it stands for, if it is no offer to be bought.
    keeps: u32,
    /// What else counts of it.
    pub(crate) figures: FiguresId,
    /// Cost without further disk; of prices per unit: nothing yet.
    pub(crate) base: Cost,
}

impl Candidate {
    pub(crate) fn stock(&self) -> Option<u32> {
        (self.stock != u32::MAX).then_some(self.stock)
    }

    /// Position in `Problem::running` of the services that it stands for, if it is no offer to be bought.
    pub(crate) fn keeps(&self) -> Option<usize> {
        (self.keeps != u32::MAX).then_some(self.keeps as usize)
    }
}

/// What counts of an offer besides its price; nothing where neither aim nor limits look at it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Figures {
    /// Emissions without further disk.
    pub(crate) carbon: i64,
    /// Points of sovereignty missing, for each replica.
    pub(crate) missing: i64,
    /// Of each of `Problem::limited`.
    pub(crate) uses: Vec<u64>,
}

/// Running services that are alike.
#[derive(Debug, Clone)]
pub(crate) struct Alike {
    /// Positions in the blueprint's `running.services`.
    pub(crate) services: Vec<usize>,
    pub(crate) members: Vec<(CompId, u32)>,
    pub(crate) size_gib: u64,
    pub(crate) is_pinned: bool,
}

/// What running services are alike in: offer, replicas, disk, whether they are pinned.
type Alikeness = (OfferIx, Vec<(CompId, u32)>, u64, bool);

/// The blueprint and what of the catalogue can serve it.
#[derive(Debug)]
pub(crate) struct Problem<'a> {
    pub(crate) catalogue: &'a Catalogue,
    pub(crate) blueprint: &'a Blueprint,
    pub(crate) aim: Aim,
    pub(crate) components: IdVec<CompId, Comp>,
    /// Axes that some component asks for; disk is kept apart, as it can be bought with a machine.
    pub(crate) dimensions: Vec<Dimension>,
    /// Sorted by offer; then those that run already.
    pub(crate) candidates: Aside<Candidate>,
    pub(crate) allowed: IdVec<AllowedId, CompSet>,
    /// Sizes along `dimensions`, then the disk.
    pub(crate) shapes: IdVec<ShapeId, (Box<[u64]>, u64)>,
    pub(crate) sites: Sites,
    pub(crate) figures: IdVec<FiguresId, Figures>,
    figures_ids: FxHashMap<Figures, FiguresId>,
    /// Points of sovereignty missing, by seller and place.
    missing_of: FxHashMap<(u32, u32), i64>,
    /// What a GiB of further disk costs at least, by terms.
    pub(super) gib_costs: FxHashMap<u32, i64>,
    /// Named resources of offers that a limit adds up.
    pub(crate) limited: Vec<String>,
    /// What runs already.
    pub(crate) running: Vec<Alike>,
    /// In which order components are bought.
    pub(crate) ranks: BTreeMap<&'a ComponentId, u32>,
}

impl<'a> Problem<'a> {
    pub(crate) fn new(
        catalogue: &'a Catalogue,
        blueprint: &'a Blueprint,
        aim: Aim,
        options: &ComposeOptions,
        watch: &mut dyn FnMut(&Progress) -> Signal,
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
        let limited: BTreeSet<&String> = blueprint
            .constraints
            .iter()
            .filter_map(|constraint| match constraint {
                Constraint::Limit(limit) => limit.resource.as_ref(),
                _ => None,
            })
            .collect();
        let sites = Sites::new(blueprint, &aim);
        let mut problem = Self {
            catalogue,
            blueprint,
            aim,
            components,
            dimensions,
            candidates: Vec::new().into(),
            allowed: IdVec::new(),
            shapes: IdVec::new(),
            sites,
            figures: [Figures::default()].into_iter().collect(),
            figures_ids: FxHashMap::default(),
            missing_of: FxHashMap::default(),
            gib_costs: FxHashMap::default(),
            limited: limited.into_iter().cloned().collect(),
            running: Vec::new(),
            ranks: blueprint.ranks().unwrap_or_default(), // Blueprint::check has refused circles
        };
        problem.tighten();
        problem.collect_candidates(options, watch)?;
        Ok(problem)
    }

    /// Replicas are at most what a count over them alone, or with others, allows.
    fn tighten(&mut self) {
        for constraint in &self.blueprint.constraints {
            let Constraint::Count(count) = constraint else { continue };
            let Some(most) = count.exactly.or(count.max) else { continue };
            for name in &count.components {
                let component = self.component(name);
                let comp = &mut self.components[component];
                // Below its minimum there is no plan; the rows will say so.
                comp.max = comp.max.min(most.max(comp.min));
            }
        }
    }

    /// One pass over the offers. What depends on few things is asked once for each combination of them.
    fn collect_candidates(
        &mut self,
        options: &ComposeOptions,
        watch: &mut dyn FnMut(&Progress) -> Signal,
    ) -> Result<(), ComposeError> {
        let catalogue = self.catalogue;
        let mut eligibility = Eligibility::new(catalogue, self.blueprint);
        let mut base_of_price: FxHashMap<(u32, u32), Option<Cost>> = FxHashMap::default();
        let mut shape_of: FxHashMap<u32, ShapeId> = FxHashMap::default();
        for ix in catalogue.ids() {
            if ix.index() % BETWEEN_LOOKS == BETWEEN_LOOKS - 1 {
                watch_for_stop(watch)?;
            }
            let Some(allowed) = eligibility.allowed(ix, &mut self.allowed) else { continue };
            let is_by_size = matches!(catalogue.price(ix).charge, Charge::PerUnit { .. });
            if catalogue.kind(ix) == OfferKind::Machine && is_by_size {
                continue; // nothing says how many GiB a machine is
            }
            let positions = catalogue.positions(ix);
            // Without an exchange rate, or beyond the range of money, an offer cannot be compared.
            let base = *base_of_price
                .entry((positions.price, positions.surcharges))
                .or_insert_with(|| self.base_cost(ix, 0, false));
            let Some(base) = base.map(|base| self.discounted(ix, base)) else { continue };
            let is_excluded = || options.exclude.contains(&catalogue.offer(ix).id());
            if !options.exclude.is_empty() && self.aim.must_use != Some(ix) && is_excluded() {
                continue;
            }
            let providers = &options.exclude_providers;
            let is_excluded = || providers.contains(&catalogue.place(ix).provider);
            if !providers.is_empty() && self.aim.must_use != Some(ix) && is_excluded() {
                continue;
            }
            let Some(figures) = self.figures(ix) else { continue };
            let shape = *shape_of.entry(positions.capacity).or_insert_with(|| self.shape(ix));
            if !self.gib_costs.contains_key(&positions.disk) {
                let cost = self.least_gib_cost(ix);
                self.gib_costs.insert(positions.disk, cost);
            }
            let class = self.sites.class(catalogue, ix);
            let stock = catalogue.stock(ix).unwrap_or(u32::MAX);
            self.candidates.push(Candidate {
                offer: ix,
                class,
                allowed,
                shape,
                disk: positions.disk,
                stock,
                keeps: u32::MAX,
                figures,
                base,
            });
        }
        self.collect_running(&mut eligibility);
        Ok(())
    }

    /// What counts of an offer besides its price; `None` if that is not known.
    fn figures(&mut self, ix: OfferIx) -> Option<FiguresId> {
        let [counts_carbon, counts_missing] =
            [Measure::Carbon, Measure::Sovereignty].map(|measure| self.aim.knows(measure));
        if !counts_carbon && !counts_missing && self.limited.is_empty() {
            return Some(FiguresId::from_index(0)); // the first stands for nothing
        }
        let carbon = if counts_carbon { self.carbon(ix, 0)? } else { 0 };
        let missing = if counts_missing { self.sovereignty_missing(ix) } else { 0 };
        let named = &self.catalogue.capacity(ix).named;
        let uses = self.limited.iter().map(|name| named.get(name).copied().unwrap_or(0)).collect();
        let figures = &mut self.figures;
        Some(
            *self
                .figures_ids
                .entry(Figures { carbon, missing, uses })
                .or_insert_with_key(|key| figures.push(key.clone())),
        )
    }

    fn shape(&mut self, ix: OfferIx) -> ShapeId {
        let capacity = self.catalogue.capacity(ix);
        let along = self.dimensions.iter().map(|dimension| capacity.along(dimension)).collect();
        self.shapes.push((along, capacity.disk_gib))
    }

    /// What runs already, each sort of it as a candidate of its own: with its own price, as often as it is there.
    fn collect_running(&mut self, eligibility: &mut Eligibility<'_>) {
        let (catalogue, blueprint) = (self.catalogue, self.blueprint);
        let mut alike: BTreeMap<Alikeness, Vec<usize>> = BTreeMap::new();
        for (at, service) in blueprint.running.services.iter().enumerate() {
            let Some(ix) = catalogue.find(&service.offer) else { continue };
            let mut members: Vec<_> =
                service.replicas.iter().map(|(name, count)| (self.component(name), *count)).collect();
            members.sort_unstable();
            alike.entry((ix, members, service.size_gib, service.pinned)).or_default().push(at);
        }
        for ((ix, members, size_gib, is_pinned), services) in alike {
            let Some(allowed) = eligibility.allowed_to_stay(ix, &mut self.allowed) else { continue };
            let Some(base) = self.base_cost(ix, 0, true) else { continue };
            let Some(figures) = self.figures(ix) else { continue };
            let (class, shape) = (self.sites.class(catalogue, ix), self.shape(ix));
            self.candidates.push(Candidate {
                offer: ix,
                class,
                allowed,
                shape,
                disk: catalogue.positions(ix).disk,
                stock: u32::try_from(services.len()).unwrap_or(u32::MAX - 1),
                keeps: self.running.len() as u32, // services are far fewer
                figures,
                base,
            });
            self.running.push(Alike { services, members, size_gib, is_pinned });
        }
    }

    /// Emissions over the horizon in mg, which are millionths of a kg; `None` if the country's grid is unknown.
    pub(crate) fn carbon(&self, ix: OfferIx, bought_gib: u64) -> Option<i64> {
        let model = self.blueprint.assume.carbon.as_ref()?;
        let month =
            model.month_mg(self.catalogue.place(ix).country, self.catalogue.capacity(ix), bought_gib)?;
        month.checked_mul(self.blueprint.horizon_months.into())
    }

    /// Millionths of a point that an offer misses to a sovereignty score of 100, for each replica and over the
    /// horizon.
    fn sovereignty_missing(&mut self, ix: OfferIx) -> i64 {
        let catalogue = self.catalogue;
        let positions = catalogue.positions(ix);
        if let Some(known) = self.missing_of.get(&(positions.seller, positions.place)) {
            return *known;
        }
        let report = SovereigntyReport::new(catalogue.seller(ix), catalogue.place(ix), catalogue.day());
        let points = i64::from(10_000 - report.score().min(10_000)) * 10_000;
        let missing = points * i64::from(self.blueprint.horizon_months);
        self.missing_of.insert((positions.seller, positions.place), missing);
        missing
    }

    /// What counts of a candidate besides its price.
    pub(crate) fn figures_of(&self, candidate: &Candidate) -> &Figures {
        &self.figures[candidate.figures]
    }

    /// Whether a candidate has a worth of its own, so that another one that is cheaper does not stand for it: what runs
    /// already, and an offer that must be used.
    pub(crate) fn is_apart(&self, candidate: &Candidate) -> bool {
        candidate.keeps().is_some() || self.aim.must_use == Some(candidate.offer)
    }

    pub(crate) fn component(&self, name: &ComponentId) -> CompId {
        let index = self.blueprint.components.get_index_of(name);
        // Blueprint::check has refused names that do not exist.
        Id::from_index(index.expect("checked before"))
    }

    pub(crate) fn name(&self, component: CompId) -> &'a ComponentId {
        let (name, _) = self.blueprint.components.get_index(component.index()).expect("a component of it");
        name
    }

    pub(crate) fn size(&self, candidate: &Candidate) -> &[u64] {
        &self.shapes[candidate.shape].0
    }

    pub(crate) fn disk_gib(&self, candidate: &Candidate) -> u64 {
        self.shapes[candidate.shape].1
    }

    pub(crate) fn may_carry(&self, candidate: &Candidate, component: CompId) -> bool {
        self.allowed[candidate.allowed].contains(component.index())
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
