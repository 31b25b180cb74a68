//! Columns of SQLite's rows as values.

use jiff::Timestamp;
use sqlx::{Row, sqlite::SqliteRow};

use super::error::driver_error;
use crate::{
    ledger::{Result, codec, hash_chain::ChainHead},
    model::{OrderId, OrderState},
};

pub(super) fn time(row: &SqliteRow, column: &str) -> Result<Timestamp> {
    codec::time(row.try_get(column).map_err(driver_error)?, column)
}

/// A time as text that sorts as times do: the same number of digits always.
pub(super) fn sortable_time(at: Timestamp) -> String {
    format!("{at:.9}")
}

pub(super) fn order_id(row: &SqliteRow, column: &str) -> Result<OrderId> {
    codec::order_id(row.try_get(column).map_err(driver_error)?)
}

pub(super) fn state(row: &SqliteRow) -> Result<OrderState> {
    codec::state(row.try_get("state").map_err(driver_error)?)
}

pub(super) fn head(row: &SqliteRow) -> Result<ChainHead> {
    Ok(ChainHead {
        count: row.try_get::<i64, _>("events").map_err(driver_error)?.unsigned_abs(),
        hash: row.try_get("head").map_err(driver_error)?,
    })
}
