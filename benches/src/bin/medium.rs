//! Medium instances with our answers as JSON lines, for `peers/oracle.py`: `--seed N`, `--cases N`; each instance has a
//! seed of its own, counted up from the first. A search stops after `--seconds N` (20 unless told).

use std::time::{Duration, Instant};

use fulcrum_benches::{medium, published::Error};
use fulcrum_core::{
    catalogue::{CatalogueBuilder, Rates},
    compose::{ComposeError, ComposeOptions, Signal, compose},
    model::Blueprint,
};
use serde_json::{Value, json};

fn main() -> Result<(), Error> {
    let (mut first, mut cases, mut seconds) = (1u64, 100u64, 20u64);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{argument} needs a value"))?.parse()?;
        match argument.as_str() {
            "--seed" => first = value,
            "--cases" => cases = value,
            "--seconds" => seconds = value,
            _ => return Err(format!("unknown {argument}; write --seed, --cases or --seconds").into()),
        }
    }
    for seed in (0..cases).map(|case| first.wrapping_add(case)) {
        let instance = medium::instance(seed)?;
        let start = Instant::now();
        let answer = solve(&instance, Duration::from_secs(seconds))?;
        let line = json!({
            "seed": seed,
            "blueprint": instance.blueprint,
            "offers": instance.offers,
            "answer": answer,
            "seconds": start.elapsed().as_secs_f64(),
        });
        println!("{line}");
    }
    Ok(())
}

fn solve(instance: &medium::Instance, limit: Duration) -> Result<Value, Error> {
    let mut builder = CatalogueBuilder::new("2026-11-24T00:00:00Z".parse()?, Rates::none());
    builder.extend(instance.offers.iter().cloned());
    let catalogue = builder.build();
    if catalogue.len() != instance.offers.len() {
        return Err("the catalogue refuses an offer of the generator".into());
    }
    let blueprint = Blueprint::from_json(&instance.blueprint.to_string())?;
    let start = Instant::now();
    let mut watch = |_: &_| if start.elapsed() > limit { Signal::Limit } else { Signal::Continue };
    Ok(match compose(&catalogue, &blueprint, &ComposeOptions::default(), &mut watch) {
        Ok(plan) => {
            json!({ "objective": plan.objective, "bound": plan.bound, "optimal": plan.is_optimal(), "plan": plan })
        }
        Err(ComposeError::Infeasible(conflict)) => json!({ "infeasible": conflict.to_string() }),
        Err(error) => json!({ "error": error.to_string() }),
    })
}
