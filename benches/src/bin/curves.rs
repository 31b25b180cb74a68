//! Time, gap and memory against the size of a generated market: a table for people, and with `--svg FOLDER` the same
//! as pictures.

use std::time::{Duration, Instant};

use fulcrum_benches::{
    market::{self, Size},
    published::Error,
};
use fulcrum_core::compose::{ComposeOptions, Signal, compose};

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

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let seconds = 2.0;
    let sizes = [
        Size { providers: 20, regions: 2, offers: 1_000 },
        Size { providers: 20, regions: 5, offers: 10_000 },
        Size { providers: 200, regions: 5, offers: 100_000 },
        Size { providers: 2_000, regions: 5, offers: 1_000_000 },
    ];
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
    for size in sizes.into_iter().filter(|size| size.offers <= largest) {
        let seed = 7;
        let catalogue = market::catalogue(seed, size)?;
        for components in [5, 20, 60] {
            let blueprint = market::blueprint(seed, components)?;
            let start = Instant::now();
            let ms = |since: Instant| since.elapsed().as_secs_f64() * 1000.0;
            let (mut reduced, mut first, mut one_percent) = (None, None, None);
            let mut watch = |progress: &fulcrum_core::compose::Progress| {
                reduced.get_or_insert_with(|| ms(start));
                if let Some(incumbent) = progress.incumbent {
                    first.get_or_insert_with(|| ms(start));
                    let gap =
                        progress.bound.map(|bound| (incumbent - bound) * rust_decimal::Decimal::ONE_HUNDRED);
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
    Ok(())
}
