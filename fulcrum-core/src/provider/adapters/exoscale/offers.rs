//! Offers: rows of the price table that a zone has.

use std::time::Duration;

use futures::{FutureExt, TryStreamExt, stream};

use super::{
    Exoscale, Zone,
    wire::{InstanceType, InstanceTypes},
};
use crate::{
    model::{Offer, Resources},
    provider::{
        Call, OfferFilter, OfferStream, Result,
        http::{Request, bounded},
        portable::{with_media, without_word_of_address},
        surcharges::with_least_disk,
    },
};

/// The least disk of a machine, in GiB. It is billed, so it is a line of each machine whose disk is bought by size.
const MIN_DISK_GIB: u64 = 10;
/// The age at which the list of types is read again.
pub(super) const TYPES_FRESH_FOR: Duration = Duration::from_secs(60);

impl Exoscale {
    pub(super) async fn instance_types(
        &self,
        call: Call,
        zone: &Zone,
        fresh_for: Duration,
    ) -> Result<Vec<InstanceType>> {
        let request = Request::get(call, ["instance-type"]);
        let (response, _) = zone.cache.fetch(&zone.client, &request, fresh_for).await?;
        Ok(response.json::<InstanceTypes>()?.instance_types.into_iter().collect())
    }

    /// The table's rows of a zone that the zone has, in the zone's sizes.
    async fn zone_offers(&self, zone: &Zone) -> Result<Vec<Offer>> {
        let types = self.instance_types(Call::Offers, zone, Duration::ZERO).await?;
        let here = self.listed.iter().filter(|offer| offer.place.region == zone.place.region);
        let there = here.filter_map(|offer| {
            let kind = types.iter().find(|kind| sku_of(kind) == offer.sku.as_str() && kind.authorized)?;
            let is_here =
                kind.zones.is_empty() || kind.zones.iter().any(|name| name == zone.place.region.as_str());
            let capacity = Resources {
                vcpu_milli: kind.cpus.saturating_mul(1000),
                memory_mib: kind.memory >> 20,
                gpu: kind.gpus,
                ..offer.capacity.clone()
            };
            is_here.then(|| Offer { capacity, ..offer.clone() })
        });
        Ok(there.collect())
    }

    /// All offers that pass the filter.
    pub(super) fn list_offers(&self, filter: &OfferFilter) -> OfferStream {
        let (this, filter) = (self.clone(), filter.clone());
        let list = async move {
            let wanted =
                |zone: &&Zone| filter.regions.is_empty() || filter.regions.contains(&zone.place.region);
            let lists = this.zones.values().filter(wanted).map(|zone| this.zone_offers(zone));
            let all = futures::future::try_join_all(lists).await?.into_iter().flatten();
            Ok(stream::iter(all.filter(|offer| filter.admits(offer)).map(Ok).collect::<Vec<_>>()))
        };
        bounded(&self.id, Call::Offers, list.into_stream().try_flatten())
    }
}

/// A machine of the table with its least disk.
pub(super) fn with_disk(offer: Offer) -> Result<Offer, String> {
    // Local disks are SSDs.
    let offer = without_word_of_address(with_media(offer, "ssd"));
    match (offer.capacity.disk_gib, &offer.elastic_disk) {
        (0, None) => {
            Err("its disk has no price: the price table has no block storage in its zone".to_owned())
        }
        (0, Some(_)) => with_least_disk(offer, MIN_DISK_GIB, MIN_DISK_GIB)
            .ok_or_else(|| "its least disk cannot be priced".to_owned()),
        (MIN_DISK_GIB.., _) => Ok(offer),
        (gib, _) => Err(format!("its disk of {gib} GiB is less than the least, {MIN_DISK_GIB} GiB")),
    }
}

pub(super) fn sku_of(kind: &InstanceType) -> String {
    format!("{}.{}", kind.family, kind.size)
}
