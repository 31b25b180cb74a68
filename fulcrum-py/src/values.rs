//! Catalogue, plan and order as Python objects. They do not change.

use std::{collections::BTreeSet, sync::Arc};

use fulcrum_core::{
    catalogue,
    model::{self, OfferId, OrderState, Policy, parse_yaml},
    purchase,
};
use fulcrum_py_macros::{documented, guarded};
use pyo3::{
    PyTypeInfo,
    prelude::*,
    types::{PyDict, PyList, PyTuple, PyType},
};
use rust_decimal::Decimal;
use serde::Serialize;

use crate::{
    call_thread::compute,
    convert::{answer, answers, json, loaded, optional, python, written},
    error::raise,
    offers::{Keywords, table},
};

/// A snapshot of all offers.
#[documented]
#[pyclass(frozen, module = "fulcrum_market")]
pub(crate) struct Catalogue(pub(crate) Arc<catalogue::Catalogue>);

/// An offer with its id, as queries answer.
#[derive(Serialize)]
struct Found {
    id: OfferId,
    #[serde(flatten)]
    offer: model::Offer,
}

#[guarded]
impl Catalogue {
    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn __repr__(&self) -> String {
        format!("<fulcrum_market.Catalogue of {} offers, {}>", self.0.len(), self.0.taken_at())
    }

    #[getter]
    fn digest(&self) -> &str {
        self.0.digest()
    }

    #[getter]
    fn sources<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        python(py, &self.0.sources())
    }

    #[getter]
    fn quarantined<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        python(py, &self.0.quarantined())
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
        let none = PyDict::new(py);
        let query = Keywords::new(keywords.unwrap_or(&none))?.query()?;
        let catalogue = self.0.clone();
        let table = compute(py, false, move || table(&catalogue, &query))?;
        answer(py, "Offers", &loaded(py, &table)?)
    }

    #[pyo3(signature = (query=None))]
    fn query<'py>(&self, py: Python<'py>, query: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
        let (catalogue, query) = (self.0.clone(), optional(query)?);
        let found = compute(py, false, move || {
            let query = query.map(|query| parse_yaml(&query).map_err(raise)).transpose()?.unwrap_or_default();
            let offers = catalogue.query(&query).into_iter().map(|ix| catalogue.offer(ix));
            written(&offers.map(|offer| Found { id: offer.id(), offer }).collect::<Vec<_>>())
        })?;
        loaded(py, &found)
    }
}

/// Which offers, where, how many, and what they cost.
#[documented]
#[pyclass(frozen, eq, module = "fulcrum_market")]
#[derive(PartialEq)]
pub(crate) struct Plan(pub(crate) Arc<model::Plan>);

impl Plan {
    pub(crate) fn new(plan: model::Plan) -> Self {
        Self(Arc::new(plan))
    }
}

#[guarded]
impl Plan {
    #[classmethod]
    fn from_json(_: &Bound<'_, PyType>, py: Python<'_>, text: String) -> PyResult<Self> {
        compute(py, false, move || model::Plan::from_json(&text).map(Self::new).map_err(raise))
    }

    /// The digest of this plan and a policy, to be approved and then named to ``purchase``.
    #[pyo3(signature = (policy=None))]
    fn approval_digest(&self, py: Python<'_>, policy: Option<&Bound<'_, PyAny>>) -> PyResult<String> {
        let (plan, policy) = (self.0.clone(), optional(policy)?);
        compute(py, false, move || {
            let policy = policy.map(|policy| Policy::from_yaml(&policy).map_err(raise)).transpose()?;
            Ok(plan.approval_digest(&policy.unwrap_or_default()))
        })
    }

    fn to_json(&self, py: Python<'_>) -> PyResult<String> {
        json(py, &self.0)
    }

    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        python(py, &self.0)
    }

    /// The blueprint's name.
    #[getter]
    fn blueprint(&self) -> &str {
        self.0.blueprint.as_str()
    }

    #[getter]
    fn leases<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        answers(py, "Lease", &self.0.leases)
    }

    #[getter]
    fn traffic<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        answers(py, "TrafficLine", &self.0.traffic)
    }

    #[getter]
    fn fees<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        answers(py, "FeeLine", &self.0.fees)
    }

    #[getter]
    fn moves<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        answers(py, "MoveLine", &self.0.moves)
    }

    #[getter]
    fn measures<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let measures = PyDict::new(py);
        for (measure, amount) in &self.0.measures.0 {
            measures.set_item(word(py, "Measure", measure.word())?, amount.0)?;
        }
        Ok(measures)
    }

    #[getter]
    fn objective_measure<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.0.objective_measure().map(|measure| word(py, "Measure", measure.word())).transpose()
    }

    #[getter]
    fn stop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let stop = serde_json::to_value(self.0.stop).unwrap_or_default();
        word(py, "StopReason", stop.as_str().unwrap_or_default())
    }

    #[getter]
    fn horizon_months(&self) -> Option<u32> {
        self.0.horizon_months
    }

    #[getter]
    fn total(&self) -> Option<Decimal> {
        self.0.total()
    }

    #[getter]
    fn currency(&self) -> &'static str {
        self.0.currency.code()
    }

    #[getter]
    fn monthly<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.monthly.into_pyobject(py)
    }

    #[getter]
    fn once<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.once.into_pyobject(py)
    }

    #[getter]
    fn objective<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.objective.into_pyobject(py)
    }

    #[getter]
    fn bound<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.bound.into_pyobject(py)
    }

    #[getter]
    fn gap_percent<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.gap_percent.into_pyobject(py)
    }

    #[getter]
    fn is_optimal(&self) -> bool {
        self.0.is_optimal()
    }

    fn __len__(&self) -> usize {
        self.0.leases.len()
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.leases(py)?.try_iter()?.into_any())
    }

    fn __getitem__<'py>(&self, py: Python<'py>, at: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.leases(py)?.as_any().get_item(at)
    }

    fn __hash__(&self) -> isize {
        hash(&model::digest_of(&*self.0))
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        pickled(slf.get_type(), slf.get().to_json(slf.py())?)
    }

    fn __repr__(&self) -> String {
        let plan = &self.0;
        let proof = if plan.is_optimal() { "optimal" } else { "not proven" };
        let leases = plan.leases.len();
        format!(
            "<fulcrum_market.Plan {:?}: {leases} {}, {} {} a month, {proof}>",
            plan.blueprint,
            if leases == 1 { "lease" } else { "leases" },
            plan.monthly,
            plan.currency.code()
        )
    }

    fn __str__(slf: &Bound<'_, Self>) -> PyResult<String> {
        table_of(slf, "_plan_table", "text")
    }

    fn _repr_html_(slf: &Bound<'_, Self>) -> PyResult<String> {
        table_of(slf, "_plan_table", "html")
    }
}

/// A member of an enum of `fulcrum_market.words`; text if it has none of the name.
fn word<'py>(py: Python<'py>, words: &str, word: &str) -> PyResult<Bound<'py, PyAny>> {
    let words = py.import("fulcrum_market.words")?.getattr(words)?;
    py.import("fulcrum_market._record")?.getattr("_word")?.call1((words, word))
}

/// Of what a digest says.
fn hash(digest: &str) -> isize {
    let head = digest.get(..15).unwrap_or_default();
    isize::from_str_radix(head, 16).unwrap_or_default()
}

/// How pickle makes it again: by `from_json` of its class.
fn pickled<'py>(class: Bound<'py, PyType>, text: String) -> PyResult<Bound<'py, PyTuple>> {
    let py = class.py();
    (class.getattr("from_json")?, (text,)).into_pyobject(py)
}

/// A table of `fulcrum_market.answers`, as text or HTML.
fn table_of<T: PyTypeInfo>(object: &Bound<'_, T>, table: &str, form: &str) -> PyResult<String> {
    let table = object.py().import("fulcrum_market.answers")?.call_method1(table, (object,))?;
    table.call_method0(form)?.extract()
}

/// The durable purchase of a plan.
#[documented]
#[pyclass(frozen, eq, module = "fulcrum_market")]
#[derive(PartialEq)]
pub(crate) struct Order(pub(crate) model::Order);

#[guarded]
impl Order {
    #[classmethod]
    fn from_json(_: &Bound<'_, PyType>, py: Python<'_>, text: String) -> PyResult<Self> {
        compute(py, false, move || model::parse_json(&text).map(Self).map_err(raise))
    }

    #[getter]
    fn id(&self) -> &str {
        self.0.id.as_str()
    }

    #[getter]
    fn state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        word(py, "OrderState", self.0.state.word())
    }

    #[getter]
    fn created<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import("fulcrum_market._record")?.call_method1("moment", (self.0.created.to_string(),))
    }

    #[getter]
    fn is_committed(&self) -> bool {
        self.0.state == OrderState::Committed
    }

    #[getter]
    fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }

    #[getter]
    fn plan(&self) -> Plan {
        Plan::new(self.0.plan.clone())
    }

    /// What a month costs at the prices that were last checked; None if that cannot be said.
    #[getter]
    fn monthly(&self) -> Option<Decimal> {
        self.0.monthly()
    }

    /// What was paid at the start, likewise.
    #[getter]
    fn once(&self) -> Option<Decimal> {
        self.0.once()
    }

    #[getter]
    fn services<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let services: Vec<_> = self.0.steps.iter().filter_map(|step| step.state.service()).collect();
        answers(py, "Service", &services)
    }

    #[getter]
    fn sold_out(&self) -> BTreeSet<String> {
        purchase::sold_out(&self.0).iter().map(ToString::to_string).collect()
    }

    fn to_json(&self, py: Python<'_>) -> PyResult<String> {
        json(py, &self.0)
    }

    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        python(py, &self.0)
    }

    fn __hash__(&self) -> isize {
        hash(&model::digest_of(&self.0))
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        pickled(slf.get_type(), slf.get().to_json(slf.py())?)
    }

    fn __repr__(&self) -> String {
        format!("<fulcrum_market.Order {} {}>", self.0.id, self.0.state.word())
    }

    fn __str__(slf: &Bound<'_, Self>) -> PyResult<String> {
        table_of(slf, "_order_table", "text")
    }

    fn _repr_html_(slf: &Bound<'_, Self>) -> PyResult<String> {
        table_of(slf, "_order_table", "html")
    }
}
