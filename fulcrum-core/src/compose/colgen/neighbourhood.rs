//! Where to look for plans.
#![expect(
    clippy::float_arithmetic,
    reason = "a guess at what to look into next; whole plans are checked in integers, by the verifier"
)]

use std::collections::{BTreeMap, BTreeSet};

use super::master::{Relaxation, Solved};
use crate::compose::{
    formulation::{
        ids::{ClassId, CompId},
        place_classes::Cut,
    },
    heuristics::splitmix::mixed,
    id_vec::Id,
    presolve::columns::Column,
};

/// Places in which a plan is sought together, and rows that their program may have.
const MAX_CLASSES: usize = 14;
const MAX_ROWS: usize = 500;

impl Relaxation<'_> {
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
    pub(crate) fn neighbourhood(&self, solved: &Solved, turn: u64) -> BTreeSet<(Cut, usize)> {
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
    pub(crate) fn around_leases(
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
pub(crate) struct Neighbourhood {
    /// Positions of the leases that are given up.
    pub(crate) freed: BTreeSet<usize>,
    /// What was on them.
    pub(crate) components: Vec<CompId>,
    /// Where it may go.
    pub(crate) classes: Vec<ClassId>,
    /// How much a new lease may cost above its worth.
    pub(crate) limit: i64,
}
