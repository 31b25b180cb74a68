//! The main job on the embedded defaults: real dated prices, the provably cheapest plan, a purchase on clouds in the
//! process of which one is sold out, and what the ledger remembers.

mod arguments;
mod live;
mod market;
mod show;

use clap::Parser;
use fulcrum_core::{
    compose::ComposeOptions,
    federation::Federation,
    model::{Blueprint, OfferId, Order, OrderState, Plan, Policy},
    purchase::sold_out,
};
use serde_json::json;

use arguments::Arguments;

type Error = Box<dyn std::error::Error>;

/// Plans that are tried when products turn out to be sold out.
const ROUNDS: usize = 5;

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
    let orders = buy_with_fail_over(arguments, &market, &blueprint, plan.clone()).await?;
    let reconciled = market.reconcile().await?;
    if arguments.json {
        let events = market.ledger().events(0, None, 100_000).await?;
        let single = single.as_ref().map_err(ToString::to_string);
        let result = json!({
            "plan": plan, "single_provider_plan": single.ok(), "orders": orders, "events": events,
            "reconciliation": reconciled,
        });
        println!("{}", serde_json::to_string_pretty(&result)?);
    } else {
        println!("\nThe ledger:\n");
        for order in &orders {
            show::order(&market.ledger().load(&order.id).await?.unwrap_or_else(|| order.clone()));
        }
        println!(
            "\nEvery cloud was asked what it has: {} orphans, {} missing services.",
            reconciled.orphans.len(),
            reconciled.missing.len()
        );
    }
    Ok(orders.last().is_some_and(|order| order.state == OrderState::Committed))
}

/// Buys; where something is sold out, nothing is left running, and the best plan without it is bought instead.
async fn buy_with_fail_over(
    arguments: &Arguments,
    market: &Federation,
    blueprint: &Blueprint,
    mut plan: Plan,
) -> Result<Vec<Order>, Error> {
    let mut options = ComposeOptions::default();
    let mut orders = Vec::new();
    for _ in 0..ROUNDS {
        if !arguments.json {
            println!("\nBuying it:\n");
        }
        let order = market.accept(&plan, Policy::default(), None).await?;
        let (driven, ()) = tokio::join!(market.drive(&order.id), live::watch(market, &order, arguments.json));
        let order = driven?;
        let sold_out = sold_out(&order);
        let state = order.state;
        if let (Some(reason), false) = (&order.reason, arguments.json) {
            println!("\n  {}: {reason}", state.word());
        }
        orders.push(order);
        if state != OrderState::Compensated || sold_out.is_empty() {
            break;
        }
        options.exclude.extend(everywhere(market, &sold_out));
        plan = market.compose_async(blueprint, &options, None).await?;
        if !arguments.json {
            println!("\nNothing is left running. The best plan without what is sold out:\n");
            show::plan(&plan);
        }
    }
    Ok(orders)
}

/// A product that is sold out in one place is left out at all places of its provider.
fn everywhere(market: &Federation, sold_out: &[OfferId]) -> Vec<OfferId> {
    let catalogue = market.catalogue();
    let sold: Vec<_> = sold_out.iter().filter_map(|id| catalogue.find(id)).collect();
    let is_sold = |ix: &_| {
        sold.iter().any(|sold| {
            catalogue.sku(*sold) == catalogue.sku(*ix)
                && catalogue.place(*sold).provider == catalogue.place(*ix).provider
        })
    };
    catalogue.ids().filter(is_sold).map(|ix| catalogue.offer(ix).id()).collect()
}
