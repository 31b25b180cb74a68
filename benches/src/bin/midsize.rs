//! Generated markets and applications with our search on one thread as JSON lines, for `peers/midsize.py`: the documents,
//! the plan, and each plan and bound on the way with the processor seconds since the call.

use std::time::Duration;

use clap::Parser;
use fulcrum_benches::{
    cpu_clock,
    market::{self, Size},
    published::Error,
};
use fulcrum_core::{
    catalogue::Catalogue,
    compose::{ComposeError, ComposeOptions, Progress, Signal, compose},
    model::{Blueprint, Plan},
};
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// Prints a JSON line for each market and application.
#[derive(Debug, Parser)]
struct Arguments {
    /// Sizes of markets, in offers.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 3_000, 10_000])]
    offers: Vec<usize>,
    /// Sizes of applications, in components.
    #[arg(long, value_delimiter = ',', default_values_t = [40])]
    components: Vec<usize>,
    /// Where chance starts.
    #[arg(long, value_delimiter = ',', default_values_t = [7])]
    seed: Vec<u64>,
    /// Processor seconds for each call.
    #[arg(long, default_value_t = 60.0)]
    limit: f64,
}

fn main() -> Result<(), Error> {
    let arguments = Arguments::parse();
    let limit = Duration::try_from_secs_f64(arguments.limit)?;
    for &seed in &arguments.seed {
        for &offers in &arguments.offers {
            let catalogue = market::catalogue(seed, Size::of(offers))?;
            for &components in &arguments.components {
                let blueprint = market::blueprint(seed, components, true)?;
                let search = search(&catalogue, &blueprint, limit)?;
                let all: Vec<_> = catalogue.ids().map(|ix| catalogue.offer(ix)).collect();
                let line = json!({
                    "seed": seed,
                    "components": components,
                    "blueprint": blueprint,
                    "offers": all,
                    "search": search,
                });
                println!("{line}");
            }
        }
    }
    Ok(())
}

/// What the search tells. Amounts are text, digit by digit.
fn search(catalogue: &Catalogue, blueprint: &Blueprint, limit: Duration) -> Result<Value, Error> {
    let mut told: Vec<Value> = Vec::new();
    let mut last = (None, None);
    let start = cpu_clock::now();
    let seconds = || cpu_clock::now().saturating_sub(start).as_secs_f64();
    let mut tell = |seconds: f64, values: (Option<Decimal>, Option<Decimal>)| {
        if values != last {
            let [plan, bound] = [values.0, values.1].map(|value| value.map(|value| value.to_string()));
            told.push(json!({ "seconds": seconds, "plan": plan, "bound": bound }));
            last = values;
        }
    };
    let mut watch = |progress: &Progress| {
        let seconds = seconds();
        tell(seconds, (progress.incumbent, progress.bound));
        if seconds > limit.as_secs_f64() { Signal::Limit } else { Signal::Continue }
    };
    let plan: Option<Plan> = match compose(catalogue, blueprint, &ComposeOptions::default(), &mut watch) {
        Ok(plan) => Some(plan),
        Err(ComposeError::Stopped { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let seconds = seconds();
    if let Some(plan) = &plan {
        tell(seconds, (Some(plan.objective), Some(plan.bound)));
    }
    let is_proven = plan.as_ref().is_some_and(Plan::is_optimal);
    Ok(json!({ "seconds": seconds, "proven": is_proven, "told": told, "plan": plan }))
}
