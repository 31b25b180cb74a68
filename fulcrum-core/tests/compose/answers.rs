//! A plan and a query answer what was asked: no tie is broken dearly, nothing of nothing is bought, what is called `other` says
//! what it is, sets have members, and a price has all that was asked for.

use crate::random::{catalogue, offers, solve};
use fulcrum_core::{
    catalogue::{Catalogue, Query},
    compose::ComposeError,
    model::{Blueprint, ElasticDisk, Offer, Resources},
};
use rust_decimal::Decimal;

fn blueprint(text: &str) -> Blueprint {
    Blueprint::from_yaml(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn machines() -> Catalogue {
    let rows = |price: u32| format!("machine,s,one,4,4096,10,{price},,EUR,net,,2026-11-01,test\n");
    let mut all = offers("acme", "DE", &rows(20));
    all.extend(offers("umbra", "US", &rows(10)));
    catalogue(all)
}

#[test]
fn of_equally_good_plans_the_cheapest_is_taken_whatever_the_objective() {
    for objective in ["providers", "[worst_latency, providers]", "{ providers: 1, latency: 0.5 }"] {
        let text = format!(
            "{{ name: x, objective: {objective}, components: {{ web: {{ vcpu: 2, replicas: 2 }} }}, constraints: [ share: all ] }}"
        );
        let plan = solve(&machines(), &blueprint(&text)).expect("a plan");
        assert!(plan.is_optimal(), "{objective}");
        assert_eq!(plan.monthly, Decimal::from(10 * plan.leases.len()), "{objective}");
        let last = plan.later_stages.last().expect("a stage for cost");
        assert_eq!((last.measure.word(), last.value, last.bound), ("cost", plan.monthly, plan.monthly));
    }
    let by_cost = blueprint("{ name: x, components: { web: { vcpu: 2 } } }");
    assert!(solve(&machines(), &by_cost).expect("a plan").later_stages.is_empty());
}

fn storage() -> Vec<Offer> {
    let mut all = offers("acme", "DE", "machine,disk,one,1,1,1,1,,EUR,net,,2026-11-01,test\n");
    all[0].price.charge = serde_json::from_str(
        r#"{ "per_unit": { "unit": "GiB-month", "tiers": [{ "from": "0", "price": "1" }] } }"#,
    )
    .expect("a charge");
    all[0].capacity = Resources::default();
    all
}

#[test]
fn nothing_of_what_is_sold_by_the_gib_is_no_answer() {
    for kind in ["database", "load_balancer", "public_ip", "kubernetes"] {
        let mut all = storage();
        all[0].kind = kind.parse().expect("a kind");
        let market = catalogue(all);
        let empty = format!("{{ name: x, components: {{ c: {{ kind: {kind} }} }} }}");
        assert!(matches!(solve(&market, &blueprint(&empty)), Err(ComposeError::Infeasible(_))), "{kind}");
        let some = format!("{{ name: x, components: {{ c: {{ kind: {kind}, disk_gib: 3 }} }} }}");
        let plan = solve(&market, &blueprint(&some)).expect("a plan");
        assert_eq!((plan.leases[0].size_gib, plan.monthly), (3, Decimal::from(3)), "{kind}");
    }
}

#[test]
fn an_other_says_which_product() {
    let why =
        Blueprint::from_yaml("{ name: x, components: { net: { kind: other } } }").expect_err("anything");
    let why = why.to_string();
    assert!(why.contains("components.net.where") && why.contains("skus: { allow: [NAME] }"), "{why}");

    let mut all = offers(
        "acme",
        "DE",
        "machine,cheap,one,1,1,1,1,,EUR,net,,2026-11-01,test\nmachine,net,one,1,1,1,5,,EUR,net,,2026-11-01,test\n",
    );
    all.iter_mut().for_each(|offer| offer.kind = "other".parse().expect("a kind"));
    let named =
        blueprint("{ name: x, components: { net: { kind: other, where: { skus: { allow: [net] } } } } }");
    let plan = solve(&catalogue(all), &named).expect("a plan");
    assert_eq!(plan.leases[0].sku.as_str(), "net");
}

#[test]
fn a_set_has_its_members() {
    let mut all = offers("acme", "DE", "machine,db,one,2,2048,10,9,,EUR,net,,2026-11-01,test\n");
    all[0].kind = "database".parse().expect("a kind");
    all[0].attributes = std::sync::Arc::new([("engine".to_owned(), "postgresql+mysql".to_owned())].into());
    let market = catalogue(all);
    for (wanted, is_found) in [
        ("postgresql", true),
        ("mysql", true),
        ("mysql+postgresql", true),
        ("sql", false),
        ("mysql+redis", false),
        ("", false),
    ] {
        let text = format!(
            "{{ name: x, components: {{ db: {{ kind: database, where: {{ attributes: {{ engine: '{wanted}' }} }} }} }} }}"
        );
        assert_eq!(solve(&market, &blueprint(&text)).is_ok(), is_found, "{wanted}");
    }
}

#[test]
fn a_query_prices_what_was_asked_for() {
    let mut all = offers(
        "acme",
        "DE",
        "machine,small,one,4,4096,10,10,,EUR,net,,2026-11-01,test\nmachine,roomy,one,4,4096,500,40,,EUR,net,,2026-11-01,test\n",
    );
    let price = storage().remove(0).price;
    all[0].elastic_disk =
        Some(std::sync::Arc::new(ElasticDisk { sku: "disk".parse().expect("a SKU"), price }));
    let market = catalogue(all);
    let found = |gib: u64, most: Option<i64>| -> Vec<String> {
        let mut query = Query { max_monthly: most.map(Decimal::from), ..Query::default() };
        query.at_least.disk_gib = gib;
        market.query(&query).into_iter().map(|ix| market.offer(ix).sku.to_string()).collect()
    };
    assert_eq!(found(10, None), ["small", "roomy"]);
    assert_eq!(found(500, None), ["roomy", "small"], "490 GiB more cost 490");
    assert_eq!(found(500, Some(60)), ["roomy"]);
    assert_eq!(found(60, Some(60)), ["roomy", "small"], "50 GiB more cost 50");
}

/// A machine with an address, and the same one without, which is cheaper.
fn with_and_without_address() -> Catalogue {
    let mut all = offers(
        "acme",
        "DE",
        "machine,web,one,4,4096,10,10,,EUR,net,,2026-11-01,test\nmachine,web+no-ipv4,one,4,4096,10,9,,EUR,net,,2026-11-01,test\n",
    );
    for (offer, told) in all.iter_mut().zip(["extra", "none"]) {
        offer.attributes = std::sync::Arc::new([("public_ipv4".to_owned(), told.to_owned())].into());
    }
    catalogue(all)
}

#[test]
fn a_machine_without_an_address_is_for_those_who_ask_for_it() {
    let market = with_and_without_address();
    let found = |text: &str| -> Vec<String> {
        let query = Query { filter: serde_json::from_str(text).expect("a filter"), ..Query::default() };
        market.query(&query).into_iter().map(|ix| market.offer(ix).sku.to_string()).collect()
    };
    assert_eq!(found("{}"), ["web"]);
    assert_eq!(found(r#"{ "attributes": { "public_ipv4": "none" } }"#), ["web+no-ipv4"]);
    assert_eq!(found(r#"{ "skus": { "allow": ["web", "web+no-ipv4"] } }"#), ["web+no-ipv4", "web"]);
    for (settings, sku) in
        [("{}", "web"), ("{ public_ipv4: true }", "web"), ("{ public_ipv4: false }", "web+no-ipv4")]
    {
        let text = format!("{{ name: x, components: {{ web: {{ vcpu: 2, settings: {settings} }} }} }}");
        let plan = solve(&market, &blueprint(&text)).expect("a plan");
        assert_eq!(plan.leases[0].sku.as_str(), sku, "{settings}");
    }
    let asked = "{ name: x, components: { web: { vcpu: 2, settings: { public_ipv4: false } },
        other: { vcpu: 2, after: [web], settings: { note: '${web.public_ipv4}' } } } }";
    let why = solve(&market, &blueprint(asked)).expect_err("nobody tells it").to_string();
    assert!(why.contains("public_ipv4"), "{why}");
}

#[test]
fn nobody_comes_to_a_running_machine_without_an_address_who_did_not_ask_for_one() {
    let market = with_and_without_address();
    let leases = |settings: &str| {
        let text = format!(
            "{{ name: x, constraints: [ share: all ], components: {{
                db: {{ vcpu: 1, settings: {{ public_ipv4: false }} }}, web: {{ vcpu: 1, settings: {settings} }} }},
                running: {{ services: [ {{ id: s1, offer: acme/one/web+no-ipv4, replicas: {{ db: 1 }}, pinned: true }} ] }} }}"
        );
        let plan = solve(&market, &blueprint(&text)).expect("a plan");
        plan.leases.iter().map(|lease| (lease.sku.to_string(), lease.replicas.len())).collect::<Vec<_>>()
    };
    assert_eq!(leases("{ public_ipv4: false }"), [("web+no-ipv4".to_owned(), 2)]);
    let mut apart = leases("{}");
    apart.sort();
    assert_eq!(apart, [("web".to_owned(), 1), ("web+no-ipv4".to_owned(), 1)]);
}

#[test]
fn a_measure_that_counts_twice_is_limited_by_its_own_value() {
    for weight in ["2", "\"0.5\"", "1"] {
        let text = format!(
            "{{ name: x, budget: 10, objective: {{ cost: {weight} }}, components: {{ web: {{ vcpu: 2 }} }} }}"
        );
        let plan = solve(&machines(), &blueprint(&text)).unwrap_or_else(|error| panic!("{weight}: {error}"));
        assert_eq!(plan.monthly, Decimal::TEN, "{weight}");
    }
}

#[test]
fn what_is_colocated_by_way_of_another_component_shares_the_machine() {
    let chain = "{ name: x, components: { a: { vcpu: 1 }, b: { vcpu: 1 }, c: { vcpu: 1 } }, constraints: [
        colocate: { components: [a, b] }, colocate: { components: [b, c] } ] }";
    assert_eq!(solve(&machines(), &blueprint(chain)).expect("a plan").leases.len(), 1);
    let agent = "{ name: x, components: { a: { vcpu: 1 }, b: { vcpu: 1 }, c: { vcpu: 1 } }, constraints: [
        everywhere: { component: a, unless: [c] }, colocate: { components: [b, c] } ] }";
    let plan = solve(&machines(), &blueprint(agent)).expect("a plan");
    assert_eq!(plan.leases.len(), 1, "what may stand beside b stands beside c too: {:?}", plan.leases);
}
