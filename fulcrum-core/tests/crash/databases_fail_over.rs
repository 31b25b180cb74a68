//! A database fails over, under what is done to orders after their purchase and under a purchase: to a standby that has not
//! heard the last moments. What hosts were told may be forgotten then; nothing is bought, ended or delivered twice.
//!
//! `FULCRUM_ROUNDS` says how often, `FULCRUM_SEED` where chance starts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use fulcrum_core::{
    ledger::{LedgerError, PostgresLedger},
    model::{OrderId, OrderState, Policy},
    provider::sandbox::Sandbox,
    purchase::{Engine, PurchaseError},
};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{
    databases::{CLAIM_TTL, PATIENCE, Place, is_said},
    hindered_ledger::{Hindered, Hindrance},
    multi_host::open,
    operation::{OPERATIONS, clouds},
    standby::{Pair, url},
    support::{count, plan, providers, seed},
};

/// A standby has no say: its answers are of a moment ago, and it takes no writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_no_ledger_and_says_so() {
    let Some(pair) = Pair::start().await else { return };
    let refused = async |context: &str| {
        let opened = PostgresLedger::open(&url(pair.standby.port, "postgres")).await;
        let words = opened.expect_err(context).to_string();
        for word in ["standby", "primary", &pair.standby.port.to_string()] {
            assert!(words.contains(word), "{context}: {word}: {words}");
        }
        println!("{context}: {words}");
    };
    refused("before there are any tables").await;
    drop(open(&url(pair.primary.port, "postgres")).await);
    pair.catch_up().await;
    refused("with the tables of a ledger").await;
    pair.cut_off();
    assert!(pair.standby.ask::<bool>("SELECT pg_promote()").await);
    open(&url(pair.standby.port, "postgres")).await;
}

/// What becomes of the primary in the middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// It takes no writes for a while, as an operator has said so.
    ReadOnly,
    /// The address leads to the standby for a while, which lags and takes no writes.
    Astray,
    /// It is gone, and the standby takes over without what it has not heard.
    FailOver,
}

#[derive(Debug)]
struct Turning {
    pair: Arc<Pair>,
    turn: Turn,
    has_begun: AtomicBool,
    is_over: Arc<AtomicBool>,
}

#[async_trait]
impl Hindrance for Turning {
    /// Once for all ledgers of the server.
    async fn begin(&self) {
        if self.has_begun.swap(true, Ordering::SeqCst) {
            return;
        }
        let (pair, turn, is_over) = (self.pair.clone(), self.turn, self.is_over.clone());
        tokio::spawn(async move {
            let a_while = Duration::from_millis(400);
            match turn {
                Turn::ReadOnly => {
                    let set = "ALTER SYSTEM SET default_transaction_read_only = on;SELECT pg_reload_conf()";
                    pair.primary.run_sql(set).await;
                    tokio::time::sleep(a_while).await;
                    let reset = "SET default_transaction_read_only = off;\
                        ALTER SYSTEM RESET default_transaction_read_only;SELECT pg_reload_conf()";
                    pair.primary.run_sql(reset).await;
                }
                Turn::Astray => {
                    pair.address.turn(Some(pair.standby.port));
                    tokio::time::sleep(a_while).await;
                    pair.address.turn(Some(pair.primary.port));
                }
                Turn::FailOver => {
                    let stopped = pair.clone();
                    tokio::task::spawn_blocking(move || stopped.primary.stop()).await.expect("no panic");
                    // The address is the standby's before it takes writes.
                    pair.address.turn(Some(pair.standby.port));
                    tokio::time::sleep(a_while).await;
                    assert!(pair.standby.ask::<bool>("SELECT pg_promote()").await);
                }
            }
            is_over.store(true, Ordering::SeqCst);
        });
        // The first of them meets it in the middle, others in whatever they do.
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// Buys an order whose id its host has chosen, until it is bought and nothing more can go wrong.
async fn buy(
    engine: &Engine,
    clouds: &[Sandbox],
    id: &OrderId,
    is_over: &AtomicBool,
    context: &str,
) -> usize {
    let (mut refused, plan) = (0, plan());
    let bought = async {
        loop {
            let was_over = is_over.load(Ordering::SeqCst);
            let outcome = match engine.accept(plan.clone(), Policy::default(), Some(id.clone())).await {
                Ok(_) => engine.drive(id).await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(order) if was_over && order.state == OrderState::Committed => return,
                Ok(order) => assert_eq!(order.state, OrderState::Committed, "{context}: {:?}", order.reason),
                // Forgotten between the two.
                Err(PurchaseError::Ledger(
                    LedgerError::Claimed { .. } | LedgerError::Fenced(_) | LedgerError::NoSuchOrder(_),
                )) => {}
                Err(PurchaseError::Ledger(error @ LedgerError::Store(_))) => {
                    assert!(is_said(&error.to_string()), "{context}: {error}");
                    refused += 1;
                }
                Err(error) => panic!("{context}: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, bought).await.unwrap_or_else(|_| panic!("{context}: it is in limbo"));
    let (alive, of_key) = count(clouds);
    let ever: usize = clouds.iter().map(|cloud| cloud.resources().expect("state").len()).sum();
    assert_eq!((alive, of_key.len(), ever), (3, 3, 3), "{context}: {of_key:?}");
    refused
}

/// One turn under all operations at once, each in its own database; how often a host was told why not.
async fn turn(turn: Turn, seed: u64) -> Option<usize> {
    let mut chance = StdRng::seed_from_u64(seed);
    let pair = Arc::new(Pair::start().await?);
    let mut places = Vec::new();
    for operation in OPERATIONS {
        let name = format!("{operation:?}").to_lowercase();
        pair.primary.run_sql(&format!("CREATE DATABASE {name}")).await;
        places.push((name.clone(), Place::prepare(operation, &url(pair.primary.port, &name)).await));
    }
    pair.primary.run_sql("CREATE DATABASE purchase").await;
    drop(open(&url(pair.primary.port, "purchase")).await);
    pair.catch_up().await;
    if turn != Turn::ReadOnly {
        pair.cut_off();
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let turning = Arc::new(Turning {
        pair: pair.clone(),
        turn,
        has_begun: AtomicBool::new(false),
        is_over: is_over.clone(),
    });
    let opened = async |name: &str, at: usize| {
        let address = url(pair.address.port, name);
        let ledger = Arc::new(PostgresLedger::with_connections(&address, 4).await.expect("a ledger"));
        Hindered::new(ledger, at, turning.clone())
    };
    let mut engines = Vec::new();
    for (name, place) in &places {
        let at = chance.random_range(3..12);
        let context = format!("{turn:?}, {name}, seed {seed}, write {at}");
        let engine = Engine::new(providers(&place.clouds), opened(name, at).await).with_claim_ttl(CLAIM_TTL);
        engines.push((engine, place, context));
    }
    let may_end = || is_over.load(Ordering::SeqCst);
    let performed = engines.iter().map(|(engine, place, context)| place.perform(engine, may_end, context));
    let (clouds, id, at) = (clouds(None, false), OrderId::generate(), chance.random_range(3..16));
    let engine = Engine::new(providers(&clouds), opened("purchase", at).await).with_claim_ttl(CLAIM_TTL);
    let context = format!("{turn:?}, a purchase, seed {seed}, write {at}");
    let bought = buy(&engine, &clouds, &id, &is_over, &context);
    let (performed, bought) = tokio::join!(futures::future::join_all(performed), bought);
    let refused = performed.iter().sum::<usize>() + bought;
    let port = if turn == Turn::FailOver { pair.standby.port } else { pair.primary.port };
    for (name, place) in &places {
        place.check(&url(port, name), &format!("{turn:?}, {name}, seed {seed}")).await;
    }
    assert!(!is_standby(&pair, port).await, "{turn:?}: not over");
    Some(refused)
}

async fn is_standby(pair: &Pair, port: u16) -> bool {
    let server = if port == pair.standby.port { &pair.standby } else { &pair.primary };
    server.ask("SELECT pg_is_in_recovery()").await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_to_an_order_outlives_its_server() {
    let rounds: u64 = std::env::var("FULCRUM_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let (seed, mut refused) = (seed::seed(), 0);
    for round in 0..rounds {
        for which in [Turn::ReadOnly, Turn::Astray, Turn::FailOver] {
            let Some(told) = turn(which, seed.wrapping_add(round)).await else { return };
            refused += told;
        }
    }
    println!(
        "figure: {rounds} times no writes, {rounds} times astray, {rounds} fail-overs to a standby that lagged, under {} \
         operations and a purchase; {refused} errors in words: nothing is bought, ended or delivered twice",
        OPERATIONS.len()
    );
    assert!(refused > 0, "nobody has met any of it");
}
