//! Queries with prices, and why one finds nothing.

use crate::random::{catalogue, offers};
use fulcrum_core::{
    catalogue::{Catalogue, Query, Sort},
    model::OfferKind,
};
use rust_decimal::Decimal;

fn market() -> Catalogue {
    let mut all = offers(
        "acme",
        "DE",
        "machine,small,one,2,4096,10,10,,EUR,net,,2026-11-01,test\nmachine,large,one,8,16384,100,40,,EUR,net,,2026-10-01,test\n",
    );
    all.extend(offers("umbra", "FR", "machine,dear,one,8,16384,100,45,,USD,net,,2026-11-01,test\n"));
    all[0].attributes = std::sync::Arc::new([("architecture".to_owned(), "arm64".to_owned())].into());
    all[2].kind = OfferKind::Database;
    catalogue(all)
}

/// A condition, and the query with it.
type Condition = (&'static str, fn(&mut Query));

const CONDITIONS: [Condition; 9] = [
    ("kinds", |query| query.kinds = vec![OfferKind::Database]),
    ("where.countries", |query| query.filter.countries.allow = vec!["DE".parse().expect("a country")]),
    ("where.providers", |query| query.filter.providers.deny = vec!["acme".parse().expect("a provider")]),
    ("where.attributes.architecture", |query| {
        query.filter.attributes.insert("architecture".to_owned(), "arm64".to_owned());
    }),
    ("where.max_age_days", |query| query.filter.max_age_days = Some(30)),
    ("at_least.vcpu", |query| query.at_least.vcpu_milli = 4_000),
    ("at_least.gpu", |query| query.at_least.gpu = 1),
    ("currency", |query| query.currency = iso_currency::Currency::USD),
    ("max_monthly", |query| query.max_monthly = Some(Decimal::from(20))),
];

fn query_of(chosen: impl Iterator<Item = usize>) -> Query {
    let mut query = Query::default();
    chosen.for_each(|at| CONDITIONS[at].1(&mut query));
    query
}

#[test]
fn whatever_is_asked_nothing_has_a_reason_and_something_has_none() {
    let market = market();
    let mut single = 0;
    for set in 0..1_u32 << CONDITIONS.len() {
        let chosen: Vec<usize> = (0..CONDITIONS.len()).filter(|at| set & (1 << at) != 0).collect();
        let query = query_of(chosen.iter().copied());
        let found = market.query(&query);
        let why = market.why_no_match(&query);
        assert_eq!(why.is_none(), !found.is_empty(), "{query:?}");
        let Some(why) = why else { continue };
        assert!(!why.conditions.is_empty() && why.nearest > 0, "{why}");
        for condition in &why.conditions {
            let total: usize = condition.found.iter().map(|(_, offers)| offers).sum();
            assert!((1..=why.nearest).contains(&total), "{why}");
            assert!(why.to_string().contains(&format!("`{}` asks for", condition.condition)), "{why}");
        }
        // Without the only condition in their way the nearest offers are found, and no others. The currency is asked for in any case.
        if let [only] = why.conditions.as_slice()
            && let Some(at) = chosen.iter().find(|at| CONDITIONS[**at].0 == only.condition)
            && only.condition != "currency"
        {
            single += 1;
            let without = query_of(chosen.iter().copied().filter(|other| other != at));
            assert_eq!(market.query(&without).len(), why.nearest, "{why}");
        }
    }
    assert!(single > 20, "only {single} had one condition to blame");
}

#[test]
fn a_query_tells_what_it_compares() {
    let market = market();
    let dollars = Query { currency: iso_currency::Currency::USD, sort: Sort::Id, ..Query::default() };
    for query in [Query::default(), dollars] {
        let priced = market.query_priced(&query);
        assert_eq!(priced.iter().map(|it| it.ix).collect::<Vec<_>>(), market.query(&query));
        for found in priced {
            let month = market.net_month(market.price(found.ix), 1, query.currency);
            assert_eq!(found.monthly, month, "{}", market.sku(found.ix));
            assert_eq!(found.once, month.map(|_| Decimal::ZERO), "{}", market.sku(found.ix));
        }
    }
}

#[test]
fn the_nearest_come_first_in_what_there_is() {
    let market = market();
    let told = |change: fn(&mut Query)| {
        let mut query = Query::default();
        change(&mut query);
        market.why_no_match(&query).expect("nothing").to_string()
    };
    let large = told(|query| query.at_least.vcpu_milli = 64_000);
    assert!(large.contains("`at_least.vcpu` asks for 64 or more, and they have 8 (1), 2 (1)"), "{large}");
    let cheap = told(|query| query.max_monthly = Some(Decimal::from(5)));
    assert!(cheap.contains("`max_monthly` asks for 5 EUR at most, and they have 10 (1), 40 (1)"), "{cheap}");
    let empty = catalogue(Vec::new()).why_no_match(&Query::default()).expect("nothing").to_string();
    assert!(empty.contains("the catalogue is empty"), "{empty}");
}
