//! The market, for callers that await.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use fulcrum_core::{model::Operator, purchase::PurchaseOptions};
use fulcrum_py_macros::guarded;
use pyo3::{
    prelude::*,
    pyclass::{PyTraverseError, PyVisit},
    types::PyType,
};

use crate::{
    ask::Question,
    awaited::{awaitable, awaitable_with},
    convert::{document, duration, optional, python, seconds},
    error::raise,
    events::Events,
    federation::{
        Source, Watcher, accepted, acted, action_text, buy, cancelled, checked, composed, ended, opened,
        options, order_id, read_id, read_name,
    },
    owned::{Market, Owned},
    reconcile::{Schedule, read_repair},
    retain::{Sink, Timeline, moment},
    runtime::{aside, attach, on_thread},
    values::{Catalogue, Order, Plan},
};

type Awaitable<'py> = PyResult<Bound<'py, PyAny>>;

/// Several providers as one market; its methods are coroutines.
#[pyclass(frozen, module = "fulcrum_market")]
pub(crate) struct AsyncFederation(Owned<Market>);

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
    ) -> Awaitable<'py> {
        let source = Source::new(py, config, base, providers, reach)?;
        awaitable(py, || async { aside(|| source.open()).await.map(Self) })
    }

    #[classmethod]
    fn open<'py>(_: &Bound<'py, PyType>, py: Python<'py>, path: PathBuf) -> Awaitable<'py> {
        awaitable(py, || async { aside(|| opened(path)).await.map(Self) })
    }

    fn refresh<'py>(&self, py: Python<'py>) -> Awaitable<'py> {
        let market = self.0.get()?.clone();
        awaitable(py, move || async move { Ok(Catalogue(market.refresh().await)) })
    }

    #[pyo3(signature = (provider, *, sku=None, settings=None, patience=60.0))]
    fn check<'py>(
        &self,
        py: Python<'py>,
        provider: &str,
        sku: Option<&str>,
        settings: Option<&Bound<'_, PyAny>>,
        patience: f64,
    ) -> Awaitable<'py> {
        let (provider, sku) =
            (read_name(provider, "provider")?, sku.map(|sku| read_name(sku, "sku")).transpose()?);
        let (market, patience) = (self.0.get()?.clone(), seconds("patience", patience)?);
        let settings = optional(settings)?;
        awaitable(py, move || checked(market, provider, sku, settings, patience))
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
    fn compose<'py>(
        &self,
        py: Python<'py>,
        blueprint: &Bound<'py, PyAny>,
        timeout: Option<f64>,
        gap_percent: Option<&Bound<'py, PyAny>>,
        threads: usize,
        exclude: Option<&Bound<'py, PyAny>>,
        exclude_providers: Option<&Bound<'py, PyAny>>,
        progress: Option<Py<PyAny>>,
    ) -> Awaitable<'py> {
        let (market, blueprint) = (self.0.get()?.clone(), document(blueprint)?);
        let options = options(gap_percent, threads, exclude, exclude_providers)?;
        let watcher = Watcher::new(duration(timeout)?, progress);
        awaitable(py, || searched(watcher, move |watcher| composed(&market, &blueprint, &options, watcher)))
    }

    #[pyo3(signature = (blueprint, plan, *, timeout=None, progress=None))]
    fn explain<'py>(
        &self,
        py: Python<'py>,
        blueprint: &Bound<'py, PyAny>,
        plan: &Plan,
        timeout: Option<f64>,
        progress: Option<Py<PyAny>>,
    ) -> Awaitable<'py> {
        self.ask(py, blueprint, Question::Explain(plan.0.clone()), timeout, progress)
    }

    #[pyo3(signature = (blueprint, plan, offer, *, timeout=None, progress=None))]
    fn why_not<'py>(
        &self,
        py: Python<'py>,
        blueprint: &Bound<'py, PyAny>,
        plan: &Plan,
        offer: &str,
        timeout: Option<f64>,
        progress: Option<Py<PyAny>>,
    ) -> Awaitable<'py> {
        self.ask(py, blueprint, Question::why_not(plan, offer)?, timeout, progress)
    }

    #[pyo3(signature = (blueprint, measures, *, step=None, timeout=None, progress=None))]
    fn pareto<'py>(
        &self,
        py: Python<'py>,
        blueprint: &Bound<'py, PyAny>,
        measures: (String, String),
        step: Option<&Bound<'py, PyAny>>,
        timeout: Option<f64>,
        progress: Option<Py<PyAny>>,
    ) -> Awaitable<'py> {
        self.ask(py, blueprint, Question::pareto(measures, step)?, timeout, progress)
    }

    #[pyo3(signature = (plan, policy=None, *, id=None, approved=None))]
    fn purchase<'py>(
        &self,
        py: Python<'py>,
        plan: &Plan,
        policy: Option<&Bound<'py, PyAny>>,
        id: Option<&str>,
        approved: Option<String>,
    ) -> Awaitable<'py> {
        let (market, plan) = (self.0.get()?.clone(), plan.0.clone());
        let (policy, options) = (optional(policy)?, PurchaseOptions { id: read_id(id)?, approved });
        awaitable(py, move || buy(market, plan, policy, options))
    }

    #[pyo3(signature = (plan, policy=None, *, id=None, approved=None))]
    fn accept<'py>(
        &self,
        py: Python<'py>,
        plan: &Plan,
        policy: Option<&Bound<'py, PyAny>>,
        id: Option<&str>,
        approved: Option<String>,
    ) -> Awaitable<'py> {
        let (market, plan) = (self.0.get()?.clone(), plan.0.clone());
        let (policy, options) = (optional(policy)?, PurchaseOptions { id: read_id(id)?, approved });
        awaitable(py, move || accepted(market, plan, policy, options))
    }

    fn drive<'py>(&self, py: Python<'py>, id: &str) -> Awaitable<'py> {
        let (market, id) = (self.0.get()?.clone(), order_id(id)?);
        awaitable(py, move || async move { market.drive(&id).await.map(Order).map_err(raise) })
    }

    fn resume<'py>(&self, py: Python<'py>) -> Awaitable<'py> {
        let market = self.0.get()?.clone();
        awaitable(py, move || async move {
            let orders = market.resume().await.map_err(raise)?;
            Ok(orders.into_iter().map(Order).collect::<Vec<_>>())
        })
    }

    #[pyo3(signature = (id, *, who=None, why=None))]
    fn cancel<'py>(
        &self,
        py: Python<'py>,
        id: &str,
        who: Option<String>,
        why: Option<String>,
    ) -> Awaitable<'py> {
        let (market, id) = (self.0.get()?.clone(), order_id(id)?);
        awaitable(py, move || async move { cancelled(market, id, who, why).await.map(Order).map_err(raise) })
    }

    #[pyo3(signature = (id, *, who, why))]
    fn retry<'py>(&self, py: Python<'py>, id: &str, who: String, why: String) -> Awaitable<'py> {
        let (market, id) = (self.0.get()?.clone(), order_id(id)?);
        awaitable(py, move || async move {
            market.retry(&id, Operator { who, why }).await.map(Order).map_err(raise)
        })
    }

    #[pyo3(signature = (id, *, who, why))]
    fn abandon<'py>(&self, py: Python<'py>, id: &str, who: String, why: String) -> Awaitable<'py> {
        let (market, id) = (self.0.get()?.clone(), order_id(id)?);
        awaitable(py, move || async move {
            market.abandon(&id, Operator { who, why }).await.map(Order).map_err(raise)
        })
    }

    #[pyo3(signature = (id, step, *, who, why, evidence))]
    fn settle<'py>(
        &self,
        py: Python<'py>,
        id: &str,
        step: u32,
        who: String,
        why: String,
        evidence: String,
    ) -> Awaitable<'py> {
        let (market, id, by) = (self.0.get()?.clone(), order_id(id)?, Operator { who, why });
        awaitable(py, move || async move {
            market.settle(&id, step, by, evidence).await.map(Order).map_err(raise)
        })
    }

    #[pyo3(signature = (id, step, action, *, who, why))]
    fn act<'py>(
        &self,
        py: Python<'py>,
        id: &str,
        step: u32,
        action: &Bound<'py, PyAny>,
        who: String,
        why: String,
    ) -> Awaitable<'py> {
        let (market, id, action) = (self.0.get()?.clone(), order_id(id)?, action_text(action)?);
        awaitable(py, move || acted(market, id, step, action, Operator { who, why }))
    }

    #[pyo3(signature = (id, step, *, who, why))]
    fn release<'py>(&self, py: Python<'py>, id: &str, step: u32, who: String, why: String) -> Awaitable<'py> {
        let (market, id, by) = (self.0.get()?.clone(), order_id(id)?, Operator { who, why });
        awaitable(py, move || async move { market.release(&id, step, by).await.map(Order).map_err(raise) })
    }

    #[pyo3(signature = (*, at_once=16, timeout=None))]
    fn serve<'py>(&self, py: Python<'py>, at_once: usize, timeout: Option<f64>) -> Awaitable<'py> {
        let (market, timeout) = (self.0.get()?.clone(), duration(timeout)?);
        awaitable(py, move || async move {
            market.serve(at_once, ended(timeout)).await;
            Ok(())
        })
    }

    fn order<'py>(&self, py: Python<'py>, id: &str) -> Awaitable<'py> {
        let (market, id) = (self.0.get()?.clone(), order_id(id)?);
        awaitable(py, move || async move { Ok(market.ledger().load(&id).await.map_err(raise)?.map(Order)) })
    }

    fn events<'py>(&self, py: Python<'py>, id: &str) -> Awaitable<'py> {
        let (market, id) = (self.0.get()?.clone(), order_id(id)?);
        awaitable(py, move || async move {
            let events = market.ledger().events(0, Some(&id), u32::MAX).await.map_err(raise)?;
            attach(|py| python(py, &events).map(Bound::unbind))
        })
    }

    /// The events of an order as an iterator, until the order is final.
    fn follow(slf: &Bound<'_, Self>, id: &str) -> PyResult<Events> {
        Ok(Events::new(slf.get().0.get()?, order_id(id)?, slf.clone().into_any().unbind()))
    }

    #[pyo3(signature = (repair=None))]
    fn reconcile<'py>(&self, py: Python<'py>, repair: Option<&Bound<'py, PyAny>>) -> Awaitable<'py> {
        let (market, repair) = (self.0.get()?.clone(), optional(repair)?);
        awaitable(py, move || async move {
            let found = market.repair(&read_repair(repair).await?).await.map_err(raise)?;
            attach(|py| python(py, &found).map(Bound::unbind))
        })
    }

    #[pyo3(signature = (interval, report, *, repair=None, timeout=None))]
    fn reconcile_every<'py>(
        &self,
        py: Python<'py>,
        interval: f64,
        report: Py<PyAny>,
        repair: Option<&Bound<'py, PyAny>>,
        timeout: Option<f64>,
    ) -> Awaitable<'py> {
        let (market, schedule) = (self.0.get()?.clone(), Schedule::new(interval, repair, timeout)?);
        // The host's function may call the library and wait for it.
        awaitable(py, || aside(|| schedule.run(market, report)))
    }

    fn export<'py>(&self, py: Python<'py>, id: &str) -> Awaitable<'py> {
        let (market, id) = (self.0.get()?.clone(), order_id(id)?);
        awaitable(py, move || async move {
            let archive = market.export(&id).await.map_err(raise)?;
            attach(|py| python(py, &archive).map(Bound::unbind))
        })
    }

    fn forget<'py>(&self, py: Python<'py>, before: &Bound<'py, PyAny>) -> Awaitable<'py> {
        let (market, before) = (self.0.get()?.clone(), moment(before)?);
        awaitable(py, move || async move { market.purge(before).await.map_err(raise) })
    }

    fn timeline<'py>(&self, py: Python<'py>, id: &str) -> Awaitable<'py> {
        let (market, id) = (self.0.get()?.clone(), order_id(id)?);
        awaitable(py, move || async move { market.timeline(&id).await.map(Timeline).map_err(raise) })
    }

    #[pyo3(signature = (name, sink, *, timeout=None))]
    fn deliver<'py>(
        &self,
        py: Python<'py>,
        name: String,
        sink: Py<PyAny>,
        timeout: Option<f64>,
    ) -> Awaitable<'py> {
        let (market, (sink, sinks)) = (self.0.get()?.clone(), Sink::awaited(py, sink)?);
        let timeout = duration(timeout)?;
        awaitable_with(py, move || sink.run(market, name, timeout), Some(sinks))
    }

    fn __repr__(&self) -> PyResult<String> {
        Ok(format!("<fulcrum_market.AsyncFederation: {} offers>", self.0.get()?.catalogue().len()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.0.traverse(&visit)
    }

    fn __clear__(&self) {
        self.0.clear();
    }
}

impl AsyncFederation {
    fn ask<'py>(
        &self,
        py: Python<'py>,
        blueprint: &Bound<'py, PyAny>,
        question: Question,
        timeout: Option<f64>,
        progress: Option<Py<PyAny>>,
    ) -> Awaitable<'py> {
        let (market, blueprint) = (self.0.get()?.clone(), document(blueprint)?);
        let watcher = Watcher::new(duration(timeout)?, progress);
        awaitable(py, || searched(watcher, move |watcher| question.ask(&market, &blueprint, watcher)))
    }
}

/// A search on a thread of its own; dropping the future ends it.
async fn searched<T: Send + 'static>(
    watcher: Watcher,
    search: impl FnOnce(Watcher) -> PyResult<T> + Send + 'static,
) -> PyResult<T> {
    /// Tells the search when nobody waits any more.
    struct Leave(Arc<AtomicBool>);
    impl Drop for Leave {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let leave = Leave(watcher.is_left.clone());
    let outcome = on_thread(move || search(watcher)).await;
    drop(leave);
    outcome
}
