//! The market.

use std::{
    ffi::c_void,
    path::Path,
    sync::{Arc, mpsc},
};

use fulcrum_core::{
    federation::{Federation, FederationConfig, FulcrumError},
    ledger::LedgerError,
    model::{Order, OrderId, Policy},
    provider::{Base, Provider},
    purchase::PurchaseError,
};
use tokio::{runtime::Runtime, sync::oneshot, task::JoinError};

use crate::{
    apart::{apart, mask_of_caller},
    error::{FULCRUM_FEDERATION_ENDED, fulcrum_error, fulcrum_status},
    guard::{NOTHING, Outcome, borrow, free, guard_apart, guard_into, out, out_if_wanted, utf8},
    interrupt::Interrupts,
    order::{fulcrum_order, fulcrum_orders},
    plan::fulcrum_plan,
    process::{self, Process},
    purchase::{self, fulcrum_purchase_options},
    runtime,
    signals::{Blocked, Mask},
    text::fulcrum_text,
};

/// Several providers as one market. Opaque; freed by fulcrum_federation_free(); shareable between threads.
#[derive(Debug)]
pub struct fulcrum_federation {
    /// Used through [`market`] only.
    market: Market,
    process: Process,
}

impl fulcrum_federation {
    /// In any process, as a signal handler cannot ask which.
    pub(crate) fn interrupts(&self) -> &Interrupts {
        &self.market.interrupts
    }
}

/// What calls use.
#[derive(Debug)]
pub(crate) struct Market {
    pub(crate) inner: Arc<Federation>,
    pub(crate) runtime: Runtime,
    pub(crate) interrupts: Interrupts,
}

/// The federation of a handle; an error in a process that was forked since it was opened, which has none of its threads.
///
/// # Safety
/// As [`borrow`].
pub(crate) unsafe fn market<'a>(federation: *const fulcrum_federation) -> Outcome<&'a Market> {
    // SAFETY: the caller's promise.
    let federation = unsafe { borrow(federation, "federation")? };
    match federation.process.is_this() {
        true => Ok(&federation.market),
        false => Err(federation.process.left()),
    }
}

/// Called once when an order that was started by fulcrum_federation_purchase_async() has ended, on a thread of its own:
/// every function of the library may be called here, also those that wait and fulcrum_federation_free(). Both handles are
/// owned by the callee; one of them is NULL.
pub type fulcrum_purchase_callback =
    Option<unsafe extern "C" fn(userdata: *mut c_void, order: *mut fulcrum_order, error: *mut fulcrum_error)>;

/// Opens a federation from a text that anybody may have written: it reads and writes files below `base` alone, and sends each
/// secret only to the public API that it is for. fulcrum_federation_open_with() can widen that, and
/// fulcrum_federation_open_file() trusts a file.
///
/// @param config, length       borrowed; YAML or JSON: ledger, rates, providers.
/// @param base, base_length    borrowed; the folder that relative paths start from; empty for the working folder.
/// @param out_federation       receives a federation that the caller owns and frees with fulcrum_federation_free().
/// @param out_error            may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_open(
    config: *const u8,
    length: usize,
    base: *const u8,
    base_length: usize,
    out_federation: *mut *mut fulcrum_federation,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (config, base, out_federation) = unsafe {
            (
                utf8(config, length, "config")?,
                utf8(base, base_length, "base")?,
                out(out_federation, "out_federation")?,
            )
        };
        *out_federation = opened(config, "", base, Vec::new())?;
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_apart(out_federation, out_error, call) }
}

/// Opens a federation from a file of the operator's, which is trusted: it reads, writes and reaches what it names. Relative
/// paths start at the file's folder.
///
/// @param path, length       borrowed; the file's path in UTF-8.
/// @param out_federation     receives a federation that the caller owns and frees with fulcrum_federation_free().
/// @param out_error          may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_open_file(
    path: *const u8,
    length: usize,
    out_federation: *mut *mut fulcrum_federation,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (path, out_federation) =
            unsafe { (utf8(path, length, "path")?, out(out_federation, "out_federation")?) };
        *out_federation = started(Federation::open(Path::new(path)))?;
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_apart(out_federation, out_error, call) }
}

/// A federation from a text, with what that may reach, and with providers of the host's own.
pub(crate) fn opened(
    config: &str,
    reach: &str,
    base: &str,
    own: Vec<Arc<dyn Provider>>,
) -> Outcome<*mut fulcrum_federation> {
    let config = FederationConfig::from_yaml(config)?;
    let base = Base::from_json(base, reach)?;
    started(config.open_within(&base, own))
}

/// Opens it with threads of its own.
fn started<E: Into<FulcrumError>>(
    opening: impl Future<Output = Result<Federation, E>>,
) -> Outcome<*mut fulcrum_federation> {
    process::register();
    let runtime = runtime::start()?;
    let inner = Arc::new(runtime.block_on(opening).map_err(|error| fulcrum_error::from(error.into()))?);
    let market = Market { inner, runtime, interrupts: Interrupts::default() };
    Ok(Box::into_raw(Box::new(fulcrum_federation { market, process: Process::this() })))
}

/// Asks all providers for their offers and keeps the answer as the present catalogue. A provider that fails leaves the
/// others usable.
///
/// @param federation  borrowed.
/// @param out_error   may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slot during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_refresh(
    federation: *const fulcrum_federation,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helper rejects NULL; the rest is the caller's promise above.
        let federation = unsafe { market(federation)? };
        federation.wait(federation.inner.refresh())?;
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_apart(NOTHING, out_error, call) }
}

/// How each provider answered the last fulcrum_federation_refresh(): a JSON array of objects with provider, state (fresh,
/// stale or missing, the last two with the reason), offers and listed_at. Empty before the first refresh.
///
/// @param federation  borrowed.
/// @param out_json    receives a text that the caller owns and frees with fulcrum_text_free().
/// @param out_error   may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_sources_json(
    federation: *const fulcrum_federation,
    out_json: *mut *mut fulcrum_text,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, out_json) = unsafe { (market(federation)?, out(out_json, "out_json")?) };
        let catalogue = federation.inner.catalogue();
        *out_json = fulcrum_text::boxed(serde_json::to_string(catalogue.sources()).unwrap_or_default());
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_into(out_json, out_error, call) }
}

/// Takes up every order that an earlier run left unfinished, and drives it to its end. Call it once at the start.
///
/// @param federation  borrowed.
/// @param out_orders  may be NULL; else receives the orders that were taken up, as they ended, which the caller owns and
///                    frees with fulcrum_orders_free(). An order that another host drives is not among them.
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
        let federation = unsafe { market(federation)? };
        // SAFETY: the caller's promise above.
        let out_orders = unsafe { out_if_wanted(out_orders) };
        let orders = federation.wait(federation.inner.resume())??;
        if let Some(out_orders) = out_orders {
            *out_orders = fulcrum_orders::boxed(orders);
        }
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_apart(out_orders, out_error, call) }
}

/// Reads an order from the ledger. FULCRUM_LEDGER_NO_SUCH_ORDER if it is not there.
///
/// @param federation  borrowed.
/// @param id, length  borrowed; the order's id, see fulcrum_order_id().
/// @param out_order   receives an order that the caller owns and frees with fulcrum_order_free().
/// @param out_error   may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_order(
    federation: *const fulcrum_federation,
    id: *const u8,
    length: usize,
    out_order: *mut *mut fulcrum_order,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, id, out_order) =
            unsafe { (market(federation)?, utf8(id, length, "id")?, out(out_order, "out_order")?) };
        *out_order = fulcrum_order::boxed(federation.load(&order_id(id)?)?);
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_apart(out_order, out_error, call) }
}

/// What has happened to an order so far: a JSON array of events, oldest first. FULCRUM_LEDGER_NO_SUCH_ORDER if it is not
/// there.
///
/// @param federation  borrowed.
/// @param id, length  borrowed; the order's id, see fulcrum_order_id().
/// @param out_json    receives a text that the caller owns and frees with fulcrum_text_free().
/// @param out_error   may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_events_json(
    federation: *const fulcrum_federation,
    id: *const u8,
    length: usize,
    out_json: *mut *mut fulcrum_text,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, id, out_json) =
            unsafe { (market(federation)?, utf8(id, length, "id")?, out(out_json, "out_json")?) };
        let id = order_id(id)?;
        federation.load(&id)?;
        let ledger = federation.inner.ledger();
        let events = federation.wait(ledger.events(0, Some(&id), u32::MAX))??;
        *out_json = fulcrum_text::boxed(serde_json::to_string(&events).unwrap_or_default());
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_apart(out_json, out_error, call) }
}

impl Market {
    fn load(&self, id: &OrderId) -> Outcome<Order> {
        let order = self.wait(self.inner.ledger().load(id))??;
        order.ok_or_else(|| LedgerError::NoSuchOrder(id.clone()).into())
    }
}

pub(crate) fn order_id(id: &str) -> Result<OrderId, fulcrum_error> {
    id.parse().map_err(|error| fulcrum_error::argument(&format!("{error}")))
}

pub(crate) fn policy(json: &str) -> Result<Policy, fulcrum_error> {
    if json.is_empty() { Ok(Policy::default()) } else { Ok(Policy::from_json(json)?) }
}

/// Buys a plan, all of it or nothing, and returns when the order is committed, failed, refused or stuck. An order that
/// failed is a success of this call: see fulcrum_order_is_committed().
///
/// @param federation              borrowed.
/// @param plan                    borrowed.
/// @param policy, policy_length   borrowed; JSON, or empty for the usual policy.
/// @param options                 borrowed; NULL for the usual ones.
/// @param out_order               receives an order that the caller owns and frees with fulcrum_order_free().
/// @param out_error               may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_purchase(
    federation: *const fulcrum_federation,
    plan: *const fulcrum_plan,
    policy_json: *const u8,
    policy_length: usize,
    options: *const fulcrum_purchase_options,
    out_order: *mut *mut fulcrum_order,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, plan, json, options, out_order) = unsafe {
            (
                market(federation)?,
                borrow(plan, "plan")?,
                utf8(policy_json, policy_length, "policy")?,
                purchase::read(options)?,
                out(out_order, "out_order")?,
            )
        };
        let bought = federation.inner.purchase_with(&plan.inner, policy(json)?, options);
        let order = federation.wait(bought)??;
        *out_order = fulcrum_order::boxed(order);
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_apart(out_order, out_error, call) }
}

/// Ends all services of an order, or stops one that is under way, and returns when that is done. The order's state is
/// then ended, failed or refused, or stuck where a person must look.
///
/// @param federation  borrowed.
/// @param id, length  borrowed; the order's id, see fulcrum_order_id().
/// @param out_order   receives an order that the caller owns and frees with fulcrum_order_free().
/// @param out_error   may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_cancel(
    federation: *const fulcrum_federation,
    id: *const u8,
    length: usize,
    out_order: *mut *mut fulcrum_order,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, id, out_order) =
            unsafe { (market(federation)?, utf8(id, length, "id")?, out(out_order, "out_order")?) };
        let order = federation.wait(federation.inner.cancel(&order_id(id)?))??;
        *out_order = fulcrum_order::boxed(order);
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_apart(out_order, out_error, call) }
}

/// As fulcrum_federation_purchase(), but returns as soon as the order is in the ledger, and calls back when it has ended.
/// If the federation is freed before, the callback gets FULCRUM_FEDERATION_ENDED: the order stays in the ledger, and
/// fulcrum_federation_resume() takes it up again.
///
/// @param federation             borrowed.
/// @param plan                   borrowed; a copy is kept.
/// @param policy, policy_length  borrowed; JSON, or empty for the usual policy.
/// @param options                borrowed; NULL for the usual ones.
/// @param callback               called exactly once if this call succeeds, never if it fails; see its type.
/// @param userdata               lent to the callback until that returns; may be NULL.
/// @param out_order              may be NULL; else receives the order as it was written down, with its id, which the
///                               caller owns and frees with fulcrum_order_free().
/// @param out_error              may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; `userdata` may be used by another thread, until the callback returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_purchase_async(
    federation: *const fulcrum_federation,
    plan: *const fulcrum_plan,
    policy_json: *const u8,
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
                market(federation)?,
                borrow(plan, "plan")?,
                utf8(policy_json, policy_length, "policy")?,
                purchase::read(options)?,
            )
        };
        // SAFETY: the caller's promise above.
        let out_order = unsafe { out_if_wanted(out_order) };
        let callback = callback.ok_or_else(|| fulcrum_error::argument("callback is NULL"))?;
        let policy = policy(json)?;
        // The thread comes first: once the order is written down, nothing may fail any more.
        let (start, started) = mpsc::channel::<(OrderId, oneshot::Receiver<Ended>)>();
        let reply = Reply { callback, userdata, mask: mask_of_caller() };
        std::thread::Builder::new()
            .name("fulcrum-reply".to_owned())
            .spawn(move || {
                if let Ok((id, ended)) = started.recv() {
                    reply.tell(outcome(&id, ended.blocking_recv().ok()));
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
    unsafe { guard_apart(out_order, out_error, call) }
}

/// How a task that drives an order ended.
type Ended = Result<Result<Order, PurchaseError>, JoinError>;

/// What the callback is told; a task that was dropped belongs to a federation that was freed.
fn outcome(id: &OrderId, ended: Option<Ended>) -> Result<Order, fulcrum_error> {
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
struct Reply {
    callback: unsafe extern "C" fn(*mut c_void, *mut fulcrum_order, *mut fulcrum_error),
    userdata: *mut c_void,
    mask: Mask,
}

// SAFETY: the caller of fulcrum_federation_purchase_async() promises that another thread may use `userdata`.
unsafe impl Send for Reply {}

impl Reply {
    fn tell(self, outcome: Result<Order, fulcrum_error>) {
        let (order, error) = match outcome {
            Ok(order) => (fulcrum_order::boxed(order), std::ptr::null_mut()),
            Err(error) => (std::ptr::null_mut(), Box::into_raw(Box::new(error))),
        };
        self.mask.host(|| {
            // SAFETY: called once, for `tell` consumes it; the handles are new and given to the callee.
            unsafe { (self.callback)(self.userdata, order, error) };
        });
    }
}

/// Frees a federation; NULL is fine. Orders under way stay in the ledger, and their callbacks get
/// FULCRUM_FEDERATION_ENDED, soon after this call if not before. May be called in such a callback; in one of a provider
/// it would wait for itself. In a process that was forked since it returns at once, and keeps the memory.
///
/// @param federation  given up by the caller.
///
/// # Safety
/// `federation` is NULL or was not freed yet, and no other call with it is under way.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_free(federation: *mut fulcrum_federation) {
    if federation.is_null() {
        return;
    }
    // SAFETY: the caller's promise above.
    if !unsafe { (*federation).process }.is_this() {
        // The threads are the parent's: they would be waited for in vain.
        return;
    }
    let call = move || {
        // SAFETY: the caller's promise above. Where no thread can be had, nothing was done.
        unsafe { free(federation) };
        Ok(())
    };
    // SAFETY: the handle belongs to no thread, and is given up.
    if unsafe { apart(call) }.is_err() {
        let blocked = Blocked::new();
        // SAFETY: nothing was done.
        unsafe { free(federation) };
        blocked.end();
    }
}
