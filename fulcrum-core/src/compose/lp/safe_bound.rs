//! Bounds that hold to the last micro-unit, whatever the adviser got wrong.
//!
//! For any multipliers λ on the rows, `cost·x = Σ (cost_j − λA_j) x_j + Σ λ_r (A x)_r`, so the minimum of each
//! term over its own limits is a bound on the cost (Lagrangian relaxation of all rows; M. L. Fisher, "The
//! Lagrangian relaxation method for solving integer programming problems", Management Science 27(1), 1981).
//! With λ near the simplex multipliers it is the bound of the linear program, less a rounding error that is
//! far below one micro-unit.

use crate::compose::{
    id_vec::{Id, IdVec},
    mip::{
        model::{Program, Row, Var},
        var_bounds::Bounds,
    },
};

/// Multipliers are in units of 2⁻³⁶ micro-units.
pub(crate) const SCALE_BITS: u32 = 36;

/// A multiplier as a whole number of micro-units, rounded down: what is carried is worth no more than that.
pub(crate) fn whole(multiplier: i128) -> i64 {
    i64::try_from(multiplier >> SCALE_BITS).unwrap_or(0)
}

/// A figure in the multipliers' unit as micro-units, rounded down; no more than fits.
pub(crate) fn unscaled(figure: i128) -> i64 {
    (figure >> SCALE_BITS).clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

/// A whole number of micro-units as a multiplier.
pub(crate) fn scaled_whole(micros: i64) -> i128 {
    i128::from(micros) << SCALE_BITS
}

/// The bound that multipliers give, in the cost's unit, rounded up as costs are whole; `None` if the arithmetic
/// leaves 128 bits, which then proves nothing. Time: O(entries).
pub(crate) fn lagrange(program: &Program, bounds: &Bounds, multipliers: &IdVec<Row, i128>) -> Option<i128> {
    let scaled = minimum(program, bounds, multipliers, 1 << SCALE_BITS)?;
    // Rounding up a negative number must go towards zero; `div_euclid` rounds down, so go the other way round.
    Some(-(-scaled).div_euclid(1 << SCALE_BITS))
}

/// Whether multipliers show that no assignment within the limits meets all rows: then `0 ≥ minimum > 0`.
pub(crate) fn proves_infeasible(program: &Program, bounds: &Bounds, multipliers: &IdVec<Row, i128>) -> bool {
    minimum(program, bounds, multipliers, 0).is_some_and(|minimum| minimum > 0)
}

/// The least of `Σ (scale·cost_j − λA_j) x_j + Σ λ_r s_r` over limits of `x` and of the row sums `s`.
fn minimum(program: &Program, bounds: &Bounds, multipliers: &IdVec<Row, i128>, scale: i128) -> Option<i128> {
    let mut sum = row_part(program, multipliers)?;
    for var in program.cost.ids() {
        if bounds.low[var] == 0 && bounds.high[var] == 0 {
            continue;
        }
        let reduced = price(program, multipliers, var, scale)?;
        let value = if reduced > 0 { bounds.low[var] } else { bounds.high[var] };
        sum = sum.checked_add(reduced.checked_mul(value.into())?)?;
    }
    Some(sum)
}

/// The least of the rows' part.
fn row_part(program: &Program, multipliers: &IdVec<Row, i128>) -> Option<i128> {
    let mut sum = 0i128;
    for row in program.row_low.ids() {
        let multiplier = multipliers[row];
        let limit = match multiplier.signum() {
            0 => continue,
            1 => program.row_low[row]?,
            _ => program.row_high[row]?,
        };
        sum = sum.checked_add(multiplier.checked_mul(limit.into())?)?;
    }
    Some(sum)
}

/// What one more of an unknown costs above its worth.
fn price(program: &Program, multipliers: &IdVec<Row, i128>, var: Var, scale: i128) -> Option<i128> {
    let mut reduced = scale.checked_mul(program.cost[var].into())?;
    for &(row, factor) in &program.entries[var] {
        let multiplier = multipliers[row];
        if multiplier != 0 {
            reduced = reduced.checked_sub(multiplier.checked_mul(factor.into())?)?;
        }
    }
    Some(reduced)
}

/// The multipliers in 64 bits, if they fit: a product with a factor is then below 2¹²⁶, and a sum is checked once.
fn narrow(multipliers: &IdVec<Row, i128>) -> Option<Vec<i64>> {
    multipliers.iter().map(|(_, multiplier)| i64::try_from(*multiplier).ok()).collect()
}

/// What each unknown costs above its worth at some multipliers, in micro-units rounded down, and the bound that they
/// give, rounded up: a plan in which an unknown is one off the limit that the bound has it at costs no less than both
/// together, less one for the rounding. Of an unknown that can only be zero the price is not worked out.
pub(crate) fn reduced_costs(
    program: &Program,
    bounds: &Bounds,
    multipliers: &IdVec<Row, i128>,
) -> Option<(IdVec<Var, i64>, i128)> {
    let mut sum = row_part(program, multipliers)?;
    let mut prices = Vec::with_capacity(program.cost.len());
    let narrow = narrow(multipliers);
    for (var, cost) in program.cost.iter() {
        let (low, high) = (bounds.low[var], bounds.high[var]);
        if low == 0 && high == 0 {
            prices.push(0); // it adds nothing, and no one asks
            continue;
        }
        let reduced = match &narrow {
            Some(narrow) => {
                let mut reduced = i128::from(*cost) << SCALE_BITS;
                for &(row, factor) in &program.entries[var] {
                    let product = i128::from(narrow[row.index()]) * i128::from(factor);
                    reduced = reduced.checked_sub(product)?;
                }
                reduced
            }
            None => price(program, multipliers, var, 1 << SCALE_BITS)?,
        };
        let value = if reduced > 0 { low } else { high };
        sum = match value {
            0 => sum,
            1 => sum.checked_add(reduced)?,
            _ => sum.checked_add(reduced.checked_mul(value.into())?)?,
        };
        prices.push(i64::try_from(reduced >> SCALE_BITS).ok()?);
    }
    // As in `lagrange`.
    Some((prices.into_iter().collect(), -(-sum).div_euclid(1 << SCALE_BITS)))
}

/// What each unknown costs above its worth at the root, in micro-units, and the root's bound.
pub(crate) type Ranked = (IdVec<Var, i64>, i128);
