//! Opens a federation, composes, buys, follows the order, ends the services, and shows what a mistake looks like.

use std::path::Path;

use fulcrum_core::{
    federation::{Federation, FederationConfig},
    model::{Blueprint, OrderEventKind, OrderState, Policy},
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

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let market: Federation = FederationConfig::from_yaml(CONFIG)?.open(&base).await?;
    println!("{} offers", market.refresh().await.len());

    // A mistake is an error that says what to write instead.
    if let Err(mistake) = Blueprint::from_yaml(&SHOP.replace("replicas", "replica")) {
        println!("a mistake: {mistake}");
    }

    let plan = market.compose(&Blueprint::from_yaml(SHOP)?)?;
    for lease in &plan.leases {
        println!("  {}: {:?}", lease.offer, lease.replicas);
    }
    println!("  {} {} a month, proven best: {}", plan.monthly, plan.currency.code(), plan.is_optimal());

    let order = market.accept(&plan, Policy::default(), None).await?;
    let (driven, ()) = tokio::join!(market.drive(&order.id), async {
        let mut events = market.follow(&order.id);
        while let Some(Ok(event)) = events.next().await {
            if let OrderEventKind::Order { state, .. } = event.kind.into_kind() {
                println!("order {}", state.word());
            }
        }
    });
    let driven = driven?;
    if driven.state != OrderState::Committed {
        return Err(driven.reason.unwrap_or_default().into());
    }
    println!("then {}", market.cancel(&order.id).await?.state.word());
    Ok(())
}
