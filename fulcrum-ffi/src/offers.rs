//! Offers of the present catalogue, as a query finds them.

use std::{
    ffi::{CString, c_char},
    sync::Arc,
};

use fulcrum_core::{
    catalogue::{Catalogue, PricedOffer, Query},
    model::{Offer, OfferId, parse_yaml},
};
use jiff::Unit;
use once_cell::race::OnceBox;
use serde::Serialize;

use crate::{
    amount::{Amount, fulcrum_amount},
    error::{fulcrum_error, fulcrum_status},
    federation::{borrow_federation, fulcrum_federation},
    guard::{borrow, fill_struct, free, guard, guard_on_call_thread, guard_with_output, item_at, out, utf8},
    text::{as_ptr, c_text, fulcrum_text},
};

/// Offers that a query has found, in its order. Opaque; freed by fulcrum_offers_free(); shareable between threads. They stay
/// as they are when the federation is refreshed or freed.
#[derive(Debug)]
pub struct fulcrum_offers {
    catalogue: Arc<Catalogue>,
    currency: &'static str,
    found: Vec<Found>,
}

#[derive(Debug)]
struct Found {
    offer: PricedOffer,
    texts: OnceBox<OfferTexts>,
}

/// What a [`fulcrum_offer`] is lent from.
#[derive(Debug)]
struct OfferTexts {
    id: CString,
    provider: CString,
    sku: CString,
    kind: CString,
    region: CString,
    zone: Option<CString>,
    country: CString,
    purchase_option: CString,
    currency: CString,
    observed: CString,
    source: CString,
    monthly: Option<Amount>,
    once: Option<Amount>,
}

impl OfferTexts {
    fn new(found: &PricedOffer, offer: &Offer, currency: &str) -> Self {
        Self {
            id: c_text(offer.id().as_str()),
            provider: c_text(offer.place.provider.as_str()),
            sku: c_text(offer.sku.as_str()),
            kind: c_text(&offer.kind.to_string()),
            region: c_text(offer.place.region.as_str()),
            zone: offer.place.zone.as_ref().map(|zone| c_text(zone.as_str())),
            country: c_text(&offer.place.country.to_string()),
            purchase_option: c_text(&offer.price.purchase_option.to_string()),
            currency: c_text(currency),
            observed: c_text(&offer.provenance.observed.to_string()),
            source: c_text(&offer.provenance.source),
            monthly: found.monthly.map(Amount::new),
            once: found.once.map(Amount::new),
        }
    }
}

/// One offer in figures. Set `size` to sizeof(fulcrum_offer) before it is read. Text belongs to the offers and lives as long
/// as they. Later versions append members and know the older sizes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct fulcrum_offer {
    /// sizeof(fulcrum_offer) as the caller knows it.
    pub size: usize,
    /// Its id, such as hetzner/fsn1/cx23, which fulcrum_federation_why_not_json() takes; borrowed from the offers.
    pub id: *const c_char,
    /// Who sells it; borrowed from the offers.
    pub provider: *const c_char,
    /// The provider's product code; borrowed from the offers.
    pub sku: *const c_char,
    /// machine, block_storage, object_storage, database and so on; borrowed from the offers.
    pub kind: *const c_char,
    /// Where it is, in the provider's words; borrowed from the offers.
    pub region: *const c_char,
    /// The failure domain in the region, borrowed from the offers; NULL if there is none.
    pub zone: *const c_char,
    /// Where it is, as two letters of ISO 3166-1; borrowed from the offers.
    pub country: *const c_char,
    /// How it is bought: "on demand", "spot", or "committed for 12 months"; borrowed from the offers.
    pub purchase_option: *const c_char,
    /// Of `monthly` and `once`, as the query has asked; ISO 4217; borrowed from the offers.
    pub currency: *const c_char,
    /// A month's net price in the size that the query has asked for, with surcharges and disk. Its text is NULL if there is no
    /// exchange rate.
    pub monthly: fulcrum_amount,
    /// What is paid at the start, net. Its text is NULL if there is no exchange rate.
    pub once: fulcrum_amount,
    /// The day on which the price was observed, such as "2026-11-01"; borrowed from the offers.
    pub observed: *const c_char,
    /// Where the price was observed; borrowed from the offers.
    pub source: *const c_char,
    /// Thousandths of a virtual CPU.
    pub vcpu_milli: u32,
    /// Graphics processors.
    pub gpu: u32,
    /// MiB of main memory.
    pub memory_mib: u64,
    /// GiB of disk that are included; 0 if the buyer chooses the size.
    pub disk_gib: u64,
    /// How many can still be had; -1 if the provider does not say.
    pub stock: i64,
    /// Days between `observed` and the day of the catalogue.
    pub age_days: i32,
    /// Whether this federation can buy it; false for an offer of a table for comparison.
    pub is_orderable: bool,
}

/// An offer with its id and its price as asked, as the JSON has it.
#[derive(Serialize)]
struct Row<'a> {
    id: OfferId,
    #[serde(flatten)]
    offer: Offer,
    monthly: Option<String>,
    once: Option<String>,
    currency: &'a str,
    is_orderable: bool,
}

impl fulcrum_offers {
    fn new(catalogue: Arc<Catalogue>, query: &Query) -> Self {
        let found = catalogue.query_priced(query).into_iter();
        let found = found.map(|offer| Found { offer, texts: OnceBox::new() }).collect();
        Self { catalogue, currency: query.currency.code(), found }
    }

    fn read(&self, index: usize) -> Result<fulcrum_offer, fulcrum_error> {
        let Found { offer: found, texts } = item_at(&self.found, index, "index")?;
        let texts = texts
            .get_or_init(|| Box::new(OfferTexts::new(found, &self.catalogue.offer(found.ix), self.currency)));
        let (capacity, observed) =
            (self.catalogue.capacity(found.ix), self.catalogue.provenance(found.ix).observed);
        let age = observed.until((Unit::Day, self.catalogue.day()));
        Ok(fulcrum_offer {
            size: size_of::<fulcrum_offer>(),
            id: texts.id.as_ptr(),
            provider: texts.provider.as_ptr(),
            sku: texts.sku.as_ptr(),
            kind: texts.kind.as_ptr(),
            region: texts.region.as_ptr(),
            zone: as_ptr(texts.zone.as_ref()),
            country: texts.country.as_ptr(),
            purchase_option: texts.purchase_option.as_ptr(),
            currency: texts.currency.as_ptr(),
            monthly: Amount::as_ptr_or_null(texts.monthly.as_ref()),
            once: Amount::as_ptr_or_null(texts.once.as_ref()),
            observed: texts.observed.as_ptr(),
            source: texts.source.as_ptr(),
            vcpu_milli: capacity.vcpu_milli,
            gpu: capacity.gpu,
            memory_mib: capacity.memory_mib,
            disk_gib: capacity.disk_gib,
            stock: self.catalogue.stock(found.ix).map_or(-1, i64::from),
            age_days: age.map_or(i32::MAX, |span| span.get_days()),
            is_orderable: self.catalogue.is_orderable(found.ix),
        })
    }

    fn to_json(&self) -> String {
        let row = |found: &Found| {
            let offer = self.catalogue.offer(found.offer.ix);
            Row {
                id: offer.id(),
                monthly: found.offer.monthly.map(|it| it.normalize().to_string()),
                once: found.offer.once.map(|it| it.normalize().to_string()),
                currency: self.currency,
                is_orderable: self.catalogue.is_orderable(found.offer.ix),
                offer,
            }
        };
        serde_json::to_string(&self.found.iter().map(row).collect::<Vec<_>>()).unwrap_or_default()
    }
}

/// Finds offers of the present catalogue, which is empty before the first fulcrum_federation_refresh().
///
/// @param federation           borrowed.
/// @param query, query_length  borrowed; a YAML or JSON object, all of whose fields may be left out: `kinds`, such as
///                             `[machine]`; `at_least` with `vcpu_milli`, `memory_mib`, `disk_gib`, `gpu`; `where`, as in a
///                             blueprint; `currency`; `size_gib`; `max_monthly`; `sort`, price or id; `first_per`; `offset`;
///                             `limit`. NULL for all offers on demand, the cheapest first.
/// @param out_offers           receives offers that the caller owns and frees with fulcrum_offers_free().
/// @param out_error            may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_offers(
    federation: *const fulcrum_federation,
    query: *const c_char,
    query_length: usize,
    out_offers: *mut *mut fulcrum_offers,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL where it is not allowed; the rest is the caller's promise above.
        let (federation, query, out_offers) = unsafe {
            (
                borrow_federation(federation)?,
                utf8(query, query_length, "query")?,
                out(out_offers, "out_offers")?,
            )
        };
        let query: Query = if query.is_empty() { Query::default() } else { parse_yaml(query)? };
        *out_offers = Box::into_raw(Box::new(fulcrum_offers::new(federation.inner.catalogue(), &query)));
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_offers, out_error, call) }
}

/// Returns the rows of price tables and lists that no offer was made of, as a JSON array with the reasons.
///
/// @param federation  borrowed.
/// @param out_json    receives a text that the caller owns and frees with fulcrum_text_free().
/// @param out_error   may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_quarantined_json(
    federation: *const fulcrum_federation,
    out_json: *mut *mut fulcrum_text,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, out_json) = unsafe { (borrow_federation(federation)?, out(out_json, "out_json")?) };
        let catalogue = federation.inner.catalogue();
        *out_json = fulcrum_text::boxed(serde_json::to_string(catalogue.quarantined()).unwrap_or_default());
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_with_output(out_json, out_error, call) }
}

/// Returns how many offers there are; 0 for NULL.
///
/// @param offers  borrowed; may be NULL.
///
/// # Safety
/// `offers` is NULL or was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_offers_count(offers: *const fulcrum_offers) -> usize {
    // SAFETY: the caller's promise above.
    unsafe { offers.as_ref() }.map_or(0, |offers| offers.found.len())
}

/// Reads one offer.
///
/// @param offers     borrowed; owns the text of the offer.
/// @param index      from 0, below fulcrum_offers_count().
/// @param out_offer  the caller's, with its `size` set; filled on success, else as it was.
/// @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call, `out_offer` for `size` bytes; no other thread uses the outputs during it; the text is
/// used no longer than the offers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_offers_read(
    offers: *const fulcrum_offers,
    index: usize,
    out_offer: *mut fulcrum_offer,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helper rejects NULL; the rest is the caller's promise above.
        let offers = unsafe { borrow(offers, "offers")? };
        // SAFETY: the caller's promise above.
        unsafe { fill_struct(out_offer, offers.read(index)?, "out_offer") }
    };
    // SAFETY: the caller's promise above.
    unsafe { guard(out_error, call) }
}

/// Returns all offers as a JSON array: each as in schemas/answers.json, with its `id`, and with `monthly`, `once`, `currency` and
/// `is_orderable` as fulcrum_offer has them.
///
/// @param offers     borrowed.
/// @param out_json   receives a text that the caller owns and frees with fulcrum_text_free().
/// @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_offers_json(
    offers: *const fulcrum_offers,
    out_json: *mut *mut fulcrum_text,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (offers, out_json) = unsafe { (borrow(offers, "offers")?, out(out_json, "out_json")?) };
        *out_json = fulcrum_text::boxed(offers.to_json());
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_json, out_error, call) }
}

/// Returns the digest of the catalogue that the offers are from, by which a plan names it too.
///
/// @param offers      borrowed.
/// @param out_digest  receives a text that the caller owns and frees with fulcrum_text_free().
/// @param out_error   may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_offers_catalogue_digest(
    offers: *const fulcrum_offers,
    out_digest: *mut *mut fulcrum_text,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (offers, out_digest) = unsafe { (borrow(offers, "offers")?, out(out_digest, "out_digest")?) };
        *out_digest = fulcrum_text::boxed(offers.catalogue.digest().to_owned());
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_with_output(out_digest, out_error, call) }
}

/// Frees offers, and with them the text that was read from them; NULL is fine.
///
/// @param offers  given up by the caller.
///
/// # Safety
/// `offers` is NULL or was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_offers_free(offers: *mut fulcrum_offers) {
    // SAFETY: the caller's promise above.
    unsafe { free(offers) };
}
