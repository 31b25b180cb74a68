//! `AsyncFederation`: its methods are coroutines.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use fulcrum_core::{model::Operator, purchase::PurchaseOptions};
use fulcrum_py_macros::{documented, guarded};
use pyo3::{
    prelude::*,
    pyclass::{PyTraverseError, PyVisit},
    types::{PyDict, PyList, PyTuple, PyType},
};

use crate::{
    access::Access,
    arguments::{Id, Seconds},
    calls::{
        SUITE_TIMEOUT, Source, accept_order, act_on_service, action_text, cancel_order, compose_plan,
        open_file, options, order_query, purchase_plan, read_name, run_conformance, settings_schema,
        try_purchase, until_timeout,
    },
    convert::{answers, document, duration, optional, python},
    coroutine::{coroutine, coroutine_with_sinks},
    error::raise,
    events::Events,
    explain::PlanQuery,
    history::{Sink, Timeline, timestamp},
    metrics,
    owned::Closable,
    progress::{ProgressMonitor, reporter},
    reconcile::{Schedule, read_repair},
    runtime::{attach, on_thread, on_thread_polled},
    values::{Catalogue, Order, Plan},
};

type Coroutine<'py> = PyResult<Bound<'py, PyAny>>;

/// Several providers as one market; its methods are coroutines.
#[documented]
#[pyclass(frozen, module = "fulcrum_market")]
pub(crate) struct AsyncFederation(Closable);

#[guarded]
impl AsyncFederation {
    #[classmethod]
    #[pyo3(signature = (config, *, base=None, providers=None, reach=None))]
    fn create<'py>(
        _: &Bound<'py, PyType>,
        py: Python<'py>,
        config: &Bound<'py, PyAny>,
        base: Option<PathBuf>,
        providers: Option<Vec<Py<PyAny>>>,
        reach: Option<&Bound<'_, PyAny>>,
    ) -> Coroutine<'py> {
        let source = Source::new(py, config, base, providers, reach)?;
        coroutine(py, || async {
            on_thread_polled(|| source.open()).await.map(|open| Self(Closable::new(open)))
        })
    }

    #[classmethod]
    fn open<'py>(_: &Bound<'py, PyType>, py: Python<'py>, path: PathBuf) -> Coroutine<'py> {
        coroutine(py, || async {
            on_thread_polled(|| open_file(path)).await.map(|open| Self(Closable::new(open)))
        })
    }

    fn refresh<'py>(&self, py: Python<'py>) -> Coroutine<'py> {
        let market = self.0.get()?;
        coroutine(py, move || async move { Ok(Catalogue(market.refresh().await)) })
    }

    #[pyo3(signature = (provider, *, sku=None, settings=None, timeout=None))]
    fn run_conformance<'py>(
        &self,
        py: Python<'py>,
        provider: &str,
        sku: Option<&str>,
        settings: Option<&Bound<'_, PyAny>>,
        timeout: Option<Seconds>,
    ) -> Coroutine<'py> {
        let (provider, sku) =
            (read_name(provider, "provider")?, sku.map(|sku| read_name(sku, "sku")).transpose()?);
        let (market, timeout) =
            (self.0.get()?, timeout.map_or(Ok(SUITE_TIMEOUT), |it| it.duration("timeout"))?);
        let settings = optional(settings)?;
        coroutine(py, move || run_conformance(market, provider, sku, settings, timeout))
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
    fn compose<'py>(
        &self,
        py: Python<'py>,
        blueprint: &Bound<'py, PyAny>,
        timeout: Option<Seconds>,
        gap_percent: Option<&Bound<'py, PyAny>>,
        threads: usize,
        exclude: Option<&Bound<'py, PyAny>>,
        exclude_providers: Option<&Bound<'py, PyAny>>,
        offers: Option<&str>,
        progress: Option<Py<PyAny>>,
    ) -> Coroutine<'py> {
        let (market, blueprint) = (self.0.get()?, document(blueprint)?);
        let options = options(gap_percent, threads, exclude, exclude_providers, offers)?;
        let monitor = ProgressMonitor::new(duration(timeout)?, reporter(py, progress)?);
        coroutine(py, || {
            run_cancellable(monitor, move |monitor| compose_plan(&market, &blueprint, &options, monitor))
        })
    }

    #[pyo3(signature = (blueprint, plan, *, timeout=None, progress=None))]
    fn explain<'py>(
        &self,
        py: Python<'py>,
        blueprint: &Bound<'py, PyAny>,
        plan: &Plan,
        timeout: Option<Seconds>,
        progress: Option<Py<PyAny>>,
    ) -> Coroutine<'py> {
        self.query_plan(py, blueprint, PlanQuery::Explain(plan.0.clone()), timeout, progress)
    }

    #[pyo3(signature = (blueprint, plan, offer, *, timeout=None, progress=None))]
    fn why_not<'py>(
        &self,
        py: Python<'py>,
        blueprint: &Bound<'py, PyAny>,
        plan: &Plan,
        offer: &Bound<'_, PyAny>,
        timeout: Option<Seconds>,
        progress: Option<Py<PyAny>>,
    ) -> Coroutine<'py> {
        self.query_plan(py, blueprint, PlanQuery::why_not(plan, offer)?, timeout, progress)
    }

    #[pyo3(signature = (blueprint, measures, *, step=None, timeout=None, progress=None))]
    fn pareto<'py>(
        &self,
        py: Python<'py>,
        blueprint: &Bound<'py, PyAny>,
        measures: Vec<String>,
        step: Option<&Bound<'py, PyAny>>,
        timeout: Option<Seconds>,
        progress: Option<Py<PyAny>>,
    ) -> Coroutine<'py> {
        self.query_plan(py, blueprint, PlanQuery::pareto(measures, step)?, timeout, progress)
    }

    #[pyo3(signature = (plan, policy=None, *, id=None, approved=None))]
    fn purchase<'py>(
        &self,
        py: Python<'py>,
        plan: &Plan,
        policy: Option<&Bound<'py, PyAny>>,
        id: Option<Id>,
        approved: Option<String>,
    ) -> Coroutine<'py> {
        let (market, plan) = (self.0.get()?, plan.0.clone());
        let (policy, options) = (optional(policy)?, PurchaseOptions { id: id.map(|id| id.0), approved });
        coroutine(py, move || purchase_plan(market, plan, policy, options))
    }

    #[pyo3(signature = (plan, policy=None))]
    fn dry_run<'py>(
        &self,
        py: Python<'py>,
        plan: &Plan,
        policy: Option<&Bound<'py, PyAny>>,
    ) -> Coroutine<'py> {
        let (market, plan, policy) = (self.0.get()?, plan.0.clone(), optional(policy)?);
        coroutine(py, move || async move {
            let found = try_purchase(market, plan, policy).await?;
            attach(|py| python(py, &found).map(Bound::unbind))
        })
    }

    #[pyo3(signature = (plan, policy=None, *, id=None, approved=None))]
    fn accept<'py>(
        &self,
        py: Python<'py>,
        plan: &Plan,
        policy: Option<&Bound<'py, PyAny>>,
        id: Option<Id>,
        approved: Option<String>,
    ) -> Coroutine<'py> {
        let (market, plan) = (self.0.get()?, plan.0.clone());
        let (policy, options) = (optional(policy)?, PurchaseOptions { id: id.map(|id| id.0), approved });
        coroutine(py, move || accept_order(market, plan, policy, options))
    }

    fn drive<'py>(&self, py: Python<'py>, id: Id) -> Coroutine<'py> {
        let (market, id) = (self.0.get()?, id.0);
        coroutine(py, move || async move { market.drive(&id).await.map(Order).map_err(raise) })
    }

    fn resume<'py>(&self, py: Python<'py>) -> Coroutine<'py> {
        let market = self.0.get()?;
        coroutine(py, move || async move {
            let orders = market.resume().await.map_err(raise)?;
            Ok(orders.into_iter().map(Order).collect::<Vec<_>>())
        })
    }

    #[pyo3(signature = (id, *, who=None, why=None))]
    fn cancel<'py>(
        &self,
        py: Python<'py>,
        id: Id,
        who: Option<String>,
        why: Option<String>,
    ) -> Coroutine<'py> {
        let (market, id) = (self.0.get()?, id.0);
        coroutine(
            py,
            move || async move { cancel_order(market, id, who, why).await.map(Order).map_err(raise) },
        )
    }

    #[pyo3(signature = (id, *, who, why))]
    fn retry<'py>(&self, py: Python<'py>, id: Id, who: String, why: String) -> Coroutine<'py> {
        let (market, id) = (self.0.get()?, id.0);
        coroutine(py, move || async move {
            market.retry(&id, Operator { who, why }).await.map(Order).map_err(raise)
        })
    }

    #[pyo3(signature = (id, *, who, why))]
    fn abandon<'py>(&self, py: Python<'py>, id: Id, who: String, why: String) -> Coroutine<'py> {
        let (market, id) = (self.0.get()?, id.0);
        coroutine(py, move || async move {
            market.abandon(&id, Operator { who, why }).await.map(Order).map_err(raise)
        })
    }

    #[pyo3(signature = (id, step, *, who, why, evidence))]
    fn settle<'py>(
        &self,
        py: Python<'py>,
        id: Id,
        step: u32,
        who: String,
        why: String,
        evidence: String,
    ) -> Coroutine<'py> {
        let (market, id, by) = (self.0.get()?, id.0, Operator { who, why });
        coroutine(py, move || async move {
            market.settle(&id, step, by, evidence).await.map(Order).map_err(raise)
        })
    }

    #[pyo3(signature = (id, step, action, *, who, why))]
    fn act<'py>(
        &self,
        py: Python<'py>,
        id: Id,
        step: u32,
        action: &Bound<'py, PyAny>,
        who: String,
        why: String,
    ) -> Coroutine<'py> {
        let (market, id, action) = (self.0.get()?, id.0, action_text(action)?);
        coroutine(py, move || act_on_service(market, id, step, action, Operator { who, why }))
    }

    #[pyo3(signature = (id, step, *, who, why))]
    fn release<'py>(&self, py: Python<'py>, id: Id, step: u32, who: String, why: String) -> Coroutine<'py> {
        let (market, id, by) = (self.0.get()?, id.0, Operator { who, why });
        coroutine(py, move || async move { market.release(&id, step, by).await.map(Order).map_err(raise) })
    }

    #[pyo3(signature = (*, concurrency=16, timeout=None))]
    fn serve<'py>(&self, py: Python<'py>, concurrency: usize, timeout: Option<Seconds>) -> Coroutine<'py> {
        let (market, timeout) = (self.0.get()?, duration(timeout)?);
        coroutine(py, move || async move {
            market.serve(concurrency, until_timeout(timeout)).await;
            Ok(())
        })
    }

    #[pyo3(signature = (*, state=None, unfinished=false, since=None, before=None, limit=100))]
    fn orders<'py>(
        &self,
        py: Python<'py>,
        state: Option<&str>,
        unfinished: bool,
        since: Option<&Bound<'_, PyAny>>,
        before: Option<Id>,
        limit: u32,
    ) -> Coroutine<'py> {
        let (market, query) = (self.0.get()?, order_query(state, unfinished, since, before, limit)?);
        coroutine(py, move || async move {
            let orders = market.orders(&query).await.map_err(raise)?;
            Ok(orders.into_iter().map(Order).collect::<Vec<_>>())
        })
    }

    fn order<'py>(&self, py: Python<'py>, id: Id) -> Coroutine<'py> {
        let (market, id) = (self.0.get()?, id.0);
        coroutine(py, move || async move { Ok(market.ledger().load(&id).await.map_err(raise)?.map(Order)) })
    }

    fn events<'py>(&self, py: Python<'py>, id: Id) -> Coroutine<'py> {
        let (market, id) = (self.0.get()?, id.0);
        coroutine(py, move || async move {
            let events = market.ledger().events(0, Some(&id), u32::MAX).await.map_err(raise)?;
            attach(|py| python(py, &events).map(Bound::unbind))
        })
    }

    /// The events of an order as an iterator, until the order is final.
    fn follow(slf: &Bound<'_, Self>, id: Id) -> PyResult<Events> {
        let market = slf.get().0.get()?;
        Ok(Events::new(&market, id.0, slf.clone().into_any().unbind()))
    }

    #[pyo3(signature = (repair=None))]
    fn reconcile<'py>(&self, py: Python<'py>, repair: Option<&Bound<'py, PyAny>>) -> Coroutine<'py> {
        let (market, repair) = (self.0.get()?, optional(repair)?);
        coroutine(py, move || async move {
            let found = market.repair(&read_repair(repair).await?).await.map_err(raise)?;
            attach(|py| python(py, &found).map(Bound::unbind))
        })
    }

    #[pyo3(signature = (interval, report, *, repair=None, timeout=None))]
    fn reconcile_every<'py>(
        &self,
        py: Python<'py>,
        interval: Seconds,
        report: Py<PyAny>,
        repair: Option<&Bound<'py, PyAny>>,
        timeout: Option<Seconds>,
    ) -> Coroutine<'py> {
        let (market, schedule) = (self.0.get()?, Schedule::new(interval, repair, timeout)?);
        // The host's function may call the library and wait for it.
        coroutine(py, || on_thread_polled(|| schedule.run(market, report)))
    }

    fn export<'py>(&self, py: Python<'py>, id: Id) -> Coroutine<'py> {
        let (market, id) = (self.0.get()?, id.0);
        coroutine(py, move || async move {
            let archive = market.export(&id).await.map_err(raise)?;
            attach(|py| python(py, &archive).map(Bound::unbind))
        })
    }

    fn forget<'py>(&self, py: Python<'py>, before: &Bound<'py, PyAny>) -> Coroutine<'py> {
        let (market, before) = (self.0.get()?, timestamp("before", before)?);
        coroutine(py, move || async move { market.purge(before).await.map_err(raise) })
    }

    fn access<'py>(&self, py: Python<'py>, id: Id, step: u32) -> Coroutine<'py> {
        let (market, id) = (self.0.get()?, id.0);
        coroutine(py, move || async move { market.access(&id, step).await.map(Access).map_err(raise) })
    }

    fn timeline<'py>(&self, py: Python<'py>, id: Id) -> Coroutine<'py> {
        let (market, id) = (self.0.get()?, id.0);
        coroutine(py, move || async move { market.timeline(&id).await.map(Timeline).map_err(raise) })
    }

    #[pyo3(signature = (consumer, sink, *, timeout=None))]
    fn deliver<'py>(
        &self,
        py: Python<'py>,
        consumer: String,
        sink: Py<PyAny>,
        timeout: Option<Seconds>,
    ) -> Coroutine<'py> {
        let (market, (sink, sinks)) = (self.0.get()?, Sink::awaited(py, sink)?);
        let timeout = duration(timeout)?;
        coroutine_with_sinks(py, move || sink.run(market, consumer, timeout), Some(sinks))
    }

    fn close<'py>(slf: &Bound<'py, Self>) -> Coroutine<'py> {
        let market = slf.clone().unbind();
        coroutine(slf.py(), move || async move {
            market.get().0.close();
            Ok(())
        })
    }

    fn __aenter__<'py>(slf: &Bound<'py, Self>) -> Coroutine<'py> {
        let market = slf.clone().unbind();
        coroutine(slf.py(), move || async move { Ok(market) })
    }

    #[pyo3(signature = (*_exception))]
    fn __aexit__<'py>(slf: &Bound<'py, Self>, _exception: &Bound<'py, PyTuple>) -> Coroutine<'py> {
        Self::close(slf)
    }

    fn __repr__(&self) -> PyResult<String> {
        self.0.describe("AsyncFederation")
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.0.traverse(&visit)
    }

    fn __clear__(&self) {
        self.0.clear();
    }
}

impl AsyncFederation {
    fn query_plan<'py>(
        &self,
        py: Python<'py>,
        blueprint: &Bound<'py, PyAny>,
        query: PlanQuery,
        timeout: Option<Seconds>,
        progress: Option<Py<PyAny>>,
    ) -> Coroutine<'py> {
        let (market, blueprint) = (self.0.get()?, document(blueprint)?);
        let monitor = ProgressMonitor::new(duration(timeout)?, reporter(py, progress)?);
        coroutine(py, || run_cancellable(monitor, move |monitor| query.run(&market, &blueprint, monitor)))
    }
}

/// A search on a thread of its own; dropping the future ends it.
async fn run_cancellable<T: Send + 'static>(
    monitor: ProgressMonitor,
    search: impl FnOnce(ProgressMonitor) -> PyResult<T> + Send + 'static,
) -> PyResult<T> {
    /// Tells the search when nobody waits any more.
    struct Leave(Arc<AtomicBool>);
    impl Drop for Leave {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let leave = Leave(monitor.is_left.clone());
    let outcome = on_thread(move || search(monitor)).await;
    drop(leave);
    outcome
}
