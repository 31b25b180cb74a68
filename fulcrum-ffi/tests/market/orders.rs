//! Orders beyond their purchase: written down, driven, followed, listed, delivered, archived, removed.

use std::{
    ffi::{c_char, c_void},
    ptr::{null, null_mut},
};

use fulcrum::*;
use serde_json::Value;

use super::{Folder, bytes, compose, message, read, text};

const CLICK: &str = "018f0000-0000-7000-8000-0000000000aa";

fn id_options(id: &'static str) -> fulcrum_purchase_options {
    let (id, id_length) = bytes(id);
    let size = size_of::<fulcrum_purchase_options>();
    fulcrum_purchase_options { size, id, id_length, approved: null(), approved_length: 0 }
}

/// Writes an order down with the caller's id.
fn accept(
    market: *const fulcrum_federation,
    plan: *const fulcrum_plan,
    id: &'static str,
) -> *mut fulcrum_order {
    let options = id_options(id);
    let (mut order, mut error) = (null_mut(), null_mut());
    // SAFETY: all pointers are valid.
    unsafe {
        let status = fulcrum_federation_accept(
            market,
            plan,
            null(),
            0,
            &raw const options,
            &raw mut order,
            &raw mut error,
        );
        assert_eq!(status, FULCRUM_OK, "{}", message(error));
    }
    order
}

/// Ids of the orders that a query lists.
fn listed(market: *const fulcrum_federation, query: &str) -> Vec<String> {
    let (query, length) = bytes(query);
    let (mut orders, mut error) = (null_mut(), null_mut());
    // SAFETY: all pointers are valid.
    unsafe {
        let status = fulcrum_federation_orders(market, query, length, &raw mut orders, &raw mut error);
        assert_eq!(status, FULCRUM_OK, "{}", message(error));
        let id = |index| {
            let mut order = null_mut();
            assert_eq!(fulcrum_orders_get(orders, index, &raw mut order, null_mut()), FULCRUM_OK);
            let id = text(fulcrum_order_id(order));
            fulcrum_order_free(order);
            id
        };
        let ids = (0..fulcrum_orders_count(orders)).map(id).collect();
        fulcrum_orders_free(orders);
        ids
    }
}

#[test]
fn a_click_that_is_repeated_buys_once() {
    let folder = Folder::new();
    let market = folder.market(1);
    let plan = compose(market);
    let options = id_options(CLICK);
    // SAFETY: all pointers are valid.
    unsafe {
        for _ in 0..3 {
            let (mut order, mut error) = (null_mut(), null_mut());
            let status = fulcrum_federation_purchase(
                market,
                plan,
                null(),
                0,
                &raw const options,
                &raw mut order,
                &raw mut error,
            );
            assert_eq!(status, FULCRUM_OK, "{}", message(error));
            assert_eq!(text(fulcrum_order_id(order)), CLICK);
            let summary = read!(fulcrum_order_summary, fulcrum_order_read(order));
            assert_eq!(summary.service_count, 2);
            fulcrum_order_free(order);
        }
        let (id, length) = bytes(CLICK);
        let (mut same, mut error) = (null_mut(), null_mut());
        let status =
            fulcrum_federation_accept_as(market, id, length, plan, null(), 0, &raw mut same, &raw mut error);
        assert_eq!(status, FULCRUM_OK, "{}", message(error));
        assert!(fulcrum_order_is_committed(same) && text(fulcrum_order_id(same)) == CLICK);
        fulcrum_order_free(same);
        let (smaller, smaller_length) = bytes(r#"{"name": "shop", "components": {"web": {"vcpu": 2}}}"#);
        let mut other = null_mut();
        let status =
            fulcrum_federation_compose(market, smaller, smaller_length, null(), &raw mut other, null_mut());
        assert_eq!(status, FULCRUM_OK);
        let status =
            fulcrum_federation_accept_as(market, id, length, other, null(), 0, &raw mut same, null_mut());
        fulcrum_plan_free(other);
        assert!(status == FULCRUM_PURCHASE_ID_TAKEN && same.is_null());
        let status =
            fulcrum_federation_accept_as(market, null(), 0, plan, null(), 0, &raw mut same, null_mut());
        assert!(status == FULCRUM_INVALID_ARGUMENT && same.is_null());
        assert_eq!(listed(market, "{}"), [CLICK]);
        let mut found = null_mut();
        assert_eq!(
            fulcrum_federation_reconcile_json(market, null(), 0, &raw mut found, null_mut()),
            FULCRUM_OK
        );
        let json: Value = serde_json::from_str(&text(fulcrum_text_data(found))).expect("JSON");
        assert_eq!(
            (&json["scanned"]["services"], &json["findings"]),
            (&2.into(), &Value::Array(Vec::new())),
            "{json}"
        );
        fulcrum_text_free(found);
        fulcrum_plan_free(plan);
        fulcrum_federation_free(market);
    }
}

#[test]
fn an_order_is_written_down_and_driven_later() {
    let folder = Folder::new();
    let market = folder.market(1);
    let plan = compose(market);
    // SAFETY: all pointers are valid.
    unsafe {
        let order = accept(market, plan, CLICK);
        let summary = read!(fulcrum_order_summary, fulcrum_order_read(order));
        assert_eq!((summary.state, summary.service_count), (fulcrum_order_state::Accepted, 0));
        fulcrum_order_free(order);
        assert_eq!(listed(market, r#"{"unfinished": true, "state": "accepted"}"#), [CLICK]);
        let (id, length) = bytes(CLICK);
        let mut driven = null_mut();
        assert_eq!(fulcrum_federation_drive(market, id, length, &raw mut driven, null_mut()), FULCRUM_OK);
        assert!(fulcrum_order_is_committed(driven));
        fulcrum_order_free(driven);
        assert!(listed(market, r#"{"unfinished": true}"#).is_empty());
        assert_eq!(listed(market, r#"{"since": "2026-01-01T00:00:00Z"}"#), [CLICK]);
        assert!(listed(market, r#"{"since": "2999-01-01T00:00:00Z"}"#).is_empty());

        // Who cancels, and why, is recorded.
        let (request, request_length) = bytes(r#"{"who": "ana", "why": "a test", "do": "cancel"}"#);
        let mut ended = null_mut();
        let status = fulcrum_federation_operate(
            market,
            id,
            length,
            request,
            request_length,
            &raw mut ended,
            null_mut(),
        );
        assert_eq!(status, FULCRUM_OK);
        assert_eq!(read!(fulcrum_order_summary, fulcrum_order_read(ended)).state, fulcrum_order_state::Ended);
        fulcrum_order_free(ended);
        let mut timeline = null_mut();
        let status = fulcrum_federation_timeline_text(market, id, length, &raw mut timeline, null_mut());
        assert_eq!(status, FULCRUM_OK);
        assert!(text(fulcrum_text_data(timeline)).contains("ana"), "{}", text(fulcrum_text_data(timeline)));
        fulcrum_text_free(timeline);
        fulcrum_plan_free(plan);
        fulcrum_federation_free(market);
    }
}

fn follow(market: *const fulcrum_federation) -> *mut fulcrum_events {
    let (id, length) = bytes(CLICK);
    let (mut events, mut error) = (null_mut(), null_mut());
    // SAFETY: all pointers are valid.
    unsafe {
        let status = fulcrum_federation_follow(market, id, length, &raw mut events, &raw mut error);
        assert_eq!(status, FULCRUM_OK, "{}", message(error));
    }
    events
}

/// Whether the descriptor is readable now.
fn is_readable(fd: i32) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one structure, which lives for the call.
    (unsafe { libc::poll(&raw mut poll, 1, 0) }) == 1 && poll.revents & libc::POLLIN != 0
}

#[test]
fn the_events_of_an_order_come_as_they_happen_and_end() {
    let folder = Folder::new();
    let market = folder.market(1);
    let plan = compose(market);
    // SAFETY: all pointers are valid.
    unsafe {
        fulcrum_order_free(accept(market, plan, CLICK));
        let events = follow(market);
        let first = read!(fulcrum_event, fulcrum_events_next(events, 60_000));
        assert_eq!((text(first.kind), text(first.subject)), ("order".to_owned(), "order".to_owned()));
        assert!(text(first.text).starts_with("accepted"), "{}", text(first.text));
        // None comes before somebody drives the order; a main loop sees that without asking.
        let fd = fulcrum_events_fd(events);
        assert!(fd >= 0 && fulcrum_events_fd(events) == fd && !is_readable(fd));
        let none = read!(fulcrum_event, fulcrum_events_next(events, 0));
        assert!(none.text.is_null() && none.json.is_null() && none.sequence == 0 && !none.has_ended);

        let (id, length) = bytes(CLICK);
        let mut driven = null_mut();
        assert_eq!(fulcrum_federation_drive(market, id, length, &raw mut driven, null_mut()), FULCRUM_OK);
        fulcrum_order_free(driven);
        let mut told = Vec::new();
        loop {
            let event = read!(fulcrum_event, fulcrum_events_next(events, 60_000));
            if event.has_ended {
                assert!(event.text.is_null());
                break;
            }
            let json: Value = serde_json::from_str(&text(event.json)).expect("JSON");
            assert_eq!((&json["order"], &json["sequence"]), (&CLICK.into(), &event.sequence.into()));
            told.push((text(event.subject), text(event.text), event.sequence));
        }
        assert!(told.windows(2).all(|two| two[0].2 < two[1].2) && told.len() > 4, "{told:?}");
        assert!(
            told.iter().any(|(subject, ..)| subject == "step 0 at alpha" || subject == "step 1 at alpha"),
            "{told:?}"
        );
        assert!(told.last().is_some_and(|(_, text, _)| text.starts_with("committed")), "{told:?}");
        assert!(fulcrum_events_has_ended(events) && is_readable(fd));
        fulcrum_events_free(events);

        // Another follower sees the same from the start, here as JSON.
        let (again, mut json, mut count) = (follow(market), null_mut(), 0);
        while !fulcrum_events_has_ended(again) {
            assert_eq!(fulcrum_events_next_json(again, 60_000, &raw mut json, null_mut()), FULCRUM_OK);
            count += usize::from(!json.is_null());
            fulcrum_text_free(json);
        }
        assert_eq!(count, told.len() + 1);
        fulcrum_events_free(again);
        fulcrum_plan_free(plan);
        fulcrum_federation_free(market);
    }
}

#[test]
fn events_end_with_their_federation_and_unknown_orders_have_none() {
    let folder = Folder::new();
    let market = folder.market(1);
    let plan = compose(market);
    // SAFETY: all pointers are valid.
    unsafe {
        let (id, length) = bytes(CLICK);
        let mut none = null_mut();
        let status = fulcrum_federation_follow(market, id, length, &raw mut none, null_mut());
        assert!(status == FULCRUM_LEDGER_NO_SUCH_ORDER && none.is_null());
        fulcrum_order_free(accept(market, plan, CLICK));
        let events = follow(market);
        assert!(!read!(fulcrum_event, fulcrum_events_next(events, 60_000)).text.is_null());
        fulcrum_federation_free(market);
        let mut event = super::sized::<fulcrum_event>();
        let status = fulcrum_events_next(events, 60_000, event.as_mut_ptr(), null_mut());
        assert_eq!(status, FULCRUM_FEDERATION_ENDED);
        assert!(read!(fulcrum_event, fulcrum_events_next(events, 60_000)).has_ended);
        // A structure of another size costs no event, and is refused.
        event.as_mut_ptr().cast::<usize>().write(8);
        let status = fulcrum_events_next(events, 0, event.as_mut_ptr(), null_mut());
        assert_eq!(status, FULCRUM_INVALID_ARGUMENT);
        fulcrum_events_free(events);
        fulcrum_events_free(null_mut());
        assert!(!fulcrum_events_has_ended(null()) && fulcrum_events_fd(null()) == -1);
        fulcrum_plan_free(plan);
    }
}

/// What a consumer of events has taken.
struct Consumer {
    thread: std::thread::ThreadId,
    refuses: bool,
    taken: Vec<u64>,
    market: *const fulcrum_federation,
}

unsafe extern "C" fn take(userdata: *mut c_void, events: *const c_char, length: usize) -> bool {
    // SAFETY: what the library promises, and the test of `userdata`.
    let (consumer, events) = unsafe {
        (&mut *userdata.cast::<Consumer>(), std::slice::from_raw_parts(events.cast::<u8>(), length))
    };
    assert_eq!(std::thread::current().id(), consumer.thread, "on the thread that called");
    if std::mem::take(&mut consumer.refuses) {
        return false;
    }
    let events: Value = serde_json::from_slice(events).expect("JSON");
    consumer.taken.extend(
        events
            .as_array()
            .expect("an array")
            .iter()
            .map(|event| event["sequence"].as_u64().expect("a number")),
    );
    // SAFETY: the market is live.
    unsafe { fulcrum_federation_interrupt(consumer.market) };
    true
}

#[test]
fn events_are_delivered_again_until_they_are_taken_and_an_order_proves_itself() {
    let folder = Folder::new();
    let market = folder.market(1);
    let plan = compose(market);
    // SAFETY: all pointers are valid.
    unsafe {
        fulcrum_order_free(accept(market, plan, CLICK));
        let thread = std::thread::current().id();
        let mut consumer = Consumer { thread, refuses: true, taken: Vec::new(), market };
        let (name, length) = bytes("billing");
        let mut deliver = || {
            fulcrum_federation_deliver(
                market,
                name,
                length,
                Some(take),
                (&raw mut consumer).cast(),
                60_000,
                null_mut(),
            )
        };
        assert_eq!(deliver(), FULCRUM_INTERRUPTED);
        assert!(!consumer.refuses && consumer.taken.len() == 1, "{:?}", consumer.taken);
        let before = consumer.taken.clone();

        let (id, id_length) = bytes(CLICK);
        let (mut ended, mut archive) = (null_mut(), null_mut());
        assert_eq!(fulcrum_federation_cancel(market, id, id_length, &raw mut ended, null_mut()), FULCRUM_OK);
        fulcrum_order_free(ended);
        // It stays: a consumer has not all of its events.
        let (far, far_length) = bytes("2999-01-01T00:00:00Z");
        let mut count = 7;
        assert_eq!(fulcrum_federation_purge(market, far, far_length, &raw mut count, null_mut()), FULCRUM_OK);
        assert_eq!(count, 0);
        let status = fulcrum_federation_deliver(
            market,
            name,
            length,
            Some(take),
            (&raw mut consumer).cast(),
            60_000,
            null_mut(),
        );
        assert_eq!(status, FULCRUM_INTERRUPTED);
        assert!(
            consumer.taken.len() > 1 && consumer.taken.windows(2).all(|two| two[0] < two[1]),
            "{before:?} then {:?}",
            consumer.taken
        );

        assert_eq!(
            fulcrum_federation_export_json(market, id, id_length, &raw mut archive, null_mut()),
            FULCRUM_OK
        );
        let json = text(fulcrum_text_data(archive));
        fulcrum_text_free(archive);
        let (whole, whole_length) = bytes(&json);
        assert_eq!(fulcrum_archive_verify(whole, whole_length, null_mut()), FULCRUM_OK);
        let forged = json.replacen("cancel", "camcel", 1);
        assert_ne!(forged, json);
        let (forged, forged_length) = bytes(&forged);
        assert_ne!(fulcrum_archive_verify(forged, forged_length, null_mut()), FULCRUM_OK);

        // The offset of the last batch is written after the callback: what was interrupted comes again.
        let idle =
            |ms| fulcrum_federation_deliver(market, name, length, Some(take_all), null_mut(), ms, null_mut());
        assert_eq!(idle(500), FULCRUM_OK);
        assert_eq!(fulcrum_federation_purge(market, far, far_length, &raw mut count, null_mut()), FULCRUM_OK);
        assert_eq!((count, listed(market, "{}").len()), (1, 0));
        let (wrong, wrong_length) = bytes("yesterday");
        let status = fulcrum_federation_purge(market, wrong, wrong_length, &raw mut count, null_mut());
        assert_eq!((status, count), (FULCRUM_INVALID_ARGUMENT, 0));
        fulcrum_plan_free(plan);
        fulcrum_federation_free(market);
    }
}

unsafe extern "C" fn take_all(_: *mut c_void, _: *const c_char, _: usize) -> bool {
    true
}
