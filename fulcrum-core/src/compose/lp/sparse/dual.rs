//! The dual simplex, by steepest edge (J. J. Forrest, D. Goldfarb, "Steepest-edge simplex algorithms for linear programming",
//! Mathematical Programming 57, 1992).

use super::{
    DUAL_TOLERANCE, LpEnd, MIN_COST_CHANGE, NO_POSITION, PIVOT_TOLERANCE, PRIMAL_TOLERANCE, SparseLp, chance,
    inverse::PIVOTS_PER_INVERSION,
};

impl SparseLp {
    /// To values that meet all rows and bounds. Costs change on the way, so that no reduced cost has the wrong sign.
    pub(super) fn dual(&mut self, cutoff: f64, should_stop: &mut dyn FnMut() -> bool) -> LpEnd {
        let is_changed = self.correct_all_signs();
        // Costs that were lowered say nothing about the cutoff.
        let cutoff = if is_changed { f64::INFINITY } else { cutoff };
        let end = self.dual_steps(cutoff, should_stop);
        self.restore_costs();
        end
    }

    fn restore_costs(&mut self) {
        let mut is_basic = false;
        for ix in 0..self.cost.len() {
            let change = self.told_cost[ix] - self.cost[ix];
            if change != 0.0 {
                self.cost[ix] = self.told_cost[ix];
                is_basic |= self.position[ix] != NO_POSITION;
                if self.position[ix] == NO_POSITION {
                    self.reduced[ix] += change;
                }
            }
        }
        if is_basic {
            self.set_reduced_costs();
        }
    }

    /// Changes the cost of a variable if its reduced cost has the wrong sign. Returns by how much.
    fn correct_sign(&mut self, ix: usize) -> f64 {
        let reduced = self.reduced[ix];
        if self.position[ix] != NO_POSITION || reduced == 0.0 || self.lower[ix] == self.upper[ix] {
            return 0.0;
        }
        let is_right = if self.value[ix] <= self.lower[ix] {
            reduced >= 0.0
        } else {
            self.value[ix] >= self.upper[ix] && reduced <= 0.0
        };
        if is_right {
            return 0.0;
        }
        self.cost[ix] -= reduced;
        self.reduced[ix] = 0.0;
        reduced.abs()
    }

    /// Returns whether a cost has changed by more than a rounding error.
    fn correct_all_signs(&mut self) -> bool {
        self.work += self.cost.len() as u64;
        (0..self.cost.len()).fold(false, |any, ix| any | (self.correct_sign(ix) > DUAL_TOLERANCE))
    }

    /// Moves the reduced costs away from zero, each by another amount: many equal ones make the steps vanish.
    fn perturb_costs(&mut self) {
        for ix in 0..self.cost.len() {
            if self.position[ix] != NO_POSITION || self.lower[ix] == self.upper[ix] {
                continue;
            }
            let more =
                MIN_COST_CHANGE * (1.0 + chance(ix as u64, 11)) * (1.0 + self.told_cost[ix].abs() * 1e-2);
            let sign = if self.value[ix] <= self.lower[ix] { 1.0 } else { -1.0 };
            self.cost[ix] += sign * more;
            self.reduced[ix] += sign * more;
        }
    }

    fn dual_steps(&mut self, cutoff: f64, should_stop: &mut dyn FnMut() -> bool) -> LpEnd {
        let mut asked = self.work;
        let mut objective = self.objective();
        let most = 1_000 + 50 * self.rows.len() as u64;
        let (mut stalled, mut is_perturbed) = (0, false);
        for _ in 0..most {
            if self.is_stopped(&mut asked, should_stop) {
                return LpEnd::Interrupted;
            }
            if self.pivots_since_inversion >= PIVOTS_PER_INVERSION {
                self.invert_again();
                self.correct_all_signs();
                objective = self.objective();
            }
            if objective > cutoff {
                return LpEnd::CutOff;
            }
            self.set_norms();
            let Some((at, is_below)) = self.most_violated() else { return LpEnd::Optimal };
            self.set_row(at);
            let Some(entering) = self.entering_dual(is_below) else { return LpEnd::Infeasible };
            self.set_column(entering);
            let pivot = self.scratch.column[at];
            if self.is_doubtful(entering, pivot) {
                self.invert_again();
                self.correct_all_signs();
                objective = self.objective();
                continue;
            }
            let out = self.basis[at] as usize;
            let target = if is_below { self.lower[out] } else { self.upper[out] };
            let step = (self.value[out] - target) / pivot;
            objective += self.reduced[entering] * step;
            stalled += u32::from(self.reduced[entering].abs() < DUAL_TOLERANCE);
            if !is_perturbed && stalled > 30 + self.rows.len() as u32 / 8 {
                is_perturbed = true;
                self.perturb_costs();
            }
            self.move_basics(step);
            self.value[entering] += step;
            self.value[out] = target;
            self.update_norms(at, pivot);
            self.update_reduced_costs(entering, out, pivot);
            self.exchange(at, entering);
            for touched in 0..self.scratch.touched.len() {
                self.correct_sign(self.scratch.touched[touched] as usize);
            }
        }
        LpEnd::Interrupted
    }

    /// The position of the basic variable that is farthest beyond a bound, by the norm of its row, and whether it is below.
    pub(super) fn most_violated(&self) -> Option<(usize, bool)> {
        let mut worst = (0.0, None);
        for (at, &ix) in self.basis.iter().enumerate() {
            let ix = ix as usize;
            let (below, above) = (self.lower[ix] - self.value[ix], self.value[ix] - self.upper[ix]);
            let beyond = below.max(above);
            if beyond <= PRIMAL_TOLERANCE * 5.0 {
                continue;
            }
            let norm = if self.has_norms { self.norms[at] } else { 1.0 };
            let score = beyond * beyond / norm;
            if score > worst.0 {
                worst = (score, Some((at, below > above)));
            }
        }
        worst.1
    }

    /// The variable that repairs the row at the least cost; of nearly equal ones that with the largest entry.
    fn entering_dual(&self, is_below: bool) -> Option<usize> {
        let sign = if is_below { -1.0 } else { 1.0 };
        let able = |ix: usize| {
            if self.position[ix] != NO_POSITION || self.lower[ix] == self.upper[ix] {
                return None;
            }
            let entry = sign * self.scratch.entries[ix];
            let (is_low, is_high) = (self.value[ix] <= self.lower[ix], self.value[ix] >= self.upper[ix]);
            let can = match (is_low, is_high) {
                (true, _) => entry > PIVOT_TOLERANCE,
                (_, true) => entry < -PIVOT_TOLERANCE,
                _ => entry.abs() > PIVOT_TOLERANCE,
            };
            can.then_some((self.reduced[ix].abs(), entry.abs()))
        };
        let touched = || self.scratch.touched.iter().map(|ix| *ix as usize);
        let least = touched()
            .filter_map(able)
            .map(|(reduced, entry)| (reduced + DUAL_TOLERANCE) / entry)
            .fold(f64::INFINITY, f64::min);
        let mut best: Option<(f64, usize)> = None;
        for ix in touched() {
            let Some((reduced, entry)) = able(ix) else { continue };
            let is_larger = best.is_none_or(|(most, other)| entry > most || (entry == most && ix < other));
            if reduced / entry <= least && is_larger {
                best = Some((entry, ix));
            }
        }
        best.map(|(_, ix)| ix)
    }

    /// The squared norms after an exchange.
    fn update_norms(&mut self, at: usize, pivot: f64) {
        let rows = self.basis.len();
        let mut product = vec![0.0; rows];
        for (column, factor) in
            self.inverse.iter().zip(&self.scratch.row).filter(|(_, factor)| **factor != 0.0)
        {
            for (sum, entry) in product.iter_mut().zip(column) {
                *sum += entry * factor;
            }
            self.work += rows as u64;
        }
        let own = self.norms[at];
        for &other in &self.scratch.support {
            let other = other as usize;
            if other != at {
                let ratio = self.scratch.column[other] / pivot;
                let norm = self.norms[other] - 2.0 * ratio * product[other] + ratio * ratio * own;
                self.norms[other] = norm.max(ratio * ratio * own).max(1e-6);
            }
        }
        self.norms[at] = (own / (pivot * pivot)).max(1e-6);
    }
}
