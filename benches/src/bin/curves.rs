//! Time and gap against the size of a generated market, and how soon an answer comes again after a small change: a
//! table for people. An argument is the largest market that is wanted, in offers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use fulcrum_benches::{
    market::{self, Size},
    published::Error,
};
use fulcrum_core::{
    catalogue::{Catalogue, CatalogueBuilder},
    compose::{ComposeOptions, Progress, Signal, compose},
    model::{Charge, Plan},
};
use rust_decimal::Decimal;

/// One run.
struct Point {
    size: Size,
    components: usize,
    reduced_ms: f64,
    first_ms: f64,
    one_percent_ms: Option<f64>,
    gap_percent: f64,
    total_ms: f64,
    columns: u64,
}

const SIZES: [Size; 4] = [
    Size { providers: 20, regions: 2, offers: 1_000 },
    Size { providers: 20, regions: 5, offers: 10_000 },
    Size { providers: 200, regions: 5, offers: 100_000 },
    Size { providers: 2_000, regions: 5, offers: 1_000_000 },
];

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let seconds = 2.0;
    let largest = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(usize::MAX);
    println!(
        "{:>9} {:>9} {:>7} {:>10} {:>10} {:>9} {:>10} {:>8} {:>9} {:>7}",
        "providers",
        "offers",
        "parts",
        "reduced ms",
        "first ms",
        "1 % at ms",
        "gap %",
        "ms",
        "columns",
        "seed"
    );
    for size in SIZES.into_iter().filter(|size| size.offers <= largest) {
        let seed = 7;
        let catalogue = market::catalogue(seed, size)?;
        for components in [5, 20, 60] {
            let blueprint = market::blueprint(seed, components)?;
            let start = Instant::now();
            let ms = |since: Instant| since.elapsed().as_secs_f64() * 1000.0;
            let (mut reduced, mut first, mut one_percent) = (None, None, None);
            let mut watch = |progress: &Progress| {
                // The first bound comes when the problem is reduced; before that the caller is only asked whether to go on.
                if progress.bound.is_some() {
                    reduced.get_or_insert_with(|| ms(start));
                }
                if let Some(incumbent) = progress.incumbent {
                    first.get_or_insert_with(|| ms(start));
                    let gap = progress.bound.map(|bound| (incumbent - bound) * Decimal::ONE_HUNDRED);
                    if gap.is_some_and(|gap| gap <= incumbent) {
                        one_percent.get_or_insert_with(|| ms(start));
                    }
                }
                if start.elapsed() > Duration::from_secs_f64(seconds) {
                    Signal::Limit
                } else {
                    Signal::Continue
                }
            };
            let plan = compose(&catalogue, &blueprint, &ComposeOptions::default(), &mut watch);
            let total_ms = ms(start);
            let point = match plan {
                Ok(plan) => Point {
                    size,
                    components,
                    reduced_ms: reduced.unwrap_or(0.0),
                    first_ms: first.unwrap_or(total_ms),
                    one_percent_ms: one_percent,
                    gap_percent: plan.gap_percent.try_into().unwrap_or(100.0),
                    total_ms,
                    columns: plan.statistics.patterns,
                },
                Err(error) => {
                    println!(
                        "{:>9} {:>9} {components:>7} {total_ms:>10.1} {error}",
                        size.providers, size.offers
                    );
                    continue;
                }
            };
            println!(
                "{:>9} {:>9} {:>7} {:>10.1} {:>10.1} {:>9} {:>10.2} {:>8.0} {:>9} {seed:>7}",
                point.size.providers,
                point.size.offers,
                point.components,
                point.reduced_ms,
                point.first_ms,
                point.one_percent_ms.map_or("-".to_owned(), |ms| format!("{ms:.0}")),
                point.gap_percent,
                point.total_ms,
                point.columns,
            );
        }
    }
    again(largest)
}

/// The same blueprint after one per cent of the prices has changed: anew, and beginning with the earlier plan.
fn again(largest: usize) -> Result<(), Error> {
    println!(
        "\n20 parts, after 1 % of the prices rose by 3 %: ms until a plan is within 1 % of the bound, gap after 2 s"
    );
    println!("{:>9} {:>12} {:>12} {:>10} {:>10}", "offers", "anew ms", "again ms", "gap %", "gap %");
    for size in SIZES.into_iter().filter(|size| size.offers <= largest) {
        let (seed, blueprint) = (7, market::blueprint(7, 20)?);
        let run = |catalogue: &Catalogue, start: Option<Arc<Plan>>| -> Result<_, Error> {
            let (begin, mut within) = (Instant::now(), None);
            let mut watch = |progress: &Progress| {
                if let (Some(incumbent), Some(bound)) = (progress.incumbent, progress.bound)
                    && (incumbent - bound) * Decimal::ONE_HUNDRED <= incumbent
                {
                    within.get_or_insert_with(|| begin.elapsed().as_millis());
                }
                if begin.elapsed() > Duration::from_secs(2) { Signal::Limit } else { Signal::Continue }
            };
            let options = ComposeOptions { start, ..ComposeOptions::default() };
            let plan = compose(catalogue, &blueprint, &options, &mut watch)?;
            Ok((plan, within.map_or("-".to_owned(), |ms| ms.to_string())))
        };
        let before = market::catalogue(seed, size)?;
        let (plan, _) = run(&before, None)?;
        let mut builder = CatalogueBuilder::new(before.taken_at(), before.rates().clone());
        builder.extend(before.ids().map(|ix| {
            let mut offer = before.offer(ix);
            if let (0, Charge::Monthly(amount)) = (ix.index() % 100, &mut offer.price.charge) {
                *amount = (*amount * Decimal::new(103, 2)).round_dp(2);
            }
            offer
        }));
        drop(before);
        let after = builder.build();
        let (anew, anew_ms) = run(&after, None)?;
        let (warm, warm_ms) = run(&after, Some(Arc::new(plan)))?;
        println!(
            "{:>9} {anew_ms:>12} {warm_ms:>12} {:>10} {:>10}",
            size.offers, anew.gap_percent, warm.gap_percent
        );
    }
    Ok(())
}
