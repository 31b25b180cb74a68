//! Explanations of plans, as JSON.

use std::ffi::c_char;

use fulcrum_core::model::{Blueprint, Measure, OfferId, from_micros, parse_json};

use crate::{
    compose::{ComposeCall, fulcrum_compose_options},
    error::{fulcrum_error, fulcrum_status},
    federation::{borrow_federation, fulcrum_federation},
    guard::{borrow, guard_on_call_thread, out, utf8},
    plan::fulcrum_plan,
    text::fulcrum_text,
};

/// Explains a plan. The result is a JSON object with `binding` (the cost of each condition), `runners_up` (the best
/// plan without each provider), `entries` (the discount at which another provider would get in), `unit`,
/// `is_complete`, and all of it for people as `text`.
///
/// @param federation                   borrowed.
/// @param blueprint, blueprint_length  borrowed; YAML or JSON: the one that the plan was composed for.
/// @param plan                         borrowed; over the present catalogue.
/// @param options                      borrowed; NULL for the usual ones.
/// @param out_json                     receives a text that the caller owns and frees with
///                                     fulcrum_text_free().
/// @param out_error                    may be NULL; else NULL on success, or an error for
///                                     fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it; the callback does not unwind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_explain_json(
    federation: *const fulcrum_federation,
    blueprint: *const c_char,
    blueprint_length: usize,
    plan: *const fulcrum_plan,
    options: *const fulcrum_compose_options,
    out_json: *mut *mut fulcrum_text,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, blueprint, plan, out_json) = unsafe {
            (
                borrow_federation(federation)?,
                utf8(blueprint, blueprint_length, "blueprint")?,
                borrow(plan, "plan")?,
                out(out_json, "out_json")?,
            )
        };
        // SAFETY: the caller's promise above.
        let search = unsafe { ComposeCall::read(options, federation)? };
        let blueprint = Blueprint::from_yaml(blueprint)?;
        let said = federation.inner.explain(&blueprint, &plan.inner, &search.options, &mut |progress| {
            search.poll_progress(progress)
        })?;
        *out_json = fulcrum_text::boxed(said.to_document().to_string());
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_json, out_error, call) }
}

/// Explains why an offer is not in a plan. The result is a JSON object with `reasons`, and with how much `more` the
/// best plan with the offer costs.
///
/// @param federation                   borrowed.
/// @param blueprint, blueprint_length  borrowed; YAML or JSON: the one that the plan was composed for.
/// @param plan                         borrowed; over the present catalogue.
/// @param offer, offer_length          borrowed; the offer's id, such as `hetzner/fsn1/cx23`.
/// @param options                      borrowed; NULL for the usual ones.
/// @param out_json                     receives a text that the caller owns and frees with
///                                     fulcrum_text_free().
/// @param out_error                    may be NULL; else NULL on success, or an error for
///                                     fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it; the callback does not unwind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_why_not_json(
    federation: *const fulcrum_federation,
    blueprint: *const c_char,
    blueprint_length: usize,
    plan: *const fulcrum_plan,
    offer: *const c_char,
    offer_length: usize,
    options: *const fulcrum_compose_options,
    out_json: *mut *mut fulcrum_text,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, blueprint, plan, offer, out_json) = unsafe {
            (
                borrow_federation(federation)?,
                utf8(blueprint, blueprint_length, "blueprint")?,
                borrow(plan, "plan")?,
                utf8(offer, offer_length, "offer")?,
                out(out_json, "out_json")?,
            )
        };
        // SAFETY: the caller's promise above.
        let search = unsafe { ComposeCall::read(options, federation)? };
        let blueprint = Blueprint::from_yaml(blueprint)?;
        let offer: OfferId =
            offer.parse().map_err(|error| fulcrum_error::argument(&format!("offer: {error}")))?;
        let said =
            federation.inner.why_not(&blueprint, &plan.inner, &offer, &search.options, &mut |progress| {
                search.poll_progress(progress)
            })?;
        *out_json = fulcrum_text::boxed(serde_json::to_string(&said).unwrap_or_default());
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_json, out_error, call) }
}

/// Computes the Pareto frontier of two measures. The result is a JSON object with `measures`, `plans` from the best
/// in the first measure to the best in the second, and `is_complete`.
///
/// @param federation                   borrowed.
/// @param blueprint, blueprint_length  borrowed; YAML or JSON; its objective does not count.
/// @param measures, measures_length    borrowed; a JSON array of two words such as `["cost", "carbon"]`.
/// @param step_micros                  the least distance of two plans in the second measure, in millionths
///                                     of its unit; 0 for the least there is.
/// @param options                      borrowed; NULL for the usual ones.
/// @param out_json                     receives a text that the caller owns and frees with
///                                     fulcrum_text_free().
/// @param out_error                    may be NULL; else NULL on success, or an error for
///                                     fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it; the callback does not unwind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_pareto_json(
    federation: *const fulcrum_federation,
    blueprint: *const c_char,
    blueprint_length: usize,
    measures: *const c_char,
    measures_length: usize,
    step_micros: i64,
    options: *const fulcrum_compose_options,
    out_json: *mut *mut fulcrum_text,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, blueprint, measures, out_json) = unsafe {
            (
                borrow_federation(federation)?,
                utf8(blueprint, blueprint_length, "blueprint")?,
                utf8(measures, measures_length, "measures")?,
                out(out_json, "out_json")?,
            )
        };
        // SAFETY: the caller's promise above.
        let search = unsafe { ComposeCall::read(options, federation)? };
        let blueprint = Blueprint::from_yaml(blueprint)?;
        let measures: [Measure; 2] = parse_json(measures)?;
        let (step, mut watch) = (from_micros(step_micros), |progress: &_| search.poll_progress(progress));
        let frontier = federation.inner.pareto(&blueprint, measures, step, &search.options, &mut watch)?;
        *out_json = fulcrum_text::boxed(serde_json::to_string(&frontier).unwrap_or_default());
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_json, out_error, call) }
}
