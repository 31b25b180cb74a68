//! From problem to proven solution.

mod choices;
mod direct;
mod four_lists;
mod large;
mod neighbours;
mod promise;
mod start;
mod team;
mod together;
mod tree;

use rust_decimal::Decimal;

use super::{
    aim::Aim,
    error::ComposeError,
    id_vec::Id,
    looks::Looks,
    options::{ComposeOptions, Method, Progress, Signal},
    problem::{CompId, Problem, watch_for_stop},
    program::{Program, Scope, Target},
    reduce::{Column, Reduced, reduce},
};
use crate::model::{Statistics, StopReason, from_micros};

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// The best plan.
    Best,
    /// Any plan: is there one at all?
    Any,
}

/// Replicas of a site that send along a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sending {
    pub(super) link: usize,
    pub(super) site: usize,
    pub(super) target: Target,
    pub(super) replicas: i64,
}

/// A group of users and the site that serves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Serving {
    pub(super) component: CompId,
    pub(super) group: usize,
    pub(super) site: usize,
}

/// A solution with its proof.
#[derive(Debug)]
pub(super) struct Found {
    /// Each kind of lease and how many of it, in a fixed order.
    pub(super) leases: Vec<(Column, i64)>,
    pub(super) sending: Vec<Sending>,
    pub(super) serving: Vec<Serving>,
    /// What no plan is below, over the horizon, in millionths times the aim's scale.
    pub(super) bound: i128,
    pub(super) stop: StopReason,
    pub(super) statistics: Statistics,
}

impl Found {
    fn new(
        program: &Program,
        reduced: &Reduced,
        values: &[i64],
        bound: i128,
        stop: StopReason,
        statistics: Statistics,
    ) -> Self {
        let leases = reduced
            .columns
            .iter()
            .map(|(id, column)| (column, values[program.leases[id].index()]))
            .filter(|(_, count)| *count > 0)
            .map(|(column, count)| (column.clone(), count))
            .collect();
        let sending = program
            .flows
            .iter()
            .map(|flow| Sending {
                link: flow.link,
                site: flow.site,
                target: flow.target,
                replicas: values[flow.var.index()],
            })
            .filter(|sending| sending.replicas > 0)
            .collect();
        let serving = program
            .served
            .iter()
            .filter(|served| values[served.var.index()] > 0)
            .map(|served| Serving { component: served.component, group: served.group, site: served.site })
            .collect();
        Self { leases, sending, serving, bound, stop, statistics }
    }
}

/// Solves; `None` if it is proven that there is no plan.
pub(super) fn solve(
    problem: &Problem<'_>,
    options: &ComposeOptions,
    goal: Goal,
    watch: &mut dyn FnMut(&Progress) -> Signal,
) -> Result<Option<Found>, ComposeError> {
    // A plan at the cap is allowed; the tree looks for plans below the ceiling.
    let caps = problem.aim.caps.iter().filter(|(measure, _)| problem.aim.single() == Some(*measure));
    let ceiling = caps.map(|(_, max)| max + 1).min();
    let mut goes_on = || watch_for_stop(watch).is_ok();
    let mut looks = Looks::new(&mut goes_on);
    if options.method == Method::Auto
        && let Some(reduced) = reduce(problem, &mut looks)?
    {
        match Program::new(problem, &reduced, &Scope::All, None, &mut looks) {
            Ok(program) if program.size() <= MAX_DIRECT => {
                watch_for_stop(watch)?; // the last look before the search, which begins with a large table
                return direct::solve(problem, &reduced, &program, options, goal, ceiling, watch);
            }
            Ok(_) | Err(ComposeError::TooLarge(_)) => {} // too large to be written down
            Err(error) => return Err(error),
        }
    }
    large::solve(problem, options, ceiling, watch)
}

/// Entries of a program's table beyond which columns are made on demand.
const MAX_DIRECT: usize = 8 << 20;

/// Turns between the first ones of two searches that go on side by side: more than either will see.
const APART: u64 = 1 << 24;

/// A figure over the horizon as a month's in the unit of what is minimised, rounded to millionths.
pub(super) fn a_month(problem: &Problem<'_>, value: i128) -> Decimal {
    per_month(&problem.aim, problem.blueprint.horizon_months, value)
}

pub(super) fn per_month(aim: &Aim, horizon_months: u32, value: i128) -> Decimal {
    let months = i128::from(horizon_months) * i128::from(aim.scale);
    let value = value.clamp(-(1 << 100), 1 << 100);
    let micros = (2 * value + months).div_euclid(2 * months);
    from_micros(micros.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
}

/// A number that looks random and is always the same (the finaliser of SplitMix64: G. Steele, D. Lea, C. Flood,
/// OOPSLA 2014).
fn mixed(turn: u64, class: u64) -> u64 {
    let mut z = (turn << 32 ^ class).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
