//! The configuration document of sandboxes.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{FaultRule, Sandbox, duration_limits, state::file_name};
use crate::{
    model::{DeclaredSettings, ProviderId, SkuId},
    provider::{
        AccessDenied, Base, IdempotencyClass, RejectedRow, portable_settings,
        table::{Table, TableError},
    },
};

/// A cloud made from a catalogue file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SandboxConfig {
    /// The catalogue file or folder that its offers come from.
    pub catalogue: PathBuf,
    /// The catalogue's provider that it simulates; none for one cloud for each provider.
    #[serde(default)]
    pub provider: Option<ProviderId>,
    /// The seed of all randomness.
    #[serde(default)]
    pub seed: u64,
    /// The file or, for several clouds, the folder that keeps the state; none for memory.
    #[serde(default)]
    pub state: Option<PathBuf>,
    /// The latency of each call, at least and at most, in milliseconds; up to ten minutes.
    #[serde(default, deserialize_with = "duration_limits::call")]
    pub latency_ms: [u64; 2],
    /// The duration of creating and ending a service, at least and at most, in milliseconds.
    #[serde(default, deserialize_with = "duration_limits::range")]
    pub operation_ms: [u64; 2],
    /// The idempotency class.
    #[serde(default)]
    pub idempotency: Option<IdempotencyClass>,
    /// The list lag in milliseconds.
    #[serde(default, deserialize_with = "duration_limits::time")]
    pub list_lag_ms: u64,
    /// How long a reservation lasts, in milliseconds; zero for a cloud without reservations.
    #[serde(default, deserialize_with = "duration_limits::time")]
    pub reserves_for_ms: u64,
    /// The settings that it takes: names, or declarations with types; the portable ones if it is left out.
    #[serde(default)]
    pub settings: Option<DeclaredSettings>,
    /// The stock of each SKU.
    #[serde(default)]
    pub stock: BTreeMap<SkuId, u32>,
    /// The account's quota of services.
    #[serde(default)]
    pub quota: Option<u32>,
    /// Factors of quoted prices, by SKU.
    #[serde(default)]
    #[schemars(with = "BTreeMap<SkuId, String>")]
    pub price_factor: BTreeMap<SkuId, Decimal>,
    /// Faults that are injected, each at some calls.
    #[serde(default)]
    pub faults: Vec<FaultRule>,
}

/// A sandbox could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The catalogue cannot be read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The catalogue has no such provider.
    #[error("{catalogue} has no provider {provider}; it has {known}", catalogue = .catalogue.display())]
    NoProvider {
        /// The catalogue.
        catalogue: PathBuf,
        /// The missing provider.
        provider: ProviderId,
        /// The catalogue's providers.
        known: String,
    },
    /// The document may not access a path.
    #[error(transparent)]
    AccessDenied(#[from] AccessDenied),
    /// The folder for the state cannot be made.
    #[error("{}: {source}", path.display())]
    State {
        /// Which folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl SandboxConfig {
    /// The clouds, one for each provider of the catalogue. Paths are relative to `base`.
    ///
    /// # Errors
    /// [`SandboxError`]: the catalogue cannot be read, or has no such provider.
    pub fn build(&self, base: impl Into<Base>) -> Result<Vec<Sandbox>, SandboxError> {
        let base = &base.into();
        let catalogue = base.to_read(&self.catalogue)?;
        let mut tables = Table::load(&catalogue)?;
        if let Some(provider) = &self.provider {
            let known: Vec<_> = tables.iter().map(|table| table.provider.to_string()).collect();
            tables.retain(|table| table.provider == *provider);
            if tables.is_empty() {
                let known = known.join(", ");
                return Err(SandboxError::NoProvider { catalogue, provider: provider.clone(), known });
            }
        }
        let is_one = self.provider.is_some();
        tables.into_iter().map(|table| self.cloud(base, table, is_one)).collect()
    }

    fn cloud(&self, base: &Base, table: Table, is_one: bool) -> Result<Sandbox, SandboxError> {
        let range = |[least, most]: [u64; 2]| (Duration::from_millis(least), Duration::from_millis(most));
        let (latency, operation) = (range(self.latency_ms), range(self.operation_ms));
        let id = table.provider.clone();
        let mut rejected = table.rejected.clone();
        let mut offers = table.into_listed();
        // A cloud's own list has no age, so that what no table may say is left out here.
        let now = Timestamp::now();
        offers.retain(|offer| {
            let why = offer.provenance.day_to_come(now);
            rejected.extend(why.iter().map(|why| RejectedRow::new(offer.id(), why)));
            why.is_none()
        });
        let mut builder = Sandbox::builder(id.clone(), offers)
            .rejected(rejected)
            .seed(self.seed)
            .latency(latency.0, latency.1)
            .operation(operation.0, operation.1);
        if let Some(state) = &self.state {
            let told = if is_one { state.clone() } else { state.join(file_name(&id)) };
            let path = base.to_write(&told)?;
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                let state_error = |source| SandboxError::State { path: folder.to_owned(), source };
                std::fs::create_dir_all(folder).map_err(state_error)?;
            }
            builder = builder.confined_state_file(path, base.clone(), told);
        }
        if let Some(class) = self.idempotency {
            builder = builder.idempotency(class);
        }
        builder = builder.list_lag(self.list_lag_ms);
        builder = builder.declared_settings(self.settings.clone().unwrap_or_else(portable_settings));
        builder = builder.reservation_ttl(Duration::from_millis(self.reserves_for_ms));
        if let Some(quota) = self.quota {
            builder = builder.quota(quota);
        }
        let builder =
            self.stock.iter().fold(builder, |builder, (sku, left)| builder.stock(sku.clone(), *left));
        let factors = self.price_factor.iter();
        let builder =
            factors.fold(builder, |builder, (sku, factor)| builder.price_factor(sku.clone(), *factor));
        let builder = self.faults.iter().fold(builder, |builder, rule| builder.fault(rule.clone()));
        Ok(builder.build())
    }
}
