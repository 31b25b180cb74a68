//! The best plan by trying all: every set of up to four leases, and every way to route traffic over it.

use std::collections::{BTreeMap, BTreeSet};

use fulcrum_core::{
    catalogue::{Catalogue, OfferIx, TrafficTariff},
    compose::verify::verify,
    model::{
        Amount, Blueprint, ComponentId, EndPoint, FeeLine, Flow, FlowTarget, Lease, LineKind, Measure,
        Measures, MoveLine, Objective, OfferId, OfferKind, Plan, PriceLine, Relation, SovereigntyReport,
        Stage, StopReason, TrafficLine, digest_of, from_micros,
    },
};
use rust_decimal::Decimal;

const MAX_LEASES: usize = 4;

/// The values of what is minimised, in turn; `None` if the verifier lets no plan pass.
pub fn brute_force(catalogue: &Catalogue, blueprint: &Blueprint) -> Option<Vec<Decimal>> {
    let mut search = Search::new(catalogue, blueprint, kinds(catalogue, blueprint));
    search.extend(0, &mut Vec::new());
    search.best
}

/// The same of the plans that use an offer.
pub fn brute_force_using(
    catalogue: &Catalogue,
    blueprint: &Blueprint,
    offer: &OfferId,
) -> Option<Vec<Decimal>> {
    let mut search = Search::new(catalogue, blueprint, kinds(catalogue, blueprint));
    search.must_use = Some(offer.clone());
    search.extend(0, &mut Vec::new());
    search.best
}

/// All values of what is minimised that no plan beats in every respect, sorted.
pub fn brute_frontier(catalogue: &Catalogue, blueprint: &Blueprint) -> Vec<Vec<Decimal>> {
    let mut search = Search::new(catalogue, blueprint, kinds(catalogue, blueprint));
    search.front = Some(Vec::new());
    search.extend(0, &mut Vec::new());
    let mut front = search.front.unwrap_or_default();
    front.sort();
    front
}

/// The best values that these leases allow, however their traffic is routed; `None` if the verifier lets no plan of
/// them pass.
pub fn best_of_leases(
    catalogue: &Catalogue,
    blueprint: &Blueprint,
    leases: &[Lease],
) -> Option<Vec<Decimal>> {
    let kinds: Vec<(OfferIx, Lease)> = leases
        .iter()
        .map(|lease| (catalogue.find(&lease.offer).expect("an offer of the catalogue"), lease.clone()))
        .collect();
    let chosen: Vec<usize> = (0..kinds.len()).collect();
    let mut search = Search::new(catalogue, blueprint, kinds);
    for flows in search.routings(&chosen) {
        search.consider(&chosen, flows);
    }
    search.best
}

struct Search<'a> {
    catalogue: &'a Catalogue,
    blueprint: &'a Blueprint,
    digest: String,
    kinds: Vec<(OfferIx, Lease)>,
    best: Option<Vec<Decimal>>,
    /// Only plans with this offer count.
    must_use: Option<OfferId>,
    /// What is not beaten, if that is wanted.
    front: Option<Vec<Vec<Decimal>>>,
}

/// Each offer with each set of replicas that it holds.
fn kinds(catalogue: &Catalogue, blueprint: &Blueprint) -> Vec<(OfferIx, Lease)> {
    let names: Vec<&ComponentId> = blueprint.components.keys().collect();
    let mut kinds = Vec::new();
    for ix in catalogue.ids() {
        let offer = catalogue.offer(ix);
        for a in 0..=2u32 {
            for b in 0..=2u32 {
                let counts = [a, b];
                let sum = |of: &dyn Fn(&fulcrum_core::model::Resources) -> u64| -> u64 {
                    let needs = blueprint.components.values().zip(counts);
                    needs.map(|(component, count)| of(&component.demand()) * u64::from(count)).sum()
                };
                let fits = sum(&|need| need.vcpu_milli.into()) <= offer.capacity.vcpu_milli.into()
                    && sum(&|need| need.memory_mib) <= offer.capacity.memory_mib;
                let is_of_kind = blueprint
                    .components
                    .values()
                    .zip(counts)
                    .all(|(it, count)| count == 0 || it.kind == offer.kind);
                let is_one = offer.kind == OfferKind::Machine || a + b == 1;
                if a + b == 0 || !fits || !is_of_kind || !is_one {
                    continue;
                }
                let (monthly, once) = (offer.price.net_month(0).expect("a price"), offer.price.once);
                let term = offer.price.term_months;
                let terms = if term == 0 { 1 } else { blueprint.horizon_months.div_ceil(term) };
                let months = if term == 0 { blueprint.horizon_months } else { terms * term };
                let total = monthly * Decimal::from(months) + once * Decimal::from(terms);
                let replicas = names.iter().map(|name| (*name).clone()).zip(counts);
                // In the order of their names: of two values the verifier refuses either.
                let held = || blueprint.components.iter().zip(counts).filter(|(_, count)| *count > 0);
                let settings = held().flat_map(|((_, component), _)| component.lease_settings().into_owned());
                let after: BTreeSet<_> =
                    held().flat_map(|((_, component), _)| component.predecessors().cloned()).collect();
                let mut lease = Lease::new(
                    (*offer.place).clone(),
                    offer.sku.clone(),
                    offer.kind,
                    offer.price.purchase_option,
                );
                lease.offer = offer.id();
                lease.term_months = offer.price.term_months;
                lease.replicas = replicas.filter(|(_, count)| *count > 0).collect();
                lease.settings = settings.collect();
                // Of two components one is after the other, or none is.
                lease.rank = u32::from(!after.is_empty());
                lease.after = after;
                lease.lines = vec![PriceLine::new(offer.sku.clone(), LineKind::Offer, monthly, once, total)];
                let bought = (ix, lease);
                for service in blueprint.running.services.iter().filter(|s| s.offer == bought.1.offer) {
                    let mut kept = bought.clone();
                    kept.1.keeps = Some(service.id.clone());
                    (kept.1.lines[0].once, kept.1.lines[0].total) = (Decimal::ZERO, total - once);
                    kinds.push(kept);
                }
                kinds.push(bought);
            }
        }
    }
    kinds
}

impl<'a> Search<'a> {
    fn new(catalogue: &'a Catalogue, blueprint: &'a Blueprint, kinds: Vec<(OfferIx, Lease)>) -> Self {
        let digest = digest_of(blueprint);
        Self { catalogue, blueprint, digest, kinds, best: None, must_use: None, front: None }
    }
}

fn is_beaten(value: &[Decimal], by: &[Decimal]) -> bool {
    by.iter().zip(value).all(|(by, value)| by <= value)
}

impl Search<'_> {
    fn extend(&mut self, from: usize, chosen: &mut Vec<usize>) {
        let is_used = |offer: &OfferId| chosen.iter().any(|kind| self.kinds[*kind].1.offer == *offer);
        let (is_short, is_over) = self.counts(chosen);
        if is_over {
            return;
        }
        if !is_short && !chosen.is_empty() && self.must_use.as_ref().is_none_or(is_used) {
            for flows in self.routings(chosen) {
                self.consider(chosen, flows);
            }
        }
        if chosen.len() == MAX_LEASES {
            return;
        }
        for at in from..self.kinds.len() {
            chosen.push(at);
            self.extend(at, chosen);
            chosen.pop();
        }
    }

    /// Whether a component has some replicas, but fewer than it needs, and whether one has more than it may.
    fn counts(&self, chosen: &[usize]) -> (bool, bool) {
        let (mut is_short, mut is_over) = (false, false);
        for (name, component) in &self.blueprint.components {
            let held = chosen.iter().filter_map(|kind| self.kinds[*kind].1.replicas.get(name));
            let count: u32 = held.sum();
            is_short |= count > 0 && count < component.replicas.min;
            is_over |= component.replicas.max.is_some_and(|max| count > max);
        }
        (is_short, is_over)
    }

    fn region(&self, kind: usize) -> EndPoint {
        EndPoint::of(&self.kinds[kind].1.place)
    }

    fn tariff(&self, kind: usize) -> Option<TrafficTariff> {
        let price = self.catalogue.egress(self.kinds[kind].0)?;
        TrafficTariff::new(price, self.catalogue.rates(), self.blueprint.currency)
    }

    /// Every way to route: each sending replica on its own to each region that receives, each group of users to
    /// each site.
    fn routings(&self, chosen: &[usize]) -> Vec<Vec<Flow>> {
        let mut all: Vec<Vec<Flow>> = vec![Vec::new()];
        let holders = |name: &ComponentId| -> Vec<(usize, u32)> {
            chosen.iter().filter_map(|&kind| Some((kind, *self.kinds[kind].1.replicas.get(name)?))).collect()
        };
        for (at, link) in self.blueprint.links.iter().enumerate() {
            let mut targets: Vec<EndPoint> =
                holders(&link.to).iter().map(|(kind, _)| self.region(*kind)).collect();
            targets.sort_by(|a, b| a.name.cmp(&b.name));
            targets.dedup();
            if targets.is_empty() {
                continue;
            }
            for (kind, count) in holders(&link.from) {
                for _ in 0..count {
                    let from = self.region(kind);
                    let ways: Vec<Flow> = targets
                        .iter()
                        .map(|to| Flow {
                            from: link.from.clone(),
                            from_region: from.name.clone(),
                            to: FlowTarget::Link { link: at, region: to.name.clone() },
                            replicas: 1,
                            gib: if to.name == from.name { 0 } else { link.traffic_gib },
                            tariff: self.tariff(kind).as_ref().map(TrafficTariff::text),
                            round_trip_us: self.blueprint.assumptions.latency.round_trip_us(&from, to),
                        })
                        .collect();
                    all = product(all, &ways);
                }
            }
        }
        for (name, component) in &self.blueprint.components {
            let kinds: BTreeSet<usize> = holders(name).iter().map(|(kind, _)| *kind).collect();
            for users in component.users.iter().filter(|_| !kinds.is_empty()) {
                let end = EndPoint { name: users.name.clone(), at: Some(users.at) };
                let ways: Vec<Flow> = kinds
                    .iter()
                    .map(|kind| Flow {
                        from: name.clone(),
                        from_region: self.region(*kind).name,
                        to: FlowTarget::Users(users.name.clone()),
                        replicas: 1,
                        gib: users.traffic_gib,
                        tariff: self.tariff(*kind).as_ref().map(TrafficTariff::text),
                        round_trip_us: self
                            .blueprint
                            .assumptions
                            .latency
                            .round_trip_us(&self.region(*kind), &end),
                    })
                    .collect();
                all = product(all, &ways);
            }
        }
        all
    }

    fn consider(&mut self, chosen: &[usize], flows: Vec<Flow>) {
        let mut leases: Vec<Lease> = chosen.iter().map(|&kind| self.kinds[kind].1.clone()).collect();
        self.find_partners(&mut leases);
        let offers: Vec<OfferIx> = chosen.iter().map(|&kind| self.kinds[kind].0).collect();
        let Some(traffic) = self.traffic(chosen, &flows) else { return };
        let providers: BTreeSet<_> = leases.iter().map(|lease| lease.place.provider.clone()).collect();
        let fees: Vec<FeeLine> = providers
            .into_iter()
            .map(|provider| {
                let fee = self.blueprint.provider_fees.of(&provider);
                FeeLine { provider, monthly: fee.monthly, once: fee.once }
            })
            .filter(|fee| !(fee.monthly + fee.once).is_zero())
            .collect();
        let moves = self.moves(&leases);
        let Some(measures) = self.measures(&offers, &leases, &flows, &traffic, (&fees, &moves)) else {
            return;
        };
        let of = |measure: &Measure| measures[measure];
        // Cost breaks the last tie.
        let (first, mut then): (Decimal, Vec<Measure>) = match &self.blueprint.objective {
            Objective::InTurn(all) => (of(&all[0]), all[1..].to_vec()),
            Objective::Weighted(weights) => {
                (weights.iter().map(|(measure, weight)| of(measure) * weight).sum(), Vec::new())
            }
        };
        if !self.blueprint.objective.measures().contains(&Measure::Cost) {
            then.push(Measure::Cost);
        }
        let mut value: Vec<Decimal> = [first].into_iter().chain(then.iter().map(of)).collect();
        if self.front.is_some() {
            value.truncate(2);
        }
        let is_known = match &self.front {
            Some(front) => front.iter().any(|point| is_beaten(&value, point)),
            None => self.best.as_ref().is_some_and(|best| *best <= value),
        };
        if is_known {
            return;
        }
        let lines = || leases.iter().flat_map(|lease| &lease.lines);
        let mut plan = Plan::new(self.blueprint, self.catalogue.digest());
        plan.blueprint_digest = self.digest.clone();
        plan.monthly = lines().map(|line| line.monthly).sum::<Decimal>()
            + traffic.iter().map(|line| line.monthly).sum::<Decimal>()
            + fees.iter().map(|fee| fee.monthly).sum::<Decimal>();
        plan.once = lines().map(|line| line.once).sum::<Decimal>()
            + fees.iter().map(|fee| fee.once).sum::<Decimal>()
            + moves.iter().map(|line| line.once).sum::<Decimal>();
        plan.measures =
            Measures(measures.iter().map(|(measure, value)| (*measure, Amount(*value))).collect());
        plan.objective = value[0];
        plan.bound = value[0];
        let stage = |measure: &Measure| Stage { measure: *measure, value: of(measure), bound: of(measure) };
        plan.later_stages = then.iter().map(stage).collect();
        plan.stop = StopReason::Optimal;
        plan.leases = leases;
        plan.flows = flows;
        plan.traffic = traffic;
        plan.fees = fees;
        plan.moves = moves;
        if verify(self.catalogue, self.blueprint, &plan).is_ok() {
            if let Some(front) = &mut self.front {
                front.retain(|point| !is_beaten(point, &value));
                front.push(value.clone());
            }
            self.best = Some(value);
        }
    }

    /// Gives each lease the leases with which it is made, if there are such.
    fn find_partners(&self, leases: &mut [Lease]) {
        for (name, component) in &self.blueprint.components {
            for (relation, other) in component.relations() {
                let holds = |at: &usize, name: &ComponentId| leases[*at].replicas.contains_key(name);
                let of_name = |name: &ComponentId| (0..leases.len()).filter(|at| holds(at, name)).collect();
                let (these, those): (Vec<usize>, Vec<usize>) = (of_name(name), of_name(other));
                let place = |at: usize| &leases[at].place;
                let is_near = |one: usize, to: usize| {
                    (&place(one).provider, &place(one).region) == (&place(to).provider, &place(to).region)
                };
                let near = |one: usize| those.iter().copied().filter(move |to| is_near(one, *to));
                let found: Vec<Vec<usize>> = match relation {
                    Relation::Targets => these.iter().map(|one| near(*one).collect()).collect(),
                    Relation::Network | Relation::NodesOf => {
                        these.iter().map(|one| near(*one).take(1).collect()).collect()
                    }
                    Relation::Attach => {
                        // Every way to give each a machine; one is right.
                        let mut ways: Vec<Vec<usize>> = vec![Vec::new()];
                        for _ in &these {
                            let with = |way: &Vec<usize>, to: &usize| {
                                way.iter().chain([to]).copied().collect::<Vec<_>>()
                            };
                            ways = ways
                                .iter()
                                .flat_map(|way| those.iter().map(move |to| with(way, to)))
                                .collect();
                        }
                        let is_right = |way: &&Vec<usize>| {
                            let is_in = |(one, to): (&usize, &usize)| {
                                let zone = &place(*one).zone;
                                is_near(*one, *to) && (zone.is_none() || *zone == place(*to).zone)
                            };
                            let has_room = |to: &usize| {
                                let room = leases[*to].replicas[other] as usize;
                                way.iter().filter(|it| *it == to).count() <= room
                            };
                            these.iter().zip(way.iter()).all(is_in) && way.iter().all(has_room)
                        };
                        let way = ways.iter().find(is_right).cloned().unwrap_or_default();
                        way.into_iter().map(|to| vec![to]).collect()
                    }
                };
                for (at, with) in these.into_iter().zip(found) {
                    let with = with.into_iter().map(|at| u32::try_from(at).expect("few")).collect();
                    leases[at].partners.insert(relation.word().to_owned(), with);
                }
            }
        }
    }

    /// Of each component the fewer of those that run and those that will, less those that stay.
    fn moves(&self, leases: &[Lease]) -> Vec<MoveLine> {
        let running = &self.blueprint.running;
        let mut lines = Vec::new();
        for component in self.blueprint.components.keys() {
            let count = |replicas: &indexmap::IndexMap<ComponentId, u32>| {
                replicas.get(component).copied().unwrap_or(0)
            };
            let now: u32 = running.services.iter().map(|service| count(&service.replicas)).sum();
            let then: u32 = leases.iter().map(|lease| count(&lease.replicas)).sum();
            let mut stay = 0;
            for lease in leases {
                for service in running.services.iter().filter(|s| lease.keeps.as_ref() == Some(&s.id)) {
                    stay += count(&service.replicas).min(count(&lease.replicas));
                }
            }
            let replicas = now.min(then).saturating_sub(stay);
            if replicas > 0 {
                let once = running.cost_of(component) * Decimal::from(replicas);
                lines.push(MoveLine { component: component.clone(), replicas, once });
            }
        }
        lines
    }

    fn traffic(&self, chosen: &[usize], flows: &[Flow]) -> Option<Vec<TrafficLine>> {
        let mut lines: BTreeMap<(String, String), (u64, TrafficTariff, TrafficLine)> = BTreeMap::new();
        for flow in flows.iter().filter(|flow| flow.gib > 0) {
            let text = flow.tariff.clone()?;
            let kind = chosen.iter().copied().find(|kind| {
                self.region(*kind).name == flow.from_region
                    && self.tariff(*kind).is_some_and(|tariff| tariff.text() == text)
            })?;
            let provider = self.kinds[kind].1.place.provider.clone();
            let line = TrafficLine {
                provider: provider.clone(),
                tariff: text.clone(),
                gib: 0,
                monthly: Decimal::ZERO,
            };
            let entry = lines.entry((provider.to_string(), text)).or_insert((0, self.tariff(kind)?, line));
            entry.0 += flow.gib;
        }
        let line = |(gib, tariff, line): (u64, TrafficTariff, TrafficLine)| TrafficLine {
            gib,
            monthly: from_micros(tariff.month(gib).expect("money")),
            ..line
        };
        Some(lines.into_values().map(line).collect())
    }

    /// Of the measures that the blueprint looks at, and the cost; `None` if one has no value.
    fn measures(
        &self,
        offers: &[OfferIx],
        leases: &[Lease],
        flows: &[Flow],
        traffic: &[TrafficLine],
        (fees, moves): (&[FeeLine], &[MoveLine]),
    ) -> Option<BTreeMap<Measure, Decimal>> {
        let months = Decimal::from(self.blueprint.horizon_months);
        let mut wanted = self.blueprint.measures();
        wanted.push(Measure::Cost);
        let mut measures = BTreeMap::new();
        for measure in wanted {
            let value = match measure {
                Measure::Cost => {
                    let lines: Decimal =
                        leases.iter().flat_map(|lease| &lease.lines).map(|line| line.total).sum();
                    let traffic: Decimal = traffic.iter().map(|line| line.monthly).sum();
                    let fees: Decimal = fees.iter().map(|fee| fee.monthly * months + fee.once).sum();
                    let moves: Decimal = moves.iter().map(|line| line.once).sum();
                    (lines + fees + moves) / months + traffic
                }
                Measure::Carbon => {
                    let model = self.blueprint.assumptions.carbon.as_ref()?;
                    let mg = leases.iter().zip(offers).map(|(lease, ix)| {
                        model.month_mg(lease.place.country, self.catalogue.capacity(*ix), 0)
                    });
                    Decimal::new(mg.sum::<Option<i64>>()?, 6)
                }
                Measure::Sovereignty => leases
                    .iter()
                    .zip(offers)
                    .map(|(lease, ix)| {
                        let seller = self.catalogue.seller(*ix);
                        let score =
                            SovereigntyReport::new(seller, &lease.place, self.catalogue.day()).score();
                        Decimal::new(10_000 - i64::from(score), 2)
                            * Decimal::from(lease.replicas.values().sum::<u32>())
                    })
                    .sum(),
                Measure::Latency => {
                    let mut sum = Decimal::ZERO;
                    for flow in flows {
                        let traffic = match &flow.to {
                            FlowTarget::Link { link, .. } => self.blueprint.links[*link].traffic_gib,
                            FlowTarget::Users(_) => flow.gib,
                        };
                        sum += Decimal::new(flow.round_trip_us?.into(), 3) * Decimal::from(traffic.max(1));
                    }
                    sum
                }
                Measure::WorstLatency => {
                    let trips: Option<Vec<u32>> = flows.iter().map(|flow| flow.round_trip_us).collect();
                    Decimal::new(trips?.into_iter().max().unwrap_or(0).into(), 3)
                }
                Measure::Providers => Decimal::from(
                    leases.iter().map(|lease| &lease.place.provider).collect::<BTreeSet<_>>().len(),
                ),
            };
            measures.insert(measure, value);
        }
        Some(measures)
    }
}

fn product(all: Vec<Vec<Flow>>, ways: &[Flow]) -> Vec<Vec<Flow>> {
    let with = |flows: &Vec<Flow>, way: &Flow| flows.iter().chain([way]).cloned().collect::<Vec<_>>();
    all.iter().flat_map(|flows| ways.iter().map(move |way| with(flows, way))).collect()
}
