//! What every store of orders must do, and what each must do besides.

#[path = "../support/mod.rs"]
mod support;

#[cfg(feature = "postgres")]
mod postgres;
mod sqlite;

use std::sync::Arc;

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
