//! Which unknown to branch on: what branching on it has brought so far.
#![expect(clippy::float_arithmetic, reason = "chooses what to branch on, and decides nothing else")]

use crate::compose::{id_vec::Id, lp::simplex::Simplex, mip::model::Var};

/// One side of a branching.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Split {
    var: Var,
    is_up: bool,
    /// How far the relaxation is moved by it.
    distance: f64,
}

impl Split {
    /// The side on which `var` lies in `low..=high`, whose value in the relaxation is outside.
    pub(crate) fn new(simplex: &Simplex, var: Var, (low, high): (i64, i64), is_up: bool) -> Self {
        let value = simplex.value(var);
        Self { var, is_up, distance: (low as f64 - value).max(value - high as f64).max(1e-3) }
    }
}

/// What branchings have added to the bound for each unit of distance.
#[derive(Debug, Clone, Copy, Default)]
struct Gain {
    sum: f64,
    count: f64,
}

impl Gain {
    fn add(&mut self, gain: f64) {
        self.sum += gain;
        self.count += 1.0;
    }
}

/// What branching downwards and upwards on each unknown has added to the bound, on average (pseudo-costs: M. Bénichou
/// et al., "Experiments in mixed-integer linear programming", Mathematical Programming 1, 1971).
#[derive(Debug, Clone)]
pub(crate) struct Gains {
    of: Vec<[Gain; 2]>,
    all: Gain,
}

impl Gains {
    pub(crate) fn new(vars: usize) -> Self {
        Self { of: vec![[Gain::default(); 2]; vars], all: Gain::default() }
    }

    pub(crate) fn learn(&mut self, split: Option<Split>, gain: i128) {
        if let Some(split) = split {
            let gain = gain as f64 / split.distance;
            self.of[split.var.index()][usize::from(split.is_up)].add(gain);
            self.all.add(gain);
        }
    }

    /// How much both sides of a branching are expected to add, multiplied; in whole numbers, to be compared.
    pub(crate) fn promise(&self, simplex: &Simplex, var: Var) -> u128 {
        let value = simplex.value(var);
        let part = value - value.floor();
        let [down, up] = self.of[var.index()];
        let mean = |gain: Gain| {
            if gain.count > 0.0 {
                gain.sum / gain.count
            } else {
                1.0 + self.all.sum / self.all.count.max(1.0)
            }
        };
        let product = (mean(down) * part).max(1e-3) * (mean(up) * (1.0 - part)).max(1e-3);
        (product * 1e6) as u128
    }
}
