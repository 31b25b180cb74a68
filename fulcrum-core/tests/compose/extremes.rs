//! Figures and numbers at the edge: an answer, or an error in words, within the caller's time.

use std::time::{Duration, Instant};

use fulcrum_core::{
    catalogue::Catalogue,
    compose::{ComposeError, ComposeOptions, Method, Signal, compose},
    model::{Blueprint, Charge, Offer, Plan},
};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::random::{catalogue, offers};

/// How long a search may take, and how late it may end.
const LIMIT: Duration = Duration::from_secs(2);
const LATE: Duration = Duration::from_secs(if cfg!(debug_assertions) { 20 } else { 1 });

fn market(rows: &str) -> Catalogue {
    changed_market(rows, |_| {})
}

/// A market whose offers are changed past what a table may say.
fn changed_market(rows: &str, change: impl Fn(&mut Offer)) -> Catalogue {
    let mut all = offers("acme", "DE", rows);
    all.extend(offers("umbra", "US", rows));
    all.iter_mut().for_each(change);
    catalogue(all)
}

/// Composes in all three ways; each ends in time, and none is unsound beside another.
fn composed(market: &Catalogue, blueprint: &Value) -> Vec<Result<Plan, ComposeError>> {
    let blueprint = match Blueprint::from_json(&blueprint.to_string()) {
        Ok(blueprint) => blueprint,
        Err(error) => return vec![Err(error.into())],
    };
    let answers: Vec<_> = [Method::Auto, Method::OnDemand, Method::AllColumns]
        .into_iter()
        .map(|method| {
            let begin = Instant::now();
            let options = ComposeOptions { method, ..ComposeOptions::default() };
            let answer = compose(market, &blueprint, &options, &mut |_| {
                if begin.elapsed() > LIMIT { Signal::Limit } else { Signal::Continue }
            });
            assert!(begin.elapsed() < LIMIT + LATE, "{method:?} took {:?}", begin.elapsed());
            assert!(!matches!(answer, Err(ComposeError::Verification(_))), "{answer:?}");
            answer
        })
        .collect();
    for one in answers.iter().flatten() {
        for two in answers.iter().flatten() {
            assert!(one.bound <= two.objective, "{} above {}", one.bound, two.objective);
        }
        assert!(
            !answers.iter().any(|other| matches!(other, Err(ComposeError::Infeasible(_)))),
            "{answers:?}"
        );
    }
    answers
}

fn are_infeasible(answers: &[Result<Plan, ComposeError>]) -> bool {
    answers.iter().all(|answer| matches!(answer, Err(ComposeError::Infeasible(_))))
}

#[test]
fn sizes_near_the_largest_number() {
    let most = i64::MAX as u64;
    let rows = "machine,huge,one,4,4096,10,10,,EUR,net,,2026-11-01,test\nmachine,small,two,4,4096,10,5,,EUR,net,,2026-11-01,test\n";
    let market = changed_market(rows, |offer| {
        if offer.sku.as_str() == "huge" {
            let capacity = &mut offer.capacity;
            (capacity.vcpu_milli, capacity.memory_mib, capacity.disk_gib) = (u32::MAX, u64::MAX - 1, most);
        }
    });
    for (memory_mib, disk_gib) in [(most, 0), (most - 1, most - 1), (1, most), (most / 2, 3)] {
        let part = json!({ "memory_mib": memory_mib, "disk_gib": disk_gib, "replicas": 2 });
        let parts = json!({ "a": part, "b": part, "c": { "vcpu": 1 } });
        composed(
            &market,
            &json!({ "name": "huge", "components": parts, "constraints": [{ "share": "all" }] }),
        );
    }
}

#[test]
fn prices_of_next_to_nothing() {
    let rows = "machine,free,one,8,16384,100,1,,EUR,net,,2026-11-01,test\nmachine,gift,two,16,32768,100,1,,EUR,net,3,2026-11-01,test\n";
    let market = changed_market(rows, |offer| offer.price.charge = Charge::Monthly(Decimal::new(1, 6)));
    let parts: serde_json::Map<_, _> = (0..12)
        .map(|at| (format!("c{at}"), json!({ "vcpu": 1, "memory_mib": 900, "replicas": 2 })))
        .collect();
    let document = json!({ "name": "free", "components": parts, "constraints": [
        { "share": "all" }, { "survive": { "components": ["c0"], "loss_of": "provider" } }] });
    for answer in composed(&market, &document) {
        let plan = answer.expect("a plan");
        assert!(plan.is_optimal() && plan.monthly < Decimal::new(1, 4), "{plan:?}");
    }
}

#[test]
fn nothing_in_stock_and_nothing_that_fits() {
    let row = |stock: &str| format!("machine,m,one,4,4096,10,5,,EUR,net,{stock},2026-11-01,test\n");
    let document =
        |vcpu: u32| json!({ "name": "none", "components": { "web": { "vcpu": vcpu }, "db": { "vcpu": 1 } } });
    assert!(are_infeasible(&composed(&market(&row("0")), &document(1))));
    assert!(are_infeasible(&composed(&market(&row("")), &document(5))));
}

#[test]
fn pins_that_contradict_each_other() {
    let rows = "machine,m,one,4,4096,10,5,,EUR,net,,2026-11-01,test\n";
    let service = |at: usize| json!({ "id": format!("s{at}"), "offer": "acme/one/m", "replicas": { "web": 1 }, "pinned": true });
    let document = json!({ "name": "pins", "components": { "web": { "vcpu": 1, "replicas": 1 } },
        "running": { "services": [service(0), service(1)] } });
    assert!(are_infeasible(&composed(&market(rows), &document)));
}

#[test]
fn a_thousand_conditions() {
    let rows: String = (0..30)
        .map(|at| {
            format!(
                "machine,m{at},{},{},{},100,{},,EUR,net,,2026-11-01,test\n",
                ["one", "two"][at % 2],
                2 + at,
                2048 * (1 + at),
                5 + 3 * at
            )
        })
        .collect();
    let parts: serde_json::Map<_, _> = (0..60)
        .map(|at| (format!("c{at}"), json!({ "vcpu": 1, "memory_mib": 512, "replicas": 1 + at % 3 })))
        .collect();
    let mut constraints = vec![json!({ "share": "all" })];
    for at in 0..999usize {
        let (one, two) = (format!("c{}", at % 60), format!("c{}", (at * 7 + 1 + at / 60) % 60));
        constraints.push(match at % 3 {
            0 => json!({ "spread": { "components": [one], "over": "provider", "max_percent": 100 } }),
            _ if one == two => {
                json!({ "survive": { "components": [one], "loss_of": "zone", "remaining": 0 } })
            }
            1 => json!({ "conflict": { "component": one, "with": [two] } }),
            _ => json!({ "limit": { "resource": "vcpu_milli", "max": 900_000 } }),
        });
    }
    composed(&market(&rows), &json!({ "name": "many", "components": parts, "constraints": constraints }));
}

#[test]
fn five_hundred_components_in_one_region() {
    let rows: String = (0..20)
        .map(|at| {
            format!(
                "machine,m{at},one,{},{},200,{},,EUR,net,,2026-11-01,test\n",
                2 + 2 * at,
                4096 * (1 + at),
                6 + 5 * at
            )
        })
        .collect();
    let parts: serde_json::Map<_, _> = (0..500)
        .map(|at| (format!("c{at}"), json!({ "vcpu": 1 + at % 3, "memory_mib": 700 + 13 * (at % 40) })))
        .collect();
    for constraints in [json!([{ "share": "all" }]), json!([])] {
        let document = json!({ "name": "wide", "components": parts, "constraints": constraints });
        composed(&market(&rows), &document);
    }
}
