//! The published deployment cases as JSON lines, for comparisons: time of a compose call after parsing (the median of
//! `--repeat N`, 21 unless told), the objective, and the published optimum, in thousandths of a currency unit.
//! `--only TEXT` keeps the cases whose name contains the text.

use std::time::Instant;

use fulcrum_benches::published::{self, Error};
use fulcrum_core::compose::{ComposeOptions, Signal, compose};
use rust_decimal::Decimal;
use serde_json::json;

fn main() -> Result<(), Error> {
    let (mut repeat, mut only) = (21, String::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--repeat" => repeat = value()?.parse::<usize>()?.max(1),
            "--only" => only = value()?,
            _ => return Err(format!("unknown {argument}; write --repeat N or --only TEXT").into()),
        }
    }
    let folder = published::folder().ok_or("no instances")?;
    for case in published::cases(&folder)?.into_iter().filter(|case| case.name.contains(&only)) {
        let mut micros = Vec::with_capacity(repeat);
        let mut last = None;
        for _ in 0..repeat {
            let start = Instant::now();
            let plan = compose(&case.catalogue, &case.blueprint, &ComposeOptions::default(), &mut |_| {
                Signal::Continue
            })?;
            micros.push(start.elapsed().as_secs_f64() * 1e6);
            last = Some(plan);
        }
        micros.sort_by(f64::total_cmp);
        let plan = last.ok_or("no run")?;
        let line = json!({
            "case": case.name,
            "micros": micros[repeat / 2],
            "objective": (plan.monthly * Decimal::ONE_THOUSAND).normalize(),
            "optimum": case.optimum,
            "proven": plan.is_optimal(),
        });
        println!("{line}");
    }
    Ok(())
}
