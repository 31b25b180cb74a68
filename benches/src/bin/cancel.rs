//! How late a search ends that is cancelled at a random moment, on the largest generated market: `--seed N`,
//! `--cases N`, `--offers N`, `--parts N`, `--seconds N` (within which the moments lie).

use std::time::{Duration, Instant};

use fulcrum_benches::{
    market::{self, Size},
    published::Error,
};
use fulcrum_core::compose::{ComposeOptions, Signal, compose};
use rand::{Rng, SeedableRng, rngs::SmallRng};

/// How late a search ended.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct CancelDelay {
    total: Duration,
    /// Of it the time until the caller was asked.
    unasked: Duration,
    moment: Duration,
}

fn main() -> Result<(), Error> {
    let (mut seed, mut cases, mut offers, mut parts, mut seconds) = (7u64, 100u64, 1_000_000u64, 20u64, 2u64);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{argument} needs a value"))?.parse()?;
        match argument.as_str() {
            "--seed" => seed = value,
            "--cases" => cases = value,
            "--offers" => offers = value,
            "--parts" => parts = value,
            "--seconds" => seconds = value,
            _ => {
                let known = "--seed, --cases, --offers, --parts or --seconds";
                return Err(format!("unknown {argument}; write {known}").into());
            }
        }
    }
    let offers = usize::try_from(offers)?;
    let size = Size { providers: (offers / 500).max(20), regions: 5, offers };
    let catalogue = market::catalogue(7, size)?;
    let blueprint = market::blueprint(7, usize::try_from(parts)?, true)?;
    let mut chance = SmallRng::seed_from_u64(seed);
    println!("{offers} offers, {parts} parts, seed {seed}");
    let mut late: Vec<CancelDelay> = Vec::new();
    for _ in 0..cases {
        let moment = Duration::from_micros(chance.random_range(0..seconds * 1_000_000));
        let start = Instant::now();
        let mut asked = None;
        let mut watch = |_: &_| {
            if start.elapsed() < moment {
                return Signal::Continue;
            }
            asked.get_or_insert_with(|| start.elapsed());
            Signal::Cancel
        };
        // Whatever it found by then.
        let _ = compose(&catalogue, &blueprint, &ComposeOptions::default(), &mut watch);
        let ended = start.elapsed();
        if let Some(asked) = asked {
            late.push(CancelDelay { total: ended - moment, unasked: asked - moment, moment });
        }
    }
    late.sort_unstable();
    for (name, percent) in [("p50", 50), ("p90", 90), ("p99", 99), ("max", 100)] {
        let at = (late.len() * percent / 100).min(late.len().saturating_sub(1));
        if let Some(CancelDelay { total, unasked, moment }) = late.get(at) {
            println!("{name}: {total:.1?} late, {unasked:.1?} until asked; cancelled at {moment:.1?}");
        }
    }
    Ok(())
}
