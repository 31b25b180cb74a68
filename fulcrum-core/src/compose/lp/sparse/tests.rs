use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{LpEnd, LpRow, LpVar, SparseLp};
use crate::compose::{
    id_vec::Id,
    lp::simplex::{LpOutcome, Simplex},
    mip::model::{Mip, Role},
};

/// The value of a program by the dense simplex.
fn dense(mip: &Mip) -> Option<f64> {
    let mut simplex = Simplex::new(mip);
    match simplex.run(i128::MAX, &mut || false) {
        LpOutcome::Optimal => {
            Some(mip.cost.iter().map(|(var, cost)| *cost as f64 * simplex.value(var)).sum())
        }
        _ => None,
    }
}

fn sparse(mip: &Mip, rng: &mut StdRng) -> (SparseLp, Option<f64>) {
    let mut lp = SparseLp::default();
    let mut vars: Vec<LpVar> = Vec::new();
    let mut rows: Vec<LpRow> = Vec::new();
    let all: Vec<_> = mip.cost.ids().collect();
    let split = rng.random_range(0..=all.len());
    for var in &all[..split] {
        let bounds = (mip.lower[*var] as f64, mip.upper[*var] as f64);
        vars.push(lp.add_var(mip.cost[*var] as f64, bounds, []));
    }
    for row in mip.row_lower.ids() {
        let low = mip.row_lower[row].map_or(f64::NEG_INFINITY, |low| low as f64);
        let high = mip.row_upper[row].map_or(f64::INFINITY, |high| high as f64);
        let of = |var: &_| {
            mip.coefficients[*var].iter().find(|(of, _)| *of == row).map_or(0.0, |(_, a)| *a as f64)
        };
        let terms: Vec<_> = all[..split].iter().zip(&vars).map(|(var, at)| (*at, of(var))).collect();
        rows.push(lp.add_row((low, high), terms));
        if rng.random_bool(0.3) {
            lp.solve(f64::INFINITY, &mut || false);
        }
    }
    for var in &all[split..] {
        let bounds = (mip.lower[*var] as f64, mip.upper[*var] as f64);
        let terms: Vec<_> =
            mip.coefficients[*var].iter().map(|(row, a)| (rows[row.index()], *a as f64)).collect();
        vars.push(lp.add_var(mip.cost[*var] as f64, bounds, terms));
        if rng.random_bool(0.3) {
            lp.solve(f64::INFINITY, &mut || false);
        }
    }
    let end = lp.solve(f64::INFINITY, &mut || false);
    let objective = (end == LpEnd::Optimal).then(|| lp.objective());
    (lp, objective)
}

fn program(rng: &mut StdRng) -> Mip {
    let mut mip = Mip::empty();
    let (vars, rows) = (rng.random_range(2..14), rng.random_range(1..10));
    let all: Vec<_> = (0..vars)
        .map(|_| {
            let low = rng.random_range(0..2);
            mip.add_var(Role::Leases, rng.random_range(0..40), low, low + rng.random_range(0..8))
        })
        .collect();
    for _ in 0..rows {
        let terms: Vec<_> = all
            .iter()
            .map(|var| (*var, if rng.random_bool(0.5) { rng.random_range(-4..=6) } else { 0 }))
            .collect();
        let low = rng.random_range(-6..12);
        let bounds = match rng.random_range(0..4) {
            0 => (Some(low), None),
            1 => (None, Some(low)),
            2 => (Some(low), Some(low)),
            _ => (Some(low), Some(low + 5)),
        };
        mip.add_row(bounds.0, bounds.1, terms);
    }
    mip
}

#[test]
fn it_agrees_with_the_dense_simplex_in_any_order_of_rows_columns_and_bounds() {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut solved = 0;
    for case in 0..3_000 {
        let mut mip = program(&mut rng);
        let (mut lp, found) = sparse(&mip, &mut rng);
        let known = dense(&mip);
        let is_near = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() <= 1e-3 * (1.0 + b.abs()),
            (None, None) => true,
            _ => false,
        };
        assert!(is_near(found, known), "case {case} of seed {seed}: {found:?}, and not {known:?}\n{mip:?}");
        solved += usize::from(known.is_some());
        for _ in 0..4 {
            let at = rng.random_range(0..mip.cost.len());
            let var = Id::from_index(at);
            let low = rng.random_range(0..4);
            (mip.lower[var], mip.upper[var]) = (low, low + rng.random_range(0..5));
            // Variables come before rows, or behind them; the test knows them by their order among variables.
            let ix = lp.structural(at);
            lp.set_bounds(ix, (mip.lower[var] as f64, mip.upper[var] as f64));
            let end = lp.solve(f64::INFINITY, &mut || false);
            let found = (end == LpEnd::Optimal).then(|| lp.objective());
            let known = dense(&mip);
            assert!(
                is_near(found, known),
                "case {case} of seed {seed}: {found:?}, and not {known:?}\n{mip:?}"
            );
        }
    }
    assert!(solved > 500, "{solved} programs have a solution");
}

impl SparseLp {
    /// The variable at a position among those that are no sums of rows.
    fn structural(&self, at: usize) -> LpVar {
        let mut vars = (0..self.cost.len()).filter(|ix| !self.sums.contains(&(*ix as u32)));
        LpVar::from_index(vars.nth(at).expect("a variable"))
    }
}
