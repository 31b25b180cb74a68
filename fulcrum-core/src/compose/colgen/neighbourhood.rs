//! Neighbourhoods: the places and leases in which a better plan is sought.
#![expect(
    clippy::float_arithmetic,
    reason = "a guess at what to look into next; whole plans are checked in integers, by the verifier"
)]

use std::collections::{BTreeMap, BTreeSet};

use super::master::{MasterSolution, RestrictedMaster};
use crate::compose::{
    formulation::{
        ids::{ClassId, ComponentIx},
        place_classes::PartitionKey,
    },
    heuristics::splitmix::splitmix64,
    id_vec::Id,
    presolve::columns::Column,
};

/// Place classes of a neighbourhood, and rows that its program may have.
const MAX_NEIGHBOURHOOD_CLASSES: usize = 14;
const MAX_NEIGHBOURHOOD_ROWS: usize = 500;
/// Leases that a dive frees: more with each dive that found nothing.
const MIN_FREED_LEASES: i64 = 16;
const MIN_FREED_PERCENT: i64 = 15;
const MORE_FREED_PERCENT: i64 = 7;
const MAX_FREED_PERCENT: i64 = 50;

impl RestrictedMaster<'_> {
    /// The place classes that the master uses, those with the largest cost first; then others in scope, in an order
    /// that depends on the round.
    fn rank_classes(&self, solution: &MasterSolution, round: u64) -> Vec<ClassId> {
        let mut cost: BTreeMap<ClassId, f64> = BTreeMap::new();
        for (column, leases) in self.values(solution) {
            *cost.entry(column.class).or_default() += leases * column.cost as f64;
        }
        let mut ranked: Vec<(u64, u64, ClassId)> = cost
            .into_iter()
            .map(|(class, cost)| {
                let chance = splitmix64(round, class.index() as u64);
                // The first round keeps this order; later ones leave some of the classes out.
                if round == 0 { (0, u64::MAX - cost as u64, class) } else { (chance % 4 / 3, chance, class) }
            })
            .collect();
        let known: BTreeSet<ClassId> = ranked.iter().map(|(.., class)| *class).collect();
        for class in (0..self.problem.places.classes()).map(Id::from_index) {
            if !known.contains(&class) && self.places_of(class).any(|place| self.scope.contains(&place)) {
                let chance = splitmix64(round, class.index() as u64);
                ranked.push((1 + chance % 6 / 5, chance, class));
            }
        }
        ranked.sort_unstable();
        ranked.into_iter().map(|(.., class)| class).collect()
    }

    /// Places in which to look for a plan, as many as make a program that is solved quickly. The same round gives the
    /// same places.
    pub(crate) fn neighbourhood(
        &self,
        solution: &MasterSolution,
        round: u64,
    ) -> BTreeSet<(PartitionKey, usize)> {
        let blueprint = self.problem.blueprint;
        let named: usize = blueprint.constraints.iter().map(|constraint| constraint.components().len()).sum();
        let users: usize = blueprint.components.values().map(|component| component.users.len()).sum();
        let rows = 1 + named + 3 * blueprint.links.len() + 2 * users;
        let classes = (MAX_NEIGHBOURHOOD_ROWS / rows).clamp(4, MAX_NEIGHBOURHOOD_CLASSES);
        let ranked = self.rank_classes(solution, round).into_iter().take(classes);
        ranked
            .chain(self.index.special_classes.iter().copied())
            .flat_map(|class| self.places_of(class))
            .collect()
    }

    /// Chooses leases of a plan to free, with a preference for high reduced costs, and the places where their replicas
    /// may go.
    pub(crate) fn around_leases(
        &self,
        solution: &MasterSolution,
        leases: &[(Column, i64)],
        round: u64,
    ) -> Neighbourhood {
        let reduced_costs: Vec<i64> =
            leases.iter().map(|(column, _)| self.reduced_cost(solution, column).max(0)).collect();
        let mut order: Vec<(u64, usize)> = (0..leases.len())
            .map(|at| {
                // A weighted draw: the least of random numbers divided by the reduced costs.
                let draw = splitmix64(round, at as u64) >> 24;
                let odds = 1 + reduced_costs[at].unsigned_abs() / 1_000_000;
                (draw / odds, at)
            })
            .collect();
        order.sort_unstable();
        let count = 2 + (round % 5) as usize;
        let freed: BTreeSet<usize> = order.into_iter().take(count).map(|(_, at)| at).collect();
        let mut components: Vec<ComponentIx> = freed
            .iter()
            .flat_map(|at| leases[*at].0.members.iter().map(|(component, _)| *component))
            .collect();
        components.sort_unstable();
        components.dedup();
        let own: BTreeSet<ClassId> = leases.iter().map(|(column, _)| column.class).collect();
        let others =
            self.rank_classes(solution, round).into_iter().filter(|class| !own.contains(class)).take(8);
        let classes: Vec<ClassId> = own.iter().copied().chain(others).collect();
        let limit = freed.iter().fold(0i64, |sum, at| sum.saturating_add(reduced_costs[*at]));
        Neighbourhood { freed, components, classes, limit }
    }

    /// Chooses a fifth to two thirds of the leases of a plan to free, of each column so many: dear ones, those of some places, or those of
    /// components that are linked.
    pub(crate) fn leases_to_free(
        &self,
        solution: &MasterSolution,
        leases: &[(Column, i64)],
        (stream, failures): (u64, u32),
    ) -> Vec<i64> {
        let all: i64 = leases.iter().map(|(_, count)| *count).sum();
        let percent = (MIN_FREED_PERCENT + MORE_FREED_PERCENT * i64::from(failures)).min(MAX_FREED_PERCENT);
        let wanted = (all * percent / 100).max(MIN_FREED_LEASES);
        let chance = |at: usize| splitmix64(stream, at as u64) >> 24;
        let mut order: Vec<(u64, usize)> = match stream % 3 {
            0 => leases
                .iter()
                .enumerate()
                .map(|(at, (column, _))| {
                    let odds = 1 + self.reduced_cost(solution, column).max(0).unsigned_abs() / 1_000_000;
                    (chance(at) / odds, at)
                })
                .collect(),
            1 => {
                let by_class = |at: usize| chance(leases[at].0.class.index());
                (0..leases.len()).map(|at| (by_class(at), at)).collect()
            }
            _ => {
                let distance = self.distances(ComponentIx::from_index(
                    splitmix64(stream, 0) as usize % self.problem.components.len().max(1),
                ));
                let near = |column: &Column| column.members.iter().map(|(it, _)| distance[it.index()]).min();
                let near = |at: usize| near(&leases[at].0).unwrap_or(u64::MAX >> 40);
                (0..leases.len()).map(|at| ((near(at) << 40) | (chance(at) & ((1 << 40) - 1)), at)).collect()
            }
        };
        order.sort_unstable();
        let mut freed = vec![0; leases.len()];
        let mut left = wanted;
        for (_, at) in order {
            let count = leases[at].1.min(left);
            freed[at] = count;
            left -= count;
        }
        freed
    }

    /// Links between a component and each other one.
    fn distances(&self, from: ComponentIx) -> Vec<u64> {
        let far = 1 << 16;
        let mut distance = vec![far; self.problem.components.len()];
        distance[from.index()] = 0;
        let links: Vec<_> = self.problem.blueprint.links.iter().collect();
        for _ in 0..distance.len() {
            let before = distance.clone();
            for link in &links {
                let (one, two) =
                    (self.problem.component(&link.from).index(), self.problem.component(&link.to).index());
                distance[one] = distance[one].min(distance[two] + 1);
                distance[two] = distance[two].min(distance[one] + 1);
            }
            if distance == before {
                break;
            }
        }
        distance
    }
}

/// A part of a plan that is solved again.
pub(crate) struct Neighbourhood {
    /// Positions of the leases that are freed.
    pub(crate) freed: BTreeSet<usize>,
    /// The components on them.
    pub(crate) components: Vec<ComponentIx>,
    /// The place classes where they may go.
    pub(crate) classes: Vec<ClassId>,
    /// The highest reduced cost of a new lease.
    pub(crate) limit: i64,
}
