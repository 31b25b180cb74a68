//! Archives of orders, and the end of old ones.

use std::ffi::c_char;

use fulcrum_core::purchase::OrderArchive;
use jiff::Timestamp;

use crate::{
    error::{fulcrum_error, fulcrum_status},
    federation::{borrow_federation, fulcrum_federation},
    guard::{NO_OUTPUT, guard_on_call_thread, out, utf8},
    operate::order_id,
    text::fulcrum_text,
};

/// Returns an order with all that ever happened to it as a JSON document that proves itself: fulcrum_archive_verify() needs no
/// ledger.
///
/// @param federation     borrowed.
/// @param id, id_length  borrowed; the order's id, see fulcrum_order_id().
/// @param out_json       receives a text that the caller owns and frees with fulcrum_text_free().
/// @param out_error      may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_export_json(
    federation: *const fulcrum_federation,
    id: *const c_char,
    id_length: usize,
    out_json: *mut *mut fulcrum_text,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, id, out_json) = unsafe {
            (borrow_federation(federation)?, utf8(id, id_length, "id")?, out(out_json, "out_json")?)
        };
        let archive = federation.wait(federation.inner.export(&order_id(id)?))??;
        *out_json = fulcrum_text::boxed(serde_json::to_string(&archive).unwrap_or_default());
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_json, out_error, call) }
}

/// Checks what fulcrum_federation_export_json() has returned, without a ledger: no event was changed, removed or added, the order
/// is where its events lead, and plan, policy, keys and leases are those of its first event. Fails with FULCRUM_LEDGER_DAMAGED
/// if not.
///
/// @param json, json_length  borrowed; the archive.
/// @param out_error          may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slot during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_archive_verify(
    json: *const c_char,
    json_length: usize,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helper rejects what is no text; the rest is the caller's promise above.
        let json = unsafe { utf8(json, json_length, "json")? };
        Ok(OrderArchive::from_json(json)?.verify()?)
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(NO_OUTPUT, out_error, call) }
}

/// Removes orders of which nothing exists and to which nothing has happened since a time. Their ids are never used again. An
/// order stays while a consumer of fulcrum_federation_deliver() has not taken all of its events.
///
/// @param federation             borrowed.
/// @param before, before_length  borrowed; the time, such as "2026-11-25T10:00:00Z".
/// @param out_count              may be NULL; else the caller's: how many were removed; 0 on failure.
/// @param out_error              may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the outputs during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_purge(
    federation: *const fulcrum_federation,
    before: *const c_char,
    before_length: usize,
    out_count: *mut u64,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the caller's promise above.
        let mut count = unsafe { out_count.as_mut() };
        if let Some(count) = count.as_deref_mut() {
            *count = 0;
        }
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, before) =
            unsafe { (borrow_federation(federation)?, utf8(before, before_length, "before")?) };
        let wrong = |error| {
            let message = format!("before is {before:?}: {error}; write a time such as 2026-11-25T10:00:00Z");
            fulcrum_error::argument(&message)
        };
        let before: Timestamp = before.parse().map_err(wrong)?;
        let removed = federation.wait(federation.inner.purge(before))??;
        if let Some(count) = count {
            *count = removed;
        }
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(NO_OUTPUT, out_error, call) }
}
