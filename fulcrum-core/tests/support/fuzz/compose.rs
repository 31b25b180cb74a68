//! A small market and a blueprint to a plan.

use fulcrum_core::{
    compose::{ComposeError, Signal, compose, verify::verify},
    model::Plan,
};

use super::{documents, fault};

/// A small market and a blueprint to a plan: every plan passes the verifier and survives being written.
pub fn plan(bytes: &[u8]) -> bool {
    let Ok(Some(case)) = documents::case(bytes) else { return false };
    let mut calls = 0;
    let outcome = compose(&case.catalogue, &case.blueprint, &case.options, &mut |_| {
        calls += 1;
        assert!(calls < 10_000, "the search goes on after it was stopped");
        if calls < case.most_calls { Signal::Continue } else { Signal::Limit }
    });
    match outcome {
        Ok(plan) => {
            assert_eq!(verify(&case.catalogue, &case.blueprint, &plan), Ok(()));
            let text = serde_json::to_string(&plan).expect("a plan can be written");
            assert_eq!(Plan::from_json(&text).as_ref(), Ok(&plan), "{text}");
            let is_long = plan.horizon_months.is_some_and(|months| months > 12);
            fault::meet([plan.leases.len() > 2, is_long, plan.once > plan.monthly, !plan.fees.is_empty()]);
            true
        }
        Err(error @ ComposeError::Verification(_)) => panic!(
            "{error}: {} on {}",
            serde_json::to_string(&case.blueprint).expect("json"),
            case.catalogue
                .ids()
                .map(|ix| serde_json::to_string(&case.catalogue.offer(ix)).expect("json"))
                .collect::<Vec<_>>()
                .join("\n")
        ),
        Err(ComposeError::Infeasible(conflict)) => {
            assert!(!conflict.to_string().is_empty());
            false
        }
        Err(_) => false,
    }
}
