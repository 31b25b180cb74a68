//! The main job on the embedded defaults: real dated prices, the provably cheapest plan, a purchase on clouds in the
//! process of which one is sold out, and what the ledger remembers.

use std::{path::PathBuf, time::Duration};

use clap::Parser;
use fulcrum_core::{
    compose::ComposeOptions,
    federation::Federation,
    ledger::SqliteLedger,
    model::{Blueprint, Constraint, Order, OrderEventKind, OrderState, Over, Plan, Policy},
    provider::{
        Call,
        sandbox::{Fault, FaultRule, Sandbox},
        table::Table,
    },
    purchase::sold_out,
};
use futures::StreamExt;

type Error = Box<dyn std::error::Error>;

/// Composes and buys an application on sandbox clouds made from dated price tables.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to compose.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../blueprints/web.yaml"))]
    blueprint: PathBuf,
    /// The price tables: a file or a folder.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../catalogue"))]
    catalogue: PathBuf,
    /// Where the clouds' chance starts.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Let every cloud deliver: without it, the last product of the plan turns out to be sold out.
    #[arg(long)]
    no_fault: bool,
    /// Print the plan as JSON and buy nothing.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let arguments = Arguments::parse();
    let blueprint = Blueprint::from_yaml(&std::fs::read_to_string(&arguments.blueprint)?)?;
    let market = open(&arguments, None).await?;
    let plan = market.compose(&blueprint)?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&plan)?);
        return Ok(());
    }
    let catalogue = market.catalogue();
    println!("The prices are dated facts for demonstration, not current offers.\n");
    for source in catalogue.sources() {
        println!("  {:<12} {:>5} offers", source.provider.to_string(), source.offers);
    }
    println!("\nThe cheapest plan for {:?}:\n", plan.blueprint);
    show(&plan);
    compare(&market, &blueprint, &plan);

    let fault = if arguments.no_fault { None } else { plan.leases.last() };
    let market = match fault {
        None => market,
        Some(lease) => open(&arguments, Some((lease.place.provider.as_str(), lease.sku.as_str()))).await?,
    };
    println!("\nBuying it:\n");
    let order = buy(&market, &plan).await?;
    let exclude = sold_out(&order);
    if order.state == OrderState::Compensated && !exclude.is_empty() {
        println!("\nNothing is left running. Composing again without what is sold out:\n");
        // A SKU that is sold out in one place is left out everywhere.
        let sold: Vec<_> = order
            .steps
            .iter()
            .filter(|step| exclude.contains(&step.lease.offer))
            .map(|step| &step.lease)
            .collect();
        let is_sold = |ix: &_| {
            sold.iter().any(|lease| {
                lease.sku == *catalogue.sku(*ix) && lease.place.provider == catalogue.place(*ix).provider
            })
        };
        let exclude = catalogue.ids().filter(is_sold).map(|ix| catalogue.offer(ix).id()).collect();
        let options = ComposeOptions { exclude, ..ComposeOptions::default() };
        let plan = market.compose_async(&blueprint, &options, None).await?;
        show(&plan);
        println!("\nBuying it:\n");
        buy(&market, &plan).await?;
    }
    let reconciled = market.reconcile().await?;
    println!("\nOrphans: {}, missing services: {}.", reconciled.orphans.len(), reconciled.missing.len());
    Ok(())
}

/// Clouds made from the tables, one product of one of them sold out.
async fn open(arguments: &Arguments, sold_out: Option<(&str, &str)>) -> Result<Federation, Error> {
    let mut builder = Federation::builder().ledger(SqliteLedger::in_memory().await?);
    for table in Table::load(&arguments.catalogue)? {
        let ms = Duration::from_millis;
        let name = table.provider.clone();
        let mut cloud = Sandbox::builder(table.provider, table.offers)
            .seed(arguments.seed)
            .latency(ms(5), ms(20))
            .operation(ms(100), ms(600));
        if let Some((_, sku)) = sold_out.filter(|(provider, _)| *provider == name.as_str()) {
            let sku = Some(sku.parse()?);
            cloud = cloud.fault(FaultRule {
                call: Call::Provision,
                sku,
                nth: 1,
                times: u32::MAX,
                fault: Fault::SoldOut,
            });
        }
        builder = builder.provider(cloud.build());
    }
    let market = builder.build()?;
    market.refresh().await;
    Ok(market)
}

fn show(plan: &Plan) {
    println!("  {:<28} {:<22} {:<24} {:>12}", "place", "product", "carries", "a month");
    for lease in &plan.leases {
        let carries: Vec<_> = lease.replicas.iter().map(|(name, count)| format!("{count}×{name}")).collect();
        let cost: rust_decimal::Decimal = lease.lines.iter().map(|line| line.monthly).sum();
        println!(
            "  {:<28} {:<22} {:<24} {cost:>12.2}",
            lease.place.to_string(),
            lease.sku.to_string(),
            carries.join(" ")
        );
        for line in &lease.lines {
            println!("  {:<28} {:<22} {}", "", "", line.text);
        }
    }
    let code = plan.currency.code();
    println!(
        "\n  {:.2} {code} a month, net; no plan is below {:.2} {code} (gap {} %).",
        plan.objective, plan.bound, plan.gap_percent
    );
    let work = plan.statistics;
    println!(
        "  {} offers, {} eligible, {} patterns, {} nodes searched.",
        work.offers, work.eligible, work.patterns, work.nodes
    );
}

/// What the best plan at one provider would cost: without surviving its loss, as that cannot be had there.
fn compare(market: &Federation, blueprint: &Blueprint, plan: &Plan) {
    let mut single = blueprint.clone();
    single.constraints.retain(|constraint| match constraint {
        Constraint::Survive(survive) => survive.loss_of != Over::Provider,
        Constraint::Spread(spread) => spread.over != Over::Provider,
        _ => true,
    });
    let of_one = Constraint::Distinct(fulcrum_core::model::Distinct { over: Over::Provider, at_most: 1 });
    single.constraints.push(of_one);
    match market.compose(&single) {
        Ok(other) => println!(
            "  At one provider alone ({}), which the loss of it would end: {:.2}; difference {:+.2}.",
            other.leases[0].place.provider,
            other.objective,
            plan.objective - other.objective
        ),
        Err(error) => println!("  At one provider alone: {error}."),
    }
}

/// Buys, and shows each event as it happens.
async fn buy(market: &Federation, plan: &Plan) -> Result<Order, Error> {
    let order = market.accept(plan, Policy::default(), None).await?;
    let start = jiff::Timestamp::now();
    let (driven, ()) = tokio::join!(market.drive(&order.id), async {
        let mut events = market.follow(&order.id);
        while let Some(Ok(event)) = events.next().await {
            let ms = event.at.duration_since(start).as_millis().max(0);
            let text = match event.kind {
                OrderEventKind::Order { state, reason } => {
                    format!("order {} {}", state.word(), reason.unwrap_or_default())
                }
                OrderEventKind::Step { index, provider, step } => {
                    let state =
                        serde_json::to_value(&step).unwrap_or_default()["state"].to_string().replace('"', "");
                    format!("  step {index} at {provider}: {state}")
                }
                OrderEventKind::Attempt { index, error, .. } => format!("  step {index}: {error}"),
                OrderEventKind::PricesChecked { planned, current } => {
                    format!("  prices: planned {planned}, now {current}")
                }
                _ => continue,
            };
            println!("  {ms:>6} ms  {}", text.trim_end());
        }
    });
    Ok(driven?)
}
