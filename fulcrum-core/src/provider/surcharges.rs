//! Surcharges: what an adapter orders together with a machine, as lines of the offer.
#![cfg_attr(not(feature = "adapters"), allow(dead_code, reason = "each adapter needs a part of it"))]

use std::sync::{Arc, Mutex, PoisonError};

use super::RejectedRow;
use crate::model::{
    Charge, ElasticDisk, Offer, OfferKind, Place, Price, PurchaseOption, Resources, Surcharge, Tax, weakest,
};

/// The public IPv4 address that a table prices at a place: its row of kind `public_ip` with `version=4`, also one that
/// is free.
pub(crate) fn ipv4_of<'a>(listed: &'a [Offer], place: &Place) -> Option<&'a Offer> {
    let is_it = |offer: &&Offer| {
        offer.kind == OfferKind::PublicIp
            && offer.place.region == place.region
            && (offer.place.zone.is_none() || offer.place.zone == place.zone)
            && offer.price.purchase_option == PurchaseOption::OnDemand
            && offer.attributes.get("version").is_some_and(|version| version == "4")
            && !matches!(offer.price.charge, Charge::PerUnit { .. })
    };
    listed.iter().find(is_it)
}

/// Why a machine is left out if no row prices its address.
pub(crate) const NO_ADDRESS: &str = "it gets an IPv4 address, and the price table has no row of kind `public_ip` with \
    `version=4` for its region; add one (0 if it is free), or configure machines without one";

/// The offer with a table's row as one more line.
pub(crate) fn with_row(offer: Offer, row: &Offer) -> Offer {
    let provenance = weakest(&offer.provenance, &row.provenance);
    let surcharge = Surcharge { sku: row.sku.clone(), price: row.price.clone() };
    with(Offer { provenance, ..offer }, surcharge)
}

/// The offer with one more line of the same list.
pub(crate) fn with(offer: Offer, surcharge: Surcharge) -> Offer {
    let surcharges = offer.surcharges.iter().cloned().chain([surcharge]).collect();
    Offer { surcharges: Arc::new(surcharges), ..offer }
}

/// A machine with a disk by size and a minimum of `gib`: the minimum is part of its capacity and a line of the offer. `None` if
/// the minimum cannot be priced.
pub(crate) fn with_least_disk(offer: Offer, gib: u64, paid_gib: u64) -> Option<Offer> {
    let Some(disk) = offer.elastic_disk.clone().filter(|_| offer.capacity.disk_gib == 0) else {
        return Some(offer);
    };
    let surcharge = least_disk(&disk, paid_gib)?;
    let capacity = Resources { disk_gib: gib, ..offer.capacity.clone() };
    Some(with(Offer { capacity, ..offer }, surcharge))
}

/// The line of the least size of a disk. `None` if it cannot be priced.
pub(crate) fn least_disk(disk: &ElasticDisk, gib: u64) -> Option<Surcharge> {
    let monthly = disk.price.net_month(gib)?;
    let once = disk.price.net_once()?;
    let price = Price { charge: Charge::Monthly(monthly), once, tax: Tax::Net, ..disk.price.clone() };
    Some(Surcharge { sku: disk.sku.clone(), price })
}

/// Rows rejected from the last list of offers. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rejections(Arc<Mutex<Vec<RejectedRow>>>);

impl Rejections {
    pub(crate) fn new(rows: Vec<RejectedRow>) -> Self {
        Self(Arc::new(Mutex::new(rows)))
    }

    pub(crate) fn set(&self, rows: Vec<RejectedRow>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = rows;
    }

    pub(crate) fn add(&self, rows: impl IntoIterator<Item = RejectedRow>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(rows);
    }

    pub(crate) fn get(&self) -> Vec<RejectedRow> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
