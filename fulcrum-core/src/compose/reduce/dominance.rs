//! Machines that are no better than another one in any respect disappear.

use super::super::problem::{Candidate, Problem};
use crate::model::{OfferKind, Price};

/// The machines that are not dominated, as positions in `problem.candidates`, cheapest first.
///
/// An offer goes if another one of the same class of places costs no more, holds no less on every axis, may
/// carry every component that this one may, sells further disk no dearer, and never runs out. Whatever plan
/// uses the first can use the second for no more.
///
/// Time: O(n log n + n·k) for k survivors in a class.
pub(crate) fn undominated(problem: &Problem<'_>) -> Vec<usize> {
    let candidates = &problem.candidates;
    let mut order: Vec<usize> = (0..candidates.len())
        .filter(|&at| problem.catalogue.kind(candidates[at].offer) == OfferKind::Machine)
        .collect();
    order.sort_by_key(|&at| (candidates[at].base, candidates[at].offer));
    let mut kept_of_class = vec![Vec::<usize>::new(); problem.classes];
    let mut kept = Vec::new();
    for at in order {
        let mine = &candidates[at];
        let rivals = &mut kept_of_class[super::super::id_vec::Id::index(mine.class)];
        if rivals.iter().any(|&rival| dominates(problem, &candidates[rival], mine)) {
            continue;
        }
        if mine.stock.is_none() {
            rivals.push(at);
        }
        kept.push(at);
    }
    kept
}

/// Whether `rival`, which costs no more, is at least as good as `mine` in every respect. Its stock is unlimited.
fn dominates(problem: &Problem<'_>, rival: &Candidate, mine: &Candidate) -> bool {
    rival.allowed.is_superset(&mine.allowed)
        && rival.capacity.iter().zip(&mine.capacity).all(|(theirs, own)| theirs >= own)
        && rival.disk_gib >= mine.disk_gib
        && is_disk_no_dearer(problem, rival, mine)
}

fn is_disk_no_dearer(problem: &Problem<'_>, rival: &Candidate, mine: &Candidate) -> bool {
    let disk = |candidate: &Candidate| -> Option<&Price> {
        problem.catalogue.elastic_disk(candidate.offer).map(|disk| &disk.price)
    };
    match (disk(rival), disk(mine)) {
        (_, None) => true,
        // Tiers make two different price lists incomparable; equal ones are the common case.
        (Some(theirs), Some(own)) => theirs == own,
        (None, Some(_)) => false,
    }
}
