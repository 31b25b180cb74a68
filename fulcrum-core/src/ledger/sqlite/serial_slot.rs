//! Serial slots, each statement in a transaction. The table is `gates`.

use sqlx::{Row, SqliteConnection};

use super::error::driver_error;
use crate::ledger::{
    Claim, LedgerError, Result, SerialSlot,
    codec::{self, token},
};

fn read(row: &sqlx::sqlite::SqliteRow) -> Result<SerialSlot> {
    let position: i64 = row.try_get("position").map_err(driver_error)?;
    Ok(SerialSlot {
        order: codec::order_id(row.try_get("order_id").map_err(driver_error)?)?,
        step: u32::try_from(position).map_err(|error| LedgerError::Damaged(error.to_string()))?,
        token: row.try_get::<i64, _>("token").map_err(driver_error)?.unsigned_abs(),
        note: row.try_get("note").map_err(driver_error)?,
    })
}

pub(super) async fn acquire(
    connection: &mut SqliteConnection,
    name: &str,
    claim: &Claim,
    step: u32,
    expected: Option<&SerialSlot>,
) -> Result<SerialSlot> {
    let acquired = sqlx::query(
        "INSERT INTO gates (name, order_id, position, token)
         SELECT ?1, id, ?3, claim_token FROM orders WHERE id = ?2 AND claim_token = ?4
         ON CONFLICT (name) DO UPDATE SET order_id = excluded.order_id, position = excluded.position,
             token = excluded.token,
             note = CASE WHEN gates.order_id = excluded.order_id AND gates.position = excluded.position
                         THEN gates.note END
         WHERE (gates.order_id = excluded.order_id AND gates.position = excluded.position
                AND gates.token <= excluded.token)
             OR (gates.order_id = ?5 AND gates.position = ?6 AND gates.token = ?7)
         RETURNING order_id, position, token, note",
    )
    .bind(name)
    .bind(claim.order.as_str())
    .bind(i64::from(step))
    .bind(token(claim))
    .bind(expected.map(|slot| slot.order.as_str()))
    .bind(expected.map(|slot| i64::from(slot.step)))
    .bind(expected.map(|slot| slot.token.cast_signed()))
    .fetch_optional(&mut *connection)
    .await
    .map_err(driver_error)?;
    if let Some(row) = acquired {
        return read(&row);
    }
    let fenced = || LedgerError::Fenced(claim.order.clone());
    let is_newest = sqlx::query("SELECT 1 FROM orders WHERE id = ?1 AND claim_token = ?2")
        .bind(claim.order.as_str())
        .bind(token(claim))
        .fetch_optional(&mut *connection)
        .await
        .map_err(driver_error)?;
    is_newest.ok_or_else(fenced)?;
    let row = sqlx::query("SELECT order_id, position, token, note FROM gates WHERE name = ?1")
        .bind(name)
        .fetch_optional(&mut *connection)
        .await
        .map_err(driver_error)?;
    // Who is in has a newer claim, or nobody could be in the way.
    row.as_ref().map(read).transpose()?.ok_or_else(fenced)
}

pub(super) async fn annotate(
    connection: &mut SqliteConnection,
    name: &str,
    claim: &Claim,
    step: u32,
    note: &str,
) -> Result<()> {
    let written = sqlx::query(
        "UPDATE gates SET note = ?1 WHERE name = ?2 AND order_id = ?3 AND position = ?4 AND token = ?5",
    )
    .bind(note)
    .bind(name)
    .bind(claim.order.as_str())
    .bind(i64::from(step))
    .bind(token(claim))
    .execute(connection)
    .await
    .map_err(driver_error)?;
    if written.rows_affected() == 0 { Err(LedgerError::Fenced(claim.order.clone())) } else { Ok(()) }
}

pub(super) async fn vacate(
    connection: &mut SqliteConnection,
    name: &str,
    claim: &Claim,
    step: u32,
) -> Result<()> {
    sqlx::query("DELETE FROM gates WHERE name = ?1 AND order_id = ?2 AND position = ?3 AND token = ?4")
        .bind(name)
        .bind(claim.order.as_str())
        .bind(i64::from(step))
        .bind(token(claim))
        .execute(connection)
        .await
        .map_err(driver_error)?;
    Ok(())
}
