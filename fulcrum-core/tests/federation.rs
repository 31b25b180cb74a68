//! The whole road through the one handle, as a host on several threads takes it.

use std::{sync::Arc, time::Duration};

use fulcrum_core::{
    compose::ComposeOptions,
    federation::FederationConfig,
    model::{Blueprint, OrderState, Policy},
    purchase::Reconciliation,
};

const CATALOGUE: &str = r#"{"format": "fulcrum-catalogue/1", "providers": [
    {"id": "alpha", "name": "Alpha", "legal_name": "Alpha", "country": "DE", "regions": [{"id": "r", "country": "DE"}],
     "offers": [{"kind": "machine", "sku": "m", "region": "r", "vcpu": 2, "memory_mib": 4096, "monthly": "10",
                 "disk_gib": 40, "currency": "EUR", "tax": "net", "observed": "2026-11-01", "source": "a test"}]},
    {"id": "beta", "name": "Beta", "legal_name": "Beta", "country": "FR", "regions": [{"id": "r", "country": "FR"}],
     "offers": [{"kind": "machine", "sku": "m", "region": "r", "vcpu": 2, "memory_mib": 4096, "monthly": "12",
                 "disk_gib": 40, "currency": "EUR", "tax": "net", "observed": "2026-11-01", "source": "a test"}]}]}"#;
const SHOP: &str = "{ name: shop, components: { web: { vcpu: 2, memory_mib: 4096, replicas: 2 } },
    constraints: [ survive: { components: [web], loss_of: provider } ] }";

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_the_road_can_be_spawned() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("catalogue.json"), CATALOGUE).expect("written");
    let config =
        "{ ledger: orders.db, providers: [ sandbox: { catalogue: catalogue.json, operation_ms: [1, 5] } ] }";
    let config = FederationConfig::from_yaml(config).expect("a configuration");
    let market = Arc::new(config.open(folder.path()).await.expect("a market"));
    let road = tokio::spawn({
        let market = market.clone();
        async move {
            market.refresh().await;
            let blueprint = Blueprint::from_yaml(SHOP).expect("a blueprint");
            let limit = Some(Duration::from_secs(60));
            let plan = market.compose_async(&blueprint, &ComposeOptions::default(), limit).await;
            market.purchase(&plan.expect("a plan"), Policy::default()).await.expect("an order")
        }
    });
    let order = road.await.expect("no panic");
    assert_eq!(order.state, OrderState::Committed);
    assert_eq!(market.reconcile().await.expect("reconciled"), Reconciliation::default());
    let orders = (0..8).map(|_| {
        let (market, plan) = (market.clone(), order.plan.clone());
        tokio::spawn(async move { market.purchase(&plan, Policy::default()).await })
    });
    for order in futures::future::join_all(orders).await {
        assert_eq!(order.expect("no panic").expect("an order").state, OrderState::Committed);
    }
    assert_eq!(market.reconcile().await.expect("reconciled"), Reconciliation::default());
}
