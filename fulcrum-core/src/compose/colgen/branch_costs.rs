//! What a bound on the replicas in a place gained before, and which place to split next (reliability branching: T. Achterberg, T.
//! Koch, A. Martin, "Branching rules revisited", Operations Research Letters 33(1), 2005).
#![expect(clippy::float_arithmetic, reason = "chooses where to split, and decides nothing else")]

use rustc_hash::FxHashMap;

use super::row_pool::BranchKey;

/// Gains from which on a side is known.
const MIN_GAINS: f64 = 3.0;
/// A gain that counts for nothing.
const LEAST_GAIN: f64 = 1e-6;

/// One side of a split: at most the whole number below, or at least the one above.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side {
    pub(super) key: BranchKey,
    pub(super) is_up: bool,
    /// From the number that was split.
    pub(super) distance: f64,
}

#[derive(Debug, Clone, Copy, Default)]
struct PseudoCost {
    sum: f64,
    count: f64,
}

/// The gains of bounds, for each unit of distance, as parts of the whole cost.
#[derive(Debug, Clone, Default)]
pub(super) struct BranchCosts {
    by_key: FxHashMap<BranchKey, [PseudoCost; 2]>,
    all: PseudoCost,
}

impl BranchCosts {
    pub(super) fn add(&mut self, side: Side, gain: f64) {
        let gain = gain.max(0.0) / side.distance.max(1e-3);
        let own = &mut self.by_key.entry(side.key).or_default()[usize::from(side.is_up)];
        for gains in [own, &mut self.all] {
            gains.sum += gain;
            gains.count += 1.0;
        }
    }

    /// Whether both sides of a place are known.
    pub(super) fn is_known(&self, key: BranchKey) -> bool {
        self.by_key.get(&key).is_some_and(|sides| sides.iter().all(|gains| gains.count >= MIN_GAINS))
    }

    /// The gains that the two sides of a number with this fraction should have.
    pub(super) fn expected(&self, key: BranchKey, part: f64) -> [f64; 2] {
        let mean = |gains: PseudoCost| {
            let known = if gains.count > 0.0 { gains } else { self.all };
            known.sum / known.count.max(1.0)
        };
        let [down, up] = self.by_key.get(&key).copied().unwrap_or_default();
        [mean(down) * part, mean(up) * (1.0 - part)]
    }
}

/// How good a split with these gains is: the product.
pub(super) fn score([down, up]: [f64; 2]) -> f64 {
    down.max(LEAST_GAIN) * up.max(LEAST_GAIN)
}
