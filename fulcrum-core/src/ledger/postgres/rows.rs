//! Columns of PostgreSQL's rows as values, and spans of time as its parameters.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::{Row, postgres::PgRow};

use super::error::driver_error;
use crate::{
    ledger::{LedgerError, Result, codec},
    model::{OrderId, OrderState},
};

pub(super) fn micros(ttl: Duration) -> i64 {
    // A hundred years are for ever, and fit into a database's times.
    i64::try_from(ttl.as_micros()).unwrap_or(i64::MAX).min(100 * 366 * 86_400 * 1_000_000)
}

pub(super) fn until(row: &PgRow) -> Result<Option<Timestamp>> {
    let micros: Option<i64> = row.try_get("until").map_err(driver_error)?;
    micros
        .map(Timestamp::from_microsecond)
        .transpose()
        .map_err(|error| LedgerError::Damaged(error.to_string()))
}

pub(super) fn time(row: &PgRow, column: &str) -> Result<Timestamp> {
    codec::time(row.try_get(column).map_err(driver_error)?, column)
}

pub(super) fn order_id(row: &PgRow, column: &str) -> Result<OrderId> {
    codec::order_id(row.try_get(column).map_err(driver_error)?)
}

pub(super) fn state(row: &PgRow) -> Result<OrderState> {
    codec::state(row.try_get("state").map_err(driver_error)?)
}
