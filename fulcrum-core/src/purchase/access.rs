//! What opens a bought service.

use super::{PurchaseError, engine::Engine};
use crate::{model::OrderId, provider::Access};

impl Engine {
    /// What opens the service of a step, such as the user name and the password of a database. Nothing of it is recorded.
    ///
    /// # Errors
    /// * [`PurchaseError::NoService`]: that step has no service.
    /// * [`PurchaseError::UnknownProvider`]: its provider is not in this federation.
    /// * [`PurchaseError::Provider`]: the provider has nothing of the kind, or does not answer.
    pub async fn access(&self, order: &OrderId, step: u32) -> Result<Access, PurchaseError> {
        let loaded = self.load(order).await?;
        let step_of = loaded.steps.get(step as usize);
        let no_service = || PurchaseError::NoService { order: order.clone(), step };
        let (found, service) =
            step_of.and_then(|it| Some((it, it.state.service()?))).ok_or_else(no_service)?;
        let provider = self.providers.get(&found.provider);
        let provider = provider.ok_or_else(|| PurchaseError::UnknownProvider(found.provider.clone()))?;
        tracing::info!(%order, step, service = %service.id, "access was asked for");
        Ok(provider.access(&service.id).await?)
    }
}
