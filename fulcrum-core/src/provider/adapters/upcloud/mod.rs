//! UpCloud: servers in plans with their disk, by the API of version 1.3.
//!
//! The key is a label that is set when a server is made. Nothing keeps the same request from making two, so the engine looks
//! first: [`IdempotencyClass::Searchable`].

mod config;
mod errors;
mod handle;
mod offers;
mod wire;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use async_trait::async_trait;
use futures::{TryStreamExt, stream::BoxStream};
use iso_currency::Currency;
use serde_json::{Value, json};

pub use config::UpCloudConfig;
use handle::{Handle, server_of};
use wire::{OneServer, Server, Servers};

use crate::{
    model::{
        Action, IdempotencyKey, Place, ProviderId, Service, ServiceId, ServiceStatus, SkuId, parse_json,
        setting_text,
    },
    provider::{
        Call, Capabilities, ErrorKind, IdempotencyClass, OfferFilter, OfferStream, OperationHandle,
        OperationStatus, Provider, ProviderError, ProvisionRequest, Result, ServiceStream,
        http::{Client, HttpConfigError, Method, Page, Request, Transport, pages},
        table::ProviderDocument,
    },
};

/// The label that holds the key.
const LABEL: &str = "fulcrum-key";
/// Servers on a page.
const PAGE: usize = 100;
const RUNNING: OperationStatus = OperationStatus::Running { percent: None };

/// The servers of one account. Cheap to clone.
#[derive(Debug, Clone)]
pub struct UpCloud {
    id: ProviderId,
    client: Client,
    capabilities: Capabilities,
    settings: Arc<Settings>,
    facts: Arc<ProviderDocument>,
}

#[derive(Debug)]
struct Settings {
    image: String,
    ssh_keys: Vec<String>,
    currency: Currency,
}

/// What the adapter can do.
///
/// The provider does not say how long a new server may be missing from the list; in recordings of other clients it is there
/// at once.
pub fn capabilities() -> Capabilities {
    Capabilities {
        calls: vec![
            Call::Offers,
            Call::Provision,
            Call::FindByKey,
            Call::Describe,
            Call::Services,
            Call::Act,
            Call::Release,
            Call::Poll,
        ],
        idempotency: BTreeMap::from([
            (Call::Provision, IdempotencyClass::Searchable { list_lag_ms: 10_000 }),
            (Call::Act, IdempotencyClass::Natural),
            (Call::Release, IdempotencyClass::Natural),
        ]),
        concurrency: Some(8),
        poll_interval_ms: 2_000,
        list_lag_ms: None,
    }
}

impl UpCloud {
    fn new(config: &UpCloudConfig, base: &Path) -> Result<Self, HttpConfigError> {
        let token = config.token.read(base)?;
        let client =
            Client::new(&config.id, "https://api.upcloud.com/1.3", &config.http.clone().below(base))?
                .dialect(errors::Errors);
        let client = match &config.username {
            Some(username) => client.basic(username, &token)?,
            None => client.bearer(&token)?,
        };
        let facts: ProviderDocument = parse_json(include_str!("provider.json"))
            .map_err(|error| HttpConfigError::Setting(error.to_string()))?;
        Ok(Self {
            id: config.id.clone(),
            client,
            capabilities: capabilities(),
            settings: Arc::new(Settings {
                image: config.image.clone(),
                ssh_keys: config.ssh_keys.clone(),
                currency: config.currency,
            }),
            facts: Arc::new(ProviderDocument { id: config.id.clone(), ..facts }),
        })
    }

    /// The same over another transport, such as a recording.
    #[must_use]
    pub fn over(self, transport: Arc<dyn Transport>) -> Self {
        Self { client: self.client.over(transport), ..self }
    }

    fn error(&self, call: Call, kind: ErrorKind) -> ProviderError {
        ProviderError::new(self.id.clone(), call, kind)
    }

    fn nonsense(&self, call: Call, error: &dyn std::fmt::Display) -> ProviderError {
        self.error(call, ErrorKind::Protocol { message: error.to_string() })
    }

    async fn server(&self, call: Call, id: &str) -> Result<Option<Server>> {
        let found: Option<OneServer> = self.client.find(&Request::get(call, ["server", id])).await?;
        match found {
            Some(OneServer { server }) if server.uuid != id => {
                Err(self.nonsense(call, &format!("asked for the server {id}, it tells of {}", server.uuid)))
            }
            found => Ok(found.map(|found| found.server)),
        }
    }

    /// The servers with a label, page by page.
    fn list(&self, call: Call, label: String) -> BoxStream<'static, Result<Service>> {
        let first =
            Request::get(call, ["server"]).query("label", label).query("limit", PAGE).query("offset", 0);
        let this = self.clone();
        pages(self.client.clone(), first, move |request, answer| {
            let page: Servers = answer.json()?;
            let servers = page.servers.server;
            let next = (servers.len() == PAGE).then(|| request.clone().next_offset("offset", PAGE));
            let ours = servers.iter().filter(|server| key_of(server).is_some());
            Ok(Page { items: ours.map(|server| this.service(call, server)).collect::<Result<_>>()?, next })
        })
    }

    /// A server as a service, without a key if this library did not make it. It exists: what cannot be read of it is an error.
    fn service(&self, call: Call, server: &Server) -> Result<Service> {
        let odd = |what: &str| self.nonsense(call, &format!("the server {} has {what}", server.uuid));
        let region = self.facts.regions.iter().find(|region| region.id.as_str() == server.zone);
        let region = region.ok_or_else(|| odd(&format!("the zone {}, which is not known", server.zone)))?;
        let addresses = |access: &str, family: &str| {
            let all = server.ip_addresses.ip_address.iter();
            let some = all.filter(|ip| ip.access == access && ip.family == family);
            some.map(|ip| ip.address.as_str()).collect::<Vec<_>>().join(" ")
        };
        let attributes = [
            ("public_ipv4", addresses("public", "IPv4")),
            ("public_ipv6", addresses("public", "IPv6")),
            ("private_ip", addresses("utility", "IPv4")),
        ];
        let attributes = attributes.into_iter().filter(|(_, value)| !value.is_empty());
        Ok(Service {
            id: ServiceId::new(&server.uuid).map_err(|error| odd(&error.to_string()))?,
            provider: self.id.clone(),
            key: key_of(server),
            sku: SkuId::new(&server.plan).map_err(|error| odd(&error.to_string()))?,
            place: Place {
                provider: self.id.clone(),
                region: region.id.clone(),
                zone: None,
                country: region.country,
                coordinates: None,
            },
            status: status(&server.state),
            attributes: attributes.map(|(name, value)| (name.to_owned(), value)).collect(),
        })
    }

    /// The body that makes a server: everything in one request, the label too.
    async fn new_server(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<Value> {
        let call = Call::Provision;
        let plans = self.plans(call).await?;
        let missing = || self.error(call, ErrorKind::NotFound { what: request.sku.to_string() });
        let plan = plans.get(request.sku.as_str()).ok_or_else(missing)?;
        let setting = |name: &str| request.setting(name);
        let disk = json!({
            "action": "clone",
            "storage": setting("image").unwrap_or_else(|| self.settings.image.clone()),
            "title": format!("{key}-disk"),
            "size": plan.storage_size,
            "tier": plan.storage_tier.as_deref().unwrap_or("maxiops"),
        });
        let face = |kind: &str, family: &str| json!({ "type": kind, "ip_addresses": { "ip_address": [{ "family": family }] } });
        let faces = [face("public", "IPv4"), face("utility", "IPv4"), face("public", "IPv6")];
        let mut server = json!({
            "title": request.name,
            "hostname": key,
            "zone": request.place.region,
            "plan": plan.name,
            "metadata": "yes",
            "labels": { "label": [{ "key": LABEL, "value": key }] },
            "storage_devices": { "storage_device": [disk] },
            "networking": { "interfaces": { "interface": faces } },
        });
        // A whole public key has spaces: text holds one on each line.
        let keys: Vec<String> = match request.settings.get("ssh_keys") {
            Some(Value::Array(keys)) => keys.iter().filter_map(setting_text).collect(),
            Some(text) => {
                let text = setting_text(text).unwrap_or_default();
                text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
            }
            None => self.settings.ssh_keys.clone(),
        };
        if !keys.is_empty() {
            server["login_user"] = json!({
                "username": setting("user").unwrap_or_else(|| "root".to_owned()),
                "create_password": "no",
                "ssh_keys": { "ssh_key": keys },
            });
        }
        if let Some(data) = setting("user_data") {
            server["user_data"] = json!(data);
        }
        Ok(json!({ "server": server }))
    }

    async fn ask_for(&self, call: Call, id: &str, action: &str, body: &Value) -> Result<()> {
        self.client.ask(&Request::post(call, ["server", id, action]).json(body)).await.map(drop)
    }

    fn succeeded(&self, server: &Server) -> Result<OperationStatus> {
        if key_of(server).is_none() {
            return Err(self.nonsense(Call::Poll, &"the server has lost its label"));
        }
        Ok(OperationStatus::Succeeded(Some(self.service(Call::Poll, server)?)))
    }

    /// One step further towards nothing: stop, end with its disks.
    async fn poll_delete(&self, id: &str) -> Result<OperationStatus> {
        let Some(server) = self.server(Call::Poll, id).await? else {
            return Ok(OperationStatus::Succeeded(None));
        };
        if key_of(&server).is_none() {
            return Err(self.error(Call::Poll, ErrorKind::Forbidden));
        }
        let outcome = match server.state.as_str() {
            "started" => {
                let hard = json!({ "stop_server": { "stop_type": "hard" } });
                self.ask_for(Call::Release, id, "stop", &hard).await
            }
            "maintenance" => return Ok(RUNNING),
            _ => {
                let ask = Request::delete(Call::Release, ["server", id])
                    .query("storages", 1)
                    .query("backups", "delete");
                self.client.ask(&ask).await.map(drop)
            }
        };
        match outcome {
            Ok(()) => Ok(RUNNING),
            Err(error) => match error.kind {
                ErrorKind::Conflict { .. } | ErrorKind::NotFound { .. } | ErrorKind::Ambiguous => Ok(RUNNING),
                _ => Err(error),
            },
        }
    }
}

/// The key that a server was made with; none if this library did not make it.
fn key_of(server: &Server) -> Option<IdempotencyKey> {
    IdempotencyKey::new(&server.labels.label.iter().find(|label| label.key == LABEL)?.value).ok()
}

fn failed(reason: &str) -> OperationStatus {
    OperationStatus::Failed { reason: reason.to_owned(), shortage: None }
}

fn status(state: &str) -> ServiceStatus {
    match state {
        "started" => ServiceStatus::Running,
        "maintenance" => ServiceStatus::Starting,
        "stopped" => ServiceStatus::Stopped,
        _ => ServiceStatus::Failed,
    }
}

#[async_trait]
impl Provider for UpCloud {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn offers(&self, filter: &OfferFilter) -> OfferStream {
        offers::offers(self, filter)
    }

    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        let call = Call::Provision;
        if !self.facts.regions.iter().any(|region| region.id == request.place.region) {
            let message = format!("{} is no zone of this cloud", request.place);
            return Err(self.error(call, ErrorKind::InvalidRequest { message }));
        }
        let server = self.new_server(request, key).await?;
        let ask = Request::post(call, ["server"]).json(&server).about(&request.sku);
        let made: OneServer = self.client.json(&ask).await?;
        Ok(Handle::Create(made.server.uuid).text())
    }

    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        let mut all = self.list(Call::FindByKey, format!("{LABEL}={key}"));
        let mut found = None;
        // The list is read to its end: an error on a later page must not look like nothing.
        while let Some(service) = all.try_next().await? {
            if service.key.as_ref() == Some(key) {
                found = found.or(Some(service));
            }
        }
        Ok(found)
    }

    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        let Some(id) = server_of(service) else { return Ok(None) };
        let server = self.server(Call::Describe, id).await?;
        server.map(|server| self.service(Call::Describe, &server)).transpose()
    }

    fn services(&self) -> ServiceStream {
        self.list(Call::Services, LABEL.to_owned())
    }

    async fn act(&self, service: &ServiceId, action: &Action, _: &IdempotencyKey) -> Result<OperationHandle> {
        let call = Call::Act;
        let missing = || self.error(call, ErrorKind::NotFound { what: service.to_string() });
        let id = server_of(service).ok_or_else(missing)?;
        let server = self.server(call, id).await?.ok_or_else(missing)?;
        // Nothing that this library did not make is ever touched.
        key_of(&server).ok_or_else(missing)?;
        // What does not stop within a minute is switched off.
        let soft = json!({ "stop_type": "soft", "timeout": "60", "timeout_action": "destroy" });
        let is_on = server.state == "started";
        let state = match action {
            Action::Start => {
                if !is_on {
                    self.ask_for(call, id, "start", &json!({ "server": {} })).await?;
                }
                "started"
            }
            Action::Stop => {
                if is_on {
                    let gently = json!({ "stop_server": { "stop_type": "soft", "timeout": "60" } });
                    self.ask_for(call, id, "stop", &gently).await?;
                }
                "stopped"
            }
            Action::Resize { sku } => {
                if server.plan != sku.as_str() {
                    let body = json!({ "server": { "plan": sku } });
                    let ask = Request::new(call, Method::PUT, ["server", id]).json(&body).about(sku);
                    self.client.ask(&ask).await?;
                }
                "stopped"
            }
            Action::Other { name } if name == "reboot" => {
                self.ask_for(call, id, "restart", &json!({ "restart_server": soft })).await?;
                "started"
            }
            Action::Other { .. } => return Err(self.error(call, ErrorKind::Unsupported)),
        };
        Ok(Handle::Reach(id.to_owned(), state.to_owned()).text())
    }

    async fn release(&self, service: &ServiceId, _: &IdempotencyKey) -> Result<OperationHandle> {
        let call = Call::Release;
        let Some(id) = server_of(service) else {
            // It cannot exist here.
            return Ok(Handle::Delete(uuid::Uuid::nil().to_string()).text());
        };
        let server = self.server(call, id).await?;
        if server.is_some_and(|server| key_of(&server).is_none()) {
            return Err(self.error(call, ErrorKind::Forbidden));
        }
        Ok(Handle::Delete(id.to_owned()).text())
    }

    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        let what = || operation.as_str().chars().take(60).collect();
        let unknown = || self.error(Call::Poll, ErrorKind::NotFound { what: what() });
        let (id, wanted) = match Handle::of(operation).ok_or_else(unknown)? {
            Handle::Delete(id) => return self.poll_delete(&id).await,
            Handle::Create(id) => (id, "started".to_owned()),
            Handle::Reach(id, state) => (id, state),
        };
        match self.server(Call::Poll, &id).await? {
            None => Ok(failed("the server is gone")),
            Some(server) if server.state == wanted => self.succeeded(&server),
            Some(server) if server.state == "error" => Ok(failed("the provider says that it is broken")),
            Some(_) => Ok(RUNNING),
        }
    }
}
