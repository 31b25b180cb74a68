//! The history of an order: its events as JSON, and its timeline in words.

use std::ffi::c_char;

use crate::{
    error::{fulcrum_error, fulcrum_status},
    federation::{borrow_federation, fulcrum_federation},
    guard::{guard_on_call_thread, out, utf8},
    operate::order_id,
    text::fulcrum_text,
};

/// Returns the events of an order as a JSON array, oldest first. Fails with FULCRUM_LEDGER_NO_SUCH_ORDER if the
/// ledger has no such order.
///
/// @param federation     borrowed.
/// @param id, id_length  borrowed; the order's id, see fulcrum_order_id().
/// @param out_json       receives a text that the caller owns and frees with fulcrum_text_free().
/// @param out_error      may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_events_json(
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
        let id = order_id(id)?;
        federation.load(&id)?;
        let ledger = federation.inner.ledger();
        let events = federation.wait(ledger.events(0, Some(&id), u32::MAX))??;
        *out_json = fulcrum_text::boxed(serde_json::to_string(&events).unwrap_or_default());
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_json, out_error, call) }
}

/// Returns the timeline of an order in words for people: a head line, then one line for each event. Fails with
/// FULCRUM_LEDGER_NO_SUCH_ORDER if the ledger has no such order.
///
/// @param federation     borrowed.
/// @param id, id_length  borrowed; the order's id, see fulcrum_order_id().
/// @param out_text       receives a text that the caller owns and frees with fulcrum_text_free().
/// @param out_error      may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_timeline_text(
    federation: *const fulcrum_federation,
    id: *const c_char,
    id_length: usize,
    out_text: *mut *mut fulcrum_text,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, id, out_text) = unsafe {
            (borrow_federation(federation)?, utf8(id, id_length, "id")?, out(out_text, "out_text")?)
        };
        let timeline = federation.wait(federation.inner.timeline(&order_id(id)?))??;
        *out_text = fulcrum_text::boxed(timeline.to_string());
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_text, out_error, call) }
}

/// Returns the timeline of an order as a JSON object: `format` (`fulcrum-timeline/1`), `order`, `state`, `start`,
/// and `entries` with `at`, `since_start_ms`, `subject` and `text`. The words may change from version to version:
/// programs read fulcrum_federation_events_json().
///
/// @param federation     borrowed.
/// @param id, id_length  borrowed; the order's id, see fulcrum_order_id().
/// @param out_json       receives a text that the caller owns and frees with fulcrum_text_free().
/// @param out_error      may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_timeline_json(
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
        let timeline = federation.wait(federation.inner.timeline(&order_id(id)?))??;
        *out_json = fulcrum_text::boxed(serde_json::to_string(&timeline).unwrap_or_default());
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_json, out_error, call) }
}
