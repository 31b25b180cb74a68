//! The order of a server.

use rust_decimal::Decimal;
use serde_json::{Number, Value, json};

use super::{
    UpCloud,
    handle::{Handle, is_plain},
    services::key_of,
    volumes::disk_title,
    wire::{ServerReply, Storage, Storages},
};
use crate::{
    model::{IdempotencyKey, OfferKind},
    provider::{
        Call, ErrorKind, Line, OperationHandle, Priced, ProvisionRequest, Result, Sold,
        adapters::{
            common::{CallErrors, KEY_LABEL},
            operation_owner::OperationOwner,
            purchase_outcome::purchase_response,
        },
        check_exact, check_settings,
        http::Request,
        portable::{self, FirstBoot, KeyWords, System},
    },
};

/// The price of each field of the body that orders a server.
pub const FIELDS: &[(&str, Priced)] = &[
    ("server.hostname", Priced::Free("names cost nothing")),
    ("server.labels.label[].key", Priced::Free("labels cost nothing")),
    ("server.labels.label[].value", Priced::Free("labels cost nothing")),
    ("server.login_user.create_password", Priced::Free("no password is made")),
    ("server.login_user.ssh_keys.ssh_key[]", Priced::Free("keys cost nothing")),
    ("server.login_user.username", Priced::Free("names cost nothing")),
    ("server.metadata", Priced::Free("the metadata service costs nothing")),
    (
        "server.networking.interfaces.interface[].ip_addresses.ip_address[].family",
        Priced::Free("one public IPv4 address is part of a plan with a disk, others cost nothing"),
    ),
    ("server.networking.interfaces.interface[].type", Priced::Free("interfaces cost nothing")),
    ("server.plan", Priced::By(Line::Offer)),
    ("server.storage_devices.storage_device[].action", Priced::Free("what is cloned is the plan's own disk")),
    ("server.storage_devices.storage_device[].size", Priced::By(Line::Offer)),
    ("server.storage_devices.storage_device[].storage", Priced::Free("templates with a licence are refused")),
    ("server.storage_devices.storage_device[].tier", Priced::By(Line::Offer)),
    ("server.storage_devices.storage_device[].title", Priced::Free("names cost nothing")),
    ("server.title", Priced::Free("names cost nothing")),
    ("server.user_data", Priced::Free("data for the first boot cost nothing")),
    ("server.zone", Priced::By(Line::Offer)),
];

impl UpCloud {
    /// Orders the service of a request. Returns its operation.
    pub(super) async fn begin_provision(
        &self,
        request: &ProvisionRequest,
        key: &IdempotencyKey,
    ) -> Result<OperationHandle> {
        let call = Call::Provision;
        let region = self.facts.regions.iter().find(|region| region.id == request.place.region);
        let unknown = || {
            let message =
                format!("{} is not a zone of this cloud; choose a place of its offers", request.place);
            self.invalid_request(call, message)
        };
        let place = self.place_of(region.ok_or_else(unknown)?);
        // A plan includes its disk and one IPv4 address.
        let sold = Sold::on_demand(OfferKind::Machine, &place);
        let is_known = check_settings(request, &self.capabilities);
        is_known.and_then(|()| check_exact(request, &sold)).map_err(|kind| self.error(call, kind))?;
        let server = self.new_server(request, key).await?;
        let ask = Request::post(call, ["server"]).json(&server).for_sku(&request.sku);
        let made: ServerReply = purchase_response(self.client.json(&ask).await)?;
        // A response without the order's key is about something else.
        if key_of(&made.server).as_ref() != Some(key) {
            let uuid = &made.server.uuid;
            let message =
                format!("the response names the server {uuid}, which does not have this order\'s key");
            return Err(self.protocol_error(call, &message));
        }
        Ok(OperationOwner::new(Some(key)).handle(&Handle::Provision { server: made.server.uuid }.text()))
    }

    /// The body that makes a server with its label, in one request.
    async fn new_server(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<Value> {
        let call = Call::Provision;
        let plans = self.plans(call).await?;
        let missing = || self.error(call, ErrorKind::NotFound { what: request.sku.to_string() });
        let plan = plans.get(request.sku.as_str()).ok_or_else(missing)?;
        if plan.storage_size == 0 {
            let message = format!("the plan {} has no disk of its own; choose a plan with one", request.sku);
            return Err(self.invalid_request(call, message));
        }
        let setting = |name: &str| request.setting(name);
        let disk = json!({
            "action": "clone",
            "storage": self.image(request).await?,
            "title": disk_title(key),
            "size": plan.storage_size,
            "tier": plan.storage_tier.as_deref().unwrap_or("maxiops"),
        });
        let face = |kind: &str, family: &str| json!({ "type": kind, "ip_addresses": { "ip_address": [{ "family": family }] } });
        let faces = [face("public", "IPv4"), face("utility", "IPv4"), face("public", "IPv6")];
        let labels = portable::labels_of(&request.settings);
        let labels = labels.iter().map(|(name, value)| json!({ "key": name, "value": value }));
        let labels: Vec<Value> =
            [json!({ "key": KEY_LABEL, "value": key })].into_iter().chain(labels).collect();
        let mut server = json!({
            "title": request.name,
            "hostname": setting("hostname").unwrap_or_else(|| key.to_string()),
            "zone": request.place.region,
            "plan": plan.name,
            "metadata": "yes",
            "labels": { "label": labels },
            "storage_devices": { "storage_device": [disk] },
            "networking": { "interfaces": { "interface": faces } },
        });
        let boot = FirstBoot::of(request, &self.settings.ssh_keys, KeyWords::Keys);
        let keys = boot.map_err(|kind| self.error(call, kind))?.keys;
        if keys.is_empty() && setting("user").is_some() {
            let message = "`user` logs in with `ssh_keys`, and there are none; set `ssh_keys`".to_owned();
            return Err(self.invalid_request(call, message));
        }
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

    /// The image that a request boots. It must be free.
    pub(super) async fn image(&self, request: &ProvisionRequest) -> Result<String> {
        let call = Call::Provision;
        let image = request.setting("image").unwrap_or_else(|| self.settings.image.clone());
        let refuse = |why: &str| {
            let message = format!("the image {image} {why}; choose another `image`");
            self.invalid_request(call, message)
        };
        let image = match System::parse(&image) {
            Some(system) => {
                self.template_of(system).await?.ok_or_else(|| refuse("has no public template here"))?
            }
            None => image,
        };
        let refuse = |why: &str| {
            let message = format!("the image {image} {why}; choose another `image`");
            self.invalid_request(call, message)
        };
        if !is_plain(&image) {
            return Err(refuse("is not the id of a storage"));
        }
        let found = self.storage(call, &image).await?.ok_or_else(|| refuse("does not exist"))?;
        match found.license {
            Some(licence) if !is_zero(&licence) => Err(refuse(&format!(
                "has a licence that is billed by the hour ({licence}), and no line pays for it"
            ))),
            _ => Ok(image),
        }
    }

    /// The id of the public template of a system; none if there are several.
    async fn template_of(&self, system: System<'_>) -> Result<Option<String>> {
        let ask = Request::get(Call::Provision, ["storage", "template"]);
        let templates: Storages = self.client.json(&ask).await?;
        let is_it = |it: &Storage| it.access == "public" && system.is_titled(&it.title);
        let mut found = templates.storages.storage.into_iter().filter(is_it);
        let first = found.next();
        Ok(first.filter(|_| found.next().is_none()).map(|storage| storage.uuid))
    }
}

/// Whether a price is 0. An unreadable price is not.
fn is_zero(price: &Number) -> bool {
    Decimal::from_str_exact(&price.to_string()).is_ok_and(|price| price.is_zero())
}
