//! Calls in the background, as a main loop makes them.

use std::{
    ptr::{null, null_mut},
    time::{Duration, Instant},
};

use fulcrum::*;
use serde_json::json;

use super::{Folder, SHOP, bytes, compose, message, read, text};

/// A task that was begun.
fn begun(
    start: impl FnOnce(*mut *mut fulcrum_task, *mut *mut fulcrum_error) -> fulcrum_status,
) -> *mut fulcrum_task {
    let (mut task, mut error) = (null_mut(), null_mut());
    let status = start(&raw mut task, &raw mut error);
    // SAFETY: NULL or an error.
    assert_eq!(status, FULCRUM_OK, "{}", unsafe { message(error) });
    task
}

/// Waits as a main loop does: for the descriptor alone.
fn wait_for_fd(task: *const fulcrum_task) {
    // SAFETY: the task is live.
    let fd = unsafe { fulcrum_task_fd(task) };
    assert!(fd >= 0);
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one structure, which lives for the call.
    let count = unsafe { libc::poll(&raw mut poll, 1, 60_000) };
    assert!(count == 1 && poll.revents & libc::POLLIN != 0, "{count} {}", poll.revents);
}

/// # Safety
/// A live task that answers an order.
unsafe fn order_of(task: *mut fulcrum_task) -> *mut fulcrum_order {
    let (mut order, mut error) = (null_mut(), null_mut());
    // SAFETY: the caller's promise.
    unsafe {
        let status = fulcrum_task_take_order(task, &raw mut order, &raw mut error);
        assert_eq!(status, FULCRUM_OK, "{}", message(error));
        fulcrum_task_free(task);
    }
    order
}

#[test]
fn a_main_loop_composes_buys_and_ends_without_waiting_in_a_call() {
    let folder = Folder::new();
    let market = folder.market(1);
    let (shop, length) = bytes(SHOP);
    // SAFETY: all pointers are valid.
    unsafe {
        let task = begun(|out, error| fulcrum_federation_refresh_start(market, out, error));
        wait_for_fd(task);
        assert!(fulcrum_task_is_done(task) && fulcrum_task_wait(task, 0));
        assert_eq!(fulcrum_task_result(task, null_mut()), FULCRUM_OK);
        let mut none = null_mut();
        assert_eq!(fulcrum_task_take_plan(task, &raw mut none, null_mut()), FULCRUM_INVALID_ARGUMENT);
        assert!(none.is_null());
        fulcrum_task_free(task);

        let task =
            begun(|out, error| fulcrum_federation_compose_start(market, shop, length, null(), out, error));
        wait_for_fd(task);
        let (mut plan, mut error) = (null_mut(), null_mut());
        // Who asks for something else loses nothing.
        let mut order = null_mut();
        assert_eq!(fulcrum_task_take_order(task, &raw mut order, &raw mut error), FULCRUM_INVALID_ARGUMENT);
        assert!(message(error).contains("a plan, not an order"), "{}", message(error));
        fulcrum_error_free(error);
        assert_eq!(fulcrum_task_take_plan(task, &raw mut plan, null_mut()), FULCRUM_OK);
        assert!(fulcrum_plan_is_optimal(plan));
        assert_eq!(fulcrum_task_take_plan(task, &raw mut none, &raw mut error), FULCRUM_INVALID_ARGUMENT);
        assert!(message(error).contains("taken already"), "{}", message(error));
        fulcrum_error_free(error);
        fulcrum_task_free(task);

        let task = begun(|out, error| {
            fulcrum_federation_explain_start(market, shop, length, plan, null(), out, error)
        });
        assert!(fulcrum_task_wait(task, 60_000));
        let mut said = null_mut();
        assert_eq!(fulcrum_task_take_text(task, &raw mut said, null_mut()), FULCRUM_OK);
        assert!(text(fulcrum_text_data(said)).contains("runners_up"));
        fulcrum_text_free(said);
        fulcrum_task_free(task);

        let mut accepted = null_mut();
        let status =
            fulcrum_federation_accept(market, plan, null(), 0, null(), &raw mut accepted, null_mut());
        assert_eq!(status, FULCRUM_OK);
        let id = text(fulcrum_order_id(accepted));
        fulcrum_order_free(accepted);
        let (id, id_length) = bytes(&id);
        let task = begun(|out, error| fulcrum_federation_drive_start(market, id, id_length, out, error));
        wait_for_fd(task);
        let driven = order_of(task);
        assert!(fulcrum_order_is_committed(driven));
        fulcrum_order_free(driven);
        let (request, request_length) =
            bytes(r#"{"who": "ana", "why": "a test", "do": {"act": {"step": 0, "action": "stop"}}}"#);
        let task = begun(|out, error| {
            fulcrum_federation_operate_start(market, id, id_length, request, request_length, out, error)
        });
        fulcrum_order_free(order_of(task));
        let task = begun(|out, error| fulcrum_federation_cancel_start(market, id, id_length, out, error));
        let ended = order_of(task);
        assert_eq!(read!(fulcrum_order_summary, fulcrum_order_read(ended)).state, fulcrum_order_state::Ended);
        fulcrum_order_free(ended);
        let task = begun(|out, error| fulcrum_federation_reconcile_start(market, null(), 0, out, error));
        assert_eq!(fulcrum_task_take_text(task, &raw mut said, null_mut()), FULCRUM_OK);
        assert!(text(fulcrum_text_data(said)).contains(r#""findings":[]"#));
        fulcrum_text_free(said);
        fulcrum_task_free(task);
        let (task, mut orders) =
            (begun(|out, error| fulcrum_federation_resume_start(market, out, error)), null_mut());
        assert_eq!(fulcrum_task_take_orders(task, &raw mut orders, null_mut()), FULCRUM_OK);
        assert_eq!(fulcrum_orders_count(orders), 0);
        fulcrum_orders_free(orders);
        fulcrum_task_free(task);
        fulcrum_plan_free(plan);
        fulcrum_federation_free(market);
    }
}

#[test]
fn what_is_cancelled_ends_soon_and_alone() {
    let folder = Folder::new();
    let market = folder.market(3_600_000);
    let plan = compose(market);
    // SAFETY: all pointers are valid.
    unsafe {
        let mut ids = Vec::new();
        for _ in 0..3 {
            let mut order = null_mut();
            let status =
                fulcrum_federation_accept(market, plan, null(), 0, null(), &raw mut order, null_mut());
            assert_eq!(status, FULCRUM_OK);
            ids.push(text(fulcrum_order_id(order)));
            fulcrum_order_free(order);
        }
        let drive = |id: &str| {
            let (id, length) = bytes(id);
            begun(|out, error| fulcrum_federation_drive_start(market, id, length, out, error))
        };
        let (first, second, third) = (drive(&ids[0]), drive(&ids[1]), drive(&ids[2]));
        assert!(!fulcrum_task_is_done(first) && !fulcrum_task_wait(first, 300));
        let began = Instant::now();
        fulcrum_task_cancel(first);
        assert!(began.elapsed() < Duration::from_millis(50), "it does not wait");
        wait_for_fd(first);
        assert!(began.elapsed() < Duration::from_secs(20));
        let (mut order, mut error) = (null_mut(), null_mut());
        for _ in 0..2 {
            let status = fulcrum_task_take_order(first, &raw mut order, &raw mut error);
            assert_eq!(
                (status, fulcrum_task_result(first, null_mut())),
                (FULCRUM_INTERRUPTED, FULCRUM_INTERRUPTED)
            );
            assert!(order.is_null() && message(error).contains("interrupted"));
            fulcrum_error_free(error);
        }
        // The others go on: one is freed, which ends it too; one ends with its federation.
        assert!(!fulcrum_task_wait(second, 200) && !fulcrum_task_is_done(third));
        fulcrum_task_free(second);
        fulcrum_task_free(first);
        fulcrum_federation_free(market);
        assert!(fulcrum_task_is_done(third));
        assert_eq!(fulcrum_task_result(third, null_mut()), FULCRUM_INTERRUPTED);
        fulcrum_task_free(third);
        fulcrum_task_free(null_mut());
        fulcrum_task_cancel(null());
        assert!(
            fulcrum_task_is_done(null()) && fulcrum_task_wait(null(), 9) && fulcrum_task_fd(null()) == -1
        );
        assert_eq!(fulcrum_task_result(null(), null_mut()), FULCRUM_INVALID_ARGUMENT);
        fulcrum_plan_free(plan);
    }
}

/// Machines and components enough for a search that takes a while.
fn hard(folder: &Folder) -> (*mut fulcrum_federation, String) {
    let providers: Vec<_> = (0..8)
        .map(|provider| {
            let offers: Vec<_> = (0..12)
                .map(|size| {
                    json!({"kind": "machine", "sku": format!("m{size}"), "region": "r1", "vcpu": 1 + (size * 7 + provider * 3) % 13,
                           "memory_mib": 1024 * (1 + (size * 5 + provider) % 11), "disk_gib": 40,
                           "monthly": format!("{}.{:02}", 3 + (size * 11 + provider * 5) % 29, (size * 37 + provider * 17) % 100),
                           "currency": "EUR", "tax": "net", "observed": "2026-11-01", "source": "a test"})
                })
                .collect();
            json!({"id": format!("p{provider}"), "name": "p", "legal_name": "p", "country": "DE",
                   "regions": [{"id": "r1", "country": "DE"}], "offers": offers})
        })
        .collect();
    folder.write(
        "catalogue.json",
        &json!({"format": "fulcrum-catalogue/1", "providers": providers}).to_string(),
    );
    let components: serde_json::Map<_, _> = (0..24)
        .map(|at| {
            let need = json!({"vcpu": 1 + at % 5, "memory_mib": 512 * (1 + at % 7), "replicas": 1 + at % 3});
            (format!("c{at}"), need)
        })
        .collect();
    let blueprint = json!({"name": "hard", "components": components});
    let market = folder
        .open(&json!({"ledger": ":memory:", "providers": [{"sandbox": {"catalogue": "catalogue.json"}}]}));
    (market, blueprint.to_string())
}

#[test]
fn a_search_in_the_background_tells_how_far_it_is_and_takes_no_callback() {
    unsafe extern "C" fn goes_on(_: *mut std::ffi::c_void, _: *const fulcrum_progress) -> bool {
        true
    }
    let folder = Folder::new();
    let (market, blueprint) = hard(&folder);
    let (blueprint, length) = bytes(&blueprint);
    // SAFETY: all pointers are valid.
    unsafe {
        let mut options = super::sized::<fulcrum_compose_options>().assume_init();
        options.progress = Some(goes_on);
        let (mut task, mut error) = (null_mut(), null_mut());
        let status = fulcrum_federation_compose_start(
            market,
            blueprint,
            length,
            &raw const options,
            &raw mut task,
            &raw mut error,
        );
        assert!(status == FULCRUM_INVALID_ARGUMENT && task.is_null());
        assert!(message(error).contains("fulcrum_task_read_progress"), "{}", message(error));
        fulcrum_error_free(error);
        options.progress = None;
        options.timeout_ms = 60_000;
        let task = begun(|out, error| {
            fulcrum_federation_compose_start(market, blueprint, length, &raw const options, out, error)
        });
        // Something is told while it works, or it is done before.
        let told = loop {
            let now = read!(fulcrum_progress, fulcrum_task_read_progress(task));
            if now.bound_micros > 0 || fulcrum_task_wait(task, 5) {
                break read!(fulcrum_progress, fulcrum_task_read_progress(task));
            }
        };
        assert!(told.bound_micros > 0 && told.size == size_of::<fulcrum_progress>(), "{told:?}");
        fulcrum_task_cancel(task);
        let mut plan = null_mut();
        // The best plan so far, or none yet.
        let status = fulcrum_task_take_plan(task, &raw mut plan, null_mut());
        assert!(status == FULCRUM_OK || status == FULCRUM_COMPOSE_STOPPED, "{status}");
        fulcrum_plan_free(plan);
        fulcrum_task_free(task);
        fulcrum_federation_free(market);
    }
}
