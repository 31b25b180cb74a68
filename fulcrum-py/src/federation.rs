//! The market, for callers that wait.

use std::{
    num::NonZeroUsize,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use fulcrum_core::{
    compose::{ComposeError, ComposeOptions, Progress, Signal},
    federation,
    ledger::LedgerError,
    model::{self, Action, Blueprint, Operator, OrderId, Policy, ProviderId, Settings, SkuId, parse_yaml},
    provider::Base,
    purchase::{PurchaseError, PurchaseOptions},
};
use fulcrum_py_macros::guarded;
use pyo3::{
    exceptions::PyValueError,
    prelude::*,
    pyclass::{PyTraverseError, PyVisit},
    types::PyType,
};

use rust_decimal::Decimal;

use crate::{
    apart::{compute, is_cancelled, tell, wait, wait_telling},
    ask::{Answer, Question},
    convert::{decimal, document, duration, ids, optional, python, read, read_or_default, seconds},
    error::raise,
    events::Events,
    host::{self, Written, through},
    owned::{Market, Owned},
    reconcile::{Schedule, read_repair},
    retain::{Sink, Timeline, moment},
    runtime::{SIGNAL_INTERVAL, aside, attach, is_ending},
    values::{Catalogue, Order, Plan},
};

/// What a federation is opened from. It is read, like all documents, where there is room.
pub(crate) struct Source {
    config: String,
    folder: PathBuf,
    /// What the document may read and reach; without a word what lies below the folder.
    reach: String,
    written: Vec<Written>,
}

impl Source {
    pub(crate) fn new(
        py: Python<'_>,
        config: &Bound<'_, PyAny>,
        folder: Option<PathBuf>,
        providers: Option<Vec<Py<PyAny>>>,
        reach: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let (config, written) = (document(config)?, host::described(py, providers)?);
        Ok(Self {
            config,
            folder: folder.unwrap_or_default(),
            reach: optional(reach)?.unwrap_or_default(),
            written,
        })
    }

    pub(crate) async fn open(self) -> PyResult<Owned<Market>> {
        let config = federation::FederationConfig::from_yaml(&self.config).map_err(raise)?;
        let (own, slots) = host::providers(self.written)?;
        let base = Base::from_json(self.folder, &self.reach).map_err(raise)?;
        Ok(Market::new(config.open_within(&base, own).await.map_err(raise)?, slots))
    }
}

/// The federation of an operator's file.
pub(crate) async fn opened(path: PathBuf) -> PyResult<Owned<Market>> {
    Ok(Market::new(federation::Federation::open(&path).await.map_err(raise)?, Vec::new()))
}

/// Several providers as one market.
#[pyclass(frozen, module = "fulcrum_market")]
pub(crate) struct Federation(Owned<Market>);

#[guarded]
impl Federation {
    #[new]
    #[pyo3(signature = (config, *, base=None, providers=None, reach=None))]
    fn new(
        py: Python<'_>,
        config: &Bound<'_, PyAny>,
        base: Option<PathBuf>,
        providers: Option<Vec<Py<PyAny>>>,
        reach: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let source = Source::new(py, config, base, providers, reach)?;
        wait(py, || aside(|| source.open())).map(Self)
    }

    #[pyo3(signature = (provider, *, sku=None, settings=None, patience=60.0))]
    fn check(
        &self,
        py: Python<'_>,
        provider: &str,
        sku: Option<&str>,
        settings: Option<&Bound<'_, PyAny>>,
        patience: f64,
    ) -> PyResult<host::Report> {
        let (provider, sku) =
            (read_name(provider, "provider")?, sku.map(|sku| read_name(sku, "sku")).transpose()?);
        let patience = seconds("patience", patience)?;
        let (market, settings) = (self.0.get()?.clone(), optional(settings)?);
        wait(py, move || checked(market, provider, sku, settings, patience))
    }

    #[classmethod]
    fn open(_: &Bound<'_, PyType>, py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        wait(py, || aside(|| opened(path))).map(Self)
    }

    fn refresh(&self, py: Python<'_>) -> PyResult<Catalogue> {
        let market = self.0.get()?.clone();
        wait(py, move || async move { Ok(Catalogue(market.refresh().await)) })
    }

    #[getter]
    fn catalogue(&self) -> PyResult<Catalogue> {
        Ok(Catalogue(self.0.get()?.catalogue()))
    }

    #[getter]
    fn sources<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        python(py, &self.0.get()?.catalogue().sources())
    }

    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    #[pyo3(signature = (blueprint, *, timeout=None, gap_percent=None, threads=1, exclude=None, exclude_providers=None, progress=None))]
    fn compose(
        &self,
        py: Python<'_>,
        blueprint: &Bound<'_, PyAny>,
        timeout: Option<f64>,
        gap_percent: Option<&Bound<'_, PyAny>>,
        threads: usize,
        exclude: Option<&Bound<'_, PyAny>>,
        exclude_providers: Option<&Bound<'_, PyAny>>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Plan> {
        let (market, blueprint) = (self.0.get()?.clone(), document(blueprint)?);
        let options = options(gap_percent, threads, exclude, exclude_providers)?;
        let (tells, watcher) = (progress.is_some(), Watcher::new(duration(timeout)?, progress));
        compute(py, tells, move || composed(&market, &blueprint, &options, watcher))
    }

    #[pyo3(signature = (blueprint, plan, *, timeout=None, progress=None))]
    fn explain(
        &self,
        py: Python<'_>,
        blueprint: &Bound<'_, PyAny>,
        plan: &Plan,
        timeout: Option<f64>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Answer> {
        self.ask(py, blueprint, Question::Explain(plan.0.clone()), timeout, progress)
    }

    #[pyo3(signature = (blueprint, plan, offer, *, timeout=None, progress=None))]
    fn why_not(
        &self,
        py: Python<'_>,
        blueprint: &Bound<'_, PyAny>,
        plan: &Plan,
        offer: &str,
        timeout: Option<f64>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Answer> {
        self.ask(py, blueprint, Question::why_not(plan, offer)?, timeout, progress)
    }

    #[pyo3(signature = (blueprint, measures, *, step=None, timeout=None, progress=None))]
    fn pareto(
        &self,
        py: Python<'_>,
        blueprint: &Bound<'_, PyAny>,
        measures: (String, String),
        step: Option<&Bound<'_, PyAny>>,
        timeout: Option<f64>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Answer> {
        self.ask(py, blueprint, Question::pareto(measures, step)?, timeout, progress)
    }

    #[pyo3(signature = (plan, policy=None, *, id=None, approved=None))]
    fn purchase(
        &self,
        py: Python<'_>,
        plan: &Plan,
        policy: Option<&Bound<'_, PyAny>>,
        id: Option<&str>,
        approved: Option<String>,
    ) -> PyResult<Order> {
        let (market, plan, policy) = (self.0.get()?.clone(), plan.0.clone(), optional(policy)?);
        let options = PurchaseOptions { id: read_id(id)?, approved };
        wait(py, move || buy(market, plan, policy, options))
    }

    #[pyo3(signature = (plan, policy=None, *, id=None, approved=None))]
    fn accept(
        &self,
        py: Python<'_>,
        plan: &Plan,
        policy: Option<&Bound<'_, PyAny>>,
        id: Option<&str>,
        approved: Option<String>,
    ) -> PyResult<Order> {
        let (market, plan, policy) = (self.0.get()?.clone(), plan.0.clone(), optional(policy)?);
        let options = PurchaseOptions { id: read_id(id)?, approved };
        wait(py, move || accepted(market, plan, policy, options))
    }

    fn drive(&self, py: Python<'_>, id: &str) -> PyResult<Order> {
        let (market, id) = (self.0.get()?.clone(), order_id(id)?);
        wait(py, move || async move { market.drive(&id).await.map(Order).map_err(raise) })
    }

    fn resume(&self, py: Python<'_>) -> PyResult<Vec<Order>> {
        let market = self.0.get()?.clone();
        let orders = wait(py, move || async move { market.resume().await.map_err(raise) })?;
        Ok(orders.into_iter().map(Order).collect())
    }

    #[pyo3(signature = (id, *, who=None, why=None))]
    fn cancel(&self, py: Python<'_>, id: &str, who: Option<String>, why: Option<String>) -> PyResult<Order> {
        let (market, id) = (self.0.get()?.clone(), order_id(id)?);
        wait(py, move || async move { cancelled(market, id, who, why).await.map(Order).map_err(raise) })
    }

    #[pyo3(signature = (id, *, who, why))]
    fn retry(&self, py: Python<'_>, id: &str, who: String, why: String) -> PyResult<Order> {
        let (market, id, by) = (self.0.get()?.clone(), order_id(id)?, Operator { who, why });
        wait(py, move || async move { market.retry(&id, by).await.map(Order).map_err(raise) })
    }

    #[pyo3(signature = (id, *, who, why))]
    fn abandon(&self, py: Python<'_>, id: &str, who: String, why: String) -> PyResult<Order> {
        let (market, id, by) = (self.0.get()?.clone(), order_id(id)?, Operator { who, why });
        wait(py, move || async move { market.abandon(&id, by).await.map(Order).map_err(raise) })
    }

    #[pyo3(signature = (id, step, *, who, why, evidence))]
    fn settle(
        &self,
        py: Python<'_>,
        id: &str,
        step: u32,
        who: String,
        why: String,
        evidence: String,
    ) -> PyResult<Order> {
        let (market, id, by) = (self.0.get()?.clone(), order_id(id)?, Operator { who, why });
        wait(
            py,
            move || async move { market.settle(&id, step, by, evidence).await.map(Order).map_err(raise) },
        )
    }

    #[pyo3(signature = (id, step, action, *, who, why))]
    fn act(
        &self,
        py: Python<'_>,
        id: &str,
        step: u32,
        action: &Bound<'_, PyAny>,
        who: String,
        why: String,
    ) -> PyResult<Order> {
        let (market, id, action) = (self.0.get()?.clone(), order_id(id)?, action_text(action)?);
        wait(py, move || acted(market, id, step, action, Operator { who, why }))
    }

    #[pyo3(signature = (id, step, *, who, why))]
    fn release(&self, py: Python<'_>, id: &str, step: u32, who: String, why: String) -> PyResult<Order> {
        let (market, id, by) = (self.0.get()?.clone(), order_id(id)?, Operator { who, why });
        wait(py, move || async move { market.release(&id, step, by).await.map(Order).map_err(raise) })
    }

    #[pyo3(signature = (*, at_once=16, timeout=None))]
    fn serve(&self, py: Python<'_>, at_once: usize, timeout: Option<f64>) -> PyResult<()> {
        let (market, timeout) = (self.0.get()?.clone(), duration(timeout)?);
        wait(py, move || async move {
            market.serve(at_once, ended(timeout)).await;
            Ok(())
        })
    }

    fn order(&self, py: Python<'_>, id: &str) -> PyResult<Option<Order>> {
        let (market, id) = (self.0.get()?.clone(), order_id(id)?);
        wait(py, move || async move { Ok(market.ledger().load(&id).await.map_err(raise)?.map(Order)) })
    }

    fn events<'py>(&self, py: Python<'py>, id: &str) -> PyResult<Bound<'py, PyAny>> {
        let (market, id) = (self.0.get()?.clone(), order_id(id)?);
        let events =
            wait(
                py,
                move || async move { market.ledger().events(0, Some(&id), u32::MAX).await.map_err(raise) },
            )?;
        python(py, &events)
    }

    /// The events of an order as an iterator, until the order is final.
    fn follow(slf: &Bound<'_, Self>, id: &str) -> PyResult<Events> {
        let (id, market) = (order_id(id)?, slf.get().0.get()?);
        let (ledger, order) = (market.ledger().clone(), id.clone());
        let load = move || async move { ledger.load(&order).await.map_err(raise) };
        if wait(slf.py(), load)?.is_none() {
            return Err(raise(LedgerError::NoSuchOrder(id)));
        }
        Ok(Events::new(market, id, slf.clone().into_any().unbind()))
    }

    #[pyo3(signature = (repair=None))]
    fn reconcile<'py>(
        &self,
        py: Python<'py>,
        repair: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (market, repair) = (self.0.get()?.clone(), optional(repair)?);
        let found =
            wait(py, move || async move { market.repair(&read_repair(repair).await?).await.map_err(raise) })?;
        python(py, &found)
    }

    #[pyo3(signature = (interval, report, *, repair=None, timeout=None))]
    fn reconcile_every(
        &self,
        py: Python<'_>,
        interval: f64,
        report: Py<PyAny>,
        repair: Option<&Bound<'_, PyAny>>,
        timeout: Option<f64>,
    ) -> PyResult<()> {
        let schedule = Schedule::new(interval, repair, timeout)?;
        let market = self.0.get()?.clone();
        wait_telling(py, move || schedule.run(market, report))
    }

    fn export<'py>(&self, py: Python<'py>, id: &str) -> PyResult<Bound<'py, PyAny>> {
        let (market, id) = (self.0.get()?.clone(), order_id(id)?);
        let archive = wait(py, move || async move { market.export(&id).await.map_err(raise) })?;
        python(py, &archive)
    }

    fn forget(&self, py: Python<'_>, before: &Bound<'_, PyAny>) -> PyResult<u64> {
        let (market, before) = (self.0.get()?.clone(), moment(before)?);
        wait(py, move || async move { market.purge(before).await.map_err(raise) })
    }

    fn timeline(&self, py: Python<'_>, id: &str) -> PyResult<Timeline> {
        let (market, id) = (self.0.get()?.clone(), order_id(id)?);
        wait(py, move || async move { market.timeline(&id).await.map(Timeline).map_err(raise) })
    }

    #[pyo3(signature = (name, sink, *, timeout=None))]
    fn deliver(&self, py: Python<'_>, name: String, sink: Py<PyAny>, timeout: Option<f64>) -> PyResult<()> {
        let (market, timeout) = (self.0.get()?.clone(), duration(timeout)?);
        wait_telling(py, move || Sink::new(sink).run(market, name, timeout))
    }

    fn __repr__(&self) -> PyResult<String> {
        Ok(format!("<fulcrum_market.Federation: {} offers>", self.0.get()?.catalogue().len()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.0.traverse(&visit)
    }

    fn __clear__(&self) {
        self.0.clear();
    }
}

impl Federation {
    fn ask(
        &self,
        py: Python<'_>,
        blueprint: &Bound<'_, PyAny>,
        question: Question,
        timeout: Option<f64>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Answer> {
        let (market, blueprint) = (self.0.get()?.clone(), document(blueprint)?);
        let (tells, watcher) = (progress.is_some(), Watcher::new(duration(timeout)?, progress));
        compute(py, tells, move || question.ask(&market, &blueprint, watcher))
    }
}

/// Reads a blueprint and searches, on the calling thread.
pub(crate) fn composed(
    market: &Market,
    blueprint: &str,
    options: &ComposeOptions,
    watcher: Watcher,
) -> PyResult<Plan> {
    let blueprint = Blueprint::from_yaml(blueprint).map_err(raise)?;
    watcher.over(|watch| market.compose_with(&blueprint, options, watch)).map(Plan::new)
}

/// Writes an order down and drives it.
pub(crate) async fn buy(
    market: Market,
    plan: Arc<model::Plan>,
    policy: Option<String>,
    options: PurchaseOptions,
) -> PyResult<Order> {
    let policy = read_or_default(policy, Policy::from_yaml).await?;
    market.purchase_with(&plan, policy, options).await.map(Order).map_err(raise)
}

/// Writes an order down.
pub(crate) async fn accepted(
    market: Market,
    plan: Arc<model::Plan>,
    policy: Option<String>,
    options: PurchaseOptions,
) -> PyResult<Order> {
    let policy = read_or_default(policy, Policy::from_yaml).await?;
    market.accept(&plan, policy, options).await.map(Order).map_err(raise)
}

/// What the conformance suite finds at a provider.
pub(crate) async fn checked(
    market: Market,
    provider: ProviderId,
    sku: Option<SkuId>,
    settings: Option<String>,
    patience: Duration,
) -> PyResult<host::Report> {
    let settings = read_or_default(settings, parse_yaml::<Settings>).await?;
    market.check(&provider, sku.as_ref(), settings, patience).await.map(host::Report).map_err(raise)
}

/// `"start"`, `"stop"`, `{"resize": {"sku": …}}` or `{"other": {"name": …}}`.
pub(crate) fn action_text(action: &Bound<'_, PyAny>) -> PyResult<String> {
    match action.extract::<String>() {
        Ok(word) => Ok(serde_json::Value::String(word).to_string()),
        Err(_) => document(action),
    }
}

/// What a person wants of a service.
pub(crate) async fn acted(
    market: Market,
    id: OrderId,
    step: u32,
    action: String,
    by: Operator,
) -> PyResult<Order> {
    let action = read(action, parse_yaml::<Action>).await?;
    market.act(&id, step, action, by).await.map(Order).map_err(raise)
}

/// With who and why if either is told.
pub(crate) async fn cancelled(
    market: Market,
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

pub(crate) fn read_id(id: Option<&str>) -> PyResult<Option<OrderId>> {
    id.map(order_id).transpose()
}

/// Ready after a time, or never.
pub(crate) async fn ended(timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => tokio::time::sleep(timeout).await,
        None => std::future::pending().await,
    }
}

pub(crate) fn order_id(id: &str) -> PyResult<OrderId> {
    id.parse().map_err(|error| PyValueError::new_err(format!("{error}")))
}

/// A name of any kind.
pub(crate) fn read_name<T: std::str::FromStr<Err: std::fmt::Display>>(name: &str, what: &str) -> PyResult<T> {
    name.parse().map_err(|error| PyValueError::new_err(format!("{what}: {error}")))
}

pub(crate) fn options(
    gap_percent: Option<&Bound<'_, PyAny>>,
    threads: usize,
    exclude: Option<&Bound<'_, PyAny>>,
    exclude_providers: Option<&Bound<'_, PyAny>>,
) -> PyResult<ComposeOptions> {
    let threads = NonZeroUsize::new(threads)
        .ok_or_else(|| PyValueError::new_err("threads: 1 or more, such as os.cpu_count()"))?;
    let mut options = ComposeOptions { threads, ..ComposeOptions::default() };
    options.exclude = ids("exclude", exclude)?;
    options.exclude_providers = ids("exclude_providers", exclude_providers)?;
    if let Some(gap) = gap_percent {
        options.gap_percent =
            decimal(gap)?.ok_or_else(|| PyValueError::new_err("gap_percent: write a number such as 0.5"))?;
    }
    Ok(options)
}

/// Looks at a search now and then, for the clock, for whoever waits and for the host.
pub(crate) struct Watcher {
    end: Option<Instant>,
    progress: Option<Arc<Py<PyAny>>>,
    looked: Instant,
    incumbent: Option<Decimal>,
    failure: Option<PyErr>,
    /// Nobody awaits the search any more.
    pub(crate) is_left: Arc<AtomicBool>,
}

impl Watcher {
    pub(crate) fn new(timeout: Option<Duration>, progress: Option<Py<PyAny>>) -> Self {
        let now = Instant::now();
        let end = timeout.and_then(|timeout| now.checked_add(timeout));
        let progress = progress.map(Arc::new);
        Self { end, progress, looked: now, incumbent: None, failure: None, is_left: Arc::default() }
    }

    /// Looks at a search. The host gets its own failure before that of the search.
    pub(crate) fn over<T>(
        mut self,
        search: impl FnOnce(&mut dyn FnMut(&Progress) -> Signal) -> Result<T, ComposeError>,
    ) -> PyResult<T> {
        let outcome = search(&mut |now| self.look(now));
        match self.failure {
            Some(failure) => Err(failure),
            None => outcome.map_err(raise),
        }
    }

    fn look(&mut self, now: &Progress) -> Signal {
        if self.end.is_some_and(|end| Instant::now() >= end) {
            return Signal::Limit;
        }
        if is_ending() || is_cancelled() || self.is_left.load(Ordering::Relaxed) {
            return Signal::Cancel;
        }
        let Some(progress) = &self.progress else { return Signal::Continue };
        let is_news = now.incumbent != self.incumbent;
        if !is_news && self.looked.elapsed() < SIGNAL_INTERVAL {
            return Signal::Continue;
        }
        (self.looked, self.incumbent) = (Instant::now(), now.incumbent);
        let (progress, found) = (progress.clone(), (now.incumbent, now.bound, now.nodes));
        let (incumbent, bound, nodes) = found;
        let told = tell(move |py| {
            let given = (&*progress, incumbent, bound, nodes).into_pyobject(py)?;
            Ok((through(py, "looked")?, given))
        });
        match told.and_then(|goes_on| attach(|py| goes_on.extract(py))) {
            Ok(true) => Signal::Continue,
            Ok(false) => Signal::Cancel,
            Err(failure) => {
                self.failure = Some(failure);
                Signal::Cancel
            }
        }
    }
}
