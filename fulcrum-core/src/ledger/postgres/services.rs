//! Which services steps have at a provider, from the state of each step.

use sqlx::PgPool;

use super::error::driver_error;
use crate::{
    ledger::{Result, codec},
    model::{ProviderId, ServiceId},
};

pub(super) async fn services_at(pool: &PgPool, provider: &ProviderId) -> Result<Vec<ServiceId>> {
    let states: Vec<String> = sqlx::query_scalar("SELECT state FROM steps WHERE provider = $1")
        .bind(provider.as_str())
        .fetch_all(pool)
        .await
        .map_err(driver_error)?;
    states.iter().filter_map(|state| codec::service_of(state).transpose()).collect()
}
