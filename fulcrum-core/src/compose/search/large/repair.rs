//! Where a relaxation breaks conditions that its scope left out, and where to look for plans.
#![expect(
    clippy::float_arithmetic,
    reason = "a guess at what to look into next; whole plans are checked in integers, by the verifier"
)]

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::mixed,
    relax::{Relaxation, Solved},
};
use crate::{
    compose::{
        id_vec::Id,
        problem::{ClassId, CompId},
        program::Program,
        reduce::{Column, Reduced},
        sites::Cut,
    },
    model::{ComponentId, Constraint, FailureDomain, Measure},
};

/// Places that come into scope at a time.
const MAX_ENTERING: usize = 40;
/// Places in which a plan is sought together, and rows that their program may have.
const MAX_CLASSES: usize = 14;
const MAX_ROWS: usize = 500;

/// Replicas by component and place, as the relaxation has them.
type Replicas = BTreeMap<(CompId, Cut, usize), f64>;

const EPSILON: f64 = 1e-6;

impl Relaxation<'_> {
    /// How many leases of each column the relaxation uses; those that it uses at all.
    fn values<'s>(&'s self, solved: &'s Solved) -> impl Iterator<Item = (&'s Column, f64)> {
        let columns = self.reduced.columns.iter().zip(solved.program.leases.iter());
        columns
            .map(|((_, column), (_, var))| (column, solved.simplex.value(*var)))
            .filter(|(_, value)| *value > EPSILON)
    }

    /// The places, not yet in scope, whose conditions the relaxation breaks or does not pay for.
    pub(super) fn broken_by_relaxation(&self, solved: &Solved) -> BTreeSet<(Cut, usize)> {
        self.broken(self.values(solved))
    }

    /// The same for a solution of a program in the scope.
    pub(super) fn broken_by(
        &self,
        reduced: &Reduced,
        program: &Program,
        values: &[i64],
    ) -> BTreeSet<(Cut, usize)> {
        let columns = reduced.columns.iter().map(|(id, column)| (column, values[program.leases[id].index()]));
        self.broken(columns.filter(|(_, leases)| *leases > 0).map(|(column, leases)| (column, leases as f64)))
    }

    fn broken<'c>(&self, leases: impl Iterator<Item = (&'c Column, f64)>) -> BTreeSet<(Cut, usize)> {
        let mut replicas = Replicas::new();
        for (column, leases) in leases {
            for (component, count) in &column.members {
                for (cut, place) in self.places_of(column.class) {
                    *replicas.entry((*component, cut, place)).or_default() += leases * f64::from(*count);
                }
            }
        }
        let mut broken = BTreeSet::new();
        for constraint in &self.problem.blueprint.constraints {
            self.broken_constraint(constraint, &replicas, &mut broken);
        }
        let used_providers = || places_at(&replicas, Cut::Over(FailureDomain::Provider));
        let fees = &self.problem.blueprint.provider_fees;
        if !fees.is_none() || self.problem.aim.knows(Measure::Providers) {
            broken.extend(
                used_providers().into_iter().map(|place| (Cut::Over(FailureDomain::Provider), place)),
            );
        }
        self.broken_links(&replicas, &mut broken);
        broken.into_iter().filter(|place| !self.scope.contains(place)).take(MAX_ENTERING).collect()
    }

    fn broken_constraint(
        &self,
        constraint: &Constraint,
        replicas: &Replicas,
        broken: &mut BTreeSet<(Cut, usize)>,
    ) {
        let total =
            |component: CompId, cut: Cut| -> f64 { at(replicas, component, cut).map(|(_, n)| n).sum() };
        let mut add = |names: &[ComponentId], over: FailureDomain, is_broken: &dyn Fn(f64, f64) -> bool| {
            let cut = Cut::Over(over);
            for name in names {
                let component = self.problem.component(name);
                let all = total(component, cut);
                broken.extend(
                    at(replicas, component, cut)
                        .filter(|(_, n)| is_broken(*n, all))
                        .map(|(place, _)| (cut, place)),
                );
            }
        };
        match constraint {
            Constraint::Spread(spread) => {
                if let Some(k) = spread.at_least {
                    add(&spread.components, spread.over, &|n, _| k > 1 && n > 1.0 + EPSILON);
                }
                if let Some(percent) = spread.max_percent {
                    let share = rust_decimal::prelude::ToPrimitive::to_f64(&percent).unwrap_or(100.0) / 100.0;
                    add(&spread.components, spread.over, &|n, all| n > share * all + EPSILON);
                }
            }
            Constraint::FaultTolerance(survive) => {
                let remaining = f64::from(survive.remaining);
                add(&survive.components, survive.loss_of, &|n, all| all - n < remaining - EPSILON);
            }
            Constraint::MaxDistinct(distinct) => {
                let cut = Cut::Over(distinct.over);
                broken.extend(places_at(replicas, cut).into_iter().map(|place| (cut, place)));
            }
            Constraint::Count(_)
            | Constraint::Ratio(_)
            | Constraint::Linear(_)
            | Constraint::OneOf(_)
            | Constraint::AntiAffinity(_)
            | Constraint::Affinity(_)
            | Constraint::FullDeployment(_)
            | Constraint::Limit(_) => {}
        }
    }

    /// Senders outside the scope pay nothing and are near to everybody.
    fn broken_links(&self, replicas: &Replicas, broken: &mut BTreeSet<(Cut, usize)>) {
        let region = Cut::Over(FailureDomain::Region);
        let is_timed =
            self.problem.aim.knows(Measure::Latency) || self.problem.aim.knows(Measure::WorstLatency);
        for link in &self.problem.blueprint.links {
            if link.traffic_gib == 0 && link.max_ms.is_none() && !is_timed {
                continue;
            }
            let (from, to) = (self.problem.component(&link.from), self.problem.component(&link.to));
            for (site, n) in at(replicas, from, Cut::Site) {
                let here = self.problem.sites.sites[site].region;
                let received = replicas.get(&(to, region, here)).copied().unwrap_or(0.0);
                if received < n.min(1.0) - EPSILON || link.max_ms.is_some() || is_timed {
                    broken.extend([(Cut::Site, site), (region, here)]);
                }
            }
            if link.max_ms.is_some() || is_timed {
                broken.extend(at(replicas, to, region).map(|(place, _)| (region, place)));
            }
        }
        for (name, component) in &self.problem.blueprint.components {
            if !component.users.is_empty() {
                let component = self.problem.component(name);
                broken.extend(at(replicas, component, Cut::Site).map(|(site, _)| (Cut::Site, site)));
            }
        }
    }

    /// Classes that the relaxation uses, those that carry most of its cost first; then others in scope, in an order
    /// that depends on the turn.
    fn ranked(&self, solved: &Solved, turn: u64) -> Vec<ClassId> {
        let mut cost: BTreeMap<ClassId, f64> = BTreeMap::new();
        for (column, leases) in self.values(solved) {
            *cost.entry(column.class).or_default() += leases * column.cost as f64;
        }
        let mut ranked: Vec<(u64, u64, ClassId)> = cost
            .into_iter()
            .map(|(class, cost)| {
                let chance = mixed(turn, class.index() as u64);
                // At the first turn as they are; later on some of them are left out.
                if turn == 0 { (0, u64::MAX - cost as u64, class) } else { (chance % 4 / 3, chance, class) }
            })
            .collect();
        let known: BTreeSet<ClassId> = ranked.iter().map(|(.., class)| *class).collect();
        for class in (0..self.problem.sites.classes()).map(Id::from_index) {
            if !known.contains(&class) && self.places_of(class).any(|place| self.scope.contains(&place)) {
                let chance = mixed(turn, class.index() as u64);
                ranked.push((1 + chance % 6 / 5, chance, class));
            }
        }
        ranked.sort_unstable();
        ranked.into_iter().map(|(.., class)| class).collect()
    }

    /// Places to look for a plan in, as many as make a program that is solved at once. The same turn gives the same
    /// places.
    pub(super) fn neighbourhood(&self, solved: &Solved, turn: u64) -> BTreeSet<(Cut, usize)> {
        let blueprint = self.problem.blueprint;
        let named: usize = blueprint.constraints.iter().map(|constraint| constraint.components().len()).sum();
        let users: usize = blueprint.components.values().map(|component| component.users.len()).sum();
        let rows = 1 + named + 3 * blueprint.links.len() + 2 * users;
        let classes = (MAX_ROWS / rows).clamp(4, MAX_CLASSES);
        let ranked = self.ranked(solved, turn).into_iter().take(classes);
        ranked
            .chain(self.pool.classes_apart.iter().copied())
            .flat_map(|class| self.places_of(class))
            .collect()
    }

    /// Some leases of a plan, preferably such that cost more than they are worth, and where else their load may go.
    pub(super) fn around_leases(
        &self,
        solved: &Solved,
        leases: &[(Column, i64)],
        turn: u64,
    ) -> Neighbourhood {
        let above: Vec<i64> =
            leases.iter().map(|(column, _)| self.reduced_cost(solved, column).max(0)).collect();
        let mut order: Vec<(u64, usize)> = (0..leases.len())
            .map(|at| {
                // A draw whose odds are the cost above worth: the least of draws divided by odds.
                let draw = mixed(turn, at as u64) >> 24;
                let odds = 1 + above[at].unsigned_abs() / 1_000_000;
                (draw / odds, at)
            })
            .collect();
        order.sort_unstable();
        let count = 2 + (turn % 5) as usize;
        let freed: BTreeSet<usize> = order.into_iter().take(count).map(|(_, at)| at).collect();
        let mut components: Vec<CompId> = freed
            .iter()
            .flat_map(|at| leases[*at].0.members.iter().map(|(component, _)| *component))
            .collect();
        components.sort_unstable();
        components.dedup();
        let own: BTreeSet<ClassId> = leases.iter().map(|(column, _)| column.class).collect();
        let others = self.ranked(solved, turn).into_iter().filter(|class| !own.contains(class)).take(8);
        let classes: Vec<ClassId> = own.iter().copied().chain(others).collect();
        let limit = freed.iter().fold(0i64, |sum, at| sum.saturating_add(above[*at]));
        Neighbourhood { freed, components, classes, limit }
    }
}

/// A part of a plan that is thought over again.
pub(super) struct Neighbourhood {
    /// Positions of the leases that are given up.
    pub(super) freed: BTreeSet<usize>,
    /// What was on them.
    pub(super) components: Vec<CompId>,
    /// Where it may go.
    pub(super) classes: Vec<ClassId>,
    /// How much a new lease may cost above its worth.
    pub(super) limit: i64,
}

fn at(replicas: &Replicas, component: CompId, cut: Cut) -> impl Iterator<Item = (usize, f64)> {
    replicas
        .range((component, cut, 0)..=(component, cut, usize::MAX))
        .map(|((_, _, place), n)| (*place, *n))
        .filter(|(_, n)| *n > EPSILON)
}

fn places_at(replicas: &Replicas, cut: Cut) -> BTreeSet<usize> {
    let here = replicas.iter().filter(|((_, of, _), n)| *of == cut && **n > EPSILON);
    here.map(|((_, _, place), _)| *place).collect()
}
