//! Pseudo-costs: which variable to branch on, by what branching on it gained before.
#![expect(clippy::float_arithmetic, reason = "chooses what to branch on, and decides nothing else")]

use crate::compose::{id_vec::Id, lp::simplex::Simplex, mip::model::Var};

/// One side of a branching.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Branching {
    var: Var,
    is_up: bool,
    /// The distance from the relaxation's value to this side.
    distance: f64,
}

impl Branching {
    /// The side on which `var` lies in `low..=high`; its value in the relaxation is outside.
    pub(crate) fn new(simplex: &Simplex, var: Var, (low, high): (i64, i64), is_up: bool) -> Self {
        let value = simplex.value(var);
        Self { var, is_up, distance: (low as f64 - value).max(value - high as f64).max(1e-3) }
    }
}

/// The sum of gains per unit of distance, and their number.
#[derive(Debug, Clone, Copy, Default)]
struct PseudoCost {
    sum: f64,
    count: f64,
}

impl PseudoCost {
    fn add(&mut self, gain: f64) {
        self.sum += gain;
        self.count += 1.0;
    }
}

/// The average gain of the bound per unit of distance, for branching down and up on each variable (M. Bénichou et al.,
/// "Experiments in mixed-integer linear programming", Mathematical Programming 1, 1971).
#[derive(Debug, Clone)]
pub(crate) struct PseudoCosts {
    by_var: Vec<[PseudoCost; 2]>,
    all: PseudoCost,
}

impl PseudoCosts {
    pub(crate) fn new(vars: usize) -> Self {
        Self { by_var: vec![[PseudoCost::default(); 2]; vars], all: PseudoCost::default() }
    }

    pub(crate) fn update(&mut self, branching: Option<Branching>, gain: i128) {
        if let Some(branching) = branching {
            let gain = gain as f64 / branching.distance;
            self.by_var[branching.var.index()][usize::from(branching.is_up)].add(gain);
            self.all.add(gain);
        }
    }

    /// The product of the expected gains of both sides, as an integer.
    pub(crate) fn score(&self, simplex: &Simplex, var: Var) -> u128 {
        let value = simplex.value(var);
        let part = value - value.floor();
        let [down, up] = self.by_var[var.index()];
        let mean = |cost: PseudoCost| {
            if cost.count > 0.0 {
                cost.sum / cost.count
            } else {
                1.0 + self.all.sum / self.all.count.max(1.0)
            }
        };
        let product = (mean(down) * part).max(1e-3) * (mean(up) * (1.0 - part)).max(1e-3);
        (product * 1e6) as u128
    }
}
