//! What a server's order names and the API would look up: image, keys, networks, firewalls, placement group.

use async_trait::async_trait;
use serde_json::Value;

use super::Hetzner;
use crate::provider::{
    Call, ProvisionRequest, Result,
    adapters::{common::CallErrors, dry_run::DryRun},
    http::Request,
    portable::{FirstBoot, KeyWords},
};

impl Hetzner {
    /// Checks that a list has something of this id, or of this name.
    async fn must_exist(&self, list: &str, setting: &str, wanted: &str) -> Result<()> {
        let call = Call::DryRun;
        let is_id = !wanted.is_empty() && wanted.bytes().all(|byte| byte.is_ascii_digit());
        let by_id = Request::get(call, [list, wanted]);
        // A name may have digits alone, too.
        let is_there = match is_id && self.client.get_optional::<Value>(&by_id).await?.is_some() {
            true => true,
            false => {
                let found: Value =
                    self.client.json(&Request::get(call, [list]).query("name", wanted)).await?;
                let rows = found.get(list).and_then(Value::as_array);
                let rows =
                    rows.ok_or_else(|| self.protocol_error(call, &format!("the field `{list}` is missing")))?;
                !rows.is_empty()
            }
        };
        match is_there {
            true => Ok(()),
            false => Err(self.invalid_request(
                Call::Provision,
                format!("`{setting}` names {wanted}, which is not in this project; choose another one"),
            )),
        }
    }
}

#[async_trait]
impl DryRun for Hetzner {
    async fn look_up(&self, request: &ProvisionRequest) -> Result<()> {
        self.must_exist("images", "image", &self.image_of(request)).await?;
        let boot = FirstBoot::of(request, &self.settings.ssh_keys, KeyWords::KeysAndNames);
        for key in boot.map_err(|kind| self.error(Call::Provision, kind))?.named_keys {
            self.must_exist("ssh_keys", "ssh_keys", &key).await?;
        }
        for (list, setting) in
            [("networks", "networks"), ("firewalls", "firewalls"), ("placement_groups", "placement_group")]
        {
            for id in request.setting_list(setting).unwrap_or_default() {
                self.must_exist(list, setting, &id).await?;
            }
        }
        Ok(())
    }
}
