//! The outbox: events of all orders, delivered to a function of the host's.

use std::{
    ffi::{c_char, c_void},
    time::Duration,
};

use fulcrum_core::model::OrderEvent;

use crate::{
    call_thread::HostCallback,
    error::{fulcrum_error, fulcrum_status},
    federation::{borrow_federation, fulcrum_federation},
    guard::{NO_OUTPUT, guard_on_call_thread, utf8},
};

/// Takes a batch of events: a JSON array, not ended by NUL, borrowed for the call. Returns whether they are dealt with; if not,
/// the same events come again after a pause. Called on the thread that called fulcrum_federation_deliver().
pub type fulcrum_deliver_callback =
    Option<unsafe extern "C" fn(userdata: *mut c_void, events: *const c_char, length: usize) -> bool>;

/// Delivers the events of all orders to a callback, in batches, in the order of their sequence numbers and each at least once:
/// those of the past first, then as they happen. The ledger keeps how far the consumer `name` is, and a later call goes on
/// there. Remember the highest `sequence` that was dealt with, and skip what is not above it: after a crash, or where two hosts
/// use one name, events come twice. An order is not purged before each consumer has its events.
///
/// @param federation         borrowed.
/// @param name, name_length  borrowed; of the consumer.
/// @param callback           called on this thread.
/// @param userdata           lent to the callback; may be NULL.
/// @param duration_ms        for how long, in milliseconds; fulcrum_federation_interrupt() ends it, also in the callback.
/// @param out_error          may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slot during it; the callback does not unwind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_deliver(
    federation: *const fulcrum_federation,
    name: *const c_char,
    name_length: usize,
    callback: fulcrum_deliver_callback,
    userdata: *mut c_void,
    duration_ms: u64,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, name) =
            unsafe { (borrow_federation(federation)?, utf8(name, name_length, "name")?) };
        let callback = callback.ok_or_else(|| fulcrum_error::argument("callback is NULL"))?;
        if name.is_empty() {
            return Err(fulcrum_error::argument("name is empty; name the consumer"));
        }
        let sink = |events: Vec<OrderEvent>| {
            let json = serde_json::to_string(&events).unwrap_or_default();
            // SAFETY: callback and userdata are the caller's, and the text lives for the call.
            let call =
                unsafe { HostCallback::new(move || callback(userdata, json.as_ptr().cast(), json.len())) };
            let taken = call.run_on_caller();
            async move { if taken { Ok(()) } else { Err("the callback returned false") } }
        };
        let end = async move { tokio::time::sleep(Duration::from_millis(duration_ms)).await };
        federation.wait(federation.inner.deliver(name, sink, end))
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(NO_OUTPUT, out_error, call) }
}
