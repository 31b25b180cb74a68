//! A solution of the integer program in the blueprint's terms: leases, flows, and the proof.

use super::{
    formulation::ids::ComponentIx,
    id_vec::Id,
    mip::model::{Mip, Target},
    presolve::columns::{Column, ColumnSet},
};
use crate::model::{Statistics, StopReason};

/// Replicas of a site that send along a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LinkFlow {
    pub(crate) link: usize,
    pub(crate) site: usize,
    pub(crate) target: Target,
    pub(crate) replicas: i64,
}

/// A group of users and the site that serves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UserAssignment {
    pub(crate) component: ComponentIx,
    pub(crate) group: usize,
    pub(crate) site: usize,
}

/// A solution with its proof.
#[derive(Debug)]
pub(crate) struct Solution {
    /// Each column and its number of leases, in a fixed order.
    pub(crate) leases: Vec<(Column, i64)>,
    pub(crate) link_flows: Vec<LinkFlow>,
    pub(crate) user_assignments: Vec<UserAssignment>,
    /// A lower bound on every plan, over the horizon, in millionths times the stage's scale.
    pub(crate) bound: i128,
    pub(crate) stop: StopReason,
    pub(crate) statistics: Statistics,
}

impl Solution {
    pub(crate) fn new(
        mip: &Mip,
        column_set: &ColumnSet,
        values: &[i64],
        bound: i128,
        stop: StopReason,
        statistics: Statistics,
    ) -> Self {
        let leases = column_set
            .columns
            .iter()
            .map(|(id, column)| (column, values[mip.leases[id].index()]))
            .filter(|(_, count)| *count > 0)
            .map(|(column, count)| (column.clone(), count))
            .collect();
        let link_flows = mip
            .flows
            .iter()
            .map(|flow| LinkFlow {
                link: flow.link,
                site: flow.site,
                target: flow.target,
                replicas: values[flow.var.index()],
            })
            .filter(|link_flows| link_flows.replicas > 0)
            .collect();
        let user_assignments = mip
            .served
            .iter()
            .filter(|served| values[served.var.index()] > 0)
            .map(|served| UserAssignment {
                component: served.component,
                group: served.group,
                site: served.site,
            })
            .collect();
        Self { leases, link_flows, user_assignments, bound, stop, statistics }
    }
}
