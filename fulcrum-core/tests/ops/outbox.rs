//! A host gets every event at least once, in order, whoever dies on the way.

use std::{
    collections::BTreeMap,
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::support::{self, clouds, plan, providers};
use fulcrum_core::{
    ledger::{Ledger, SqliteLedger},
    model::{OrderEvent, OrderId, Policy},
    provider::IdempotencyClass,
    purchase::Engine,
};
use jiff::Timestamp;
use tokio::{sync::Notify, task::JoinHandle, time::timeout};

const NAME: &str = "to a test";

/// Engines on every store that is here: one file, one memory, one server.
async fn engines() -> Vec<Arc<Engine>> {
    let mut ledgers: Vec<Arc<dyn Ledger>> =
        vec![Arc::new(SqliteLedger::in_memory().await.expect("a ledger"))];
    let folder = tempfile::tempdir().expect("a folder").keep();
    ledgers.push(Arc::new(SqliteLedger::open(folder.join("orders.db")).await.expect("a ledger")));
    #[cfg(feature = "postgres")]
    if let Some(url) = support::postgres::database().await {
        let ledger = fulcrum_core::ledger::PostgresLedger::with_connections(&url, 8).await;
        ledgers.push(Arc::new(ledger.expect("a ledger")));
    }
    let engine = |ledger| {
        let clouds = clouds(None, IdempotencyClass::Key, "", &[]);
        Arc::new(Engine::new(providers(&clouds), ledger))
    };
    ledgers.into_iter().map(engine).collect()
}

/// What a host has got.
#[derive(Debug, Default)]
struct Host {
    got: Mutex<Vec<OrderEvent>>,
    news: Notify,
}

impl Host {
    fn take(&self, events: Vec<OrderEvent>) {
        self.got.lock().expect("no panic").extend(events);
        self.news.notify_one();
    }

    fn numbers(&self) -> Vec<u64> {
        self.got.lock().expect("no panic").iter().map(|event| event.sequence).collect()
    }

    async fn until(&self, is_there: impl Fn(&[u64]) -> bool) {
        let waiting = async {
            while !is_there(&self.numbers()) {
                self.news.notified().await;
            }
        };
        timeout(Duration::from_secs(300), waiting).await.expect("delivered in time");
    }
}

/// Delivers to a host that takes everything.
fn deliver(engine: &Arc<Engine>, host: &Arc<Host>) -> JoinHandle<()> {
    let (engine, host) = (engine.clone(), host.clone());
    tokio::spawn(async move {
        let sink = |events| {
            host.take(events);
            std::future::ready(Ok::<_, String>(()))
        };
        engine.deliver(NAME, sink, pending()).await;
    })
}

async fn buy(engine: &Engine) -> OrderId {
    let order = engine.accept(plan(), Policy::default(), None).await.expect("accepted");
    engine.drive(&order.id).await.expect("driven").id
}

async fn all(engine: &Engine) -> Vec<u64> {
    let events = engine.ledger().events(0, None, 100_000).await.expect("events");
    events.iter().map(|event| event.sequence).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_missed_while_many_write_and_each_order_comes_in_order() {
    for engine in engines().await {
        let host = Arc::new(Host::default());
        buy(&engine).await;
        let delivering = deliver(&engine, &host);
        let buying: Vec<_> = (0..6)
            .map(|_| {
                let engine = engine.clone();
                tokio::spawn(async move {
                    for _ in 0..4 {
                        buy(&engine).await;
                    }
                })
            })
            .collect();
        for buyer in buying {
            buyer.await.expect("no panic");
        }
        let all = all(&engine).await;
        host.until(|got| got.last() == all.last()).await;
        assert_eq!(host.numbers(), all, "{:?}", engine.ledger());
        let mut last: BTreeMap<OrderId, u64> = BTreeMap::new();
        for event in host.got.lock().expect("no panic").iter() {
            let number = last.entry(event.order.clone()).or_default();
            assert_eq!(event.number, *number + 1, "order {}", event.order);
            *number = event.number;
        }
        assert_eq!(last.len(), 25);
        delivering.abort();
    }
}

#[tokio::test]
async fn what_a_host_took_before_it_died_is_delivered_again() {
    for engine in engines().await {
        buy(&engine).await;
        let first = Arc::new(Host::default());
        let dying = tokio::spawn({
            let (engine, host) = (engine.clone(), first.clone());
            async move {
                // It has dealt with the batch, and dies before the ledger knows.
                let sink = |events| {
                    host.take(events);
                    pending::<Result<(), String>>()
                };
                engine.deliver(NAME, sink, pending()).await;
            }
        });
        first.until(|got| !got.is_empty()).await;
        dying.abort();
        assert!(dying.await.expect_err("it died").is_cancelled());
        assert_eq!(engine.ledger().consumer_offset(NAME).await.expect("a cursor"), 0);
        let second = Arc::new(Host::default());
        let delivering = deliver(&engine, &second);
        let all = all(&engine).await;
        second.until(|got| got.last() == all.last()).await;
        assert_eq!((first.numbers(), second.numbers()), (all.clone(), all.clone()));
        // Taken and known: not again, also not by a later run.
        while engine.ledger().consumer_offset(NAME).await.expect("a cursor") != all[all.len() - 1] {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        delivering.abort();
        buy(&engine).await;
        let third = Arc::new(Host::default());
        let delivering = deliver(&engine, &third);
        third.until(|got| !got.is_empty()).await;
        assert!(third.numbers()[0] > all[all.len() - 1]);
        delivering.abort();
    }
}

#[tokio::test]
async fn a_batch_that_the_host_does_not_take_comes_again_and_nothing_overtakes_it() {
    for engine in engines().await {
        buy(&engine).await;
        let host = Host::default();
        let mut firsts = Vec::new();
        let all = all(&engine).await;
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let mut stop = Some(stop);
        let sink = |events: Vec<OrderEvent>| {
            firsts.push(events[0].sequence);
            let outcome = if firsts.len() < 4 { Err("not now") } else { Ok(()) };
            if outcome.is_ok() {
                host.take(events);
            }
            if host.numbers().last() == all.last() {
                stop.take().map(|stop| stop.send(()));
            }
            std::future::ready(outcome)
        };
        let delivering = engine.deliver(NAME, sink, async { stopped.await.unwrap_or_default() });
        timeout(Duration::from_secs(300), delivering).await.expect("it stops");
        assert_eq!(firsts, [all[0]; 4]);
        assert_eq!(host.numbers(), all);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_of_one_name_get_everything_between_them() {
    for engine in engines().await {
        let hosts = [Arc::new(Host::default()), Arc::new(Host::default())];
        let delivering = hosts.each_ref().map(|host| deliver(&engine, host));
        let mut cursor = 0;
        for _ in 0..6 {
            buy(&engine).await;
            let now = engine.ledger().consumer_offset(NAME).await.expect("a cursor");
            assert!(now >= cursor, "it went back from {cursor} to {now}");
            cursor = now;
        }
        let all = all(&engine).await;
        let union = || {
            let mut got: Vec<u64> = hosts.iter().flat_map(|host| host.numbers()).collect();
            got.sort_unstable();
            got.dedup();
            got
        };
        let waiting = async {
            while union() != all {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(300), waiting).await.expect("all is delivered");
        delivering.iter().for_each(JoinHandle::abort);
    }
}

#[tokio::test]
async fn no_order_is_forgotten_before_it_is_delivered() {
    for engine in engines().await {
        let order = buy(&engine).await;
        engine.cancel(&order).await.expect("cancelled");
        engine.ledger().commit_offset(NAME, 0).await.expect("begun");
        assert_eq!(engine.purge(Timestamp::MAX).await.expect("nothing yet"), 0);
        let host = Arc::new(Host::default());
        let delivering = deliver(&engine, &host);
        let waiting = async {
            while engine.purge(Timestamp::MAX).await.expect("looked") == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(300), waiting).await.expect("forgotten");
        let is_first_to_last = |got: &[u64]| got.len() > 10 && got.is_sorted();
        assert!(is_first_to_last(&host.numbers()), "{:?}", host.numbers());
        delivering.abort();
        // One that nobody needs any more keeps nothing.
        engine.ledger().commit_offset("old", 0).await.expect("begun");
        let order = buy(&engine).await;
        engine.cancel(&order).await.expect("cancelled");
        engine.ledger().drop_consumer(NAME).await.expect("dropped");
        assert_eq!(engine.purge(Timestamp::MAX).await.expect("nothing yet"), 0);
        assert!(engine.ledger().drop_consumer("old").await.expect("dropped"));
        assert_eq!(engine.purge(Timestamp::MAX).await.expect("forgotten"), 1);
    }
}
