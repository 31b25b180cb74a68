//! The primal simplex, with reference weights (P. M. J. Harris, "Pivot selection methods of the Devex LP code", Mathematical
//! Programming 5, 1973).

use super::{
    DUAL_TOLERANCE, LpEnd, NO_POSITION, PIVOT_TOLERANCE, PRIMAL_TOLERANCE, SparseLp,
    inverse::PIVOTS_PER_INVERSION,
};

impl SparseLp {
    /// From values that meet all rows and bounds to the least cost.
    pub(super) fn primal(&mut self, should_stop: &mut dyn FnMut() -> bool) -> LpEnd {
        let mut asked = self.work;
        let most = 1_000 + 50 * self.rows.len() as u64 + self.cost.len() as u64;
        for _ in 0..most {
            if self.is_stopped(&mut asked, should_stop) {
                return LpEnd::Interrupted;
            }
            if self.pivots_since_inversion >= PIVOTS_PER_INVERSION {
                self.invert_again();
                if self.most_violated().is_some() {
                    return LpEnd::Interrupted;
                }
            }
            let Some(entering) = self.entering() else { return LpEnd::Optimal };
            self.set_column(entering);
            let rises = self.reduced[entering] < 0.0;
            let direction = if rises { 1.0 } else { -1.0 };
            let value = self.value[entering];
            let range = if rises { self.upper[entering] - value } else { value - self.lower[entering] };
            let (step, leaving) = match self.leaving(direction) {
                Some((step, at)) if step < range => (step, Some(at)),
                _ if range.is_finite() => (range, None),
                Some((step, at)) => (step, Some(at)),
                None => return LpEnd::Interrupted,
            };
            let Some(at) = leaving else {
                let target = if rises { self.upper[entering] } else { self.lower[entering] };
                self.move_basics(direction * step);
                self.value[entering] = target;
                continue;
            };
            self.set_row(at);
            let pivot = self.scratch.column[at];
            if self.is_doubtful(entering, pivot) {
                self.invert_again();
                if self.most_violated().is_some() {
                    return LpEnd::Interrupted;
                }
                continue;
            }
            self.move_basics(direction * step);
            self.value[entering] += direction * step;
            let out = self.basis[at] as usize;
            self.value[out] = if direction * pivot > 0.0 { self.lower[out] } else { self.upper[out] };
            self.update_reduced_costs(entering, out, pivot);
            self.update_weights(entering, out, pivot);
            self.has_norms = false;
            self.exchange(at, entering);
        }
        LpEnd::Interrupted
    }

    /// The variable whose move lowers the cost fastest, by its weight.
    fn entering(&mut self) -> Option<usize> {
        let mut best = (0.0, None);
        for (ix, &reduced) in self.reduced.iter().enumerate() {
            if reduced.abs() <= DUAL_TOLERANCE || self.position[ix] != NO_POSITION {
                continue;
            }
            let value = self.value[ix];
            let can_move = if reduced < 0.0 { value < self.upper[ix] } else { value > self.lower[ix] };
            let score = reduced * reduced / self.weights[ix];
            if can_move && score > best.0 {
                best = (score, Some(ix));
            }
        }
        self.work += self.cost.len() as u64;
        best.1
    }

    /// How far the entering variable can go, and the position of the basic variable that stops it: of nearly equal ones that
    /// with the largest entry (Harris, 1973).
    fn leaving(&self, direction: f64) -> Option<(f64, usize)> {
        let limit = |at: usize, slack: f64| {
            let change = -direction * self.scratch.column[at];
            let ix = self.basis[at] as usize;
            if change < -PIVOT_TOLERANCE {
                Some((self.value[ix] - self.lower[ix] + slack) / -change)
            } else if change > PIVOT_TOLERANCE {
                Some((self.upper[ix] - self.value[ix] + slack) / change)
            } else {
                None
            }
        };
        let support = || self.scratch.support.iter().map(|at| *at as usize);
        let most = support().filter_map(|at| limit(at, PRIMAL_TOLERANCE)).fold(f64::INFINITY, f64::min);
        if most == f64::INFINITY {
            return None;
        }
        let able = support().filter_map(|at| Some((limit(at, 0.0)?, at))).filter(|(step, _)| *step <= most);
        let entry = |at: usize| self.scratch.column[at].abs();
        let (step, at) = able.max_by(|(_, a), (_, b)| entry(*a).total_cmp(&entry(*b)).then(b.cmp(a)))?;
        Some((step.max(0.0), at))
    }

    /// Moves the basic variables as far as the entering one moves.
    pub(super) fn move_basics(&mut self, step: f64) {
        if step == 0.0 {
            return;
        }
        for &at in &self.scratch.support {
            let basic = self.basis[at as usize] as usize;
            self.value[basic] -= self.scratch.column[at as usize] * step;
        }
    }

    /// The reduced costs after an exchange.
    pub(super) fn update_reduced_costs(&mut self, entering: usize, leaving: usize, pivot: f64) {
        let times = self.reduced[entering] / pivot;
        if times != 0.0 {
            for &ix in &self.scratch.touched {
                let ix = ix as usize;
                if self.position[ix] == NO_POSITION {
                    self.reduced[ix] -= times * self.scratch.entries[ix];
                }
            }
        }
        self.reduced[entering] = 0.0;
        self.reduced[leaving] = -times;
    }

    /// The reference weights after an exchange.
    fn update_weights(&mut self, entering: usize, leaving: usize, pivot: f64) {
        let own = self.weights[entering];
        for &ix in &self.scratch.touched {
            let ix = ix as usize;
            if self.position[ix] == NO_POSITION {
                let ratio = self.scratch.entries[ix] / pivot;
                self.weights[ix] = self.weights[ix].max(ratio * ratio * own);
            }
        }
        let weight = (own / (pivot * pivot)).max(1.0);
        self.weights[leaving] = weight;
        if weight > 1e7 {
            self.weights.iter_mut().for_each(|weight| *weight = 1.0);
        }
    }
}
