//! Databases on the server of `scripts/with-postgres`.

use std::ops::Deref;

use sqlx::{Connection, PgConnection};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

static SERVER: RwLock<()> = RwLock::const_new(());

/// The URL of a new, empty database; as long as it lives no test lets the server crash.
#[derive(Debug)]
pub struct Database {
    url: String,
    _server: Server,
}

#[derive(Debug)]
#[allow(dead_code, reason = "they are held")]
enum Server {
    Shared(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

impl Deref for Database {
    type Target = str;

    fn deref(&self) -> &str {
        &self.url
    }
}

/// A new database; `None`, and said aloud, where there is no server. The build server must have one.
pub async fn database() -> Option<Database> {
    let server = Server::Shared(SERVER.read().await);
    Some(Database { url: create().await?, _server: server })
}

/// The same for a test that lets the server crash: no other one has a database meanwhile.
pub async fn database_alone() -> Option<Database> {
    let server = Server::Alone(SERVER.write().await);
    Some(Database { url: create().await?, _server: server })
}

async fn create() -> Option<String> {
    let Ok(server) = std::env::var("FULCRUM_TEST_POSTGRES") else {
        assert!(std::env::var_os("CI").is_none(), "no PostgreSQL; run this by scripts/with-postgres");
        println!("SKIPPED: no PostgreSQL; run this by scripts/with-postgres");
        return None;
    };
    let name = format!("test_{}", uuid::Uuid::now_v7().simple());
    let mut raw = PgConnection::connect(&server).await.expect("connected");
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::query(create).execute(&mut raw).await.expect("created");
    let (host, _) = server.rsplit_once('/').expect("a database");
    Some(format!("{host}/{name}"))
}

/// A connection of a test's own, which sees the ledger's tables.
pub async fn raw(url: &str) -> PgConnection {
    let mut raw = PgConnection::connect(url).await.expect("connected");
    sqlx::raw_sql("SET search_path = fulcrum").execute(&mut raw).await.expect("told");
    raw
}
