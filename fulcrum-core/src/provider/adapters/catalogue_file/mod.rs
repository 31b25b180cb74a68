//! Offers from a file, to compare prices with. They cannot be bought.

use std::path::Path;

use futures::{StreamExt, stream};

use crate::{
    model::{Offer, ProviderId},
    provider::{
        Capabilities, OfferFilter, OfferStream, Provider, RejectedRow,
        table::{Table, TableError},
    },
};

/// One provider of a catalogue file.
#[derive(Debug)]
pub struct CatalogueFile {
    id: ProviderId,
    capabilities: Capabilities,
    offers: Vec<Offer>,
    rejected: Vec<RejectedRow>,
}

impl CatalogueFile {
    /// Opens a file or folder; see [`Table::load`]. One provider each.
    ///
    /// # Errors
    /// [`TableError`] names file and line.
    pub fn open(path: &Path) -> Result<Vec<Self>, TableError> {
        let tables = Table::load(path)?;
        Ok(tables
            .into_iter()
            .map(|table| Self {
                id: table.provider.clone(),
                capabilities: Capabilities::offers_only(),
                rejected: table.rejected.clone(),
                offers: table.into_listed(),
            })
            .collect())
    }

    /// The number of its offers.
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code, reason = "counted by documents of federations"))]
    pub(crate) fn listed(&self) -> usize {
        self.offers.len()
    }
}

impl Provider for CatalogueFile {
    fn id(&self) -> &ProviderId {
        &self.id
    }
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }
    fn offers(&self, filter: &OfferFilter) -> OfferStream {
        let offers: Vec<_> =
            self.offers.iter().filter(|offer| filter.admits(offer)).cloned().map(Ok).collect();
        stream::iter(offers).boxed()
    }
    fn rejected(&self) -> Vec<RejectedRow> {
        self.rejected.clone()
    }
}
