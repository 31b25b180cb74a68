//! Connections: where to, how safely, and what each session is told.

use std::{str::FromStr, time::Duration};

use futures::FutureExt;
use sqlx::{
    Connection, PgConnection, PgPool, Row,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions, PgSslMode},
};

use super::{
    error::{driver_error, store_error},
    schema,
    session::CHANNEL,
};
use crate::{
    ledger::{LedgerError, Result},
    threads,
};

/// How long a connection may take.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// What each session is told: where the tables are, and how long anything may take, unless the role or the URL says so
/// already.
const SESSION: &str = "SELECT set_config('search_path', 'fulcrum, pg_temp', false),
    CASE current_setting('statement_timeout') WHEN '0' THEN set_config('statement_timeout', '30s', false) END,
    CASE current_setting('lock_timeout') WHEN '0' THEN set_config('lock_timeout', '5s', false) END,
    CASE current_setting('idle_in_transaction_session_timeout')
        WHEN '0' THEN set_config('idle_in_transaction_session_timeout', '30s', false) END";

/// Whether a session can write. After a fail-over the old server's sessions live on and refuse everything.
const WRITES: &str = "SELECT current_setting('transaction_read_only') = 'off'";

/// Connects, makes or updates the tables, and begins to listen.
pub(super) async fn open(url: &str, most: u32) -> Result<(PgPool, PgListener)> {
    let options = options(url)?;
    // The pool would try until its time is over and then not say why.
    let late = |_| {
        store_error(format!(
            "no PostgreSQL server answered in {CONNECT_TIMEOUT:?}; check the ledger's address and the network"
        ))
    };
    let mut first = tokio::time::timeout(CONNECT_TIMEOUT, connect(&options)).await.map_err(late)??;
    let pool = PgPoolOptions::new()
        .max_connections(most.max(1))
        .acquire_timeout(CONNECT_TIMEOUT)
        .after_connect(|session, _| {
            sqlx::raw_sql(SESSION).execute(session).map(|told| told.map(drop)).boxed()
        })
        // In the place of the pool's own test, which takes as long and tells less.
        .test_before_acquire(false)
        .before_acquire(|session, _| sqlx::query_scalar(WRITES).fetch_one(session).boxed());
    refuse_standby(&mut first, &options).await?;
    check_sessions(&mut first, &options).await?;
    prepare(first).await?.close().await.map_err(driver_error)?;
    let pool = pool.connect_with(options).await.map_err(driver_error)?;
    let listener = listen(&pool).await?;
    Ok((pool, listener))
}

/// Brings the tables up to date on a thread of its own: the migrator's future is not `Send` for every lifetime, and a host may
/// spawn the opening of a ledger as a task.
async fn prepare(mut connection: PgConnection) -> Result<PgConnection> {
    let prepare = move || {
        tokio::runtime::Handle::current().block_on(async move {
            schema::prepare(&mut connection).await?;
            Ok(connection)
        })
    };
    threads::spawn_blocking(prepare).await.unwrap_or_else(|error| Err(store_error(error.to_string())))
}

/// A connection as the role and the URL make it; a server that is starting is waited for.
async fn connect(options: &PgConnectOptions) -> Result<PgConnection> {
    loop {
        match PgConnection::connect_with(options).await {
            Ok(connection) => return Ok(connection),
            Err(sqlx::Error::Database(error)) if error.is_transient_in_connect_phase() => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(error) => return Err(not_connected(options, error)),
        }
    }
}

/// What a URL says. An error of the driver would quote the URL, and with it a password.
fn options(url: &str) -> Result<PgConnectOptions> {
    let known = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
    let options = known.then(|| PgConnectOptions::from_str(url).ok()).flatten().ok_or_else(|| {
        store_error("the ledger's URL is not a valid PostgreSQL URL; write postgresql://user@host/database")
    })?;
    let is_said = url.split_once('?').is_some_and(|(_, query)| {
        query.split('&').any(|pair| ["sslmode=", "ssl-mode="].iter().any(|name| pair.starts_with(name)))
    }) || std::env::var_os("PGSSLMODE").is_some();
    let options =
        if is_said || is_local(&options) { options } else { options.ssl_mode(PgSslMode::VerifyFull) };
    // Poolers refuse this setting of the driver, and nothing here is a floating-point number.
    Ok(options.application_name("fulcrum").extra_float_digits(None))
}

/// Whether nobody can be in between: a socket of this machine, or its own address.
fn is_local(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    options.get_socket().is_some()
        || host.starts_with('/')
        || host.eq_ignore_ascii_case("localhost")
        || address.is_ok_and(|address| address.is_loopback())
}

fn not_connected(options: &PgConnectOptions, error: sqlx::Error) -> LedgerError {
    let (host, port) = (options.get_host(), options.get_port());
    let is_verified = matches!(options.get_ssl_mode(), PgSslMode::VerifyFull | PgSslMode::VerifyCa);
    let is_tls = match &error {
        sqlx::Error::Tls(_) => true,
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::InvalidData,
        _ => false,
    };
    if is_verified && is_tls {
        return store_error(format!(
            "TLS verification of PostgreSQL at {host}:{port} failed: {error}; the server must offer TLS with a certificate for \
             this name. Name its authority by sslrootcert=FILE in the URL, or write sslmode=require for TLS without \
             verification, or sslmode=disable for none where the way there is safe"
        ));
    }
    if matches!(&error, sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::NotFound) {
        return store_error(format!(
            "a file that the ledger's URL names for PostgreSQL at {host}:{port} is not there ({error}): look at sslrootcert, \
             sslcert, sslkey and the folder of the socket"
        ));
    }
    if error.to_string().contains("unsupported startup parameter") {
        return store_error(format!(
            "the pooler at {host}:{port} refuses the connection: {error}; add that parameter to its ignore_startup_parameters"
        ));
    }
    driver_error(error)
}

/// A standby answers of a moment ago, and takes no writes.
async fn refuse_standby(connection: &mut PgConnection, options: &PgConnectOptions) -> Result<()> {
    let row =
        sqlx::raw_sql("SELECT pg_is_in_recovery()").fetch_one(connection).await.map_err(driver_error)?;
    if !row.try_get::<bool, _>(0).map_err(driver_error)? {
        return Ok(());
    }
    let (host, port) = (options.get_host(), options.get_port());
    Err(store_error(format!(
        "PostgreSQL at {host}:{port} is a standby, which takes no writes and may lag behind; give the ledger the address of the \
         primary, or one that follows it"
    )))
}

/// The ledger tells each session what it needs, prepares statements, and listens: none of that works where a pooler gives
/// every transaction another session.
async fn check_sessions(first: &mut PgConnection, options: &PgConnectOptions) -> Result<()> {
    let mut second = PgConnection::connect_with(options).await.map_err(driver_error)?;
    let mut is_pooled = false;
    for _ in 0..3 {
        let before = session(first).await?;
        let begun = sqlx::raw_sql("BEGIN").execute(&mut second).await;
        begun.map_err(|error| store_error(format!("{}: {error}", pooler_error())))?;
        let held = session(&mut second).await?;
        // Two open connections of one session; or, with the other one held, a session that has changed. The question must
        // not be asked where the only session is the one that is held.
        is_pooled = held == before || session(first).await? != before;
        sqlx::raw_sql("COMMIT").execute(&mut second).await.map_err(driver_error)?;
        if is_pooled {
            break;
        }
    }
    // A pooler may be about to hang up by itself.
    let _ = second.close().await;
    if is_pooled { Err(store_error(pooler_error())) } else { Ok(()) }
}

/// The process of the server that serves a connection. Without a prepared statement, as those are what fails.
async fn session(connection: &mut PgConnection) -> Result<i32> {
    let row = sqlx::raw_sql("SELECT pg_backend_pid()").fetch_one(connection).await.map_err(driver_error)?;
    row.try_get(0).map_err(driver_error)
}

fn pooler_error() -> String {
    "a pooler stands before PostgreSQL and gives each transaction another session; the ledger needs sessions of its own: \
     connect to the server itself, or to a pool in session mode (pool_mode = session)"
        .to_owned()
}

/// Listens to other hosts, and proves that what is told arrives.
async fn listen(pool: &PgPool) -> Result<PgListener> {
    let mut listener = PgListener::connect_with(pool).await.map_err(driver_error)?;
    let probe = format!("fulcrum_{}", uuid::Uuid::now_v7().simple());
    listener.listen_all([CHANNEL, &probe]).await.map_err(driver_error)?;
    sqlx::query("SELECT pg_notify($1, '')").bind(&probe).execute(pool).await.map_err(driver_error)?;
    let heard = async {
        loop {
            if listener.recv().await.map_err(driver_error)?.channel() == probe {
                return Ok(());
            }
        }
    };
    tokio::time::timeout(CONNECT_TIMEOUT, heard).await.map_err(|_| store_error(pooler_error()))??;
    listener.unlisten(&probe).await.map_err(driver_error)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_verified_unless_nobody_can_be_in_between_or_the_url_says_otherwise() {
        for (url, mode) in [
            ("postgresql://u@db.example.org/x", PgSslMode::VerifyFull),
            ("postgresql://u@192.0.2.7/x", PgSslMode::VerifyFull),
            ("postgresql://u@localhost.example.org/x", PgSslMode::VerifyFull),
            ("postgresql://u@db.example.org/x?application_name=sslmode", PgSslMode::VerifyFull),
            ("postgresql://u@db.example.org/x?sslmode=prefer", PgSslMode::Prefer),
            ("postgresql://u@db.example.org/x?ssl-mode=require", PgSslMode::Require),
            ("postgresql://u@db.example.org/x?sslmode=disable", PgSslMode::Disable),
            ("postgresql://u@localhost/x", PgSslMode::Prefer),
            ("postgresql://u@127.0.0.1/x", PgSslMode::Prefer),
            ("postgresql://u@127.8.0.1:5433/x", PgSslMode::Prefer),
            ("postgresql://u@[::1]/x", PgSslMode::Prefer),
            ("postgresql://u@%2Frun%2Fpostgresql/x", PgSslMode::Prefer),
            ("postgresql:///x?host=/run/postgresql", PgSslMode::Prefer),
        ] {
            let found = options(url).expect("options").get_ssl_mode();
            assert_eq!(format!("{found:?}"), format!("{mode:?}"), "{url}");
        }
    }
}
