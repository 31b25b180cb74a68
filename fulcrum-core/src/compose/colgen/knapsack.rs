//! The pricing problem of one machine: a knapsack with anti-affinity.
//!
//! It finds the replicas with the largest total dual value, less the cost of the machine, by branch and bound in
//! integers. The fractional relaxation of a weighted sum of the dimensions gives the bound (S. Martello, P. Toth,
//! *Knapsack Problems*, Wiley 1990, §2.2).

use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::{
    duals::Duals,
    knapsack_items::Item,
    knapsack_pairs::ItemPairs,
    knapsack_table::{KnapsackTable, TableItem},
};
use crate::compose::{
    formulation::{ids::ComponentIx, problem::Problem},
    id_vec::Id,
    objective::Cost,
    presolve::{columns::Column, pattern_rules::PatternRules},
};

/// Nodes for one machine; beyond them a table answers, and nodes with the table as their bound.
const MAX_NODES: u32 = 4_000;
const MAX_TABLE_NODES: u32 = 40_000;
/// A difference, in micro-units, that is not looked into: rounded prices of disk make it.
const PRICE_ROUNDING_MICROS: i64 = 2_000;

/// The column of a machine that carries some replicas.
pub(crate) fn column(
    problem: &Problem<'_>,
    at: usize,
    mut members: Vec<(ComponentIx, u32)>,
) -> Option<Column> {
    let candidate = &problem.candidates[at];
    members.sort_unstable();
    let disk: u64 = members
        .iter()
        .map(|(component, count)| problem.components[*component].disk_gib * u64::from(*count))
        .sum();
    let (cost, size_gib) = problem.machine_cost(candidate, disk)?;
    Column::new(problem, candidate, members, cost, size_gib)
}

/// Solves the knapsack of one machine after the other.
pub(crate) struct Knapsack<'a> {
    problem: &'a Problem<'a>,
    rules: &'a PatternRules,
    duals: &'a Duals,
    items: &'a [Item],
    at: usize,
    room: Vec<u64>,
    disk: Option<u64>,
    /// A lower bound on the cost of each GiB of disk, and the value of the included disk at that price. The cost is at
    /// least the machine's less the included value, plus the price of all disk that is needed.
    gib_cost: i64,
    included: i64,
    /// Whether an item may be here, whatever the first two sizes say: a table looks at these itself.
    may_be_here: Vec<bool>,
    /// Items that fit this machine, the best value per size first.
    sorted: Vec<usize>,
    /// The same, but those of pairs that are wanted come first, so that only the first decisions guess what pairs are worth.
    order: Vec<usize>,
    /// What pairs can still be worth, by the number of decisions.
    still_wanted: Vec<i64>,
    wanted_items: Vec<usize>,
    /// The size of one unit of each dimension, and the size of each item.
    unit: Vec<i128>,
    shares: Vec<i128>,
    /// The dual value of each item on this machine, and the value less the cost of its disk.
    dual_value: Vec<i64>,
    net: Vec<i64>,
    pairs: ItemPairs,
    nodes: u32,
    chosen: Vec<(usize, u32)>,
    best: Option<Pattern>,
    /// All patterns found, if all are wanted.
    all: Option<Vec<Pattern>>,
    /// The largest room among the machines to come.
    most_room: [u64; 2],
    /// Tables for all rooms up to that one, by the values of the items.
    tables: FxHashMap<Vec<i64>, Option<Rc<KnapsackTable>>>,
    /// Tables of this machine: the value of items less the cost of their disk, and without it.
    by_table: Option<[Rc<KnapsackTable>; 2]>,
    max_nodes: u32,
    /// Machines whose best pattern is not proven.
    pub(crate) inexact: u64,
}

/// A reduced cost and its column.
pub(crate) type Pattern = (i64, Column);

impl<'a> Knapsack<'a> {
    pub(crate) fn new(
        problem: &'a Problem<'a>,
        rules: &'a PatternRules,
        duals: &'a Duals,
        items: &'a [Item],
        machines: &[usize],
    ) -> Self {
        let most = |d: usize| {
            let room = |at: &usize| problem.size(&problem.candidates[*at]).get(d).copied().unwrap_or(0);
            machines.iter().map(room).max().unwrap_or(0)
        };
        Self {
            problem,
            pairs: ItemPairs::new(duals, items),
            most_room: [most(0), most(1)],
            tables: FxHashMap::default(),
            by_table: None,
            max_nodes: MAX_NODES,
            inexact: 0,
            rules,
            duals,
            items,
            at: 0,
            room: Vec::new(),
            disk: None,
            gib_cost: 0,
            included: 0,
            may_be_here: Vec::new(),
            sorted: Vec::new(),
            order: Vec::new(),
            still_wanted: Vec::new(),
            wanted_items: Vec::new(),
            unit: Vec::new(),
            shares: Vec::new(),
            dual_value: Vec::new(),
            net: Vec::new(),
            nodes: 0,
            chosen: Vec::new(),
            best: None,
            all: None,
        }
    }

    /// Selects a machine. Returns an upper bound on the value that it can carry, or one that is enough to show that
    /// its reduced cost reaches the cutoff.
    pub(crate) fn select_machine(&mut self, at: usize, cost: Cost, cutoff: i64) -> i64 {
        let problem = self.problem;
        let candidate = &problem.candidates[at];
        self.at = at;
        self.room.clear();
        self.room.extend_from_slice(problem.size(candidate));
        let can_buy_disk = problem.catalogue.elastic_disk(candidate.offer).is_some();
        self.disk = (!can_buy_disk).then(|| problem.disk_gib(candidate));
        self.gib_cost = self.duals.gib_cost(problem, candidate);
        self.included =
            self.gib_cost.saturating_mul(i64::try_from(problem.disk_gib(candidate)).unwrap_or(i64::MAX));
        let may_be_here = |item: &Item| {
            item.members.iter().all(|member| problem.may_carry(candidate, *member))
                && item.demand.iter().zip(&self.room).skip(2).all(|(demand, room)| demand <= room)
                && self.disk.is_none_or(|disk| item.disk_gib <= disk)
        };
        self.may_be_here.clear();
        self.may_be_here.extend(self.items.iter().map(may_be_here));
        let fits = |item: &Item| item.demand.iter().zip(&self.room).all(|(demand, room)| demand <= room);
        let carried: Vec<usize> = (0..self.items.len())
            .filter(|item| self.may_be_here[*item] && fits(&self.items[*item]))
            .collect();
        self.wanted_items = self.pairs.wanted_items(&carried);
        self.still_wanted.clear();
        for decided in 0..=self.wanted_items.len() {
            let open = &self.wanted_items[decided..];
            self.still_wanted.push(self.pairs.still_wanted(open));
        }
        self.dual_value.clear();
        self.net.clear();
        for item in self.items {
            let more =
                item.members.iter().map(|member| self.duals.replica_premium(problem, candidate, *member));
            let dual_value = more.fold(item.dual_value, i64::saturating_add);
            let disk = self.gib_cost.saturating_mul(i64::try_from(item.disk_gib).unwrap_or(i64::MAX));
            self.dual_value.push(dual_value);
            self.net.push(dual_value.saturating_sub(disk));
        }
        let dimensions = self.room.len();
        let mut best: Option<(i64, Vec<i128>)> = None;
        // Equal weights first; then one dimension alone, or with a higher weight.
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
                break; // the machine cannot beat the cutoff
            }
        }
        let Some((bound, weights)) = best else { return 0 };
        self.weigh(&carried, &weights);
        bound
    }

    /// Sorts items by value per size, where the size is the weighted sum of the shares of the machine's dimensions.
    /// Returns an upper bound on the value by this size.
    fn weigh(&mut self, carried: &[usize], weights: &[i128]) -> i64 {
        let full = self.problem.size(&self.problem.candidates[self.at]);
        self.unit.clear();
        self.unit.extend(
            full.iter().zip(weights).map(|(all, weight)| weight * SHARE_UNIT / i128::from((*all).max(1))),
        );
        self.shares.clear();
        for item in self.items {
            self.shares.push(
                item.demand.iter().zip(&self.unit).map(|(demand, unit)| i128::from(*demand) * unit).sum(),
            );
        }
        self.sorted.clear();
        self.sorted.extend_from_slice(carried);
        let (net, shares) = (&self.net, &self.shares);
        // Compared crosswise, so that the order is exact.
        self.sorted.sort_unstable_by(|&a, &b| {
            let (left, right) = (i128::from(net[a]) * shares[b], i128::from(net[b]) * shares[a]);
            right.cmp(&left).then(a.cmp(&b))
        });
        self.order.clear();
        self.order.extend_from_slice(&self.wanted_items);
        self.order.extend(self.sorted.iter().filter(|item| !self.wanted_items.contains(item)));
        self.bound(0)
    }

    /// An upper bound on the value that items from a position on can add: the fractional relaxation of the weighted
    /// sum of all dimensions. Any weights give a valid bound.
    fn bound(&self, from: usize) -> i64 {
        let mut room: i128 =
            self.room.iter().zip(&self.unit).map(|(left, unit)| i128::from(*left) * unit).sum();
        let mut sum = self.still_wanted.get(from).copied().unwrap_or(0);
        let first = self.wanted_items.len();
        let decided = &self.order[..from.min(first)];
        let rest = if from >= first { &self.order[from..] } else { &self.sorted[..] };
        for &at in rest.iter().filter(|item| from >= first || !decided.contains(item)) {
            let (dual_value, size) = (self.net[at], self.shares[at]);
            if dual_value <= 0 {
                break;
            }
            for _ in 0..self.items[at].max_count {
                if size > room {
                    let part = i128::from(dual_value) * room / size + 1;
                    return sum.saturating_add(i64::try_from(part).unwrap_or(i64::MAX));
                }
                room -= size;
                sum = sum.saturating_add(dual_value);
            }
        }
        sum
    }

    /// Nodes that the last machine took.
    pub(crate) fn nodes(&self) -> usize {
        self.nodes as usize
    }

    /// The best pattern below a cutoff, and a lower bound on the reduced costs of all patterns: at the cutoff if none is below.
    pub(crate) fn solve(&mut self, cost: Cost, cutoff: i64, potential: i64) -> (Option<Pattern>, i64) {
        self.nodes = 0;
        self.chosen.clear();
        self.best = None;
        self.descend(0, 0, 0, cost, cutoff);
        if self.nodes >= MAX_NODES {
            return self.solve_by_table(cost, cutoff, potential);
        }
        let least = self.found(cutoff);
        (self.best.take(), least)
    }

    /// What branch and bound did not finish. The value of the items counts once less the cost of all disk, with what is included
    /// given back, and once without any cost of disk: both are bounds, and exact if their own items are a pattern that is worth it.
    /// Otherwise they are bounds for a longer branch and bound.
    fn solve_by_table(&mut self, cost: Cost, cutoff: i64, potential: i64) -> (Option<Pattern>, i64) {
        let room = self.two_sizes();
        let mut least = potential;
        let mut tables = Vec::new();
        for (values, more) in [(self.net.clone(), self.included), (self.dual_value.clone(), 0)] {
            let Some(table) = self.table_of(&values, room) else { continue };
            let pairs = self.still_wanted.first().copied().unwrap_or(0);
            least =
                least.max(cost.saturating_sub(table.value(room)).saturating_sub(more).saturating_sub(pairs));
            self.try_pattern(&table.packed(room), self.best.as_ref().map_or(cutoff, |(best, _)| *best));
            tables.push(table);
            if self.found(cutoff) <= least.saturating_add(PRICE_ROUNDING_MICROS) {
                break;
            }
        }
        if self.found(cutoff) > least.saturating_add(PRICE_ROUNDING_MICROS)
            && let Ok(tables) = <[Rc<KnapsackTable>; 2]>::try_from(tables)
        {
            self.by_table = Some(tables);
            (self.nodes, self.max_nodes) = (0, MAX_TABLE_NODES);
            self.descend(0, 0, 0, cost, cutoff);
            if self.nodes < self.max_nodes {
                least = self.found(cutoff);
            }
            (self.by_table, self.max_nodes) = (None, MAX_NODES);
        }
        let found = self.found(cutoff);
        self.inexact += u64::from(least.saturating_add(PRICE_ROUNDING_MICROS) < found);
        (self.best.take(), least.min(found))
    }

    /// The best reduced cost so far.
    fn found(&self, cutoff: i64) -> i64 {
        self.best.as_ref().map_or(cutoff, |(best, _)| *best)
    }

    /// The table of some values for all machines, or for this one's room if that is smaller.
    fn table_of(&mut self, values: &[i64], room: [u64; 2]) -> Option<Rc<KnapsackTable>> {
        // The same for all machines on which the same items may be.
        let value = values.iter().zip(&self.may_be_here);
        let value: Vec<i64> = value.map(|(value, may)| if *may { (*value).max(0) } else { 0 }).collect();
        if let Some(known) = self.tables.get(&value) {
            return known.clone().filter(|table| table.covers(room));
        }
        let table = self.table(self.most_room, &value).or_else(|| self.table(room, &value)).map(Rc::new);
        self.tables.insert(value, table.clone());
        table
    }

    fn table(&self, room: [u64; 2], values: &[i64]) -> Option<KnapsackTable> {
        let item = |(item, value): (&Item, &i64)| TableItem {
            value: *value,
            size: [0, 1].map(|d| item.demand.get(d).copied().unwrap_or(0)),
            max_count: item.max_count,
        };
        let items: Vec<TableItem> = self.items.iter().zip(values).map(item).collect();
        KnapsackTable::new(room, &items)
    }

    /// Records items of a table if they are a pattern: it knows neither further sizes nor who may share.
    fn try_pattern(&mut self, packed: &[(usize, u32)], best: i64) {
        let sum = |of: &dyn Fn(&Item) -> u64| {
            packed.iter().fold(0u64, |sum, (at, count)| {
                sum.saturating_add(of(&self.items[*at]).saturating_mul((*count).into()))
            })
        };
        let fits = self.room.iter().enumerate().all(|(d, room)| sum(&|item| item.demand[d]) <= *room)
            && self.disk.is_none_or(|disk| sum(&|item| item.disk_gib) <= disk);
        let members = || packed.iter().flat_map(|(at, _)| self.items[*at].members.iter().copied());
        let may_share = members().all(|one| members().all(|two| !self.rules.are_anti_affine(one, two)));
        if fits && may_share {
            self.chosen = packed.to_vec();
            self.record(best);
            self.chosen.clear();
        }
    }

    /// All patterns with a reduced cost of at most `limit`; `None` if the node limit ended the search, also with tables as bounds.
    pub(crate) fn all(&mut self, cost: Cost, limit: i64) -> Option<Vec<Pattern>> {
        let below = limit.saturating_add(1);
        let all = self.all_below(cost, below);
        if all.is_some() {
            return all;
        }
        let room = self.two_sizes();
        let values = [self.net.clone(), self.dual_value.clone()];
        let [first, second] = values.map(|values| self.table_of(&values, room));
        (self.by_table, self.max_nodes) = (Some([first?, second?]), MAX_TABLE_NODES);
        let all = self.all_below(cost, below);
        (self.by_table, self.max_nodes) = (None, MAX_NODES);
        all
    }

    fn all_below(&mut self, cost: Cost, below: i64) -> Option<Vec<Pattern>> {
        self.nodes = 0;
        self.chosen.clear();
        self.best = None;
        self.all = Some(Vec::new());
        self.descend(0, 0, 0, cost, below);
        let all = self.all.take();
        if self.nodes < self.max_nodes { all } else { None }
    }

    fn descend(&mut self, position: usize, dual_value: i64, disk: u64, cost: Cost, cutoff: i64) {
        self.nodes += 1;
        if self.nodes >= self.max_nodes {
            return;
        }
        let best = self.found(cutoff);
        let cost_so_far = cost.saturating_add(self.pairs.cost);
        let disk_cost = self
            .gib_cost
            .saturating_mul(i64::try_from(disk).unwrap_or(i64::MAX))
            .saturating_sub(self.included);
        let pairs = self.still_wanted.get(position).copied().unwrap_or(0);
        let least = cost_so_far
            .saturating_sub(dual_value)
            .saturating_add(disk_cost)
            .saturating_sub(self.bound(position));
        if least >= best || self.least_by_table(dual_value, disk, cost_so_far.saturating_sub(pairs)) >= best {
            return;
        }
        if position == self.order.len() {
            self.record(best);
            return;
        }
        let item = &self.items[self.order[position]];
        let is_free = self.chosen.iter().all(|(other, _)| {
            let others = &self.items[*other].members;
            item.members.iter().all(|one| others.iter().all(|two| !self.rules.are_anti_affine(*one, *two)))
        });
        let mut max_count = if is_free { item.max_count } else { 0 };
        for (demand, room) in item.demand.iter().zip(&self.room) {
            if let Some(times) = room.checked_div(*demand) {
                max_count = max_count.min(u32::try_from(times).unwrap_or(u32::MAX));
            }
        }
        if let (Some(room), true) = (self.disk, item.disk_gib > 0) {
            max_count = max_count.min(u32::try_from((room - disk) / item.disk_gib).unwrap_or(u32::MAX));
        }
        for count in (0..=max_count).rev() {
            let times = u64::from(count);
            for (room, demand) in self.room.iter_mut().zip(&item.demand) {
                *room -= demand * times;
            }
            if count > 0 {
                self.chosen.push((self.order[position], count));
                self.pairs.change(self.order[position], count, u32::saturating_add);
            }
            let more = self.dual_value[self.order[position]].saturating_mul(count.into());
            self.descend(
                position + 1,
                dual_value.saturating_add(more),
                disk + item.disk_gib * times,
                cost,
                cutoff,
            );
            if count > 0 {
                self.chosen.pop();
                self.pairs.change(self.order[position], count, u32::saturating_sub);
            }
            for (room, demand) in self.room.iter_mut().zip(&item.demand) {
                *room += demand * times;
            }
        }
    }

    /// What is free of the two sizes that tables know.
    fn two_sizes(&self) -> [u64; 2] {
        [0, 1].map(|d| self.room.get(d).copied().unwrap_or(0))
    }

    /// The least reduced cost behind a node, by the tables.
    fn least_by_table(&self, dual_value: i64, disk: u64, cost: Cost) -> i64 {
        let Some([less_disk, without]) = &self.by_table else { return i64::MIN };
        let room = self.two_sizes();
        let disk_cost = self.gib_cost.saturating_mul(i64::try_from(disk).unwrap_or(i64::MAX));
        let all_paid = disk_cost.saturating_sub(self.included);
        let carried = cost.saturating_sub(dual_value);
        let first = carried.saturating_add(all_paid).saturating_sub(less_disk.value(room));
        let second = carried.saturating_add(all_paid.max(0)).saturating_sub(without.value(room));
        first.max(second)
    }

    fn record(&mut self, best: i64) {
        let mut members: Vec<(ComponentIx, u32)> = self
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
            sum.saturating_add(self.items[*item].dual_value.saturating_mul((*count).into()))
        });
        let reduced = self.duals.lease_cost(self.problem, &column).saturating_sub(carried);
        if reduced >= best {
            return;
        }
        match &mut self.all {
            Some(all) => all.push((reduced, column)),
            None => self.best = Some((reduced, column)),
        }
    }
}

const SHARE_UNIT: i128 = 1 << 50;
