//! Orders in the ledger: read, resumed, cancelled, driven, and operated on by a person.

use std::{ffi::c_char, time::Duration};

use fulcrum_core::{
    ledger::{LedgerError, OrderQuery},
    model::{OperatorRequest, Order, OrderId, parse_json},
};

use crate::{
    error::{fulcrum_error, fulcrum_status},
    federation::{OpenFederation, borrow_federation, fulcrum_federation},
    guard::{NO_OUTPUT, Outcome, guard_on_call_thread, optional_out, out, utf8},
    order::{fulcrum_order, fulcrum_orders},
};

impl OpenFederation {
    pub(crate) fn load(&self, id: &OrderId) -> Outcome<Order> {
        let order = self.wait(self.inner.ledger().load(id))??;
        order.ok_or_else(|| LedgerError::NoSuchOrder(id.clone()).into())
    }
}

pub(crate) fn order_id(id: &str) -> Result<OrderId, fulcrum_error> {
    id.parse().map_err(|error| fulcrum_error::argument(&format!("{error}")))
}

/// Reads an order from the ledger. Fails with FULCRUM_LEDGER_NO_SUCH_ORDER if the ledger has no such order.
///
/// @param federation     borrowed.
/// @param id, id_length  borrowed; the order's id, see fulcrum_order_id().
/// @param out_order      receives an order that the caller owns and frees with fulcrum_order_free().
/// @param out_error      may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_order(
    federation: *const fulcrum_federation,
    id: *const c_char,
    id_length: usize,
    out_order: *mut *mut fulcrum_order,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, id, out_order) = unsafe {
            (borrow_federation(federation)?, utf8(id, id_length, "id")?, out(out_order, "out_order")?)
        };
        *out_order = fulcrum_order::boxed(federation.load(&order_id(id)?)?);
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_order, out_error, call) }
}

/// Returns one page of the ledger's orders, newest first. The page after the last is empty.
///
/// @param federation           borrowed.
/// @param query, query_length  borrowed; a JSON object, all of whose fields may be left out: `state`, such as "stuck";
///                             `unfinished`, true for those with which a host has something to do; `since`, a time such as
///                             "2026-11-25T10:00:00Z", for those that were accepted in that second or later; `before`, the id
///                             of the last order of the page before; `limit`, up to 1000. NULL for the first 1000.
/// @param out_orders           receives orders that the caller owns and frees with fulcrum_orders_free().
/// @param out_error            may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_orders(
    federation: *const fulcrum_federation,
    query: *const c_char,
    query_length: usize,
    out_orders: *mut *mut fulcrum_orders,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL where it is not allowed; the rest is the caller's promise above.
        let (federation, query, out_orders) = unsafe {
            (
                borrow_federation(federation)?,
                utf8(query, query_length, "query")?,
                out(out_orders, "out_orders")?,
            )
        };
        let query = if query.is_empty() { OrderQuery::default() } else { parse_json(query)? };
        *out_orders = fulcrum_orders::boxed(federation.wait(federation.inner.orders(&query))??);
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_orders, out_error, call) }
}

/// Drives every order that an earlier run left unfinished to its end. Call it once at the start. Where that run was killed, its
/// claims run out first, which takes some 15 seconds, and then the orders take as long as they take: a program that has more to do
/// uses fulcrum_federation_resume_start(), and fulcrum_federation_follow() for each order that fulcrum_federation_orders() lists as
/// unfinished.
///
/// @param federation  borrowed.
/// @param out_orders  may be NULL; else receives the orders that were taken up, as they ended, which the
///                    caller owns and frees with fulcrum_orders_free(). An order that another host drives
///                    is not among them.
/// @param out_error   may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_resume(
    federation: *const fulcrum_federation,
    out_orders: *mut *mut fulcrum_orders,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helper rejects NULL; the rest is the caller's promise above.
        let federation = unsafe { borrow_federation(federation)? };
        // SAFETY: the caller's promise above.
        let out_orders = unsafe { optional_out(out_orders) };
        let orders = federation.wait(federation.inner.resume())??;
        if let Some(out_orders) = out_orders {
            *out_orders = fulcrum_orders::boxed(orders);
        }
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_orders, out_error, call) }
}

/// Cancels an order: ends all of its services, and returns when that is done. The order's state is then ended,
/// failed or refused, or stuck where a person must look.
///
/// @param federation     borrowed.
/// @param id, id_length  borrowed; the order's id, see fulcrum_order_id().
/// @param out_order      receives an order that the caller owns and frees with fulcrum_order_free().
/// @param out_error      may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_cancel(
    federation: *const fulcrum_federation,
    id: *const c_char,
    id_length: usize,
    out_order: *mut *mut fulcrum_order,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, id, out_order) = unsafe {
            (borrow_federation(federation)?, utf8(id, id_length, "id")?, out(out_order, "out_order")?)
        };
        let order = federation.wait(federation.inner.cancel(&order_id(id)?))??;
        *out_order = fulcrum_order::boxed(order);
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_order, out_error, call) }
}

/// Does what a person wants about an order, writes down who and why, and returns when that is done.
///
/// The request is a JSON object with `who`, `why` and `do`, which is one of: `"retry"` (end what is stuck once more),
/// `"abandon"` (give a stuck order up), `{"settle": {"step": 0, "evidence": "..."}}` (nothing of a stuck step is left),
/// `{"act": {"step": 0, "action": "stop"}}` (also `"start"`, `{"resize": {"sku": "..."}}`, `{"other": {"name": "reboot"}}`),
/// `{"release": {"step": 0}}` (end one service, keep the others), `"cancel"` (as fulcrum_federation_cancel() does).
///
/// @param federation               borrowed.
/// @param id, id_length            borrowed; the order's id, see fulcrum_order_id().
/// @param request, request_length  borrowed; JSON as above.
/// @param out_order                receives an order that the caller owns and frees with
///                                 fulcrum_order_free().
/// @param out_error                may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_operate(
    federation: *const fulcrum_federation,
    id: *const c_char,
    id_length: usize,
    request: *const c_char,
    request_length: usize,
    out_order: *mut *mut fulcrum_order,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, id, request, out_order) = unsafe {
            (
                borrow_federation(federation)?,
                utf8(id, id_length, "id")?,
                utf8(request, request_length, "request")?,
                out(out_order, "out_order")?,
            )
        };
        let request: OperatorRequest = parse_json(request)?;
        let order = federation.wait(federation.inner.operate(&order_id(id)?, request))??;
        *out_order = fulcrum_order::boxed(order);
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_order, out_error, call) }
}

/// Drives orders that no host drives, this host's and those of others with the same ledger, for some time. Call it again and
/// again from a thread of your own. An order under way at the end stays in the ledger, and the next call takes it up.
///
/// @param federation   borrowed.
/// @param concurrency  orders driven side by side; 0 for 16.
/// @param duration_ms  for how long, in milliseconds.
/// @param out_error    may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_serve(
    federation: *const fulcrum_federation,
    concurrency: usize,
    duration_ms: u64,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helper rejects NULL; the rest is the caller's promise above.
        let federation = unsafe { borrow_federation(federation)? };
        let concurrency = if concurrency == 0 { 16 } else { concurrency };
        let end = async move { tokio::time::sleep(Duration::from_millis(duration_ms)).await };
        federation.wait(federation.inner.serve(concurrency, end))?;
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(NO_OUTPUT, out_error, call) }
}
