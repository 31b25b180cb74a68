//! What a server's order names and nova would look up: key pair and security groups; and the project's limits.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use super::OpenStack;
use crate::{
    model::{OfferKind, RegionId},
    provider::{
        Call, ErrorKind, ProvisionRequest, Result,
        adapters::{common::CallErrors, dry_run::DryRun},
        http::Request,
    },
};

#[derive(Deserialize)]
struct LimitsReply {
    limits: Limits,
}

#[derive(Deserialize)]
struct Limits {
    absolute: Absolute,
}

/// Nova's limits of a project; a negative one is none.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Absolute {
    max_total_instances: i64,
    total_instances_used: i64,
    max_total_cores: i64,
    total_cores_used: i64,
    #[serde(rename = "maxTotalRAMSize")]
    max_total_ram: i64,
    #[serde(rename = "totalRAMUsed")]
    total_ram_used: i64,
}

#[derive(Deserialize)]
struct SecurityGroups {
    security_groups: Vec<Value>,
}

impl OpenStack {
    async fn check_keypair(&self, region: &RegionId, name: &str) -> Result<()> {
        let call = Call::DryRun;
        let compute = self.cloud.compute(region, call).await?;
        let ask = compute.with_version(Request::get(call, ["os-keypairs", name]));
        // Nothing is bought then, whoever sent the 404.
        match compute.client.get_optional_with::<Value>(&ask, async { Ok(()) }).await? {
            Some(_) => Ok(()),
            None => {
                let message = format!("no key pair is called {name} in {region}; set another `key_name`");
                Err(self.cloud.invalid_request(Call::Provision, message))
            }
        }
    }

    async fn check_security_group(&self, region: &RegionId, name: &str) -> Result<()> {
        let call = Call::DryRun;
        let (neutron, mut path) = self.cloud.versioned(region, "network", "v2.0", call).await?;
        path.push("security-groups");
        let field = if uuid::Uuid::parse_str(name).is_ok() { "id" } else { "name" };
        // An administrator sees the groups of all projects.
        let project = self.cloud.project(call).await?;
        let ask =
            Request::get(call, path).query(field, name).query("project_id", project).query("fields", "id");
        let found: SecurityGroups = neutron.json(&ask).await?;
        match found.security_groups.as_slice() {
            [_] => Ok(()),
            [] => {
                let message =
                    format!("no security group is called {name} in {region}; change `security_groups`");
                Err(self.cloud.invalid_request(Call::Provision, message))
            }
            several => {
                let message =
                    format!("{} security groups are called {name}; write the id of one", several.len());
                Err(self.cloud.invalid_request(Call::Provision, message))
            }
        }
    }
}

#[async_trait]
impl DryRun for OpenStack {
    async fn look_up(&self, request: &ProvisionRequest) -> Result<()> {
        if request.kind != OfferKind::Machine {
            return Ok(());
        }
        let (region, config) = (&request.place.region, &self.cloud.config);
        if let Some(name) = request.setting("key_name").or_else(|| config.key_name.clone()) {
            self.check_keypair(region, &name).await?;
        }
        if let Some(groups) = request.setting("security_groups").or_else(|| config.security_groups.clone()) {
            for name in groups.split(',') {
                self.check_security_group(region, name.trim()).await?;
            }
        }
        Ok(())
    }

    async fn check_limits(&self, requests: &[&ProvisionRequest]) -> Result<()> {
        let call = Call::DryRun;
        let mut wanted: BTreeMap<&RegionId, [i64; 3]> = BTreeMap::new();
        for request in requests.iter().filter(|request| request.kind == OfferKind::Machine) {
            let region = &request.place.region;
            let flavor = self.cloud.flavor(region, &request.sku, call).await?;
            let needs = [1, flavor.vcpus.into(), i64::try_from(flavor.ram).unwrap_or(i64::MAX)];
            let sum = wanted.entry(region).or_default();
            for (sum, need) in sum.iter_mut().zip(needs) {
                *sum = sum.saturating_add(need);
            }
        }
        for (region, wanted) in wanted {
            let compute = self.cloud.compute(region, call).await?;
            let reply: LimitsReply =
                compute.client.json(&compute.with_version(Request::get(call, ["limits"]))).await?;
            let limits = reply.limits.absolute;
            let rows = [
                ("instances", limits.total_instances_used, limits.max_total_instances),
                ("cores", limits.total_cores_used, limits.max_total_cores),
                ("MiB of memory", limits.total_ram_used, limits.max_total_ram),
            ];
            for ((what, used, most), wanted) in rows.into_iter().zip(wanted) {
                if most >= 0 && used.saturating_add(wanted) > most {
                    let quota =
                        format!("{what} ({used} of {most} are used in {region}, {wanted} are wanted)");
                    return Err(self.cloud.error(Call::Provision, ErrorKind::QuotaExceeded { quota }));
                }
            }
        }
        Ok(())
    }
}
