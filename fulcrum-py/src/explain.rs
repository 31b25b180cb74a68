//! Explanations of plans, for `Federation` and `AsyncFederation`.

use std::sync::Arc;

use fulcrum_core::{
    compose::{ComposeError, ComposeOptions, Frontier, Progress, Signal},
    federation::Federation,
    model::{Blueprint, Measure, OfferId, Plan},
};
use pyo3::{exceptions::PyValueError, prelude::*};
use rust_decimal::Decimal;

use crate::{
    convert::{decimal, python},
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
    Document(serde_json::Value),
    Frontier(Frontier),
}

impl PlanQuery {
    pub(crate) fn why_not(plan: &values::Plan, offer: &str) -> PyResult<Self> {
        let offer = offer.parse().map_err(|error| PyValueError::new_err(format!("offer: {error}")))?;
        Ok(Self::WhyNot(plan.0.clone(), offer))
    }

    pub(crate) fn pareto(measures: (String, String), step: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
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
        Ok(Self::Pareto([measure(&measures.0)?, measure(&measures.1)?], step))
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
        let document = |value| PlanQueryResult::Document(value);
        Ok(match self {
            Self::Explain(plan) => {
                let said = market.explain(blueprint, &plan, &options, watch)?;
                document(said.to_document())
            }
            Self::WhyNot(plan, offer) => {
                let said = market.why_not(blueprint, &plan, &offer, &options, watch)?;
                document(serde_json::to_value(&said).unwrap_or_default())
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
            Self::Document(value) => python(py, &value),
            Self::Frontier(frontier) => {
                let plans: Vec<values::Plan> = frontier.plans.into_iter().map(values::Plan::new).collect();
                Ok(plans.into_pyobject(py)?.into_any())
            }
        }
    }
}
