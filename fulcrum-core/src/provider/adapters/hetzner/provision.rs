//! The order of a server, and its first start.

use serde_json::json;

use super::{
    Hetzner,
    handle::{Handle, number},
    offers,
    services::key_of,
    wire::{CreatedServer, Firewall, NewServer, PublicNet, Server},
};
use crate::{
    model::{IdempotencyKey, OfferKind, Shortage},
    provider::{
        Call, ErrorKind, Line, OperationHandle, OperationStatus, Priced, ProviderError, ProvisionRequest,
        Result, Sold,
        adapters::{
            common::{CallErrors, KEY_LABEL, RUNNING, failed, failed_for},
            operation_owner::OperationOwner,
            purchase_outcome::{after_purchase, purchase_response},
        },
        check_exact, check_settings, find_exact,
        http::Request,
        portable::{self, FirstBoot, KeyWords, System},
    },
};

/// The price of each field of the body that orders a server.
pub const FIELDS: &[(&str, Priced)] = &[
    ("firewalls[].firewall", Priced::Free("firewalls cost nothing")),
    ("image", Priced::Free("images, also snapshots, are booted for nothing")),
    ("labels.*", Priced::Free("labels cost nothing")),
    ("location", Priced::By(Line::Offer)),
    ("name", Priced::Free("names cost nothing")),
    ("networks[]", Priced::Free("private networks cost nothing")),
    ("placement_group", Priced::Free("placement groups cost nothing")),
    ("public_net.enable_ipv4", Priced::By(Line::Address)),
    ("public_net.enable_ipv6", Priced::Free("IPv6 networks cost nothing")),
    ("server_type", Priced::By(Line::Offer)),
    ("ssh_keys[]", Priced::Free("keys cost nothing")),
    ("start_after_create", Priced::Free("a server costs the same, on or off")),
    ("user_data", Priced::Free("data for the first boot cost nothing")),
];

/// Bytes of a server's user data.
const MAX_USER_DATA_BYTES: usize = 32 << 10;

impl Hetzner {
    /// Checks that a request is for exactly one offer of this adapter.
    fn check_request(&self, request: &ProvisionRequest) -> Result<(), ErrorKind> {
        let has_address = self.has_address(request)?;
        if self.is_table {
            return find_exact(request, self.listed.iter()).map(drop);
        }
        let place = self.places.iter().find(|place| place.region == request.place.region);
        let unknown = || {
            let message =
                format!("{} is not a location of this cloud; choose a place of its offers", request.place);
            ErrorKind::InvalidRequest { message }
        };
        let (address, mut sold) =
            (offers::ipv4(), Sold::on_demand(OfferKind::Machine, place.ok_or_else(unknown)?));
        sold.surcharges.extend(has_address.then_some(&address));
        check_exact(request, &sold)
    }

    /// Whether the server of a request gets an IPv4 address.
    fn has_address(&self, request: &ProvisionRequest) -> Result<bool, ErrorKind> {
        portable::has_address(request, self.settings.public_ipv4)
            .map_err(|message| ErrorKind::InvalidRequest { message })
    }

    /// The name or id of the image that a request boots.
    pub(super) fn image_of(&self, request: &ProvisionRequest) -> String {
        let image = request.setting("image").unwrap_or_else(|| self.settings.image.clone());
        match System::parse(&image) {
            Some(System { id: "almalinux", version }) => format!("alma-{version}"),
            Some(System { id: "centos", version }) => format!("centos-stream-{version}"),
            _ => image,
        }
    }

    /// The body that makes a server.
    fn new_server<'a>(
        &'a self,
        request: &'a ProvisionRequest,
        key: &'a IdempotencyKey,
    ) -> Result<NewServer<'a>> {
        let call = Call::Provision;
        let numbers = |name: &str| -> Result<Vec<u64>> {
            let wrong = || {
                self.invalid_request(
                    call,
                    format!("`{name}` is not a list of numbers; write ids, separated by commas"),
                )
            };
            let words = request.setting_list(name).unwrap_or_default();
            words.iter().map(|word| number(word).ok_or_else(wrong)).collect()
        };
        let boot = FirstBoot::of(request, &self.settings.ssh_keys, KeyWords::KeysAndNames);
        let invalid = |kind| self.error(call, kind);
        let boot = boot.map_err(invalid)?;
        let mut labels = portable::labels_of(&request.settings);
        labels.insert(KEY_LABEL.to_owned(), key.to_string());
        // This label is for people; a label takes few characters.
        let name: String =
            request.name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(60).collect();
        let name = name.trim_matches('-');
        if !name.is_empty() {
            labels.insert("fulcrum-name".to_owned(), name.to_owned());
        }
        let has_address = self.has_address(request).map_err(invalid)?;
        if has_address != self.settings.public_ipv4 {
            labels.insert(portable::NO_ADDRESS_LABEL.to_owned(), String::new());
        }
        let placement_group = match numbers("placement_group")?.as_slice() {
            [] => None,
            [one] => Some(*one),
            _ => {
                let message = "`placement_group` has several ids; a server is in one group at most";
                return Err(self.invalid_request(call, message.to_owned()));
            }
        };
        Ok(NewServer {
            name: key.as_str(),
            server_type: portable::machine_type(&request.sku),
            image: self.image_of(request),
            location: request.place.region.as_str(),
            start_after_create: true,
            labels,
            public_net: PublicNet { enable_ipv4: has_address, enable_ipv6: true },
            user_data: boot.document(MAX_USER_DATA_BYTES).map_err(invalid)?,
            ssh_keys: boot.named_keys,
            networks: numbers("networks")?,
            firewalls: numbers("firewalls")?.into_iter().map(|firewall| Firewall { firewall }).collect(),
            placement_group,
        })
    }

    /// The operation of an existing server, if the same request has made it.
    fn existing_server(
        &self,
        request: &ProvisionRequest,
        key: &IdempotencyKey,
        there: &Server,
    ) -> Result<OperationHandle> {
        let call = Call::Provision;
        let service = self.service(call, there)?;
        let is_it = service.key.as_ref() == Some(key)
            && service.sku == request.sku
            && service.place.region == request.place.region;
        if is_it && there.status != "deleting" {
            let handle = Handle::Provision { server: there.id, actions: Vec::new() };
            return Ok(OperationOwner::new(Some(key)).handle(&handle.text()));
        }
        let message = format!(
            "the server {} has this order\'s name or label, and is not this order\'s; rename it",
            there.id
        );
        Err(self.error(call, ErrorKind::Conflict { message }))
    }

    /// Orders the service of a request. Returns its operation.
    pub(super) async fn begin_provision(
        &self,
        request: &ProvisionRequest,
        key: &IdempotencyKey,
    ) -> Result<OperationHandle> {
        let call = Call::Provision;
        let is_known = check_settings(request, &self.capabilities);
        is_known.and_then(|()| self.check_request(request)).map_err(|kind| self.error(call, kind))?;
        let server = self.new_server(request, key)?;
        // If a person has renamed the server, its name is free and does not prevent a second one.
        if let Some(there) = self.server_by_label(call, key).await? {
            return self.existing_server(request, key, &there);
        }
        let ask = Request::post(call, ["servers"]).json(&server).for_sku(&request.sku);
        match self.client.json::<CreatedServer>(&ask).await {
            // A response without the order's key is about something else.
            Ok(CreatedServer { server, .. }) if key_of(&server).as_ref() != Some(key) => {
                let message = format!(
                    "the response names the server {}, which does not have this order\'s key",
                    server.id
                );
                Err(self.protocol_error(call, &message))
            }
            Ok(CreatedServer { server, action, next_actions }) => {
                let actions = [action].into_iter().chain(next_actions).map(|action| action.id).collect();
                let handle = Handle::Provision { server: server.id, actions };
                Ok(OperationOwner::new(Some(key)).handle(&handle.text()))
            }
            // The name is taken: by the server of an earlier, equal request, or by another one.
            Err(error) if matches!(error.kind, ErrorKind::Conflict { .. }) => {
                match after_purchase(self.server_by_name(call, key).await)? {
                    // A foreign server has the name, so none was made.
                    Some(there) if key_of(&there).as_ref() != Some(key) => {
                        self.existing_server(request, key, &there)
                    }
                    Some(there) => after_purchase(self.existing_server(request, key, &there)),
                    // The order's own server may exist and not be listed yet.
                    None => purchase_response(Err(error)),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// How far a purchase is. A server that is off is started: its own start may have failed without a word.
    pub(super) async fn poll_provision(
        &self,
        server: u64,
        owner: &OperationOwner,
    ) -> Result<OperationStatus> {
        let server = match self.idle_server(server, owner).await? {
            Ok(server) => server,
            Err(status) => return Ok(status),
        };
        match server.status.as_str() {
            "running" => Ok(OperationStatus::Succeeded(Some(self.service(Call::Poll, &server)?))),
            "off" => match self.post_action(server.id, "poweron", &json!({})).await {
                Ok(_) => Ok(RUNNING),
                Err(error) => match error.kind {
                    ErrorKind::Conflict { .. } | ErrorKind::Ambiguous => Ok(RUNNING),
                    ErrorKind::CapacityExhausted { .. } => {
                        Ok(failed_for("the type is sold out in this location", Shortage::SoldOut))
                    }
                    _ => Err(ProviderError { call: Call::Poll, ..error }),
                },
            },
            "deleting" => Ok(failed("the server is being deleted")),
            _ => Ok(RUNNING),
        }
    }
}
