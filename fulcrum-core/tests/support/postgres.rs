//! Databases on the server of `scripts/with-postgres`.

use sqlx::{Connection, PgConnection};

/// Held alone by a test that lets the server crash.
pub static SERVER: tokio::sync::RwLock<()> = tokio::sync::RwLock::const_new(());

/// A new, empty database; `None`, and said aloud, where there is no server.
pub async fn database() -> Option<String> {
    let Ok(server) = std::env::var("FULCRUM_TEST_POSTGRES") else {
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
