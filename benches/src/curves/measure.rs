//! Runs, with clock and memory read while they go.
//!
//! Memory is what `peak_alloc` counts, for which a program must have made it its allocator; else all is nothing.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use fulcrum_core::{
    catalogue::{Catalogue, CatalogueBuilder},
    compose::{ComposeError, ComposeOptions, Progress, Signal, compose},
    model::{Blueprint, Charge, Plan},
};
use peak_alloc::PeakAlloc;
use rust_decimal::Decimal;

use super::{Point, Recomposed};
use crate::{
    market::{self, Size},
    published::Error,
};

/// Application size of [`again`].
const RECOMPOSED_COMPONENTS: usize = 20;

/// A market with what it takes in memory.
#[derive(Debug)]
pub struct Measured {
    size: Size,
    seed: u64,
    catalogue: Catalogue,
    bytes: usize,
}

/// What was seen of a call to `compose`.
struct Run {
    plan: Option<Plan>,
    reduced_ms: Option<f64>,
    first_ms: Option<f64>,
    one_percent_ms: Option<f64>,
    total_ms: f64,
    problem_bytes: usize,
    peak_bytes: usize,
}

impl Measured {
    /// Makes a market.
    ///
    /// # Errors
    /// As [`market::catalogue`].
    pub fn new(seed: u64, size: Size) -> Result<Self, Error> {
        let before = PeakAlloc.current_usage();
        let catalogue = market::catalogue(seed, size)?;
        let bytes = PeakAlloc.current_usage().saturating_sub(before);
        Ok(Self { size, seed, catalogue, bytes })
    }

    /// Composes an application of so many components, which may share machines or have machines of their own, so many times.
    ///
    /// # Errors
    /// There is no plan at all; time that is up is no error.
    pub fn point(
        &self,
        components: usize,
        is_shared: bool,
        limit: Duration,
        repeat: usize,
    ) -> Result<Point, Error> {
        let blueprint = market::blueprint(self.seed, components, is_shared)?;
        let runs = (0..repeat.max(1))
            .map(|_| run(&self.catalogue, &blueprint, None, limit))
            .collect::<Result<Vec<_>, _>>()?;
        let gap = |run: &Run| run.plan.as_ref().and_then(gap_percent);
        let bytes = |of: fn(&Run) -> usize| runs.iter().map(of).max().unwrap_or(0);
        Ok(Point {
            providers: self.size.providers,
            regions: self.size.regions,
            offers: self.size.offers,
            components,
            seed: self.seed,
            reduced_ms: median(&runs, |run| run.reduced_ms).unwrap_or(f64::NAN),
            first_ms: median(&runs, |run| run.first_ms),
            one_percent_ms: median(&runs, |run| run.one_percent_ms),
            gap_percent: median(&runs, gap),
            total_ms: median(&runs, |run| Some(run.total_ms)).unwrap_or(f64::NAN),
            catalogue_bytes: self.bytes,
            problem_bytes: bytes(|run| run.problem_bytes),
            peak_bytes: bytes(|run| run.peak_bytes),
        })
    }

    /// Raises one per cent of the prices by 3 % and composes again.
    ///
    /// # Errors
    /// There is no plan, or none was found in time.
    pub fn again(self, limit: Duration) -> Result<Recomposed, Error> {
        let blueprint = market::blueprint(self.seed, RECOMPOSED_COMPONENTS, true)?;
        let before = run(&self.catalogue, &blueprint, None, limit)?.plan.ok_or("no plan in time")?;
        let after = with_raised_prices(self.catalogue);
        let anew = run(&after, &blueprint, None, limit)?;
        let again = run(&after, &blueprint, Some(Arc::new(before)), limit)?;
        let gap = |run: &Run| run.plan.as_ref().and_then(gap_percent).ok_or("no plan in time");
        Ok(Recomposed {
            offers: self.size.offers,
            components: RECOMPOSED_COMPONENTS,
            anew_ms: anew.one_percent_ms,
            again_ms: again.one_percent_ms,
            anew_gap_percent: gap(&anew)?,
            again_gap_percent: gap(&again)?,
        })
    }
}

/// The same market after every hundredth machine became 3 % dearer.
fn with_raised_prices(before: Catalogue) -> Catalogue {
    let mut builder = CatalogueBuilder::new(before.taken_at(), before.rates().clone());
    builder.extend(before.ids().map(|ix| {
        let mut offer = before.offer(ix);
        if let (0, Charge::Monthly(amount)) = (ix.index() % 100, &mut offer.price.charge) {
            *amount = (*amount * Decimal::new(103, 2)).round_dp(2);
        }
        offer
    }));
    drop(before); // two large catalogues need not live at once
    builder.build()
}

fn run(
    catalogue: &Catalogue,
    blueprint: &Blueprint,
    start: Option<Arc<Plan>>,
    limit: Duration,
) -> Result<Run, Error> {
    let (mut reduced, mut first, mut one_percent) = (None, None, None);
    let mut problem_bytes = 0;
    let before = PeakAlloc.current_usage();
    PeakAlloc.reset_peak_usage();
    let begin = Instant::now();
    let mut watch = |progress: &Progress| {
        let elapsed = begin.elapsed();
        // Before there is a bound the caller is only asked whether to go on, the last time when all is compiled.
        if progress.bound.is_none() {
            reduced = Some(ms(elapsed));
            problem_bytes = PeakAlloc.current_usage().saturating_sub(before);
        }
        if let (Some(incumbent), Some(bound)) = (progress.incumbent, progress.bound) {
            first.get_or_insert(ms(elapsed));
            if (incumbent - bound) * Decimal::ONE_HUNDRED <= incumbent {
                one_percent.get_or_insert(ms(elapsed));
            }
        }
        if elapsed > limit { Signal::Limit } else { Signal::Continue }
    };
    let options = ComposeOptions { start, ..ComposeOptions::default() };
    let plan = match compose(catalogue, blueprint, &options, &mut watch) {
        Ok(plan) => Some(plan),
        Err(ComposeError::Stopped { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let total_ms = ms(begin.elapsed());
    let peak_bytes = PeakAlloc.peak_usage().saturating_sub(before);
    Ok(Run {
        plan,
        reduced_ms: reduced,
        first_ms: first,
        one_percent_ms: one_percent,
        total_ms,
        problem_bytes,
        peak_bytes,
    })
}

/// In milliseconds with two decimals, which is more than the clock's noise leaves.
fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e5).round() / 100.0
}

fn gap_percent(plan: &Plan) -> Option<f64> {
    plan.gap_percent.try_into().ok()
}

/// The middle one; what a run did not reach counts as never.
fn median(runs: &[Run], of: impl Fn(&Run) -> Option<f64>) -> Option<f64> {
    let mut values: Vec<f64> = runs.iter().map(|run| of(run).unwrap_or(f64::INFINITY)).collect();
    values.sort_by(f64::total_cmp);
    Some(values[values.len() / 2]).filter(|value| value.is_finite())
}
