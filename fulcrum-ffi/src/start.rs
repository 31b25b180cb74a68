//! Calls that begin in the background and return a task at once.

use std::ffi::c_char;

use fulcrum_core::{
    model::{Blueprint, OperatorRequest, parse_json},
    purchase::RepairPolicy,
};

use crate::{
    compose::{ComposeCall, SearchOptions, fulcrum_compose_options},
    error::{fulcrum_error, fulcrum_status},
    federation::{fulcrum_federation, share_federation},
    guard::{borrow, guard_on_call_thread, out, utf8},
    operate::order_id,
    plan::fulcrum_plan,
    task::{TaskOutput, fulcrum_task, start, start_order},
};

/// Begins what fulcrum_federation_refresh() does. fulcrum_task_result() tells how it went.
///
/// @param federation  borrowed; freeing it ends the task.
/// @param out_task    receives a task that the caller owns and frees with fulcrum_task_free().
/// @param out_error   may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_refresh_start(
    federation: *const fulcrum_federation,
    out_task: *mut *mut fulcrum_task,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, out_task) = unsafe { (share_federation(federation)?, out(out_task, "out_task")?) };
        *out_task = start(federation, |market| {
            market.wait(market.inner.refresh())?;
            Ok(TaskOutput::Nothing)
        })?;
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_task, out_error, call) }
}

/// Begins what fulcrum_federation_compose() does. fulcrum_task_read_progress() tells how far it is, and fulcrum_task_take_plan()
/// returns the plan.
///
/// @param federation                   borrowed; freeing it ends the task.
/// @param blueprint, blueprint_length  borrowed; YAML or JSON.
/// @param options                      borrowed; NULL for the usual ones. Without `progress`.
/// @param out_task                     receives a task that the caller owns and frees with
///                                     fulcrum_task_free().
/// @param out_error                    may be NULL; else NULL on success, or an error for
///                                     fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_compose_start(
    federation: *const fulcrum_federation,
    blueprint: *const c_char,
    blueprint_length: usize,
    options: *const fulcrum_compose_options,
    out_task: *mut *mut fulcrum_task,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, blueprint, search, out_task) = unsafe {
            (
                share_federation(federation)?,
                utf8(blueprint, blueprint_length, "blueprint")?,
                SearchOptions::read(options)?,
                out(out_task, "out_task")?,
            )
        };
        let (options, end) = search.without_callback()?;
        let blueprint = Blueprint::from_yaml(blueprint)?;
        *out_task = start(federation, move |market| {
            let search = ComposeCall::new(options, end, market);
            let plan = market
                .inner
                .compose_with(&blueprint, &search.options, &mut |progress| search.poll_progress(progress))?;
            Ok(TaskOutput::Plan(Box::new(plan)))
        })?;
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_task, out_error, call) }
}

/// Begins what fulcrum_federation_explain_json() does. fulcrum_task_take_text() returns the JSON.
///
/// @param federation                   borrowed; freeing it ends the task.
/// @param blueprint, blueprint_length  borrowed; YAML or JSON: the one that the plan was composed for.
/// @param plan                         borrowed; a copy is kept.
/// @param options                      borrowed; NULL for the usual ones. Without `progress`.
/// @param out_task                     receives a task that the caller owns and frees with
///                                     fulcrum_task_free().
/// @param out_error                    may be NULL; else NULL on success, or an error for
///                                     fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_explain_start(
    federation: *const fulcrum_federation,
    blueprint: *const c_char,
    blueprint_length: usize,
    plan: *const fulcrum_plan,
    options: *const fulcrum_compose_options,
    out_task: *mut *mut fulcrum_task,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, blueprint, plan, search, out_task) = unsafe {
            (
                share_federation(federation)?,
                utf8(blueprint, blueprint_length, "blueprint")?,
                borrow(plan, "plan")?.inner.clone(),
                SearchOptions::read(options)?,
                out(out_task, "out_task")?,
            )
        };
        let (options, end) = search.without_callback()?;
        let blueprint = Blueprint::from_yaml(blueprint)?;
        *out_task = start(federation, move |market| {
            let search = ComposeCall::new(options, end, market);
            let said = market.inner.explain(&blueprint, &plan, &search.options, &mut |progress| {
                search.poll_progress(progress)
            })?;
            Ok(TaskOutput::Text(said.to_document().to_string()))
        })?;
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_task, out_error, call) }
}

/// Begins what fulcrum_federation_drive() does. fulcrum_task_take_order() returns the order.
///
/// @param federation     borrowed; freeing it ends the task.
/// @param id, id_length  borrowed; the order's id, see fulcrum_federation_accept().
/// @param out_task       receives a task that the caller owns and frees with fulcrum_task_free().
/// @param out_error      may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_drive_start(
    federation: *const fulcrum_federation,
    id: *const c_char,
    id_length: usize,
    out_task: *mut *mut fulcrum_task,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, id, out_task) = unsafe {
            (share_federation(federation)?, utf8(id, id_length, "id")?, out(out_task, "out_task")?)
        };
        let id = order_id(id)?;
        *out_task = start_order(federation, move |market| Ok(market.wait(market.inner.drive(&id))??))?;
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_task, out_error, call) }
}

/// Begins what fulcrum_federation_resume() does. fulcrum_task_take_orders() returns the orders.
///
/// @param federation  borrowed; freeing it ends the task.
/// @param out_task    receives a task that the caller owns and frees with fulcrum_task_free().
/// @param out_error   may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_resume_start(
    federation: *const fulcrum_federation,
    out_task: *mut *mut fulcrum_task,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, out_task) = unsafe { (share_federation(federation)?, out(out_task, "out_task")?) };
        *out_task = start(federation, |market| Ok(TaskOutput::Orders(market.wait(market.inner.resume())??)))?;
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_task, out_error, call) }
}

/// Begins what fulcrum_federation_cancel() does. fulcrum_task_take_order() returns the order.
///
/// @param federation     borrowed; freeing it ends the task.
/// @param id, id_length  borrowed; the order's id, see fulcrum_order_id().
/// @param out_task       receives a task that the caller owns and frees with fulcrum_task_free().
/// @param out_error      may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_cancel_start(
    federation: *const fulcrum_federation,
    id: *const c_char,
    id_length: usize,
    out_task: *mut *mut fulcrum_task,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, id, out_task) = unsafe {
            (share_federation(federation)?, utf8(id, id_length, "id")?, out(out_task, "out_task")?)
        };
        let id = order_id(id)?;
        *out_task = start_order(federation, move |market| Ok(market.wait(market.inner.cancel(&id))??))?;
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_task, out_error, call) }
}

/// Begins what fulcrum_federation_operate() does. fulcrum_task_take_order() returns the order.
///
/// @param federation               borrowed; freeing it ends the task.
/// @param id, id_length            borrowed; the order's id, see fulcrum_order_id().
/// @param request, request_length  borrowed; JSON as for fulcrum_federation_operate().
/// @param out_task                 receives a task that the caller owns and frees with fulcrum_task_free().
/// @param out_error                may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_operate_start(
    federation: *const fulcrum_federation,
    id: *const c_char,
    id_length: usize,
    request: *const c_char,
    request_length: usize,
    out_task: *mut *mut fulcrum_task,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, id, request, out_task) = unsafe {
            (
                share_federation(federation)?,
                utf8(id, id_length, "id")?,
                utf8(request, request_length, "request")?,
                out(out_task, "out_task")?,
            )
        };
        let (id, request) = (order_id(id)?, parse_json::<OperatorRequest>(request)?);
        *out_task =
            start_order(federation, move |market| Ok(market.wait(market.inner.operate(&id, request))??))?;
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_task, out_error, call) }
}

/// Begins what fulcrum_federation_reconcile_json() does. fulcrum_task_take_text() returns the JSON.
///
/// @param federation             borrowed; freeing it ends the task.
/// @param policy, policy_length  borrowed; JSON as for fulcrum_federation_reconcile_json(), or empty to report only.
/// @param out_task               receives a task that the caller owns and frees with fulcrum_task_free().
/// @param out_error              may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_reconcile_start(
    federation: *const fulcrum_federation,
    policy: *const c_char,
    policy_length: usize,
    out_task: *mut *mut fulcrum_task,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, policy, out_task) = unsafe {
            (
                share_federation(federation)?,
                utf8(policy, policy_length, "policy")?,
                out(out_task, "out_task")?,
            )
        };
        let policy = if policy.is_empty() { RepairPolicy::default() } else { parse_json(policy)? };
        *out_task = start(federation, move |market| {
            let outcome = market.wait(market.inner.repair(&policy))??;
            Ok(TaskOutput::Text(serde_json::to_string(&outcome).unwrap_or_default()))
        })?;
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_task, out_error, call) }
}
