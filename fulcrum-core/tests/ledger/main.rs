//! What every store of orders must do, and what each must do besides.

#[path = "../support/mod.rs"]
mod support;

#[cfg(feature = "postgres")]
mod postgres;
mod sqlite;

use std::{sync::Arc, time::Duration};

use fulcrum_core::{
    ledger::{Change, Ledger, LedgerError, SqliteLedger},
    model::{Order, Policy},
    provider::IdempotencyClass,
    purchase::Engine,
};
use rand::{Rng, SeedableRng, rngs::StdRng};
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

/// Drops calls of every kind half-way, at random: afterwards the ledger works as if nothing had been.
async fn dropped_calls_leave_nothing_behind(ledger: &dyn Ledger) {
    let seed = rand::random();
    println!("seed {seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let orders = orders(3).await;
    for order in &orders[1..] {
        ledger.create(order).await.expect("created");
    }
    for turn in 0..400 {
        let (id, moment) = (&orders[1].id, Duration::from_micros(chance.random_range(0..1500)));
        let call = async {
            match turn % 6 {
                0 => drop(ledger.create(&orders[0]).await),
                1 => drop(ledger.load(id).await),
                2 => drop(ledger.events(0, None, 10).await),
                3 => drop(ledger.claim(id, "dropped", Duration::from_millis(1)).await),
                4 => drop(ledger.request_cancel(id).await),
                _ => drop(ledger.claim_next("dropped", Duration::from_millis(1), 1).await),
            }
        };
        let _ = tokio::time::timeout(moment, call).await;
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    for _ in 0..40 {
        for order in &orders {
            ledger.load(&order.id).await.expect("loaded").expect("there");
            let claim = ledger.claim(&order.id, "after", Duration::from_secs(9)).await.expect("claimed");
            ledger.write(&claim, &Change::default()).await.expect("written");
            ledger.release(&claim).await.expect("released");
            ledger.verify(&order.id).await.expect("whole");
        }
    }
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
