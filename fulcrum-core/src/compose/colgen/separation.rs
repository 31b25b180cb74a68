//! Where a relaxation breaks conditions that its scope left out, and where to look for plans.
#![expect(
    clippy::float_arithmetic,
    reason = "a guess at what to look into next; whole plans are checked in integers, by the verifier"
)]

use std::collections::{BTreeMap, BTreeSet};

use super::master::{Relaxation, Solved};
use crate::{
    compose::{
        formulation::{ids::CompId, place_classes::Cut},
        id_vec::Id,
        mip::model::Program,
        presolve::columns::{Column, Reduced},
    },
    model::{ComponentId, Constraint, Measure, Over},
};

/// Places that come into scope at a time.
const MAX_ENTERING: usize = 40;

/// Replicas by component and place, as the relaxation has them.
type Replicas = BTreeMap<(CompId, Cut, usize), f64>;

const EPSILON: f64 = 1e-6;

impl Relaxation<'_> {
    /// How many leases of each column the relaxation uses; those that it uses at all.
    pub(crate) fn values<'s>(&'s self, solved: &'s Solved) -> impl Iterator<Item = (&'s Column, f64)> {
        let columns = self.reduced.columns.iter().zip(solved.program.leases.iter());
        columns
            .map(|((_, column), (_, var))| (column, solved.simplex.value(*var)))
            .filter(|(_, value)| *value > EPSILON)
    }

    /// The places, not yet in scope, whose conditions the relaxation breaks or does not pay for.
    pub(crate) fn broken_by_relaxation(&self, solved: &Solved) -> BTreeSet<(Cut, usize)> {
        self.broken(self.values(solved))
    }

    /// The same for a solution of a program in the scope.
    pub(crate) fn broken_by(
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
        let used_providers = || places_at(&replicas, Cut::Over(Over::Provider));
        let fees = &self.problem.blueprint.provider_fees;
        if !fees.is_none() || self.problem.aim.knows(Measure::Providers) {
            broken.extend(used_providers().into_iter().map(|place| (Cut::Over(Over::Provider), place)));
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
        let mut add = |names: &[ComponentId], over: Over, is_broken: &dyn Fn(f64, f64) -> bool| {
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
            Constraint::Survive(survive) => {
                let remaining = f64::from(survive.remaining);
                add(&survive.components, survive.loss_of, &|n, all| all - n < remaining - EPSILON);
            }
            Constraint::Distinct(distinct) => {
                let cut = Cut::Over(distinct.over);
                broken.extend(places_at(replicas, cut).into_iter().map(|place| (cut, place)));
            }
            Constraint::Count(_)
            | Constraint::Serves(_)
            | Constraint::Linear(_)
            | Constraint::OneOf(_)
            | Constraint::Conflict(_)
            | Constraint::Colocate(_)
            | Constraint::Everywhere(_)
            | Constraint::Limit(_) => {}
        }
    }

    /// Senders outside the scope pay nothing and are near to everybody.
    fn broken_links(&self, replicas: &Replicas, broken: &mut BTreeSet<(Cut, usize)>) {
        let region = Cut::Over(Over::Region);
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
