//! The market, for callers that wait.

use std::{
    num::NonZeroUsize,
    path::PathBuf,
    time::{Duration, Instant},
};

use fulcrum_core::{
    compose::{ComposeError, ComposeOptions, Progress, Signal},
    federation,
    ledger::LedgerError,
    model::{self, Action, Blueprint, OfferId, Operator, OrderId, Policy, ProviderId, Settings, parse_yaml},
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
    ask::{Answer, Question},
    convert::{document, duration, python},
    error::raise,
    events::Events,
    host,
    owned::{Market, Owned},
    reconcile::{Schedule, read_repair},
    retain::{Sink, Timeline, moment},
    runtime::{SIGNAL_INTERVAL, aside, attach, detached, is_ending, wait},
    values::{Catalogue, Order, Plan},
};

/// What a document may read and reach; without a word what lies below the folder.
pub(crate) fn within(folder: Option<PathBuf>, reach: Option<&Bound<'_, PyAny>>) -> PyResult<Base> {
    let reach = reach.map(document).transpose()?.unwrap_or_default();
    Base::from_json(folder.unwrap_or_default(), &reach).map_err(raise)
}

/// Several providers as one market.
#[pyclass(frozen, module = "fulcrum")]
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
        let config = federation::FederationConfig::from_yaml(&document(config)?).map_err(raise)?;
        let (own, written) = host::providers(py, providers)?;
        let base = within(base, reach)?;
        let opened = async move { config.open_within(&base, own).await.map_err(raise) };
        let market = wait(py, aside(opened))??;
        Ok(Self(Market::new(market, written)))
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
        let patience = duration(Some(patience))?.unwrap_or_default();
        let settings = read_settings(settings)?;
        let check = self.0.get()?.check(&provider, sku.as_ref(), settings, patience);
        wait(py, check)?.map(host::Report).map_err(raise)
    }

    #[classmethod]
    fn open(_: &Bound<'_, PyType>, py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let opened = async move { federation::Federation::open(&path).await.map_err(raise) };
        let market = wait(py, aside(opened))??;
        Ok(Self(Market::new(market, Vec::new())))
    }

    fn refresh(&self, py: Python<'_>) -> PyResult<Catalogue> {
        wait(py, self.0.get()?.refresh()).map(Catalogue)
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
        exclude: Option<Vec<String>>,
        exclude_providers: Option<Vec<String>>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Plan> {
        let blueprint = read_blueprint(blueprint)?;
        let options = options(gap_percent, threads, exclude, exclude_providers)?;
        let mut watcher = Watcher::new(duration(timeout)?, progress);
        let market = self.0.get()?;
        let outcome =
            detached(py, || market.compose_with(&blueprint, &options, &mut |now| watcher.look(now)))?;
        watcher.answer(outcome).map(Plan)
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
        let (policy, id) = (read_policy(policy)?, read_id(id)?);
        let options = PurchaseOptions { id, approved };
        wait(py, buy(self.0.get()?.clone(), plan.0.clone(), policy, options))?.map(Order).map_err(raise)
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
        let (policy, id) = (read_policy(policy)?, read_id(id)?);
        let options = PurchaseOptions { id, approved };
        wait(py, self.0.get()?.accept(&plan.0, policy, options))?.map(Order).map_err(raise)
    }

    fn drive(&self, py: Python<'_>, id: &str) -> PyResult<Order> {
        wait(py, self.0.get()?.drive(&order_id(id)?))?.map(Order).map_err(raise)
    }

    fn resume(&self, py: Python<'_>) -> PyResult<Vec<Order>> {
        let orders = wait(py, self.0.get()?.resume())?.map_err(raise)?;
        Ok(orders.into_iter().map(Order).collect())
    }

    #[pyo3(signature = (id, *, who=None, why=None))]
    fn cancel(&self, py: Python<'_>, id: &str, who: Option<String>, why: Option<String>) -> PyResult<Order> {
        wait(py, cancelled(self.0.get()?.clone(), order_id(id)?, who, why))?.map(Order).map_err(raise)
    }

    #[pyo3(signature = (id, *, who, why))]
    fn retry(&self, py: Python<'_>, id: &str, who: String, why: String) -> PyResult<Order> {
        wait(py, self.0.get()?.retry(&order_id(id)?, Operator { who, why }))?.map(Order).map_err(raise)
    }

    #[pyo3(signature = (id, *, who, why))]
    fn abandon(&self, py: Python<'_>, id: &str, who: String, why: String) -> PyResult<Order> {
        wait(py, self.0.get()?.abandon(&order_id(id)?, Operator { who, why }))?.map(Order).map_err(raise)
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
        let (id, by) = (order_id(id)?, Operator { who, why });
        wait(py, self.0.get()?.settle(&id, step, by, evidence))?.map(Order).map_err(raise)
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
        let (id, action, by) = (order_id(id)?, read_action(action)?, Operator { who, why });
        wait(py, self.0.get()?.act(&id, step, action, by))?.map(Order).map_err(raise)
    }

    #[pyo3(signature = (id, step, *, who, why))]
    fn release(&self, py: Python<'_>, id: &str, step: u32, who: String, why: String) -> PyResult<Order> {
        let (id, by) = (order_id(id)?, Operator { who, why });
        wait(py, self.0.get()?.release(&id, step, by))?.map(Order).map_err(raise)
    }

    #[pyo3(signature = (*, at_once=16, timeout=None))]
    fn serve(&self, py: Python<'_>, at_once: usize, timeout: Option<f64>) -> PyResult<()> {
        let timeout = duration(timeout)?;
        wait(py, self.0.get()?.serve(at_once, ended(timeout)))
    }

    fn order(&self, py: Python<'_>, id: &str) -> PyResult<Option<Order>> {
        let order = wait(py, self.0.get()?.ledger().load(&order_id(id)?))?.map_err(raise)?;
        Ok(order.map(Order))
    }

    fn events<'py>(&self, py: Python<'py>, id: &str) -> PyResult<Bound<'py, PyAny>> {
        let id = order_id(id)?;
        let events = wait(py, self.0.get()?.ledger().events(0, Some(&id), u32::MAX))?.map_err(raise)?;
        python(py, &events)
    }

    /// The events of an order as an iterator, until the order is final.
    fn follow(slf: &Bound<'_, Self>, id: &str) -> PyResult<Events> {
        let (py, id, market) = (slf.py(), order_id(id)?, slf.get().0.get()?);
        if wait(py, market.ledger().load(&id))?.map_err(raise)?.is_none() {
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
        let policy = read_repair(repair)?;
        python(py, &wait(py, self.0.get()?.repair(&policy))?.map_err(raise)?)
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
        wait(py, schedule.run(self.0.get()?.clone(), report))?
    }

    fn export<'py>(&self, py: Python<'py>, id: &str) -> PyResult<Bound<'py, PyAny>> {
        python(py, &wait(py, self.0.get()?.export(&order_id(id)?))?.map_err(raise)?)
    }

    fn forget(&self, py: Python<'_>, before: &Bound<'_, PyAny>) -> PyResult<u64> {
        wait(py, self.0.get()?.forget(moment(before)?))?.map_err(raise)
    }

    fn timeline(&self, py: Python<'_>, id: &str) -> PyResult<Timeline> {
        wait(py, self.0.get()?.timeline(&order_id(id)?))?.map(Timeline).map_err(raise)
    }

    #[pyo3(signature = (name, sink, *, timeout=None))]
    fn deliver(&self, py: Python<'_>, name: String, sink: Py<PyAny>, timeout: Option<f64>) -> PyResult<()> {
        wait(py, Sink::new(sink).run(self.0.get()?.clone(), name, duration(timeout)?))?
    }

    fn __repr__(&self) -> PyResult<String> {
        Ok(format!("<fulcrum.Federation: {} offers>", self.0.get()?.catalogue().len()))
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
        let blueprint = read_blueprint(blueprint)?;
        let options = ComposeOptions::default();
        let mut watcher = Watcher::new(duration(timeout)?, progress);
        let market = self.0.get()?;
        let outcome =
            detached(py, || question.ask(market, &blueprint, &options, &mut |now| watcher.look(now)))?;
        watcher.answer(outcome)
    }
}

/// Writes an order down and drives it.
pub(crate) async fn buy(
    market: Market,
    plan: model::Plan,
    policy: Policy,
    options: PurchaseOptions,
) -> Result<model::Order, PurchaseError> {
    market.purchase_with(&plan, policy, options).await
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

pub(crate) fn read_blueprint(blueprint: &Bound<'_, PyAny>) -> PyResult<Blueprint> {
    Blueprint::from_yaml(&document(blueprint)?).map_err(raise)
}

/// `"start"`, `"stop"`, `{"resize": {"sku": …}}` or `{"other": {"name": …}}`.
pub(crate) fn read_action(action: &Bound<'_, PyAny>) -> PyResult<Action> {
    let text = match action.extract::<String>() {
        Ok(word) => serde_json::Value::String(word).to_string(),
        Err(_) => document(action)?,
    };
    parse_yaml(&text).map_err(raise)
}

pub(crate) fn read_policy(policy: Option<&Bound<'_, PyAny>>) -> PyResult<Policy> {
    policy.map_or(Ok(Policy::default()), |policy| Policy::from_yaml(&document(policy)?).map_err(raise))
}

/// Settings as a dict.
pub(crate) fn read_settings(settings: Option<&Bound<'_, PyAny>>) -> PyResult<Settings> {
    settings.map_or_else(|| Ok(Settings::new()), |settings| parse_yaml(&document(settings)?).map_err(raise))
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
    exclude: Option<Vec<String>>,
    exclude_providers: Option<Vec<String>>,
) -> PyResult<ComposeOptions> {
    let threads = NonZeroUsize::new(threads)
        .ok_or_else(|| PyValueError::new_err("threads: 1 or more, such as os.cpu_count()"))?;
    let mut options = ComposeOptions { threads, ..ComposeOptions::default() };
    if let Some(gap) = gap_percent {
        options.gap_percent = gap
            .str()?
            .extract::<String>()?
            .parse()
            .map_err(|_| PyValueError::new_err("gap_percent: write a number such as 0.5"))?;
    }
    for id in exclude.unwrap_or_default() {
        let id: OfferId = id.parse().map_err(|error| PyValueError::new_err(format!("exclude: {error}")))?;
        options.exclude.insert(id);
    }
    for id in exclude_providers.unwrap_or_default() {
        let id: ProviderId =
            id.parse().map_err(|error| PyValueError::new_err(format!("exclude_providers: {error}")))?;
        options.exclude_providers.insert(id);
    }
    Ok(options)
}

/// Looks at a search now and then, for the clock, for Ctrl-C and for the host.
pub(crate) struct Watcher {
    end: Option<Instant>,
    progress: Option<Py<PyAny>>,
    looked: Instant,
    incumbent: Option<Decimal>,
    failure: Option<PyErr>,
}

impl Watcher {
    pub(crate) fn new(timeout: Option<Duration>, progress: Option<Py<PyAny>>) -> Self {
        let now = Instant::now();
        let end = timeout.and_then(|timeout| now.checked_add(timeout));
        Self { end, progress, looked: now, incumbent: None, failure: None }
    }

    /// What the host gets: its own failure before that of the search.
    pub(crate) fn answer<T>(self, outcome: Result<T, ComposeError>) -> PyResult<T> {
        match self.failure {
            Some(failure) => Err(failure),
            None => outcome.map_err(raise),
        }
    }

    pub(crate) fn look(&mut self, now: &Progress) -> Signal {
        if self.end.is_some_and(|end| Instant::now() >= end) {
            return Signal::Limit;
        }
        let is_news = now.incumbent != self.incumbent;
        if !is_news && self.looked.elapsed() < SIGNAL_INTERVAL {
            return Signal::Continue;
        }
        (self.looked, self.incumbent) = (Instant::now(), now.incumbent);
        if is_ending() {
            return Signal::Cancel;
        }
        let told = attach(|py| {
            py.check_signals()?;
            let Some(progress) = &self.progress else { return Ok(true) };
            let answer = progress.call1(py, (now.incumbent, now.bound, now.nodes))?;
            // A callback that returns nothing goes on.
            Ok(answer.is_none(py) || answer.is_truthy(py)?)
        });
        match told {
            Ok(true) => Signal::Continue,
            Ok(false) => Signal::Cancel,
            Err(failure) => {
                self.failure = Some(failure);
                Signal::Cancel
            }
        }
    }
}
