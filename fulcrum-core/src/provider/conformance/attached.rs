//! Whether a release spares parts that were attached after the purchase. Somebody must attach a part, so this check is separate.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::time::sleep;

use super::{Finding, Report, Suite, SuiteConfig, ensure};
use crate::{
    model::{Service, ServiceId},
    provider::{Call, ErrorKind, OperationStatus, Provider, ProviderError},
};

/// The customer at the provider's own console. Errors are messages for people.
#[async_trait]
pub trait Customer: fmt::Debug + Send + Sync {
    /// Attaches a volume or address to a service, and returns its name.
    async fn attach(&self, service: &Service) -> Result<String, String>;

    /// Whether the part still exists, attached or not.
    async fn has(&self, part: &str) -> Result<bool, String>;

    /// Detaches the part from the service, if it is attached.
    async fn detach(&self, service: &Service, part: &str) -> Result<(), String>;
}

const SPARED: &str =
    "a release ends nothing that was attached after the purchase, or is refused with its name";
const ENDED: &str = "what was bought ends when nothing else hangs on it";

/// Buys a service, lets the customer attach a part, releases the service, and looks for the part. Without a request nothing is
/// bought.
pub async fn check_attached(
    provider: Arc<dyn Provider>,
    config: SuiteConfig,
    customer: &dyn Customer,
) -> Report {
    let mut suite = Suite::new(provider, config);
    let Some(request) = suite.config.request.clone() else {
        [SPARED, ENDED].iter().for_each(|name| suite.skip(name, "nothing may be bought"));
        return suite.report;
    };
    if !suite.can(&[Call::Provision, Call::Poll, Call::Describe, Call::Release]) {
        [SPARED, ENDED].iter().for_each(|name| suite.skip(name, "not all calls of a purchase are declared"));
        return suite.report;
    }
    let key = suite.key();
    let service = match suite.buy(&request, &key).await {
        Ok(service) => service,
        Err(reason) => {
            suite.record(SPARED, Err(reason));
            suite.skip(ENDED, "nothing was made");
            return suite.report;
        }
    };
    match customer.attach(&service).await {
        Err(reason) => suite.skip(SPARED, reason),
        Ok(part) => {
            let finding = suite.spared(&service, &part, customer).await;
            suite.record(SPARED, finding);
            if let Err(reason) = customer.detach(&service, &part).await {
                suite.record(ENDED, Err(format!("{part} cannot be taken off: {reason}")));
                return suite.report;
            }
        }
    }
    let finding = suite.release(&service.id).await;
    suite.record(ENDED, finding);
    suite.report
}

impl Suite {
    async fn spared(&mut self, service: &Service, part: &str, customer: &dyn Customer) -> Finding {
        let refusal = self.refusal(&service.id).await?;
        ensure(customer.has(part).await?, || format!("{part} was ended with {}", service.id))?;
        if let Some(words) = refusal {
            ensure(words.contains(part), || format!("refused without the name of {part}: {words}"))?;
            let left = self.provider.describe(&service.id).await.map_err(|error| error.to_string())?;
            ensure(left.is_some(), || format!("{} is gone though its release was refused", service.id))?;
        }
        Ok(())
    }

    /// Releases the service; the message of a conflict, or none if it ends.
    async fn refusal(&mut self, service: &ServiceId) -> Result<Option<String>, String> {
        let conflict = |error: ProviderError| match error.kind {
            ErrorKind::Conflict { message } => Ok(Some(message)),
            _ => Err(error.to_string()),
        };
        let key = self.key();
        let handle = match self.provider.release(service, &key).await {
            Ok(handle) => handle,
            Err(error) => return conflict(error),
        };
        let interval = Duration::from_millis(self.provider.capabilities().poll_interval_ms.max(1));
        let end = tokio::time::Instant::now() + self.config.timeout;
        loop {
            match self.provider.poll(&handle).await {
                Ok(OperationStatus::Succeeded(_)) => return Ok(None),
                Ok(OperationStatus::Failed { reason, .. }) => return Ok(Some(reason)),
                Ok(OperationStatus::Running { .. }) if tokio::time::Instant::now() >= end => {
                    return Err(format!("{} did not end in {:?}", handle.as_str(), self.config.timeout));
                }
                Ok(OperationStatus::Running { .. }) => sleep(interval).await,
                Err(error) => return conflict(error),
            }
        }
    }
}
