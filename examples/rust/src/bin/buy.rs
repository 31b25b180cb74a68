//! Buys an application on sandbox clouds and ends it again. buy.c, buy.cpp and buy.py take the same steps.
//!
//! Run it in the project's folder: `cargo run --bin buy`

use std::{
    path::Path,
    time::{Duration, Instant},
};

use fulcrum_core::{
    catalogue::Query,
    compose::{ComposeOptions, Signal},
    federation::FederationConfig,
    model::{Blueprint, OrderEventKind, OrderState, Policy, parse_yaml},
};
use futures::StreamExt;

const CONFIG: &str = "
ledger: ':memory:'
rates: examples/rates/ecb.csv
max_rates_age_days: 36500  # the shipped rates are of one day; a week is the limit unless told
providers:
  - sandbox: { catalogue: examples/catalogue, seed: 7 }
";
const SHOP: &str = "
name: shop
components:
  web: { vcpu: 2, memory_mib: 4096, replicas: 2 }
where: { jurisdiction: EU }
constraints:
  - survive: { components: [web], loss_of: provider }
";

const MACHINES: &str = "{ kinds: [machine], at_least: { vcpu_milli: 4000, memory_mib: 16384 }, limit: 3 }";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // 1. Open a federation.
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let market = FederationConfig::from_yaml(CONFIG)?.open(&base).await?;

    // 2. Ask all providers for their offers, and look at the cheapest of some.
    market.refresh().await;
    let (catalogue, query) = (market.catalogue(), parse_yaml::<Query>(MACHINES)?);
    for found in catalogue.query_priced(&query) {
        let monthly = found.monthly.unwrap_or_default();
        println!("  {}: {monthly} {} a month", catalogue.sku(found.ix), query.currency.code());
    }

    // 3. A mistake in a document is an error that says what to write.
    if let Err(mistake) = Blueprint::from_yaml("name: [1") {
        println!("a mistake: {mistake}");
    }

    // 4. Compose the cheapest plan, in ten seconds at most.
    let end = Instant::now() + Duration::from_secs(10);
    let plan =
        market.compose_with(&Blueprint::from_yaml(SHOP)?, &ComposeOptions::default(), &mut |progress| {
            println!("  searching: {} nodes", progress.nodes);
            if Instant::now() < end { Signal::Continue } else { Signal::Limit }
        })?;
    for lease in &plan.leases {
        println!("  {}", lease.offer);
    }
    println!("  {} {} a month, proven best: {}", plan.monthly, plan.currency.code(), plan.is_optimal());

    // 5. Purchase it: all of it or nothing.
    let order = market.purchase(&plan, Policy::default()).await?;
    println!("order {} is {}", order.id, order.state.word());
    for service in order.steps.iter().filter_map(|step| step.state.service()) {
        println!("  {}/{} is {}", service.provider, service.id, service.status.word());
    }
    if order.state != OrderState::Committed {
        return Err(order.reason.unwrap_or_default().into());
    }

    // 6. Cancel it: its services are ended.
    market.cancel(&order.id).await?;
    println!("{}", market.timeline(&order.id).await?);

    // 7. Purchase once more, in the background.
    let second = market.accept(&plan, Policy::default(), None).await?;
    let (driven, ()) = tokio::join!(market.drive(&second.id), async {
        let mut events = market.follow(&second.id);
        while let Some(Ok(event)) = events.next().await {
            if let OrderEventKind::Order { state, .. } = event.kind.into_kind() {
                println!("  {}", state.word());
            }
        }
    });
    println!("the second order is committed: {}", driven?.state == OrderState::Committed);
    Ok(())
}
