//! Safe dual bounds: lower bounds that hold to the last micro-unit, whatever rounding errors the simplex made.
//!
//! For any dual values λ of the rows, `cost·x = Σ (cost_j − λA_j) x_j + Σ λ_r (A x)_r`. The minimum of each term over
//! its own bounds is therefore a lower bound on the cost (A. Neumaier, O. Shcherbina, "Safe bounds in linear and
//! mixed-integer linear programming", Mathematical Programming 99, 2004; as a Lagrangian relaxation of all rows: M. L.
//! Fisher, "The Lagrangian relaxation method for solving integer programming problems", Management Science 27(1),
//! 1981).
//!
//! Neumaier and Shcherbina round outwards in interval arithmetic. Here λ is rounded to a fixed-point number and the
//! rest is computed in 128-bit integers. With λ near the optimal dual values the bound is that of the linear program,
//! less a rounding error far below one micro-unit.

use crate::compose::{
    id_vec::{Id, IdVec},
    mip::{
        model::{Mip, Row, Var},
        var_bounds::VarBounds,
    },
};

/// Dual values are in units of 2⁻³⁶ micro-units.
pub(crate) const SCALE_BITS: u32 = 36;

/// A dual value in whole micro-units, rounded down.
pub(crate) fn floor_to_micros(dual: i128) -> i64 {
    i64::try_from(dual >> SCALE_BITS).unwrap_or(0)
}

/// A value in the unit of dual values as micro-units, rounded down and clamped to 64 bits.
pub(crate) fn descale(figure: i128) -> i64 {
    (figure >> SCALE_BITS).clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

/// Whole micro-units in the unit of dual values.
pub(crate) fn micros_to_scaled(micros: i64) -> i128 {
    i128::from(micros) << SCALE_BITS
}

/// The bound of some dual values, in the cost's unit, rounded up as costs are integers. `None` if the arithmetic
/// leaves 128 bits. Time: O(coefficients).
pub(crate) fn lagrangian_bound(mip: &Mip, bounds: &VarBounds, duals: &IdVec<Row, i128>) -> Option<i128> {
    let scaled = lagrangian_minimum(mip, bounds, duals, 1 << SCALE_BITS)?;
    // Rounding up a negative number must go towards zero; `div_euclid` rounds down, so go the other way round.
    Some(-(-scaled).div_euclid(1 << SCALE_BITS))
}

/// Whether dual values prove that no assignment within the bounds meets all rows (a Farkas proof): then `0 ≥ minimum >
/// 0`.
pub(crate) fn proves_infeasible(mip: &Mip, bounds: &VarBounds, duals: &IdVec<Row, i128>) -> bool {
    lagrangian_minimum(mip, bounds, duals, 0).is_some_and(|minimum| minimum > 0)
}

/// The minimum of `Σ (scale·cost_j − λA_j) x_j + Σ λ_r s_r` over the bounds of `x` and of the row sums `s`.
fn lagrangian_minimum(mip: &Mip, bounds: &VarBounds, duals: &IdVec<Row, i128>, scale: i128) -> Option<i128> {
    let mut sum = row_contribution(mip, duals)?;
    for var in mip.cost.ids() {
        if bounds.lower[var] == 0 && bounds.upper[var] == 0 {
            continue;
        }
        let reduced = reduced_cost(mip, duals, var, scale)?;
        let value = if reduced > 0 { bounds.lower[var] } else { bounds.upper[var] };
        sum = sum.checked_add(reduced.checked_mul(value.into())?)?;
    }
    Some(sum)
}

/// The minimum of the rows' part.
fn row_contribution(mip: &Mip, duals: &IdVec<Row, i128>) -> Option<i128> {
    let mut sum = 0i128;
    for row in mip.row_lower.ids() {
        let dual = duals[row];
        let limit = match dual.signum() {
            0 => continue,
            1 => mip.row_lower[row]?,
            _ => mip.row_upper[row]?,
        };
        sum = sum.checked_add(dual.checked_mul(limit.into())?)?;
    }
    Some(sum)
}

/// The reduced cost of a variable, in the unit of dual values.
fn reduced_cost(mip: &Mip, duals: &IdVec<Row, i128>, var: Var, scale: i128) -> Option<i128> {
    let mut reduced = scale.checked_mul(mip.cost[var].into())?;
    for &(row, factor) in &mip.coefficients[var] {
        let dual = duals[row];
        if dual != 0 {
            reduced = reduced.checked_sub(dual.checked_mul(factor.into())?)?;
        }
    }
    Some(reduced)
}

/// The dual values in 64 bits, if they fit. A product with a coefficient is then below 2¹²⁶, and one check per sum is
/// enough.
fn narrow_to_i64(duals: &IdVec<Row, i128>) -> Option<Vec<i64>> {
    duals.iter().map(|(_, dual)| i64::try_from(*dual).ok()).collect()
}

/// The reduced costs of all variables at some duals, and the lower bound that these duals give.
#[derive(Debug, Clone)]
pub(crate) struct ReducedCosts {
    /// In micro-units, rounded down. A variable that can only be zero has the entry 0.
    pub(crate) costs: IdVec<Var, i64>,
    /// In micro-units, rounded up.
    pub(crate) bound: i128,
}

/// Computes the reduced cost of each variable and the bound; `None` if the arithmetic leaves 128 bits.
///
/// A plan in which one variable is one off the limit that the bound assumes costs at least the bound plus its reduced
/// cost, less one for the rounding.
pub(crate) fn reduced_costs(mip: &Mip, bounds: &VarBounds, duals: &IdVec<Row, i128>) -> Option<ReducedCosts> {
    let mut sum = row_contribution(mip, duals)?;
    let mut costs = Vec::with_capacity(mip.cost.len());
    let narrow = narrow_to_i64(duals);
    for (var, cost) in mip.cost.iter() {
        let (low, high) = (bounds.lower[var], bounds.upper[var]);
        if low == 0 && high == 0 {
            costs.push(0); // it adds nothing, and its reduced cost is not needed
            continue;
        }
        let reduced = match &narrow {
            Some(narrow) => {
                let mut reduced = i128::from(*cost) << SCALE_BITS;
                for &(row, factor) in &mip.coefficients[var] {
                    let product = i128::from(narrow[row.index()]) * i128::from(factor);
                    reduced = reduced.checked_sub(product)?;
                }
                reduced
            }
            None => reduced_cost(mip, duals, var, 1 << SCALE_BITS)?,
        };
        let value = if reduced > 0 { low } else { high };
        sum = match value {
            0 => sum,
            1 => sum.checked_add(reduced)?,
            _ => sum.checked_add(reduced.checked_mul(value.into())?)?,
        };
        costs.push(i64::try_from(reduced >> SCALE_BITS).ok()?);
    }
    // As in `lagrangian_bound`.
    let bound = -(-sum).div_euclid(1 << SCALE_BITS);
    Some(ReducedCosts { costs: costs.into_iter().collect(), bound })
}
