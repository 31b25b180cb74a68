//! What there is of an instance, and its end.
//!
//! A broker tells its instances if it declares `instances_retrievable`. Of another one nothing follows from an answer that
//! names no instance: both calls that read are optional there. What it has made is known from its answer to the request, the
//! same request says it again, and only its answers to DELETE prove that an instance is gone.

use super::{
    Ids, Osb, UNKNOWN,
    errors::{is_own_refusal, says_gone, tells_state},
    wire::{Begun, Catalog, Instance, LastOperation, Wanted},
};
use crate::{
    model::{IdempotencyKey, Service, ServiceId, ServiceStatus, Settings, SkuId},
    provider::{
        Call, ErrorKind, Provider, ProviderError, Result,
        http::{Request, Response},
    },
};

/// How old the catalogue may be when an id is looked up in it.
pub(super) const FRESH: std::time::Duration = std::time::Duration::from_secs(60);

/// What is known of an instance.
#[derive(Debug)]
pub(super) enum Seen {
    /// The broker tells of it.
    Told(Service),
    /// Its last operation says that it is there, being made, or broken.
    Likely(Service),
    /// The broker tells nothing: it may be there.
    Maybe,
    /// It is proven not to exist.
    Gone,
}

/// What a broker answers to a request that makes an instance.
#[derive(Debug)]
pub(super) enum Asking {
    /// It is there.
    Done {
        /// It was made by this request. Otherwise the answer is one that any proxy could give.
        is_new: bool,
    },
    /// It is being made, by this operation.
    Begun(Option<String>),
    /// Something else is being done to it.
    Busy(ProviderError),
}

/// What is told of an instance's last operation.
#[derive(Debug)]
pub(super) struct Last {
    /// None if the broker knows of none, which is not yet that there is no instance: one that makes everything at once need
    /// not know operations, and refuses the question.
    pub(super) told: Option<LastOperation>,
    /// The status, where the answer was the word for absence.
    gone: Option<u16>,
    /// Whether it was the broker itself that has answered, certainly.
    is_own: bool,
}

/// Whether an answer is in the form in which brokers refuse.
fn is_worded(response: &Response) -> bool {
    response.try_json::<serde_json::Map<String, serde_json::Value>>().is_some()
}

impl Osb {
    /// What is told of an instance's last operation.
    pub(super) async fn last_operation(
        &self,
        call: Call,
        instance: &str,
        operation: Option<&str>,
    ) -> Result<Last> {
        let mut ask = Request::get(call, ["v2", "service_instances", instance, "last_operation"]);
        if let Some(operation) = operation {
            ask = ask.query("operation", operation);
        }
        let response = self.client.send(&ask).await?;
        let gone = says_gone(&response).then(|| response.status().as_u16());
        let (told, is_own) = match self.client.check(&response) {
            Ok(()) => (Some(response.json()?), true),
            Err(error) => match error.kind {
                ErrorKind::NotFound { .. } => (None, tells_state(&response)),
                ErrorKind::InvalidRequest { .. } | ErrorKind::Unsupported if is_worded(&response) => {
                    (None, is_own_refusal(&response))
                }
                _ => return Err(error),
            },
        };
        Ok(Last { told, gone, is_own })
    }

    /// The broker's word for absence is an empty object, which any proxy could say. So it has to show that it is the broker:
    /// by its catalogue, asked for anew.
    pub(super) async fn witness(&self, call: Call) -> Result<Catalog> {
        let catalog: Catalog = self.client.json(&Request::get(call, ["v2", "catalog"])).await?;
        if catalog.services.iter().all(|service| service.plans.is_empty()) {
            tracing::warn!("an instance is said not to exist, but the catalogue is empty; not believed");
            let cause =
                "an instance is said not to exist, but the catalogue is empty; nothing is believed of it";
            return Err(self.error(call, ErrorKind::unavailable(cause)));
        }
        Ok(catalog)
    }

    /// As [`witness`](Self::witness), and that the way to instances leads to the broker: a gateway may have lost that one alone.
    /// `is_reached` if an answer about the instance has shown it.
    ///
    /// # Errors
    /// Unavailable: an instance that nobody has, too, is answered as a lost way would be.
    pub(super) async fn witness_route(&self, call: Call, is_reached: bool) -> Result<()> {
        let catalog = self.witness(call).await?;
        if is_reached {
            return Ok(());
        }
        let nobodys = format!("fulcrum-witness-{}", uuid::Uuid::now_v7());
        let path = ["v2", "service_instances", nobodys.as_str()];
        // A version that there is not: who knows the API refuses it in words.
        let strange = Request::get(call, path).header("x-broker-api-version", "0.0");
        if is_own_refusal(&self.client.send(&strange).await?) {
            return Ok(());
        }
        // To end what is not there is answered by 410, and by nothing that has lost the way.
        let product = super::products_of(catalog).into_iter().next();
        let product =
            product.ok_or_else(|| self.error(call, ErrorKind::unavailable("no plan can be read")))?;
        let end = Request::delete(call, path)
            .query("service_id", &product.service)
            .query("plan_id", &product.plan)
            .query("accepts_incomplete", true);
        let response = self.client.send(&end).await?;
        if response.status().as_u16() == 410 && says_gone(&response) || is_own_refusal(&response) {
            return Ok(());
        }
        tracing::warn!("an instance is said not to exist, and so is the way to instances; not believed");
        let cause = "an instance is said not to exist, but not by what is certainly the broker; look at what stands before it";
        Err(self.error(call, ErrorKind::unavailable(cause)))
    }

    /// What there is of an instance. A broker answers for one that is being made as if it were not there, or by 422: so the
    /// last operation is asked for first.
    pub(super) async fn seen(&self, call: Call, key: &IdempotencyKey) -> Result<Seen> {
        let Last { told: last, gone: last_gone, is_own } =
            self.last_operation(call, key.as_str(), None).await?;
        let response =
            self.client.send(&Request::get(call, ["v2", "service_instances", key.as_str()])).await?;
        let is_retrievable = self.is_retrievable(call).await?;
        let told = match self.client.check(&response) {
            Ok(()) => Some(response.json::<Instance>()?),
            Err(error) => match error.kind {
                ErrorKind::NotFound { .. } => None,
                // Busy, or it does not tell: the last operation must do.
                ErrorKind::Conflict { .. } if last.is_none() && is_worded(&response) => {
                    let service = self.service(key.clone(), ServiceStatus::Starting, None).await?;
                    return Ok(Seen::Likely(service));
                }
                ErrorKind::Conflict { .. } | ErrorKind::InvalidRequest { .. } | ErrorKind::Unsupported
                    if last.is_some() || (!is_retrievable && is_worded(&response)) =>
                {
                    None
                }
                _ => return Err(error),
            },
        };
        let gone = says_gone(&response).then(|| response.status().as_u16());
        // Who says by 404 that there is none, and by 410 that its operations are gone, knows the API.
        let is_reached = is_own || (gone.is_some() && last_gone.is_some() && gone != last_gone);
        let is_told = told.as_ref().is_some_and(|told| !told.is_empty());
        let status = match last.as_ref().map(|last| last.state.as_str()) {
            Some("in progress") => ServiceStatus::Starting,
            _ if !is_told && self.asked.was_gone(key) => return Ok(Seen::Gone),
            Some("failed") => ServiceStatus::Failed,
            _ if is_told => ServiceStatus::Running,
            // It may have been its end that has succeeded.
            Some("succeeded") if told.is_some() || !is_retrievable => ServiceStatus::Running,
            // An instance of which nothing is told is as thin a word as none.
            _ if told.is_some() => {
                self.witness(call).await?;
                ServiceStatus::Running
            }
            _ if is_retrievable => {
                self.witness_route(call, is_reached).await?;
                return Ok(Seen::Gone);
            }
            _ => return Ok(Seen::Maybe),
        };
        let service = self.service(key.clone(), status, told).await?;
        Ok(if is_told { Seen::Told(service) } else { Seen::Likely(service) })
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
            None => self.asked.sku_of(&key),
        };
        let protocol_error = |message: String| self.error(call, ErrorKind::Protocol { message });
        let sku = named
            .map_or_else(|| SkuId::new(UNKNOWN), Ok)
            .map_err(|error| protocol_error(error.to_string()))?;
        let place = self.place().ok_or_else(|| protocol_error("its region is gone".to_owned()))?;
        let dashboard = told.and_then(|told| told.dashboard_url).map(|url| ("dashboard_url".to_owned(), url));
        Ok(Service {
            id: ServiceId::new(key.as_str()).map_err(|error| protocol_error(error.to_string()))?,
            provider: self.id().clone(),
            key: Some(key),
            sku,
            place,
            status,
            attributes: dashboard.into_iter().collect(),
        })
    }

    /// Asks for an instance; the same request again is the same instance.
    pub(super) async fn ask_for(
        &self,
        call: Call,
        key: &IdempotencyKey,
        ids: &Ids,
        settings: &Settings,
    ) -> Result<Asking> {
        self.asked.remember(key, &ids.sku);
        let wanted = Wanted {
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
                let begun = Begun::of(&response)?;
                match status {
                    200 | 201 => Ok(Asking::Done { is_new: status == 201 }),
                    202 => Ok(Asking::Begun(begun.operation)),
                    _ => Err(response.protocol_error(format!("{status} is no answer to this request"))),
                }
            }
            Err(error) if status == 422 && matches!(error.kind, ErrorKind::Conflict { .. }) => {
                Ok(Asking::Busy(error))
            }
            // The word for another instance of this id is an empty object, which any proxy could say: it has to be seen.
            Err(_) if status == 409 && is_worded(&response) && self.is_another(key, &ids.sku).await => {
                let message = format!("{key} is an instance of another plan already");
                Err(response.error(ErrorKind::Conflict { message }))
            }
            Err(error) => Err(error),
        }
    }

    /// Ends an instance; whether it may be there still, and the operation that ends it. Which product it is must be said: where
    /// that is not known each is tried. What the broker does not tell of is gone when the broker says so for each product that
    /// it may be, and has shown by its catalogue that it is the broker.
    pub(super) async fn end(&self, call: Call, instance: &str) -> Result<(bool, Option<String>)> {
        let Ok(key) = IdempotencyKey::new(instance) else { return Ok((false, None)) };
        let (known, may_be_gone) = match self.seen(call, &key).await? {
            Seen::Gone => return Ok((false, None)),
            Seen::Told(service) => (Some(service.sku), false),
            // One that is being made is said not to be there yet.
            Seen::Likely(service) => (Some(service.sku), service.status != ServiceStatus::Starting),
            Seen::Maybe => (self.asked.sku_of(&key), true),
        };
        let known = known.filter(|sku| sku.as_str() != UNKNOWN);
        let catalog = self.catalog(call, if known.is_some() { FRESH } else { Default::default() }).await?;
        let has_odd_rows = catalog.has_odd_rows();
        let mut products = super::products_of(catalog);
        products.retain(|ids| known.as_ref().is_none_or(|sku| ids.sku == *sku));
        if products.is_empty() {
            let message = "its product is not in the catalogue any more; end it by hand".to_owned();
            return Err(self.error(call, ErrorKind::InvalidRequest { message }));
        }
        let (mut refusal, mut is_reached) = (None, false);
        for ids in products {
            let ask = Request::delete(call, ["v2", "service_instances", instance])
                .query("service_id", &ids.service)
                .query("plan_id", &ids.plan)
                .query("accepts_incomplete", true);
            let response = self.client.send(&ask).await?;
            match self.client.check(&response) {
                Ok(()) => {
                    return Ok((true, response.try_json::<Begun>().and_then(|begun| begun.operation)));
                }
                // By 410 only who knows the API says it.
                Err(_) if says_gone(&response) => is_reached |= response.status().as_u16() == 410,
                Err(error) => match error.kind {
                    // Busy with something else: whoever polls tries again.
                    ErrorKind::Conflict { .. } | ErrorKind::Ambiguous => return Ok((true, None)),
                    ErrorKind::InvalidRequest { .. } => refusal = Some(error),
                    _ => return Err(error),
                },
            }
        }
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        if !may_be_gone {
            return Ok((true, None));
        }
        if known.is_none() && has_odd_rows {
            let cause = "the instance may be of a product that cannot be read in the catalogue";
            return Err(self.error(call, ErrorKind::unavailable(cause)));
        }
        let is_reached = is_reached || self.last_operation(call, instance, None).await?.is_own;
        self.witness_route(call, is_reached).await?;
        self.asked.note_gone(&key);
        Ok((false, None))
    }

    /// The ids of an instance's product; none if the instance is gone.
    pub(super) async fn product_of(&self, call: Call, service: &ServiceId) -> Result<Option<Ids>> {
        let Ok(key) = IdempotencyKey::new(service.as_str()) else { return Ok(None) };
        let known = match self.seen(call, &key).await? {
            Seen::Gone => return Ok(None),
            Seen::Told(service) | Seen::Likely(service) => Some(service.sku),
            Seen::Maybe => self.asked.sku_of(&key),
        };
        match known.filter(|sku| sku.as_str() != UNKNOWN) {
            Some(sku) => self.ids_of(call, &sku).await.map(Some),
            None => {
                let message = format!("the broker does not tell which product {service} is; ask it by hand");
                Err(self.error(call, ErrorKind::InvalidRequest { message }))
            }
        }
    }

    /// Whether an instance of this id is certainly of another product.
    async fn is_another(&self, key: &IdempotencyKey, sku: &SkuId) -> bool {
        match self.seen(Call::Provision, key).await {
            Ok(Seen::Told(found) | Seen::Likely(found)) => found.sku != *sku && found.sku.as_str() != UNKNOWN,
            Ok(Seen::Maybe | Seen::Gone) | Err(_) => false,
        }
    }

    /// Whether each of the broker's instances is told when it is asked for: only then is one that is not told not there.
    async fn is_retrievable(&self, call: Call) -> Result<bool> {
        let catalog = self.catalog(call, FRESH).await?;
        let all = catalog.services.iter().all(|service| service.instances_retrievable);
        Ok(all && catalog.services.unreadable().is_empty())
    }
}
