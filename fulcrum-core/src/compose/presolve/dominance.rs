//! Machines that are no better than another one in any respect disappear.

use crate::{
    compose::{
        error::ComposeError,
        formulation::problem::{Candidate, Problem},
        id_vec::Id,
        interrupt::Looks,
    },
    model::OfferKind,
};

/// The machines that are not dominated in their class of places, as positions in `problem.candidates`, cheapest
/// first.
///
/// An offer goes if another one of the same class of places is no worse in any measure that counts, holds no less
/// on every axis, may carry every component that this one may, sells further disk on the same terms, uses no more
/// of a limited resource, and never runs out. Whatever plan uses the first can use the second for no more.
///
/// Time: O(n log n + n·k) for k survivors in a class.
///
/// # Errors
/// [`ComposeError::Stopped`].
pub(crate) fn undominated(problem: &Problem<'_>, looks: &mut Looks<'_>) -> Result<Vec<usize>, ComposeError> {
    let mut order: Vec<usize> = (0..problem.candidates.len())
        .filter(|&at| problem.catalogue.kind(problem.candidates[at].offer) == OfferKind::Machine)
        .collect();
    sweep(problem, &mut order, problem.sites.classes(), |candidate| candidate.class.index(), looks)
}

/// The same for some candidates whose places are not told apart.
pub(crate) fn skyline(
    problem: &Problem<'_>,
    mut candidates: Vec<usize>,
    looks: &mut Looks<'_>,
) -> Result<Vec<usize>, ComposeError> {
    sweep(problem, &mut candidates, 1, |_| 0, looks)
}

fn sweep(
    problem: &Problem<'_>,
    order: &mut [usize],
    groups: usize,
    group_of: impl Fn(&Candidate) -> usize,
    looks: &mut Looks<'_>,
) -> Result<Vec<usize>, ComposeError> {
    let candidates = &problem.candidates;
    let mut rivals_of = vec![Vec::<usize>::new(); groups];
    order.sort_unstable_by_key(|&at| (candidates[at].base, candidates[at].offer));
    let mut kept = Vec::new();
    for &at in order.iter() {
        let mine = &candidates[at];
        let rivals = &mut rivals_of[group_of(mine)];
        looks.after(1 + rivals.len() / 16)?;
        if !problem.is_apart(mine) && rivals.iter().any(|&rival| dominates(problem, &candidates[rival], mine))
        {
            continue;
        }
        if mine.stock().is_none() {
            rivals.push(at);
        }
        kept.push(at);
    }
    Ok(kept)
}

/// Whether `rival`, which costs no more, is at least as good as `mine` in every respect. Its stock is unlimited.
fn dominates(problem: &Problem<'_>, rival: &Candidate, mine: &Candidate) -> bool {
    let sizes = || problem.size(rival).iter().zip(problem.size(mine));
    (rival.allowed == mine.allowed || problem.allowed[rival.allowed].is_superset(&problem.allowed[mine.allowed]))
        && (rival.shape == mine.shape
            || sizes().all(|(theirs, own)| theirs >= own) && problem.disk_gib(rival) >= problem.disk_gib(mine))
        // Tiers make two different price lists incomparable; equal ones are the common case.
        && (rival.disk == mine.disk || problem.catalogue.elastic_disk(mine.offer).is_none())
        && is_no_worse(problem, rival, mine)
}

/// In what else counts besides money.
fn is_no_worse(problem: &Problem<'_>, rival: &Candidate, mine: &Candidate) -> bool {
    if rival.figures == mine.figures {
        return true;
    }
    let (theirs, own) = (problem.figures_of(rival), problem.figures_of(mine));
    theirs.carbon <= own.carbon
        && theirs.missing <= own.missing
        && theirs.uses.iter().zip(&own.uses).all(|(theirs, own)| theirs <= own)
}
