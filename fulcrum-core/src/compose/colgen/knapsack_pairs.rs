//! What pairs of components are worth on one machine, beside the components themselves.

use super::{duals::Duals, knapsack_items::Item};

/// A pair: its items, what it costs together (less than nothing if it is wanted), and how many of each are there.
#[derive(Debug)]
struct ItemPair {
    items: [usize; 2],
    price: i64,
    counts: [u32; 2],
}

impl ItemPair {
    fn is_there(&self) -> bool {
        self.counts.iter().all(|count| *count > 0)
    }
}

/// The pairs whose number of leases is bounded, and what those cost that are there so far.
#[derive(Debug, Default)]
pub(super) struct ItemPairs {
    all: Vec<ItemPair>,
    /// The pairs of each item, and which side it is.
    of_item: Vec<Vec<(usize, usize)>>,
    pub(super) cost: i64,
}

impl ItemPairs {
    pub(super) fn new(duals: &Duals, items: &[Item]) -> Self {
        let mut pairs = Self { of_item: items.iter().map(|_| Vec::new()).collect(), ..Self::default() };
        for ((one, two), price) in duals.pair_prices() {
            let item = |of| items.iter().position(|item| item.members.contains(&of));
            if let (Some(one), Some(two)) = (item(one), item(two)) {
                for (side, item) in [one, two].into_iter().enumerate() {
                    pairs.of_item[item].push((pairs.all.len(), side));
                }
                pairs.all.push(ItemPair { items: [one, two], price, counts: [0, 0] });
            }
        }
        pairs
    }

    fn wanted(&self) -> impl Iterator<Item = &ItemPair> {
        self.all.iter().filter(|pair| pair.price < 0)
    }

    /// The items of wanted pairs, among some items.
    pub(super) fn wanted_items(&self, carried: &[usize]) -> Vec<usize> {
        let all = self.wanted().flat_map(|pair| pair.items);
        let mut items: Vec<usize> = all.filter(|item| carried.contains(item)).collect();
        items.sort_unstable();
        items.dedup();
        items
    }

    /// At most what wanted pairs are still worth with some items undecided.
    pub(super) fn still_wanted(&self, undecided: &[usize]) -> i64 {
        let open = self.wanted().filter(|pair| pair.items.iter().any(|item| undecided.contains(item)));
        open.fold(0i64, |sum, pair| sum.saturating_sub(pair.price))
    }

    /// Some of an item come or go.
    pub(super) fn change(&mut self, item: usize, count: u32, change: fn(u32, u32) -> u32) {
        for (at, side) in &self.of_item[item] {
            let pair = &mut self.all[*at];
            let before = pair.is_there();
            pair.counts[*side] = change(pair.counts[*side], count);
            self.cost = match (before, pair.is_there()) {
                (false, true) => self.cost.saturating_add(pair.price),
                (true, false) => self.cost.saturating_sub(pair.price),
                _ => self.cost,
            };
        }
    }
}
