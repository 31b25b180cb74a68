//! The circumstances of errors.

use std::ptr::{null, null_mut};

use fulcrum::*;
use serde_json::Value;

use super::{Folder, bytes, message, read, text};

/// Composes what does not fit.
fn refused(market: *const fulcrum_federation, blueprint: &str) -> *mut fulcrum_error {
    let (blueprint, length) = bytes(blueprint);
    let (mut plan, mut error) = (null_mut(), null_mut());
    // SAFETY: all pointers are valid.
    let status = unsafe {
        fulcrum_federation_compose(market, blueprint, length, null(), &raw mut plan, &raw mut error)
    };
    assert!(status != FULCRUM_OK && plan.is_null() && !error.is_null());
    error
}

#[test]
fn what_clashes_and_the_ways_out_are_read_without_parsing_the_message() {
    let folder = Folder::new();
    let market = folder.market(1);
    // Two replicas at two providers cost 22.50.
    let error = refused(
        market,
        r#"{"name": "shop", "budget": "20", "components": {"web": {"vcpu": 2, "replicas": 2}},
            "constraints": [{"survive": {"components": ["web"], "loss_of": "provider"}}]}"#,
    );
    // SAFETY: all pointers are valid.
    unsafe {
        assert_eq!(fulcrum_error_code(error), FULCRUM_COMPOSE_INFEASIBLE);
        let details = read!(fulcrum_error_details, fulcrum_error_read(error));
        assert!(details.provider.is_null() && details.call.is_null() && !details.is_retryable);
        assert!(details.is_minimal && details.condition_count == 2 && details.way_out_count == 2);
        let hint = text(details.hint);
        assert!(hint.contains("22.5") && hint.contains("20"), "{hint}");
        let conditions = [0, 1].map(|at| text(fulcrum_error_condition(error, at)));
        assert!(conditions.iter().any(|it| it.starts_with("budget")), "{conditions:?}");
        assert!(conditions.iter().any(|it| it.contains("survive")), "{conditions:?}");
        assert!(fulcrum_error_condition(error, 2).is_null());
        let mut costs = Vec::new();
        for index in 0..details.way_out_count {
            let way = read!(fulcrum_way_out, fulcrum_error_read_way_out(error, index));
            assert!(way.is_proven && conditions.contains(&text(way.condition)));
            costs.push((text(way.objective.text), way.objective.micros));
        }
        // Without the spread both are at the cheaper one, or both on one machine; without the budget at both.
        assert_eq!(costs.last(), Some(&("22.5".to_owned(), 22_500_000)), "{costs:?}");
        assert!(costs[0].1 < 20_000_001, "{costs:?}");
        let mut json = null_mut();
        assert_eq!(fulcrum_error_json(error, &raw mut json, null_mut()), FULCRUM_OK);
        let said: Value = serde_json::from_str(&text(fulcrum_text_data(json))).expect("JSON");
        fulcrum_text_free(json);
        assert_eq!((&said["code"], &said["name"]), (&302.into(), &"FULCRUM_COMPOSE_INFEASIBLE".into()));
        assert_eq!(said["message"], message(error));
        assert_eq!(said["infeasible"]["conditions"].as_array().map(Vec::len), Some(2), "{said}");
        assert_eq!(said["infeasible"]["is_minimal"], true);
        fulcrum_error_free(error);
        fulcrum_federation_free(market);
    }
}

#[test]
fn a_call_to_a_provider_that_failed_says_which_and_whether_it_may_be_repeated() {
    let folder = Folder::new();
    let market = folder.market(1);
    let plan = super::compose(market);
    // SAFETY: all pointers are valid.
    unsafe {
        let (mut order, mut error, mut access) = (null_mut(), null_mut(), null_mut());
        let status = fulcrum_federation_purchase(market, plan, null(), 0, null(), &raw mut order, null_mut());
        assert_eq!(status, FULCRUM_OK);
        let id = text(fulcrum_order_id(order));
        let (id, length) = bytes(&id);
        // A machine of the sandbox has nothing that opens it.
        let status = fulcrum_federation_access(market, id, length, 0, &raw mut access, &raw mut error);
        assert_eq!(status, FULCRUM_PROVIDER_UNSUPPORTED);
        let details = read!(fulcrum_error_details, fulcrum_error_read(error));
        let provider = text(details.provider);
        assert!(["alpha", "beta"].contains(&provider.as_str()), "{provider}");
        assert_eq!(text(details.call), "access");
        assert!(!details.is_retryable && !details.may_have_happened && details.retry_after_ms == 0);
        assert!(details.request_id.is_null() && details.condition_count == 0 && details.hint.is_null());
        fulcrum_error_free(error);

        // An error of this border has no circumstances, and says so.
        let status = fulcrum_federation_access(market, null(), 0, 0, &raw mut access, &raw mut error);
        assert_eq!(status, FULCRUM_INVALID_ARGUMENT);
        let details = read!(fulcrum_error_details, fulcrum_error_read(error));
        assert!(details.provider.is_null() && details.call.is_null() && !details.is_minimal);
        let mut way = super::sized::<fulcrum_way_out>();
        let status = fulcrum_error_read_way_out(error, 0, way.as_mut_ptr(), null_mut());
        assert_eq!(status, FULCRUM_INVALID_ARGUMENT);
        fulcrum_error_free(error);
        assert!(fulcrum_error_condition(null(), 0).is_null());
        assert_eq!(fulcrum_error_read(null(), null_mut(), null_mut()), FULCRUM_INVALID_ARGUMENT);
        fulcrum_order_free(order);
        fulcrum_plan_free(plan);
        fulcrum_federation_free(market);
    }
}
