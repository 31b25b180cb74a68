//! Ownership: a service that a provider reports becomes a step's own only after one check.

use super::driver::{Driver, protocol_error};
use crate::{
    model::{OwnService, Service, ServiceId, Step},
    provider::{Call, ErrorKind, ProviderError},
};

impl Driver<'_> {
    /// A service as the step's own, or why not: see [`OwnService::check`].
    pub(super) fn verify_ownership(
        &self,
        step: &Step,
        call: Call,
        about: Option<&ServiceId>,
        service: Service,
    ) -> Result<OwnService, ProviderError> {
        OwnService::check(step, self.is_non_idempotent(step), about, service)
            .map_err(|foreign| protocol_error(step, call, &foreign.to_string()))
    }

    /// The service that the step's key has started. Nothing is proven by a look-up that does not look where it was to be.
    pub(super) async fn find_own_service(&self, step: &Step) -> Result<Option<OwnService>, ProviderError> {
        let provider = self.provider(step);
        let found = provider.find_by_key(&step.key).await?;
        if found.is_none() && !provider.capabilities().covers(step.lease.kind, &step.lease.place) {
            let why = format!(
                "{} in {} is not in the provider's configuration any more, so nobody can look for it; add it again",
                step.lease.kind, step.lease.place
            );
            return Err(ProviderError::new(
                step.provider.clone(),
                Call::FindByKey,
                ErrorKind::unavailable(why),
            ));
        }
        found.map(|service| self.verify_ownership(step, Call::FindByKey, None, service)).transpose()
    }

    /// The step's own service as it is now; none after proof that it does not exist.
    pub(super) async fn describe_own_service(
        &self,
        step: &Step,
        id: &ServiceId,
    ) -> Result<Option<OwnService>, ProviderError> {
        let found = self.provider(step).describe(id).await?;
        found.map(|service| self.verify_ownership(step, Call::Describe, Some(id), service)).transpose()
    }
}
