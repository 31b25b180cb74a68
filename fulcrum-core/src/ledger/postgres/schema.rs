//! The tables: in a schema of their own, made or updated when a ledger is opened.
//!
//! Ledgers from before plan format 4 were in the first schema of the search path, with the migrations table of every host that
//! uses the same library. They are moved.

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, migrate::MigrateError};

use super::error::{FORBIDDEN, LOCKED, code, driver_error, store_error};
use crate::ledger::{LedgerError, Result, migrations};

/// The tables that a ledger of an older version may have.
const TABLES: [&str; 6] = ["orders", "steps", "events", "forgotten", "deliveries", "gates"];

/// As the migrator makes it. Hosts that open at the same time wait here for each other.
const MIGRATIONS: &str = "CREATE TABLE IF NOT EXISTS fulcrum.migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMPTZ NOT NULL DEFAULT now(),
    success BOOLEAN NOT NULL,
    checksum BYTEA NOT NULL,
    execution_time BIGINT NOT NULL
)";

/// Brings the tables up to date, in one transaction.
pub(super) async fn prepare(connection: &mut PgConnection) -> Result<()> {
    for _ in 0..10 {
        let prepared = async {
            let older = older(connection).await?;
            if older.is_none() && is_current(connection).await? {
                return Ok(());
            }
            update(connection, older.as_deref()).await
        };
        match prepared.await {
            // Another host has made the same at the same moment.
            Err(Failure::Again) => {}
            Err(Failure::For(error)) => return Err(error),
            Ok(()) => return Ok(()),
        }
    }
    Err(store_error("other hosts change the ledger's tables all the time; try again"))
}

enum Failure {
    Again,
    For(LedgerError),
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        Self::For(error)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        match code(&error).as_deref() {
            // Unique violation, duplicate schema or table, and a table that was just moved.
            Some("23505" | "42P06" | "42P07" | "42P01" | "XX000") => Self::Again,
            Some(FORBIDDEN) => Self::For(store_error(format!(
                "the role may not make or change the ledger's tables: {error}; let an administrator run CREATE SCHEMA \
                 fulcrum AUTHORIZATION the_role, or open the ledger once as the tables' owner"
            ))),
            Some(LOCKED) => Self::For(store_error(format!(
                "the ledger's tables cannot be changed, as another session holds a lock on them: {error}; stop hosts of \
                 older versions, and try again"
            ))),
            _ => Self::For(driver_error(error)),
        }
    }
}

/// Whether all migrations of this version have been run, and no others. Needs no right to change the tables.
async fn is_current(connection: &mut PgConnection) -> Result<bool, Failure> {
    let exists: bool = sqlx::query_scalar("SELECT to_regclass('fulcrum.migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if !exists {
        return Ok(false);
    }
    let rows = sqlx::query("SELECT version, checksum FROM fulcrum.migrations WHERE success ORDER BY version")
        .fetch_all(connection)
        .await?;
    let mut run = Vec::with_capacity(rows.len());
    for row in &rows {
        run.push((row.try_get::<i64, _>(0)?, row.try_get::<Vec<u8>, _>(1)?));
    }
    let known = migrations::postgres();
    Ok(known.iter().map(|migration| (migration.version, migration.checksum.to_vec())).eq(run))
}

/// The first schema of the search path with the tables of an older version. An application's own table of migrations is
/// none, and what belongs to another role is not touched.
async fn older(connection: &mut PgConnection) -> Result<Option<String>, Failure> {
    let found = sqlx::query(
        "SELECT name, pg_has_role(relowner, 'MEMBER'), relowner::regrole::text,
             to_regclass('fulcrum.orders') IS NOT NULL
         FROM unnest(current_schemas(false)) WITH ORDINALITY AS path (name, position)
         JOIN pg_class ON pg_class.oid = to_regclass(quote_ident(name) || '._sqlx_migrations')
         WHERE to_regclass(quote_ident(name) || '.orders') IS NOT NULL AND has_table_privilege(pg_class.oid, 'SELECT')
         ORDER BY position",
    )
    .fetch_all(&mut *connection)
    .await?;
    let first = migrations::postgres().iter().next().map(|first| first.checksum.to_vec());
    for row in found {
        let (schema, is_own): (String, bool) = (row.try_get(0)?, row.try_get(1)?);
        let (owner, has_another): (String, bool) = (row.try_get(2)?, row.try_get(3)?);
        let query = format!("SELECT checksum FROM {}._sqlx_migrations WHERE version = 1", quoted(&schema));
        let checksum = sqlx::query_scalar(AssertSqlSafe(query)).fetch_optional(&mut *connection).await;
        let checksum: Option<Vec<u8>> = match checksum {
            // Another tool's table of that name: an unknown column, or one of another type.
            Err(error) if matches!(code(&error).as_deref(), Some("42703" | "42883" | "42804")) => None,
            read => read?,
        };
        match (checksum.is_some() && checksum == first, is_own) {
            (false, _) => {}
            (true, true) => return Ok(Some(schema)),
            (true, false) if has_another => {}
            (true, false) => {
                return Err(store_error(format!(
                    "the schema {schema} has a ledger of an older version, which belongs to the role {owner}; open the \
                     ledger once as {owner}, which moves it; drop it only if none of its orders holds a service"
                ))
                .into());
            }
        }
    }
    Ok(None)
}

async fn update(connection: &mut PgConnection, older: Option<&str>) -> Result<(), Failure> {
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql("SET LOCAL lock_timeout = '60s'; SET LOCAL statement_timeout = 0")
        .execute(&mut *transaction)
        .await?;
    let exists: bool = sqlx::query_scalar("SELECT to_regnamespace('fulcrum') IS NOT NULL")
        .fetch_one(&mut *transaction)
        .await?;
    if !exists {
        sqlx::raw_sql("CREATE SCHEMA fulcrum").execute(&mut *transaction).await?;
    }
    sqlx::raw_sql(MIGRATIONS).execute(&mut *transaction).await?;
    sqlx::raw_sql("LOCK TABLE fulcrum.migrations IN SHARE ROW EXCLUSIVE MODE")
        .execute(&mut *transaction)
        .await?;
    if let Some(schema) = older {
        adopt(&mut transaction, schema).await?;
    }
    sqlx::raw_sql("SET LOCAL search_path = fulcrum, pg_temp").execute(&mut *transaction).await?;
    let mut migrator = migrations::postgres();
    migrator.dangerous_set_table_name("fulcrum.migrations");
    // The lock is held already, and is one that no other role can take.
    migrator.set_locking(false);
    match migrator.run(&mut *transaction).await {
        Ok(()) => {}
        Err(MigrateError::VersionMissing(_)) => {
            return Err(store_error(
                "a newer version of this library has changed the ledger's tables; update this host",
            )
            .into());
        }
        Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => {
            return Err(error.into());
        }
        Err(error) => {
            return Err(store_error(format!("the ledger's tables cannot be updated: {error}")).into());
        }
    }
    transaction.commit().await?;
    Ok(())
}

/// Moves the tables of an older version, and what belongs to them, and nothing else.
async fn adopt(connection: &mut PgConnection, schema: &str) -> Result<(), Failure> {
    let is_taken: bool = sqlx::query_scalar("SELECT to_regclass('fulcrum.orders') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    let from = quoted(schema);
    let is_there: bool = sqlx::query_scalar("SELECT to_regclass($1 || '._sqlx_migrations') IS NOT NULL")
        .bind(&from)
        .fetch_one(&mut *connection)
        .await?;
    // Another host has moved it since it was found.
    if is_taken && !is_there {
        return Ok(());
    }
    if is_taken {
        return Err(store_error(format!(
            "the database has two ledgers: one in the schema fulcrum, and one of an older version in {schema}; move the one \
             that is not wanted to another database; drop it only if none of its orders holds a service"
        ))
        .into());
    }
    // It may have been moved since it was found.
    sqlx::raw_sql(AssertSqlSafe(format!("LOCK TABLE {from}._sqlx_migrations IN ACCESS EXCLUSIVE MODE")))
        .execute(&mut *connection)
        .await?;
    let functions: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT called.oid::regprocedure::text FROM pg_trigger AS fired
         JOIN pg_class AS of ON of.oid = fired.tgrelid JOIN pg_proc AS called ON called.oid = fired.tgfoid
         WHERE NOT fired.tgisinternal AND of.relname = ANY($2)
         AND of.relnamespace = $1::regnamespace AND called.pronamespace = $1::regnamespace",
    )
    .bind(&from)
    .bind(TABLES.map(str::to_owned).to_vec())
    .fetch_all(&mut *connection)
    .await?;
    for table in TABLES {
        // A version may be older than a table.
        let moved = format!("ALTER TABLE IF EXISTS {from}.{table} SET SCHEMA fulcrum");
        sqlx::raw_sql(AssertSqlSafe(moved)).execute(&mut *connection).await?;
    }
    for function in functions {
        let moved = format!("ALTER FUNCTION {function} SET SCHEMA fulcrum");
        sqlx::raw_sql(AssertSqlSafe(moved)).execute(&mut *connection).await?;
    }
    let moved = format!(
        "INSERT INTO fulcrum.migrations SELECT version, description, installed_on, success, checksum, execution_time
         FROM {from}._sqlx_migrations; DROP TABLE {from}._sqlx_migrations"
    );
    sqlx::raw_sql(AssertSqlSafe(moved)).execute(&mut *connection).await?;
    tracing::info!(schema, "the ledger's tables were moved to the schema fulcrum");
    Ok(())
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
