//! Primal heuristics: they find plans, and prove nothing.
//!
//! * `warm_start`: the leases of an earlier plan.
//! * `rens`: relaxation enforced neighbourhood search, for a first plan.
//! * `lns`: large neighbourhood search around the incumbent.
//! * `mckp`: meet in the middle, for programs that are multiple-choice knapsacks.
//! * `rounds`: rounds of the last two on several threads.
//! * `splitmix`: deterministic random numbers.

pub(crate) mod lns;
pub(crate) mod mckp;
pub(crate) mod rens;
pub(crate) mod rounds;
pub(crate) mod splitmix;
pub(crate) mod warm_start;
