//! Several statements as one text, run in one call: the hop to SQLite's thread and back costs more than most statements.

use jiff::Timestamp;
use sqlx::{Arguments, AssertSqlSafe, Encode, Sqlite, SqliteConnection, Type, sqlite::SqliteArguments};

use super::error::driver_error;
use crate::{
    ledger::{Result, hash_chain::ChainHead, unknown_fields::StepTexts},
    model::{OrderEventKind, OrderId, Step},
};

/// Prepared statements are kept for batches of at most this many statements; longer ones are rare, and seldom alike.
const MAX_PREPARED_STATEMENTS: usize = 24;

/// Statements that go to SQLite in one batch: the way to its thread and back takes longer than most of them.
#[derive(Default)]
pub(super) struct StatementBatch {
    sql: String,
    values: SqliteArguments,
    statements: usize,
}

impl StatementBatch {
    pub(super) fn statement(&mut self, sql: &'static str) -> &mut Self {
        self.sql.push_str(sql);
        self.sql.push(';');
        self.statements += 1;
        self
    }

    pub(super) fn bind<'v>(&mut self, value: impl Encode<'v, Sqlite> + Type<Sqlite>) -> Result<&mut Self> {
        Arguments::add(&mut self.values, value).map_err(driver_error)?;
        Ok(self)
    }

    /// Whether each statement found its row.
    pub(super) async fn run(self, connection: &mut SqliteConnection) -> Result<bool> {
        // Pieces of this file, without a value in them.
        let query = sqlx::query_with(AssertSqlSafe(self.sql), self.values)
            .persistent(self.statements <= MAX_PREPARED_STATEMENTS);
        let written = query.execute(connection).await.map_err(driver_error)?;
        Ok(usize::try_from(written.rows_affected()) == Ok(self.statements))
    }

    /// Appends events to an order's chain.
    pub(super) fn append_events(
        &mut self,
        order: &OrderId,
        head: &mut ChainHead,
        kinds: &[OrderEventKind],
    ) -> Result<()> {
        for kind in kinds {
            let link = head.append(order, Timestamp::now(), kind)?;
            self.statement("INSERT INTO events (order_id, number, at, kind, hash) VALUES (?, ?, ?, ?, ?)")
                .bind(order.as_str().to_owned())?
                .bind(link.number.cast_signed())?
                .bind(link.at)?
                .bind(link.kind)?
                .bind(link.hash)?;
        }
        Ok(())
    }

    /// A step that may be new.
    pub(super) fn put_step(&mut self, order: &OrderId, step: &Step, texts: &StepTexts) -> Result<()> {
        self.statement(
            "INSERT INTO steps (order_id, position, step_key, provider, lease, state, attempts) VALUES (?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (order_id, position) DO UPDATE SET lease = excluded.lease, state = excluded.state,
                 attempts = excluded.attempts",
        )
        .bind(order.as_str().to_owned())?
        .bind(i64::from(step.index))?
        .bind(step.key.as_str().to_owned())?
        .bind(step.provider.as_str().to_owned())?
        .bind(texts.lease.clone())?
        .bind(texts.state.clone())?
        .bind(texts.attempts.clone())?;
        Ok(())
    }

    /// A step that is there already, as most are: its indexes stay as they are.
    pub(super) fn change_step(&mut self, order: &OrderId, step: &Step, texts: &StepTexts) -> Result<()> {
        self.statement(
            "UPDATE steps SET lease = ?, state = ?, attempts = ? WHERE order_id = ? AND position = ?",
        )
        .bind(texts.lease.clone())?
        .bind(texts.state.clone())?
        .bind(texts.attempts.clone())?
        .bind(order.as_str().to_owned())?
        .bind(i64::from(step.index))?;
        Ok(())
    }
}
