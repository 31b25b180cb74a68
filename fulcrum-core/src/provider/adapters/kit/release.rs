//! Releases: the parts end in the reverse order of their making.

use super::{Api, Kit, Parts, Progress, ResourceType, State, order::Target};
use crate::{
    model::ServiceId,
    provider::{
        Call, ErrorKind, OperationHandle, OperationStatus, Result,
        adapters::{common::RUNNING, operation_owner::OperationOwner},
    },
};

impl<A: Api> Kit<A> {
    /// Begins the end of a service; `None` for an id of other code, and a handle of nothing for what is gone.
    pub(in crate::provider::adapters) async fn release(
        &self,
        service: &ServiceId,
    ) -> Result<Option<Option<OperationHandle>>> {
        let call = Call::Release;
        let Some(target) = self.target(service.as_str()) else { return Ok(None) };
        self.check_configured(&target, call)?;
        let Some(resource) = self.get(&target, call).await? else { return Ok(Some(None)) };
        let Some(key) = &resource.key else {
            let message = format!("{} was not made by this library; it is not changed", resource.id);
            return Err(self.api.error(call, ErrorKind::Conflict { message }));
        };
        if resource.state != State::Ending {
            let mut parts = self.parts(target.product, &target.region, key, call).await?;
            parts.keep(target.at, &resource);
            let parts = self.ending_with(&target, parts, call)?;
            self.check_foreign(&target, &parts, call).await?;
        }
        Ok(Some(Some(self.release_handle(&target, key))))
    }

    /// How far the release of a service is whose handle other code wrote.
    pub(in crate::provider::adapters) async fn poll_release_of(
        &self,
        service: &str,
        owner: &OperationOwner,
    ) -> Result<OperationStatus> {
        match self.target(service) {
            Some(target) => self.poll_release(&target, owner).await,
            None => Ok(OperationStatus::Succeeded(None)),
        }
    }

    /// The parts that end with a resource. A first part that was made twice ends alone: the other parts belong to the other one, as
    /// nobody can tell. A further part is a service by itself only while there is no first one.
    fn ending_with(&self, target: &Target<'_, A>, mut parts: Parts, call: Call) -> Result<Parts> {
        let first = parts.0.first().map(Vec::as_slice).unwrap_or_default();
        let others = first.iter().filter(|it| it.id != target.id).count();
        if target.at > 0 && others > 0 {
            let word = target.sort().map_or("part", ResourceType::word);
            let message =
                format!("the {word} {} belongs to a service that exists; release that one", target.id);
            return Err(self.api.error(call, ErrorKind::Conflict { message }));
        }
        if others > 0 {
            parts.0.iter_mut().for_each(|list| list.retain(|it| it.id == target.id));
        }
        Ok(parts)
    }

    async fn check_foreign(&self, target: &Target<'_, A>, parts: &Parts, call: Call) -> Result<()> {
        let foreign = target.product.foreign(&self.api, &target.region, parts, call).await?;
        match foreign.is_empty() {
            true => Ok(()),
            false => {
                let word = target.sort().map_or("service", ResourceType::word);
                let kind = ErrorKind::attached(format!("the {word} {}", target.id), &foreign);
                Err(self.api.error(call, kind))
            }
        }
    }

    /// Sends the next request of a release, if one is due.
    pub(super) async fn poll_release(
        &self,
        target: &Target<'_, A>,
        owner: &OperationOwner,
    ) -> Result<OperationStatus> {
        let call = Call::Poll;
        self.check_configured(target, call)?;
        let read = self.get(target, call).await?;
        if let Some(read) = &read
            && !owner.may_release(read.key.as_ref()).map_err(|kind| self.api.error(call, kind))?
        {
            return Ok(OperationStatus::Succeeded(None));
        }
        let Some(key) = owner.key() else {
            // A handle without a key is none of ours; what it names is gone.
            return Ok(OperationStatus::Succeeded(None));
        };
        let mut parts = self.parts(target.product, &target.region, key, call).await?;
        match &read {
            Some(read) => parts.keep(target.at, read),
            // Lists may be older.
            None => parts.drop_part(target.at, &target.id),
        }
        let parts = self.ending_with(target, parts, call)?;
        if parts.is_empty() {
            return Ok(OperationStatus::Succeeded(None));
        }
        self.check_foreign(target, &parts, call).await?;
        if target.product.disconnect(&self.api, &target.region, &parts).await? == Progress::Running {
            return Ok(RUNNING);
        }
        for (at, sort) in target.product.parts().iter().enumerate().rev() {
            let here = parts.0.get(at).map(Vec::as_slice).unwrap_or_default();
            let mut is_left = false;
            for resource in here {
                let is_ending = resource.state == State::Ending;
                let is_gone = !is_ending
                    && match self.api.delete(*sort, &target.region, resource).await {
                        Ok(existed) => !existed,
                        // A part is still letting go of another one.
                        Err(error)
                            if matches!(error.kind, ErrorKind::Conflict { .. } | ErrorKind::Ambiguous) =>
                        {
                            false
                        }
                        // Some APIs call an order to end what is just being changed invalid.
                        Err(error)
                            if resource.state == State::Pending
                                && matches!(error.kind, ErrorKind::InvalidRequest { .. }) =>
                        {
                            false
                        }
                        Err(error) => {
                            return Err(error.of_part(format!("the {} {}", sort.word(), resource.id)));
                        }
                    };
                is_left |= !is_gone;
            }
            if is_left {
                return Ok(RUNNING);
            }
        }
        Ok(OperationStatus::Succeeded(None))
    }
}

impl Parts {
    /// With a resource as it was read by its id, in the place of what a list says of it; others of its sort stay.
    fn keep(&mut self, at: usize, read: &super::Resource) {
        if let Some(list) = self.0.get_mut(at) {
            list.retain(|it| it.id != read.id);
            list.push(read.clone());
        }
    }

    fn drop_part(&mut self, at: usize, id: &str) {
        self.0.get_mut(at).into_iter().for_each(|list| list.retain(|it| it.id != id));
    }
}
