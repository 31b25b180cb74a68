use std::ptr::{null, null_mut};

use fulcrum::*;

use super::{Folder, SHOP, bytes, compose, message};

/// What a question is answered with, or its status.
fn answer(
    ask: impl FnOnce(*mut *mut fulcrum_text, *mut *mut fulcrum_error) -> fulcrum_status,
) -> Result<serde_json::Value, (fulcrum_status, String)> {
    let (mut text, mut error) = (null_mut(), null_mut());
    let status = ask(&raw mut text, &raw mut error);
    if status != FULCRUM_OK {
        assert!(text.is_null());
        // SAFETY: an error came with the status.
        return Err((status, unsafe { message(error) }));
    }
    // SAFETY: the text is there, and ours.
    unsafe {
        let bytes = std::slice::from_raw_parts(fulcrum_text_data(text).cast(), fulcrum_text_length(text));
        let value = serde_json::from_slice(bytes).expect("JSON");
        fulcrum_text_free(text);
        Ok(value)
    }
}

#[test]
fn plans_are_explained_and_strange_questions_refused() {
    let folder = Folder::new();
    let market = folder.market(1);
    let plan = compose(market);
    let (shop, shop_length) = bytes(SHOP);
    // SAFETY: all pointers are valid, or NULL where that is what is tried.
    unsafe {
        let said = answer(|text, error| {
            fulcrum_federation_explain_json(market, shop, shop_length, plan, null(), text, error)
        });
        let said = said.expect("explained");
        assert_eq!(said["is_complete"], true);
        assert_eq!(said["binding"].as_array().map(Vec::len), Some(1), "{said}");
        let why = |offer: &str| {
            let (offer, length) = bytes(offer);
            answer(|text, error| {
                fulcrum_federation_why_not_json(
                    market,
                    shop,
                    shop_length,
                    plan,
                    offer,
                    length,
                    null(),
                    text,
                    error,
                )
            })
        };
        assert_eq!(why("alpha/r1/0012").expect("an answer")["reasons"][0], "the plan uses it");
        assert!(why("").is_err());
        let trade = |measures: &str| {
            let (measures, length) = bytes(measures);
            answer(|text, error| {
                fulcrum_federation_pareto_json(
                    market,
                    shop,
                    shop_length,
                    measures,
                    length,
                    0,
                    null(),
                    text,
                    error,
                )
            })
        };
        let frontier = trade(r#"["cost", "providers"]"#).expect("a frontier");
        assert_eq!(frontier["plans"].as_array().map(Vec::len), Some(1), "{frontier}");
        for wrong in [r#"["cost"]"#, r#"["cost", "cost"]"#, r#"["cost", "beauty"]"#, "{"] {
            assert!(trade(wrong).is_err(), "{wrong}");
        }
        let missing = answer(|text, error| {
            fulcrum_federation_explain_json(market, shop, shop_length, null(), null(), text, error)
        });
        assert_eq!(missing.expect_err("no plan").0, FULCRUM_INVALID_ARGUMENT);
        fulcrum_plan_free(plan);
        fulcrum_federation_free(market);
    }
}
