//! Machines that are no better than another one in any respect disappear.

use super::super::{
    id_vec::Id,
    problem::{Candidate, Problem},
};
use crate::model::{Measure, OfferKind};

/// The machines that are not dominated, as positions in `problem.candidates`, cheapest first.
///
/// An offer goes if another one of the same class of places is no worse in any measure that counts, holds no less
/// on every axis, may carry every component that this one may, sells further disk on the same terms, uses no more
/// of a limited resource, and never runs out. Whatever plan uses the first can use the second for no more.
///
/// Time: O(n log n + n·k) for k survivors in a class.
pub(crate) fn undominated(problem: &Problem<'_>) -> Vec<usize> {
    let candidates = &problem.candidates;
    let mut order: Vec<usize> = (0..candidates.len())
        .filter(|&at| problem.catalogue.kind(candidates[at].offer) == OfferKind::Machine)
        .collect();
    order.sort_by_key(|&at| (candidates[at].base, candidates[at].offer));
    let mut kept_of_class = vec![Vec::<usize>::new(); problem.sites.classes()];
    let mut kept = Vec::new();
    for at in order {
        let mine = &candidates[at];
        let rivals = &mut kept_of_class[mine.class.index()];
        if rivals.iter().any(|&rival| dominates(problem, &candidates[rival], mine)) {
            continue;
        }
        if mine.stock().is_none() {
            rivals.push(at);
        }
        kept.push(at);
    }
    kept
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
    let aim = &problem.aim;
    let is_clean =
        !aim.knows(Measure::Carbon) || problem.carbon(rival.offer, 0) <= problem.carbon(mine.offer, 0);
    let is_sovereign = !aim.knows(Measure::Sovereignty)
        || problem.sovereignty_missing(rival.offer) <= problem.sovereignty_missing(mine.offer);
    let named = |candidate: &Candidate, name: &str| {
        problem.catalogue.capacity(candidate.offer).named.get(name).copied().unwrap_or(0)
    };
    is_clean && is_sovereign && problem.limited.iter().all(|name| named(rival, name) <= named(mine, name))
}
