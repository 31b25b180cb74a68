//! Reduced-cost fixing.

use crate::compose::{
    id_vec::IdVec,
    mip::{model::Var, var_bounds::Bounds},
};

impl Bounds {
    /// Unknowns whose price is more than the room that is left to gain stay where they are (reduced cost fixing;
    /// exact, as the price is: G. L. Nemhauser, L. A. Wolsey, *Integer and Combinatorial Optimization*, Wiley 1988,
    /// §II.5.3). Prices were rounded down: room for one more must be in `room`.
    pub(crate) fn fix(&mut self, prices: &IdVec<Var, i64>, room: i128) {
        for (var, price) in prices.iter() {
            let (low, high) = (self.low[var], self.high[var]);
            if low < high && i128::from(*price) > room {
                self.high[var] = low;
            } else if low < high && i128::from(-*price) > room {
                self.low[var] = high;
            }
        }
    }
}
