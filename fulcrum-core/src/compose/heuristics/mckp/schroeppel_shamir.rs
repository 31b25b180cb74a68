//! Plans that leave next to nothing of the budgets, by meeting in the middle of four lists.
//!
//! Where a program is a choice in each of many groups under shared budgets (see `choices`), a plan close to the
//! bound changes a few of the cheapest choices so that the budgets are used up to the last unit. The groups are dealt
//! into four parts; of each part the changes that cost least are listed. Four changes, one from each list, make a plan
//! if their keys add up to what is wanted. All of them whose first two keys together have a given remainder are found
//! at once: those pairs are put into a table, and the pairs of the other two lists that can complete them are looked
//! up (R. Schroeppel, A. Shamir, "A T = O(2^(n/2)), S = O(2^(n/4)) algorithm for certain NP-complete problems", SIAM J.
//! Comput. 10(3), 1981; by remainders: N. Howgrave-Graham, A. Joux, "New generic algorithms for hard knapsacks",
//! EUROCRYPT 2010, §4). Each turn deals anew and takes another remainder. A key may agree by chance and budgets
//! without a price have none, so the program has the last word on what is found.

use super::structure::{Choice, Choices};
use crate::{
    compose::{
        bnb::fork_join::Watch,
        heuristics::splitmix::{APART, mixed},
        mip::model::{Program, Var},
        options::Signal,
    },
    model::StopReason,
};

/// Changes in a list, as a power of two: in the first turn, and at most.
const FIRST_LEVEL: u32 = 6;
const LAST_LEVEL: u32 = 15;
/// Pairs in a table, as a power of two: of one thread, and of all together.
const TABLE: u32 = 19;
const ALL_TABLES: u32 = 22;
/// Pairs that are looked up for each one that may be in the table.
const LOOKED_UP: u64 = 16;
/// No plan that is further above the bound is looked for: sums of a few such figures fit.
const MAX_ROOM: i64 = i64::MAX / 8;
/// Work between two looks at the watcher: well below a millisecond.
const WORK_UNWATCHED: u64 = 200_000;
/// Work, in entries of a tableau that are looked at: for a change that is listed, for a pair that is put into the table,
/// for one that is looked up.
const TO_LIST: u64 = 20;
const TO_PUT: u64 = 40;
const TO_LOOK_UP: u64 = 8;

/// A search that can be taken up again.
pub(crate) struct FourLists<'a> {
    program: &'a Program,
    choices: Choices,
    /// What no plan is below.
    bound: i128,
    /// Pairs in the table, as a power of two.
    table: u32,
    level: u32,
    /// What the changes of a list may cost at most, so that there are as many as wanted.
    most: i64,
    turn: u64,
    /// Done so far, as [`Tree::work`](crate::compose::bnb::branch_and_bound::Tree::work).
    work: u64,
}

impl<'a> FourLists<'a> {
    /// The search number `at` of `threads` that go on side by side.
    pub(crate) fn new(
        program: &'a Program,
        choices: Choices,
        bound: i128,
        (at, threads): (usize, usize),
    ) -> Self {
        let table = TABLE.min(ALL_TABLES - threads.max(1).next_power_of_two().ilog2());
        let turn = APART * at as u64;
        Self { program, choices, bound, table, level: FIRST_LEVEL, most: 0, turn, work: 0 }
    }

    /// Goes on until so much work is done in all; a plan better than `best`, if one was found.
    pub(crate) fn improve(
        &mut self,
        best: i128,
        target: u64,
        watch: &mut Watch<'_>,
    ) -> (Option<(Vec<i64>, i128)>, Option<StopReason>) {
        let mut found: Option<(Vec<i64>, i128)> = None;
        let mut clock = Clock { watch, best, work: self.work, next: self.work, stop: None };
        while clock.work < target && clock.stop.is_none() {
            let best = found.as_ref().map_or(best, |(_, cost)| *cost);
            let room = i64::try_from(best - self.bound).unwrap_or(MAX_ROOM).min(MAX_ROOM);
            if room <= 0 {
                clock.work = target; // there is no better plan
                break;
            }
            clock.best = best;
            let better = self.turn(room, &mut clock).and_then(|values| {
                let values = values.into_iter().collect();
                let cost = self.program.check(&values).filter(|cost| *cost < best)?;
                Some((values.into_inner(), cost))
            });
            found = better.or(found);
        }
        self.work = clock.work;
        (found, clock.stop)
    }

    /// One deal and one remainder: the values of the plan that is least above the bound by its keys, if by less than
    /// `room`.
    fn turn(&mut self, room: i64, clock: &mut Clock<'_, '_>) -> Option<Vec<i64>> {
        self.turn += 1;
        let level = self.level;
        self.level = (level + 1).min(LAST_LEVEL);
        let most = &mut self.most;
        let lists =
            deal(&self.choices.groups, self.turn).map(|groups| list(&groups, most, 1 << level, room, clock));
        // As many pairs as there are, or as a table takes: then those of one remainder.
        let pairs = (lists[0].len() * lists[1].len()).next_power_of_two().ilog2();
        let bits = pairs.saturating_sub(self.table);
        let mask = (1u64 << bits) - 1;
        let remainder = mixed(self.turn, u64::MAX) & mask;
        let lists = lists.map(|partials| List::new(partials, bits));
        let [first, second, third, fourth] = &lists;

        let most_pairs = 1 << (pairs - bits);
        let mut table = Table::new(most_pairs);
        clock.goes_on(table.slots.len() as u64);
        // What a pair costs that is cheaper than fifteen of sixteen: almost all that is found is dearer.
        let mut sample = Vec::new();
        'put: for one in &first.by_cost {
            let others = second.with_remainder(remainder.wrapping_sub(one.key) & mask);
            if !clock.goes_on(TO_PUT * (1 + others.len() as u64)) {
                return None;
            }
            for other in others.iter().take_while(|other| one.above + other.above < room) {
                if table.len == most_pairs {
                    break 'put;
                }
                if table.len.is_multiple_of(16) {
                    sample.push(one.above + other.above);
                }
                table.put(one.key.wrapping_add(other.key), (one.at, other.at));
            }
        }
        sample.sort_unstable();
        let usual = sample.get(sample.len() / 16).copied()?;

        let mut lowest = room;
        let mut plan = None;
        let mut rest = LOOKED_UP * most_pairs as u64;
        'look_up: for &(worth, left) in &self.choices.left {
            let wanted = self.choices.key.wrapping_sub(left);
            for one in &third.by_cost {
                let limit = lowest.saturating_sub(usual).saturating_sub(worth).saturating_sub(one.above);
                if limit <= 0 {
                    break;
                }
                let wanted = wanted.wrapping_sub(one.key);
                let others = fourth.with_remainder(wanted.wrapping_sub(remainder) & mask);
                let others = &others[..others.partition_point(|other| other.above < limit)];
                let count = 1 + others.len() as u64;
                if rest < count || !clock.goes_on(TO_LOOK_UP * count) {
                    break 'look_up;
                }
                rest -= count;
                for other in others {
                    for (a, b) in table.get(wanted.wrapping_sub(other.key)) {
                        let pair = first.partials[a as usize].above + second.partials[b as usize].above;
                        let above = pair + worth + one.above + other.above;
                        if above < lowest {
                            (lowest, plan) = (above, Some([a, b, one.at, other.at]));
                        }
                    }
                }
            }
            if worth.saturating_add(usual) >= lowest {
                break;
            }
        }
        plan.map(|plan| {
            let mut values = self.choices.cheapest.clone();
            lists.iter().zip(plan).for_each(|(list, at)| list.make(at, &mut values));
            values
        })
    }
}

/// The groups in four parts, each with as many of those that are cheap to change as another.
fn deal(groups: &[Vec<Choice>], turn: u64) -> [Vec<&[Choice]>; 4] {
    let mut parts: [Vec<&[Choice]>; 4] = Default::default();
    for (round, groups) in groups.chunks(4).enumerate() {
        let mut groups: Vec<_> = groups.iter().enumerate().collect();
        groups.sort_by_key(|(at, _)| mixed(turn, (4 * round + at) as u64));
        parts.iter_mut().zip(groups).for_each(|(part, (_, choices))| part.push(choices));
    }
    parts
}

/// Changes in some groups.
#[derive(Clone, Copy)]
struct Partial {
    above: i64,
    key: u64,
    /// The same without the last change, which is from one unknown to another.
    before: u32,
    last: Option<(Var, Var)>,
}

/// At least half of `count` changes that cost least in these groups, if there are so many below `room`; `most`, what
/// they may cost, is adjusted so that there are.
fn list(
    groups: &[&[Choice]],
    most: &mut i64,
    count: usize,
    room: i64,
    clock: &mut Clock<'_, '_>,
) -> Vec<Partial> {
    *most = (*most).clamp(room / 64, room);
    let (mut list, mut is_whole) = partials(groups, *most, count, clock);
    while !is_whole && *most > 0 && clock.stop.is_none() {
        *most = (*most - *most / 8 - 1).max(0);
        (list, is_whole) = partials(groups, *most, count, clock);
    }
    while is_whole && 2 * list.len() < count && *most < room && clock.stop.is_none() {
        let wider = (*most + *most / 8 + 1).min(room);
        let longer;
        (longer, is_whole) = partials(groups, wider, count, clock);
        if is_whole {
            (list, *most) = (longer, wider);
        }
    }
    list
}

/// All changes in these groups that cost no more than `most` together, and whether that is all of them: no more than
/// `count` are listed.
fn partials(
    groups: &[&[Choice]],
    most: i64,
    count: usize,
    clock: &mut Clock<'_, '_>,
) -> (Vec<Partial>, bool) {
    let mut list = vec![Partial { above: 0, key: 0, before: 0, last: None }];
    for choices in groups {
        let so_far = list.len();
        for before in 0..so_far {
            let Partial { above, key, .. } = list[before];
            for choice in choices.iter().take_while(|choice| above.saturating_add(choice.above) <= most) {
                if list.len() == count {
                    return (list, false);
                }
                list.push(Partial {
                    above: above + choice.above,
                    key: key.wrapping_add(choice.key),
                    before: before as u32, // far fewer than 2^32 are listed
                    last: Some((choice.instead_of, choice.taken)),
                });
            }
        }
        if !clock.goes_on(so_far as u64 + TO_LIST * (list.len() - so_far) as u64) {
            return (list, false);
        }
    }
    (list, true)
}

/// Where a change is in its list.
#[derive(Clone, Copy)]
struct Entry {
    above: i64,
    key: u64,
    at: u32,
}

/// The changes of one part of the groups.
struct List {
    partials: Vec<Partial>,
    by_cost: Vec<Entry>,
    /// By the remainder of the key, then by cost; and where each remainder begins.
    by_remainder: Vec<Entry>,
    begin: Vec<usize>,
}

impl List {
    fn new(partials: Vec<Partial>, bits: u32) -> Self {
        let mask = (1u64 << bits) - 1;
        let mut by_cost: Vec<Entry> =
            (0..).zip(&partials).map(|(at, part)| Entry { above: part.above, key: part.key, at }).collect();
        by_cost.sort_unstable_by_key(|entry| (entry.above, entry.at));
        let mut by_remainder = by_cost.clone();
        by_remainder.sort_by_key(|entry| entry.key & mask);
        let begin = (0..=mask + 1)
            .map(|remainder| by_remainder.partition_point(|entry| entry.key & mask < remainder))
            .collect();
        Self { partials, by_cost, by_remainder, begin }
    }

    /// The changes with a remainder, cheapest first.
    fn with_remainder(&self, remainder: u64) -> &[Entry] {
        let at = remainder as usize;
        &self.by_remainder[self.begin[at]..self.begin[at + 1]]
    }

    /// Makes the changes.
    fn make(&self, at: u32, values: &mut [i64]) {
        use crate::compose::id_vec::Id;
        let mut partial = &self.partials[at as usize];
        while let Some((from, to)) = partial.last {
            (values[from.index()], values[to.index()]) = (0, 1);
            partial = &self.partials[partial.before as usize];
        }
    }
}

/// Pairs by the sum of their keys: open addressing, behind a filter that is small enough to stay close at hand.
struct Table {
    slots: Vec<(u64, (u32, u32))>,
    filter: Vec<u64>,
    len: usize,
    shift: u32,
}

/// No pair.
const NONE: (u32, u32) = (u32::MAX, u32::MAX);
/// Bits of the filter for each pair, as a power of two.
const FILTER: u32 = 5;

impl Table {
    /// An empty one for no more than so many pairs, a power of two.
    fn new(most: usize) -> Self {
        let bits = most.ilog2().max(1) + FILTER;
        Self { slots: vec![(0, NONE); 2 * most], filter: vec![0; (1 << bits) / 64], len: 0, shift: 64 - bits }
    }

    fn slot(&self, key: u64) -> usize {
        // The filter looks at the first bits of the key; of these pairs the last ones agree.
        ((key >> 16).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & (self.slots.len() - 1)
    }

    fn put(&mut self, key: u64, pair: (u32, u32)) {
        let mut slot = self.slot(key);
        while self.slots[slot].1 != NONE {
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
            .take_while(|(_, pair)| *pair != NONE)
            .filter(move |(found, _)| *found == key)
            .map(|(_, pair)| pair)
    }
}

/// Counts work and asks the watcher.
struct Clock<'w, 'f> {
    watch: &'w mut Watch<'f>,
    best: i128,
    work: u64,
    /// The work after which the watcher is asked next.
    next: u64,
    stop: Option<StopReason>,
}

impl Clock<'_, '_> {
    /// Takes account of work done; whether to go on.
    fn goes_on(&mut self, work: u64) -> bool {
        self.work += work;
        if self.work >= self.next && self.stop.is_none() {
            self.next = self.work + WORK_UNWATCHED;
            self.stop = match (self.watch)(Some(self.best), i128::MIN, 0) {
                Signal::Continue => None,
                Signal::Limit => Some(StopReason::Limit),
                Signal::Cancel => Some(StopReason::Cancelled),
            };
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
        mip::{model::Role, var_bounds::Bounds},
        options::ComposeOptions,
    };

    const GROUPS: usize = 10;
    const CHOICES: usize = 3;
    const BUDGETS: usize = 3;

    fn drawn(seed: u64, at: usize, below: u64) -> i64 {
        (mixed(seed, at as u64) % below).cast_signed()
    }

    /// One of three in each of ten groups; a budget that is a little below what they use on the average.
    fn knapsack(seed: u64) -> Program {
        let mut program = Program::empty();
        let vars: Vec<Var> = (0..GROUPS * CHOICES)
            .map(|at| program.var(Role::Leases, 1_000_000 * drawn(seed, at, 60), 0, 1))
            .collect();
        for group in vars.chunks(CHOICES) {
            program.row(Some(1), Some(1), group.iter().map(|var| (*var, 1)));
        }
        for budget in 1..=BUDGETS {
            let amounts = (0..).zip(&vars).map(|(at, var)| (*var, drawn(seed, 1_000 * budget + at, 9)));
            program.row(None, Some(4 * GROUPS as i64 - 6), amounts);
        }
        program
    }

    fn brute_force(program: &Program) -> Option<i128> {
        let plans = (0..CHOICES.pow(GROUPS as u32)).map(|plan| -> IdVec<Var, i64> {
            (0..GROUPS * CHOICES)
                .map(|at| (plan / CHOICES.pow((at / CHOICES) as u32) % CHOICES == at % CHOICES).into())
                .collect()
        });
        plans.filter_map(|values| program.check(&values)).min()
    }

    fn lists(program: &Program) -> Option<FourLists<'_>> {
        let mut tree = Tree::new(program, None);
        tree.go_on(&ComposeOptions::default(), 1, Goal::Best, &mut |_, _, _| Signal::Continue);
        let multipliers = tree.root().multipliers(program);
        let ranked = reduced_costs(program, &Bounds::of(program), &multipliers)?;
        let choices = Choices::new(program, &ranked, &multipliers)?;
        Some(FourLists::new(program, choices, ranked.1, (0, 1)))
    }

    #[test]
    fn prop_what_is_found_is_a_better_plan() {
        for seed in 0..4 {
            let program = knapsack(seed);
            let expected = brute_force(&program).expect("the budgets are not that small");
            let mut lists = lists(&program).expect("of this kind");
            let worse = expected + 50_000_000;
            let (found, stop) = lists.improve(worse, 20_000_000, &mut |_, _, _| Signal::Continue);
            let (values, cost) = found.expect("there are better ones");
            assert_eq!(program.check(&values.into_iter().collect()), Some(cost), "seed {seed}");
            assert!((expected..worse).contains(&cost) && stop.is_none(), "seed {seed}");
        }
    }

    #[test]
    fn it_stops_when_told_and_not_without_need() {
        let program = knapsack(0);
        let mut lists = lists(&program).expect("of this kind");
        let mut looks = 0;
        let mut watch = |_: Option<i128>, _: i128, _: u64| {
            looks += 1;
            if looks == 5 { Signal::Limit } else { Signal::Continue }
        };
        let (_, stop) = lists.improve(i128::MAX / 4, u64::MAX, &mut watch);
        assert_eq!((stop, looks), (Some(StopReason::Limit), 5));
    }

    #[test]
    fn a_program_of_another_kind_has_no_such_lists() {
        let mut program = knapsack(0);
        program.var(Role::Leases, 1, 0, 3);
        assert!(lists(&program).is_none());
    }
}
