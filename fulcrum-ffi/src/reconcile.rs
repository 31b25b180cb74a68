//! Reconciliation of the providers' services with the ledger.

use std::ffi::c_char;

use fulcrum_core::purchase::RepairPolicy;

use crate::{
    error::{fulcrum_error, fulcrum_status},
    federation::{borrow_federation, fulcrum_federation},
    guard::{guard_on_call_thread, out, utf8},
    text::fulcrum_text,
};

/// Compares the services at all providers with the ledger, repairs what the policy names, and returns when that is
/// done. The call succeeds also where a provider failed: the result names it.
///
/// The result is a JSON object: `findings`, each with `kind` (orphan, duplicate, missing, drifted or unknown),
/// `provider`, `service`, `order`, `step` and `evidence`; of these `repaired`, `unrepaired` with reasons, and
/// `recorded`; `failed` and `unlisted` providers, about which it says nothing; and `scanned`. To reconcile on a
/// schedule, call this from a thread of your own.
///
/// @param federation             borrowed.
/// @param policy, policy_length  borrowed; JSON such as `{"orphans": "release", "duplicates": "release",
///                               "missing": "record", "drifted": "record"}`, or empty to report only.
/// @param out_json               receives a text that the caller owns and frees with fulcrum_text_free().
/// @param out_error              may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_reconcile_json(
    federation: *const fulcrum_federation,
    policy: *const c_char,
    policy_length: usize,
    out_json: *mut *mut fulcrum_text,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, policy, out_json) = unsafe {
            (
                borrow_federation(federation)?,
                utf8(policy, policy_length, "policy")?,
                out(out_json, "out_json")?,
            )
        };
        let policy = match policy {
            "" => RepairPolicy::default(),
            json => fulcrum_core::model::parse_json(json)?,
        };
        let outcome = federation.wait(federation.inner.repair(&policy))??;
        *out_json = fulcrum_text::boxed(serde_json::to_string(&outcome).unwrap_or_default());
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_json, out_error, call) }
}
