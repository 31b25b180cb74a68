//! The whole road through the one handle, as a host on several threads takes it.

use std::{sync::Arc, time::Duration};

use fulcrum_core::{
    compose::{ComposeError, ComposeOptions},
    federation::FederationConfig,
    ledger::OrderQuery,
    model::{Blueprint, OrderState, Policy},
    provider::Base,
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
    let reconciled = market.reconcile().await.expect("reconciled");
    assert!(reconciled.is_clean(), "{reconciled:?}");
    let orders = (0..8).map(|_| {
        let (market, plan) = (market.clone(), order.plan.clone());
        tokio::spawn(async move { market.purchase(&plan, Policy::default()).await })
    });
    for order in futures::future::join_all(orders).await {
        assert_eq!(order.expect("no panic").expect("an order").state, OrderState::Committed);
    }
    let reconciled = market.reconcile().await.expect("reconciled");
    assert!(reconciled.is_clean(), "{reconciled:?}");
    // All nine, in pages, newest first; and none twice.
    let mut query = OrderQuery { state: Some(OrderState::Committed), limit: 4, ..OrderQuery::default() };
    let (mut pages, mut ids) = (Vec::new(), Vec::new());
    loop {
        let page = market.orders(&query).await.expect("a page");
        let Some(last) = page.last() else { break };
        query.before = Some(last.id.clone());
        pages.push(page.len());
        ids.extend(page.into_iter().map(|order| order.id));
    }
    assert_eq!((pages, ids.last()), (vec![4, 4, 1], Some(&order.id)));
    assert!(ids.is_sorted_by(|newer, older| newer > older), "{ids:?}");
    let stuck = OrderQuery { state: Some(OrderState::Stuck), ..OrderQuery::default() };
    assert!(market.orders(&stuck).await.expect("a page").is_empty());
    assert_eq!(market.orders(&OrderQuery::default()).await.expect("a page").len(), 9);
}

const ODD: &str = r#"{"format": "fulcrum-catalogue/1", "providers": [
    {"id": "alpha", "name": "Alpha", "legal_name": "Alpha", "country": "DE", "regions": [{"id": "r", "country": "DE"}],
     "offers": [{"kind": "machine", "sku": "free", "region": "r", "vcpu": 2, "memory_mib": 4096, "monthly": "0",
                 "disk_gib": 40, "currency": "EUR", "tax": "net", "observed": "2026-11-01", "source": "a test"},
                {"kind": "machine", "sku": "m", "region": "r", "vcpu": 2, "memory_mib": 4096, "monthly": "10",
                 "disk_gib": 40, "currency": "EUR", "tax": "net", "stock": 1, "observed": "2026-11-01", "source": "a test"}]},
    {"id": "beta", "name": "Beta", "legal_name": "Beta", "country": "FR", "regions": [{"id": "r", "country": "FR"}],
     "offers": [{"kind": "machine", "sku": "m", "region": "r", "vcpu": 2, "memory_mib": 4096, "monthly": "12",
                 "disk_gib": 40, "currency": "EUR", "tax": "net", "observed": "2026-11-01", "source": "a test"},
                {"kind": "egress", "sku": "traffic", "region": "r", "unit_price": "2000", "unit": "GiB",
                 "currency": "EUR", "tax": "net", "observed": "2026-11-01", "source": "a test"}]},
    {"id": "gamma", "name": "Gamma", "legal_name": "Gamma", "country": "US", "regions": [{"id": "r", "country": "US"}],
     "offers": [{"kind": "machine", "sku": "m", "region": "r", "vcpu": 2, "memory_mib": 4096, "monthly": "1",
                 "disk_gib": 40, "currency": "USD", "tax": "net", "observed": "2026-11-01", "source": "a test"}]}]}"#;

async fn odd_market(folder: &std::path::Path, kind: &str) -> fulcrum_core::federation::Federation {
    std::fs::write(folder.join("catalogue.json"), ODD).expect("written");
    let config = format!("{{ ledger: ':memory:', max_table_age_days: 36500, providers: [ {kind} ] }}");
    let market = FederationConfig::from_yaml(&config).expect("a configuration").open(folder).await;
    market.expect("a market")
}

#[tokio::test]
async fn absurd_prices_of_a_table_are_left_out_and_named() {
    let folder = tempfile::tempdir().expect("a folder");
    for kind in ["catalogue_file: catalogue.json", "sandbox: { catalogue: catalogue.json }"] {
        let catalogue = odd_market(folder.path(), kind).await.refresh().await;
        let named: Vec<String> = catalogue
            .quarantined()
            .iter()
            .map(|left_out| format!("{}/{}: {}", left_out.provider, left_out.sku, left_out.reason))
            .collect();
        let expected = [
            "alpha/free: its price of 0 is zero or absurd",
            "beta/m: its traffic: its price per unit is zero or absurd",
        ];
        assert_eq!(named, expected, "{kind}");
        assert_eq!(catalogue.len(), 2, "{kind}");
    }
}

#[tokio::test]
async fn a_table_s_stock_runs_out_and_the_next_catalogue_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let market = odd_market(folder.path(), "sandbox: { catalogue: catalogue.json }").await;
    market.refresh().await;
    let blueprint = "{ name: one, components: { web: { vcpu: 2 } }, where: { countries: { allow: [DE] } } }";
    let blueprint = Blueprint::from_yaml(blueprint).expect("a blueprint");
    let plan = market.compose(&blueprint).expect("a plan");
    let states = [OrderState::Committed, OrderState::Failed];
    for state in states {
        assert_eq!(market.purchase(&plan, Policy::default()).await.expect("an order").state, state);
    }
    market.refresh().await;
    let sold_out = market.compose(&blueprint);
    assert!(matches!(sold_out, Err(ComposeError::Infeasible(_))), "{sold_out:?}");
}

#[tokio::test]
async fn what_has_no_exchange_rate_is_named_where_it_is_missed() {
    let folder = tempfile::tempdir().expect("a folder");
    let market = odd_market(folder.path(), "catalogue_file: catalogue.json").await;
    market.refresh().await;
    let blueprint = "{ name: one, components: { web: { vcpu: 2 } }, where: { countries: { allow: [US] } } }";
    let error = market.compose(&Blueprint::from_yaml(blueprint).expect("a blueprint")).expect_err("no rate");
    assert!(error.to_string().contains("1 offers in USD have no exchange rate to EUR"), "{error}");
}

#[tokio::test]
async fn a_ledger_is_named_without_its_password() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = async |ledger: &str| {
        let config = format!("{{ ledger: '{ledger}', providers: [] }}");
        let config = FederationConfig::from_yaml(&config).expect("well formed");
        config.open(folder.path()).await.expect_err("there are no providers either").to_string()
    };
    for (ledger, what) in [
        ("postgresql://user:canary@host/orders", "a password does not belong"),
        ("postgresql://host/orders?user=u&password=canary", "a password does not belong"),
        ("mysql://host/orders", "write a file's name"),
        ("env:FULCRUM_TEST_NO_SUCH_VARIABLE", "env:FULCRUM_TEST_NO_SUCH_VARIABLE may not be opened"),
        (":memory:", "no provider"),
        ("orders.db", "no provider"),
    ] {
        let error = open(ledger).await;
        assert!(error.contains(what) && !error.contains("canary"), "{ledger}: {error}");
    }
    let config = "{ ledger: 'env:FULCRUM_TEST_NO_SUCH_VARIABLE', providers: [] }";
    let config = FederationConfig::from_yaml(config).expect("well formed");
    let error =
        config.open_within(&Base::trusted(folder.path()), []).await.expect_err("it is not set").to_string();
    assert!(error.contains("FULCRUM_TEST_NO_SUCH_VARIABLE is not set"), "{error}");
}
