//! The published knapsack instances: value after a time limit (10 s unless told) on one core unless told, against the best known.
//! `mmkp [--json] [--threads=N] [SECONDS [CASE…]]`; `--json` prints a line for each case instead of a table, for
//! comparisons.

use std::{
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use fulcrum_benches::{mmkp, published::Error};
use fulcrum_core::compose::{ComposeOptions, Progress, Signal, compose};
use rust_decimal::Decimal;

fn main() -> Result<(), Error> {
    let is_json = std::env::args().any(|argument| argument == "--json");
    let threads = std::env::args().find_map(|argument| argument.strip_prefix("--threads=")?.parse().ok());
    let options =
        ComposeOptions { threads: threads.unwrap_or(NonZeroUsize::MIN), ..ComposeOptions::default() };
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let seconds: f64 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(10.0);
    let only: Vec<String> = arguments.collect();
    let Some(folder) = mmkp::folder() else { return Ok(()) };
    if !is_json {
        println!(
            "{:<5} {:>10} {:>10} {:>10} {:>11} {:>8} {:>8} {:>9}",
            "case", "value", "best known", "behind %", "bound", "gap %", "s", "nodes"
        );
    }
    for name in ["I01", "I02", "I03", "I04", "I05", "I06", "I07", "I09", "I11", "I13"] {
        if !only.is_empty() && !only.iter().any(|wanted| wanted == name) {
            continue;
        }
        let instance = mmkp::instance(&folder, name)?;
        let start = Instant::now();
        let limit = Duration::from_secs_f64(seconds);
        let mut watch = |_: &Progress| if start.elapsed() > limit { Signal::Limit } else { Signal::Continue };
        let plan = compose(&instance.catalogue, &instance.blueprint, &options, &mut watch)?;
        let value = instance.value(&plan);
        if is_json {
            let line = serde_json::json!({
                "case": instance.name,
                "value": value.normalize(),
                "bound": instance.bound(&plan).normalize(),
                "seconds": start.elapsed().as_secs_f64(),
                "proven": plan.is_optimal(),
            });
            println!("{line}");
            continue;
        }
        let behind = (instance.best_known - value) / instance.best_known * Decimal::ONE_HUNDRED;
        println!(
            "{:<5} {:>10} {:>10} {:>10.4} {:>11.2} {:>8} {:>8.2} {:>9}{}",
            instance.name,
            value.normalize(),
            instance.best_known.normalize(),
            behind,
            instance.bound(&plan),
            ((instance.bound(&plan) - value) / value * Decimal::ONE_HUNDRED).round_dp(4),
            start.elapsed().as_secs_f64(),
            plan.statistics.nodes,
            if plan.is_optimal() { " proven" } else { "" },
        );
    }
    Ok(())
}
