//! The order of an instance, and its first start.

use base64::Engine;
use serde_json::{Value, json};

use super::{
    Exoscale, Zone,
    handle::{Handle, InstanceRef},
    offers::{TYPES_FRESH_FOR, sku_of},
    services::key_of,
    wire::{Operation, Template, TemplateReply, Templates},
};
use crate::{
    model::IdempotencyKey,
    provider::{
        Call, ErrorKind, Line, OperationHandle, Priced, ProviderError, ProvisionRequest, Result,
        adapters::{
            common::{CallErrors, KEY_LABEL},
            operation_owner::OperationOwner,
            purchase_outcome::{after_purchase, purchase_response},
        },
        check_settings, find_exact,
        http::{Method, Request},
        portable::{self, FirstBoot, KeyWords, System},
    },
};

/// The price of each field of the body that orders an instance.
pub const FIELDS: &[(&str, Priced)] = &[
    ("auto-start", Priced::Free("it is what is bought")),
    ("disk-size", Priced::By(Line::Disk)),
    ("instance-type.id", Priced::By(Line::Offer)),
    ("labels.*", Priced::Free("labels cost nothing")),
    ("name", Priced::Free("names cost nothing")),
    ("public-ip-assignment", Priced::Free("an instance's own address costs nothing")),
    ("security-groups[].id", Priced::Free("security groups cost nothing")),
    ("ssh-keys[].name", Priced::Free("keys cost nothing")),
    ("template.id", Priced::Free("templates with a licence are refused by their name")),
    ("user-data", Priced::Free("data for the first boot cost nothing")),
];

/// Bytes of an instance's user data; the API counts them in base64.
const MAX_USER_DATA_BYTES: usize = 24 << 10;

impl Exoscale {
    /// Orders the service of a request. Returns its operation.
    pub(super) async fn begin_provision(
        &self,
        request: &ProvisionRequest,
        key: &IdempotencyKey,
    ) -> Result<OperationHandle> {
        let call = Call::Provision;
        check_settings(request, &self.capabilities).map_err(|kind| self.error(call, kind))?;
        let unknown = |_| {
            let message =
                format!("{} is not a zone of this organisation; choose a place of its offers", request.place);
            self.invalid_request(call, message)
        };
        let zone = self.zone(call, request.place.region.as_str()).map_err(unknown)?;
        let offer = find_exact(request, self.listed.iter()).map_err(|kind| self.error(call, kind))?;
        let too_large = || {
            let message = format!("{} GiB is not a valid disk size; ask for less", request.size_gib);
            self.invalid_request(call, message)
        };
        let disk_gib = offer.capacity.disk_gib.checked_add(request.size_gib).ok_or_else(too_large)?;
        let body = self.new_instance(zone, request, disk_gib, key).await?;
        let ask = Request::post(call, ["instance"]).json(&body).for_sku(&request.sku);
        let begun: Operation = purchase_response(zone.client.json(&ask).await)?;
        let nameless = || self.protocol_error(call, &"the operation names no instance");
        let instance = begun.reference.ok_or_else(nameless)?.id;
        let at = InstanceRef { zone: request.place.region.to_string(), instance };
        after_purchase(self.handle(call, &Handle::Provision { at, operation: Some(begun.id) }, Some(key)))
    }

    async fn template_id(&self, zone: &Zone, image: &str) -> Result<String> {
        let is_paid = |name: &str| name.to_ascii_lowercase().contains("windows");
        let paid = || {
            let message =
                format!("the template {image} has a licence that no line pays for; choose another `image`");
            self.invalid_request(Call::Provision, message)
        };
        if uuid::Uuid::parse_str(image).is_ok() {
            // A template that is not found does not exist, and the API refuses its order.
            let ask = Request::get(Call::Provision, ["template", image]);
            let told: Option<TemplateReply> = zone.client.get_optional_with(&ask, async { Ok(()) }).await?;
            return match told {
                Some(told) if is_paid(&told.name) || is_paid(&told.family) => Err(paid()),
                _ => Ok(image.to_owned()),
            };
        }
        if is_paid(image) {
            return Err(paid());
        }
        let ask = Request::get(Call::Provision, ["template"]).query("visibility", "public");
        let templates: Templates = zone.client.json(&ask).await?;
        let templates: Vec<Template> = templates.templates.into_iter().collect();
        let named = templates.iter().find(|template| template.name == image);
        let system = System::parse(image);
        let is_it = |template: &&Template| {
            system.is_some_and(|system| system.is_titled(&template.name)) && !is_paid(&template.name)
        };
        let newest =
            || templates.iter().filter(is_it).max_by(|one, other| one.created_at.cmp(&other.created_at));
        let found = named.or_else(newest);
        let missing = || {
            let message = format!("no template is called {image}; set another `image`");
            self.invalid_request(Call::Provision, message)
        };
        found.map(|template| template.id.clone()).ok_or_else(missing)
    }

    async fn new_instance(
        &self,
        zone: &Zone,
        request: &ProvisionRequest,
        disk_gib: u64,
        key: &IdempotencyKey,
    ) -> Result<Value> {
        let call = Call::Provision;
        let types = self.instance_types(call, zone, TYPES_FRESH_FOR).await?;
        let missing = || self.error(call, ErrorKind::NotFound { what: request.sku.to_string() });
        let kind = types.iter().find(|kind| sku_of(kind) == request.sku.as_str()).ok_or_else(missing)?;
        let invalid = |kind| self.error(call, kind);
        let boot =
            FirstBoot::of(request, &self.settings.ssh_keys, KeyWords::KeysAndNames).map_err(invalid)?;
        let image = request.setting("image").unwrap_or_else(|| self.settings.image.clone());
        let mut labels = portable::labels_of(&request.settings);
        labels.insert(KEY_LABEL.to_owned(), key.to_string());
        let has_address = match request.setting("public_ipv4") {
            Some(text) => self.settings.public_ip && text == "true",
            None => self.settings.public_ip,
        };
        let mut instance = json!({
            "name": request.name,
            "instance-type": { "id": kind.id },
            "template": { "id": self.template_id(zone, &image).await? },
            "disk-size": disk_gib,
            "labels": labels,
            "public-ip-assignment": if has_address { "inet4" } else { "none" },
            "auto-start": true,
        });
        if !boot.named_keys.is_empty() {
            instance["ssh-keys"] = boot.named_keys.iter().map(|name| json!({ "name": name })).collect();
        }
        if let Some(groups) = request.setting_list("security_groups") {
            instance["security-groups"] = groups.iter().map(|id| json!({ "id": id })).collect();
        }
        if let Some(data) = boot.document(MAX_USER_DATA_BYTES).map_err(invalid)? {
            instance["user-data"] = json!(base64::engine::general_purpose::STANDARD.encode(data));
        }
        Ok(instance)
    }

    /// Starts a new instance that is off: its own start has failed.
    pub(super) async fn first_start(&self, at: &InstanceRef, owner: &OperationOwner) -> Result<()> {
        let Some(instance) = self.instance(Call::Poll, at).await? else { return Ok(()) };
        if instance.state != "stopped" || !owner.owns(key_of(&instance).as_ref()) {
            return Ok(());
        }
        let name = format!("{}:start", at.instance);
        let ask = Request::new(Call::Act, Method::PUT, ["instance", &name]).json(&json!({}));
        match self.zone(Call::Poll, &at.zone)?.client.send_ok(&ask).await {
            Err(error) if !matches!(error.kind, ErrorKind::Conflict { .. } | ErrorKind::Ambiguous) => {
                Err(ProviderError { call: Call::Poll, ..error })
            }
            _ => Ok(()),
        }
    }
}
