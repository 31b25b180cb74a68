//! What one provider lists, or how it fails to, harms no other; and what is left out of a list is named.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::support::{cloud, offers};
use fulcrum_core::{
    catalogue::{Catalogue, IngestOptions, Rates, SourceReport, SourceState, ingest},
    model::{Offer, PriceAuthority, ProviderId, parse_json},
    provider::{
        Call, Capabilities, OfferFilter, OfferStream, Provider, RejectedRow,
        callback::{CallbackDescription, CallbackProvider, ProviderCallbacks},
        layers::recommended,
    },
};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde_json::{Value, json};

/// How a provider lists.
#[derive(Debug, Clone)]
enum Lists {
    These(Vec<Offer>),
    PanicsAtOnce,
    PanicsLater,
    PanicsWhenAskedWhatIsLeftOut,
    NeverAnswers,
    HoldsItsThread,
    NeverEnds,
}

#[derive(Debug)]
struct Lister {
    id: ProviderId,
    capabilities: Capabilities,
    lists: Mutex<Lists>,
    rejected: usize,
}

impl Lister {
    fn new(id: &str, lists: Lists) -> Arc<Self> {
        let (id, capabilities) = (id.parse().expect("a name"), Capabilities::offers_only());
        Arc::new(Self { id, capabilities, lists: Mutex::new(lists), rejected: 0 })
    }
}

impl Provider for Lister {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn offers(&self, _: &OfferFilter) -> OfferStream {
        let lists = self.lists.lock().expect("no panic while it is held").clone();
        match lists {
            Lists::These(offers) => stream::iter(offers).map(Ok).boxed(),
            Lists::PanicsAtOnce => panic!("at once"),
            Lists::PanicsLater => {
                let first = stream::iter(offers("alpha")).map(Ok);
                first.chain(stream::poll_fn(|_| panic!("after {} offers", 1))).boxed()
            }
            Lists::PanicsWhenAskedWhatIsLeftOut => stream::iter(offers(self.id.as_str())).map(Ok).boxed(),
            Lists::NeverAnswers => stream::pending().boxed(),
            Lists::HoldsItsThread => stream::poll_fn(|_| {
                std::thread::sleep(Duration::from_secs(3));
                std::task::Poll::Ready(None)
            })
            .boxed(),
            // Slowly, so that its time is over before its length is.
            Lists::NeverEnds => stream::repeat(offers("alpha").remove(0))
                .then(|offer| async {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    Ok(offer)
                })
                .boxed(),
        }
    }

    fn rejected(&self) -> Vec<RejectedRow> {
        if matches!(*self.lists.lock().expect("no panic"), Lists::PanicsWhenAskedWhatIsLeftOut) {
            panic!("about what is left out");
        }
        (0..self.rejected).map(|row| RejectedRow::new(format!("row\n{row}"), "x".repeat(10_000))).collect()
    }
}

async fn listed(providers: &[Arc<dyn Provider>], before: Option<&Catalogue>) -> Catalogue {
    let mut options = IngestOptions::new(Timestamp::now(), Rates::none());
    options.deadline = Duration::from_secs(1);
    ingest(providers, before, options).await
}

fn source<'a>(catalogue: &'a Catalogue, provider: &str) -> &'a SourceReport {
    catalogue.source(&provider.parse().expect("a name")).expect("it was asked")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_one_provider_does_the_others_are_there() {
    let bad = [
        (Lists::PanicsAtOnce, "its list panicked: at once"),
        (Lists::PanicsLater, "its list panicked: after 1 offers"),
        (Lists::NeverAnswers, "no complete list within 1000 ms; call refresh() again, or raise the deadline"),
        (
            Lists::HoldsItsThread,
            "no complete list within 1000 ms; call refresh() again, or raise the deadline",
        ),
        (Lists::NeverEnds, "no complete list within 1000 ms; call refresh() again, or raise the deadline"),
    ];
    let good = |name: &str| Lister::new(name, Lists::These(offers(name))) as Arc<dyn Provider>;
    let mut providers = vec![good("beta")];
    providers.extend(bad.iter().map(|(lists, _)| Lister::new("alpha", lists.clone()) as Arc<dyn Provider>));
    providers.push(good("gamma"));
    let catalogue = listed(&providers, None).await;
    assert_eq!(catalogue.len(), 2);
    for name in ["beta", "gamma"] {
        assert_eq!(
            (&source(&catalogue, name).state, source(&catalogue, name).offers),
            (&SourceState::Fresh, 1)
        );
    }
    let mut reasons: Vec<_> = catalogue
        .sources()
        .iter()
        .filter_map(|source| match &source.state {
            SourceState::Missing { reason } => Some(reason.as_str()),
            _ => None,
        })
        .collect();
    let mut expected: Vec<_> = bad.iter().map(|(_, words)| *words).collect();
    reasons.sort_unstable();
    expected.sort_unstable();
    assert_eq!(reasons, expected);
}

#[tokio::test]
async fn a_provider_that_panics_keeps_what_it_listed_before() {
    let alpha = Lister::new("alpha", Lists::These(offers("alpha")));
    let providers = [alpha.clone() as Arc<dyn Provider>];
    let before = listed(&providers, None).await;
    *alpha.lists.lock().expect("no panic") = Lists::PanicsAtOnce;
    let after = listed(&providers, Some(&before)).await;
    let report = source(&after, "alpha");
    assert!(
        matches!(&report.state, SourceState::Stale { reason } if reason.contains("panicked")),
        "{report:?}"
    );
    assert_eq!((after.len(), report.offers, report.listed_at), (1, 1, source(&before, "alpha").listed_at));
    *alpha.lists.lock().expect("no panic") = Lists::PanicsWhenAskedWhatIsLeftOut;
    assert_eq!(source(&listed(&providers, None).await, "alpha").state, SourceState::Fresh);
}

#[tokio::test]
async fn another_providers_offer_is_left_out_by_itself() {
    let list = [offers("beta"), offers("alpha")].concat();
    let catalogue = listed(&[Lister::new("alpha", Lists::These(list)) as Arc<dyn Provider>], None).await;
    let report = source(&catalogue, "alpha");
    assert_eq!((catalogue.len(), report.offers, report.rejected_count), (1, 1, 1));
    let [row] = report.rejected.as_slice() else { panic!("{report:?}") };
    assert_eq!(row.row, "beta/beta-1/small");
    assert!(row.reason.contains("an offer of beta, not of alpha"), "{row:?}");
}

/// What nobody should be sold is named where everything else is that was left out of the list.
#[tokio::test]
async fn an_absurd_price_and_a_double_are_told_by_the_report_too() {
    let price = |amount: &str| {
        let mut offer = offers("alpha").remove(0);
        offer.price = serde_json::from_value(
            json!({ "charge": { "monthly": amount }, "currency": "EUR", "tax": "net" }),
        )
        .expect("a price");
        offer
    };
    let mut huge = price("99000000");
    huge.sku = "huge".parse().expect("a name");
    let list = vec![price("10"), huge, price("11")];
    let catalogue = listed(&[Lister::new("alpha", Lists::These(list)) as Arc<dyn Provider>], None).await;
    assert_eq!((catalogue.len(), catalogue.quarantined().len()), (1, 2));
    let report = source(&catalogue, "alpha");
    assert_eq!((report.offers, report.rejected_count), (1, 2), "{report:?}");
    let [huge, double] = report.rejected.as_slice() else { panic!("{report:?}") };
    assert!(huge.row.ends_with("/huge") && huge.reason.contains("absurd"), "{huge:?}");
    assert!(double.reason.contains("offered twice"), "{double:?}");
}

#[tokio::test]
async fn a_report_names_the_first_hundred_rows_and_counts_all() {
    let mut lister = Lister::new("alpha", Lists::These(offers("alpha")));
    Arc::get_mut(&mut lister).expect("not shared yet").rejected = 250;
    // Through all layers.
    let catalogue = listed(&[recommended(lister)], None).await;
    let report = source(&catalogue, "alpha");
    assert_eq!((report.rejected.len(), report.rejected_count, catalogue.len()), (100, 250, 1));
    assert!(report.rejected.iter().all(|row| row.reason.len() <= 300 && !row.row.contains('\n')));
}

/// A program that answers each list.
#[derive(Debug)]
struct Program(Value);

impl ProviderCallbacks for Program {
    fn call(&self, _: Call, _: &str) -> Result<String, String> {
        Ok(self.0.to_string())
    }
}

fn program(answer: Value) -> CallbackProvider {
    let facts = r#"{"id": "alpha", "name": "Alpha", "legal_name": "Alpha GmbH", "country": "DE",
        "regions": [{"id": "alpha-1", "country": "DE"}]}"#;
    let capabilities = cloud("alpha", None).build().capabilities().clone();
    let description = CallbackDescription { provider: parse_json(facts).expect("a provider"), capabilities };
    CallbackProvider::new(description, Arc::new(Program(answer))).expect("a provider")
}

fn row(change: Value) -> Value {
    let mut row = json!({ "kind": "machine", "sku": "small", "region": "alpha-1", "vcpu": 2, "memory_mib": 4096,
        "disk_gib": 40, "monthly": "10", "currency": "EUR", "tax": "net", "observed": "2026-11-01", "source": "ours" });
    if let (Some(row), Some(change)) = (row.as_object_mut(), change.as_object()) {
        row.extend(change.clone());
    }
    row
}

#[tokio::test(flavor = "multi_thread")]
async fn an_odd_row_of_a_program_costs_itself_only() {
    let odd = |change| {
        let mut odd = row(json!({ "sku": "odd" }));
        odd.as_object_mut()
            .expect("an object")
            .extend(serde_json::Map::clone(Value::as_object(&change).expect("one")));
        odd
    };
    for (odd, words) in [
        (Value::Null, "not nothing"),
        (json!("why it is not there"), "why it is not there"),
        (json!([1, 2]), ""),
        (json!([[]]), ""),
        (json!({}), ""),
        (odd(json!({ "vcpu": "many" })), "vcpu: \"many\" is not a number"),
        (odd(json!({ "vcpu": { "count": 2 } })), "vcpu: write text or a number, not fields"),
        (odd(json!({ "memory_mib": [4096] })), "memory_mib: write text or a number, not a list"),
        (odd(json!({ "region": null })), "region: write text, not nothing"),
        (odd(json!({ "region": 7 })), "region: write text, not `7`"),
        (odd(json!({ "currency": "eur" })), "currency: \"eur\" is not a currency"),
        (odd(json!({ "currency": null })), "currency"),
        (odd(json!({ "region": "mars" })), "no region is called \"mars\""),
        (odd(json!({ "colour": "red" })), "unknown field `colour`"),
        (odd(json!({ "monthly": null })), "no price"),
        (odd(json!({ "observed": "yesterday" })), "observed: \"yesterday\" is not a date"),
        (odd(json!({ "unit_price": "1", "unit": "GB" })), "not both"),
        (odd(json!({ "kind": "starship" })), "kind"),
        (odd(json!({ "vcpu": -2 })), "vcpu"),
        (odd(json!({ "term_months": true })), "term_months"),
    ] {
        let provider = program(json!({ "rows": [row(json!({})), odd, row(json!({ "sku": "large" }))] }));
        let catalogue = listed(&[Arc::new(provider) as Arc<dyn Provider>], None).await;
        let report = source(&catalogue, "alpha");
        assert_eq!((&report.state, catalogue.len()), (&SourceState::Fresh, 2), "{odd}: {report:?}");
        let [named] = report.rejected.as_slice() else { panic!("{odd}: {report:?}") };
        assert!(named.row.starts_with("rows[1]") && named.reason.contains(words), "{odd}: {named:?}");
        assert_eq!(odd.get("sku").is_some(), named.row.contains("odd"), "{named:?}");
        let authority = |ix| catalogue.provenance(ix).authority;
        assert!(catalogue.ids().all(|ix| authority(ix) == PriceAuthority::Listing));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_complete_list_says_anew_what_it_left_out() {
    let calls = program(json!({ "rows": [null] }));
    let _: Vec<Offer> = calls.offers(&OfferFilter::default()).try_collect().await.expect("a list");
    assert_eq!(calls.rejected().len(), 1);
    let calls = program(json!({ "rows": 7 }));
    let error = calls.offers(&OfferFilter::default()).try_collect::<Vec<_>>().await;
    assert!(error.is_err() && calls.rejected().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_a_program_have_limits_and_an_odd_service_is_not_passed_over() {
    let service = json!({ "id": "a", "sku": "small", "region": "alpha-1", "status": "running" });
    let many = program(json!({ "services": vec![service.clone(); 100_001] }));
    let error = many.services().try_collect::<Vec<_>>().await.expect_err("too many");
    assert!(error.to_string().contains("more than 100000 items"), "{error}");
    let many = program(json!({ "rows": vec![Value::Null; 100_001] }));
    let error = many.offers(&OfferFilter::default()).try_collect::<Vec<_>>().await.expect_err("too many");
    assert!(error.to_string().contains("more than 100000 rows"), "{error}");
    // Places repeated without end: they would be an offer each.
    let wide = program(json!({ "rows": vec![row(json!({ "region": "alpha-1 ".repeat(20_000) })); 60] }));
    let offers: Vec<Offer> = wide.offers(&OfferFilter::default()).try_collect().await.expect("a list");
    assert_eq!((offers.len(), wide.rejected().len()), (0, 60));
    assert!(wide.rejected().iter().all(|row| row.reason.contains("is named twice")), "{:?}", wide.rejected());
    // A service that is left out would be taken for one that is gone.
    for odd in [
        Value::Null,
        json!({ "id": "b" }),
        json!({ "id": "b", "sku": "s", "region": "mars", "status": "running" }),
    ] {
        let list = program(json!({ "services": [service.clone(), odd] }));
        assert!(list.services().try_collect::<Vec<_>>().await.is_err(), "{odd}");
    }
}
