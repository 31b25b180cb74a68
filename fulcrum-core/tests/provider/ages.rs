//! How old lists, exchange rates and price tables may be; and that what is left out for it, or cannot be compared, is named.

use std::{path::Path, sync::Arc};

use crate::support::{cloud, offers};
use fulcrum_core::{
    catalogue::{
        AgeLimits, Catalogue, CatalogueCheck, IngestOptions, Rates, SourceReport, SourceState, ingest,
    },
    compose::{ComposeError, ComposeOptions, Signal, compose},
    federation::{Federation, FederationConfig},
    ledger::SqliteLedger,
    model::{Blueprint, Plan, PriceAuthority},
    provider::{
        Call, Provider,
        adapters::catalogue_file::CatalogueFile,
        sandbox::{Fault, FaultRule},
    },
};
use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};

fn ago(hours: i64) -> Timestamp {
    Timestamp::now().checked_sub(SignedDuration::from_hours(hours)).expect("a time")
}

fn day(days_ago: i64) -> Date {
    TimeZone::UTC.to_datetime(ago(24 * days_ago)).date()
}

fn source<'a>(catalogue: &'a Catalogue, provider: &str) -> &'a SourceReport {
    catalogue.source(&provider.parse().expect("a name")).expect("it was asked")
}

/// A price table in a folder: machines in euros, dollars and levs, of these ages in days.
fn table(folder: &Path, rows: &[(&str, &str, i64)]) {
    let provider = r#"{"id": "acme", "name": "Acme", "legal_name": "Acme GmbH", "country": "DE",
        "regions": [{"id": "a1", "country": "DE"}]}"#;
    std::fs::write(folder.join("acme.json"), provider).expect("written");
    let mut csv =
        "kind,sku,region,vcpu,memory_mib,disk_gib,monthly,currency,tax,observed,source\n".to_owned();
    for (sku, currency, age) in rows {
        csv += &format!("machine,{sku},a1,2,4096,40,10,{currency},net,{},a test\n", day(*age));
    }
    std::fs::write(folder.join("acme.csv"), csv).expect("written");
}

fn rates(folder: &Path, days_ago: i64) {
    let csv = format!("Date, USD\n{}, 1.25\n", day(days_ago));
    std::fs::write(folder.join("rates.csv"), csv).expect("written");
}

async fn market(folder: &Path, more: &str) -> Federation {
    let text =
        format!("{{ ledger: ':memory:', rates: rates.csv, providers: [ catalogue_file: acme.csv ] {more} }}");
    let config = FederationConfig::from_yaml(&text).expect("a configuration");
    config.open(folder).await.expect("a federation")
}

fn web(currency: &str) -> Blueprint {
    let text = format!("{{ name: n, currency: {currency}, components: {{ web: {{ vcpu: 2 }} }} }}");
    Blueprint::from_yaml(&text).expect("a blueprint")
}

fn composed(catalogue: &Catalogue, currency: &str) -> Result<Plan, ComposeError> {
    compose(catalogue, &web(currency), &ComposeOptions::default(), &mut |_| Signal::Continue)
}

#[tokio::test]
async fn a_stale_list_leaves_the_catalogue_at_the_limit() {
    let rule = FaultRule { call: Call::Offers, sku: None, nth: 2, times: 9, fault: Fault::Unavailable };
    let providers: [Arc<dyn Provider>; 1] = [Arc::new(cloud("alpha", None).fault(rule).build())];
    let before = ingest(&providers, None, IngestOptions::new(ago(25), Rates::none())).await;
    let mut options = IngestOptions::new(Timestamp::now(), Rates::none());
    let after = ingest(&providers, Some(&before), options.clone()).await;
    let report = source(&after, "alpha");
    let SourceState::Missing { reason } = &report.state else { panic!("{report:?}") };
    assert!(
        reason.contains("not available") && reason.contains("max_offer_age_hours, which is 24"),
        "{reason}"
    );
    assert_eq!((after.len(), report.offers, report.listed_at), (0, 0, None));
    let words = composed(&after, "EUR").expect_err("nothing is left").to_string();
    assert!(words.contains("1 of 1 providers did not answer: alpha: "), "{words}");

    options.ages.max_offer_age_hours = 26;
    let after = ingest(&providers, Some(&before), options).await;
    assert!(matches!(source(&after, "alpha").state, SourceState::Stale { .. }) && after.len() == 1);
}

#[tokio::test]
async fn a_host_that_does_not_refresh_composes_with_nothing_old() {
    let market = Federation::builder().provider(cloud("alpha", None).build());
    let market = market.ledger(SqliteLedger::in_memory().await.expect("a ledger")).build().expect("a market");
    let words = market.compose(&web("EUR")).expect_err("nobody was asked").to_string();
    assert_eq!(words, "no plan meets the blueprint: the catalogue is empty: call refresh()");
    market.refresh_with(IngestOptions::new(ago(23), Rates::none())).await;
    let plan = market.compose(&web("EUR")).expect("a plan");
    assert_eq!(plan.catalogue_digest, market.catalogue().digest());
    market.refresh_with(IngestOptions::new(ago(25), Rates::none())).await;
    let words = market.compose(&web("EUR")).expect_err("too old").to_string();
    assert!(words.contains("1 of 1 providers' lists are too old: alpha: its list of "), "{words}");
    assert!(words.contains("call refresh()") && market.catalogue().is_empty(), "{words}");
    assert!(matches!(source(&market.catalogue(), "alpha").state, SourceState::Missing { .. }));
}

#[tokio::test]
async fn prices_of_an_old_table_are_left_out_and_named() {
    let folder = tempfile::tempdir().expect("a folder");
    table(folder.path(), &[("new", "EUR", 89), ("old", "EUR", 91)]);
    rates(folder.path(), 0);
    let catalogue = market(folder.path(), "").await.refresh().await;
    let report = source(&catalogue, "acme");
    assert_eq!((catalogue.len(), report.offers, report.rejected_count), (1, 1, 1));
    let row = &report.rejected[0];
    assert_eq!(row.row, "acme/a1/old");
    assert!(row.reason.contains("91 days old, and max_table_age_days is 90; renew the table"), "{row:?}");
    assert_eq!(market(folder.path(), ", max_table_age_days: 91").await.refresh().await.len(), 2);

    // What a cloud lists itself is as old as the list.
    let providers = CatalogueFile::open(&folder.path().join("acme.csv")).expect("a table");
    let list = |providers: Vec<Arc<dyn Provider>>| async move {
        let ages = AgeLimits { max_table_age_days: 1000, ..AgeLimits::default() };
        ingest(
            &providers,
            None,
            IngestOptions { ages, ..IngestOptions::new(Timestamp::now(), Rates::none()) },
        )
        .await
    };
    let file = list(providers.into_iter().map(|it| Arc::new(it) as Arc<dyn Provider>).collect()).await;
    assert!(file.len() == 2 && file.ids().all(|ix| file.provenance(ix).authority == PriceAuthority::Table));
    let sandbox = list(vec![Arc::new(cloud("alpha", None).build())]).await;
    assert!(sandbox.ids().all(|ix| sandbox.provenance(ix).authority == PriceAuthority::Listing));
    assert_eq!(offers("alpha")[0].provenance.authority, PriceAuthority::Table);
}

/// What the check of a table complains of, no host sells: not from the table, and not from a sandbox, whose list has no age.
#[tokio::test]
async fn a_price_of_a_day_to_come_is_a_mistake_for_the_check_and_for_each_host() {
    let folder = tempfile::tempdir().expect("a folder");
    table(folder.path(), &[("today", "EUR", 0), ("tomorrow", "EUR", -1), ("next-week", "EUR", -7)]);
    rates(folder.path(), 0);
    let check = CatalogueCheck::of(&folder.path().join("acme.csv"), Timestamp::now()).expect("a table");
    let said = check.tables[0].mistakes.join("\n");
    assert!(
        check.mistakes == 1 && said.contains("acme/a1/next-week: ") && said.contains("a day to come"),
        "{said}"
    );
    let sandbox = "{ ledger: ':memory:', providers: [ sandbox: { catalogue: acme.csv } ] }";
    let sandbox = FederationConfig::from_yaml(sandbox).expect("a configuration");
    let sandbox = sandbox.open(folder.path()).await.expect("a federation");
    for market in [market(folder.path(), "").await, sandbox] {
        let catalogue = market.refresh().await;
        let report = source(&catalogue, "acme");
        assert_eq!((catalogue.len(), report.rejected_count), (2, 1), "{report:?}");
        let row = &report.rejected[0];
        assert!(row.row == "acme/a1/next-week" && row.reason.contains("a day to come"), "{row:?}");
    }
    // An old price is no mistake. It is counted.
    table(folder.path(), &[("new", "EUR", 89), ("old", "EUR", 91)]);
    let check = CatalogueCheck::of(&folder.path().join("acme.csv"), Timestamp::now()).expect("a table");
    assert!(check.is_right() && check.tables[0].too_old == 1, "{check}");
    let told = serde_json::to_value(&check).expect("JSON");
    assert_eq!(told["tables"][0]["offers"], 2, "{told}");
}

#[tokio::test]
async fn old_rates_convert_nothing_and_newer_ones_are_read_with_the_next_refresh() {
    let folder = tempfile::tempdir().expect("a folder");
    table(folder.path(), &[("dollars", "USD", 0)]);
    rates(folder.path(), 8);
    let market = market(folder.path(), "").await;
    let catalogue = market.refresh().await;
    let row = &source(&catalogue, "acme").rejected[0];
    assert!(row.reason.contains("no exchange rate from USD to EUR"), "{row:?}");
    assert!(row.reason.contains("8 days old, and max_rates_age_days is 7; give newer ones"), "{row:?}");
    let words = market.compose(&web("EUR")).expect_err("no rate").to_string();
    assert!(
        words.contains("1 offers in USD have no exchange rate to EUR") && words.contains("8 days old"),
        "{words}"
    );
    assert_eq!(market.compose(&web("USD")).expect("no conversion").rates_date, None);

    rates(folder.path(), 6);
    let catalogue = market.refresh().await;
    assert_eq!(source(&catalogue, "acme").rejected_count, 0);
    let plan = market.compose(&web("EUR")).expect("a plan");
    assert_eq!((plan.rates_date, plan.monthly), (Some(day(6)), "8".parse().expect("8")));
    // What cannot be read leaves the rates as they were.
    std::fs::write(folder.path().join("rates.csv"), "no table").expect("written");
    market.refresh().await;
    assert_eq!(market.compose(&web("EUR")).expect("a plan").rates_date, Some(day(6)));
}

#[tokio::test]
async fn rates_that_become_too_old_are_used_no_more() {
    let rates = Rates::from_ecb_csv(&format!("Date, USD\n{}, 1.25\n", day(8))).expect("rates");
    let folder = tempfile::tempdir().expect("a folder");
    table(folder.path(), &[("dollars", "USD", 0)]);
    let file = CatalogueFile::open(&folder.path().join("acme.csv")).expect("a table").remove(0);
    let market = Federation::builder().provider(file).max_offer_age_hours(100);
    let market = market.ledger(SqliteLedger::in_memory().await.expect("a ledger")).build().expect("a market");
    // Good when it was taken, two days ago.
    market.refresh_with(IngestOptions::new(ago(48), rates)).await;
    let words = market.compose(&web("EUR")).expect_err("no rate").to_string();
    assert!(words.contains("8 days old"), "{words}");
    assert!(market.compose(&web("USD")).is_ok());
}

#[tokio::test]
async fn an_offer_without_a_rate_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    table(folder.path(), &[("euros", "EUR", 0), ("levs", "BGN", 0), ("dollars", "USD", 0)]);
    std::fs::write(folder.path().join("rates.csv"), format!("Date, usd\n{}, 1.25\n", day(0)))
        .expect("written");
    let market = market(folder.path(), "").await;
    let catalogue = market.refresh().await;
    let report = source(&catalogue, "acme");
    assert_eq!((&report.state, report.rejected_count), (&SourceState::Fresh, 1), "{report:?}");
    let row = &report.rejected[0];
    assert_eq!(row.row, "acme/a1/levs");
    assert!(
        row.reason.contains("no exchange rate from BGN to EUR: only a blueprint in BGN can use it"),
        "{row:?}"
    );
    assert_eq!(market.compose(&web("BGN")).expect("a plan").leases[0].sku.as_str(), "levs");
}

#[tokio::test]
async fn an_empty_catalogue_says_why() {
    let down = FaultRule { call: Call::Offers, sku: None, nth: 1, times: 9, fault: Fault::NotSent };
    let provider = |name: &str| Arc::new(cloud(name, None).fault(down.clone()).build()) as Arc<dyn Provider>;
    let all = [provider("alpha"), provider("beta")];
    let catalogue = ingest(&all, None, IngestOptions::new(Timestamp::now(), Rates::none())).await;
    let words = composed(&catalogue, "EUR").expect_err("nothing to sell").to_string();
    let start =
        "no plan meets the blueprint: the catalogue is empty: 2 of 2 providers did not answer: alpha: ";
    assert!(words.starts_with(start) && words.contains("; beta: "), "{words}");
    assert!(
        matches!(composed(&catalogue, "EUR"), Err(ComposeError::Infeasible(conflict)) if conflict.hint.is_some())
    );

    // Some are missing: it may be they who sell it.
    let one = [Arc::new(cloud("gamma", None).build()) as Arc<dyn Provider>, provider("beta")];
    let catalogue = ingest(&one, None, IngestOptions::new(Timestamp::now(), Rates::none())).await;
    let blueprint =
        Blueprint::from_yaml("{ name: n, components: { db: { kind: database } } }").expect("a blueprint");
    let outcome = compose(&catalogue, &blueprint, &ComposeOptions::default(), &mut |_| Signal::Continue);
    let words = outcome.expect_err("nobody sells one").to_string();
    assert!(words.contains("no database for `db`; 1 of 2 providers did not answer: beta: "), "{words}");
}
