//! The request that makes an instance.

use super::{
    Osb,
    handle::Handle,
    offers::ProductIds,
    services::{Evidence, UNKNOWN_SKU, is_error_document},
    wire::{Accepted, InstanceRequest},
};
use crate::{
    model::{IdempotencyKey, Settings, SkuId},
    provider::{
        Call, ErrorKind, Line, OperationHandle, Priced, ProviderError, ProvisionRequest, Result, Sold,
        adapters::{
            common::CallErrors,
            purchase_outcome::{after_purchase, purchase_response},
        },
        check_exact,
        http::{Request, is_dry_run},
    },
};

/// The price of each field of the body that orders an instance.
pub const FIELDS: &[(&str, Priced)] = &[
    ("organization_guid", Priced::Free("for whom it is, not how much it costs")),
    ("parameters.*", Priced::Free("a plan's costs are those of its instances, whatever their parameters")),
    ("plan_id", Priced::By(Line::Offer)),
    ("service_id", Priced::By(Line::Offer)),
    ("space_guid", Priced::Free("for whom it is, not how much it costs")),
];

/// The broker's response to a request that makes an instance.
#[derive(Debug)]
pub(super) enum PutOutcome {
    /// The instance exists.
    Done {
        /// This request made it (201). A 200 could be any proxy's.
        is_new: bool,
    },
    /// The instance is being made, by this operation.
    Accepted(Option<String>),
    /// Another operation on the instance is under way.
    Busy(ProviderError),
}

impl Osb {
    /// Orders the service of a request. Returns its operation.
    pub(super) async fn begin_provision(
        &self,
        request: &ProvisionRequest,
        key: &IdempotencyKey,
    ) -> Result<OperationHandle> {
        let call = Call::Provision;
        let is_known = self.capabilities.check_settings(request.kind, &request.settings);
        is_known.and_then(|()| self.check_request(request)).map_err(|kind| self.error(call, kind))?;
        let ids = self.ids_of(call, &request.sku).await?;
        if let Some(fault) = ids.declared.as_ref().and_then(|it| it.fault(ids.kind, &request.settings)) {
            let message = format!("the provider {fault}");
            return Err(self.error(call, ErrorKind::InvalidRequest { message }));
        }
        let asked = purchase_response(self.put_instance(call, key, &ids, &request.settings).await)?;
        let (operation, is_done) = match asked {
            PutOutcome::Done { is_new } => (None, is_new),
            PutOutcome::Accepted(operation) => (operation, false),
            // The same request has begun it before, as the instance's id is the order's own key.
            PutOutcome::Busy(error) => return purchase_response(Err(error)),
        };
        let (instance, sku) = (key.to_string(), Some(ids.sku));
        after_purchase(
            self.handle(call, &Handle::Provision { instance, operation, sku, is_done, settings: None }),
        )
    }

    /// Checks that a request is for exactly one offer of this adapter.
    fn check_request(&self, request: &ProvisionRequest) -> Result<(), ErrorKind> {
        let service = request.sku.as_str().rsplit_once('/').map_or("", |(service, _)| service);
        let place = self.place().ok_or(ErrorKind::Unsupported)?;
        check_exact(request, &Sold::on_demand(self.kind_of(service), &place))
    }

    /// Sends the request that makes an instance. The same request names the same instance.
    pub(super) async fn put_instance(
        &self,
        call: Call,
        key: &IdempotencyKey,
        ids: &ProductIds,
        settings: &Settings,
    ) -> Result<PutOutcome> {
        if !is_dry_run() {
            self.instance_cache.record_sku(key, &ids.sku);
        }
        let typed = ids.declared.as_ref().map(|declared| declared.typed(ids.kind, settings));
        let mut settings = typed.unwrap_or_else(|| settings.clone());
        if ids.tells_engine {
            settings.remove("engine");
        }
        let settings = &settings;
        let wanted = InstanceRequest {
            service_id: &ids.service,
            plan_id: &ids.plan,
            organization_guid: Some(&self.settings.organization),
            space_guid: Some(&self.settings.space),
            parameters: Some(settings).filter(|settings| !settings.is_empty()),
        };
        let ask = Request::put(call, ["v2", "service_instances", key.as_str()])
            .query("accepts_incomplete", true)
            .json(&wanted)
            .for_sku(&ids.sku);
        let response = self.client.send(&ask).await?;
        let status = response.status().as_u16();
        match self.client.check(&response) {
            Ok(()) => {
                let begun = Accepted::of(&response)?;
                match status {
                    200 | 201 => Ok(PutOutcome::Done { is_new: status == 201 }),
                    202 => Ok(PutOutcome::Accepted(begun.operation)),
                    _ => Err(response
                        .protocol_error(format!("the status {status} is not defined for this request"))),
                }
            }
            Err(error) if status == 422 && matches!(error.kind, ErrorKind::Conflict { .. }) => {
                Ok(PutOutcome::Busy(error))
            }
            // The word for another instance of this id is an empty object, which any proxy could send: the instance itself must
            // show it.
            Err(_)
                if status == 409
                    && is_error_document(&response)
                    && self.has_another_product(key, &ids.sku).await =>
            {
                let message = format!("{key} is an instance of another plan already");
                Err(response.error(ErrorKind::Conflict { message }))
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the instance of this id is certainly of another product.
    async fn has_another_product(&self, key: &IdempotencyKey, sku: &SkuId) -> bool {
        match self.look_up(Call::Provision, key).await {
            Ok(Evidence::Retrieved(found) | Evidence::Inferred(found)) => {
                found.sku != *sku && found.sku.as_str() != UNKNOWN_SKU
            }
            Ok(Evidence::Unknown | Evidence::Absent) | Err(_) => false,
        }
    }
}
