//! Collects offers and freezes them into a snapshot.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{AgeLimits, Catalogue, Rates, SourceReport, declared::Declared};
use crate::{
    model::{DeclaredSettings, Offer, OfferId, OfferKind, ProviderId},
    provider::{
        RejectedRow,
        table::{Quarantined, quarantine_reason},
    },
};

/// Collects offers for a [`Catalogue`].
///
/// ```
/// use fulcrum_core::catalogue::{CatalogueBuilder, Rates};
/// let catalogue = CatalogueBuilder::new(jiff::Timestamp::UNIX_EPOCH, Rates::none()).build();
/// assert!(catalogue.is_empty());
/// ```
#[derive(Debug)]
pub struct CatalogueBuilder {
    taken_at: Timestamp,
    rates: Rates,
    offers: Vec<Offer>,
    quarantined: Vec<Quarantined>,
    sources: Vec<SourceReport>,
    declared: Declared,
    ages: Option<AgeLimits>,
    refused_rates: Option<String>,
}

impl CatalogueBuilder {
    /// An empty builder. Ages and validities are counted from `taken_at`, the time of the snapshot.
    pub fn new(taken_at: Timestamp, rates: Rates) -> Self {
        let (offers, quarantined, sources) = (Vec::new(), Vec::new(), Vec::new());
        let (declared, ages, refused_rates) = (Declared::default(), None, None);
        Self { taken_at, rates, offers, quarantined, sources, declared, ages, refused_rates }
    }

    /// Leaves out rates, lists and table prices that are too old at the time of the snapshot. Call it first.
    #[must_use]
    pub(super) fn with_age_limits(mut self, ages: AgeLimits) -> Self {
        self.ages = Some(ages);
        let refused = ages.rates_too_old(&self.rates, self.taken_at);
        self.without_rates(refused)
    }

    /// Drops the exchange rates, if there is a reason.
    #[must_use]
    pub(super) fn without_rates(mut self, reason: Option<String>) -> Self {
        if reason.is_some() {
            (self.rates, self.refused_rates) = (self.rates.cleared(), reason);
        }
        self
    }

    /// Declares the settings that a provider takes; without a declaration it accepts any.
    pub fn declare_settings(&mut self, provider: ProviderId, settings: DeclaredSettings) {
        self.declared.settings.insert(provider, settings);
    }

    /// Declares the attributes that a provider tells of a service, by kind of product, besides `id`; without a declaration nobody
    /// knows before the purchase.
    pub fn declare_attributes(
        &mut self,
        provider: ProviderId,
        attributes: BTreeMap<OfferKind, BTreeSet<String>>,
    ) {
        self.declared.attributes.insert(provider, attributes);
    }

    /// Declares the secrets that a provider tells of a service, by kind of product.
    pub fn declare_secrets(&mut self, provider: ProviderId, secrets: BTreeMap<OfferKind, BTreeSet<String>>) {
        self.declared.secrets.insert(provider, secrets);
    }

    /// The declarations of an earlier snapshot.
    pub(super) fn declare_all(&mut self, declared: Declared) {
        self.declared = declared;
    }

    /// Declares that a provider sells what it offers. As soon as one does, plans use only offers of such providers, unless
    /// their caller says otherwise.
    pub fn declare_seller(&mut self, provider: ProviderId) {
        self.declared.sellers.insert(provider);
    }

    /// Declares kinds of product that a provider does not sell, as its adapter was tried for them against documents alone.
    pub fn declare_not_accepted(&mut self, provider: ProviderId, kinds: BTreeSet<OfferKind>) {
        self.declared.not_accepted.insert(provider, kinds);
    }

    /// Adds a report unchanged.
    pub(super) fn add_source(&mut self, source: SourceReport) {
        self.sources.push(source);
    }

    /// Adds an offer; one with an implausible price is quarantined instead.
    pub fn add(&mut self, offer: Offer) {
        match quarantine_reason(&offer) {
            Some(reason) => self.quarantine(&offer, reason),
            None => self.offers.push(offer),
        }
    }

    /// Adds many offers.
    pub fn extend(&mut self, offers: impl IntoIterator<Item = Offer>) {
        offers.into_iter().for_each(|offer| self.add(offer));
    }

    /// Adds offers that were quarantined earlier, so that the snapshot names them.
    pub fn add_quarantined(&mut self, quarantined: impl IntoIterator<Item = Quarantined>) {
        self.quarantined.extend(quarantined);
    }

    /// Adds a provider's list, and reports offers that are left out or cannot be compared.
    pub(super) fn add_list(
        &mut self,
        mut source: SourceReport,
        rejected: Vec<RejectedRow>,
        offers: Vec<Offer>,
    ) {
        rejected.into_iter().for_each(|row| source.reject(row));
        let age = source.listed_at.and_then(|at| self.ages?.list_too_old(at, self.taken_at));
        let offers = age.map_or(offers, |age| {
            source.mark_too_old(&age);
            Vec::new()
        });
        let mut unconverted = Vec::new();
        for offer in offers {
            let id = || offer.id();
            if offer.place.provider != source.provider {
                // The offer would be bought at a provider other than the named one.
                let reason = format!(
                    "it is listed as an offer of {}, not of {}",
                    offer.place.provider, source.provider
                );
                source.reject(RejectedRow::new(id(), reason));
            } else if let Some(reason) =
                self.ages.and_then(|ages| ages.price_too_old(&offer.provenance, self.taken_at))
            {
                source.reject(RejectedRow::new(id(), reason));
            } else if let Some(reason) = quarantine_reason(&offer) {
                source.reject(RejectedRow::new(id(), &reason));
                self.quarantine(&offer, reason);
            } else {
                unconverted.extend(self.missing_rate(&offer).map(|reason| RejectedRow::new(id(), reason)));
                self.offers.push(offer);
            }
        }
        // Reported last, as these offers are in the snapshot.
        unconverted.into_iter().for_each(|row| source.reject(row));
        self.sources.push(source);
    }

    /// Why an offer cannot be converted to the base currency; none if it can.
    fn missing_rate(&self, offer: &Offer) -> Option<String> {
        let others = offer.surcharges.iter().map(|surcharge| &surcharge.price);
        let others = others.chain(offer.elastic_disk.as_ref().map(|disk| &disk.price));
        let mut prices = std::iter::once(&offer.price).chain(others).chain(offer.egress.as_deref());
        let base = self.rates.base;
        let price = prices.find(|price| self.rates.rate(price.currency).is_none())?;
        let currency = price.currency.code();
        let more = self.refused_rates.as_deref().unwrap_or("give the catalogue rates");
        Some(format!(
            "no exchange rate from {currency} to {}: only a blueprint in {currency} can use it; {more}",
            base.code()
        ))
    }

    fn quarantine(&mut self, offer: &Offer, reason: String) {
        self.quarantined.push(Quarantined {
            provider: offer.place.provider.clone(),
            sku: offer.sku.clone(),
            place: offer.place.to_string(),
            reason,
        });
    }

    /// Sorts the offers, removes duplicates, and freezes the snapshot. Of two offers with one id the one observed last stays; a
    /// different earlier one is quarantined.
    pub fn build(mut self) -> Catalogue {
        let mut keyed: Vec<(OfferId, Offer)> =
            std::mem::take(&mut self.offers).into_iter().map(|o| (o.id(), o)).collect();
        keyed.sort_by(|(id, offer), (other_id, other)| {
            let by_age = || other.provenance.observed.cmp(&offer.provenance.observed);
            // Comparing the texts makes the result independent of the order of arrival.
            id.cmp(other_id).then_with(by_age).then_with(|| sort_text(offer).cmp(&sort_text(other)))
        });
        let mut last: Option<(OfferId, Offer)> = None;
        let mut offers = Vec::with_capacity(keyed.len());
        for (id, offer) in keyed {
            match &last {
                Some((last_id, kept)) if *last_id == id => {
                    if *kept != offer {
                        let reason = format!("{id} is offered twice; the price observed last is used");
                        let of_it = |source: &&mut SourceReport| source.provider == offer.place.provider;
                        if let Some(source) = self.sources.iter_mut().find(of_it) {
                            source.reject(RejectedRow::new(&id, &reason));
                        }
                        self.quarantine(&offer, reason);
                    }
                }
                _ => offers.extend(last.replace((id, offer)).map(|(_, offer)| offer)),
            }
        }
        offers.extend(last.map(|(_, offer)| offer));
        self.quarantined.sort();
        let mut counts: BTreeMap<&ProviderId, usize> = BTreeMap::new();
        offers.iter().for_each(|offer| *counts.entry(&offer.place.provider).or_default() += 1);
        for source in &mut self.sources {
            source.offers = counts.get(&source.provider).copied().unwrap_or_default();
        }
        self.sources.sort_by(|a, b| a.provider.cmp(&b.provider));
        let mut catalogue = Catalogue::freeze(
            self.taken_at,
            self.rates,
            &offers,
            self.quarantined,
            self.sources,
            self.declared,
        );
        catalogue.refused_rates = self.refused_rates;
        catalogue
    }
}

fn sort_text(offer: &Offer) -> String {
    serde_json::to_string(offer).unwrap_or_default()
}
