//! Orders as handles of their own.

use std::ffi::{CString, c_char};

use fulcrum_core::{
    model::{Order, OrderState},
    purchase::sold_out,
};
use once_cell::race::OnceBox;

use crate::{
    error::{fulcrum_error, fulcrum_status},
    guard::{borrow, fill_struct, free, guard, guard_with_output, item_at, out},
    order_view::{
        OrderTexts, fulcrum_attribute, fulcrum_order_summary, fulcrum_service, fulcrum_step, order_state,
        service_status, step_state,
    },
    text::{as_ptr, c_text, fulcrum_text},
};

/// An order as it was when the call returned. Opaque; freed by fulcrum_order_free(); shareable between threads.
#[derive(Debug)]
pub struct fulcrum_order {
    inner: Order,
    id: CString,
    texts: OnceBox<OrderTexts>,
}

impl fulcrum_order {
    pub(crate) fn boxed(inner: Order) -> *mut Self {
        let id = c_text(inner.id.as_str());
        Box::into_raw(Box::new(Self { inner, id, texts: OnceBox::new() }))
    }

    fn texts(&self) -> &OrderTexts {
        self.texts.get_or_init(|| Box::new(OrderTexts::new(&self.inner)))
    }
}

/// Returns the order with its steps and services as JSON.
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
    unsafe { guard_with_output(out_json, out_error, call) }
}

/// Returns the offers that the order could not get because they were sold out or over quota, as a JSON array.
/// Exclude them and compose again.
///
/// @param order      borrowed.
/// @param out_json   receives a text that the caller owns and frees with fulcrum_text_free().
/// @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_order_sold_out_json(
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
    unsafe { guard_with_output(out_json, out_error, call) }
}

/// Reads an order's state, and how many steps and services it has.
///
/// @param order        borrowed; owns the text.
/// @param out_summary  the caller's, with its `size` set; filled on success, else as it was.
/// @param out_error    may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call, `out_summary` for `size` bytes; no other thread uses the outputs during it; the text is
/// used no longer than the order.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_order_read(
    order: *const fulcrum_order,
    out_summary: *mut fulcrum_order_summary,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helper rejects NULL; the rest is the caller's promise above.
        let order = unsafe { borrow(order, "order")? };
        let (state, state_text) = order_state(order.inner.state);
        let value = fulcrum_order_summary {
            size: size_of::<fulcrum_order_summary>(),
            id: order.id.as_ptr(),
            state_text: state_text.as_ptr(),
            reason: as_ptr(order.texts().reason.as_ref()),
            step_count: order.texts().steps.len(),
            service_count: order.texts().services.len(),
            state,
        };
        // SAFETY: the caller's promise above.
        unsafe { fill_struct(out_summary, value, "out_summary") }
    };
    // SAFETY: the caller's promise above.
    unsafe { guard(out_error, call) }
}

/// Reads one step: the purchase of the lease of the same number.
///
/// @param order      borrowed; owns the text.
/// @param index      from 0, below `step_count` of fulcrum_order_read().
/// @param out_step   the caller's, with its `size` set; filled on success, else as it was.
/// @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call, `out_step` for `size` bytes; no other thread uses the outputs during it; the text is
/// used no longer than the order.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_order_read_step(
    order: *const fulcrum_order,
    index: usize,
    out_step: *mut fulcrum_step,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helper rejects NULL; the rest is the caller's promise above.
        let order = unsafe { borrow(order, "order")? };
        let (texts, step) =
            (item_at(&order.texts().steps, index, "index")?, item_at(&order.inner.steps, index, "index")?);
        let (state, state_text) = step_state(&step.state);
        let value = fulcrum_step {
            size: size_of::<fulcrum_step>(),
            provider: texts.provider.as_ptr(),
            offer: texts.offer.as_ptr(),
            key: texts.key.as_ptr(),
            state_text: state_text.as_ptr(),
            problem: as_ptr(texts.problem.as_ref()),
            attempt_count: step.attempts.len(),
            state,
        };
        // SAFETY: the caller's promise above.
        unsafe { fill_struct(out_step, value, "out_step") }
    };
    // SAFETY: the caller's promise above.
    unsafe { guard(out_error, call) }
}

/// Reads one of the services that the order has made and still has.
///
/// @param order        borrowed; owns the text.
/// @param index        from 0, below `service_count` of fulcrum_order_read().
/// @param out_service  the caller's, with its `size` set; filled on success, else as it was.
/// @param out_error    may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call, `out_service` for `size` bytes; no other thread uses the outputs during it; the text is
/// used no longer than the order.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_order_read_service(
    order: *const fulcrum_order,
    index: usize,
    out_service: *mut fulcrum_service,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helper rejects NULL; the rest is the caller's promise above.
        let order = unsafe { borrow(order, "order")? };
        let service = item_at(&order.texts().services, index, "index")?;
        let (status, status_text) = service_status(service.status);
        let value = fulcrum_service {
            size: size_of::<fulcrum_service>(),
            provider: service.provider.as_ptr(),
            id: service.id.as_ptr(),
            sku: service.sku.as_ptr(),
            region: service.region.as_ptr(),
            country: service.country.as_ptr(),
            status_text: status_text.as_ptr(),
            step: service.step as usize,
            attribute_count: service.attributes.len(),
            status,
        };
        // SAFETY: the caller's promise above.
        unsafe { fill_struct(out_service, value, "out_service") }
    };
    // SAFETY: the caller's promise above.
    unsafe { guard(out_error, call) }
}

/// Reads an address or another fact of a service.
///
/// @param order          borrowed; owns the text.
/// @param service        from 0, below `service_count` of fulcrum_order_read().
/// @param index          from 0, below the service's `attribute_count`.
/// @param out_attribute  the caller's, with its `size` set; filled on success, else as it was.
/// @param out_error      may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call, `out_attribute` for `size` bytes; no other thread uses the outputs during it; the text is
/// used no longer than the order.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_order_read_attribute(
    order: *const fulcrum_order,
    service: usize,
    index: usize,
    out_attribute: *mut fulcrum_attribute,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helper rejects NULL; the rest is the caller's promise above.
        let order = unsafe { borrow(order, "order")? };
        let service = item_at(&order.texts().services, service, "service")?;
        let (name, text) = item_at(&service.attributes, index, "index")?;
        let value = fulcrum_attribute {
            size: size_of::<fulcrum_attribute>(),
            name: name.as_ptr(),
            value: text.as_ptr(),
        };
        // SAFETY: the caller's promise above.
        unsafe { fill_struct(out_attribute, value, "out_attribute") }
    };
    // SAFETY: the caller's promise above.
    unsafe { guard(out_error, call) }
}

/// Returns the order's id, ended by NUL. It belongs to the order; empty for NULL.
///
/// @param order  borrowed; may be NULL.
///
/// # Safety
/// `order` is NULL or was not freed yet; the text is used no longer than the order.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_order_id(order: *const fulcrum_order) -> *const c_char {
    // SAFETY: the caller's promise above.
    unsafe { order.as_ref() }.map_or(c"".as_ptr(), |order| order.id.as_ptr())
}

/// Returns whether all services exist; false for NULL. fulcrum_order_read() tells the reason if they do not.
///
/// @param order  borrowed; may be NULL.
///
/// # Safety
/// `order` is NULL or was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_order_is_committed(order: *const fulcrum_order) -> bool {
    // SAFETY: the caller's promise above.
    unsafe { order.as_ref() }.is_some_and(|order| order.inner.state == OrderState::Committed)
}

/// Frees an order, and with it the text that was read from it; NULL is fine.
///
/// @param order  given up by the caller.
///
/// # Safety
/// `order` is NULL or was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_order_free(order: *mut fulcrum_order) {
    // SAFETY: the caller's promise above.
    unsafe { free(order) };
}

/// Orders that one call answered. Opaque; freed by fulcrum_orders_free(); shareable between threads.
#[derive(Debug)]
pub struct fulcrum_orders {
    inner: Vec<Order>,
}

impl fulcrum_orders {
    pub(crate) fn boxed(inner: Vec<Order>) -> *mut Self {
        Box::into_raw(Box::new(Self { inner }))
    }
}

/// Returns how many orders a list has; 0 for NULL.
///
/// @param orders  borrowed; may be NULL.
///
/// # Safety
/// `orders` is NULL or was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_orders_count(orders: *const fulcrum_orders) -> usize {
    // SAFETY: the caller's promise above.
    unsafe { orders.as_ref() }.map_or(0, |orders| orders.inner.len())
}

/// Returns one order of a list, as a handle of its own.
///
/// @param orders     borrowed.
/// @param index      from 0, below fulcrum_orders_count().
/// @param out_order  receives an order that the caller owns and frees with fulcrum_order_free(); it may
///                   outlive `orders`.
/// @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_orders_get(
    orders: *const fulcrum_orders,
    index: usize,
    out_order: *mut *mut fulcrum_order,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (orders, out_order) = unsafe { (borrow(orders, "orders")?, out(out_order, "out_order")?) };
        *out_order = fulcrum_order::boxed(item_at(&orders.inner, index, "index")?.clone());
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_with_output(out_order, out_error, call) }
}

/// Frees a list of orders; orders that were got from it live on; NULL is fine.
///
/// @param orders  given up by the caller.
///
/// # Safety
/// `orders` is NULL or was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_orders_free(orders: *mut fulcrum_orders) {
    // SAFETY: the caller's promise above.
    unsafe { free(orders) };
}
