//! The calls of `Federation` and `AsyncFederation`, each written once.

use std::{num::NonZeroUsize, path::PathBuf, sync::Arc, time::Duration};

use fulcrum_core::{
    compose::ComposeOptions,
    federation::{self, Federation},
    ledger::OrderQuery,
    model::{
        self, Action, Blueprint, OfferKind, OfferMode, Operator, OrderId, Policy, ProviderId, Settings,
        SkuId, parse_yaml,
    },
    provider::Base,
    purchase::{DryRun, PurchaseError, PurchaseOptions},
};
use pyo3::{exceptions::PyValueError, prelude::*};

use crate::{
    arguments::Id,
    convert::{configuration, decimal, document, ids, optional, python, read, read_or_default},
    error::raise,
    history::timestamp,
    host::{self, PythonProvider},
    owned::{OpenFederation, Owned},
    progress::ProgressMonitor,
    values::{Order, Plan},
};

/// How long the conformance suite waits for one outcome unless it is told.
pub(crate) const SUITE_TIMEOUT: Duration = Duration::from_secs(60);

/// What a federation is opened from. It is read, like all documents, where there is room.
pub(crate) struct Source {
    config: String,
    folder: PathBuf,
    /// What the document may read and reach; without a word what lies below the folder.
    reach: String,
    written: Vec<PythonProvider>,
}

impl Source {
    pub(crate) fn new(
        py: Python<'_>,
        config: &Bound<'_, PyAny>,
        folder: Option<PathBuf>,
        providers: Option<Vec<Py<PyAny>>>,
        reach: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let (config, written) = (configuration(config)?, host::described(py, providers)?);
        Ok(Self {
            config,
            folder: folder.unwrap_or_default(),
            reach: optional(reach)?.unwrap_or_default(),
            written,
        })
    }

    pub(crate) async fn open(self) -> PyResult<Owned<OpenFederation>> {
        let config = federation::FederationConfig::from_yaml(&self.config).map_err(raise)?;
        let (own, slots) = host::providers(self.written)?;
        let base = Base::from_json(self.folder, &self.reach).map_err(raise)?;
        Ok(OpenFederation::new(config.open_within(&base, own).await.map_err(raise)?, slots))
    }
}

/// The federation of an operator's file.
pub(crate) async fn open_file(path: PathBuf) -> PyResult<Owned<OpenFederation>> {
    Ok(OpenFederation::new(Federation::open(&path).await.map_err(raise)?, Vec::new()))
}

/// Reads a blueprint and searches, on the calling thread.
pub(crate) fn compose_plan(
    market: &OpenFederation,
    blueprint: &str,
    options: &ComposeOptions,
    monitor: ProgressMonitor,
) -> PyResult<Plan> {
    let blueprint = Blueprint::from_yaml(blueprint).map_err(raise)?;
    monitor.run(|watch| market.compose_with(&blueprint, options, watch)).map(Plan::new)
}

/// The policy of a purchase; without a word the usual one.
async fn read_policy(policy: Option<String>) -> PyResult<Policy> {
    read_or_default(policy, Policy::from_yaml).await
}

/// Writes an order down and drives it.
pub(crate) async fn purchase_plan(
    market: OpenFederation,
    plan: Arc<model::Plan>,
    policy: Option<String>,
    options: PurchaseOptions,
) -> PyResult<Order> {
    market.purchase_with(&plan, read_policy(policy).await?, options).await.map(Order).map_err(raise)
}

/// What a purchase would be refused for.
pub(crate) async fn try_purchase(
    market: OpenFederation,
    plan: Arc<model::Plan>,
    policy: Option<String>,
) -> PyResult<DryRun> {
    market.dry_run(&plan, &read_policy(policy).await?).await.map_err(raise)
}

/// Writes an order down.
pub(crate) async fn accept_order(
    market: OpenFederation,
    plan: Arc<model::Plan>,
    policy: Option<String>,
    options: PurchaseOptions,
) -> PyResult<Order> {
    market.accept(&plan, read_policy(policy).await?, options).await.map(Order).map_err(raise)
}

/// What the conformance suite finds at a provider.
pub(crate) async fn run_conformance(
    market: OpenFederation,
    provider: ProviderId,
    sku: Option<SkuId>,
    settings: Option<String>,
    timeout: Duration,
) -> PyResult<host::Report> {
    let settings = read_or_default(settings, parse_yaml::<Settings>).await?;
    market.check(&provider, sku.as_ref(), settings, timeout).await.map(host::Report).map_err(raise)
}

/// `"start"`, `"stop"`, `{"resize": {"sku": …}}` or `{"other": {"name": …}}`.
pub(crate) fn action_text(action: &Bound<'_, PyAny>) -> PyResult<String> {
    match action.extract::<String>() {
        Ok(word) => Ok(serde_json::Value::String(word).to_string()),
        Err(_) => document(action),
    }
}

/// What a person wants of a service.
pub(crate) async fn act_on_service(
    market: OpenFederation,
    id: OrderId,
    step: u32,
    action: String,
    by: Operator,
) -> PyResult<Order> {
    let action = read(action, parse_yaml::<Action>).await?;
    market.act(&id, step, action, by).await.map(Order).map_err(raise)
}

/// With who and why if either is told.
pub(crate) async fn cancel_order(
    market: OpenFederation,
    id: OrderId,
    who: Option<String>,
    why: Option<String>,
) -> Result<model::Order, PurchaseError> {
    if who.is_none() && why.is_none() {
        return market.cancel(&id).await;
    }
    let by = Operator { who: who.unwrap_or_default(), why: why.unwrap_or_default() };
    market.cancel_by(&id, by).await
}

/// Ready after a time, or never.
pub(crate) async fn until_timeout(timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => tokio::time::sleep(timeout).await,
        None => std::future::pending().await,
    }
}

pub(crate) fn order_query(
    state: Option<&str>,
    is_unfinished: bool,
    since: Option<&Bound<'_, PyAny>>,
    before: Option<Id>,
    limit: u32,
) -> PyResult<OrderQuery> {
    let state = state.map(|word| read_name(word, "state")).transpose()?;
    let since = since.map(|time| timestamp("since", time)).transpose()?;
    Ok(OrderQuery { state, is_unfinished, since, before: before.map(|id| id.0), limit })
}

/// A name of any kind.
pub(crate) fn read_name<T: std::str::FromStr<Err: std::fmt::Display>>(name: &str, what: &str) -> PyResult<T> {
    name.parse().map_err(|error| PyValueError::new_err(format!("{what}: {error}")))
}

/// The JSON Schema of a provider's settings, as a dict.
pub(crate) fn settings_schema<'py>(
    py: Python<'py>,
    market: &Federation,
    provider: &str,
    kind: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let provider = read_name(provider, "provider")?;
    let kind: OfferKind = kind.parse().map_err(PyValueError::new_err)?;
    python(py, &market.settings_schema(&provider, kind).map_err(raise)?)
}

pub(crate) fn options(
    gap_percent: Option<&Bound<'_, PyAny>>,
    threads: usize,
    exclude: Option<&Bound<'_, PyAny>>,
    exclude_providers: Option<&Bound<'_, PyAny>>,
    offers: Option<&str>,
) -> PyResult<ComposeOptions> {
    let threads = NonZeroUsize::new(threads)
        .ok_or_else(|| PyValueError::new_err("threads: 1 or more, such as os.cpu_count()"))?;
    let mut options = ComposeOptions { threads, ..ComposeOptions::default() };
    options.exclude = ids("exclude", exclude)?;
    options.offers = match offers {
        None => None,
        Some("orderable") => Some(OfferMode::Orderable),
        Some("all") => Some(OfferMode::All),
        Some(_) => return Err(PyValueError::new_err("offers: write \"orderable\" or \"all\"")),
    };
    options.exclude_providers = ids("exclude_providers", exclude_providers)?;
    if let Some(gap) = gap_percent {
        options.gap_percent =
            decimal(gap)?.ok_or_else(|| PyValueError::new_err("gap_percent: write a number such as 0.5"))?;
    }
    Ok(options)
}
