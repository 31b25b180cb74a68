//! Every published deployment case is solved to its proven optimum.

use std::time::Instant;

use fulcrum_benches::published;
use fulcrum_core::compose::{ComposeOptions, Signal, compose};
use rust_decimal::Decimal;

#[test]
fn all_published_cases_reach_the_proven_optimum() -> Result<(), published::Error> {
    let Some(folder) = published::folder() else { return Ok(()) };
    let cases = published::cases(&folder)?;
    let count = cases.len();
    assert_eq!(count, 52, "all published cases are read");
    println!("{:<28} {:>8} {:>9} {:>6} {:>7}", "case", "optimum", "ms", "nodes", "pivots");
    for case in cases {
        let start = Instant::now();
        let plan =
            compose(&case.catalogue, &case.blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue)?;
        let ms = start.elapsed().as_secs_f64() * 1000.0;
        let statistics = plan.statistics;
        println!(
            "{:<28} {:>8} {ms:>9.3} {:>6} {:>7}",
            case.name, case.optimum, statistics.nodes, statistics.pivots
        );
        assert_eq!(plan.monthly * Decimal::ONE_THOUSAND, Decimal::from(case.optimum), "{}", case.name);
        assert!(plan.is_optimal(), "{} is not proven", case.name);
    }
    println!("figure: {count} published cases at the proven optimum");
    Ok(())
}
