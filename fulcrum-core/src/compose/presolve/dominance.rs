//! Dominance: removes machines that another machine equals or beats in every respect.

use crate::{
    compose::{
        error::ComposeError,
        formulation::problem::{Candidate, Problem},
        id_vec::Id,
        interrupt::InterruptCheck,
    },
    model::OfferKind,
};

/// The non-dominated machines of each place class, as positions in `problem.candidates`, cheapest first.
///
/// An offer is dominated if another offer of the same place class · is no worse in each measure that counts, and has
/// no less capacity in any dimension;
/// * may carry every component that this one may;
/// * sells further disk on the same terms, and uses no more of a limited resource;
/// * has unlimited stock.
///
/// A plan can then use the other offer for no more.
///
/// Time: O(n log n + n·k) for k survivors in a class.
///
/// # Errors
/// [`ComposeError::Stopped`].
pub(crate) fn undominated(
    problem: &Problem<'_>,
    interrupt: &mut InterruptCheck<'_>,
) -> Result<Vec<usize>, ComposeError> {
    let mut order: Vec<usize> = (0..problem.candidates.len())
        .filter(|&at| problem.catalogue.kind(problem.candidates[at].offer) == OfferKind::Machine)
        .collect();
    sweep(problem, &mut order, problem.places.classes(), |candidate| candidate.class.index(), interrupt)
}

/// The same for candidates whose places are equivalent.
pub(crate) fn skyline(
    problem: &Problem<'_>,
    mut candidates: Vec<usize>,
    interrupt: &mut InterruptCheck<'_>,
) -> Result<Vec<usize>, ComposeError> {
    sweep(problem, &mut candidates, 1, |_| 0, interrupt)
}

fn sweep(
    problem: &Problem<'_>,
    order: &mut [usize],
    groups: usize,
    group_of: impl Fn(&Candidate) -> usize,
    interrupt: &mut InterruptCheck<'_>,
) -> Result<Vec<usize>, ComposeError> {
    let candidates = &problem.candidates;
    let mut rivals_of = vec![Vec::<usize>::new(); groups];
    order.sort_unstable_by_key(|&at| (candidates[at].base, candidates[at].offer));
    let mut kept = Vec::new();
    for &at in order.iter() {
        let mine = &candidates[at];
        let rivals = &mut rivals_of[group_of(mine)];
        let is_better = |&rival: &usize| dominates(problem, &candidates[rival], mine);
        let better = if problem.has_own_value(mine) { None } else { rivals.iter().position(is_better) };
        interrupt.charge(1 + better.unwrap_or(rivals.len()) / 16)?;
        if let Some(better) = better {
            // Few dominate most of the others: they come to the front.
            rivals.swap(better, better / 2);
            continue;
        }
        if mine.stock().is_none() {
            rivals.push(at);
        }
        kept.push(at);
    }
    Ok(kept)
}

/// Whether `rival`, which costs no more and has unlimited stock, is at least as good as `mine` in every respect.
fn dominates(problem: &Problem<'_>, rival: &Candidate, mine: &Candidate) -> bool {
    let sizes = || problem.size(rival).iter().zip(problem.size(mine));
    (rival.allowed == mine.allowed || problem.allowed[rival.allowed].is_superset(&problem.allowed[mine.allowed]))
        && (rival.shape == mine.shape
            || sizes().all(|(theirs, own)| theirs >= own) && problem.disk_gib(rival) >= problem.disk_gib(mine))
        // Two different lists of tiers are not comparable; equal ones are the common case.
        && (rival.disk == mine.disk || problem.catalogue.elastic_disk(mine.offer).is_none())
        && is_no_worse(problem, rival, mine)
}

/// Whether no metric besides the cost is worse.
fn is_no_worse(problem: &Problem<'_>, rival: &Candidate, mine: &Candidate) -> bool {
    if rival.metrics == mine.metrics {
        return true;
    }
    let (theirs, own) = (problem.metrics_of(rival), problem.metrics_of(mine));
    theirs.carbon <= own.carbon
        && theirs.sovereignty_shortfall <= own.sovereignty_shortfall
        && theirs.uses.iter().zip(&own.uses).all(|(theirs, own)| theirs <= own)
}
