//! The problem as numbers: the blueprint's components and the offers that may carry them.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use super::{
    eligibility::Eligibility,
    ids::{AllowedId, ClassId, ComponentBitSet, ComponentIx, MetricsId, ShapeId},
    place_classes::PlaceClasses,
};
use crate::{
    catalogue::{Catalogue, OfferIx},
    compose::{
        deferred_drop::DeferredDrop,
        error::ComposeError,
        id_vec::{Id, IdVec},
        interrupt::{OFFERS_PER_CHECK, watch_for_stop},
        objective::{Cost, ObjectiveStage},
        options::{ComposeOptions, Progress, Signal},
    },
    model::{
        Blueprint, Charge, Component, ComponentId, Constraint, Dimension, Measure, OfferKind, OfferMode,
        RunningService, ServiceId, SovereigntyReport, Together,
    },
};

/// Replicas of a component without a maximum.
const DEFAULT_MAX_REPLICAS: u32 = 250;

/// A component as numbers.
#[derive(Debug, Clone)]
pub(crate) struct ComponentSpec {
    pub(crate) kind: OfferKind,
    /// Demand along `Problem::dimensions`.
    pub(crate) demand: Vec<u64>,
    pub(crate) disk_gib: u64,
    /// Replicas if the component is deployed.
    pub(crate) min: u32,
    pub(crate) max: u32,
    pub(crate) per_machine: u32,
    /// Whether a `one_of` may leave the component out.
    pub(crate) is_optional: bool,
}

/// An offer that some component may use, in 40 bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate {
    pub(crate) offer: OfferIx,
    pub(crate) class: ClassId,
    /// The components that may use it.
    pub(crate) allowed: AllowedId,
    /// Its capacity.
    pub(crate) shape: ShapeId,
    /// Equal numbers mean equal terms for further disk.
    pub(crate) disk: u32,
    stock: u32,
    /// Position in `Problem::running` of the services that the candidate stands for; `u32::MAX` for an offer to buy.
    retained: u32,
    /// What counts besides its price.
    pub(crate) metrics: MetricsId,
    /// The cost without further disk; zero for prices per unit.
    pub(crate) base: Cost,
}

impl Candidate {
    pub(crate) fn stock(&self) -> Option<u32> {
        (self.stock != u32::MAX).then_some(self.stock)
    }

    /// Position in `Problem::running` of the services that the candidate stands for; `None` for an offer to buy.
    pub(crate) fn retained(&self) -> Option<usize> {
        (self.retained != u32::MAX).then_some(self.retained as usize)
    }
}

/// What counts of an offer besides its price; zero for metrics that neither objective nor limits use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Metrics {
    /// Emissions without further disk.
    pub(crate) carbon: i64,
    /// Sovereignty points below 100, for each replica.
    pub(crate) sovereignty_shortfall: i64,
    /// Amounts of the resources in `Problem::limited`.
    pub(crate) uses: Vec<u64>,
}

/// Running services that are equal for the engine.
#[derive(Debug, Clone)]
pub(crate) struct RunningGroup {
    /// Positions in the blueprint's `running.services`.
    pub(crate) services: Vec<usize>,
    pub(crate) members: Vec<(ComponentIx, u32)>,
    pub(crate) size_gib: u64,
    pub(crate) is_pinned: bool,
    /// What its services are attached to, where that matters.
    pub(crate) attached_to: Option<AttachedTo>,
}

/// The running service to which others are attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AttachedTo {
    /// Position of its group in `Problem::running`; none if it cannot stay.
    pub(crate) group: Option<usize>,
    /// The component whose replicas have something attached.
    pub(crate) whole: ComponentIx,
}

/// What the services of a group have in common: offer, replicas, disk, whether they are pinned, and to what they are attached. One to
/// which others are attached is alone.
type RunningGroupKey<'b> =
    (OfferIx, Vec<(ComponentIx, u32)>, u64, bool, Option<&'b ServiceId>, Option<&'b ServiceId>);

/// The blueprint and the part of the catalogue that can serve it.
#[derive(Debug)]
pub(crate) struct Problem<'a> {
    pub(crate) catalogue: &'a Catalogue,
    pub(crate) blueprint: &'a Blueprint,
    pub(crate) stage: ObjectiveStage,
    /// Which offers may be used.
    pub(crate) offers: OfferMode,
    pub(crate) components: IdVec<ComponentIx, ComponentSpec>,
    /// Dimensions that some component asks for. Disk is separate, as it can be bought with a machine.
    pub(crate) dimensions: Vec<Dimension>,
    /// Sorted by offer; candidates for running services follow.
    pub(crate) candidates: DeferredDrop<Candidate>,
    pub(crate) allowed: IdVec<AllowedId, ComponentBitSet>,
    /// Capacities along `dimensions`, and the disk.
    pub(crate) shapes: IdVec<ShapeId, (Box<[u64]>, u64)>,
    pub(crate) places: PlaceClasses,
    pub(crate) metrics: IdVec<MetricsId, Metrics>,
    metrics_ids: FxHashMap<Metrics, MetricsId>,
    /// Sovereignty points below 100, by seller and place.
    shortfall_of: FxHashMap<(u32, u32), i64>,
    /// A lower bound on the cost of a GiB of further disk, by disk terms.
    pub(super) gib_costs: FxHashMap<u32, i64>,
    /// Named resources of offers that a limit adds up.
    pub(crate) limited: Vec<String>,
    /// Groups of running services.
    pub(crate) running: Vec<RunningGroup>,
    /// The order in which components are bought.
    pub(crate) ranks: BTreeMap<&'a ComponentId, u32>,
}

impl<'a> Problem<'a> {
    pub(crate) fn new(
        catalogue: &'a Catalogue,
        blueprint: &'a Blueprint,
        stage: ObjectiveStage,
        options: &ComposeOptions,
        watch: &mut dyn FnMut(&Progress) -> Signal,
    ) -> Result<Self, ComposeError> {
        let optional = blueprint.optional();
        let dimensions = dimensions(blueprint);
        let components: IdVec<ComponentIx, ComponentSpec> = blueprint
            .components
            .iter()
            .map(|(name, component)| ComponentSpec::new(component, &dimensions, optional.contains(name)))
            .collect();
        let limited: BTreeSet<&String> = blueprint
            .constraints
            .iter()
            .filter_map(|constraint| match constraint {
                Constraint::Limit(limit) => limit.resource.as_ref(),
                _ => None,
            })
            .collect();
        let places = PlaceClasses::new(blueprint, &stage);
        let mut problem = Self {
            offers: options.offer_mode(catalogue),
            catalogue,
            blueprint,
            stage,
            components,
            dimensions,
            candidates: Vec::new().into(),
            allowed: IdVec::new(),
            shapes: IdVec::new(),
            places,
            metrics: [Metrics::default()].into_iter().collect(),
            metrics_ids: FxHashMap::default(),
            shortfall_of: FxHashMap::default(),
            gib_costs: FxHashMap::default(),
            limited: limited.into_iter().cloned().collect(),
            running: Vec::new(),
            ranks: blueprint.ranks().unwrap_or_default(), // Blueprint::check has refused circles
        };
        problem.tighten();
        problem.collect_candidates(options, watch)?;
        Ok(problem)
    }

    /// Lowers the maximum of each component to the maximum of a count that names it, and to that of what it is attached to.
    fn tighten(&mut self) {
        for constraint in &self.blueprint.constraints {
            let Constraint::Count(count) = constraint else { continue };
            let Some(most) = count.exactly.or(count.max) else { continue };
            for name in &count.components {
                let component = self.component(name);
                let spec = &mut self.components[component];
                // The rows prove infeasibility if the maximum is below the minimum.
                spec.max = spec.max.min(most.max(spec.min));
            }
        }
        for rule in self.blueprint.together() {
            let Together::OneEach { part, whole } = rule else { continue };
            let pair = [part, whole].map(|name| self.component(name));
            // One that is not limited follows the other one.
            let limits = [part, whole].map(|name| self.blueprint.components[name].replicas.max);
            let [part, whole] = pair.map(|component| self.components[component].max);
            let most = match limits {
                [None, Some(_)] => whole,
                [Some(_), None] => part,
                _ => part.min(whole),
            };
            for (component, limit) in pair.into_iter().zip(limits) {
                if limit.is_none() {
                    self.components[component].max = most.max(self.components[component].min);
                }
                let spec = &mut self.components[component];
                spec.max = spec.max.min(most.max(spec.min));
            }
        }
    }

    /// Collects candidates in one pass over the offers. Results that depend on few attributes are cached by those
    /// attributes.
    fn collect_candidates(
        &mut self,
        options: &ComposeOptions,
        watch: &mut dyn FnMut(&Progress) -> Signal,
    ) -> Result<(), ComposeError> {
        let catalogue = self.catalogue;
        let mut eligibility = Eligibility::new(catalogue, self.blueprint);
        let offers = self.offers;
        let mut base_of_price: FxHashMap<(u32, u32), Option<Cost>> = FxHashMap::default();
        let mut shape_of: FxHashMap<u32, ShapeId> = FxHashMap::default();
        for ix in catalogue.ids() {
            if ix.index() % OFFERS_PER_CHECK == OFFERS_PER_CHECK - 1 {
                watch_for_stop(watch)?;
            }
            let Some(allowed) = eligibility.allowed(ix, &mut self.allowed) else { continue };
            if offers == OfferMode::Orderable
                && !catalogue.is_orderable(ix)
                && self.stage.must_use != Some(ix)
            {
                continue;
            }
            let is_by_size = matches!(catalogue.price(ix).charge, Charge::PerUnit { .. });
            if catalogue.kind(ix) == OfferKind::Machine && is_by_size {
                continue; // the demand says nothing about the size in GiB of a machine
            }
            let positions = catalogue.positions(ix);
            // An offer without an exchange rate, or beyond the range of money, cannot be compared.
            let base = *base_of_price
                .entry((positions.price, positions.surcharges))
                .or_insert_with(|| self.base_cost(ix, 0, false));
            let Some(base) = base.map(|base| self.discounted(ix, base)) else { continue };
            let is_excluded = || options.exclude.contains(&catalogue.offer(ix).id());
            if !options.exclude.is_empty() && self.stage.must_use != Some(ix) && is_excluded() {
                continue;
            }
            let providers = &options.exclude_providers;
            let is_excluded = || providers.contains(&catalogue.place(ix).provider);
            if !providers.is_empty() && self.stage.must_use != Some(ix) && is_excluded() {
                continue;
            }
            let Some(metrics) = self.metrics(ix) else { continue };
            let shape = *shape_of.entry(positions.capacity).or_insert_with(|| self.shape(ix));
            if !self.gib_costs.contains_key(&positions.disk) {
                let cost = self.least_gib_cost(ix);
                self.gib_costs.insert(positions.disk, cost);
            }
            let class = self.places.class(catalogue, ix);
            let stock = catalogue.stock(ix).unwrap_or(u32::MAX);
            self.candidates.push(Candidate {
                offer: ix,
                class,
                allowed,
                shape,
                disk: positions.disk,
                stock,
                retained: u32::MAX,
                metrics,
                base,
            });
        }
        self.collect_running(&mut eligibility);
        Ok(())
    }

    /// The metrics of an offer; `None` if one of them is not known.
    fn metrics(&mut self, ix: OfferIx) -> Option<MetricsId> {
        let [counts_carbon, counts_sovereignty] =
            [Measure::Carbon, Measure::Sovereignty].map(|measure| self.stage.tracks(measure));
        if !counts_carbon && !counts_sovereignty && self.limited.is_empty() {
            return Some(MetricsId::from_index(0)); // the first entry is all zeros
        }
        let carbon = if counts_carbon { self.carbon(ix, 0)? } else { 0 };
        let sovereignty_shortfall = if counts_sovereignty { self.sovereignty_shortfall_of(ix) } else { 0 };
        let named = &self.catalogue.capacity(ix).named;
        let uses = self.limited.iter().map(|name| named.get(name).copied().unwrap_or(0)).collect();
        let metrics = &mut self.metrics;
        Some(
            *self
                .metrics_ids
                .entry(Metrics { carbon, sovereignty_shortfall, uses })
                .or_insert_with_key(|key| metrics.push(key.clone())),
        )
    }

    fn shape(&mut self, ix: OfferIx) -> ShapeId {
        let capacity = self.catalogue.capacity(ix);
        let along = self.dimensions.iter().map(|dimension| capacity.along(dimension)).collect();
        self.shapes.push((along, capacity.disk_gib))
    }

    /// Adds a candidate for each group of running services, with the price that is still to be paid and the group's
    /// size as stock.
    fn collect_running(&mut self, eligibility: &mut Eligibility<'_>) {
        let (catalogue, blueprint) = (self.catalogue, self.blueprint);
        let services = &blueprint.running.services;
        let related = blueprint.related();
        let attaches = blueprint.components.values().any(|component| component.attach.is_some());
        // To what is not listed nothing is attached.
        let known: BTreeSet<&ServiceId> = services.iter().map(|service| &service.id).collect();
        let target =
            |service: &'a RunningService| service.attach.as_ref().filter(|id| attaches && known.contains(id));
        let targets: BTreeSet<&ServiceId> = services.iter().filter_map(target).collect();
        let mut group: BTreeMap<RunningGroupKey<'_>, Vec<usize>> = BTreeMap::new();
        for (at, service) in services.iter().enumerate() {
            let Some(ix) = catalogue.find(&service.offer) else { continue };
            let mut members: Vec<_> =
                service.replicas.iter().map(|(name, count)| (self.component(name), *count)).collect();
            members.sort_unstable();
            let own = Some(&service.id).filter(|id| targets.contains(id));
            let key = (ix, members, service.size_gib, service.pinned, target(service), own);
            group.entry(key).or_default().push(at);
        }
        let mut group_of: BTreeMap<&ServiceId, usize> = BTreeMap::new();
        let mut attached: Vec<(usize, &ServiceId, ComponentIx)> = Vec::new();
        for ((ix, members, size_gib, is_pinned, target, own), services) in group {
            // What belongs together stays as it was: nothing is made anew for what is kept.
            let may_stay = |position: usize| {
                let Some((name, component)) = blueprint.components.get_index(position) else {
                    return (false, false);
                };
                let was_there = members.iter().any(|(member, _)| member.index() == position);
                let may_stay = was_there || !related.contains(name);
                (may_stay && (component.attach.is_none() || target.is_some()), was_there)
            };
            let Some(allowed) = eligibility.allowed_to_stay(ix, &may_stay, &mut self.allowed) else {
                continue;
            };
            let Some(base) = self.base_cost(ix, 0, true) else { continue };
            let Some(metrics) = self.metrics(ix) else { continue };
            let (class, shape) = (self.places.class(catalogue, ix), self.shape(ix));
            self.candidates.push(Candidate {
                offer: ix,
                class,
                allowed,
                shape,
                disk: catalogue.positions(ix).disk,
                stock: u32::try_from(services.len()).unwrap_or(u32::MAX - 1),
                retained: self.running.len() as u32, // services are far fewer
                metrics,
                base,
            });
            let own_group = self.running.len();
            group_of.extend(own.map(|id| (id, own_group)));
            let parts =
                members.iter().filter_map(|(part, _)| blueprint.components[part.index()].attach.as_ref());
            let whole = parts.map(|whole| self.component(whole)).next();
            attached.extend(target.zip(whole).map(|(id, whole)| (own_group, id, whole)));
            self.running.push(RunningGroup { services, members, size_gib, is_pinned, attached_to: None });
        }
        for (part, target, whole) in attached {
            self.running[part].attached_to = Some(AttachedTo { group: group_of.get(target).copied(), whole });
        }
    }

    /// Emissions over the horizon in mg, which are millionths of a kg; `None` if the grid of the country is unknown.
    pub(crate) fn carbon(&self, ix: OfferIx, bought_gib: u64) -> Option<i64> {
        let model = self.blueprint.assumptions.carbon.as_ref()?;
        let month =
            model.month_mg(self.catalogue.place(ix).country, self.catalogue.capacity(ix), bought_gib)?;
        month.checked_mul(self.blueprint.horizon_months.into())
    }

    /// Millionths of a sovereignty point below a score of 100, for each replica over the horizon.
    fn sovereignty_shortfall_of(&mut self, ix: OfferIx) -> i64 {
        let catalogue = self.catalogue;
        let positions = catalogue.positions(ix);
        if let Some(known) = self.shortfall_of.get(&(positions.seller, positions.place)) {
            return *known;
        }
        let report = SovereigntyReport::new(catalogue.seller(ix), catalogue.place(ix), catalogue.day());
        let points = i64::from(10_000 - report.score().min(10_000)) * 10_000;
        let sovereignty_shortfall = points * i64::from(self.blueprint.horizon_months);
        self.shortfall_of.insert((positions.seller, positions.place), sovereignty_shortfall);
        sovereignty_shortfall
    }

    /// The metrics of a candidate.
    pub(crate) fn metrics_of(&self, candidate: &Candidate) -> &Metrics {
        &self.metrics[candidate.metrics]
    }

    /// Whether a cheaper candidate cannot stand for this one: it is a running service, or an offer that must be used.
    pub(crate) fn has_own_value(&self, candidate: &Candidate) -> bool {
        candidate.retained().is_some() || self.stage.must_use == Some(candidate.offer)
    }

    pub(crate) fn component(&self, name: &ComponentId) -> ComponentIx {
        let index = self.blueprint.components.get_index_of(name);
        // Blueprint::check has refused names that do not exist.
        Id::from_index(index.expect("checked before"))
    }

    pub(crate) fn name(&self, component: ComponentIx) -> &'a ComponentId {
        let (name, _) = self.blueprint.components.get_index(component.index()).expect("a component of it");
        name
    }

    pub(crate) fn size(&self, candidate: &Candidate) -> &[u64] {
        &self.shapes[candidate.shape].0
    }

    pub(crate) fn disk_gib(&self, candidate: &Candidate) -> u64 {
        self.shapes[candidate.shape].1
    }

    pub(crate) fn may_carry(&self, candidate: &Candidate, component: ComponentIx) -> bool {
        self.allowed[candidate.allowed].contains(component.index())
    }
}

impl ComponentSpec {
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
