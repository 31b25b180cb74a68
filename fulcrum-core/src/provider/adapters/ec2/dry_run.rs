//! What a machine's order names and the API would look up: key, security groups, subnet.
//!
//! The parameter `DryRun` of the purchase itself is not used: a cloud that does not know it would buy.

use async_trait::async_trait;

use super::{Ec2, client::query};
use crate::{
    model::OfferKind,
    provider::{Call, ErrorKind, ProviderError, ProvisionRequest, Result, adapters::dry_run::DryRun},
};

#[async_trait]
impl DryRun for Ec2 {
    async fn look_up(&self, request: &ProvisionRequest) -> Result<()> {
        // Other kinds name nothing that is looked up.
        if request.kind != OfferKind::Machine {
            return Ok(());
        }
        let (call, config) = (Call::DryRun, &self.cloud.config);
        let client = self.cloud.client(&request.place.region, call)?;
        let setting =
            |name: &str, otherwise: &Option<String>| request.setting(name).or_else(|| otherwise.clone());
        let mut asked = Vec::new();
        if let Some(key) = setting("key_name", &config.key_name) {
            asked.push(query(call, "DescribeKeyPairs").query("KeyName.1", key));
        }
        if let Some(groups) = setting("security_groups", &config.security_groups) {
            let groups = groups.split(',').zip(1..);
            let ask = query(call, "DescribeSecurityGroups");
            let named = |ask: crate::provider::http::Request, (group, at): (&str, i32)| {
                ask.query(&format!("GroupId.{at}"), group.trim())
            };
            asked.push(groups.fold(ask, named));
        }
        if let Some(subnet) = setting("subnet", &config.subnet) {
            asked.push(query(call, "DescribeSubnets").query("SubnetId.1", subnet));
        }
        for ask in asked {
            // A cloud that does not know the question says nothing about the purchase.
            let is_unknown = |error: &ProviderError| matches!(&error.kind, ErrorKind::InvalidRequest { message } if message.starts_with("InvalidAction"));
            let refused = |error: ProviderError| match is_unknown(&error) {
                true => ProviderError { kind: ErrorKind::Unsupported, ..error },
                false => ProviderError { call: Call::Provision, ..error },
            };
            client.send_ok(&ask).await.map_err(refused)?;
        }
        Ok(())
    }
}
