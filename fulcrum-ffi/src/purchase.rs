//! Purchases: a plan becomes an order, which the library drives to its end.

use std::{
    ffi::{c_char, c_void},
    sync::mpsc,
};

use fulcrum_core::{
    model::{Order, OrderId, Policy},
    purchase::{PurchaseError, PurchaseOptions},
};
use tokio::{sync::oneshot, task::JoinError};

use crate::{
    call_thread::caller_signal_mask,
    error::{FULCRUM_FEDERATION_ENDED, fulcrum_error, fulcrum_status},
    federation::{borrow_federation, fulcrum_federation},
    guard::{borrow, guard_on_call_thread, optional_out, out, utf8},
    operate::order_id,
    order::fulcrum_order,
    plan::fulcrum_plan,
    purchase_options::{self, fulcrum_purchase_options},
    signals::Mask,
};

pub(crate) fn policy(json: &str) -> Result<Policy, fulcrum_error> {
    if json.is_empty() { Ok(Policy::default()) } else { Ok(Policy::from_json(json)?) }
}

/// Buys a plan, all of it or nothing, and returns when the order is committed, failed, refused or stuck. The call
/// succeeds also where the order failed: see fulcrum_order_is_committed().
///
/// @param federation                  borrowed.
/// @param plan                        borrowed.
/// @param policy_json, policy_length  borrowed; JSON, or empty for the usual policy.
/// @param options                     borrowed; NULL for the usual ones.
/// @param out_order                   receives an order that the caller owns and frees with
///                                    fulcrum_order_free().
/// @param out_error                   may be NULL; else NULL on success, or an error for
///                                    fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_purchase(
    federation: *const fulcrum_federation,
    plan: *const fulcrum_plan,
    policy_json: *const c_char,
    policy_length: usize,
    options: *const fulcrum_purchase_options,
    out_order: *mut *mut fulcrum_order,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, plan, json, options, out_order) = unsafe {
            (
                borrow_federation(federation)?,
                borrow(plan, "plan")?,
                utf8(policy_json, policy_length, "policy")?,
                purchase_options::read(options)?,
                out(out_order, "out_order")?,
            )
        };
        let bought = federation.inner.purchase_with(&plan.inner, policy(json)?, options);
        let order = federation.wait(bought)??;
        *out_order = fulcrum_order::boxed(order);
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_order, out_error, call) }
}

/// Writes an order down without buying yet, and returns it. fulcrum_federation_drive() buys it, here or on another host with
/// the same ledger; so does fulcrum_federation_serve(). With an id of the caller's the call may be repeated: it gives the same
/// order.
///
/// @param federation                  borrowed.
/// @param plan                        borrowed.
/// @param policy_json, policy_length  borrowed; JSON, or empty for the usual policy.
/// @param options                     borrowed; NULL for the usual ones.
/// @param out_order                   receives an order that the caller owns and frees with
///                                    fulcrum_order_free().
/// @param out_error                   may be NULL; else NULL on success, or an error for
///                                    fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_accept(
    federation: *const fulcrum_federation,
    plan: *const fulcrum_plan,
    policy_json: *const c_char,
    policy_length: usize,
    options: *const fulcrum_purchase_options,
    out_order: *mut *mut fulcrum_order,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, plan, json, options, out_order) = unsafe {
            (
                borrow_federation(federation)?,
                borrow(plan, "plan")?,
                utf8(policy_json, policy_length, "policy")?,
                purchase_options::read(options)?,
                out(out_order, "out_order")?,
            )
        };
        let accepted = federation.inner.accept(&plan.inner, policy(json)?, options);
        *out_order = fulcrum_order::boxed(federation.wait(accepted)??);
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_order, out_error, call) }
}

/// As fulcrum_federation_accept() with an id of the caller's, and without a structure: for languages where one is awkward. The same
/// id with the same plan and policy gives the same order, so that a click that comes twice buys once.
///
/// @param federation                  borrowed.
/// @param id, id_length               borrowed; the caller's own order id, a UUID in any spelling.
/// @param plan                        borrowed.
/// @param policy_json, policy_length  borrowed; JSON, or empty for the usual policy.
/// @param out_order                   receives an order that the caller owns and frees with
///                                    fulcrum_order_free().
/// @param out_error                   may be NULL; else NULL on success, or an error for
///                                    fulcrum_error_free(): FULCRUM_PURCHASE_ID_TAKEN where it is the
///                                    id of another purchase.
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_accept_as(
    federation: *const fulcrum_federation,
    id: *const c_char,
    id_length: usize,
    plan: *const fulcrum_plan,
    policy_json: *const c_char,
    policy_length: usize,
    out_order: *mut *mut fulcrum_order,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, id, plan, json, out_order) = unsafe {
            (
                borrow_federation(federation)?,
                utf8(id, id_length, "id")?,
                borrow(plan, "plan")?,
                utf8(policy_json, policy_length, "policy")?,
                out(out_order, "out_order")?,
            )
        };
        let options = PurchaseOptions { id: Some(purchase_options::own_id(id)?), approved: None };
        let accepted = federation.inner.accept(&plan.inner, policy(json)?, options);
        *out_order = fulcrum_order::boxed(federation.wait(accepted)??);
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_order, out_error, call) }
}

/// Drives one order to its end: makes its services, or ends them.
///
/// @param federation     borrowed.
/// @param id, id_length  borrowed; the order's id, see fulcrum_order_id().
/// @param out_order      receives an order that the caller owns and frees with fulcrum_order_free().
/// @param out_error      may be NULL; else NULL on success, or an error for fulcrum_error_free():
///                       FULCRUM_LEDGER_CLAIMED where another host drives it.
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_drive(
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
        let order = federation.wait(federation.inner.drive(&order_id(id)?))??;
        *out_order = fulcrum_order::boxed(order);
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_order, out_error, call) }
}

/// Called once when an order that was started by fulcrum_federation_purchase_async() has ended, on a thread of its own:
/// every function of the library may be called here, also those that wait and fulcrum_federation_free(). Both handles are
/// owned by the callee; one of them is NULL.
pub type fulcrum_purchase_callback =
    Option<unsafe extern "C" fn(userdata: *mut c_void, order: *mut fulcrum_order, error: *mut fulcrum_error)>;

/// Buys a plan in the background: returns once the order is in the ledger, and calls back when the order has ended.
/// If the federation is freed before, the callback gets FULCRUM_FEDERATION_ENDED; the order stays in the ledger,
/// and fulcrum_federation_resume() takes it up.
///
/// @param federation                  borrowed.
/// @param plan                        borrowed; a copy is kept.
/// @param policy_json, policy_length  borrowed; JSON, or empty for the usual policy.
/// @param options                     borrowed; NULL for the usual ones.
/// @param callback                    called exactly once if this call succeeds, never if it fails; see its
///                                    type.
/// @param userdata                    lent to the callback until that returns; may be NULL.
/// @param out_order                   may be NULL; else receives the order as it was written down, with its
///                                    id, which the caller owns and frees with fulcrum_order_free().
/// @param out_error                   may be NULL; else NULL on success, or an error for
///                                    fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; `userdata` may be used by another thread, until the callback returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_purchase_async(
    federation: *const fulcrum_federation,
    plan: *const fulcrum_plan,
    policy_json: *const c_char,
    policy_length: usize,
    options: *const fulcrum_purchase_options,
    callback: fulcrum_purchase_callback,
    userdata: *mut c_void,
    out_order: *mut *mut fulcrum_order,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, plan, json, options) = unsafe {
            (
                borrow_federation(federation)?,
                borrow(plan, "plan")?,
                utf8(policy_json, policy_length, "policy")?,
                purchase_options::read(options)?,
            )
        };
        // SAFETY: the caller's promise above.
        let out_order = unsafe { optional_out(out_order) };
        let callback = callback.ok_or_else(|| fulcrum_error::argument("callback is NULL"))?;
        let policy = policy(json)?;
        // The thread comes first: once the order is written down, nothing may fail any more.
        let (start, started) = mpsc::channel::<(OrderId, oneshot::Receiver<Ended>)>();
        let callback = PurchaseCallback { callback, userdata, mask: caller_signal_mask() };
        std::thread::Builder::new()
            .name("fulcrum-reply".to_owned())
            .spawn(move || {
                if let Ok((id, ended)) = started.recv() {
                    callback.deliver(callback_result(&id, ended.blocking_recv().ok()));
                }
            })
            .map_err(|error| fulcrum_error::no_thread(&error))?;
        let order = federation.wait(federation.inner.accept(&plan.inner, policy, options))??;
        let (market, id) = (federation.inner.clone(), order.id.clone());
        let driven = federation.runtime.spawn(async move { market.drive(&id).await });
        let (end, ended) = oneshot::channel();
        federation.runtime.spawn(async move {
            let _ = end.send(driven.await);
        });
        let id = order.id.clone();
        if let Some(out_order) = out_order {
            *out_order = fulcrum_order::boxed(order);
        }
        // From here on the callback may come, and free the federation.
        let _ = start.send((id, ended));
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_order, out_error, call) }
}

/// How a task that drives an order ended.
type Ended = Result<Result<Order, PurchaseError>, JoinError>;

/// What the callback is told; a task that was dropped belongs to a federation that was freed.
fn callback_result(id: &OrderId, ended: Option<Ended>) -> Result<Order, fulcrum_error> {
    match ended {
        Some(Ok(outcome)) => Ok(outcome?),
        Some(Err(error)) if error.is_panic() => Err(fulcrum_error::panic(&*error.into_panic())),
        Some(Err(_)) | None => {
            let message = format!("the federation ended first; resume takes the order up again: {id}");
            Err(fulcrum_error::new(FULCRUM_FEDERATION_ENDED, &message))
        }
    }
}

/// The callback with what belongs to it.
struct PurchaseCallback {
    callback: unsafe extern "C" fn(*mut c_void, *mut fulcrum_order, *mut fulcrum_error),
    userdata: *mut c_void,
    mask: Mask,
}

// SAFETY: the caller of fulcrum_federation_purchase_async() promises that another thread may use `userdata`.
unsafe impl Send for PurchaseCallback {}

impl PurchaseCallback {
    fn deliver(self, outcome: Result<Order, fulcrum_error>) {
        let (order, error) = match outcome {
            Ok(order) => (fulcrum_order::boxed(order), std::ptr::null_mut()),
            Err(error) => (std::ptr::null_mut(), Box::into_raw(Box::new(error))),
        };
        self.mask.run_host_code(|| {
            // SAFETY: called once, for `deliver` consumes it; the handles are new and given to the callee.
            unsafe { (self.callback)(self.userdata, order, error) };
        });
    }
}
