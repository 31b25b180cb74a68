//! Asks the engine about a blueprint that is changed in one point.

use rust_decimal::Decimal;

use crate::{
    catalogue::Catalogue,
    compose::{
        bnb::branch_and_bound::Goal,
        error::ComposeError,
        formulation::problem::Problem,
        lexicographic::best,
        objective::{Aim, per_month},
        options::{ComposeOptions, Progress, Signal},
        plan,
        solution::Found,
        solve::solve,
    },
    model::{Blueprint, Plan, StopReason},
};

/// Nodes that one question may take: then the answer is "not proven", not a hang.
const MAX_NODES: u64 = 20_000;

/// Somebody who asks the engine one question after the other.
pub(super) struct Asker<'a> {
    pub(super) catalogue: &'a Catalogue,
    pub(super) options: ComposeOptions,
    pub(super) watch: &'a mut dyn FnMut(&Progress) -> Signal,
    /// The caller has had enough.
    pub(super) is_stopped: bool,
}

/// What the engine says.
pub(super) enum Answer {
    /// There is no plan.
    Nothing,
    /// The best plan, or one as good as could be found.
    Plan(Box<Value>),
    /// Not to be said in time.
    Unknown,
}

/// How good a plan is, in the first thing that is minimised.
pub(super) struct Value {
    /// A month's, in its unit.
    pub(super) objective: Decimal,
    /// Over the horizon, as the engine reckons.
    pub(super) exact: i128,
    pub(super) is_proven: bool,
    /// Its leases at full prices.
    pub(super) plan: Plan,
    pub(super) found: Found,
}

impl<'a> Asker<'a> {
    pub(super) fn new(
        catalogue: &'a Catalogue,
        options: &ComposeOptions,
        watch: &'a mut dyn FnMut(&Progress) -> Signal,
    ) -> Self {
        let options = ComposeOptions { max_nodes: options.max_nodes.min(MAX_NODES), ..options.clone() };
        Self { catalogue, options, watch, is_stopped: false }
    }

    /// The best plan for a blueprint whose aim may be changed.
    pub(super) fn ask(&mut self, blueprint: &Blueprint, goal: Goal, change: impl FnOnce(&mut Aim)) -> Answer {
        if self.is_stopped {
            return Answer::Unknown;
        }
        let mut watch = noting(self.watch, &mut self.is_stopped);
        let answer = (|| -> Result<Option<Value>, ComposeError> {
            let Some(mut aim) = Aim::stages(blueprint, &self.options)?.into_iter().next() else {
                return Err(ComposeError::Stopped);
            };
            change(&mut aim);
            let problem = Problem::new(self.catalogue, blueprint, aim, &self.options, &mut watch)?;
            let Some(found) = solve(&problem, &self.options, goal, &mut watch)? else { return Ok(None) };
            let built = plan::build(&problem, &found)?;
            let exact = built.value(&problem.aim);
            let objective = per_month(&problem.aim, blueprint.horizon_months, exact);
            let is_proven = found.stop == StopReason::Optimal;
            Ok(Some(Value { objective, exact, is_proven, plan: built.plan, found }))
        })();
        match answer {
            Ok(Some(value)) => Answer::Plan(Box::new(value)),
            Ok(None) => Answer::Nothing,
            Err(_) => Answer::Unknown,
        }
    }

    pub(super) fn best(&mut self, blueprint: &Blueprint) -> Answer {
        self.ask(blueprint, Goal::Best, |_| {})
    }

    /// The best plan, verified, in all that is minimised.
    pub(super) fn plan(&mut self, blueprint: &Blueprint) -> Result<Option<Plan>, ComposeError> {
        let mut watch = noting(self.watch, &mut self.is_stopped);
        best(self.catalogue, blueprint, &self.options, &mut watch)
    }
}

/// A watcher that remembers whether the caller has had enough.
pub(super) fn noting(
    watch: &mut dyn FnMut(&Progress) -> Signal,
    is_stopped: &mut bool,
) -> impl FnMut(&Progress) -> Signal {
    |progress| {
        let signal = watch(progress);
        *is_stopped |= signal != Signal::Continue;
        signal
    }
}
