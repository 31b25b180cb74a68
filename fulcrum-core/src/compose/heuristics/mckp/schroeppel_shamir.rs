//! Meet in the middle with four lists, for plans that use the resources of a multiple-choice knapsack up.
//!
//! A plan close to the bound differs from the cheapest choices in a few groups (see `structure`), and leaves almost no
//! slack. The groups are partitioned into four parts, and the cheapest changes of each part are listed. One change
//! from each list makes a plan if their four keys add up to the wanted key.
//!
//! One iteration finds all such plans whose first two keys together have a given remainder. Pairs of the first two
//! lists go into a hash table; pairs of the other two lists probe it (R. Schroeppel, A. Shamir, "A T = O(2^(n/2)), S =
//! O(2^(n/4)) algorithm for certain NP-complete problems", SIAM J. Comput. 10(3), 1981; by remainders: N.
//! Howgrave-Graham, A. Joux, "New generic algorithms for hard knapsacks", EUROCRYPT 2010, §4). The next iteration
//! partitions anew and takes another remainder.
//!
//! Keys may collide, and resources without a dual value have none. So the program checks each plan that is found.

use super::structure::{Choice, MckpStructure};
use crate::{
    compose::{
        bnb::fork_join::Watch,
        heuristics::splitmix::{STREAM_STRIDE, splitmix64},
        mip::model::{Mip, Var},
    },
    model::StopReason,
};

/// Changes in a list, as a power of two: in the first iteration, and at most.
const FIRST_LIST_LOG2: u32 = 6;
const MAX_LIST_LOG2: u32 = 15;
/// Pairs in a hash table, as a power of two: of one thread, and of all threads together.
const TABLE_PAIRS_LOG2: u32 = 19;
const ALL_TABLES_PAIRS_LOG2: u32 = 22;
/// Pairs that probe the table, for each pair that it may hold.
const PROBES_PER_PAIR: u64 = 16;
/// The largest gap between plan and bound that is searched: sums of a few such values fit into 64 bits.
const MAX_GAP_MICROS: i64 = i64::MAX / 8;
/// Work between two questions to the watcher: well below a millisecond.
const WORK_PER_WATCH: u64 = 200_000;
/// Work in tableau entries looked at: for a listed change, for a pair that is inserted, for a pair that probes.
const WORK_PER_LISTED: u64 = 20;
const WORK_PER_INSERT: u64 = 40;
const WORK_PER_PROBE: u64 = 8;

/// A search that can be resumed.
pub(crate) struct FourListSearch<'a> {
    mip: &'a Mip,
    structure: MckpStructure,
    /// A lower bound on every plan.
    bound: i128,
    /// Pairs in the hash table, as a power of two.
    table: u32,
    list_log2: u32,
    /// The highest reduced cost of a listed change, adjusted so that lists have the wanted length.
    most: i64,
    iteration: u64,
    /// Effort so far, as [`Tree::work`](crate::compose::bnb::branch_and_bound::Tree::work).
    work: u64,
}

impl<'a> FourListSearch<'a> {
    /// The search number `at` of `threads` that run side by side.
    pub(crate) fn new(
        mip: &'a Mip,
        structure: MckpStructure,
        bound: i128,
        (at, threads): (usize, usize),
    ) -> Self {
        let table = TABLE_PAIRS_LOG2.min(ALL_TABLES_PAIRS_LOG2 - threads.max(1).next_power_of_two().ilog2());
        let iteration = STREAM_STRIDE * at as u64;
        Self { mip, structure, bound, table, list_log2: FIRST_LIST_LOG2, most: 0, iteration, work: 0 }
    }

    /// Searches until the effort reaches `target`. Returns a plan better than `best`, if it finds one.
    pub(crate) fn improve(
        &mut self,
        best: i128,
        target: u64,
        watch: &mut Watch<'_>,
    ) -> (Option<(Vec<i64>, i128)>, Option<StopReason>) {
        let mut found: Option<(Vec<i64>, i128)> = None;
        let mut budget = WorkBudget { watch, best, work: self.work, next_watch: self.work, stop: None };
        while budget.work < target && budget.stop.is_none() {
            let best = found.as_ref().map_or(best, |(_, cost)| *cost);
            let gap = i64::try_from(best - self.bound).unwrap_or(MAX_GAP_MICROS).min(MAX_GAP_MICROS);
            if gap <= 0 {
                budget.work = target; // there is no better plan
                break;
            }
            budget.best = best;
            let better = self.iteration(gap, &mut budget).and_then(|values| {
                let values = values.into_iter().collect();
                let cost = self.mip.check(&values).filter(|cost| *cost < best)?;
                Some((values.into_inner(), cost))
            });
            found = better.or(found);
        }
        self.work = budget.work;
        (found, budget.stop)
    }

    /// One partition and one remainder. Returns the plan that is least above the bound by its keys, if by less than
    /// `gap`.
    fn iteration(&mut self, gap: i64, budget: &mut WorkBudget<'_, '_>) -> Option<Vec<i64>> {
        self.iteration += 1;
        let list_log2 = self.list_log2;
        self.list_log2 = (list_log2 + 1).min(MAX_LIST_LOG2);
        let most = &mut self.most;
        let lists = partition(&self.structure.groups, self.iteration)
            .map(|groups| list(&groups, most, 1 << list_log2, gap, budget));
        // All pairs, or as many as fit into the table: then those of one remainder.
        let pairs = (lists[0].len() * lists[1].len()).next_power_of_two().ilog2();
        let bits = pairs.saturating_sub(self.table);
        let mask = (1u64 << bits) - 1;
        let remainder = splitmix64(self.iteration, u64::MAX) & mask;
        let lists = lists.map(|partials| List::new(partials, bits));
        let [first, second, third, fourth] = &lists;

        let most_pairs = 1 << (pairs - bits);
        let mut table = Table::new(most_pairs);
        budget.charge(table.slots.len() as u64);
        // The cost of a pair at the lowest sixteenth: almost every match costs more.
        let mut sample = Vec::new();
        'put: for one in &first.by_cost {
            let others = second.with_remainder(remainder.wrapping_sub(one.key) & mask);
            if !budget.charge(WORK_PER_INSERT * (1 + others.len() as u64)) {
                return None;
            }
            for other in others.iter().take_while(|other| one.reduced_cost + other.reduced_cost < gap) {
                if table.len == most_pairs {
                    break 'put;
                }
                if table.len.is_multiple_of(16) {
                    sample.push(one.reduced_cost + other.reduced_cost);
                }
                table.put(one.key.wrapping_add(other.key), (one.at, other.at));
            }
        }
        sample.sort_unstable();
        let pair_cost_quantile = sample.get(sample.len() / 16).copied()?;

        let mut lowest = gap;
        let mut plan = None;
        let mut rest = PROBES_PER_PAIR * most_pairs as u64;
        'look_up: for &(value, slack) in &self.structure.slack {
            let wanted = self.structure.key.wrapping_sub(slack);
            for one in &third.by_cost {
                let limit = lowest
                    .saturating_sub(pair_cost_quantile)
                    .saturating_sub(value)
                    .saturating_sub(one.reduced_cost);
                if limit <= 0 {
                    break;
                }
                let wanted = wanted.wrapping_sub(one.key);
                let others = fourth.with_remainder(wanted.wrapping_sub(remainder) & mask);
                let others = &others[..others.partition_point(|other| other.reduced_cost < limit)];
                let count = 1 + others.len() as u64;
                if rest < count || !budget.charge(WORK_PER_PROBE * count) {
                    break 'look_up;
                }
                rest -= count;
                for other in others {
                    for (a, b) in table.get(wanted.wrapping_sub(other.key)) {
                        let pair = first.partials[a as usize].reduced_cost
                            + second.partials[b as usize].reduced_cost;
                        let reduced_cost = pair + value + one.reduced_cost + other.reduced_cost;
                        if reduced_cost < lowest {
                            (lowest, plan) = (reduced_cost, Some([a, b, one.at, other.at]));
                        }
                    }
                }
            }
            if value.saturating_add(pair_cost_quantile) >= lowest {
                break;
            }
        }
        plan.map(|plan| {
            let mut values = self.structure.cheapest.clone();
            lists.iter().zip(plan).for_each(|(list, at)| list.make(at, &mut values));
            values
        })
    }
}

/// Partitions the groups into four parts with equal shares of the cheapest changes.
fn partition(groups: &[Vec<Choice>], iteration: u64) -> [Vec<&[Choice]>; 4] {
    let mut parts: [Vec<&[Choice]>; 4] = Default::default();
    for (round, groups) in groups.chunks(4).enumerate() {
        let mut groups: Vec<_> = groups.iter().enumerate().collect();
        groups.sort_by_key(|(at, _)| splitmix64(iteration, (4 * round + at) as u64));
        parts.iter_mut().zip(groups).for_each(|(part, (_, choices))| part.push(choices));
    }
    parts
}

/// Changes in some groups.
#[derive(Clone, Copy)]
struct Partial {
    reduced_cost: i64,
    key: u64,
    /// The change without its last step, which is from one variable to another.
    before: u32,
    last: Option<(Var, Var)>,
}

/// At least half of `count` changes of least reduced cost, if there are so many below `gap`. Adjusts `most`, the limit
/// on the reduced cost, to reach that number.
fn list(
    groups: &[&[Choice]],
    most: &mut i64,
    count: usize,
    gap: i64,
    budget: &mut WorkBudget<'_, '_>,
) -> Vec<Partial> {
    *most = (*most).clamp(gap / 64, gap);
    let (mut list, mut is_whole) = partials(groups, *most, count, budget);
    while !is_whole && *most > 0 && budget.stop.is_none() {
        *most = (*most - *most / 8 - 1).max(0);
        (list, is_whole) = partials(groups, *most, count, budget);
    }
    while is_whole && 2 * list.len() < count && *most < gap && budget.stop.is_none() {
        let wider = (*most + *most / 8 + 1).min(gap);
        let longer;
        (longer, is_whole) = partials(groups, wider, count, budget);
        if is_whole {
            (list, *most) = (longer, wider);
        }
    }
    list
}

/// All changes in these groups with a total reduced cost of at most `most`, and whether the list is complete; at most
/// `count` are listed.
fn partials(
    groups: &[&[Choice]],
    most: i64,
    count: usize,
    budget: &mut WorkBudget<'_, '_>,
) -> (Vec<Partial>, bool) {
    let mut list = vec![Partial { reduced_cost: 0, key: 0, before: 0, last: None }];
    for choices in groups {
        let so_far = list.len();
        for before in 0..so_far {
            let Partial { reduced_cost, key, .. } = list[before];
            for choice in
                choices.iter().take_while(|choice| reduced_cost.saturating_add(choice.reduced_cost) <= most)
            {
                if list.len() == count {
                    return (list, false);
                }
                list.push(Partial {
                    reduced_cost: reduced_cost + choice.reduced_cost,
                    key: key.wrapping_add(choice.key),
                    before: before as u32, // far fewer than 2^32 are listed
                    last: Some((choice.instead_of, choice.taken)),
                });
            }
        }
        if !budget.charge(so_far as u64 + WORK_PER_LISTED * (list.len() - so_far) as u64) {
            return (list, false);
        }
    }
    (list, true)
}

/// A change's position in its list.
#[derive(Clone, Copy)]
struct ListEntry {
    reduced_cost: i64,
    key: u64,
    at: u32,
}

/// The changes of one part of the groups.
struct List {
    partials: Vec<Partial>,
    by_cost: Vec<ListEntry>,
    /// Sorted by the key's remainder, then by cost; and the start of each remainder.
    by_remainder: Vec<ListEntry>,
    begin: Vec<usize>,
}

impl List {
    fn new(partials: Vec<Partial>, bits: u32) -> Self {
        let mask = (1u64 << bits) - 1;
        let mut by_cost: Vec<ListEntry> = (0..)
            .zip(&partials)
            .map(|(at, part)| ListEntry { reduced_cost: part.reduced_cost, key: part.key, at })
            .collect();
        by_cost.sort_unstable_by_key(|entry| (entry.reduced_cost, entry.at));
        let mut by_remainder = by_cost.clone();
        by_remainder.sort_by_key(|entry| entry.key & mask);
        let begin = (0..=mask + 1)
            .map(|remainder| by_remainder.partition_point(|entry| entry.key & mask < remainder))
            .collect();
        Self { partials, by_cost, by_remainder, begin }
    }

    /// The changes with a remainder, cheapest first.
    fn with_remainder(&self, remainder: u64) -> &[ListEntry] {
        let at = remainder as usize;
        &self.by_remainder[self.begin[at]..self.begin[at + 1]]
    }

    /// Applies a change to the values.
    fn make(&self, at: u32, values: &mut [i64]) {
        use crate::compose::id_vec::Id;
        let mut partial = &self.partials[at as usize];
        while let Some((from, to)) = partial.last {
            (values[from.index()], values[to.index()]) = (0, 1);
            partial = &self.partials[partial.before as usize];
        }
    }
}

/// A hash table of pairs by the sum of their keys: open addressing behind a small Bloom filter.
struct Table {
    slots: Vec<(u64, (u32, u32))>,
    filter: Vec<u64>,
    len: usize,
    shift: u32,
}

/// An empty slot.
const EMPTY_SLOT: (u32, u32) = (u32::MAX, u32::MAX);
/// Bits of the filter for each pair, as a power of two.
const FILTER_BITS_LOG2: u32 = 5;

impl Table {
    /// An empty table for at most `most` pairs, a power of two.
    fn new(most: usize) -> Self {
        let bits = most.ilog2().max(1) + FILTER_BITS_LOG2;
        Self {
            slots: vec![(0, EMPTY_SLOT); 2 * most],
            filter: vec![0; (1 << bits) / 64],
            len: 0,
            shift: 64 - bits,
        }
    }

    fn slot(&self, key: u64) -> usize {
        // The filter uses the first bits of the key; the last bits of all these keys agree.
        ((key >> 16).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & (self.slots.len() - 1)
    }

    fn put(&mut self, key: u64, pair: (u32, u32)) {
        let mut slot = self.slot(key);
        while self.slots[slot].1 != EMPTY_SLOT {
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        self.slots[slot] = (key, pair);
        let bit = key >> self.shift;
        self.filter[(bit / 64) as usize] |= 1 << (bit % 64);
        self.len += 1;
    }

    fn get(&self, key: u64) -> impl Iterator<Item = (u32, u32)> {
        let bit = key >> self.shift;
        let may_be = self.filter[(bit / 64) as usize] >> (bit % 64) & 1 == 1;
        let from = if may_be { self.slot(key) } else { 0 };
        (0..if may_be { self.slots.len() } else { 0 })
            .map(move |step| self.slots[(from + step) & (self.slots.len() - 1)])
            .take_while(|(_, pair)| *pair != EMPTY_SLOT)
            .filter(move |(found, _)| *found == key)
            .map(|(_, pair)| pair)
    }
}

/// Counts work and asks the watcher.
struct WorkBudget<'w, 'f> {
    watch: &'w mut Watch<'f>,
    best: i128,
    work: u64,
    /// The work after which the watcher is asked next.
    next_watch: u64,
    stop: Option<StopReason>,
}

impl WorkBudget<'_, '_> {
    /// Adds work; returns whether to go on.
    fn charge(&mut self, work: u64) -> bool {
        self.work += work;
        if self.work >= self.next_watch && self.stop.is_none() {
            self.next_watch = self.work + WORK_PER_WATCH;
            self.stop = (self.watch)(Some(self.best), i128::MIN, 0).stop();
        }
        self.stop.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::{
        bnb::branch_and_bound::{Goal, Tree},
        id_vec::IdVec,
        lp::safe_bound::reduced_costs,
        mip::{model::Role, var_bounds::VarBounds},
        options::{ComposeOptions, Signal},
    };

    const GROUP_COUNT: usize = 10;
    const CHOICES_PER_GROUP: usize = 3;
    const RESOURCE_COUNT: usize = 3;

    fn drawn(seed: u64, at: usize, below: u64) -> i64 {
        (splitmix64(seed, at as u64) % below).cast_signed()
    }

    /// One of three choices in each of ten groups, and resources a little below their average use.
    fn knapsack(seed: u64) -> Mip {
        let mut mip = Mip::empty();
        let vars: Vec<Var> = (0..GROUP_COUNT * CHOICES_PER_GROUP)
            .map(|at| mip.add_var(Role::Leases, 1_000_000 * drawn(seed, at, 60), 0, 1))
            .collect();
        for group in vars.chunks(CHOICES_PER_GROUP) {
            mip.add_row(Some(1), Some(1), group.iter().map(|var| (*var, 1)));
        }
        for budget in 1..=RESOURCE_COUNT {
            let amounts = (0..).zip(&vars).map(|(at, var)| (*var, drawn(seed, 1_000 * budget + at, 9)));
            mip.add_row(None, Some(4 * GROUP_COUNT as i64 - 6), amounts);
        }
        mip
    }

    fn brute_force(mip: &Mip) -> Option<i128> {
        let plans = (0..CHOICES_PER_GROUP.pow(GROUP_COUNT as u32)).map(|plan| -> IdVec<Var, i64> {
            (0..GROUP_COUNT * CHOICES_PER_GROUP)
                .map(|at| {
                    (plan / CHOICES_PER_GROUP.pow((at / CHOICES_PER_GROUP) as u32) % CHOICES_PER_GROUP
                        == at % CHOICES_PER_GROUP)
                        .into()
                })
                .collect()
        });
        plans.filter_map(|values| mip.check(&values)).min()
    }

    fn lists(mip: &Mip) -> Option<FourListSearch<'_>> {
        let mut tree = Tree::new(mip, None);
        tree.resume(&ComposeOptions::default(), 1, Goal::Best, &mut |_, _, _| Signal::Continue);
        let duals = tree.root().duals(mip);
        let root = reduced_costs(mip, &VarBounds::of(mip), &duals)?;
        let structure = MckpStructure::new(mip, &root, &duals)?;
        Some(FourListSearch::new(mip, structure, root.bound, (0, 1)))
    }

    #[test]
    fn prop_what_is_found_is_a_better_plan() {
        for seed in 0..4 {
            let mip = knapsack(seed);
            let expected = brute_force(&mip).expect("the budgets are not that small");
            let mut lists = lists(&mip).expect("of this kind");
            let worse = expected + 50_000_000;
            let (found, stop) = lists.improve(worse, 20_000_000, &mut |_, _, _| Signal::Continue);
            let (values, cost) = found.expect("there are better ones");
            assert_eq!(mip.check(&values.into_iter().collect()), Some(cost), "seed {seed}");
            assert!((expected..worse).contains(&cost) && stop.is_none(), "seed {seed}");
        }
    }

    #[test]
    fn it_stops_when_told_and_not_without_need() {
        let mip = knapsack(0);
        let mut lists = lists(&mip).expect("of this kind");
        let mut asked = 0;
        let mut watch = |_: Option<i128>, _: i128, _: u64| {
            asked += 1;
            if asked == 5 { Signal::Limit } else { Signal::Continue }
        };
        let (_, stop) = lists.improve(i128::MAX / 4, u64::MAX, &mut watch);
        assert_eq!((stop, asked), (Some(StopReason::Limit), 5));
    }

    #[test]
    fn a_program_of_another_kind_has_no_such_lists() {
        let mut mip = knapsack(0);
        mip.add_var(Role::Leases, 1, 0, 3);
        assert!(lists(&mip).is_none());
    }
}
