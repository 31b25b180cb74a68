//! Several threads prove what one proves, and say the same each time.

use crate::{
    packing,
    support::{self, seed},
};
use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc};

use fulcrum_core::{
    catalogue::{Catalogue, CatalogueBuilder, Rates},
    compose::{ComposeOptions, Method, Signal, compose},
    model::{Blueprint, Charge, Offer, OfferKind, Plan, Resources, StopReason},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use rust_decimal::Decimal;
use serde_json::json;

const GROUPS: u64 = 12;
const BUDGETS: [&str; 4] = ["alpha", "beta", "gamma", "delta"];

/// One of some offers for each component within four budgets: hard for its size.
fn hard(chance: &mut StdRng) -> (Catalogue, Blueprint) {
    let mut builder = CatalogueBuilder::new("2026-11-23T00:00:00Z".parse().expect("a time"), Rates::none());
    let like = support::offers("alpha").remove(0);
    for group in 0..GROUPS {
        for item in 0..8 {
            let named: BTreeMap<String, u64> =
                BUDGETS.iter().map(|budget| ((*budget).to_owned(), chance.random_range(0..=40))).collect();
            let mut price = like.price.clone();
            // What needs little costs much.
            let needs: u64 = named.values().sum();
            price.charge = Charge::Monthly(Decimal::from(200 - needs + chance.random_range(0..20)));
            builder.add(Offer {
                sku: format!("g{group}i{item}").parse().expect("a name"),
                kind: OfferKind::Other,
                capacity: Resources { named, ..Resources::default() },
                attributes: Arc::new(BTreeMap::from([("group".to_owned(), group.to_string())])),
                price,
                ..like.clone()
            });
        }
    }
    let components: serde_json::Map<String, serde_json::Value> = (0..GROUPS)
        .map(|group| {
            let only = json!({ "attributes": { "group": group.to_string() } });
            (format!("c{group}"), json!({ "kind": "other", "replicas": 1, "where": only }))
        })
        .collect();
    let budgets: Vec<_> =
        BUDGETS.iter().map(|name| json!({ "limit": { "resource": name, "max": GROUPS * 19 } })).collect();
    let document = json!({ "name": "hard", "components": components, "constraints": budgets });
    (builder.build(), Blueprint::from_json(&document.to_string()).expect("a blueprint"))
}

fn solve(market: &(Catalogue, Blueprint), threads: usize, max_nodes: u64) -> Plan {
    let threads = NonZeroUsize::new(threads).expect("above zero");
    let options = ComposeOptions { threads, max_nodes, ..ComposeOptions::default() };
    compose(&market.0, &market.1, &options, &mut |_| Signal::Continue).expect("a plan")
}

#[test]
fn prop_threads_prove_the_same_and_repeat_themselves() {
    let seed = seed::seed();
    let mut shared = 0;
    for case in 0..3 {
        let market = hard(&mut StdRng::seed_from_u64(seed.wrapping_add(case)));
        let alone = solve(&market, 1, u64::MAX);
        for threads in [2, 3] {
            let plan = solve(&market, threads, u64::MAX);
            assert!(plan.is_optimal());
            assert_eq!((plan.monthly, plan.bound), (alone.monthly, alone.bound), "case {case}");
            assert_eq!(plan, solve(&market, threads, u64::MAX), "case {case}, {threads} threads");
        }
        // Where one needs more nodes than are done before any are shared.
        shared += u32::from(alone.statistics.nodes > 600);
        // At a limit too.
        let limit = 600 + 50 * case;
        let [first, second] = [(); 2].map(|()| solve(&market, 2, limit));
        assert_eq!(first, second, "case {case}, {limit} nodes");
        assert!(first.statistics.nodes <= limit);
        assert!(first.bound <= alone.monthly && alone.monthly <= first.monthly);
    }
    assert!(shared > 0, "none was hard enough");
}

#[test]
fn prop_threads_generate_the_same_columns_up_to_any_number_of_nodes() {
    let seed = seed::seed();
    let mut searched = 0;
    for case in 0..6u64 {
        let mut chance = StdRng::seed_from_u64(seed.wrapping_add(case));
        let (market, application) = (packing::market(&mut chance), packing::application(&mut chance));
        for max_nodes in [5, 40, 300] {
            let [alone, two, three] = [1, 2, 3].map(|threads| {
                let threads = NonZeroUsize::new(threads).expect("above zero");
                let method = Method::OnDemand;
                let options = ComposeOptions { threads, max_nodes, method, ..ComposeOptions::default() };
                compose(&market, &application, &options, &mut |_| Signal::Continue)
            });
            assert_eq!(alone, two, "seed {seed}, case {case}, {max_nodes} nodes");
            assert_eq!(alone, three, "seed {seed}, case {case}, {max_nodes} nodes");
            searched += alone.map_or(0, |plan| plan.statistics.nodes);
        }
    }
    assert!(searched > 100, "{searched}");
}

#[test]
fn all_threads_stop_when_told() {
    let market = hard(&mut StdRng::seed_from_u64(5));
    let alone = solve(&market, 1, u64::MAX);
    let options =
        ComposeOptions { threads: NonZeroUsize::new(4).expect("above zero"), ..ComposeOptions::default() };
    for after in [1, 10, 40, 160] {
        let mut asked = 0;
        let plan = compose(&market.0, &market.1, &options, &mut |progress| {
            asked += u32::from(progress.incumbent.is_some());
            if asked >= after { Signal::Cancel } else { Signal::Continue }
        })
        .expect("a plan was found before");
        assert!(plan.bound <= alone.monthly && alone.monthly <= plan.monthly, "after {after}");
        assert!(plan.is_optimal() || plan.stop == StopReason::Cancelled, "{:?}", plan.stop);
    }
}
