//! Orders.

use std::ffi::{CString, c_char};

use fulcrum_core::{
    model::{Order, OrderState},
    purchase::sold_out,
};

use crate::{
    error::{fulcrum_error, fulcrum_status},
    guard::{borrow, free, guard, out},
    text::fulcrum_text,
};

/// An order as it was when the call returned. Opaque; freed by fulcrum_order_free(); shareable between threads.
#[derive(Debug)]
pub struct fulcrum_order {
    inner: Order,
    id: CString,
}

impl fulcrum_order {
    pub(crate) fn boxed(inner: Order) -> *mut Self {
        // An id has no NUL.
        let id = CString::new(inner.id.as_str()).unwrap_or_default();
        Box::into_raw(Box::new(Self { inner, id }))
    }
}

/// The order with its steps and services as JSON.
///
/// @param order      borrowed.
/// @param out_json   receives a text that the caller owns and frees with fulcrum_text_free().
/// @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_order_json(
    order: *const fulcrum_order,
    out_json: *mut *mut fulcrum_text,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (order, out_json) = unsafe { (borrow(order, "order")?, out(out_json, "out_json")?) };
        *out_json = fulcrum_text::boxed(serde_json::to_string(&order.inner).unwrap_or_default());
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard(out_error, call) }
}

/// The offers that the order could not get because they were sold out or over quota, as a JSON array: exclude them and
/// compose again.
///
/// @param order      borrowed.
/// @param out_json   receives a text that the caller owns and frees with fulcrum_text_free().
/// @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_order_sold_out(
    order: *const fulcrum_order,
    out_json: *mut *mut fulcrum_text,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (order, out_json) = unsafe { (borrow(order, "order")?, out(out_json, "out_json")?) };
        *out_json = fulcrum_text::boxed(serde_json::to_string(&sold_out(&order.inner)).unwrap_or_default());
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard(out_error, call) }
}

/// The order's id, ended by NUL. Owned by the order; empty for NULL.
///
/// # Safety
/// `order` is NULL or was not freed yet; the text is used no longer than the order.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_order_id(order: *const fulcrum_order) -> *const c_char {
    // SAFETY: the caller's promise above.
    unsafe { order.as_ref() }.map_or(c"".as_ptr(), |order| order.id.as_ptr())
}

/// Whether all services exist; else the order's JSON says why not. False for NULL.
///
/// # Safety
/// `order` is NULL or was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_order_is_committed(order: *const fulcrum_order) -> bool {
    // SAFETY: the caller's promise above.
    unsafe { order.as_ref() }.is_some_and(|order| order.inner.state == OrderState::Committed)
}

/// Frees an order; NULL is fine.
///
/// # Safety
/// `order` is NULL or was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_order_free(order: *mut fulcrum_order) {
    // SAFETY: the caller's promise above.
    unsafe { free(order) };
}
