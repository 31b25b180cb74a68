//! Plans.

use fulcrum_core::model::Plan;

use crate::{
    error::{fulcrum_error, fulcrum_status},
    guard::{borrow, free, guard, out, utf8},
    text::fulcrum_text,
};

/// A plan with its proof. Opaque; freed by fulcrum_plan_free(); shareable between threads.
#[derive(Debug)]
pub struct fulcrum_plan {
    pub(crate) inner: Plan,
}

/// Reads a plan that was written by fulcrum_plan_json().
///
/// @param json, length  borrowed; UTF-8.
/// @param out_plan      receives a plan that the caller owns and frees with fulcrum_plan_free().
/// @param out_error     may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_plan_from_json(
    json: *const u8,
    length: usize,
    out_plan: *mut *mut fulcrum_plan,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (json, out_plan) = unsafe { (utf8(json, length, "json")?, out(out_plan, "out_plan")?) };
        *out_plan = Box::into_raw(Box::new(fulcrum_plan { inner: Plan::from_json(json)? }));
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard(out_error, call) }
}

/// The plan as JSON, by the schema of schemas/plan.json.
///
/// @param plan       borrowed.
/// @param out_json   receives a text that the caller owns and frees with fulcrum_text_free().
/// @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_plan_json(
    plan: *const fulcrum_plan,
    out_json: *mut *mut fulcrum_text,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (plan, out_json) = unsafe { (borrow(plan, "plan")?, out(out_json, "out_json")?) };
        *out_json = fulcrum_text::boxed(serde_json::to_string(&plan.inner).unwrap_or_default());
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard(out_error, call) }
}

/// How many leases the plan has; 0 for NULL.
///
/// # Safety
/// `plan` is NULL or was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_plan_lease_count(plan: *const fulcrum_plan) -> usize {
    // SAFETY: the caller's promise above.
    unsafe { plan.as_ref() }.map_or(0, |plan| plan.inner.leases.len())
}

/// Whether the plan is proven to be the best; false for NULL.
///
/// # Safety
/// `plan` is NULL or was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_plan_is_optimal(plan: *const fulcrum_plan) -> bool {
    // SAFETY: the caller's promise above.
    unsafe { plan.as_ref() }.is_some_and(|plan| plan.inner.is_optimal())
}

/// Frees a plan; NULL is fine.
///
/// # Safety
/// `plan` is NULL or was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_plan_free(plan: *mut fulcrum_plan) {
    // SAFETY: the caller's promise above.
    unsafe { free(plan) };
}
