//! The main job on the embedded defaults: real dated prices, the provably cheapest plan, a purchase on clouds in the
//! process of which one is sold out, and what the ledger remembers.

mod arguments;
mod live;
mod market;
mod show;

use clap::Parser;
use fulcrum_core::{
    federation::Federation,
    model::{Blueprint, FailOver, Order, OrderState, Plan, Policy},
};
use rust_decimal::Decimal;
use serde_json::json;

use arguments::Arguments;

type Error = Box<dyn std::error::Error>;

/// Plans that are tried when products turn out to be sold out.
const MAX_FAIL_OVER_ROUNDS: u32 = 8;
/// How much dearer they may be, in per cent.
const MAX_RISE_PERCENT: Decimal = Decimal::ONE_HUNDRED;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments).await {
        Ok(true) => std::process::ExitCode::SUCCESS,
        Ok(false) => std::process::ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

/// Whether the application runs in the end, or was only to be planned.
async fn run(arguments: &Arguments) -> Result<bool, Error> {
    let blueprint = Blueprint::from_yaml(&market::read(&arguments.blueprint)?)
        .map_err(|error| format!("{}: {error}", arguments.blueprint.display()))?;
    let faults = arguments.faults()?;
    let tables = market::tables(arguments, &faults)?;
    let prices = market::open(arguments, tables.clone(), &[]).await?;
    let plan = prices.compose(&blueprint)?;
    let single = market::at_one_provider(&prices, &blueprint);
    if !arguments.json {
        show::catalogue(&prices.catalogue());
        println!("\nThe cheapest plan for {:?}:\n", plan.blueprint);
        show::plan(&plan);
        show::compare(&plan, &single);
    }
    if arguments.plan_only {
        if arguments.json {
            println!("{}", serde_json::to_string_pretty(&plan)?);
        }
        return Ok(true);
    }

    // Without faults of the user's choice, the last product of the plan is sold out wherever it was to be bought.
    let faults = match (arguments.no_fault, faults.is_empty()) {
        (true, _) => Vec::new(),
        (false, true) => market::last_is_sold_out(&plan),
        (false, false) => faults,
    };
    let market = market::open(arguments, tables, &faults).await?;
    let order = buy(arguments, &market, &blueprint, &plan).await?;
    let reconciled = market.reconcile().await?;
    if arguments.json {
        let events = market.ledger().events(0, None, 100_000).await?;
        let single = single.as_ref().map_err(ToString::to_string);
        let result = json!({
            "plan": plan, "single_provider_plan": single.ok(), "order": order, "events": events,
            "reconciliation": reconciled,
        });
        println!("{}", serde_json::to_string_pretty(&result)?);
    } else {
        println!("\nThe ledger:\n");
        show::order(&order);
        println!(
            "\nEvery cloud was asked what it has: {} services, {} findings.",
            reconciled.scanned.services,
            reconciled.findings.len()
        );
    }
    Ok(order.state == OrderState::Committed)
}

/// Buys; what is sold out is replaced by the best plan without it, and what is bought by then stays.
async fn buy(
    arguments: &Arguments,
    market: &Federation,
    blueprint: &Blueprint,
    plan: &Plan,
) -> Result<Order, Error> {
    if !arguments.json {
        println!("\nBuying it:\n");
    }
    let fail_over = FailOver::new(blueprint.clone())
        .with_rounds(MAX_FAIL_OVER_ROUNDS)
        .with_max_rise_percent(MAX_RISE_PERCENT);
    let policy = Policy::default().with_fail_over(fail_over);
    let order = market.accept(plan, policy, None).await?;
    let (driven, ()) = tokio::join!(market.drive(&order.id), live::watch(market, &order, arguments.json));
    let order = driven?;
    if arguments.json {
        return Ok(order);
    }
    if let Some(reason) = &order.reason {
        println!("\n  {}: {reason}", order.state.word());
    }
    for round in &order.rounds {
        println!("\n  Not to be had: {}. All else that was bought stayed.", round.reason);
    }
    if !order.rounds.is_empty() {
        println!("\nThe plan in the end; what was paid once for what stayed is not in it again:\n");
        show::plan(&order.plan);
    }
    Ok(order)
}
