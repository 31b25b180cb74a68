//! Instances: evidence of their state and absence, read as services.
//!
//! A broker that declares `instances_retrievable` returns its instances. For another broker a *not found* proves nothing, as both read
//! calls are optional there. Then three things prove an instance: the response to its request, the response to the same request sent
//! again, and the responses to DELETE, which alone prove absence.

use super::{
    Osb,
    errors::{has_operation_state, is_absence_word, is_broker_refusal},
    offers::CATALOG_FRESH_FOR,
    wire::{Catalog, Instance, LastOperation},
};
use crate::{
    model::{IdempotencyKey, Place, Service, ServiceId, ServiceStatus, SkuId, map_of},
    provider::{
        Call, ErrorKind, Provider, Result,
        adapters::common::CallErrors,
        http::{Request, Response},
    },
};

/// Stands for a product that the broker does not tell yet.
pub(super) const UNKNOWN_SKU: &str = "unknown";

/// What the broker's responses prove about an instance.
#[derive(Debug)]
pub(super) enum Evidence {
    /// The broker has returned the instance.
    Retrieved(Service),
    /// The last operation says that the instance is there, being made, or broken.
    Inferred(Service),
    /// The broker tells nothing: the instance may exist.
    Unknown,
    /// The instance is proven to be absent.
    Absent,
}

/// The response about an instance's last operation.
#[derive(Debug)]
pub(super) struct LastOperationReply {
    /// None if the broker knows no operation. That is not yet absence: a synchronous broker need not know operations, and
    /// refuses the question.
    pub(super) told: Option<LastOperation>,
    /// The status of the response, if it was a word for absence.
    gone: Option<u16>,
    /// Whether the response is certainly the broker's own.
    pub(super) is_own: bool,
}

impl Osb {
    /// The response about an instance's last operation.
    pub(super) async fn last_operation(
        &self,
        call: Call,
        instance: &str,
        operation: Option<&str>,
    ) -> Result<LastOperationReply> {
        let mut ask = Request::get(call, ["v2", "service_instances", instance, "last_operation"]);
        if let Some(operation) = operation {
            ask = ask.query("operation", operation);
        }
        let response = self.client.send(&ask).await?;
        let gone = is_absence_word(&response).then(|| response.status().as_u16());
        let (told, is_own) = match self.client.check(&response) {
            Ok(()) => (Some(response.json()?), true),
            Err(error) => match error.kind {
                ErrorKind::NotFound { .. } => (None, has_operation_state(&response)),
                ErrorKind::InvalidRequest { .. } | ErrorKind::Unsupported if is_error_document(&response) => {
                    (None, is_broker_refusal(&response))
                }
                _ => return Err(error),
            },
        };
        Ok(LastOperationReply { told, gone, is_own })
    }

    /// Checks by the catalogue, requested anew, that the broker itself answers: its word for absence is an empty object, which
    /// any proxy could send.
    pub(super) async fn prove_broker(&self, call: Call) -> Result<Catalog> {
        let catalog: Catalog = self.client.json(&Request::get(call, ["v2", "catalog"])).await?;
        if catalog.services.iter().all(|service| service.plans.is_empty()) {
            tracing::warn!("an instance is said to be absent, but the catalogue is empty; not believed");
            let cause = "an instance is said to be absent, but the catalogue is empty, so the response may not be the broker's";
            return Err(self.error(call, ErrorKind::unavailable(cause)));
        }
        Ok(catalog)
    }

    /// As [`prove_broker`](Self::prove_broker), and checks that the path of instances leads to the broker: a gateway may have
    /// lost that path alone. `is_reached` says that a response about the instance has proved it.
    ///
    /// # Errors
    /// Unavailable: the response about an instance that nobody has is not the broker's own either.
    pub(super) async fn prove_route(&self, call: Call, is_reached: bool) -> Result<()> {
        let catalog = self.prove_broker(call).await?;
        if is_reached {
            return Ok(());
        }
        let nobodys = format!("fulcrum-witness-{}", uuid::Uuid::now_v7());
        let path = ["v2", "service_instances", nobodys.as_str()];
        // This API version does not exist: a broker refuses it in words.
        let strange = Request::get(call, path).header("x-broker-api-version", "0.0");
        if is_broker_refusal(&self.client.send(&strange).await?) {
            return Ok(());
        }
        // A broker answers the deletion of an absent instance by 410; a gateway without the path does not.
        let product = self.products_of(catalog).into_iter().next();
        let product = product.ok_or_else(|| {
            self.error(call, ErrorKind::unavailable("no plan of the catalogue can be read"))
        })?;
        let end = Request::delete(call, path)
            .query("service_id", &product.service)
            .query("plan_id", &product.plan)
            .query("accepts_incomplete", true);
        let response = self.client.send(&end).await?;
        if response.status().as_u16() == 410 && is_absence_word(&response) || is_broker_refusal(&response) {
            return Ok(());
        }
        tracing::warn!("an instance is said to be absent, but not certainly by the broker; not believed");
        let cause = "an instance is said to be absent, but not certainly by the broker; check the gateways in front of it";
        Err(self.error(call, ErrorKind::unavailable(cause)))
    }

    /// The evidence about an instance. While an instance is made, a broker answers 404 or 422: so this reads the last operation
    /// first.
    pub(super) async fn look_up(&self, call: Call, key: &IdempotencyKey) -> Result<Evidence> {
        let LastOperationReply { told: last, gone: last_gone, is_own } =
            self.last_operation(call, key.as_str(), None).await?;
        let response =
            self.client.send(&Request::get(call, ["v2", "service_instances", key.as_str()])).await?;
        let is_retrievable = self.is_retrievable(call).await?;
        let told = match self.client.check(&response) {
            Ok(()) => Some(response.json::<Instance>()?),
            Err(error) => match error.kind {
                ErrorKind::NotFound { .. } => None,
                // The broker is busy, or does not tell instances: the last operation decides.
                ErrorKind::Conflict { .. } if last.is_none() && is_error_document(&response) => {
                    let service = self.service(key.clone(), ServiceStatus::Starting, None).await?;
                    return Ok(Evidence::Inferred(service));
                }
                ErrorKind::Conflict { .. } | ErrorKind::InvalidRequest { .. } | ErrorKind::Unsupported
                    if last.is_some() || (!is_retrievable && is_error_document(&response)) =>
                {
                    None
                }
                _ => return Err(error),
            },
        };
        let gone = is_absence_word(&response).then(|| response.status().as_u16());
        // Only a broker answers 404 for an instance and 410 for its operations.
        let is_reached = is_own || (gone.is_some() && last_gone.is_some() && gone != last_gone);
        let is_told = told.as_ref().is_some_and(|told| !told.is_empty());
        let status = match last.as_ref().map(|last| last.state.as_str()) {
            Some("in progress") => ServiceStatus::Starting,
            _ if !is_told && self.instance_cache.is_recently_absent(key) => return Ok(Evidence::Absent),
            Some("failed") => ServiceStatus::Failed,
            _ if is_told => ServiceStatus::Running,
            // The operation that succeeded may have been the deletion.
            Some("succeeded") if told.is_some() || !is_retrievable => ServiceStatus::Running,
            // An empty instance document is as weak a proof as none.
            _ if told.is_some() => {
                self.prove_broker(call).await?;
                ServiceStatus::Running
            }
            _ if is_retrievable => {
                self.prove_route(call, is_reached).await?;
                return Ok(Evidence::Absent);
            }
            _ => return Ok(Evidence::Unknown),
        };
        let service = self.service(key.clone(), status, told).await?;
        Ok(if is_told { Evidence::Retrieved(service) } else { Evidence::Inferred(service) })
    }

    pub(super) async fn service(
        &self,
        key: IdempotencyKey,
        status: ServiceStatus,
        told: Option<Instance>,
    ) -> Result<Service> {
        let call = Call::Describe;
        let ids = told.as_ref().and_then(|told| Some((told.service_id.clone()?, told.plan_id.clone()?)));
        let named = match ids {
            Some((service, plan)) => {
                let products = self.products(call).await?;
                products.into_iter().find(|ids| ids.service == service && ids.plan == plan).map(|ids| ids.sku)
            }
            None => self.instance_cache.sku_of(&key),
        };
        let protocol_error = |message: String| self.protocol_error(call, &message);
        let sku = named
            .map_or_else(|| SkuId::new(UNKNOWN_SKU), Ok)
            .map_err(|error| protocol_error(error.to_string()))?;
        let place = self.place().ok_or_else(|| protocol_error("its region is not configured".to_owned()))?;
        let dashboard = told.and_then(|told| told.dashboard_url).map(|url| ("dashboard_url".to_owned(), url));
        Ok(Service {
            id: ServiceId::new(key.as_str()).map_err(|error| protocol_error(error.to_string()))?,
            provider: self.id().clone(),
            key: Some(key),
            sku,
            place,
            status,
            attributes: map_of(dashboard),
        })
    }

    /// Whether the broker returns each of its instances: only then does *not found* mean absence.
    async fn is_retrievable(&self, call: Call) -> Result<bool> {
        let catalog = self.catalog(call, CATALOG_FRESH_FOR).await?;
        let all = catalog.services.iter().all(|service| service.instances_retrievable);
        Ok(all && catalog.services.unreadable().is_empty())
    }
}

impl Osb {
    pub(super) fn place(&self) -> Option<Place> {
        let region = self.settings.facts.regions.iter().find(|region| region.id == self.settings.region)?;
        Some(Place {
            provider: self.id().clone(),
            region: region.id.clone(),
            zone: None,
            country: region.country,
            coordinates: None,
        })
    }
}

/// Whether a response is an error document.
pub(super) fn is_error_document(response: &Response) -> bool {
    response.try_json::<serde_json::Map<String, serde_json::Value>>().is_some()
}
