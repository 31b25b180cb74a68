//! What changes while a scan looks is no finding; a scan that dies leaves its work to the next one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use fulcrum_core::{
    model::{FindingKind, Operator, OrderState, Policy, RepairAction, ServiceStatus},
    provider::{
        Call, IdempotencyClass,
        sandbox::{Fault, FaultRule},
    },
    purchase::{Engine, RepairPolicy},
};
use futures::FutureExt;
use jiff::Timestamp;

use super::{
    LAGGING, Market, bought, copy, exists, held, market,
    meddled::{Meddle, Meddled},
    short, sqlite, tamper,
};
use crate::support::{CLOUDS, assert_clean, cloud, clouds, plan, providers};

/// Undoes the market's order, by another host.
fn undo(market: &Market) -> Meddle {
    let (engine, order) = (market.engine.clone(), market.order.id.clone());
    Arc::new(move || {
        let (engine, order) = (engine.clone(), order.clone());
        async move { drop(engine.cancel(&order).await.expect("cancelled")) }.boxed()
    })
}

#[tokio::test]
async fn an_order_that_is_undone_after_the_list_was_read_leaves_no_finding() {
    let market = market(&[]).await;
    let scanning = Meddled::engine(&market, &held(&market.order, 2), Call::Services, undo(&market));
    let outcome = scanning.repair(&RepairPolicy::all()).await.expect("reconciled");
    assert_clean(&outcome);
    // Of the lists before it: the clouds were asked at the same time.
    assert!(outcome.scanned.services > 0, "{outcome:?}");
}

#[tokio::test]
async fn an_order_that_is_bought_after_the_list_was_read_leaves_no_finding() {
    let market = market(&[]).await;
    let engine = market.engine.clone();
    let buy: Meddle = Arc::new(move || {
        let engine = engine.clone();
        async move { drop(bought(&engine, Policy::default()).await) }.boxed()
    });
    let scanning = Meddled::engine(&market, &held(&market.order, 2), Call::Services, buy);
    let outcome = scanning.repair(&RepairPolicy::all()).await.expect("reconciled");
    assert_clean(&outcome);
    assert_eq!(outcome.scanned.orders, 2, "it was bought after the lists and before the orders were read");
}

#[tokio::test]
async fn an_order_that_is_undone_while_its_service_is_looked_at_leaves_no_finding() {
    for is_hidden in [true, false] {
        let market = market(&[]).await;
        let service = held(&market.order, 0);
        market.change(&service, |resource| match is_hidden {
            // Looks missing in the list, and then truly is gone.
            true => resource.visible_at = Timestamp::MAX,
            // Has drifted, and then is being released.
            false => resource.service.status = ServiceStatus::Stopped,
        });
        let scanning = Meddled::engine(&market, &service, Call::Describe, undo(&market));
        assert_clean(&scanning.repair(&RepairPolicy::all()).await.expect("reconciled"));
    }
}

#[tokio::test]
async fn a_stuck_order_that_is_taken_up_again_while_its_service_is_looked_at_leaves_no_finding() {
    let release = |nth, fault| FaultRule { call: Call::Release, sku: None, nth, times: 1, fault };
    let mut market = market(&[release(1, Fault::Forbidden), release(2, Fault::Late { ms: 600_000 })]).await;
    let policy = Policy::default().with_compensation_timeout_s(0);
    market.order = bought(&market.engine, policy).await;
    market.order = market.engine.cancel(&market.order.id).await.expect("cancelled");
    assert_eq!(market.order.state, OrderState::Stuck);
    let (engine, order) = (market.engine.clone(), market.order.id.clone());
    let retry: Meddle = Arc::new(move || {
        let (engine, order) = (engine.clone(), order.clone());
        let by = Operator { who: "ada".to_owned(), why: "rights were mended".to_owned() };
        tokio::spawn({
            let (engine, order) = (engine.clone(), order.clone());
            async move { engine.retry(&order, by).await.expect("undone") }
        });
        async move {
            while engine.load(&order).await.expect("loaded").state != OrderState::Compensating {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        .boxed()
    });
    let gamma = market.clouds[2].resources().expect("readable").pop().expect("a service").service;
    let before = market.engine.reconcile().await.expect("reconciled");
    assert_eq!(short(&before.findings), [(FindingKind::Orphan, &gamma.id)]);
    let scanning = Meddled::engine(&market, &gamma, Call::Describe, retry);
    assert_clean(&scanning.reconcile().await.expect("reconciled"));
    assert!(exists(&market.clouds, &gamma), "it was looked at while it was being ended");
}

#[tokio::test]
async fn a_service_that_its_provider_does_not_show_for_a_moment_is_not_missing() {
    // A list may lag for much longer than the service is gone.
    let lagging = IdempotencyClass::Searchable { list_lag_ms: 3_000 };
    let clouds = clouds(None, lagging, "", &[]);
    let engine = Arc::new(Engine::new(providers(&clouds), Arc::new(sqlite().await)));
    let order = bought(&engine, Policy::default()).await;
    let market = Market { clouds, engine, order };
    let service = held(&market.order, 0);
    market.change(&service, |resource| resource.visible_at = Timestamp::MAX);
    let (clouds, hidden) = (market.clouds.clone(), service.clone());
    let hide: Meddle = Arc::new(move || {
        let (clouds, hidden) = (clouds.clone(), hidden.clone());
        tamper(&clouds, &hidden, |resource| resource.released_at = Some(Timestamp::now()));
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            tamper(&clouds, &hidden, |resource| resource.released_at = None);
        });
        async {}.boxed()
    });
    let scanning = Meddled::engine(&market, &service, Call::Describe, hide);
    assert_clean(&scanning.reconcile().await.expect("reconciled"));
}

/// Pain 2: whatever is bought and undone at the same time, what is found is never wrong.
#[tokio::test(flavor = "multi_thread")]
async fn scans_beside_many_purchases_and_compensations_find_nothing() {
    let (least, most) = (Duration::ZERO, Duration::from_millis(3));
    let clouds: Vec<_> = CLOUDS
        .iter()
        .map(|name| cloud(name, None).idempotency(LAGGING).latency(least, most).build())
        .collect();
    let engine = Arc::new(Engine::new(providers(&clouds), Arc::new(sqlite().await)));
    let (is_over, seen) = (Arc::new(AtomicBool::new(false)), Arc::new([const { AtomicUsize::new(0) }; 2]));
    let scanning = tokio::spawn({
        let (engine, is_over, seen) = (engine.clone(), is_over.clone(), seen.clone());
        async move {
            while !is_over.load(Ordering::SeqCst) {
                let outcome = engine.repair(&RepairPolicy::all()).await.expect("reconciled");
                assert_clean(&outcome);
                seen[0].fetch_add(1, Ordering::SeqCst);
                seen[1].fetch_add(outcome.scanned.services, Ordering::SeqCst);
            }
        }
    });
    let seen = || [0, 1].map(|at: usize| seen[at].load(Ordering::SeqCst));
    let mut orders = 0;
    // A busy machine needs more than one round.
    while seen()[0] < 12 || seen()[1] < 100 {
        buy_and_undo(&engine).await;
        orders += 24;
        assert!(orders < 2_400 && !scanning.is_finished(), "{:?} after {orders} orders", seen());
    }
    is_over.store(true, Ordering::SeqCst);
    scanning.await.expect("no false finding");
    println!("scans and services {:?}, beside {orders} orders: nothing was found", seen());
}

/// Orders one after the other that are finished, undone, undone half-way or dropped by their drivers.
async fn buy_and_undo(engine: &Arc<Engine>) {
    let orders = (0..24).map(|number| {
        let engine = engine.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(number * 20)).await;
            let order = engine.accept(plan(), Policy::default(), None).await.expect("accepted").id;
            if number % 3 == 0 {
                let _ = tokio::time::timeout(Duration::from_millis(number), engine.drive(&order)).await;
            } else {
                engine.drive(&order).await.expect("driven");
            }
            if number % 2 == 0 {
                engine.cancel(&order).await.expect("cancelled");
            }
        })
    });
    for order in futures::future::join_all(orders).await {
        order.expect("no panic");
    }
}

/// A market whose third cloud lets the caller die at its first release.
async fn deadly(fault: Fault) -> Market {
    let mut clouds = clouds(None, LAGGING, "", &[]);
    let rule = FaultRule { call: Call::Release, sku: None, nth: 1, times: 1, fault };
    let die = Arc::new(|| panic!("the power fails"));
    clouds[2] = cloud("gamma", None).idempotency(LAGGING).fault(rule).on_crash(die).build();
    let engine = Arc::new(Engine::new(providers(&clouds), Arc::new(sqlite().await)));
    let order = bought(&engine, Policy::default()).await;
    Market { clouds, engine, order }
}

/// Pains 10 and 13: the intent is there before the call, and the next scan does the rest.
#[tokio::test]
async fn a_scan_that_dies_between_intent_and_call_leaves_the_rest_to_the_next_one() {
    for fault in [Fault::CrashBefore, Fault::CrashAfter] {
        let has_called = fault == Fault::CrashAfter;
        let market = deadly(fault).await;
        let service = held(&market.order, 2);
        let second = copy(&market.clouds, &service, service.key.clone(), 0);
        let engine = market.engine.clone();
        let died = tokio::spawn(async move { engine.repair(&RepairPolicy::all()).await });
        assert!(died.await.expect_err("it dies").is_panic());
        let told = market.told().await;
        assert_eq!(told.iter().map(|(_, action)| action).collect::<Vec<_>>(), [&RepairAction::Releasing]);
        assert_eq!(told[0].0.service, second.id);
        market.is_let_go().await;
        let outcome = market.engine.repair(&RepairPolicy::all()).await.expect("repaired");
        if has_called {
            assert_clean(&outcome);
        } else {
            assert_eq!(short(&outcome.repaired), [(FindingKind::Duplicate, &second.id)]);
        }
        assert!(exists(&market.clouds, &service) && !exists(&market.clouds, &second));
        assert_clean(&market.engine.reconcile().await.expect("reconciled"));
    }
}

#[tokio::test]
async fn a_scan_that_is_dropped_at_any_moment_harms_nothing() {
    for micros in (0..20_000).step_by(500) {
        let market = market(&[]).await;
        let service = held(&market.order, 2);
        let second = copy(&market.clouds, &service, service.key.clone(), 0);
        let policy = RepairPolicy::all();
        let _ = tokio::time::timeout(Duration::from_micros(micros), market.engine.repair(&policy)).await;
        let end = std::time::Instant::now() + Duration::from_secs(300);
        // Its claim is given back by and by.
        while exists(&market.clouds, &second) {
            assert!(std::time::Instant::now() < end, "dropped after {micros} µs");
            tokio::time::sleep(Duration::from_millis(1)).await;
            market.engine.repair(&policy).await.expect("repaired");
        }
        assert!((0..3).all(|step| exists(&market.clouds, &held(&market.order, step))));
    }
}
