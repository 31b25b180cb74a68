//! The engine as an oracle: solves a blueprint that is changed in one point.

use rust_decimal::Decimal;

use crate::{
    catalogue::Catalogue,
    compose::{
        bnb::branch_and_bound::Goal,
        error::ComposeError,
        formulation::problem::Problem,
        lexicographic::best,
        objective::{ObjectiveStage, per_month},
        options::{ComposeOptions, Progress, Signal},
        plan,
        solution::Solution,
        solve::solve,
    },
    model::{Blueprint, Plan, StopReason},
};

/// Nodes of one question; beyond them the verdict is `Unknown`.
const MAX_NODES: u64 = 20_000;

/// Solves one changed blueprint after the other.
pub(super) struct Oracle<'a> {
    pub(super) catalogue: &'a Catalogue,
    pub(super) options: ComposeOptions,
    pub(super) watch: &'a mut dyn FnMut(&Progress) -> Signal,
    /// Whether the caller has stopped the explanation.
    pub(super) is_stopped: bool,
}

/// The verdict on a blueprint.
pub(super) enum Verdict {
    /// There is no plan.
    Infeasible,
    /// The optimum, or a plan as good as could be found.
    Plan(Box<PlanValue>),
    /// The search ended before a verdict.
    Unknown,
}

/// A plan and its value in the first stage of the objective.
pub(super) struct PlanValue {
    /// The objective per month, in its unit.
    pub(super) objective: Decimal,
    /// The objective over the horizon, exactly.
    pub(super) exact: i128,
    pub(super) is_proven: bool,
    /// The plan at full prices.
    pub(super) plan: Plan,
    pub(super) found: Solution,
}

impl<'a> Oracle<'a> {
    pub(super) fn new(
        catalogue: &'a Catalogue,
        options: &ComposeOptions,
        watch: &'a mut dyn FnMut(&Progress) -> Signal,
    ) -> Self {
        let options = ComposeOptions { max_nodes: options.max_nodes.min(MAX_NODES), ..options.clone() };
        Self { catalogue, options, watch, is_stopped: false }
    }

    /// Limits each further question.
    pub(super) fn limit_nodes(&mut self, max_nodes: u64) {
        self.options.max_nodes = self.options.max_nodes.min(max_nodes);
    }

    /// The best plan for a blueprint; `change` modifies the stage.
    pub(super) fn solve(
        &mut self,
        blueprint: &Blueprint,
        goal: Goal,
        change: impl FnOnce(&mut ObjectiveStage),
    ) -> Verdict {
        if self.is_stopped {
            return Verdict::Unknown;
        }
        let mut watch = observing(self.watch, &mut self.is_stopped);
        let answer = (|| -> Result<Option<PlanValue>, ComposeError> {
            let Some(mut stage) = ObjectiveStage::stages(blueprint, &self.options)?.into_iter().next() else {
                return Err(ComposeError::STOPPED);
            };
            change(&mut stage);
            let problem = Problem::new(self.catalogue, blueprint, stage, &self.options, &mut watch)?;
            let Some(found) = solve(&problem, &self.options, goal, &mut watch)? else { return Ok(None) };
            let built = plan::build(&problem, &found)?;
            let exact = built.value(&problem.stage);
            let objective = per_month(&problem.stage, blueprint.horizon_months, exact);
            let is_proven = found.stop == StopReason::Optimal;
            Ok(Some(PlanValue { objective, exact, is_proven, plan: built.plan, found }))
        })();
        match answer {
            Ok(Some(value)) => Verdict::Plan(Box::new(value)),
            Ok(None) => Verdict::Infeasible,
            Err(_) => Verdict::Unknown,
        }
    }

    pub(super) fn best(&mut self, blueprint: &Blueprint) -> Verdict {
        self.solve(blueprint, Goal::Best, |_| {})
    }

    /// The best plan for all stages, verified.
    pub(super) fn plan(&mut self, blueprint: &Blueprint) -> Result<Option<Plan>, ComposeError> {
        let mut watch = observing(self.watch, &mut self.is_stopped);
        best(self.catalogue, blueprint, &self.options, &mut watch)
    }
}

/// A watcher that remembers whether the caller has said stop.
pub(super) fn observing(
    watch: &mut dyn FnMut(&Progress) -> Signal,
    is_stopped: &mut bool,
) -> impl FnMut(&Progress) -> Signal {
    |progress| {
        let signal = watch(progress);
        *is_stopped |= signal != Signal::Continue;
        signal
    }
}
