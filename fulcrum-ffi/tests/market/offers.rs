//! Offers as a panel lists them: found, read, and priced as asked.

use std::ptr::{null, null_mut};

use fulcrum::*;
use serde_json::{Value, json};

use super::{Folder, bytes, message, read, sized, text};

/// Offers in two currencies, and storage by size; 1 EUR is 1.25 USD.
fn market(folder: &Folder) -> *mut fulcrum_federation {
    let provider = |name: &str, offers: Value| {
        json!({
            "id": name, "name": name, "legal_name": name, "country": "DE",
            "regions": [{"id": "r1", "country": "DE"}], "offers": offers,
        })
    };
    let machine = |monthly: &str, currency: &str| {
        json!({"kind": "machine", "sku": "0012", "region": "r1", "vcpu": 2, "memory_mib": 4096, "disk_gib": 40,
               "monthly": monthly, "currency": currency, "tax": "net", "observed": "2026-11-01", "source": "a test"})
    };
    // Its disk is bought by size.
    let bare = json!({"kind": "machine", "sku": "bare", "region": "r1", "vcpu": 2, "memory_mib": 4096, "monthly": "11",
                      "currency": "EUR", "tax": "net", "observed": "2026-11-01", "source": "a test"});
    let storage = json!({"kind": "block_storage", "sku": "vol", "region": "r1", "unit": "GiB-month",
                         "unit_price": "0.05", "currency": "EUR", "tax": "net", "observed": "2026-11-01",
                         "source": "a test"});
    let catalogue = json!({
        "format": "fulcrum-catalogue/1",
        "providers": [
            provider("alpha", json!([machine("10.00", "EUR"), bare, storage])),
            provider("beta", json!([machine("15", "USD")])),
            provider("gamma", json!([machine("9", "SEK")])),
        ],
    });
    folder.write("catalogue.json", &catalogue.to_string());
    folder.write("rates.csv", "Date,USD\n2026-11-01,1.25\n");
    folder.open(&json!({
        "ledger": ":memory:", "rates": "rates.csv", "max_rates_age_days": 36500,
        "providers": [{"sandbox": {"catalogue": "catalogue.json", "operation_ms": [1, 1]}}],
    }))
}

fn find(
    market: *const fulcrum_federation,
    query: &str,
) -> Result<*mut fulcrum_offers, (fulcrum_status, String)> {
    let (query, length) = if query.is_empty() { (null(), 0) } else { bytes(query) };
    let (mut offers, mut error) = (null_mut(), null_mut());
    // SAFETY: all pointers are valid.
    unsafe {
        match fulcrum_federation_offers(market, query, length, &raw mut offers, &raw mut error) {
            FULCRUM_OK => Ok(offers),
            status => {
                assert!(offers.is_null());
                let said = message(error);
                fulcrum_error_free(error);
                Err((status, said))
            }
        }
    }
}

/// Id, currency and price of each; frees the offers.
fn rows(offers: *mut fulcrum_offers) -> Vec<(String, String, Option<String>, i64)> {
    // SAFETY: they are live, and freed once.
    unsafe {
        let mut rows = Vec::new();
        for index in 0..fulcrum_offers_count(offers) {
            let offer = read!(fulcrum_offer, fulcrum_offers_read(offers, index));
            let monthly = (!offer.monthly.text.is_null()).then(|| text(offer.monthly.text));
            rows.push((text(offer.id), text(offer.currency), monthly, offer.monthly.micros));
        }
        fulcrum_offers_free(offers);
        rows
    }
}

fn row(id: &str, currency: &str, monthly: &str, micros: i64) -> (String, String, Option<String>, i64) {
    (id.to_owned(), currency.to_owned(), Some(monthly.to_owned()), micros)
}

#[test]
fn offers_are_priced_in_the_currency_and_the_size_that_was_asked_for() {
    let folder = Folder::new();
    let market = market(&folder);
    let machines = rows(find(market, r#"{"kinds": ["machine"]}"#).expect("offers"));
    assert_eq!(
        machines,
        [
            row("alpha/r1/0012", "EUR", "10", 10_000_000),
            row("alpha/r1/bare", "EUR", "11", 11_000_000),
            row("beta/r1/0012", "EUR", "12", 12_000_000)
        ]
    );
    // 140 GiB at 0.05 EUR; the others cannot be had with more than they have.
    let larger = "{ kinds: [machine], at_least: { disk_gib: 140 }, currency: USD }";
    let larger = rows(find(market, larger).expect("offers"));
    assert_eq!(larger, [row("alpha/r1/bare", "USD", "22.5", 22_500_000)]);
    let storage = rows(find(market, "{ kinds: [block_storage], size_gib: 500 }").expect("offers"));
    assert_eq!(storage, [row("alpha/r1/vol", "EUR", "25", 25_000_000)]);
    // Without a rate there is no price, and sorted by price no place.
    let by_id = rows(find(market, "{ kinds: [machine], sort: id }").expect("offers"));
    let unpriced = ("gamma/r1/0012".to_owned(), "EUR".to_owned(), None, i64::MAX);
    assert!(by_id.len() == 4 && by_id.contains(&unpriced), "{by_id:?}");
    let paged = rows(find(market, "{ kinds: [machine], offset: 2, limit: 1 }").expect("offers"));
    assert_eq!(paged, machines[2..]);
    assert!(rows(find(market, "{ max_monthly: 1, kinds: [machine] }").expect("offers")).is_empty());
    assert_eq!(rows(find(market, "").expect("offers")).len(), 4);
    // SAFETY: it is live.
    unsafe { fulcrum_federation_free(market) };
}

#[test]
fn an_offer_is_read_without_json_and_outlives_its_federation() {
    let folder = Folder::new();
    let market = market(&folder);
    let offers = find(market, r#"{"kinds": ["machine"]}"#).expect("offers");
    // SAFETY: all pointers are valid.
    unsafe {
        let (mut digest, mut all) = (null_mut(), null_mut());
        assert_eq!(fulcrum_offers_catalogue_digest(offers, &raw mut digest, null_mut()), FULCRUM_OK);
        assert_eq!(text(fulcrum_text_data(digest)).len(), 64);
        fulcrum_text_free(digest);
        fulcrum_federation_free(market);
        let offer = read!(fulcrum_offer, fulcrum_offers_read(offers, 0));
        let words = [offer.provider, offer.sku, offer.kind, offer.region, offer.country, offer.source];
        let words = words.map(|word| text(word));
        assert_eq!(words, ["alpha", "0012", "machine", "r1", "DE", "a test"]);
        assert_eq!(
            (text(offer.observed), text(offer.purchase_option)),
            ("2026-11-01".into(), "on demand".into())
        );
        assert_eq!((offer.vcpu_milli, offer.memory_mib, offer.disk_gib, offer.gpu), (2000, 4096, 40, 0));
        assert!(offer.zone.is_null() && offer.is_orderable && offer.stock == -1);
        assert_eq!((text(offer.once.text), offer.once.micros), ("0".to_owned(), 0));

        assert_eq!(fulcrum_offers_json(offers, &raw mut all, null_mut()), FULCRUM_OK);
        let json: Value = serde_json::from_str(&text(fulcrum_text_data(all))).expect("JSON");
        fulcrum_text_free(all);
        let said = |at: usize, field: &str| json[at][field].clone();
        assert_eq!((said(0, "id"), said(0, "monthly")), (json!("alpha/r1/0012"), json!("10")));
        assert_eq!((said(2, "monthly"), said(2, "currency")), (json!("12"), json!("EUR")));
        assert_eq!((said(1, "place")["region"].clone(), said(1, "is_orderable")), (json!("r1"), json!(true)));

        let mut beyond = sized::<fulcrum_offer>();
        let mut error = null_mut();
        let status = fulcrum_offers_read(offers, 3, beyond.as_mut_ptr(), &raw mut error);
        assert_eq!(status, FULCRUM_INVALID_ARGUMENT);
        assert!(message(error).contains("index is 3"), "{}", message(error));
        fulcrum_error_free(error);
        fulcrum_offers_free(offers);
    }
}

#[test]
fn a_query_that_is_not_one_is_refused() {
    let folder = Folder::new();
    let market = market(&folder);
    for wrong in [
        "{ kind: machine }",
        "{ kinds: [mashine] }",
        "{ currency: XX }",
        "[",
        "{ at_least: { vcpu_milli: -1 } }",
    ] {
        let (status, said) = find(market, wrong).expect_err(wrong);
        assert_eq!((status, said.is_empty()), (FULCRUM_DOCUMENT, false), "{wrong}: {said}");
    }
    assert_eq!(find(null(), "").expect_err("no market").0, FULCRUM_INVALID_ARGUMENT);
    // SAFETY: NULL is none; the market is live.
    unsafe {
        assert_eq!(fulcrum_offers_count(null()), 0);
        fulcrum_offers_free(null_mut());
        let mut json = null_mut();
        assert_eq!(fulcrum_federation_quarantined_json(market, &raw mut json, null_mut()), FULCRUM_OK);
        assert_eq!(text(fulcrum_text_data(json)), "[]");
        fulcrum_text_free(json);
        fulcrum_federation_free(market);
    }
}

/// Hosts that count no bytes say so.
#[test]
fn text_that_ends_with_nul_needs_no_length() {
    let folder = Folder::new();
    let market = market(&folder);
    let mut offers = null_mut();
    // SAFETY: all pointers are valid; the text ends with NUL, or is none.
    unsafe {
        let query = c"{ kinds: [machine], limit: 1 }";
        let status =
            fulcrum_federation_offers(market, query.as_ptr(), usize::MAX, &raw mut offers, null_mut());
        assert_eq!((status, fulcrum_offers_count(offers)), (FULCRUM_OK, 1));
        fulcrum_offers_free(offers);
        let status = fulcrum_federation_offers(market, null(), usize::MAX, &raw mut offers, null_mut());
        assert_eq!((status, fulcrum_offers_count(offers)), (FULCRUM_OK, 4));
        fulcrum_offers_free(offers);
        let status =
            fulcrum_federation_offers(market, query.as_ptr(), usize::MAX - 1, &raw mut offers, null_mut());
        assert_eq!(status, FULCRUM_INVALID_ARGUMENT);
        fulcrum_federation_free(market);
    }
}
