//! What the providers have, against what the ledger knows.

use futures::TryStreamExt;
use serde::Serialize;

use super::{Engine, PurchaseError};
use crate::{
    model::{OrderId, ProviderId, Service, ServiceId, StepState},
    provider::Call,
};

/// Something that one side has and the other does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where.
    pub provider: ProviderId,
    /// What.
    pub service: ServiceId,
    /// Whose.
    pub order: OrderId,
    /// What is odd about it.
    pub evidence: String,
}

/// The outcome of a comparison. Services of orders that are under way are left alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reconciliation {
    /// Exist, and no order has them: they cost money for nothing.
    pub orphans: Vec<Finding>,
    /// An order has them, and they do not exist.
    pub missing: Vec<Finding>,
}

impl Engine {
    /// Compares; changes nothing.
    ///
    /// # Errors
    /// A provider or the ledger cannot be read: nothing is concluded from half a list.
    pub async fn reconcile(&self) -> Result<Reconciliation, PurchaseError> {
        // First the lists, then the ledger: what is made in between is then known to the ledger.
        let mut services: Vec<Service> = Vec::new();
        for provider in self.providers.values().filter(|provider| provider.capabilities().can(Call::Services))
        {
            services.extend(provider.services().try_collect::<Vec<_>>().await?);
        }
        let orders = self.orders().await?;
        let mut outcome = Reconciliation::default();
        for order in orders.iter().filter(|order| order.state.is_final()) {
            for step in &order.steps {
                let own = match &step.state {
                    StepState::Committed { service } | StepState::Provisioned { service } => {
                        Some(&service.id)
                    }
                    StepState::Planned
                    | StepState::Provisioning { .. }
                    | StepState::Compensating { .. }
                    | StepState::Compensated
                    | StepState::Stuck { .. } => None,
                };
                let finding = |service: &ServiceId, evidence: String| Finding {
                    provider: step.provider.clone(),
                    service: service.clone(),
                    order: order.id.clone(),
                    evidence,
                };
                for service in services.iter().filter(|service| service.key.as_ref() == Some(&step.key)) {
                    if Some(&service.id) != own {
                        let evidence =
                            format!("carries the key {}, and its order is {}", step.key, order.state.word());
                        outcome.orphans.push(finding(&service.id, evidence));
                    }
                }
                if let Some(own) = own {
                    let provider = &self.providers.get(&step.provider);
                    let Some(provider) = provider else { continue };
                    if !services.iter().any(|service| service.id == *own)
                        && provider.describe(own).await?.is_none()
                    {
                        outcome
                            .missing
                            .push(finding(own, "neither listed nor described by the provider".to_owned()));
                    }
                }
            }
        }
        Ok(outcome)
    }
}
