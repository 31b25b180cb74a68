//! Primal heuristics.

pub(crate) mod lns;
pub(crate) mod mckp;
pub(crate) mod rens;
pub(crate) mod rounds;
pub(crate) mod splitmix;
pub(crate) mod warm_start;
