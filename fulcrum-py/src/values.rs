//! Catalogue, plan and order as Python objects. They do not change.

use std::{collections::BTreeSet, sync::Arc};

use fulcrum_core::{
    catalogue,
    model::{self, OfferId, OrderState, Policy, parse_yaml},
    purchase,
};
use fulcrum_py_macros::guarded;
use pyo3::{prelude::*, types::PyType};
use rust_decimal::Decimal;
use serde::Serialize;

use crate::{
    call_thread::compute,
    convert::{json, loaded, optional, python, written},
    error::raise,
};

/// A snapshot of all offers.
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

    #[getter]
    fn leases<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        python(py, &self.0.leases)
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

    fn __repr__(&self) -> String {
        let plan = &self.0;
        let proof = if plan.is_optimal() { "optimal" } else { "not proven" };
        format!(
            "<fulcrum_market.Plan {:?}: {} leases, {} {} a month, {proof}>",
            plan.blueprint,
            plan.leases.len(),
            plan.monthly,
            plan.currency.code()
        )
    }

    /// A table for notebooks.
    fn _repr_html_(&self) -> String {
        let cell = |text: &str| {
            let safe = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            format!("<td>{safe}</td>")
        };
        let rows: String = self
            .0
            .leases
            .iter()
            .map(|lease| {
                let carries: Vec<_> =
                    lease.replicas.iter().map(|(name, count)| format!("{count} × {name}")).collect();
                let lines: Vec<_> = lease.lines.iter().map(|line| line.text.as_str()).collect();
                let cells = [
                    lease.place.to_string(),
                    lease.sku.to_string(),
                    carries.join(", "),
                    lines.join("; "),
                    model::checked_sum(lease.lines.iter().map(|line| line.monthly))
                        .unwrap_or(Decimal::MAX)
                        .to_string(),
                ];
                format!("<tr>{}</tr>", cells.iter().map(|text| cell(text)).collect::<String>())
            })
            .collect();
        let head = "<tr><th>place</th><th>product</th><th>carries</th><th>price</th><th>a month</th></tr>";
        format!(
            "<table>{head}{rows}</table><p>{} {} a month, net; bound {}, gap {} %</p>",
            self.0.objective,
            self.0.currency.code(),
            self.0.bound,
            self.0.gap_percent
        )
    }
}

/// The durable purchase of a plan.
#[pyclass(frozen, module = "fulcrum_market")]
pub(crate) struct Order(pub(crate) model::Order);

#[guarded]
impl Order {
    #[getter]
    fn id(&self) -> &str {
        self.0.id.as_str()
    }

    #[getter]
    fn state(&self) -> &'static str {
        self.0.state.word()
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
    fn services<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let services: Vec<_> = self.0.steps.iter().filter_map(|step| step.state.service()).collect();
        python(py, &services)
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

    fn __repr__(&self) -> String {
        format!("<fulcrum_market.Order {} {}>", self.0.id, self.0.state.word())
    }
}
