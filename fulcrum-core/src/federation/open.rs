//! A federation from its configuration, with the embedded ledger.

use std::{path::Path, sync::Arc};

use super::{ConfigError, Federation, FederationBuilder, FederationConfig, FulcrumError, builder::RatesFile};
#[cfg(feature = "postgres")]
use crate::ledger::PostgresLedger;
use crate::{
    ledger::SqliteLedger,
    model::{DocumentError, limits, read_text_within},
    provider::{AccessGrants, Base, Provider},
};

impl Federation {
    /// Opens a federation from a configuration file of the operator, which is trusted; its paths are relative to it. For a file
    /// of somebody else read its text, and [`FederationConfig::open`] it.
    ///
    /// # Errors
    /// [`FulcrumError::Config`] or [`FulcrumError::Document`], with file, path and line.
    pub async fn open(path: &Path) -> Result<Self, FulcrumError> {
        let io = |source| ConfigError::Io { path: path.to_owned(), source };
        let text = read_text_within(path, limits::MAX_FEDERATION_BYTES).map_err(io)?;
        let config = FederationConfig::from_yaml(&text)?;
        let base = Base::trusted(path.parent().unwrap_or(Path::new(".")));
        Ok(config.open_within(&base, []).await?)
    }
}

impl FederationConfig {
    /// Opens the federation of a document that anybody may have written: it reads and writes files below `base` alone, and
    /// sends each secret only to the public API that it is for. [`open_within`](Self::open_within) can widen that.
    ///
    /// # Errors
    /// [`ConfigError`]: a file cannot be read, is elsewhere, or the parts do not fit together.
    pub async fn open(&self, base: &Path) -> Result<Federation, ConfigError> {
        self.open_with(base, []).await
    }

    /// As [`open`](Self::open), with providers of the host's own besides those of the document.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_with(
        &self,
        base: &Path,
        own: impl IntoIterator<Item = Arc<dyn Provider>>,
    ) -> Result<Federation, ConfigError> {
        self.open_within(&Base::confined(base, AccessGrants::default()), own).await
    }

    /// As [`open_with`](Self::open_with), with what the program lets the document read, write and reach:
    /// [`Base::trusted`] for a document of the operator, [`Base::confined`] with a [`AccessGrants`] for any other.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_within(
        &self,
        base: &Base,
        own: impl IntoIterator<Item = Arc<dyn Provider>>,
    ) -> Result<Federation, ConfigError> {
        let mut builder = with_ledger(Federation::builder(), &self.ledger, base).await?;
        if let Some(rates) = &self.rates {
            builder = builder.rates_of(RatesFile { base: base.clone(), path: rates.clone() })?;
        }
        builder = builder
            .max_offer_age_hours(self.max_offer_age_hours)
            .max_rates_age_days(self.max_rates_age_days)
            .max_table_age_days(self.max_table_age_days);
        if self.providers.len() > limits::MAX_PROVIDER_ENTRIES {
            let message =
                format!("these are {}; write at most {}", self.providers.len(), limits::MAX_PROVIDER_ENTRIES);
            return Err(DocumentError::at("providers", message).into());
        }
        // Of all catalogues together: one file may be named many times.
        let mut offers = 0_usize;
        for provider in &self.providers {
            if offers > limits::MAX_OFFERS {
                let message = format!("the catalogues have more than {} offers together", limits::MAX_OFFERS);
                return Err(DocumentError::at("providers", message).into());
            }
            let added = provider.add_to(builder, base)?;
            builder = added.builder;
            offers += added.stored_offers;
        }
        own.into_iter().fold(builder, FederationBuilder::provider).build()
    }
}

/// Opens the ledger that a document names.
async fn with_ledger(
    builder: FederationBuilder,
    name: &str,
    base: &Base,
) -> Result<FederationBuilder, ConfigError> {
    if let Some(variable) = name.strip_prefix("env:") {
        // A document that may not use it does not learn whether it is there.
        base.check_ledger(name)?;
        let value = std::env::var(variable).map_err(|_| {
            ConfigError::LedgerAddress(format!("the environment variable {variable} is not set"))
        })?;
        return open_ledger(builder, &value, &Base::trusted(base.folder())).await;
    }
    // Documents are shown, logged and kept with the code.
    let authority = name.split_once("://").and_then(|(_, rest)| rest.split('/').next());
    if authority.and_then(|authority| authority.rsplit_once('@')).is_some_and(|(user, _)| user.contains(':'))
        || name.contains("password=")
    {
        let message = "a password does not belong into a document; set PGPASSWORD, use a password file, or write \
                       `ledger: env:NAME` and set that variable to the whole address";
        return Err(ConfigError::LedgerAddress(message.to_owned()));
    }
    open_ledger(builder, name, base).await
}

async fn open_ledger(
    builder: FederationBuilder,
    name: &str,
    base: &Base,
) -> Result<FederationBuilder, ConfigError> {
    match name {
        ":memory:" => Ok(builder.ledger(SqliteLedger::in_memory().await?)),
        #[cfg(feature = "postgres")]
        url if url.starts_with("postgresql://") || url.starts_with("postgres://") => {
            base.check_ledger(url)?;
            Ok(builder.ledger(PostgresLedger::open(url).await?))
        }
        url if url.contains("://") => {
            let message = "write a file's name, postgresql://user@host/database, or env:NAME";
            Err(ConfigError::LedgerAddress(message.to_owned()))
        }
        path => Ok(builder.ledger(SqliteLedger::open(base.to_write(path.as_ref())?).await?)),
    }
}
