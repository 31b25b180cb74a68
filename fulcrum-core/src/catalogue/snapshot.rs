//! The columns.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::Hash,
    sync::Arc,
};

use indexmap::IndexSet;
use iso_currency::Currency;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use rust_decimal::Decimal;
use serde::Serialize;

use super::{AgeLimits, Rates, SourceReport};
use crate::{
    model::{
        ElasticDisk, Micros, Offer, OfferId, OfferKind, Place, Price, Provenance, ProviderId, Resources,
        Seller, Settings, SkuId, Surcharge, to_micros,
    },
    provider::{
        RejectedRow,
        table::{Quarantined, quarantine_reason},
        unknown_setting,
    },
};

/// Position of an offer in one catalogue; offers are sorted by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfferIx(pub(crate) u32);

impl OfferIx {
    /// As an index into a column.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Each distinct value once; a column holds positions in it.
#[derive(Debug, Clone)]
struct Shared<T> {
    values: IndexSet<T>,
    column: Vec<u32>,
}

impl<T: Hash + Eq + Clone> Shared<T> {
    fn new() -> Self {
        Self { values: IndexSet::new(), column: Vec::new() }
    }

    fn push(&mut self, value: &T) {
        let position =
            self.values.get_index_of(value).unwrap_or_else(|| self.values.insert_full(value.clone()).0);
        // A catalogue holds fewer than 2³² offers; the builder refuses more.
        self.column.push(position as u32);
    }

    fn at(&self, ix: OfferIx) -> &T {
        &self.values[self.column[ix.index()] as usize]
    }
}

/// Positions of one offer's values in the tables.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Positions {
    pub(crate) place: u32,
    pub(crate) capacity: u32,
    pub(crate) disk: u32,
    pub(crate) surcharges: u32,
    pub(crate) attributes: u32,
    pub(crate) price: u32,
    pub(crate) egress: u32,
    pub(crate) seller: u32,
    pub(crate) provenance: u32,
}

/// An immutable snapshot of offers.
#[derive(Debug, Clone)]
pub struct Catalogue {
    taken_at: Timestamp,
    rates: Rates,
    digest: String,
    kind: Vec<OfferKind>,
    stock: Vec<Option<u32>>,
    sku: Shared<SkuId>,
    place: Shared<Arc<Place>>,
    capacity: Shared<Resources>,
    disk: Shared<Option<Arc<ElasticDisk>>>,
    surcharges: Shared<Arc<Vec<Surcharge>>>,
    attributes: Shared<Arc<BTreeMap<String, String>>>,
    price: Shared<Price>,
    egress: Shared<Option<Arc<Price>>>,
    seller: Shared<Arc<Seller>>,
    provenance: Shared<Arc<Provenance>>,
    quarantined: Vec<Quarantined>,
    sources: Vec<SourceReport>,
    /// What providers say that they take.
    settings: BTreeMap<ProviderId, BTreeSet<String>>,
    refused_rates: Option<String>,
}

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
    settings: BTreeMap<ProviderId, BTreeSet<String>>,
    ages: Option<AgeLimits>,
    refused_rates: Option<String>,
}

impl CatalogueBuilder {
    /// An empty collection. The time is that of the snapshot: ages and validities are counted from it.
    pub fn new(taken_at: Timestamp, rates: Rates) -> Self {
        let (offers, quarantined, sources) = (Vec::new(), Vec::new(), Vec::new());
        let (settings, ages, refused_rates) = (BTreeMap::new(), None, None);
        Self { taken_at, rates, offers, quarantined, sources, settings, ages, refused_rates }
    }

    /// Leaves out what is too old at the time of the snapshot: rates, lists, and prices of tables. Call it first.
    #[must_use]
    pub(super) fn within(mut self, ages: AgeLimits) -> Self {
        self.ages = Some(ages);
        let refused = ages.of_rates(&self.rates, self.taken_at);
        self.without_rates(refused)
    }

    /// Uses no exchange rates, if there is a reason.
    #[must_use]
    pub(super) fn without_rates(mut self, reason: Option<String>) -> Self {
        if reason.is_some() {
            (self.rates, self.refused_rates) = (self.rates.emptied(), reason);
        }
        self
    }

    /// Says which settings a provider takes; one of which nothing is said takes any.
    pub fn declare_settings(&mut self, provider: ProviderId, settings: BTreeSet<String>) {
        self.settings.insert(provider, settings);
    }

    /// Adds a report as it is.
    pub(super) fn add_source(&mut self, source: SourceReport) {
        self.sources.push(source);
    }

    /// Adds an offer; one with a zero or absurd price is quarantined instead.
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

    /// Keeps what somebody else has quarantined already, so that the snapshot names it.
    pub fn add_quarantined(&mut self, quarantined: impl IntoIterator<Item = Quarantined>) {
        self.quarantined.extend(quarantined);
    }

    /// Adds what a provider lists, and reports what of that is left out or cannot be compared.
    pub(super) fn add_list(
        &mut self,
        mut source: SourceReport,
        rejected: Vec<RejectedRow>,
        offers: Vec<Offer>,
    ) {
        rejected.into_iter().for_each(|row| source.reject(row));
        let age = source.listed_at.and_then(|at| self.ages?.of_list(at, self.taken_at));
        let offers = age.map_or(offers, |age| {
            source.outdate(&age);
            Vec::new()
        });
        let mut unconverted = Vec::new();
        for offer in offers {
            let id = || offer.id();
            if offer.place.provider != source.provider {
                // It would be bought there, from under a false name.
                let reason = format!(
                    "it is listed as an offer of {}, not of {}",
                    offer.place.provider, source.provider
                );
                source.reject(RejectedRow::new(id(), reason));
            } else if let Some(reason) =
                self.ages.and_then(|ages| ages.of_price(&offer.provenance, self.taken_at))
            {
                source.reject(RejectedRow::new(id(), reason));
            } else if let Some(reason) = quarantine_reason(&offer) {
                source.reject(RejectedRow::new(id(), &reason));
                self.quarantine(&offer, reason);
            } else {
                unconverted.extend(self.unconverted(&offer).map(|reason| RejectedRow::new(id(), reason)));
                self.offers.push(offer);
            }
        }
        // Last, as these are in the snapshot.
        unconverted.into_iter().for_each(|row| source.reject(row));
        self.sources.push(source);
    }

    /// Why an offer cannot be compared with those in the rates' own currency; none if it can.
    fn unconverted(&self, offer: &Offer) -> Option<String> {
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

    /// Sorts, drops doubles, and freezes. Of two offers with one id the one observed last stays; the other is
    /// quarantined if it differs.
    pub fn build(mut self) -> Catalogue {
        let mut keyed: Vec<(OfferId, Offer)> =
            std::mem::take(&mut self.offers).into_iter().map(|o| (o.id(), o)).collect();
        keyed.sort_by(|(id, offer), (other_id, other)| {
            let by_age = || other.provenance.observed.cmp(&offer.provenance.observed);
            // The last resort makes the order independent of the order of arrival.
            id.cmp(other_id).then_with(by_age).then_with(|| text_of(offer).cmp(&text_of(other)))
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
            self.settings,
        );
        catalogue.refused_rates = self.refused_rates;
        catalogue
    }
}

fn text_of(offer: &Offer) -> String {
    serde_json::to_string(offer).unwrap_or_default()
}

impl Catalogue {
    fn freeze(
        taken_at: Timestamp,
        rates: Rates,
        offers: &[Offer],
        quarantined: Vec<Quarantined>,
        sources: Vec<SourceReport>,
        settings: BTreeMap<ProviderId, BTreeSet<String>>,
    ) -> Self {
        let mut catalogue = Self {
            taken_at,
            rates,
            digest: String::new(),
            kind: Vec::with_capacity(offers.len()),
            stock: Vec::with_capacity(offers.len()),
            sku: Shared::new(),
            place: Shared::new(),
            capacity: Shared::new(),
            disk: Shared::new(),
            surcharges: Shared::new(),
            attributes: Shared::new(),
            price: Shared::new(),
            egress: Shared::new(),
            seller: Shared::new(),
            provenance: Shared::new(),
            quarantined,
            sources,
            settings,
            refused_rates: None,
        };
        for offer in offers {
            catalogue.kind.push(offer.kind);
            catalogue.stock.push(offer.stock);
            catalogue.sku.push(&offer.sku);
            catalogue.place.push(&offer.place);
            catalogue.capacity.push(&offer.capacity);
            catalogue.disk.push(&offer.elastic_disk);
            catalogue.surcharges.push(&offer.surcharges);
            catalogue.attributes.push(&offer.attributes);
            catalogue.price.push(&offer.price);
            catalogue.egress.push(&offer.egress);
            catalogue.seller.push(&offer.seller);
            catalogue.provenance.push(&offer.provenance);
        }
        catalogue.digest = catalogue.compute_digest();
        catalogue
    }

    /// Over the tables and columns, which follow from the sorted offers alone; time matters by its day.
    fn compute_digest(&self) -> String {
        fn table<T: Serialize>(hasher: &mut blake3::Hasher, shared: &Shared<T>) {
            let values: Vec<_> = shared.values.iter().collect();
            part(hasher, &serde_json::to_vec(&values).unwrap_or_default());
            let column: Vec<u8> = shared.column.iter().flat_map(|position| position.to_le_bytes()).collect();
            part(hasher, &column);
        }
        fn part(hasher: &mut blake3::Hasher, bytes: &[u8]) {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        }
        let mut hasher = blake3::Hasher::new();
        part(&mut hasher, self.day().to_string().as_bytes());
        part(&mut hasher, &serde_json::to_vec(&(&self.rates, &self.kind, &self.stock)).unwrap_or_default());
        table(&mut hasher, &self.sku);
        table(&mut hasher, &self.place);
        table(&mut hasher, &self.capacity);
        table(&mut hasher, &self.disk);
        table(&mut hasher, &self.surcharges);
        table(&mut hasher, &self.attributes);
        table(&mut hasher, &self.price);
        table(&mut hasher, &self.egress);
        table(&mut hasher, &self.seller);
        table(&mut hasher, &self.provenance);
        if !self.settings.is_empty() {
            part(&mut hasher, &serde_json::to_vec(&self.settings).unwrap_or_default());
        }
        hasher.finalize().to_hex().to_string()
    }

    /// When it was taken.
    pub fn taken_at(&self) -> Timestamp {
        self.taken_at
    }

    /// The day on which it was taken, in UTC.
    pub fn day(&self) -> Date {
        TimeZone::UTC.to_datetime(self.taken_at).date()
    }

    /// BLAKE3 of what is in it, as 64 hexadecimal digits. Equal offers, rates and day give equal digests,
    /// whatever the order in which the offers came.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The exchange rates that go with it.
    pub fn rates(&self) -> &Rates {
        &self.rates
    }

    /// Why exchange rates were given and are not used; none if they are.
    pub fn refused_rates(&self) -> Option<&str> {
        self.refused_rates.as_deref()
    }

    /// How many offers it holds.
    pub fn len(&self) -> usize {
        self.kind.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.kind.is_empty()
    }

    /// All offers, sorted by id.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = OfferIx> + use<> {
        (0..self.len() as u32).map(OfferIx)
    }

    /// What was left out, and why.
    pub fn quarantined(&self) -> &[Quarantined] {
        &self.quarantined
    }

    /// The settings that a provider takes; none if it does not say, and takes any.
    pub fn settings_of(&self, provider: &ProviderId) -> Option<&BTreeSet<String>> {
        self.settings.get(provider)
    }

    /// All that providers say of the settings that they take.
    pub(crate) fn settings(&self) -> &BTreeMap<ProviderId, BTreeSet<String>> {
        &self.settings
    }

    /// The first of some settings that the provider of an offer does not know, and in words what it knows.
    pub(crate) fn unknown_setting(&self, ix: OfferIx, settings: &Settings) -> Option<String> {
        if settings.is_empty() {
            return None;
        }
        let provider = &self.place(ix).provider;
        let known = self.settings.get(provider)?;
        let unknown = settings.keys().find(|name| !known.contains(*name))?;
        Some(format!("{provider} {}", unknown_setting(known, unknown)))
    }

    /// How each provider answered.
    pub fn sources(&self) -> &[SourceReport] {
        &self.sources
    }

    /// One offer, put together from the columns.
    pub fn offer(&self, ix: OfferIx) -> Offer {
        Offer {
            sku: self.sku(ix).clone(),
            kind: self.kind(ix),
            place: self.place.at(ix).clone(),
            capacity: self.capacity(ix).clone(),
            elastic_disk: self.disk.at(ix).clone(),
            surcharges: self.surcharges.at(ix).clone(),
            attributes: self.attributes.at(ix).clone(),
            price: self.price(ix).clone(),
            egress: self.egress.at(ix).clone(),
            stock: self.stock(ix),
            seller: self.seller.at(ix).clone(),
            provenance: self.provenance.at(ix).clone(),
        }
    }

    /// Finds an offer by its id. Time: O(log n).
    pub fn find(&self, id: &OfferId) -> Option<OfferIx> {
        let (mut low, mut high) = (0, self.len() as u32);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.offer(OfferIx(middle)).id().cmp(id) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(OfferIx(middle)),
            }
        }
        None
    }

    /// The product code.
    pub fn sku(&self, ix: OfferIx) -> &SkuId {
        self.sku.at(ix)
    }

    /// What sort of product.
    pub fn kind(&self, ix: OfferIx) -> OfferKind {
        self.kind[ix.index()]
    }

    /// Where it is.
    pub fn place(&self, ix: OfferIx) -> &Place {
        self.place.at(ix)
    }

    /// Which of the catalogue's distinct places that is: equal numbers mean equal places.
    pub fn place_number(&self, ix: OfferIx) -> u32 {
        self.place.column[ix.index()]
    }

    /// What traffic from it to the internet costs; none if unknown.
    pub fn egress(&self, ix: OfferIx) -> Option<&Price> {
        self.egress.at(ix).as_deref()
    }

    /// Which of the catalogue's distinct values an offer has: equal numbers mean equal values.
    pub(crate) fn positions(&self, ix: OfferIx) -> Positions {
        let at = ix.index();
        Positions {
            place: self.place.column[at],
            capacity: self.capacity.column[at],
            disk: self.disk.column[at],
            surcharges: self.surcharges.column[at],
            attributes: self.attributes.column[at],
            price: self.price.column[at],
            egress: self.egress.column[at],
            seller: self.seller.column[at],
            provenance: self.provenance.column[at],
        }
    }

    /// What it holds.
    pub fn capacity(&self, ix: OfferIx) -> &Resources {
        self.capacity.at(ix)
    }

    /// How further disk is bought.
    pub fn elastic_disk(&self, ix: OfferIx) -> Option<&ElasticDisk> {
        self.disk.at(ix).as_deref()
    }

    /// What must be paid with each of it.
    pub fn surcharges(&self, ix: OfferIx) -> &[Surcharge] {
        self.surcharges.at(ix)
    }

    /// Its attributes.
    pub fn attributes(&self, ix: OfferIx) -> &BTreeMap<String, String> {
        self.attributes.at(ix)
    }

    /// What it costs.
    pub fn price(&self, ix: OfferIx) -> &Price {
        self.price.at(ix)
    }

    /// How many can still be had; none if not told.
    pub fn stock(&self, ix: OfferIx) -> Option<u32> {
        self.stock[ix.index()]
    }

    /// Who sells it.
    pub fn seller(&self, ix: OfferIx) -> &Seller {
        self.seller.at(ix)
    }

    /// Where the figures come from.
    pub fn provenance(&self, ix: OfferIx) -> &Provenance {
        self.provenance.at(ix)
    }

    /// Net cost of a month in a currency, in main units, unrounded; `gib` is the size for prices per unit.
    /// `None` if there is no exchange rate.
    pub fn net_month(&self, price: &Price, gib: u64, currency: Currency) -> Option<Decimal> {
        self.rates.convert(price.net_month(gib)?, price.currency, currency)
    }

    /// As [`net_month`](Self::net_month) of one offer with its surcharges, without further disk, in micro-units; to sort by.
    pub fn month_micros(&self, ix: OfferIx, gib: u64, currency: Currency) -> Option<Micros> {
        let own = to_micros(self.net_month(self.price(ix), gib, currency)?).ok()?;
        self.surcharges(ix).iter().try_fold(own, |sum, it| {
            sum.checked_add(to_micros(self.net_month(&it.price, 0, currency)?).ok()?)
        })
    }
}
