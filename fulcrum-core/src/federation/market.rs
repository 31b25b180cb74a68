//! The federation's handle: catalogue and composition. Purchases are in `orders`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::TryStreamExt;
use jiff::Timestamp;
use rust_decimal::Decimal;

use super::{FederationBuilder, builder::RatesFile};
use crate::{
    catalogue::{Catalogue, IngestOptions, MarketState, Rates},
    compose::{
        ComposeError, ComposeOptions, Explanation, Frontier, Progress, Rejection, Signal, compose, explain,
        pareto, why_not,
    },
    model::{Blueprint, Measure, Offer, OfferId, OfferKind, Plan, ProviderId, Settings, SkuId},
    provider::{
        Call, ErrorKind, OfferFilter, Provider, ProviderError, ProvisionRequest,
        conformance::{Report, SuiteConfig, check_provider},
    },
    purchase::{Engine, PurchaseError},
    threads::{self, BlockingError},
};

/// Several providers as one market. Shareable between threads; open once, share everywhere.
///
/// ```no_run
/// # async fn example() -> Result<(), fulcrum_core::federation::FulcrumError> {
/// use fulcrum_core::{federation::Federation, model::{Blueprint, Policy}};
/// let federation = Federation::open("federation.yaml".as_ref()).await?;
/// federation.refresh().await;
/// let plan = federation.compose(&Blueprint::from_yaml(&std::fs::read_to_string("shop.yaml").unwrap())?)?;
/// let order = federation.purchase(&plan, Policy::default()).await?;
/// println!("{:?}: {} services", order.state, order.steps.len());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Federation {
    pub(super) providers: Vec<Arc<dyn Provider>>,
    pub(super) engine: Arc<Engine>,
    pub(super) market: Arc<MarketState>,
    /// The file of exchange rates, if it is read again with each refresh.
    pub(super) rates_file: Option<RatesFile>,
}

impl Federation {
    /// A builder of a federation.
    pub fn builder() -> FederationBuilder {
        FederationBuilder::default()
    }

    /// Lists the offers of all providers and keeps them as the present catalogue. A failing provider leaves the others usable:
    /// see [`Catalogue::sources`]. A file of exchange rates is read again; if that fails, the previous rates stay valid within
    /// their age limit.
    pub async fn refresh(&self) -> Arc<Catalogue> {
        if let Some(file) = &self.rates_file {
            match file.read() {
                Ok(rates) => self.market.set_rates(rates),
                Err(error) => tracing::warn!(%error, "exchange rates not read again"),
            }
        }
        let rates = (*self.market.configured_rates()).clone();
        self.refresh_with(IngestOptions::new(Timestamp::now(), rates)).await
    }

    /// As [`refresh`](Self::refresh), with the caller's rates, deadlines and filters. The age limits are the federation's.
    pub async fn refresh_with(&self, options: IngestOptions) -> Arc<Catalogue> {
        self.market.refresh(&self.providers, options).await
    }

    /// Sets the exchange rates, for the next refresh and for checking prices.
    pub fn set_rates(&self, rates: Rates) {
        self.market.set_rates(rates);
    }

    /// Runs the conformance suite on a provider. Without a SKU nothing is bought. With one, the SKU is bought a few times at the
    /// first place that sells it, and released; at a real cloud that costs money.
    ///
    /// # Errors
    /// [`PurchaseError::UnknownProvider`], or the error of listing its offers; not found if it does not sell the SKU.
    pub async fn check(
        &self,
        provider: &ProviderId,
        sku: Option<&SkuId>,
        settings: Settings,
        patience: Duration,
    ) -> Result<Report, PurchaseError> {
        let found = self.providers.iter().find(|it| it.id() == provider);
        let provider = found.ok_or_else(|| PurchaseError::UnknownProvider(provider.clone()))?.clone();
        let request = match sku {
            None => None,
            Some(sku) => {
                let filter = OfferFilter { sku: Some(sku.clone()), ..OfferFilter::default() };
                let offers: Vec<Offer> = provider.offers(&filter).try_collect().await?;
                let kind = ErrorKind::NotFound { what: sku.to_string() };
                let none = || ProviderError::new(provider.id().clone(), Call::Offers, kind);
                let offer = offers.into_iter().next().ok_or_else(none)?;
                Some(ProvisionRequest { settings, ..ProvisionRequest::of(&offer, 0, "fulcrum-conformance") })
            }
        };
        Ok(check_provider(provider, SuiteConfig::new(request, patience)).await)
    }

    /// The JSON Schema of the settings that a provider takes with a kind of product: to draw a form from. Any
    /// object if the provider has not declared its settings. Sends nothing.
    ///
    /// # Errors
    /// [`PurchaseError::UnknownProvider`].
    pub fn settings_schema(
        &self,
        provider: &ProviderId,
        kind: OfferKind,
    ) -> Result<serde_json::Value, PurchaseError> {
        let found = self.providers.iter().find(|it| it.id() == provider);
        let provider = found.ok_or_else(|| PurchaseError::UnknownProvider(provider.clone()))?;
        let declared = provider.capabilities().settings.as_ref();
        Ok(declared.map_or_else(|| serde_json::json!({ "type": "object" }), |declared| declared.schema(kind)))
    }

    /// The present catalogue, without offers that have become too old since; empty before the first
    /// [`refresh`](Self::refresh).
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.market.catalogue()
    }

    /// The cheapest plan that meets a blueprint, over the present catalogue. Works on the calling thread.
    ///
    /// # Errors
    /// [`ComposeError`]: no plan meets the blueprint, and why.
    pub fn compose(&self, blueprint: &Blueprint) -> Result<Plan, ComposeError> {
        compose(&self.catalogue(), blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue)
    }

    /// As [`compose`](Self::compose), with options and a watcher; see [`compose()`].
    ///
    /// # Errors
    /// [`ComposeError`]: no plan meets the blueprint, and why.
    pub fn compose_with(
        &self,
        blueprint: &Blueprint,
        options: &ComposeOptions,
        watch: &mut dyn FnMut(&Progress) -> Signal,
    ) -> Result<Plan, ComposeError> {
        compose(&self.catalogue(), blueprint, options, watch)
    }

    /// Explains a plan: binding conditions, alternatives, and discounts at which other providers would enter; see [`explain()`].
    /// Works on the calling thread.
    ///
    /// # Errors
    /// [`ComposeError`]: the plan does not belong to the blueprint and the present catalogue.
    pub fn explain(
        &self,
        blueprint: &Blueprint,
        plan: &Plan,
        options: &ComposeOptions,
        watch: &mut dyn FnMut(&Progress) -> Signal,
    ) -> Result<Explanation, ComposeError> {
        explain(&self.catalogue(), blueprint, plan, options, watch)
    }

    /// Why an offer is not in a plan; see [`why_not()`]. Works on the calling thread.
    ///
    /// # Errors
    /// [`ComposeError`]: the plan does not belong to the blueprint and the present catalogue.
    pub fn why_not(
        &self,
        blueprint: &Blueprint,
        plan: &Plan,
        offer: &OfferId,
        options: &ComposeOptions,
        watch: &mut dyn FnMut(&Progress) -> Signal,
    ) -> Result<Rejection, ComposeError> {
        why_not(&self.catalogue(), blueprint, plan, offer, options, watch)
    }

    /// All trade-offs between two measures; see [`pareto()`]. Works on the calling thread.
    ///
    /// # Errors
    /// [`ComposeError`]: no plan meets the blueprint, and why.
    pub fn pareto(
        &self,
        blueprint: &Blueprint,
        measures: [Measure; 2],
        step: Decimal,
        options: &ComposeOptions,
        watch: &mut dyn FnMut(&Progress) -> Signal,
    ) -> Result<Frontier, ComposeError> {
        pareto(&self.catalogue(), blueprint, measures, step, options, watch)
    }

    /// As [`compose`](Self::compose) on a thread of its own. After `timeout` it returns the best plan so far. Dropping the future
    /// cancels the search.
    ///
    /// # Errors
    /// [`ComposeError`]: nothing fits, and why; or no plan was found in time.
    pub async fn compose_async(
        &self,
        blueprint: &Blueprint,
        options: &ComposeOptions,
        timeout: Option<Duration>,
    ) -> Result<Plan, ComposeError> {
        /// Cancels the search when the future is dropped.
        struct Cancel(Arc<AtomicBool>);
        impl Drop for Cancel {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let (catalogue, blueprint, options) = (self.catalogue(), blueprint.clone(), options.clone());
        let cancel = Cancel(Arc::default());
        let is_cancelled = cancel.0.clone();
        let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let search = threads::spawn_blocking(move || {
            compose(&catalogue, &blueprint, &options, &mut |_| match end {
                _ if is_cancelled.load(Ordering::Relaxed) => Signal::Cancel,
                Some(end) if Instant::now() >= end => Signal::Limit,
                _ => Signal::Continue,
            })
        });
        let outcome = search.await;
        drop(cancel);
        // The task is never aborted, so the only other outcome is a panic of the search, which is resumed here.
        outcome.unwrap_or_else(|error| match error {
            BlockingError::NoThread => Err(ComposeError::TooLarge(error.to_string())),
            BlockingError::Lost(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(ComposeError::STOPPED),
            },
        })
    }
}
