//! A knapsack over two sizes, solved for all rooms up to one at once (R. Bellman, *Dynamic Programming*, Princeton 1957; with counts
//! as sums of powers of two: S. Martello, P. Toth, *Knapsack Problems*, Wiley 1990, §3.2).

/// Cells of a table.
const MAX_CELLS: usize = 1 << 17;
/// Items after counts are split.
const MAX_PACKS: usize = 400;

/// What may be packed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TableItem {
    /// Items that are worth nothing are left out.
    pub(crate) value: i64,
    pub(crate) size: [u64; 2],
    pub(crate) max_count: u32,
}

/// Several of one item.
#[derive(Debug, Clone, Copy)]
struct Pack {
    item: usize,
    count: u32,
}

/// The best value for each room, and how it is reached.
#[derive(Debug)]
pub(crate) struct KnapsackTable {
    unit: [u64; 2],
    cells: [usize; 2],
    /// The largest room that was asked for.
    room: [u64; 2],
    sizes: Vec<[usize; 2]>,
    packs: Vec<Pack>,
    /// For each pack and cell, whether the pack is taken.
    is_taken: Vec<bool>,
    best: Vec<i64>,
}

impl KnapsackTable {
    /// Fills a table for all rooms up to one; `None` if it would be too large.
    pub(crate) fn new(room: [u64; 2], items: &[TableItem]) -> Option<Self> {
        let useful = |item: &&TableItem| {
            item.value > 0 && item.max_count > 0 && (0..2).all(|d| item.size[d] <= room[d])
        };
        let total = |d: usize| {
            let of = |item: &TableItem| item.size[d].saturating_mul(item.max_count.into());
            items.iter().filter(useful).map(of).fold(0u64, u64::saturating_add)
        };
        let unit =
            [0, 1].map(|d| items.iter().filter(useful).fold(0, |sum, item| gcd(sum, item.size[d])).max(1));
        let cells = [0, 1].map(|d| usize::try_from(room[d].min(total(d)) / unit[d]).ok());
        let [Some(first), Some(second)] = cells else { return None };
        let cells = [first.checked_add(1)?, second.checked_add(1)?];
        if cells[0].checked_mul(cells[1])? > MAX_CELLS {
            return None;
        }
        let mut packs = Vec::new();
        for (at, item) in items.iter().enumerate().filter(|(_, item)| useful(item)) {
            // More than the room takes is never packed.
            let fit = (0..2).filter_map(|d| room[d].checked_div(item.size[d])).min();
            let mut left = u64::from(item.max_count).min(fit.unwrap_or(u64::MAX)) as u32;
            let mut count = 1;
            while left > 0 {
                packs.push(Pack { item: at, count: count.min(left) });
                left -= count.min(left);
                count = count.saturating_mul(2);
            }
        }
        if packs.len() > MAX_PACKS {
            return None;
        }
        let sizes = items.iter().map(|item| [0, 1].map(|d| (item.size[d] / unit[d]) as usize)).collect();
        let mut table = Self { unit, cells, room, sizes, packs, is_taken: Vec::new(), best: Vec::new() };
        table.fill(items);
        Some(table)
    }

    fn fill(&mut self, items: &[TableItem]) {
        let (height, width) = (self.cells[0], self.cells[1]);
        self.best = vec![0; height * width];
        self.is_taken = vec![false; self.packs.len() * height * width];
        let mut copy = vec![0; width];
        for (pack, taken) in self.packs.iter().zip(self.is_taken.chunks_mut(height * width)) {
            let [down, along] = self.sizes[pack.item].map(|size| size.saturating_mul(pack.count as usize));
            let value = items[pack.item].value.saturating_mul(pack.count.into());
            if along >= width {
                continue;
            }
            for row in (down..height).rev() {
                // Rows above are as they were before this pack; the own one is copied for that.
                let (before, rest) = self.best.split_at_mut(row * width);
                let own = &mut rest[..width];
                let source = if down > 0 {
                    &before[(row - down) * width..][..width]
                } else {
                    copy.copy_from_slice(own);
                    &copy
                };
                let cells = own[along..].iter_mut().zip(source).zip(&mut taken[row * width + along..]);
                for ((best, without), taken) in cells {
                    let with = without.saturating_add(value);
                    *taken = with > *best;
                    *best = with.max(*best);
                }
            }
        }
    }

    fn cell(&self, room: [u64; 2]) -> [usize; 2] {
        [0, 1].map(|d| usize::try_from(room[d] / self.unit[d]).unwrap_or(usize::MAX).min(self.cells[d] - 1))
    }

    /// Whether it answers for a room.
    pub(crate) fn covers(&self, room: [u64; 2]) -> bool {
        room[0] <= self.room[0] && room[1] <= self.room[1]
    }

    /// The best value in a room, which is at most that of the table.
    pub(crate) fn value(&self, room: [u64; 2]) -> i64 {
        let [row, column] = self.cell(room);
        self.best[row * self.cells[1] + column]
    }

    /// Items and counts that reach it.
    pub(crate) fn packed(&self, room: [u64; 2]) -> Vec<(usize, u32)> {
        let [mut row, mut column] = self.cell(room);
        let size = self.cells[0] * self.cells[1];
        let mut packed: Vec<(usize, u32)> = Vec::new();
        for (at, pack) in self.packs.iter().enumerate().rev() {
            if !self.is_taken[at * size + row * self.cells[1] + column] {
                continue;
            }
            let [down, along] = self.sizes[pack.item];
            row -= down * pack.count as usize;
            column -= along * pack.count as usize;
            match packed.last_mut() {
                Some((item, count)) if *item == pack.item => *count += pack.count,
                _ => packed.push((pack.item, pack.count)),
            }
        }
        packed
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    fn by_trying(items: &[TableItem], room: [u64; 2]) -> i64 {
        let Some((item, others)) = items.split_first() else { return 0 };
        let fits = |count: u32| (0..2).all(|d| item.size[d] * u64::from(count) <= room[d]);
        let all = (0..=item.max_count).filter(|count| fits(*count)).map(|count| {
            let left = [0, 1].map(|d| room[d] - item.size[d] * u64::from(count));
            item.value * i64::from(count) + by_trying(others, left)
        });
        all.max().unwrap_or(0)
    }

    #[test]
    fn a_table_finds_what_trying_all_finds_in_each_room() {
        let seed = rand::random::<u64>();
        println!("seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        for _ in 0..300 {
            let items: Vec<TableItem> = (0..rng.random_range(1..6))
                .map(|_| TableItem {
                    value: rng.random_range(-3..20),
                    size: [rng.random_range(0..5) * 500, rng.random_range(0..6) * 1024],
                    max_count: rng.random_range(0..4),
                })
                .collect();
            let table = KnapsackTable::new([6_000, 16_384], &items).expect("a small one");
            for _ in 0..8 {
                let room = [rng.random_range(0..=6_000), rng.random_range(0..=16_384)];
                assert_eq!(table.value(room), by_trying(&items, room), "{items:?} in {room:?}, seed {seed}");
                let packed = table.packed(room);
                let sum = packed.iter().map(|(at, count)| items[*at].value * i64::from(*count)).sum::<i64>();
                assert_eq!(sum, table.value(room), "{packed:?}");
                for (d, room) in room.iter().enumerate() {
                    let used: u64 =
                        packed.iter().map(|(at, count)| items[*at].size[d] * u64::from(*count)).sum();
                    assert!(used <= *room, "{packed:?}");
                }
                assert!(packed.iter().all(|(at, count)| *count <= items[*at].max_count), "{packed:?}");
            }
        }
    }

    #[test]
    fn a_table_that_would_be_too_large_is_none() {
        let item = TableItem { value: 1, size: [1, 1], max_count: u32::MAX };
        assert!(KnapsackTable::new([u64::MAX, u64::MAX], &[item]).is_none());
        assert!(KnapsackTable::new([1 << 20, 1 << 20], &[item]).is_none());
    }
}
