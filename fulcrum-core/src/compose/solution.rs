//! What the search hands over: leases, flows and the proof.

use super::{
    formulation::ids::CompId,
    id_vec::Id,
    mip::model::{Program, Target},
    presolve::columns::{Column, Reduced},
};
use crate::model::{Statistics, StopReason};

/// Replicas of a site that send along a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sending {
    pub(crate) link: usize,
    pub(crate) site: usize,
    pub(crate) target: Target,
    pub(crate) replicas: i64,
}

/// A group of users and the site that serves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Serving {
    pub(crate) component: CompId,
    pub(crate) group: usize,
    pub(crate) site: usize,
}

/// A solution with its proof.
#[derive(Debug)]
pub(crate) struct Found {
    /// Each kind of lease and how many of it, in a fixed order.
    pub(crate) leases: Vec<(Column, i64)>,
    pub(crate) sending: Vec<Sending>,
    pub(crate) serving: Vec<Serving>,
    /// What no plan is below, over the horizon, in millionths times the aim's scale.
    pub(crate) bound: i128,
    pub(crate) stop: StopReason,
    pub(crate) statistics: Statistics,
}

impl Found {
    pub(crate) fn new(
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
