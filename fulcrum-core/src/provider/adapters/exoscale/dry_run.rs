//! What an instance's order names and the API would look up: keys and security groups; and the organisation's quota.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use super::Exoscale;
use crate::provider::{
    Call, ErrorKind, ProvisionRequest, Result,
    adapters::{common::CallErrors, dry_run::DryRun},
    http::Request,
    portable::{FirstBoot, KeyWords},
};

/// The quota of a kind of resource.
#[derive(Deserialize)]
struct Quota {
    #[serde(default)]
    usage: i64,
    /// -1 for none.
    limit: i64,
}

#[async_trait]
impl DryRun for Exoscale {
    async fn look_up(&self, request: &ProvisionRequest) -> Result<()> {
        let zone = self.zone(Call::DryRun, request.place.region.as_str())?;
        let boot = FirstBoot::of(request, &self.settings.ssh_keys, KeyWords::KeysAndNames);
        let keys = boot.map_err(|kind| self.error(Call::Provision, kind))?.named_keys;
        let groups = request.setting_list("security_groups").unwrap_or_default();
        let keys = keys.into_iter().map(|key| ("ssh-key", "ssh_keys", key));
        let groups = groups.into_iter().map(|group| ("security-group", "security_groups", group));
        for (path, setting, name) in keys.chain(groups) {
            let ask = Request::get(Call::DryRun, [path, &name]);
            // Nothing is bought then, whoever sent the 404.
            if zone.client.get_optional_with::<Value>(&ask, async { Ok(()) }).await?.is_none() {
                let message = format!("`{setting}` names {name}, which is not in this organisation");
                return Err(self.invalid_request(Call::Provision, format!("{message}; choose another one")));
            }
        }
        Ok(())
    }

    async fn check_limits(&self, requests: &[&ProvisionRequest]) -> Result<()> {
        let mut wanted: BTreeMap<&str, i64> = BTreeMap::new();
        for request in requests {
            *wanted.entry(request.place.region.as_str()).or_default() += 1;
        }
        for (region, wanted) in wanted {
            let ask = Request::get(Call::DryRun, ["quota", "instance"]);
            let quota: Quota = self.zone(Call::DryRun, region)?.client.json(&ask).await?;
            if quota.limit >= 0 && quota.usage.saturating_add(wanted) > quota.limit {
                let quota =
                    format!("instances ({} of {} are used, {wanted} are wanted)", quota.usage, quota.limit);
                return Err(self.error(Call::Provision, ErrorKind::QuotaExceeded { quota }));
            }
        }
        Ok(())
    }
}
