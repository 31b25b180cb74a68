//! Three hosts share a ledger; they are killed and stopped at random, and the database is cut off from them. In the
//! end each order has all of its services once, or none.
//!
//! A host is this test's own executable. One that is stopped (SIGSTOP) for longer than its claims last must not call
//! or write when it goes on. `FULCRUM_ORDERS` says how many orders come at least, `FULCRUM_SEED` where chance starts.

use std::{
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::support::{self, CLOUDS, cloud, count, duo, duo_plan, plan, providers, seed};
#[cfg(feature = "postgres")]
use fulcrum_core::ledger::PostgresLedger;
use fulcrum_core::{
    ledger::{Ledger, OrderQuery, SqliteLedger},
    model::{CallProgress, ClaimId, OrderEventKind, OrderId, OrderState, Plan, Policy, StepState},
    provider::{
        Call, IdempotencyClass,
        sandbox::{Fault, FaultRule, Sandbox},
    },
    purchase::Engine,
};
use rand::{Rng, SeedableRng, rngs::StdRng};

const HOSTS: usize = 3;
/// So long that a host which goes on after a stop of a little more has a second to end the call that it was in: whoever took
/// its order over looks for as long as a claim lasts.
const CLAIM_TTL: Duration = Duration::from_secs(2);
/// An order that takes longer is in limbo.
const PATIENCE: Duration = Duration::from_secs(600);
const LAGGING: IdempotencyClass = IdempotencyClass::Searchable { list_lag_ms: 25 };

/// Replies are lost now and then, of calls that happened and of calls that did not.
fn clouds(folder: &Path) -> Vec<Sandbox> {
    let rule = |call, nth, fault| FaultRule { call, sku: None, nth, times: 1, fault };
    let build = |name: &&str| {
        let builder = cloud(name, Some(folder)).idempotency(LAGGING);
        let ms = Duration::from_millis;
        let builder = builder.latency(ms(2), ms(20)).operation(ms(20), ms(60));
        (1..6)
            .fold(builder, |builder, nth| {
                builder.fault(rule(Call::Provision, 7 * nth, Fault::AmbiguousHappened)).fault(rule(
                    Call::Provision,
                    7 * nth + 3,
                    Fault::AmbiguousLost,
                ))
            })
            .build()
    };
    CLOUDS.iter().map(build).collect()
}

/// A file or a database, by its address.
pub(crate) async fn open(ledger: &str) -> Arc<dyn Ledger> {
    #[cfg(feature = "postgres")]
    if ledger.starts_with("postgresql://") {
        // The database may be cut off just now: then the host tries again, as a service manager would start it again.
        for _ in 0..50 {
            if let Ok(opened) = PostgresLedger::with_connections(ledger, 8).await {
                return Arc::new(opened);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        return Arc::new(PostgresLedger::with_connections(ledger, 8).await.expect("a ledger"));
    }
    Arc::new(SqliteLedger::open(ledger).await.expect("a ledger"))
}

/// The last of the hosts does not know gamma: it has only orders that do without.
fn spawn(folder: &Path, ledger: &str, number: usize) -> Child {
    let known = if number + 1 == HOSTS { 2 } else { CLOUDS.len() };
    Command::new(std::env::current_exe().expect("this executable"))
        .args(["--exact", "multi_host::the_host_that_is_killed", "--ignored", "--nocapture"])
        .env("FULCRUM_HOST_CLOUDS", known.to_string())
        .env("FULCRUM_HOST_FOLDER", folder)
        .env("FULCRUM_HOST_LEDGER", ledger)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a child process")
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(sent.expect("kill").success(), "no such process");
}

/// Ends a host that is alive: one that has ended by itself has failed.
fn kill(host: &mut Child) {
    assert_eq!(host.try_wait().expect("a process"), None, "a host has ended by itself");
    host.kill().expect("killed");
    let status = host.wait().expect("ended");
    assert_eq!(status.signal(), Some(9), "a host has ended by itself: {status}");
}

/// Every third is one that all hosts can drive.
fn order(number: usize) -> Plan {
    if number.is_multiple_of(3) { duo_plan(&duo("")) } else { plan() }
}

/// How many orders come at least.
fn orders(otherwise: usize) -> usize {
    std::env::var("FULCRUM_ORDERS").ok().and_then(|orders| orders.parse().ok()).unwrap_or(otherwise)
}

/// What went wrong on purpose, and whom it hit.
#[derive(Debug, Default)]
struct Harm {
    killed: u32,
    stopped: u32,
    cut: u32,
    orders: usize,
    /// Orders that a second host took up.
    taken_over: usize,
    /// Services that one host asked for and another one found.
    adopted: usize,
}

impl std::fmt::Display for Harm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { killed, stopped, cut, orders, taken_over, adopted } = self;
        write!(
            f,
            "{killed} hosts killed, {stopped} stopped, {cut} times cut off; {taken_over} orders taken over, "
        )?;
        write!(f, "{adopted} services adopted; {orders} orders: 0 orphans, 0 doubles, 0 in limbo")
    }
}

/// Lets the hosts work on orders and harms them until all orders have ended; and again, until harm has hit hosts at work.
async fn harm(most: usize, ledger: &str, folder: &Path, cut: impl AsyncFn()) -> Harm {
    let mut chance = StdRng::seed_from_u64(seed::seed());
    let store = open(ledger).await;
    let engine = Engine::new(providers(&clouds(folder)), store.clone());
    let mut hosts: Vec<Child> = (0..HOSTS).map(|number| spawn(folder, ledger, number)).collect();
    let mut harm = Harm::default();
    let is_enough = |harm: &Harm| harm.killed + harm.stopped > 3 && harm.taken_over > 0 && harm.adopted > 0;
    while harm.orders < most || !is_enough(&harm) {
        assert!(harm.orders < 50 * most, "no harm hits a host at work: {harm:?}");
        let mut ids = Vec::new();
        for number in 0..most.min(60) {
            ids.push(engine.accept(order(number), Policy::default(), None).await.expect("accepted").id);
        }
        let end = Instant::now() + PATIENCE;
        while !are_all_final(&*store, end).await {
            tokio::time::sleep(Duration::from_millis(chance.random_range(20..200))).await;
            let at = chance.random_range(0..HOSTS);
            match chance.random_range(0..5) {
                0 | 1 => {
                    kill(&mut hosts[at]);
                    hosts[at] = spawn(folder, ledger, at);
                    harm.killed += 1;
                }
                2 | 3 => {
                    signal(&hosts[at], "STOP");
                    tokio::time::sleep(CLAIM_TTL + CLAIM_TTL / 8).await;
                    signal(&hosts[at], "CONT");
                    harm.stopped += 1;
                }
                _ => {
                    cut().await;
                    harm.cut += 1;
                }
            }
        }
        harm.orders += ids.len();
        for id in &ids {
            let (was_taken_over, adopted) = handed_on(&*store, id).await;
            harm.taken_over += usize::from(was_taken_over);
            harm.adopted += adopted;
        }
    }
    // Who was stopped just now may still be about to call.
    tokio::time::sleep(CLAIM_TTL).await;
    for mut host in hosts {
        kill(&mut host);
    }
    harm
}

async fn are_all_final(store: &dyn Ledger, end: Instant) -> bool {
    let unfinished = OrderQuery { is_unfinished: true, ..OrderQuery::default() };
    let left = store.list(&unfinished).await;
    assert!(Instant::now() < end, "orders in limbo: {left:?}");
    left.is_ok_and(|left| left.is_empty())
}

/// Whether more than one host had an order, and how many of its services were asked for by one and found by another.
async fn handed_on(store: &dyn Ledger, order: &OrderId) -> (bool, usize) {
    // The token tells how often it was claimed; a connection that was cut off may still be in the pool.
    let mut claim = store.claim(order, "the judge", Duration::ZERO).await;
    for _ in 0..20 {
        if claim.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        claim = store.claim(order, "the judge", Duration::ZERO).await;
    }
    let tokens = claim.expect("claimed by nobody").token - 1;
    let mut asked_by: std::collections::BTreeMap<u32, ClaimId> = Default::default();
    let mut looks_by = asked_by.clone();
    let mut adopted = 0;
    for event in store.events(0, Some(order), 1000).await.expect("events") {
        let OrderEventKind::Step { index, step, .. } = event.kind.into_kind() else { continue };
        match step {
            StepState::Provisioning { claim, progress: CallProgress::IntentOnly, .. } => {
                asked_by.insert(index, claim);
                looks_by.remove(&index);
            }
            StepState::Provisioning { claim, progress: CallProgress::OutcomeUnknown, .. } => {
                looks_by.insert(index, claim);
            }
            StepState::Provisioned { .. } => {
                let looked = looks_by.remove(&index);
                adopted += usize::from(looked.is_some_and(|by| asked_by.get(&index) != Some(&by)));
            }
            _ => {}
        }
    }
    (tokens >= 2, adopted)
}

/// The invariants, read from the clouds' own state.
async fn check(orders: usize, ledger: &str, folder: &Path) {
    let clouds = clouds(folder);
    let engine = Engine::new(providers(&clouds), open(ledger).await);
    let ids = engine.ledger().list(&OrderQuery::default()).await.expect("listed");
    assert_eq!(ids.len(), orders);
    let mut services = 0;
    for id in &ids {
        let order = engine.load(id).await.expect("an order");
        assert_eq!(order.state, OrderState::Committed, "{order:#?}");
        services += order.plan.leases.len();
        engine.ledger().verify(id).await.expect("whole");
    }
    let (alive, of_key) = count(&clouds);
    assert_eq!((alive, of_key.len()), (services, services), "services, and keys that have any: {of_key:?}");
    support::assert_clean(&engine.reconcile().await.expect("reconciled"));
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_with_one_file_may_be_killed_and_stopped() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = folder.path().join("orders.db").to_str().expect("a path").to_owned();
    let harm = harm(orders(40), &ledger, folder.path(), async || {}).await;
    check(harm.orders, &ledger, folder.path()).await;
    println!("figure: one file: {harm}");
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn hosts_with_one_database_may_be_killed_stopped_and_cut_off() {
    use sqlx::{Connection, PgConnection};

    let Some(url) = support::postgres::database().await else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let cut = async || {
        let mut raw = PgConnection::connect(&url).await.expect("connected");
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        sqlx::query(cut).execute(&mut raw).await.expect("cut");
    };
    let harm = harm(orders(40), &url, folder.path(), cut).await;
    check(harm.orders, &url, folder.path()).await;
    println!("figure: one database: {harm}");
}

/// Far more orders than connections: none waits for one that another has been given and does not use.
#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn many_orders_share_few_connections() {
    let Some(url) = support::postgres::database().await else { return };
    let clouds: Vec<Sandbox> = CLOUDS.iter().map(|name| cloud(name, None).build()).collect();
    let ledger = PostgresLedger::with_connections(&url, 2).await.expect("a ledger");
    let engine = Engine::new(providers(&clouds), Arc::new(ledger));
    for _ in 0..40 {
        engine.accept(plan(), Policy::default(), None).await.expect("accepted");
    }
    let all_done = async {
        let unfinished = OrderQuery { is_unfinished: true, ..OrderQuery::default() };
        while !engine.ledger().list(&unfinished).await.expect("listed").is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let served = tokio::time::timeout(Duration::from_secs(25), engine.serve(40, all_done)).await;
    assert!(served.is_ok(), "the orders wait for each other");
}

/// Nobody harms the hosts here: they must go on by themselves once the server is back.
#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn hosts_outlive_a_database_that_crashes_and_starts_again() {
    let Some(url) = support::postgres::database_alone().await else { return };
    let Ok(restart) = std::env::var("FULCRUM_TEST_POSTGRES_RESTART") else {
        assert!(std::env::var_os("CI").is_none(), "no server to restart; run this by scripts/with-postgres");
        println!("SKIPPED: no server that this test may restart; run it by scripts/with-postgres");
        return;
    };
    let (folder, orders) = (tempfile::tempdir().expect("a folder"), 90);
    let mut chance = StdRng::seed_from_u64(seed::seed());
    let engine = Engine::new(providers(&clouds(folder.path())), open(&url).await);
    for number in 0..orders {
        engine.accept(order(number), Policy::default(), None).await.expect("accepted");
    }
    let mut hosts: Vec<Child> = (0..HOSTS).map(|number| spawn(folder.path(), &url, number)).collect();
    let unfinished = OrderQuery { is_unfinished: true, ..OrderQuery::default() };
    let mut crashes = 0;
    let end = Instant::now() + PATIENCE;
    loop {
        tokio::time::sleep(Duration::from_millis(chance.random_range(100..600))).await;
        // The first question may meet a connection of before the crash.
        match engine.ledger().list(&unfinished).await {
            Ok(left) if left.is_empty() => break,
            // Once hosts are at work.
            Ok(left) if crashes < 6 && left.len() < orders => {
                let restarted = tokio::process::Command::new(&restart).status().await;
                assert!(
                    restarted.expect("the script's program").success(),
                    "the server does not start again"
                );
                crashes += 1;
            }
            Ok(_) | Err(_) => assert!(Instant::now() < end, "orders in limbo"),
        }
        for host in &mut hosts {
            assert_eq!(host.try_wait().expect("a process"), None, "a host has ended");
        }
    }
    for mut host in hosts {
        kill(&mut host);
    }
    check(orders, &url, folder.path()).await;
    println!("figure: {crashes} crashes of the server: {orders} orders: 0 orphans, 0 doubles, 0 in limbo");
    assert!(crashes > 1, "it crashed only {crashes} times while work was under way");
}

#[test]
#[ignore = "run by the tests above, as a process that is killed"]
fn the_host_that_is_killed() {
    let Some(folder) = std::env::var_os("FULCRUM_HOST_FOLDER").map(PathBuf::from) else { return };
    let ledger = std::env::var("FULCRUM_HOST_LEDGER").expect("a ledger");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let known =
            std::env::var("FULCRUM_HOST_CLOUDS").ok().and_then(|text| text.parse().ok()).expect("a number");
        let clouds: Vec<Sandbox> = clouds(&folder).into_iter().take(known).collect();
        let engine = Engine::new(providers(&clouds), open(&ledger).await).with_claim_ttl(CLAIM_TTL);
        engine.serve(4, std::future::pending()).await;
    });
}
