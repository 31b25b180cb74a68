//! What is done about orders that are there.

use std::time::Duration;

use fulcrum_core::model::OperatorRequest;

use crate::{
    error::{fulcrum_error, fulcrum_status},
    federation::{fulcrum_federation, market, order_id},
    guard::{NOTHING, guard_apart, out, utf8},
    order::fulcrum_order,
};

/// Does what a person wants about an order, writes down who and why, and returns when that is done.
///
/// The request is a JSON object with `who`, `why` and `do`, which is one of: `"retry"` (end what is stuck once more),
/// `"abandon"` (give a stuck order up), `{"settle": {"step": 0, "evidence": "..."}}` (nothing of a stuck step is left),
/// `{"act": {"step": 0, "action": "stop"}}` (also `"start"`, `{"resize": {"sku": "..."}}`, `{"other": {"name": "reboot"}}`),
/// `{"release": {"step": 0}}` (end one service, keep the others).
///
/// @param federation                borrowed.
/// @param id, id_length             borrowed; the order's id, see fulcrum_order_id().
/// @param request, request_length   borrowed; JSON as above.
/// @param out_order                 receives an order that the caller owns and frees with fulcrum_order_free().
/// @param out_error                 may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_operate(
    federation: *const fulcrum_federation,
    id: *const u8,
    id_length: usize,
    request: *const u8,
    request_length: usize,
    out_order: *mut *mut fulcrum_order,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, id, request, out_order) = unsafe {
            (
                market(federation)?,
                utf8(id, id_length, "id")?,
                utf8(request, request_length, "request")?,
                out(out_order, "out_order")?,
            )
        };
        let request: OperatorRequest = fulcrum_core::model::parse_json(request)?;
        let order = federation.wait(federation.inner.operate(&order_id(id)?, request))??;
        *out_order = fulcrum_order::boxed(order);
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_apart(out_order, out_error, call) }
}

/// Drives orders that nobody drives, of this host and of others with the same ledger, for so long; call it from a thread of
/// your own, again and again. What is under way at the end stays in the ledger and is taken up by the next call.
///
/// @param federation    borrowed.
/// @param at_once       orders driven side by side; 0 for 16.
/// @param milliseconds  for how long.
/// @param out_error     may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_serve(
    federation: *const fulcrum_federation,
    at_once: usize,
    milliseconds: u64,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helper rejects NULL; the rest is the caller's promise above.
        let federation = unsafe { market(federation)? };
        let at_once = if at_once == 0 { 16 } else { at_once };
        let end = async move { tokio::time::sleep(Duration::from_millis(milliseconds)).await };
        federation.wait(federation.inner.serve(at_once, end))?;
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_apart(NOTHING, out_error, call) }
}
