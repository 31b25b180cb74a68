//! What a machine carries best at given prices of replicas: a small knapsack with conflicts.
//!
//! The replicas that are worth most, after their worth the machine's cost is subtracted. Branch and bound with the
//! fractional relaxation of each dimension (S. Martello, P. Toth, *Knapsack Problems*, Wiley 1990, §2.2) as bound; all
//! in whole numbers.

use super::duals::Prices;
use crate::{
    compose::{
        formulation::{ids::CompId, problem::Problem},
        id_vec::{Id, IdVec},
        objective::Cost,
        presolve::{columns::Column, pattern_rules::Rules},
    },
    model::OfferKind,
};

/// Nodes for one machine; beyond them only the bound is known.
const MAX_NODES: u32 = 4_000;

/// Components that go together, and what they are worth.
#[derive(Debug)]
pub(crate) struct Item {
    members: Vec<CompId>,
    worth: i64,
    /// Along the problem's dimensions.
    demand: Vec<u64>,
    disk_gib: u64,
    most: u32,
}

/// Which components may be carried.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted<'a> {
    /// What is worth carrying, and what must be carried whatever it is worth.
    Worthy,
    /// All.
    All,
    /// These.
    Only(&'a [CompId]),
}

/// Components that go together as one.
pub(crate) fn items(
    problem: &Problem<'_>,
    rules: &Rules,
    worth: &IdVec<CompId, i64>,
    wanted: Wanted<'_>,
) -> Vec<Item> {
    let mut is_done: IdVec<CompId, bool> = problem.components.ids().map(|_| false).collect();
    let mut items = Vec::new();
    for component in problem.components.ids() {
        if is_done[component] || problem.components[component].kind != OfferKind::Machine {
            continue;
        }
        let mut members = vec![component];
        // All that goes together, and what goes together with that.
        let mut at = 0;
        while at < members.len() {
            let one = members[at];
            for group in rules.together.iter().filter(|group| group.contains(&one)) {
                let more: Vec<CompId> =
                    group.iter().copied().filter(|other| !members.contains(other)).collect();
                members.extend(more);
            }
            at += 1;
        }
        members.iter().for_each(|member| is_done[*member] = true);
        let total: i64 = members.iter().fold(0i64, |sum, member| sum.saturating_add(worth[*member]));
        let is_forced = rules.everywhere.iter().any(|(component, unless)| {
            members.contains(component) || unless.iter().any(|other| members.contains(other))
        });
        let is_wanted = match wanted {
            Wanted::Worthy => total > 0 || is_forced,
            Wanted::All => true,
            Wanted::Only(these) => members.iter().all(|member| these.contains(member)),
        };
        let clash =
            members.iter().any(|one| members.iter().any(|two| one != two && rules.conflict(*one, *two)));
        if !is_wanted || clash {
            continue;
        }
        let sum = |of: &dyn Fn(CompId) -> u64| members.iter().map(|member| of(*member)).sum();
        items.push(Item {
            worth: total,
            demand: (0..problem.dimensions.len())
                .map(|d| sum(&|member| problem.components[member].demand[d]))
                .collect(),
            disk_gib: sum(&|member| problem.components[member].disk_gib),
            most: members
                .iter()
                .map(|member| problem.components[*member].per_machine.min(problem.components[*member].max))
                .min()
                .unwrap_or(0),
            members,
        });
    }
    items
}

/// The column of a machine that carries some replicas.
pub(crate) fn column(problem: &Problem<'_>, at: usize, mut members: Vec<(CompId, u32)>) -> Option<Column> {
    let candidate = &problem.candidates[at];
    members.sort_unstable();
    let disk: u64 = members
        .iter()
        .map(|(component, count)| problem.components[*component].disk_gib * u64::from(*count))
        .sum();
    let (cost, size_gib) = problem.machine_cost(candidate, disk)?;
    Column::new(problem, candidate, members, cost, size_gib)
}

/// One machine after the other, and what it carries best.
pub(crate) struct Knapsack<'a> {
    problem: &'a Problem<'a>,
    rules: &'a Rules,
    prices: &'a Prices,
    items: &'a [Item],
    at: usize,
    room: Vec<u64>,
    disk: Option<u64>,
    /// What each GiB of disk costs at least, and the machine less the disk that it includes at that price: the cost
    /// is no lower than that plus the price of all disk that is needed.
    gib_cost: i64,
    included: i64,
    /// Items that this machine may carry, best for their size first.
    order: Vec<usize>,
    /// What one unit of each dimension counts, and what each item counts then.
    unit: Vec<i128>,
    shares: Vec<i128>,
    /// Worth of each item on this machine, and that less the disk that it needs.
    worth: Vec<i64>,
    net: Vec<i64>,
    nodes: u32,
    chosen: Vec<(usize, u32)>,
    best: Option<Pattern>,
    /// All that were found, where all are wanted.
    all: Option<Vec<Pattern>>,
}

/// What it counts less what it carries is worth, and the column.
pub(crate) type Pattern = (i64, Column);

impl<'a> Knapsack<'a> {
    pub(crate) fn new(
        problem: &'a Problem<'a>,
        rules: &'a Rules,
        prices: &'a Prices,
        items: &'a [Item],
    ) -> Self {
        Self {
            problem,
            rules,
            prices,
            items,
            at: 0,
            room: Vec::new(),
            disk: None,
            gib_cost: 0,
            included: 0,
            order: Vec::new(),
            unit: Vec::new(),
            shares: Vec::new(),
            worth: Vec::new(),
            net: Vec::new(),
            nodes: 0,
            chosen: Vec::new(),
            best: None,
            all: None,
        }
    }

    /// Takes up a machine; returns the most that it could carry, or what shows that it stays above the cutoff.
    pub(crate) fn enter(&mut self, at: usize, cost: Cost, cutoff: i64) -> i64 {
        let problem = self.problem;
        let candidate = &problem.candidates[at];
        self.at = at;
        self.room.clear();
        self.room.extend_from_slice(problem.size(candidate));
        let can_buy_disk = problem.catalogue.elastic_disk(candidate.offer).is_some();
        self.disk = (!can_buy_disk).then(|| problem.disk_gib(candidate));
        self.gib_cost = self.prices.gib(problem, candidate);
        self.included =
            self.gib_cost.saturating_mul(i64::try_from(problem.disk_gib(candidate)).unwrap_or(i64::MAX));
        let fits = |item: &Item| {
            item.members.iter().all(|member| problem.may_carry(candidate, *member))
                && item.demand.iter().zip(&self.room).all(|(demand, room)| demand <= room)
                && self.disk.is_none_or(|disk| item.disk_gib <= disk)
        };
        let carried: Vec<usize> = (0..self.items.len()).filter(|item| fits(&self.items[*item])).collect();
        self.worth.clear();
        self.net.clear();
        for item in self.items {
            let more = item.members.iter().map(|member| self.prices.more(problem, candidate, *member));
            let worth = more.fold(item.worth, i64::saturating_add);
            let disk = self.gib_cost.saturating_mul(i64::try_from(item.disk_gib).unwrap_or(i64::MAX));
            self.worth.push(worth);
            self.net.push(worth.saturating_sub(disk));
        }
        let dimensions = self.room.len();
        let mut best: Option<(i64, Vec<i128>)> = None;
        // All dimensions alike; then one alone, or with weight.
        let even = vec![1i128; dimensions];
        let one = (0..dimensions).flat_map(|d| {
            [0, 1, 3].map(|others| (0..dimensions).map(|at| if at == d { 8 } else { others }).collect())
        });
        for weights in [even].into_iter().chain(one) {
            let bound = self.weigh(&carried, &weights).saturating_add(self.included);
            if best.as_ref().is_none_or(|(least, _)| bound < *least) {
                best = Some((bound, weights));
            }
            if best.as_ref().is_some_and(|(least, _)| cost.saturating_sub(*least) >= cutoff) {
                break; // enough to leave this machine alone
            }
        }
        let Some((bound, weights)) = best else { return 0 };
        self.weigh(&carried, &weights);
        bound
    }

    /// Orders items by what they are worth for their size, which is the weighted sum of their shares of the
    /// machine's dimensions; returns the most that the machine can carry by this measure.
    fn weigh(&mut self, carried: &[usize], weights: &[i128]) -> i64 {
        let full = self.problem.size(&self.problem.candidates[self.at]);
        self.unit.clear();
        self.unit
            .extend(full.iter().zip(weights).map(|(all, weight)| weight * SHARE / i128::from((*all).max(1))));
        self.shares.clear();
        for item in self.items {
            self.shares.push(
                item.demand.iter().zip(&self.unit).map(|(demand, unit)| i128::from(*demand) * unit).sum(),
            );
        }
        self.order.clear();
        self.order.extend_from_slice(carried);
        let (net, shares) = (&self.net, &self.shares);
        // Compared crosswise, so that the order is exact.
        self.order.sort_unstable_by(|&a, &b| {
            let (left, right) = (i128::from(net[a]) * shares[b], i128::from(net[b]) * shares[a]);
            right.cmp(&left).then(a.cmp(&b))
        });
        self.bound(0)
    }

    /// The most that items from a position on can add to what is chosen: the fractional relaxation of the weighted
    /// sum over all dimensions. Any weights give a valid bound.
    fn bound(&self, from: usize) -> i64 {
        let mut room: i128 =
            self.room.iter().zip(&self.unit).map(|(left, unit)| i128::from(*left) * unit).sum();
        let mut sum = 0i64;
        for &at in &self.order[from..] {
            let (worth, size) = (self.net[at], self.shares[at]);
            if worth <= 0 {
                break;
            }
            for _ in 0..self.items[at].most {
                if size > room {
                    let part = i128::from(worth) * room / size + 1;
                    return sum.saturating_add(i64::try_from(part).unwrap_or(i64::MAX));
                }
                room -= size;
                sum = sum.saturating_add(worth);
            }
        }
        sum
    }

    /// Nodes that the last machine took.
    pub(crate) fn nodes(&self) -> usize {
        self.nodes as usize
    }

    /// The best choice below a cutoff, and whether it is proven.
    pub(crate) fn solve(&mut self, cost: Cost, cutoff: i64) -> (Option<Pattern>, bool) {
        self.nodes = 0;
        self.chosen.clear();
        self.best = None;
        self.descend(0, 0, 0, cost, cutoff);
        (self.best.take(), self.nodes < MAX_NODES)
    }

    /// All choices at or below a limit; `None` if they were not found in time.
    pub(crate) fn all(&mut self, cost: Cost, limit: i64) -> Option<Vec<Pattern>> {
        self.nodes = 0;
        self.chosen.clear();
        self.best = None;
        self.all = Some(Vec::new());
        self.descend(0, 0, 0, cost, limit.saturating_add(1));
        let all = self.all.take();
        if self.nodes < MAX_NODES { all } else { None }
    }

    fn descend(&mut self, position: usize, worth: i64, disk: u64, cost: Cost, cutoff: i64) {
        self.nodes += 1;
        if self.nodes >= MAX_NODES {
            return;
        }
        let best = self.best.as_ref().map_or(cutoff, |(best, _)| *best);
        let disk_cost = self
            .gib_cost
            .saturating_mul(i64::try_from(disk).unwrap_or(i64::MAX))
            .saturating_sub(self.included);
        let least = cost.saturating_sub(worth).saturating_add(disk_cost).saturating_sub(self.bound(position));
        if least >= best {
            return;
        }
        if position == self.order.len() {
            self.record(best);
            return;
        }
        let item = &self.items[self.order[position]];
        let is_free = self.chosen.iter().all(|(other, _)| {
            let others = &self.items[*other].members;
            item.members.iter().all(|one| others.iter().all(|two| !self.rules.conflict(*one, *two)))
        });
        let mut most = if is_free { item.most } else { 0 };
        for (demand, room) in item.demand.iter().zip(&self.room) {
            if let Some(times) = room.checked_div(*demand) {
                most = most.min(u32::try_from(times).unwrap_or(u32::MAX));
            }
        }
        if let (Some(room), true) = (self.disk, item.disk_gib > 0) {
            most = most.min(u32::try_from((room - disk) / item.disk_gib).unwrap_or(u32::MAX));
        }
        for count in (0..=most).rev() {
            let times = u64::from(count);
            for (room, demand) in self.room.iter_mut().zip(&item.demand) {
                *room -= demand * times;
            }
            if count > 0 {
                self.chosen.push((self.order[position], count));
            }
            let more = self.worth[self.order[position]].saturating_mul(count.into());
            self.descend(
                position + 1,
                worth.saturating_add(more),
                disk + item.disk_gib * times,
                cost,
                cutoff,
            );
            if count > 0 {
                self.chosen.pop();
            }
            for (room, demand) in self.room.iter_mut().zip(&item.demand) {
                *room += demand * times;
            }
        }
    }

    fn record(&mut self, best: i64) {
        let mut members: Vec<(CompId, u32)> = self
            .chosen
            .iter()
            .flat_map(|(item, count)| self.items[*item].members.iter().map(move |member| (*member, *count)))
            .collect();
        members.sort_unstable_by_key(|(member, _)| member.index());
        if members.is_empty() || !self.rules.is_complete(&members) {
            return;
        }
        let Some(column) = column(self.problem, self.at, members) else { return };
        let carried = self.chosen.iter().fold(0i64, |sum, (item, count)| {
            sum.saturating_add(self.items[*item].worth.saturating_mul((*count).into()))
        });
        let reduced = self.prices.of(self.problem, &column).saturating_sub(carried);
        if reduced >= best {
            return;
        }
        match &mut self.all {
            Some(all) => all.push((reduced, column)),
            None => self.best = Some((reduced, column)),
        }
    }
}

const SHARE: i128 = 1 << 50;
