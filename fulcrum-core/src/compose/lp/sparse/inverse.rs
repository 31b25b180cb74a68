//! The inverse of the basis, and what is computed with it.

use super::{DROP_TOLERANCE, NO_POSITION, PIVOT_ERROR, PIVOT_TOLERANCE, SMALL_PIVOT, Scratch, SparseLp};

/// Pivots after which the inverse is computed anew.
pub(super) const PIVOTS_PER_INVERSION: u32 = 120;

impl SparseLp {
    /// Computes a variable's column in terms of the basis.
    pub(super) fn set_column(&mut self, ix: usize) {
        let rows = self.basis.len();
        let column = &mut self.scratch.column;
        column.clear();
        column.resize(rows, 0.0);
        for &(row, a) in &self.columns[ix] {
            for (sum, entry) in column.iter_mut().zip(&self.inverse[row as usize]) {
                *sum += a * entry;
            }
        }
        let is_nonzero = |(at, value): (usize, &f64)| (value.abs() > DROP_TOLERANCE).then_some(at as u32);
        self.scratch.support.clear();
        self.scratch.support.extend(column.iter().enumerate().filter_map(is_nonzero));
        self.work += (rows * (1 + self.columns[ix].len())) as u64;
    }

    /// Computes a row of the inverse, and the same row in terms of all variables that are not basic.
    pub(super) fn set_row(&mut self, at: usize) {
        let Scratch { entries, touched, is_touched, row, .. } = &mut self.scratch;
        for ix in touched.drain(..) {
            entries[ix as usize] = 0.0;
            is_touched[ix as usize] = false;
        }
        entries.resize(self.cost.len(), 0.0);
        is_touched.resize(self.cost.len(), false);
        row.clear();
        row.extend(self.inverse.iter().map(|column| column[at]));
        let mut add = |ix: u32, more: f64| {
            // A sum may be zero in between.
            if !is_touched[ix as usize] {
                is_touched[ix as usize] = true;
                touched.push(ix);
            }
            entries[ix as usize] += more;
        };
        for (row, &factor) in row.iter().enumerate().filter(|(_, factor)| **factor != 0.0) {
            for &(ix, a) in &self.rows[row] {
                add(ix, factor * a);
            }
            add(self.sums[row], -factor);
            self.work += self.rows[row].len() as u64;
        }
        self.work += self.basis.len() as u64;
    }

    /// Exchanges the basic variable at a position for another one, whose column is set; so is the row of the inverse.
    pub(super) fn exchange(&mut self, at: usize, entering: usize) {
        let pivot = self.scratch.column[at];
        let leaving = self.basis[at] as usize;
        self.position[leaving] = NO_POSITION;
        self.position[entering] = at as u32;
        self.basis[at] = entering as u32;
        let support = &self.scratch.support;
        for (column, factor) in self.inverse.iter_mut().zip(&self.scratch.row) {
            if *factor == 0.0 {
                continue;
            }
            let times = factor / pivot;
            for &other in support {
                let other = other as usize;
                let entry = column[other] - self.scratch.column[other] * times;
                column[other] = if entry.abs() < DROP_TOLERANCE { 0.0 } else { entry };
            }
            column[at] = times;
            self.work += support.len() as u64;
        }
        self.pivots += 1;
        self.pivots_since_inversion += 1;
    }

    /// Whether a pivot is small, or differs from what the row says, and a fresh inverse would know better.
    pub(super) fn is_doubtful(&self, entering: usize, pivot: f64) -> bool {
        let differs = (self.scratch.entries[entering] - pivot).abs() > PIVOT_ERROR * (1.0 + pivot.abs());
        self.pivots_since_inversion > 0 && (differs || pivot.abs() < SMALL_PIVOT)
    }

    /// Computes the inverse anew for the present basis.
    pub(super) fn invert_again(&mut self) {
        let sums = self.basis.len();
        let mut free = vec![false; sums];
        let mut is_sum = vec![false; self.cost.len()];
        self.sums.iter().for_each(|sum| is_sum[*sum as usize] = true);
        for (row, sum) in self.sums.iter().enumerate() {
            free[row] = self.position[*sum as usize] != NO_POSITION;
        }
        let basic: Vec<u32> = self.basis.iter().copied().filter(|ix| !is_sum[*ix as usize]).collect();
        self.invert(basic, &free);
    }

    /// Makes these variables basic, as far as they are independent: those with the fewest coefficients first, each in the row
    /// where its entry is largest among rows that are not free. Computes the inverse, values and reduced costs.
    fn invert(&mut self, mut basic: Vec<u32>, free: &[bool]) {
        let rows = self.rows.len();
        self.position.iter_mut().for_each(|at| *at = NO_POSITION);
        for (row, column) in self.inverse.iter_mut().enumerate() {
            column.clear();
            column.resize(rows, 0.0);
            column[row] = -1.0;
            self.basis[row] = self.sums[row];
            self.position[self.sums[row] as usize] = row as u32;
        }
        basic.sort_by_key(|ix| (self.columns[*ix as usize].len(), *ix));
        let mut is_taken = vec![false; rows];
        let mut left = Vec::new();
        for ix in basic {
            self.set_column(ix as usize);
            let entry = |at: usize| self.scratch.column[at].abs();
            let best = |is_right: &dyn Fn(usize) -> bool| {
                let able =
                    (0..rows).filter(|at| !is_taken[*at] && is_right(*at) && entry(*at) > PIVOT_TOLERANCE);
                able.max_by(|a, b| entry(*a).total_cmp(&entry(*b)).then(b.cmp(a)))
            };
            let is_free = |at: usize| free.get(at).copied().unwrap_or(false);
            let Some(at) = best(&|at| !is_free(at)).or_else(|| best(&|_| true)) else {
                left.push(ix);
                continue;
            };
            is_taken[at] = true;
            self.scratch.row.clear();
            self.scratch.row.extend(self.inverse.iter().map(|column| column[at]));
            self.exchange(at, ix as usize);
        }
        for ix in 0..self.cost.len() {
            if self.position[ix] == NO_POSITION {
                self.value[ix] = self.at_bound(ix);
            }
        }
        self.pivots_since_inversion = 0;
        self.has_norms = false;
        self.set_values();
        self.set_reduced_costs();
    }

    /// The bound that a variable is at, or nearest to.
    fn at_bound(&self, ix: usize) -> f64 {
        let (value, low, high) = (self.value[ix], self.lower[ix], self.upper[ix]);
        match (low.is_finite(), high.is_finite()) {
            (true, true) if (value - low).abs() <= (high - value).abs() => low,
            (true, false) => low,
            (_, true) => high,
            (false, false) => 0.0,
        }
    }

    /// Computes the values of the basic variables from the others.
    fn set_values(&mut self) {
        let rows = self.rows.len();
        let mut sums = vec![0.0; rows];
        for ix in 0..self.cost.len() {
            let value = self.value[ix];
            if self.position[ix] == NO_POSITION && value != 0.0 {
                for &(row, a) in &self.columns[ix] {
                    sums[row as usize] += a * value;
                }
            }
        }
        let mut values = vec![0.0; rows];
        for (column, sum) in self.inverse.iter().zip(&sums).filter(|(_, sum)| **sum != 0.0) {
            for (value, entry) in values.iter_mut().zip(column) {
                *value -= entry * sum;
            }
        }
        for (at, value) in values.into_iter().enumerate() {
            self.value[self.basis[at] as usize] = value;
        }
        self.work += (rows * rows) as u64;
    }

    /// Computes the reduced costs from the costs.
    pub(super) fn set_reduced_costs(&mut self) {
        let costs: Vec<f64> = self.basis.iter().map(|ix| self.cost[*ix as usize]).collect();
        let duals: Vec<f64> = self
            .inverse
            .iter()
            .map(|column| column.iter().zip(&costs).map(|(a, cost)| a * cost).sum())
            .collect();
        for ix in 0..self.cost.len() {
            self.reduced[ix] = if self.position[ix] == NO_POSITION {
                self.columns[ix].iter().fold(self.cost[ix], |sum, (row, a)| sum - duals[*row as usize] * a)
            } else {
                0.0
            };
        }
        self.work += (self.rows.len() * self.rows.len() + self.cost.len()) as u64;
    }

    /// The squared norm of each row of the inverse.
    pub(super) fn set_norms(&mut self) {
        if self.has_norms {
            return;
        }
        let rows = self.rows.len();
        self.norms.clear();
        self.norms.resize(rows, 0.0);
        for column in &self.inverse {
            for (norm, entry) in self.norms.iter_mut().zip(column) {
                *norm += entry * entry;
            }
        }
        self.has_norms = true;
        self.work += (rows * rows) as u64;
    }
}
