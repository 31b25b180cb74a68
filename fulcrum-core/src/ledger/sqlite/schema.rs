//! The tables of the embedded ledger: made or updated when it is opened.
//!
//! Ledgers from before plan format 4 named their table of migrations as every host does that uses the same library. It is
//! renamed.

use sqlx::{Connection, Row, SqliteConnection, migrate::MigrateError};

use super::error::{driver_error, store_error};
use crate::ledger::{Result, migrations};

const MIGRATIONS: &str = "fulcrum_migrations";

/// Brings the tables up to date, in one transaction.
pub(super) async fn prepare(connection: &mut SqliteConnection) -> Result<()> {
    if is_current(connection).await? {
        return Ok(());
    }
    // Immediate: processes that open at the same time wait for each other.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(driver_error)?;
    if !exists(&mut transaction, MIGRATIONS).await? && is_older(&mut transaction).await? {
        sqlx::raw_sql("ALTER TABLE _sqlx_migrations RENAME TO fulcrum_migrations")
            .execute(&mut *transaction)
            .await
            .map_err(driver_error)?;
    }
    let mut migrator = migrations::sqlite();
    migrator.dangerous_set_table_name(MIGRATIONS);
    match migrator.run(&mut *transaction).await {
        Ok(()) => transaction.commit().await.map_err(driver_error),
        Err(MigrateError::VersionMissing(_)) => {
            Err(store_error("a newer version of this library has changed its tables; update this host"))
        }
        Err(error) => Err(driver_error(error)),
    }
}

/// Whether all migrations of this version have been run, and no others.
async fn is_current(connection: &mut SqliteConnection) -> Result<bool> {
    if !exists(connection, MIGRATIONS).await? {
        return Ok(false);
    }
    let rows = sqlx::query("SELECT version, checksum FROM fulcrum_migrations WHERE success ORDER BY version")
        .fetch_all(connection)
        .await
        .map_err(driver_error)?;
    let mut run = Vec::with_capacity(rows.len());
    for row in &rows {
        run.push((
            row.try_get::<i64, _>(0).map_err(driver_error)?,
            row.try_get::<Vec<u8>, _>(1).map_err(driver_error)?,
        ));
    }
    Ok(migrations::sqlite().iter().map(|known| (known.version, known.checksum.to_vec())).eq(run))
}

/// Whether the table of migrations is that of a ledger, and not a host's own.
async fn is_older(connection: &mut SqliteConnection) -> Result<bool> {
    if !exists(connection, "_sqlx_migrations").await? {
        return Ok(false);
    }
    let checksum: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT checksum FROM _sqlx_migrations WHERE version = 1")
            .fetch_optional(connection)
            .await
            .map_err(driver_error)?;
    let first = migrations::sqlite().iter().next().map(|first| first.checksum.to_vec());
    Ok(checksum.is_some() && checksum == first)
}

async fn exists(connection: &mut SqliteConnection, table: &str) -> Result<bool> {
    let found = sqlx::query("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?").bind(table);
    Ok(found.fetch_optional(connection).await.map_err(driver_error)?.is_some())
}
