//! What every store of orders must do, and what each must do besides.

mod files;
mod operations;
#[cfg(feature = "postgres")]
mod postgres;
mod schema;
#[cfg(feature = "postgres")]
mod sessions;
#[cfg(feature = "postgres")]
mod shared_database;
mod sqlite;
mod upgrade;

use std::{pin::pin, sync::Arc, time::Duration};

use crate::support::{CLOUDS, clouds, plan, providers};
use fulcrum_core::{
    ledger::{Claim, Ledger, LedgerError, OrderUpdate, SqliteLedger},
    model::{Order, Policy, ProviderId},
    provider::IdempotencyClass,
    purchase::Engine,
};
use rand::{Rng, SeedableRng, rngs::StdRng};

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

/// The providers of those orders.
fn everywhere() -> Vec<ProviderId> {
    CLOUDS.iter().map(|name| name.parse().expect("a name")).collect()
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
    let stale = Claim { order: orders[2].id.clone(), token: u64::MAX, until: jiff::Timestamp::UNIX_EPOCH };
    for turn in 0..400 {
        let (id, polls) = (&orders[1].id, chance.random_range(1..12));
        let call = async {
            match turn % 6 {
                0 => drop(ledger.create(&orders[0]).await),
                1 => drop(ledger.load(id).await),
                2 => drop(ledger.events(0, None, 10).await),
                3 => drop(ledger.claim(id, "dropped", Duration::from_millis(1)).await),
                4 => drop(ledger.request_cancel(id, None).await),
                _ => drop(ledger.claim_next("dropped", Duration::from_millis(1), 1, &everywhere()).await),
            }
        };
        // By polls and not by time, of which timers know a millisecond only.
        let mut call = pin!(call);
        for _ in 0..polls {
            if futures::poll!(&mut call).is_ready() {
                break;
            }
            std::thread::sleep(Duration::from_micros(50));
        }
        // On all connections at once: none is in a transaction that nobody ends.
        for answer in futures::future::join_all((0..8).map(|_| ledger.relinquish(&stale))).await {
            assert!(matches!(answer, Err(LedgerError::Fenced(_))), "seed {seed}, turn {turn}: {answer:?}");
        }
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    for _ in 0..40 {
        for order in &orders {
            ledger.load(&order.id).await.expect("loaded").expect("there");
            let claim = ledger.claim(&order.id, "after", Duration::from_secs(9)).await.expect("claimed");
            ledger.write(&claim, &OrderUpdate::default()).await.expect("written");
            ledger.relinquish(&claim).await.expect("released");
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

/// `ahead` moves all claims into the future, as those are that were written before a clock was set back.
async fn clock_set_back(ledger: &dyn Ledger, ahead: impl AsyncFn()) {
    // Nobody is so late as to come after it by chance.
    let lease = Duration::from_secs(5);
    let orders = orders(2).await;
    for order in &orders {
        ledger.create(order).await.expect("created");
        ledger.claim(&order.id, "a host that died", lease).await.expect("claimed");
    }
    ahead().await;
    // Its driver may be alive: nobody else has it before a whole lease is over, and after that somebody has.
    let early = ledger.claim(&orders[0].id, "another", lease).await;
    assert!(matches!(early, Err(LedgerError::Claimed { .. })), "{early:?}");
    assert_eq!(ledger.claim_next("another", lease, 10, &everywhere()).await.expect("asked"), []);
    tokio::time::sleep(lease + Duration::from_millis(50)).await;
    ledger.claim(&orders[0].id, "another", lease).await.expect("free by now");
    let next = ledger.claim_next("another", lease, 10, &everywhere()).await.expect("asked");
    assert_eq!(next.iter().map(|claim| &claim.order).collect::<Vec<_>>(), [&orders[1].id]);
}

/// A drive failed while the clock was ten years ahead: the order does not wait for as long.
async fn put_off_by_a_clock(ledger: &dyn Ledger) {
    let lease = Duration::from_secs(600);
    let order = orders(1).await.remove(0);
    ledger.create(&order).await.expect("created");
    let claim = ledger.claim(&order.id, "a host", lease).await.expect("claimed");
    let ahead = jiff::Timestamp::now() + Duration::from_secs(10 * 365 * 86_400);
    ledger.record_failed_drive(&claim, "a test", ahead).await.expect("counted");
    ledger.relinquish(&claim).await.expect("given back");
    let next = ledger.claim_next("another", lease, 10, &everywhere()).await.expect("asked");
    assert_eq!(next.iter().map(|claim| &claim.order).collect::<Vec<_>>(), [&order.id]);
}
