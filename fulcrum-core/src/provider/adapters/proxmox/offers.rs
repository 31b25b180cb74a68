//! Offers: rows of the price table that the cluster has room for.

use std::collections::BTreeMap;

use super::{Proxmox, wire::Resource};
use crate::{
    model::{Offer, OfferKind, RegionId, SkuId},
    provider::{Call, ErrorKind, OfferFilter, Result, adapters::common::CallErrors},
};

impl Proxmox {
    /// The table's offers, with the stock that the cluster has memory for.
    pub(super) async fn list_offers(&self, filter: &OfferFilter) -> Result<Vec<Offer>> {
        let resources = self.resources(Call::Offers).await?;
        let with_stock = |offer: &Offer| {
            let memory = offer.capacity.memory_mib.saturating_mul(1 << 20).max(1);
            let room = self.free_memory(&offer.place.region, &resources);
            let left: u64 = room.values().map(|room| room / memory).sum();
            let left = u32::try_from(left).unwrap_or(u32::MAX);
            Offer { stock: Some(offer.stock.map_or(left, |stock| stock.min(left))), ..offer.clone() }
        };
        Ok(self.listed.iter().filter(|offer| filter.admits(offer)).map(with_stock).collect())
    }

    /// The offer of a SKU in a region.
    pub(super) fn offer_of(&self, call: Call, sku: &SkuId, region: &RegionId) -> Result<&Offer> {
        let is_it = |offer: &&Offer| {
            offer.kind == OfferKind::Machine && offer.sku == *sku && offer.place.region == *region
        };
        let missing = || self.error(call, ErrorKind::NotFound { what: format!("{sku} in {region}") });
        self.listed.iter().find(is_it).ok_or_else(missing)
    }

    /// The bytes of memory that each online node of a region has left for machines.
    pub(super) fn free_memory<'a>(
        &'a self,
        region: &RegionId,
        resources: &'a [Resource],
    ) -> BTreeMap<&'a str, u64> {
        let names = self.config.nodes.get(region).map(Vec::as_slice).unwrap_or_default();
        let nodes = resources.iter().filter(|it| it.kind == "node" && it.status == "online");
        let room = nodes.filter(|it| names.contains(&it.node)).map(|node| {
            let all = u128::from(node.maxmem) * u128::from(self.config.memory_percent) / 100;
            let is_here = |it: &&Resource| {
                matches!(it.kind.as_str(), "qemu" | "lxc") && it.node == node.node && it.template == 0
            };
            let used = resources.iter().filter(is_here).map(|it| u128::from(it.maxmem)).sum::<u128>();
            (node.node.as_str(), u64::try_from(all.saturating_sub(used)).unwrap_or(u64::MAX))
        });
        room.collect()
    }
}
