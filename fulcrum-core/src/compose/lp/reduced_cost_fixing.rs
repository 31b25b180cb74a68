//! Reduced-cost fixing.

use crate::compose::{
    id_vec::IdVec,
    mip::{model::Var, var_bounds::VarBounds},
};

impl VarBounds {
    /// Fixes each variable whose reduced cost exceeds the slack between cutoff and bound (reduced-cost fixing: G. L.
    /// Nemhauser, L. A. Wolsey, *Integer and Combinatorial Optimization*, Wiley 1988, §II.5.3).
    ///
    /// Exact, as the reduced costs are. They were rounded down, so `slack` must include one more.
    pub(crate) fn fix_by_reduced_cost(&mut self, reduced_costs: &IdVec<Var, i64>, slack: i128) {
        for (var, reduced_cost) in reduced_costs.iter() {
            let (low, high) = (self.lower[var], self.upper[var]);
            if low < high && i128::from(*reduced_cost) > slack {
                self.upper[var] = low;
            } else if low < high && i128::from(-*reduced_cost) > slack {
                self.lower[var] = high;
            }
        }
    }
}
