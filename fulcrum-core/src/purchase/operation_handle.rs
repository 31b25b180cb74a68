//! Operation handles: their size limit, and what the operation behind one has made.

use tokio::time::sleep;

use super::{
    PurchaseError,
    backoff::between_polls,
    driver::{Driver, protocol_error},
};
use crate::{
    model::{OwnService, Step, StepState},
    provider::{Call, ErrorKind, OperationHandle, OperationStatus, ProviderError},
};

/// Bytes of an operation handle: a provider's reply must not fill the ledger.
const MAX_HANDLE_BYTES: usize = 16 << 10;

/// What an operation has made.
pub(super) enum MadeByOperation {
    /// The step's own service, which exists.
    Service(OwnService),
    /// The operation still runs.
    NotYet,
    /// No service, or the step has no handle.
    Nothing,
}

/// A new operation's handle as its step stores it. Every call that begins an operation uses this.
pub(super) fn checked_handle(
    step: &Step,
    call: Call,
    operation: &OperationHandle,
) -> Result<String, ProviderError> {
    let handle = operation.as_str();
    let is_short = handle.len() <= MAX_HANDLE_BYTES;
    is_short
        .then(|| handle.to_owned())
        .ok_or_else(|| protocol_error(step, call, "the operation's handle is too long"))
}

/// Whether the provider does not know a handle any more.
pub(super) fn is_handle_unknown(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound { .. })
}

impl Driver<'_> {
    /// What the step's last operation has made. It is polled before absence is believed, as a list may lag for longer than its
    /// provider says.
    pub(super) async fn made_by_handle(
        &self,
        step: &Step,
    ) -> Result<Result<MadeByOperation, ProviderError>, PurchaseError> {
        let handle = match &step.state {
            StepState::Provisioning { operation: Some(handle), .. }
            | StepState::Compensating { service: None, operation: Some(handle), .. } => handle,
            _ => return Ok(Ok(MadeByOperation::Nothing)),
        };
        let service = match self.provider(step).poll(&OperationHandle::new(handle.as_str())).await {
            Ok(OperationStatus::Succeeded(Some(service))) => service,
            Ok(OperationStatus::Running { .. }) => {
                sleep(between_polls(self.poll_interval(step), 10)).await;
                return Ok(Ok(MadeByOperation::NotYet));
            }
            Ok(OperationStatus::Succeeded(None) | OperationStatus::Failed { .. }) => {
                return Ok(Ok(MadeByOperation::Nothing));
            }
            Err(error) if is_handle_unknown(&error.kind) => return Ok(Ok(MadeByOperation::Nothing)),
            Err(error) => return Ok(Err(error)),
        };
        let was_there = self.is_pre_existing(step, &service).await?;
        // An operation that is somebody else's tells nothing, and one of long ago may tell of what is gone.
        match self.verify_ownership(step, Call::Poll, None, service) {
            Ok(service) if !was_there => {
                let now = self.describe_own_service(step, &service.id).await;
                Ok(now.map(|now| now.map_or(MadeByOperation::Nothing, MadeByOperation::Service)))
            }
            _ => Ok(Ok(MadeByOperation::Nothing)),
        }
    }
}
