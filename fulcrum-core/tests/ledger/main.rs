//! What every store of orders must do, and what each must do besides.

#[path = "../support/mod.rs"]
mod support;

#[cfg(feature = "postgres")]
mod postgres;
mod sqlite;

use std::{sync::Arc, time::Duration};

use fulcrum_core::{
    ledger::{Ledger, LedgerError, SqliteLedger},
    model::{Order, Policy},
    provider::IdempotencyClass,
    purchase::Engine,
};
use support::{clouds, plan, providers};

/// Orders that were accepted, of the plan that all tests share.
async fn orders(count: usize) -> Vec<Order> {
    let clouds = clouds(None, IdempotencyClass::Key, "", &[]);
    let elsewhere = Arc::new(SqliteLedger::in_memory().await.expect("a ledger"));
    let engine = Engine::new(providers(&clouds), elsewhere);
    let mut orders = Vec::new();
    for _ in 0..count {
        orders.push(engine.accept(plan(), Policy::default(), None).await.expect("accepted"));
    }
    orders
}

/// Tries changes of the store's tables by their owner: each must show.
async fn every_change_shows(
    ledger: &dyn Ledger,
    order: &Order,
    changes: &[(&str, &str)],
    run: impl AsyncFn(&str),
) {
    ledger.verify(&order.id).await.expect("as it was written");
    for (change, back) in changes {
        run(change).await;
        let verified = ledger.verify(&order.id).await;
        assert!(matches!(verified, Err(LedgerError::Damaged(_))), "{change}: {verified:?}");
        run(back).await;
        ledger.verify(&order.id).await.expect(back);
    }
}

/// `ahead` moves all claims into the future, as those are that were written before a clock was set back.
async fn clock_set_back(ledger: &dyn Ledger, ahead: impl AsyncFn()) {
    let lease = Duration::from_millis(300);
    let orders = orders(2).await;
    for order in &orders {
        ledger.create(order).await.expect("created");
        ledger.claim(&order.id, "a host that died", lease).await.expect("claimed");
    }
    ahead().await;
    // Its driver may be alive: nobody else has it before a whole lease is over, and after that somebody has.
    let early = ledger.claim(&orders[0].id, "another", lease).await;
    assert!(matches!(early, Err(LedgerError::Claimed { .. })), "{early:?}");
    assert_eq!(ledger.claim_next("another", lease, 10).await.expect("asked"), []);
    tokio::time::sleep(lease + Duration::from_millis(50)).await;
    ledger.claim(&orders[0].id, "another", lease).await.expect("free by now");
    let next = ledger.claim_next("another", lease, 10).await.expect("asked");
    assert_eq!(next.iter().map(|claim| &claim.order).collect::<Vec<_>>(), [&orders[1].id]);
}
