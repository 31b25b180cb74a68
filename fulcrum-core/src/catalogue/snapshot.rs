//! The snapshot: dictionary-encoded columns of offers.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    hash::Hash,
    sync::Arc,
};

use indexmap::IndexSet;
use iso_currency::Currency;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use rust_decimal::Decimal;
use serde::Serialize;

use super::{Rates, SourceReport, declared::Declared};
use crate::{
    model::{
        DeclaredSettings, ElasticDisk, Interface, Micros, Offer, OfferId, OfferKind, OfferMode, Place, Price,
        Provenance, ProviderId, Resources, Seller, Settings, SkuId, Surcharge, offer_settings,
        settings_of_provider, to_micros,
    },
    provider::table::Quarantined,
};

/// Position of an offer in one catalogue; offers are sorted by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfferIx(pub(crate) u32);

impl OfferIx {
    /// The index into a column.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A dictionary-encoded column: each distinct value once, and one index for each offer.
#[derive(Debug, Clone)]
struct DictionaryColumn<T> {
    values: IndexSet<T>,
    column: Vec<u32>,
}

impl<T: Hash + Eq + Clone> DictionaryColumn<T> {
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

/// Dictionary indices of one offer's values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Positions {
    pub(crate) sku: u32,
    pub(crate) place: u32,
    pub(crate) capacity: u32,
    pub(crate) disk: u32,
    pub(crate) surcharges: u32,
    pub(crate) attributes: u32,
    pub(crate) price: u32,
    pub(crate) egress: u32,
    pub(crate) seller: u32,
    pub(crate) provenance: u32,
    pub(crate) own_settings: u32,
}

/// An immutable snapshot of offers.
#[derive(Debug, Clone)]
pub struct Catalogue {
    taken_at: Timestamp,
    rates: Rates,
    digest: String,
    kind: Vec<OfferKind>,
    stock: Vec<Option<u32>>,
    sku: DictionaryColumn<SkuId>,
    place: DictionaryColumn<Arc<Place>>,
    capacity: DictionaryColumn<Resources>,
    disk: DictionaryColumn<Option<Arc<ElasticDisk>>>,
    surcharges: DictionaryColumn<Arc<Vec<Surcharge>>>,
    attributes: DictionaryColumn<Arc<BTreeMap<String, String>>>,
    price: DictionaryColumn<Price>,
    egress: DictionaryColumn<Option<Arc<Price>>>,
    own_settings: DictionaryColumn<Option<Arc<DeclaredSettings>>>,
    seller: DictionaryColumn<Arc<Seller>>,
    provenance: DictionaryColumn<Arc<Provenance>>,
    quarantined: Vec<Quarantined>,
    sources: Vec<SourceReport>,
    pub(super) declared: Declared,
    pub(super) refused_rates: Option<String>,
}

impl Catalogue {
    pub(super) fn freeze(
        taken_at: Timestamp,
        rates: Rates,
        offers: &[Offer],
        quarantined: Vec<Quarantined>,
        sources: Vec<SourceReport>,
        declared: Declared,
    ) -> Self {
        let mut catalogue = Self {
            taken_at,
            rates,
            digest: String::new(),
            kind: Vec::with_capacity(offers.len()),
            stock: Vec::with_capacity(offers.len()),
            sku: DictionaryColumn::new(),
            place: DictionaryColumn::new(),
            capacity: DictionaryColumn::new(),
            disk: DictionaryColumn::new(),
            surcharges: DictionaryColumn::new(),
            attributes: DictionaryColumn::new(),
            price: DictionaryColumn::new(),
            egress: DictionaryColumn::new(),
            own_settings: DictionaryColumn::new(),
            seller: DictionaryColumn::new(),
            provenance: DictionaryColumn::new(),
            quarantined,
            sources,
            declared,
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
            catalogue.own_settings.push(&offer.settings);
            catalogue.seller.push(&offer.seller);
            catalogue.provenance.push(&offer.provenance);
        }
        catalogue.digest = catalogue.compute_digest();
        catalogue
    }

    /// The digest of all dictionaries and columns, which follow from the sorted offers alone; of the time, only the day counts.
    fn compute_digest(&self) -> String {
        fn table<T: Serialize>(hasher: &mut blake3::Hasher, shared: &DictionaryColumn<T>) {
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
        if self.own_settings.values.iter().any(Option::is_some) {
            table(&mut hasher, &self.own_settings);
        }
        let Declared { settings, attributes, secrets, sellers, not_accepted } = &self.declared;
        if !settings.is_empty() {
            part(&mut hasher, &serde_json::to_vec(settings).unwrap_or_default());
        }
        if !sellers.is_empty() {
            part(&mut hasher, &serde_json::to_vec(sellers).unwrap_or_default());
        }
        if !not_accepted.is_empty() {
            part(&mut hasher, &serde_json::to_vec(not_accepted).unwrap_or_default());
        }
        if !attributes.is_empty() {
            part(&mut hasher, &serde_json::to_vec(attributes).unwrap_or_default());
        }
        if !secrets.is_empty() {
            part(&mut hasher, &serde_json::to_vec(secrets).unwrap_or_default());
        }
        hasher.finalize().to_hex().to_string()
    }

    /// The time of the snapshot.
    pub fn taken_at(&self) -> Timestamp {
        self.taken_at
    }

    /// The day of the snapshot, in UTC.
    pub fn day(&self) -> Date {
        TimeZone::UTC.to_datetime(self.taken_at).date()
    }

    /// BLAKE3 of the contents, as 64 hexadecimal digits. Equal offers, rates and day give equal digests in any order of arrival.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The exchange rates of the snapshot.
    pub fn rates(&self) -> &Rates {
        &self.rates
    }

    /// Why the configured exchange rates are not used; none if they are.
    pub fn refused_rates(&self) -> Option<&str> {
        self.refused_rates.as_deref()
    }

    /// The number of offers.
    pub fn len(&self) -> usize {
        self.kind.len()
    }

    /// Whether there are no offers.
    pub fn is_empty(&self) -> bool {
        self.kind.is_empty()
    }

    /// All offers, sorted by id.
    pub fn ids(&self) -> impl ExactSizeIterator<Item = OfferIx> + use<> {
        (0..self.len() as u32).map(OfferIx)
    }

    /// Quarantined offers, with reasons.
    pub fn quarantined(&self) -> &[Quarantined] {
        &self.quarantined
    }

    /// Whether an offer's provider sells it here, and does not only list it.
    pub fn is_orderable(&self, ix: OfferIx) -> bool {
        let provider = &self.place(ix).provider;
        self.declared.sellers.contains(provider) && !self.is_not_accepted(ix)
    }

    /// Whether an offer's adapter was tried for its kind against documents alone, and the host has not accepted that.
    pub(crate) fn is_not_accepted(&self, ix: OfferIx) -> bool {
        let kinds = self.declared.not_accepted.get(&self.place(ix).provider);
        kinds.is_some_and(|kinds| kinds.contains(&self.kind(ix)))
    }

    /// Which offers a plan uses unless its caller says so: those that can be ordered, if any configured provider sells at all.
    /// A provider that does not answer does not change this.
    pub fn default_offer_mode(&self) -> OfferMode {
        if self.declared.sellers.is_empty() { OfferMode::All } else { OfferMode::Orderable }
    }

    /// The configured providers that sell.
    pub(crate) fn sellers(&self) -> &BTreeSet<ProviderId> {
        &self.declared.sellers
    }

    /// The settings that a provider takes; none if it accepts any.
    pub fn settings_of(&self, provider: &ProviderId) -> Option<&DeclaredSettings> {
        self.declared.settings.get(provider)
    }

    /// All declarations of settings: those of providers, and those of single offers.
    pub(crate) fn declared_settings(&self) -> impl Iterator<Item = &DeclaredSettings> {
        let own = self.own_settings.values.iter().filter_map(Option::as_deref);
        self.declared.settings.values().chain(own)
    }

    /// What a provider is given of a component's settings: those for all, and those under its name.
    pub(crate) fn settings_of_provider<'a>(
        &self,
        settings: Cow<'a, Settings>,
        provider: &ProviderId,
    ) -> Cow<'a, Settings> {
        settings_of_provider(settings, provider, |name| {
            self.declared.settings.keys().any(|id| id.as_str() == name)
                || self.place.values.iter().any(|place| place.provider.as_str() == name)
                || self.sources.iter().any(|source| source.provider.as_str() == name)
        })
    }

    /// A message about the first setting with which an offer cannot be had, or the first attribute that nobody would tell of it; none
    /// if it fits.
    pub(crate) fn interface_fault(&self, ix: OfferIx, interface: &Interface<'_>) -> Option<String> {
        let (provider, kind) = (&self.place(ix).provider, self.kind(ix));
        let declared = self.own_settings.at(ix).as_deref().or(self.declared.settings.get(provider));
        let settings = self.settings_of_provider(Cow::Borrowed(&*interface.settings), provider);
        let Interface { attributes, in_user_data, asks_in_user_data, .. } = interface;
        let fault = declared.and_then(|declared| declared.fault(kind, &settings));
        let fault = fault
            .or_else(|| self.offer_fault(ix, interface))
            .or_else(|| self.declared.attribute_fault(provider, kind, attributes, in_user_data))
            .or_else(|| self.declared.secret_fault(provider, asks_in_user_data))?;
        Some(format!("{provider} {fault}"))
    }

    /// The part of it that the offer itself decides, also of a service that runs already: whether it has an address, and what its disk
    /// is. In words that follow the provider's name.
    pub(crate) fn offer_fault(&self, ix: OfferIx, interface: &Interface<'_>) -> Option<String> {
        let (provider, kind) = (&self.place(ix).provider, self.kind(ix));
        let declared = self.own_settings.at(ix).as_deref().or(self.declared.settings.get(provider));
        let settings = self.settings_of_provider(Cow::Borrowed(&*interface.settings), provider);
        let asked = |name: &str| interface.attributes.contains(name) || interface.in_user_data.contains(name);
        offer_settings::fault(declared, kind, self.sku(ix), self.attributes.at(ix), &settings, &asked)
    }

    /// The report of each provider.
    pub fn sources(&self) -> &[SourceReport] {
        &self.sources
    }

    /// One offer, assembled from the columns.
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
            settings: self.own_settings.at(ix).clone(),
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

    /// The kind of product.
    pub fn kind(&self, ix: OfferIx) -> OfferKind {
        self.kind[ix.index()]
    }

    /// The place.
    pub fn place(&self, ix: OfferIx) -> &Place {
        self.place.at(ix)
    }

    /// The dictionary index of the place: equal numbers mean equal places.
    pub fn place_number(&self, ix: OfferIx) -> u32 {
        self.place.column[ix.index()]
    }

    /// The price of traffic to the internet; none if unknown.
    pub fn egress(&self, ix: OfferIx) -> Option<&Price> {
        self.egress.at(ix).as_deref()
    }

    /// The dictionary indices of an offer's values: equal numbers mean equal values.
    pub(crate) fn positions(&self, ix: OfferIx) -> Positions {
        let at = ix.index();
        Positions {
            sku: self.sku.column[at],
            place: self.place.column[at],
            capacity: self.capacity.column[at],
            disk: self.disk.column[at],
            surcharges: self.surcharges.column[at],
            attributes: self.attributes.column[at],
            price: self.price.column[at],
            egress: self.egress.column[at],
            seller: self.seller.column[at],
            provenance: self.provenance.column[at],
            own_settings: self.own_settings.column[at],
        }
    }

    /// The capacity.
    pub fn capacity(&self, ix: OfferIx) -> &Resources {
        self.capacity.at(ix)
    }

    /// The price of additional disk.
    pub fn elastic_disk(&self, ix: OfferIx) -> Option<&ElasticDisk> {
        self.disk.at(ix).as_deref()
    }

    /// The surcharges on each unit.
    pub fn surcharges(&self, ix: OfferIx) -> &[Surcharge] {
        self.surcharges.at(ix)
    }

    /// The attributes.
    pub fn attributes(&self, ix: OfferIx) -> &BTreeMap<String, String> {
        self.attributes.at(ix)
    }

    /// The price.
    pub fn price(&self, ix: OfferIx) -> &Price {
        self.price.at(ix)
    }

    /// Available stock; none if unknown.
    pub fn stock(&self, ix: OfferIx) -> Option<u32> {
        self.stock[ix.index()]
    }

    /// The seller.
    pub fn seller(&self, ix: OfferIx) -> &Seller {
        self.seller.at(ix)
    }

    /// The provenance of the price.
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
