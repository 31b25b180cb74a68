//! One step at a time, each by one statement.

use sqlx::{PgPool, Row};

use super::error::store;
use crate::{
    ledger::{
        Claim, Gate, LedgerError, Result,
        stored::{self, token},
    },
    model::{ProviderId, ServiceId},
};

fn read(row: &sqlx::postgres::PgRow) -> Result<Gate> {
    let position: i64 = row.try_get("position").map_err(store)?;
    Ok(Gate {
        order: stored::order_id(row.try_get("order_id").map_err(store)?)?,
        step: u32::try_from(position).map_err(|error| LedgerError::Damaged(error.to_string()))?,
        token: row.try_get::<i64, _>("token").map_err(store)?.unsigned_abs(),
        note: row.try_get("note").map_err(store)?,
    })
}

pub(super) async fn enter(
    pool: &PgPool,
    name: &str,
    claim: &Claim,
    step: u32,
    instead_of: Option<&Gate>,
) -> Result<Gate> {
    loop {
        let entered = sqlx::query(
            "INSERT INTO gates (name, order_id, position, token)
         SELECT $1, id, $3, claim_token FROM orders WHERE id = $2 AND claim_token = $4
         ON CONFLICT (name) DO UPDATE SET order_id = excluded.order_id, position = excluded.position,
             token = excluded.token,
             note = CASE WHEN gates.order_id = excluded.order_id AND gates.position = excluded.position
                         THEN gates.note END
         WHERE (gates.order_id = excluded.order_id AND gates.position = excluded.position
                AND gates.token <= excluded.token)
             OR (gates.order_id = $5 AND gates.position = $6 AND gates.token = $7)
         RETURNING order_id, position, token, note",
        )
        .bind(name)
        .bind(claim.order.as_str())
        .bind(i64::from(step))
        .bind(token(claim))
        .bind(instead_of.map(|gate| gate.order.as_str()))
        .bind(instead_of.map(|gate| i64::from(gate.step)))
        .bind(instead_of.map(|gate| gate.token.cast_signed()))
        .fetch_optional(pool)
        .await
        .map_err(store)?;
        if let Some(row) = entered {
            return read(&row);
        }
        let fenced = || LedgerError::Fenced(claim.order.clone());
        let is_newest = sqlx::query("SELECT 1 FROM orders WHERE id = $1 AND claim_token = $2")
            .bind(claim.order.as_str())
            .bind(token(claim))
            .fetch_optional(pool)
            .await
            .map_err(store)?;
        is_newest.ok_or_else(fenced)?;
        let row = sqlx::query("SELECT order_id, position, token, note FROM gates WHERE name = $1")
            .bind(name)
            .fetch_optional(pool)
            .await
            .map_err(store)?;
        // Else who was in has left in between.
        if let Some(row) = row {
            return read(&row);
        }
    }
}

pub(super) async fn note(pool: &PgPool, name: &str, claim: &Claim, step: u32, note: &str) -> Result<()> {
    let written = sqlx::query(
        "UPDATE gates SET note = $1 WHERE name = $2 AND order_id = $3 AND position = $4 AND token = $5",
    )
    .bind(note)
    .bind(name)
    .bind(claim.order.as_str())
    .bind(i64::from(step))
    .bind(token(claim))
    .execute(pool)
    .await
    .map_err(store)?;
    if written.rows_affected() == 0 { Err(LedgerError::Fenced(claim.order.clone())) } else { Ok(()) }
}

pub(super) async fn leave(pool: &PgPool, name: &str, claim: &Claim, step: u32) -> Result<()> {
    sqlx::query("DELETE FROM gates WHERE name = $1 AND order_id = $2 AND position = $3 AND token = $4")
        .bind(name)
        .bind(claim.order.as_str())
        .bind(i64::from(step))
        .bind(token(claim))
        .execute(pool)
        .await
        .map_err(store)?;
    Ok(())
}

pub(super) async fn services_at(pool: &PgPool, provider: &ProviderId) -> Result<Vec<ServiceId>> {
    let states: Vec<String> = sqlx::query_scalar("SELECT state FROM steps WHERE provider = $1")
        .bind(provider.as_str())
        .fetch_all(pool)
        .await
        .map_err(store)?;
    states.iter().filter_map(|state| stored::service_of(state).transpose()).collect()
}
