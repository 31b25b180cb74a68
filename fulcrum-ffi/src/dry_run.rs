//! A dry run of a purchase.

use std::ffi::c_char;

use crate::{
    error::{fulcrum_error, fulcrum_status},
    federation::{borrow_federation, fulcrum_federation},
    guard::{borrow, guard_on_call_thread, out, utf8},
    plan::fulcrum_plan,
    purchase::policy,
    text::fulcrum_text,
};

/// Tells what a purchase of a plan would be refused for now: its form, its prices, and at each provider everything up to the
/// first call that would cost something, such as credentials, quotas, images and keys. Buys and records nothing. The call
/// succeeds also where something would be refused.
///
/// The result is a JSON object: `refusals`, and `unchecked`, of which nothing is known; each a list of `provider`, `leases`
/// (positions in the plan), `offers`, `kind` and `reason`.
///
/// @param federation                  borrowed.
/// @param plan                        borrowed.
/// @param policy_json, policy_length  borrowed; JSON, or empty for the usual policy.
/// @param out_json                    receives a text that the caller owns and frees with fulcrum_text_free().
/// @param out_error                   may be NULL; else NULL on success, or an error for fulcrum_error_free():
///                                    FULCRUM_PURCHASE where the plan would not be accepted at all.
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_dry_run_json(
    federation: *const fulcrum_federation,
    plan: *const fulcrum_plan,
    policy_json: *const c_char,
    policy_length: usize,
    out_json: *mut *mut fulcrum_text,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, plan, json, out_json) = unsafe {
            (
                borrow_federation(federation)?,
                borrow(plan, "plan")?,
                utf8(policy_json, policy_length, "policy")?,
                out(out_json, "out_json")?,
            )
        };
        let found = federation.wait(federation.inner.dry_run(&plan.inner, &policy(json)?))??;
        *out_json = fulcrum_text::boxed(serde_json::to_string(&found).unwrap_or_default());
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_json, out_error, call) }
}
