//! The market: catalogue, composition and purchase behind one handle.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{TryStreamExt, stream::BoxStream};
use jiff::Timestamp;
use rust_decimal::Decimal;

use super::{ConfigError, FederationBuilder, builder::RatesFile};
use crate::{
    catalogue::{Catalogue, IngestOptions, PresentMarket, Rates},
    compose::{
        ComposeError, ComposeOptions, Explanation, Frontier, Progress, Rejection, Signal, compose, explain,
        pareto, why_not,
    },
    ledger::{Ledger, LedgerError},
    model::{
        Action, Blueprint, DocumentError, Measure, Offer, OfferId, Operator, OperatorCommand,
        OperatorRequest, Order, OrderEvent, OrderId, Plan, Policy, ProviderId, Settings, SkuId,
    },
    provider::{
        Call, ErrorKind, OfferFilter, Provider, ProviderError, ProvisionRequest,
        conformance::{Report, Trial, check_provider},
    },
    purchase::{
        Engine, OrderArchive, PurchaseError, PurchaseOptions, Reconciliation, RepairPolicy, Timeline,
    },
    threads::{self, Unfinished},
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
    pub(super) market: Arc<PresentMarket>,
    /// Where the exchange rates stand, if they are read again with each refresh.
    pub(super) rates_file: Option<RatesFile>,
}

/// Anything that a federation can fail with; [`code`](Self::code) is what C and Python translate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FulcrumError {
    /// A document is not well formed.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The federation cannot be set up like this.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no plan.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// The purchase failed.
    #[error(transparent)]
    Purchase(#[from] PurchaseError),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A provider failed.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

impl FulcrumError {
    /// A number that stays the same for ever: 1xx providers, 2xx purchases, 3xx composition, 4xx configuration
    /// and documents, 5xx the ledger.
    pub fn code(&self) -> i32 {
        match self {
            Self::Document(_) => 401,
            Self::Config(ConfigError::Ledger(error)) | Self::Ledger(error) => error.code(),
            Self::Config(_) => 402,
            Self::Compose(error) => error.code(),
            Self::Purchase(error) => error.code(),
            Self::Provider(error) => error.kind.code(),
        }
    }
}

/// What [`Federation::follow`] answers.
pub type Events = BoxStream<'static, Result<OrderEvent, PurchaseError>>;

impl Federation {
    /// Starts to put a federation together.
    pub fn builder() -> FederationBuilder {
        FederationBuilder::default()
    }

    /// Asks all providers for their offers and keeps the answer as the present catalogue. A provider that fails
    /// leaves the others usable: see [`Catalogue::sources`]. A file of exchange rates is read again; if it cannot be read,
    /// the rates before hold until they are too old.
    pub async fn refresh(&self) -> Arc<Catalogue> {
        if let Some(file) = &self.rates_file {
            match file.read() {
                Ok(rates) => self.market.set_rates(rates),
                Err(error) => tracing::warn!(%error, "exchange rates not read again"),
            }
        }
        let rates = (*self.market.given_rates()).clone();
        self.refresh_with(IngestOptions::new(Timestamp::now(), rates)).await
    }

    /// As [`refresh`](Self::refresh), with rates, deadlines and filters of the caller's. The limits of age are those of the
    /// federation.
    pub async fn refresh_with(&self, options: IngestOptions) -> Arc<Catalogue> {
        self.market.refresh(&self.providers, options).await
    }

    /// Sets the exchange rates, for the next refresh and for checking prices.
    pub fn set_rates(&self, rates: Rates) {
        self.market.set_rates(rates);
    }

    /// Runs the conformance suite at one of the providers. Without a product nothing is bought; with one it is bought a few
    /// times, at the first place that sells it, and ended again: at a real cloud that costs money.
    ///
    /// # Errors
    /// [`PurchaseError::UnknownProvider`], or what listing its offers answers; not found if it does not sell the product.
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
        Ok(check_provider(provider, Trial::new(request, patience)).await)
    }

    /// The present catalogue; empty before the first [`refresh`](Self::refresh). What has become too old since is not in it
    /// any more.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.market.catalogue()
    }

    /// The cheapest plan that meets a blueprint, over the present catalogue. Works on the calling thread.
    ///
    /// # Errors
    /// [`ComposeError`]: nothing fits, and why.
    pub fn compose(&self, blueprint: &Blueprint) -> Result<Plan, ComposeError> {
        compose(&self.catalogue(), blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue)
    }

    /// As [`compose`](Self::compose), with options and a watcher; see [`compose()`].
    ///
    /// # Errors
    /// [`ComposeError`]: nothing fits, and why.
    pub fn compose_with(
        &self,
        blueprint: &Blueprint,
        options: &ComposeOptions,
        watch: &mut dyn FnMut(&Progress) -> Signal,
    ) -> Result<Plan, ComposeError> {
        compose(&self.catalogue(), blueprint, options, watch)
    }

    /// Why a plan is as it is: what binds, what comes next, who would get in; see [`explain()`]. Works on the calling
    /// thread.
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
    /// [`ComposeError`]: nothing fits, and why.
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

    /// As [`compose`](Self::compose) on a thread of its own, for at most so long; then the best plan so far is
    /// the answer. Dropping the future cancels the search.
    ///
    /// # Errors
    /// [`ComposeError`]: nothing fits, and why; or no plan was found in time.
    pub async fn compose_async(
        &self,
        blueprint: &Blueprint,
        options: &ComposeOptions,
        timeout: Option<Duration>,
    ) -> Result<Plan, ComposeError> {
        /// Tells the search when nobody waits any more.
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
        let search = threads::blocking(move || {
            compose(&catalogue, &blueprint, &options, &mut |_| match end {
                _ if is_cancelled.load(Ordering::Relaxed) => Signal::Cancel,
                Some(end) if Instant::now() >= end => Signal::Limit,
                _ => Signal::Continue,
            })
        });
        let outcome = search.await;
        drop(cancel);
        // The task is never aborted, so that what is left is a panic of the search, which goes on here.
        outcome.unwrap_or_else(|error| match error {
            Unfinished::NoThread => Err(ComposeError::TooLarge(error.to_string())),
            Unfinished::Lost(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(ComposeError::Stopped),
            },
        })
    }

    /// Buys a plan, all of it or nothing, and returns when the order is committed, compensated or stuck.
    /// Dropping the future leaves an order that [`resume`](Self::resume) takes up again.
    ///
    /// # Errors
    /// [`PurchaseError`]; an order that failed and was compensated is no error: see its state and reason.
    pub async fn purchase(&self, plan: &Plan, policy: Policy) -> Result<Order, PurchaseError> {
        self.purchase_with(plan, policy, PurchaseOptions::default()).await
    }

    /// As [`purchase`](Self::purchase), with an id of the caller's, so that a second click buys nothing, or with the digest
    /// of plan and policy that somebody has approved.
    ///
    /// # Errors
    /// As [`accept`](Self::accept) and [`drive`](Self::drive).
    pub async fn purchase_with(
        &self,
        plan: &Plan,
        policy: Policy,
        options: impl Into<PurchaseOptions>,
    ) -> Result<Order, PurchaseError> {
        let order = self.accept(plan, policy, options).await?;
        self.engine.drive(&order.id).await
    }

    /// Writes an order down without buying yet. With an id of the caller's, repeating the call is safe: the same
    /// id and plan give the same order.
    ///
    /// # Errors
    /// [`PurchaseError`]: a provider is not in the federation, or cannot be bought from; or the id is taken.
    pub async fn accept(
        &self,
        plan: &Plan,
        policy: Policy,
        options: impl Into<PurchaseOptions>,
    ) -> Result<Order, PurchaseError> {
        self.engine.accept(plan.clone(), policy, options).await
    }

    /// Drives one order to its end.
    ///
    /// # Errors
    /// [`PurchaseError`]: another host drives it, or it does not exist.
    pub async fn drive(&self, order: &OrderId) -> Result<Order, PurchaseError> {
        self.engine.drive(order).await
    }

    /// Takes up every order that an earlier run left unfinished. Call it once at the start.
    ///
    /// # Errors
    /// [`PurchaseError`]: the ledger cannot be read.
    pub async fn resume(&self) -> Result<Vec<Order>, PurchaseError> {
        self.engine.resume_all().await
    }

    /// Drives orders that wait in the ledger, at most `at_once` at a time, until `stop` is ready. Many hosts may do so
    /// side by side; [`accept`](Self::accept) on any of them is enough to have an order bought.
    pub async fn serve(&self, at_once: usize, stop: impl Future<Output = ()>) {
        self.engine.serve(at_once, stop).await;
    }

    /// Tries once more to undo a stuck order; who and why are recorded.
    ///
    /// # Errors
    /// [`PurchaseError`]: the order is not stuck, or nobody says why.
    pub async fn retry(&self, order: &OrderId, by: Operator) -> Result<Order, PurchaseError> {
        self.engine.retry(order, by).await
    }

    /// Gives a stuck order up, though something of it may be left; see [`Engine::abandon`].
    ///
    /// # Errors
    /// [`PurchaseError`]: the order is not stuck, or nobody says why.
    pub async fn abandon(&self, order: &OrderId, by: Operator) -> Result<Order, PurchaseError> {
        self.engine.abandon(order, by).await
    }

    /// Says that nothing is left of a stuck step, and how that is known; with the last one the order is over.
    ///
    /// # Errors
    /// [`PurchaseError`]: the step is not stuck, or who, why or the evidence is missing.
    pub async fn settle(
        &self,
        order: &OrderId,
        step: u32,
        by: Operator,
        evidence: String,
    ) -> Result<Order, PurchaseError> {
        self.engine.settle(order, step, by, evidence).await
    }

    /// Starts, stops or resizes a service of a committed order; see [`Engine::act`].
    ///
    /// # Errors
    /// [`PurchaseError`]: the step holds no service, its provider knows no actions, or nobody says why.
    pub async fn act(
        &self,
        order: &OrderId,
        step: u32,
        action: Action,
        by: Operator,
    ) -> Result<Order, PurchaseError> {
        self.engine.act(order, step, action, by).await
    }

    /// Ends one service of a committed order; see [`Engine::release`].
    ///
    /// # Errors
    /// [`PurchaseError`]: the step holds no service, or nobody says why.
    pub async fn release(&self, order: &OrderId, step: u32, by: Operator) -> Result<Order, PurchaseError> {
        self.engine.release(order, step, by).await
    }

    /// Does what a person wants; the same as the five calls above, for hosts that pass text on.
    ///
    /// # Errors
    /// As those.
    pub async fn operate(&self, order: &OrderId, request: OperatorRequest) -> Result<Order, PurchaseError> {
        let OperatorRequest { by, command } = request;
        match command {
            OperatorCommand::Retry => self.retry(order, by).await,
            OperatorCommand::Abandon => self.abandon(order, by).await,
            OperatorCommand::Settle { step, evidence } => self.settle(order, step, by, evidence).await,
            OperatorCommand::Act { step, action } => self.act(order, step, action, by).await,
            OperatorCommand::Release { step } => self.release(order, step, by).await,
        }
    }

    /// Ends all services of a committed order, or stops one that is under way.
    ///
    /// # Errors
    /// [`PurchaseError`]: another host drives it, or it does not exist.
    pub async fn cancel(&self, order: &OrderId) -> Result<Order, PurchaseError> {
        self.engine.cancel(order).await
    }

    /// As [`cancel`](Self::cancel), with who and why, which are recorded.
    ///
    /// # Errors
    /// As [`cancel`](Self::cancel).
    pub async fn cancel_by(&self, order: &OrderId, by: Operator) -> Result<Order, PurchaseError> {
        self.engine.cancel_by(order, by).await
    }

    /// Compares what the providers have with what the ledger holds; changes nothing.
    ///
    /// # Errors
    /// [`PurchaseError`]: the ledger cannot be read. A provider that fails leaves the others.
    pub async fn reconcile(&self) -> Result<Reconciliation, PurchaseError> {
        self.engine.reconcile().await
    }

    /// Compares, and then does what the policy says; see [`Engine::repair`].
    ///
    /// # Errors
    /// As [`reconcile`](Self::reconcile).
    pub async fn repair(&self, policy: &RepairPolicy) -> Result<Reconciliation, PurchaseError> {
        self.engine.repair(policy).await
    }

    /// Repairs at once and then again `interval` after each end, until `stop` is ready; see
    /// [`Engine::reconcile_every`].
    ///
    /// ```no_run
    /// # async fn example(market: fulcrum_core::federation::Federation) {
    /// use fulcrum_core::purchase::RepairPolicy;
    /// use std::time::Duration;
    /// let report = |outcome| println!("{outcome:?}");
    /// let policy = RepairPolicy::default(); // reports only
    /// market.reconcile_every(Duration::from_secs(3600), &policy, std::future::pending(), report).await;
    /// # }
    /// ```
    pub async fn reconcile_every(
        &self,
        interval: Duration,
        policy: &RepairPolicy,
        stop: impl Future<Output = ()>,
        report: impl FnMut(Result<Reconciliation, PurchaseError>),
    ) {
        self.engine.reconcile_every(interval, policy, stop, report).await;
    }

    /// An order with all that ever happened to it, as a document that proves itself; see [`Engine::export`].
    ///
    /// # Errors
    /// [`PurchaseError`]: there is no such order, or the ledger is damaged.
    pub async fn export(&self, order: &OrderId) -> Result<OrderArchive, PurchaseError> {
        self.engine.export(order).await
    }

    /// Removes orders of which nothing exists and to which nothing has happened since `before`; see [`Engine::forget`].
    ///
    /// # Errors
    /// [`PurchaseError`]: the ledger cannot be used.
    pub async fn forget(&self, before: Timestamp) -> Result<u64, PurchaseError> {
        self.engine.forget(before).await
    }

    /// Delivers the events of all orders to `sink`, each at least once, until `stop` is ready; see [`Engine::deliver`].
    pub async fn deliver<F, E>(
        &self,
        name: &str,
        sink: impl FnMut(Vec<OrderEvent>) -> F,
        stop: impl Future<Output = ()>,
    ) where
        F: Future<Output = Result<(), E>>,
        E: std::fmt::Display,
    {
        self.engine.deliver(name, sink, stop).await;
    }

    /// What has happened to an order so far, in words.
    ///
    /// # Errors
    /// [`PurchaseError`]: there is no such order.
    pub async fn timeline(&self, order: &OrderId) -> Result<Timeline, PurchaseError> {
        self.engine.timeline(order).await
    }

    /// The events of one order, those of the past first, then as they happen, until it is final.
    pub fn follow(&self, order: &OrderId) -> Events {
        self.engine.follow(order.clone())
    }

    /// Where purchases are remembered.
    pub fn ledger(&self) -> &Arc<dyn Ledger> {
        self.engine.ledger()
    }
}
