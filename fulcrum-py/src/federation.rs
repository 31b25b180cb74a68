//! `Federation`: its methods wait.

use std::path::PathBuf;

use fulcrum_core::{ledger::LedgerError, model::Operator, purchase::PurchaseOptions};
use fulcrum_py_macros::{documented, guarded};
use pyo3::{
    prelude::*,
    pyclass::{PyTraverseError, PyVisit},
    types::{PyDict, PyList, PyTuple, PyType},
};

use crate::{
    access::Access,
    arguments::{Id, Seconds},
    call_thread::{compute, wait, wait_with_callbacks},
    calls::{
        SUITE_TIMEOUT, Source, accept_order, act_on_service, action_text, cancel_order, compose_plan,
        open_file, options, order_query, purchase_plan, read_name, run_conformance, settings_schema,
        try_purchase, until_timeout,
    },
    convert::{answers, document, duration, optional, python},
    error::raise,
    events::Events,
    explain::{PlanQuery, PlanQueryResult},
    history::{Sink, Timeline, timestamp},
    host, metrics,
    owned::Closable,
    progress::{ProgressMonitor, reporter},
    reconcile::{Schedule, read_repair},
    runtime::on_thread_polled,
    values::{Catalogue, Order, Plan},
};

/// Several providers as one market.
#[documented]
#[pyclass(frozen, module = "fulcrum_market")]
pub(crate) struct Federation(Closable);

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
        wait(py, || on_thread_polled(|| source.open())).map(|open| Self(Closable::new(open)))
    }

    #[pyo3(signature = (provider, *, sku=None, settings=None, timeout=None))]
    fn run_conformance(
        &self,
        py: Python<'_>,
        provider: &str,
        sku: Option<&str>,
        settings: Option<&Bound<'_, PyAny>>,
        timeout: Option<Seconds>,
    ) -> PyResult<host::Report> {
        let (provider, sku) =
            (read_name(provider, "provider")?, sku.map(|sku| read_name(sku, "sku")).transpose()?);
        let timeout = timeout.map_or(Ok(SUITE_TIMEOUT), |it| it.duration("timeout"))?;
        let (market, settings) = (self.0.get()?, optional(settings)?);
        wait(py, move || run_conformance(market, provider, sku, settings, timeout))
    }

    #[classmethod]
    fn open(_: &Bound<'_, PyType>, py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        wait(py, || on_thread_polled(|| open_file(path))).map(|open| Self(Closable::new(open)))
    }

    fn refresh(&self, py: Python<'_>) -> PyResult<Catalogue> {
        let market = self.0.get()?;
        wait(py, move || async move { Ok(Catalogue(market.refresh().await)) })
    }

    #[getter]
    fn catalogue(&self) -> PyResult<Catalogue> {
        Ok(Catalogue(self.0.get()?.catalogue()))
    }

    #[pyo3(
        signature = (**keywords),
        text_signature = "($self, *, kind=None, provider=None, sku=None, region=None, country=None, vcpu=None, memory=None, disk=None, gpu=None, attributes=None, where=None, currency=None, max_monthly=None, max_age=None, sort=None, first_per=None, offset=None, limit=None)"
    )]
    fn offers<'py>(
        &self,
        py: Python<'py>,
        keywords: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Bound::new(py, self.catalogue()?)?.call_method("offers", (), keywords)
    }

    fn metrics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.0.get()?;
        answers(py, "Metric", &metrics::read())
    }

    fn settings_schema<'py>(
        &self,
        py: Python<'py>,
        provider: &str,
        kind: &str,
    ) -> PyResult<Bound<'py, PyAny>> {
        let market = self.0.get()?;
        settings_schema(py, &market, provider, kind)
    }

    #[getter]
    fn sources<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        python(py, &self.0.get()?.catalogue().sources())
    }

    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    #[pyo3(signature = (blueprint, *, timeout=None, gap_percent=None, threads=1, exclude=None, exclude_providers=None, offers=None, progress=None))]
    fn compose(
        &self,
        py: Python<'_>,
        blueprint: &Bound<'_, PyAny>,
        timeout: Option<Seconds>,
        gap_percent: Option<&Bound<'_, PyAny>>,
        threads: usize,
        exclude: Option<&Bound<'_, PyAny>>,
        exclude_providers: Option<&Bound<'_, PyAny>>,
        offers: Option<&str>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Plan> {
        let (market, blueprint) = (self.0.get()?, document(blueprint)?);
        let options = options(gap_percent, threads, exclude, exclude_providers, offers)?;
        let progress = reporter(py, progress)?;
        let (tells, monitor) = (progress.is_some(), ProgressMonitor::new(duration(timeout)?, progress));
        compute(py, tells, move || compose_plan(&market, &blueprint, &options, monitor))
    }

    #[pyo3(signature = (blueprint, plan, *, timeout=None, progress=None))]
    fn explain(
        &self,
        py: Python<'_>,
        blueprint: &Bound<'_, PyAny>,
        plan: &Plan,
        timeout: Option<Seconds>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<PlanQueryResult> {
        self.query_plan(py, blueprint, PlanQuery::Explain(plan.0.clone()), timeout, progress)
    }

    #[pyo3(signature = (blueprint, plan, offer, *, timeout=None, progress=None))]
    fn why_not(
        &self,
        py: Python<'_>,
        blueprint: &Bound<'_, PyAny>,
        plan: &Plan,
        offer: &Bound<'_, PyAny>,
        timeout: Option<Seconds>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<PlanQueryResult> {
        self.query_plan(py, blueprint, PlanQuery::why_not(plan, offer)?, timeout, progress)
    }

    #[pyo3(signature = (blueprint, measures, *, step=None, timeout=None, progress=None))]
    fn pareto(
        &self,
        py: Python<'_>,
        blueprint: &Bound<'_, PyAny>,
        measures: Vec<String>,
        step: Option<&Bound<'_, PyAny>>,
        timeout: Option<Seconds>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<PlanQueryResult> {
        self.query_plan(py, blueprint, PlanQuery::pareto(measures, step)?, timeout, progress)
    }

    #[pyo3(signature = (plan, policy=None, *, id=None, approved=None))]
    fn purchase(
        &self,
        py: Python<'_>,
        plan: &Plan,
        policy: Option<&Bound<'_, PyAny>>,
        id: Option<Id>,
        approved: Option<String>,
    ) -> PyResult<Order> {
        let (market, plan, policy) = (self.0.get()?, plan.0.clone(), optional(policy)?);
        let options = PurchaseOptions { id: id.map(|id| id.0), approved };
        wait(py, move || purchase_plan(market, plan, policy, options))
    }

    #[pyo3(signature = (plan, policy=None))]
    fn dry_run<'py>(
        &self,
        py: Python<'py>,
        plan: &Plan,
        policy: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (market, plan, policy) = (self.0.get()?, plan.0.clone(), optional(policy)?);
        let found = wait(py, move || try_purchase(market, plan, policy))?;
        python(py, &found)
    }

    #[pyo3(signature = (plan, policy=None, *, id=None, approved=None))]
    fn accept(
        &self,
        py: Python<'_>,
        plan: &Plan,
        policy: Option<&Bound<'_, PyAny>>,
        id: Option<Id>,
        approved: Option<String>,
    ) -> PyResult<Order> {
        let (market, plan, policy) = (self.0.get()?, plan.0.clone(), optional(policy)?);
        let options = PurchaseOptions { id: id.map(|id| id.0), approved };
        wait(py, move || accept_order(market, plan, policy, options))
    }

    fn drive(&self, py: Python<'_>, id: Id) -> PyResult<Order> {
        let (market, id) = (self.0.get()?, id.0);
        wait(py, move || async move { market.drive(&id).await.map(Order).map_err(raise) })
    }

    fn resume(&self, py: Python<'_>) -> PyResult<Vec<Order>> {
        let market = self.0.get()?;
        let orders = wait(py, move || async move { market.resume().await.map_err(raise) })?;
        Ok(orders.into_iter().map(Order).collect())
    }

    #[pyo3(signature = (id, *, who=None, why=None))]
    fn cancel(&self, py: Python<'_>, id: Id, who: Option<String>, why: Option<String>) -> PyResult<Order> {
        let (market, id) = (self.0.get()?, id.0);
        wait(py, move || async move { cancel_order(market, id, who, why).await.map(Order).map_err(raise) })
    }

    #[pyo3(signature = (id, *, who, why))]
    fn retry(&self, py: Python<'_>, id: Id, who: String, why: String) -> PyResult<Order> {
        let (market, id, by) = (self.0.get()?, id.0, Operator { who, why });
        wait(py, move || async move { market.retry(&id, by).await.map(Order).map_err(raise) })
    }

    #[pyo3(signature = (id, *, who, why))]
    fn abandon(&self, py: Python<'_>, id: Id, who: String, why: String) -> PyResult<Order> {
        let (market, id, by) = (self.0.get()?, id.0, Operator { who, why });
        wait(py, move || async move { market.abandon(&id, by).await.map(Order).map_err(raise) })
    }

    #[pyo3(signature = (id, step, *, who, why, evidence))]
    fn settle(
        &self,
        py: Python<'_>,
        id: Id,
        step: u32,
        who: String,
        why: String,
        evidence: String,
    ) -> PyResult<Order> {
        let (market, id, by) = (self.0.get()?, id.0, Operator { who, why });
        wait(
            py,
            move || async move { market.settle(&id, step, by, evidence).await.map(Order).map_err(raise) },
        )
    }

    #[pyo3(signature = (id, step, action, *, who, why))]
    fn act(
        &self,
        py: Python<'_>,
        id: Id,
        step: u32,
        action: &Bound<'_, PyAny>,
        who: String,
        why: String,
    ) -> PyResult<Order> {
        let (market, id, action) = (self.0.get()?, id.0, action_text(action)?);
        wait(py, move || act_on_service(market, id, step, action, Operator { who, why }))
    }

    #[pyo3(signature = (id, step, *, who, why))]
    fn release(&self, py: Python<'_>, id: Id, step: u32, who: String, why: String) -> PyResult<Order> {
        let (market, id, by) = (self.0.get()?, id.0, Operator { who, why });
        wait(py, move || async move { market.release(&id, step, by).await.map(Order).map_err(raise) })
    }

    #[pyo3(signature = (*, concurrency=16, timeout=None))]
    fn serve(&self, py: Python<'_>, concurrency: usize, timeout: Option<Seconds>) -> PyResult<()> {
        let (market, timeout) = (self.0.get()?, duration(timeout)?);
        wait(py, move || async move {
            market.serve(concurrency, until_timeout(timeout)).await;
            Ok(())
        })
    }

    #[pyo3(signature = (*, state=None, unfinished=false, since=None, before=None, limit=100))]
    fn orders(
        &self,
        py: Python<'_>,
        state: Option<&str>,
        unfinished: bool,
        since: Option<&Bound<'_, PyAny>>,
        before: Option<Id>,
        limit: u32,
    ) -> PyResult<Vec<Order>> {
        let (market, query) = (self.0.get()?, order_query(state, unfinished, since, before, limit)?);
        let orders = wait(py, move || async move { market.orders(&query).await.map_err(raise) })?;
        Ok(orders.into_iter().map(Order).collect())
    }

    fn order(&self, py: Python<'_>, id: Id) -> PyResult<Option<Order>> {
        let (market, id) = (self.0.get()?, id.0);
        wait(py, move || async move { Ok(market.ledger().load(&id).await.map_err(raise)?.map(Order)) })
    }

    fn events<'py>(&self, py: Python<'py>, id: Id) -> PyResult<Bound<'py, PyAny>> {
        let (market, id) = (self.0.get()?, id.0);
        let events =
            wait(
                py,
                move || async move { market.ledger().events(0, Some(&id), u32::MAX).await.map_err(raise) },
            )?;
        python(py, &events)
    }

    /// The events of an order as an iterator, until the order is final.
    fn follow(slf: &Bound<'_, Self>, id: Id) -> PyResult<Events> {
        let (id, market) = (id.0, slf.get().0.get()?);
        let (ledger, order) = (market.ledger().clone(), id.clone());
        let load = move || async move { ledger.load(&order).await.map_err(raise) };
        if wait(slf.py(), load)?.is_none() {
            return Err(raise(LedgerError::NoSuchOrder(id)));
        }
        Ok(Events::new(&market, id, slf.clone().into_any().unbind()))
    }

    #[pyo3(signature = (repair=None))]
    fn reconcile<'py>(
        &self,
        py: Python<'py>,
        repair: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (market, repair) = (self.0.get()?, optional(repair)?);
        let found =
            wait(py, move || async move { market.repair(&read_repair(repair).await?).await.map_err(raise) })?;
        python(py, &found)
    }

    #[pyo3(signature = (interval, report, *, repair=None, timeout=None))]
    fn reconcile_every(
        &self,
        py: Python<'_>,
        interval: Seconds,
        report: Py<PyAny>,
        repair: Option<&Bound<'_, PyAny>>,
        timeout: Option<Seconds>,
    ) -> PyResult<()> {
        let schedule = Schedule::new(interval, repair, timeout)?;
        let market = self.0.get()?;
        wait_with_callbacks(py, move || schedule.run(market, report))
    }

    fn export<'py>(&self, py: Python<'py>, id: Id) -> PyResult<Bound<'py, PyAny>> {
        let (market, id) = (self.0.get()?, id.0);
        let archive = wait(py, move || async move { market.export(&id).await.map_err(raise) })?;
        python(py, &archive)
    }

    fn forget(&self, py: Python<'_>, before: &Bound<'_, PyAny>) -> PyResult<u64> {
        let (market, before) = (self.0.get()?, timestamp("before", before)?);
        wait(py, move || async move { market.purge(before).await.map_err(raise) })
    }

    fn access(&self, py: Python<'_>, id: Id, step: u32) -> PyResult<Access> {
        let (market, id) = (self.0.get()?, id.0);
        wait(py, move || async move { market.access(&id, step).await.map(Access).map_err(raise) })
    }

    fn timeline(&self, py: Python<'_>, id: Id) -> PyResult<Timeline> {
        let (market, id) = (self.0.get()?, id.0);
        wait(py, move || async move { market.timeline(&id).await.map(Timeline).map_err(raise) })
    }

    #[pyo3(signature = (consumer, sink, *, timeout=None))]
    fn deliver(
        &self,
        py: Python<'_>,
        consumer: String,
        sink: Py<PyAny>,
        timeout: Option<Seconds>,
    ) -> PyResult<()> {
        let (market, timeout) = (self.0.get()?, duration(timeout)?);
        wait_with_callbacks(py, move || Sink::new(sink).run(market, consumer, timeout))
    }

    fn close(&self) {
        self.0.close();
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, _exception: &Bound<'_, PyTuple>) {
        self.0.close();
    }

    fn __repr__(&self) -> PyResult<String> {
        self.0.describe("Federation")
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.0.traverse(&visit)
    }

    fn __clear__(&self) {
        self.0.clear();
    }
}

impl Federation {
    fn query_plan(
        &self,
        py: Python<'_>,
        blueprint: &Bound<'_, PyAny>,
        query: PlanQuery,
        timeout: Option<Seconds>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<PlanQueryResult> {
        let (market, blueprint) = (self.0.get()?, document(blueprint)?);
        let progress = reporter(py, progress)?;
        let (tells, monitor) = (progress.is_some(), ProgressMonitor::new(duration(timeout)?, progress));
        compute(py, tells, move || query.run(&market, &blueprint, monitor))
    }
}
