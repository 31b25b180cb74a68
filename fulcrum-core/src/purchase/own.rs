//! What a provider says of a step's service: believed only after one check.

use super::{drive::Driver, provision::protocol};
use crate::{
    model::{OwnService, Service, ServiceId, Step},
    provider::{Call, ProviderError},
};

impl Driver<'_> {
    /// A service as the step's own, or why not: see [`OwnService::check`].
    pub(super) fn own(
        &self,
        step: &Step,
        call: Call,
        about: Option<&ServiceId>,
        service: Service,
    ) -> Result<OwnService, ProviderError> {
        OwnService::check(step, self.is_unkeyed(step), about, service)
            .map_err(|foreign| protocol(step, call, &foreign.to_string()))
    }

    /// What the step's key has started.
    pub(super) async fn find_own(&self, step: &Step) -> Result<Option<OwnService>, ProviderError> {
        let found = self.provider(step).find_by_key(&step.key).await?;
        found.map(|service| self.own(step, Call::FindByKey, None, service)).transpose()
    }

    /// The step's own service as it is now; none after proof that it does not exist.
    pub(super) async fn describe_own(
        &self,
        step: &Step,
        id: &ServiceId,
    ) -> Result<Option<OwnService>, ProviderError> {
        let found = self.provider(step).describe(id).await?;
        found.map(|service| self.own(step, Call::Describe, Some(id), service)).transpose()
    }
}
