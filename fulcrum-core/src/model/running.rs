//! Running services, for a plan that changes as little as necessary.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{Blueprint, ComponentId, DocumentError, Lease, OfferId, Order, Plan, Relation, ServiceId};

/// Services that run now. A plan may keep each of them, with what is on it or with something else, or end it.
///
/// A kept service needs no stock, what was paid at its start is not paid again, and storage that was bought with it
/// stays. It can be kept only while the catalogue has its offer and the blueprint's filters allow it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Running {
    /// The services that run now, each with what is on it.
    pub services: Vec<RunningService>,
    /// What it costs, once and net, in the blueprint's currency, to move one replica: copying, testing, downtime.
    #[serde(with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub move_cost: Decimal,
    /// The same for single components, where it differs.
    #[serde(with = "costs", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<ComponentId, crate::model::AnyDecimal>")]
    pub move_costs: BTreeMap<ComponentId, Decimal>,
    /// The greatest number of replicas that move; no limit if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_moves: Option<u32>,
}

/// One service that runs, and what is on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RunningService {
    /// Its name; a plan that keeps it says so by this name.
    pub id: ServiceId,
    /// Which offer it is an instance of.
    pub offer: OfferId,
    /// How many replicas of which components are on it.
    #[schemars(with = "BTreeMap<ComponentId, u32>")]
    pub replicas: IndexMap<ComponentId, u32>,
    /// GiB of storage that were bought with it or as it.
    #[serde(default)]
    pub size_gib: u64,
    /// Whether it must stay, with all that is on it.
    #[serde(default)]
    pub pinned: bool,
    /// Of a disk or an address: the running service to which it is attached; one that is not listed here counts as gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attach: Option<ServiceId>,
}

/// Replicas of one component that move: they run now, and in the plan as many run elsewhere. Ending a replica that is
/// not needed any more is no move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveLine {
    /// Whose.
    pub component: ComponentId,
    /// How many.
    pub replicas: u32,
    /// What that costs, net, once.
    #[serde(with = "crate::model::decimal")]
    #[schemars(with = "crate::model::AnyDecimal")]
    pub once: Decimal,
}

impl Running {
    /// Whether nothing runs.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// What a plan bought, as what runs now; services are named `lease-0`, `lease-1`, … by position, or keep the name
    /// that the plan kept them by.
    pub fn of_plan(plan: &Plan) -> Self {
        let name =
            |at: usize, lease: &Lease| lease.keeps.clone().or_else(|| format!("lease-{at}").parse().ok());
        let services = plan.leases.iter().enumerate().filter_map(|(at, lease)| {
            let attach = attached_to(lease).and_then(|to| name(to, plan.leases.get(to)?));
            Some(RunningService { attach, ..RunningService::of_lease(name(at, lease)?, lease) })
        });
        Self { services: services.collect(), ..Self::default() }
    }

    /// What an order has bought and still holds; services are named `provider/service`.
    pub fn of_order(order: &Order) -> Self {
        let of_leases = order.services_of_leases();
        let services = order.steps.iter().filter_map(|step| {
            let attach = attached_to(&step.lease).and_then(|at| of_leases.get(at)?.clone());
            Some(RunningService { attach, ..RunningService::of_lease(step.named_service()?, &step.lease) })
        });
        Self { services: services.collect(), ..Self::default() }
    }

    /// What moving one replica of a component costs.
    pub fn cost_of(&self, component: &ComponentId) -> Decimal {
        self.move_costs.get(component).copied().unwrap_or(self.move_cost)
    }

    pub(super) fn check(&self, blueprint: &Blueprint) -> Result<(), DocumentError> {
        let limit = Decimal::from(1_000_000);
        let is_sane = |amount: &Decimal| (Decimal::ZERO..=limit).contains(amount);
        if !is_sane(&self.move_cost) || !self.move_costs.values().all(is_sane) {
            return Err(DocumentError::at("running.move_cost", format!("write costs from 0 to {limit}")));
        }
        if let Some(name) = self.move_costs.keys().find(|name| !blueprint.components.contains_key(*name)) {
            return Err(DocumentError::at("running.move_costs", blueprint.unknown(name)));
        }
        let mut known = BTreeSet::new();
        for (at, service) in self.services.iter().enumerate() {
            let fail = |message| Err(DocumentError::at(format!("running.services[{at}]"), message));
            if !known.insert(&service.id) {
                return fail(format!("`{}` is there twice; write each service once", service.id));
            }
            if let Some(name) = service.replicas.keys().find(|name| !blueprint.components.contains_key(*name))
            {
                return fail(format!("{}, or leave it out: then it ends", blueprint.unknown(name)));
            }
            if service.replicas.values().any(|count| *count == 0 || *count > 10_000) {
                return fail(
                    "write 1 to 10000 replicas of each component, or leave the component out".to_owned(),
                );
            }
            if service.size_gib > 1 << 40 {
                return fail(format!("write a size_gib up to {}", 1u64 << 40));
            }
        }
        Ok(())
    }
}

impl RunningService {
    /// A running service: an instance of `offer`, with nothing on it yet.
    pub fn new(id: ServiceId, offer: OfferId) -> Self {
        Self { id, offer, replicas: IndexMap::new(), size_gib: 0, pinned: false, attach: None }
    }

    fn of_lease(id: ServiceId, lease: &Lease) -> Self {
        let (offer, replicas, size_gib) = (lease.offer.clone(), lease.replicas.clone(), lease.size_gib);
        Self { id, offer, replicas, size_gib, pinned: false, attach: None }
    }
}

/// The position in its plan of the lease to which one is attached.
fn attached_to(lease: &Lease) -> Option<usize> {
    let positions = lease.partners.get(Relation::Attach.word())?;
    usize::try_from(*positions.first()?).ok()
}

/// Amounts by component, each a number or text.
mod costs {
    use std::collections::BTreeMap;

    use rust_decimal::Decimal;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::model::{Amount, ComponentId};

    pub(super) fn serialize<S: Serializer>(
        costs: &BTreeMap<ComponentId, Decimal>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(costs.iter().map(|(name, cost)| (name, Amount(*cost))))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<ComponentId, Decimal>, D::Error> {
        let costs = BTreeMap::<ComponentId, Amount>::deserialize(deserializer)?;
        Ok(costs.into_iter().map(|(name, Amount(cost))| (name, cost)).collect())
    }
}
