//! Orders in flight: how many a second, what the ledger adds to a step, beside the bare durable commits of the same
//! store.

mod cloud;
mod timed_ledger;

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Parser;
use fulcrum_benches::published::Error;
use fulcrum_core::{
    ledger::{Ledger, OrderQuery, PostgresLedger, SqliteLedger},
    model::{OrderId, OrderState, Policy},
    purchase::Engine,
};
use futures::{StreamExt, stream};
use sqlx::{Connection, PgConnection, SqliteConnection, sqlite::SqliteConnectOptions};
use timed_ledger::TimedLedger;

/// Drives many orders at once and compares the ledger's writes with bare commits.
#[derive(Debug, Parser)]
#[command(name = "load")]
struct Arguments {
    /// Orders in flight.
    #[arg(long, default_value_t = 10_000)]
    orders: usize,
    /// Services that each of them buys.
    #[arg(long, default_value_t = 4)]
    steps: u32,
    /// Processes that drive them; 0 for this one alone.
    #[arg(long, default_value_t = 0)]
    hosts: usize,
    /// A PostgreSQL database, such as `$FULCRUM_TEST_POSTGRES`; without it, an SQLite file.
    #[arg(long)]
    postgres: Option<String>,
    /// Folder of the SQLite file; a temporary one unless told.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Bare commits that are timed.
    #[arg(long, default_value_t = 3_000)]
    commits: usize,
    /// Connections that commit side by side; PostgreSQL only.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// So many times one after the other in this process; says how much memory it holds after each.
    #[arg(long, default_value_t = 1)]
    waves: usize,
    /// Drive what waits until killed: what a host process does.
    #[arg(long, hide = true)]
    serve: bool,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let arguments = Arguments::parse();
    let temporary = std::env::temp_dir().join(format!("fulcrum-load-{}", std::process::id()));
    let folder = arguments.folder.clone().unwrap_or_else(|| temporary.clone());
    std::fs::create_dir_all(&folder)?;
    let outcome = run(&arguments, &folder.join("orders.db")).await;
    let outcome = match outcome {
        Ok(()) if arguments.waves > 1 => waves(&arguments, &folder.join("orders.db")).await,
        other => other,
    };
    if arguments.folder.is_none() {
        std::fs::remove_dir_all(&temporary)?;
    }
    outcome
}

async fn open(arguments: &Arguments, file: &Path) -> Result<Arc<dyn Ledger>, Error> {
    Ok(match &arguments.postgres {
        Some(url) => Arc::new(PostgresLedger::open(url).await?),
        None => Arc::new(SqliteLedger::open(file).await?),
    })
}

async fn run(arguments: &Arguments, file: &Path) -> Result<(), Error> {
    let ledger = Arc::new(TimedLedger::new(open(arguments, file).await?));
    let lease = Duration::from_secs(60);
    let engine = Engine::new(cloud::providers(cloud::cloud()?), ledger.clone()).with_claim_ttl(lease);
    if arguments.serve {
        engine.serve(arguments.orders, std::future::pending()).await;
        return Ok(());
    }
    let committed = OrderQuery { state: Some(OrderState::Committed), ..OrderQuery::default() };
    let before = ledger.list(&committed).await?.len();
    let plan = cloud::plan(arguments.steps)?;
    let start = Instant::now();
    let accepted = stream::iter(0..arguments.orders)
        .map(|_| engine.accept(plan.clone(), Policy::default(), None))
        .buffer_unordered(64);
    let orders: Vec<OrderId> = accepted
        .map(|order| order.map(|order| order.id))
        .collect::<Vec<_>>()
        .await
        .into_iter()
        .collect::<Result<_, _>>()?;
    let accepting = start.elapsed();
    ledger.forget();
    let start = Instant::now();
    let seconds = if arguments.hosts == 0 {
        let all_done = wait(ledger.clone());
        engine.serve(arguments.orders, all_done).await;
        start.elapsed().as_secs_f64()
    } else {
        let mut hosts: Vec<Child> =
            (0..arguments.hosts).map(|_| host(arguments, file)).collect::<Result<_, _>>()?;
        wait(ledger.clone()).await;
        let seconds = start.elapsed().as_secs_f64();
        for host in &mut hosts {
            host.kill()?;
            host.wait()?;
        }
        seconds
    };
    let committed = ledger.list(&committed).await?.len() - before;
    if committed != orders.len() {
        return Err(format!("{committed} of {} orders are committed", orders.len()).into());
    }
    // For each step intent, handle and outcome; for each order the claim, its two states and its end.
    let writes = orders.len() * (3 * arguments.steps as usize + 4);
    let bare = match &arguments.postgres {
        Some(url) => bare_postgres(url, arguments.commits, arguments.connections).await?,
        None => bare_sqlite(&file.with_file_name("bare.db"), arguments.commits).await?,
    };
    let rate = writes as f64 / seconds;
    println!(
        "{} orders × {} steps, {} driving",
        orders.len(),
        arguments.steps,
        match arguments.hosts {
            0 => "this process".to_owned(),
            hosts => format!("{hosts} processes"),
        }
    );
    println!("  accepted     {:>9.0} orders/s", orders.len() as f64 / accepting.as_secs_f64());
    println!("  driven       {:>9.0} orders/s in {seconds:.1} s", orders.len() as f64 / seconds);
    println!("  writes       {rate:>9.0} /s ({writes})");
    println!(
        "  bare commits {bare:>9.0} /s ({})",
        if arguments.postgres.is_some() {
            format!("{} connections", arguments.connections)
        } else {
            "one after the other".to_owned()
        }
    );
    println!("  ratio        {:>9.2}", rate / bare);
    if let Some(overhead) = ledger.overhead() {
        println!("  ledger's share of a step: p50 {:.1?}, p99 {:.1?}", overhead.0, overhead.1);
    }
    Ok(())
}

/// Finished orders must cost nothing but room in the store: the memory of one engine that drives wave after wave.
async fn waves(arguments: &Arguments, file: &Path) -> Result<(), Error> {
    let ledger = open(arguments, file).await?;
    let cloud = cloud::cloud()?;
    let engine = Engine::new(cloud::providers(cloud.clone()), ledger.clone());
    let plan = cloud::plan(arguments.steps)?;
    println!("finished orders   resident MiB");
    for wave in 1..=arguments.waves {
        let accepted = stream::iter(0..arguments.orders)
            .map(|_| engine.accept(plan.clone(), Policy::default(), None))
            .buffer_unordered(64);
        accepted
            .for_each(|order| async { order.map(drop).unwrap_or_else(|error| println!("{error}")) })
            .await;
        let done = wait(ledger.clone());
        engine.serve(arguments.orders.min(1_000), done).await;
        cloud.empty();
        println!("{:>15}   {:>12.1}", wave * arguments.orders, resident_mib()?);
    }
    Ok(())
}

/// What the system keeps in memory for this process, in MiB.
fn resident_mib() -> Result<f64, Error> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}

/// Until no order is unfinished.
async fn wait(ledger: Arc<dyn Ledger>) {
    let unfinished = OrderQuery { is_unfinished: true, limit: 1, ..OrderQuery::default() };
    loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if ledger.list(&unfinished).await.is_ok_and(|orders| orders.is_empty()) {
            return;
        }
    }
}

fn host(arguments: &Arguments, file: &Path) -> std::io::Result<Child> {
    let share = arguments.orders.div_ceil(arguments.hosts).min(2_000);
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--serve", "--orders", &share.to_string()]).stdout(Stdio::null());
    if let (Some(folder), None) = (file.parent(), &arguments.postgres) {
        command.arg("--folder").arg(folder);
    }
    if let Some(url) = &arguments.postgres {
        command.args(["--postgres", url]);
    }
    command.spawn()
}

/// Commits a second of one small row each, as durable as the ledger's.
async fn bare_sqlite(file: &Path, commits: usize) -> Result<f64, Error> {
    use sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    sqlx::query("CREATE TABLE bare (id INTEGER PRIMARY KEY, text TEXT)").execute(&mut connection).await?;
    let start = Instant::now();
    for _ in 0..commits {
        sqlx::query("INSERT INTO bare (text) VALUES ('x')").execute(&mut connection).await?;
    }
    Ok(commits as f64 / start.elapsed().as_secs_f64())
}

/// The same, side by side.
async fn bare_postgres(url: &str, commits: usize, connections: usize) -> Result<f64, Error> {
    let mut open = Vec::new();
    for _ in 0..connections.max(1) {
        open.push(PgConnection::connect(url).await?);
    }
    sqlx::query("DROP TABLE IF EXISTS bare").execute(&mut open[0]).await?;
    sqlx::query("CREATE TABLE bare (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text TEXT)")
        .execute(&mut open[0])
        .await?;
    let start = Instant::now();
    let each = commits.div_ceil(open.len());
    let count = each * open.len();
    let work = open.into_iter().map(|mut connection| async move {
        for _ in 0..each {
            sqlx::query("INSERT INTO bare (text) VALUES ('x')").execute(&mut connection).await?;
        }
        Ok::<_, sqlx::Error>(())
    });
    futures::future::try_join_all(work).await?;
    Ok(count as f64 / start.elapsed().as_secs_f64())
}
