//! Explanations of plans, for `Federation` and `AsyncFederation`.

use std::sync::Arc;

use fulcrum_core::{
    compose::{ComposeError, ComposeOptions, Frontier, Progress, Rejection, Signal},
    federation::Federation,
    model::{Blueprint, Measure, OfferId, Plan},
};
use pyo3::{exceptions::PyValueError, prelude::*};
use rust_decimal::Decimal;

use crate::{
    convert::{answer, decimal, named, python},
    error::raise,
    progress::ProgressMonitor,
    values,
};

/// What is asked.
pub(crate) enum PlanQuery {
    /// Why a plan is as it is.
    Explain(Arc<Plan>),
    /// Why an offer is not in a plan.
    WhyNot(Arc<Plan>, OfferId),
    /// All trade-offs between two measures, at least so far apart.
    Pareto([Measure; 2], Decimal),
}

/// What Python gets.
pub(crate) enum PlanQueryResult {
    Explanation(serde_json::Value),
    Rejection(Rejection),
    Frontier(Frontier),
}

impl PlanQuery {
    pub(crate) fn why_not(plan: &values::Plan, offer: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self::WhyNot(plan.0.clone(), named("offer", offer)?))
    }

    pub(crate) fn pareto(measures: Vec<String>, step: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let measure = |word: &str| {
            let known = Measure::ALL.iter().find(|(_, name)| *name == word);
            known.map(|(measure, _)| *measure).ok_or_else(|| {
                let words: Vec<_> = Measure::ALL.iter().map(|(_, name)| *name).collect();
                PyValueError::new_err(format!("{word:?} is not a measure; write one of {}", words.join(", ")))
            })
        };
        let step = match step {
            None => Decimal::ZERO,
            Some(step) => {
                decimal(step)?.ok_or_else(|| PyValueError::new_err("step: write a number such as 0.5"))?
            }
        };
        let [one, other] = measures.as_slice() else {
            let message = "measures: write two, such as (\"cost\", \"latency\")";
            return Err(PyValueError::new_err(message));
        };
        Ok(Self::Pareto([measure(one)?, measure(other)?], step))
    }

    /// Reads the blueprint and works, on the calling thread.
    pub(crate) fn run(
        self,
        market: &Federation,
        blueprint: &str,
        monitor: ProgressMonitor,
    ) -> PyResult<PlanQueryResult> {
        let blueprint = Blueprint::from_yaml(blueprint).map_err(raise)?;
        monitor.run(|watch| self.answer(market, &blueprint, watch))
    }

    fn answer(
        self,
        market: &Federation,
        blueprint: &Blueprint,
        watch: &mut dyn FnMut(&Progress) -> Signal,
    ) -> Result<PlanQueryResult, ComposeError> {
        let options = ComposeOptions::default();
        Ok(match self {
            Self::Explain(plan) => {
                let said = market.explain(blueprint, &plan, &options, watch)?;
                PlanQueryResult::Explanation(said.to_document())
            }
            Self::WhyNot(plan, offer) => {
                PlanQueryResult::Rejection(market.why_not(blueprint, &plan, &offer, &options, watch)?)
            }
            Self::Pareto(measures, step) => {
                PlanQueryResult::Frontier(market.pareto(blueprint, measures, step, &options, watch)?)
            }
        })
    }
}

impl<'py> IntoPyObject<'py> for PlanQueryResult {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::Explanation(value) => answer(py, "Explanation", &python(py, &value)?),
            Self::Rejection(value) => answer(py, "Rejection", &python(py, &value)?),
            Self::Frontier(frontier) => {
                let plans: Vec<values::Plan> = frontier.plans.into_iter().map(values::Plan::new).collect();
                let measures = frontier.measures.map(|measure| measure.word());
                let found = (plans, (measures[0], measures[1]), frontier.is_complete);
                answer(py, "Frontier", found.into_pyobject(py)?.as_any())
            }
        }
    }
}
