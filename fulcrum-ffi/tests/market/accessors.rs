use std::{
    mem::MaybeUninit,
    ptr::{null, null_mut},
};

use fulcrum::*;
use fulcrum_core::provider::ErrorKind;

use super::{Folder, bytes, compose, message, read, sized, text};

#[test]
fn a_plan_is_read_without_json() {
    let folder = Folder::new();
    let market = folder.market(1);
    let plan = compose(market);
    // SAFETY: all pointers are valid.
    unsafe {
        let summary = read!(fulcrum_plan_summary, fulcrum_plan_read(plan));
        assert_eq!(text(summary.currency), "EUR");
        for amount in [summary.monthly, summary.objective, summary.bound] {
            assert_eq!((text(amount.text).as_str(), amount.micros), ("22.5", 22_500_000));
        }
        assert_eq!((text(summary.once.text).as_str(), summary.once.micros), ("0", 0));
        assert_eq!((text(summary.gap_percent.text).as_str(), summary.gap_percent.micros), ("0", 0));
        assert!(summary.is_optimal && summary.stop == fulcrum_stop_reason::Optimal);
        assert_eq!((summary.lease_count, summary.size), (2, size_of::<fulcrum_plan_summary>()));

        let mut found = Vec::new();
        for index in 0..summary.lease_count {
            let lease = read!(fulcrum_lease, fulcrum_plan_read_lease(plan, index));
            assert!(lease.keeps.is_null());
            assert_eq!((lease.size_gib, lease.replica_count, lease.once.micros), (0, 1, 0));
            let words = [lease.sku, lease.region, lease.country, lease.kind].map(|word| text(word));
            assert_eq!(words, ["0012", "r1", "DE", "machine"]);
            let replica = read!(fulcrum_replica, fulcrum_plan_read_replica(plan, index, 0));
            assert_eq!((text(replica.component).as_str(), replica.count), ("web", 1));
            found.push((
                text(lease.offer),
                text(lease.provider),
                text(lease.monthly.text),
                lease.monthly.micros,
            ));
        }
        found.sort();
        let expected = |name: &str, month: &str, micros| {
            (format!("{name}/r1/0012"), name.to_owned(), month.to_owned(), micros)
        };
        assert_eq!(found, [expected("alpha", "10", 10_000_000), expected("beta", "12.5", 12_500_000)]);
        fulcrum_plan_free(plan);
        fulcrum_federation_free(market);
    }
}

#[test]
fn a_structure_of_another_size_is_never_written_beyond() {
    let folder = Folder::new();
    let market = folder.market(1);
    let plan = compose(market);
    // SAFETY: all pointers are valid.
    unsafe {
        for size in [0, 8, size_of::<fulcrum_lease>() - 1, usize::MAX] {
            let mut lease = sized::<fulcrum_lease>();
            lease.as_mut_ptr().cast::<usize>().write(size);
            let status = fulcrum_plan_read_lease(plan, 0, lease.as_mut_ptr(), null_mut());
            assert_eq!(status, FULCRUM_INVALID_ARGUMENT);
            assert!((*lease.as_ptr()).offer.is_null());
        }
        // That of a later version: what this one does not know is zero.
        #[repr(C)]
        struct Later {
            lease: MaybeUninit<fulcrum_lease>,
            more: [u64; 2],
            guard: u64,
        }
        let mut later = Later { lease: sized::<fulcrum_lease>(), more: [7; 2], guard: 7 };
        let size = size_of::<fulcrum_lease>() + size_of_val(&later.more);
        later.lease.as_mut_ptr().cast::<usize>().write(size);
        let status = fulcrum_plan_read_lease(plan, 0, (&raw mut later).cast(), null_mut());
        assert_eq!(status, FULCRUM_OK);
        assert_eq!((later.more, later.guard, later.lease.assume_init().size), ([0; 2], 7, size));

        let mut lease = sized::<fulcrum_lease>();
        let mut error = null_mut();
        let status = fulcrum_plan_read_lease(plan, 2, lease.as_mut_ptr(), &raw mut error);
        assert_eq!(status, FULCRUM_INVALID_ARGUMENT);
        assert!(message(error).contains("index is 2"), "{}", message(error));
        fulcrum_error_free(error);
        assert_eq!(fulcrum_plan_read(plan, null_mut(), null_mut()), FULCRUM_INVALID_ARGUMENT);
        fulcrum_plan_free(plan);
        fulcrum_federation_free(market);
    }
}

/// # Safety
/// A market and an order's id.
unsafe fn load(market: *const fulcrum_federation, id: &str) -> Result<*mut fulcrum_order, fulcrum_status> {
    let (id, length) = bytes(id);
    let mut order = null_mut();
    // SAFETY: all pointers are valid.
    match unsafe { fulcrum_federation_order(market, id, length, &raw mut order, null_mut()) } {
        FULCRUM_OK => Ok(order),
        status => Err(status),
    }
}

/// # Safety
/// A text of the library's, which is freed.
unsafe fn json(text: *mut fulcrum_text) -> serde_json::Value {
    // SAFETY: the caller's promise.
    unsafe {
        let value = super::text(fulcrum_text_data(text));
        fulcrum_text_free(text);
        serde_json::from_str(&value).expect("JSON")
    }
}

#[test]
fn an_order_is_read_without_json_and_from_the_ledger() {
    let folder = Folder::new();
    let market = folder.market(1);
    let plan = compose(market);
    // SAFETY: all pointers are valid.
    unsafe {
        let mut bought = null_mut();
        let status =
            fulcrum_federation_purchase(market, plan, null(), 0, null(), &raw mut bought, null_mut());
        assert_eq!(status, FULCRUM_OK);
        let id = text(fulcrum_order_id(bought));
        fulcrum_order_free(bought);
        let order = load(market, &id).expect("it is in the ledger");

        let summary = read!(fulcrum_order_summary, fulcrum_order_read(order));
        assert_eq!((text(summary.id), text(summary.state_text)), (id.clone(), "committed".to_owned()));
        assert!(summary.state == fulcrum_order_state::Committed && summary.reason.is_null());
        assert_eq!((summary.step_count, summary.service_count), (2, 2));
        for index in 0..2 {
            let step = read!(fulcrum_step, fulcrum_order_read_step(order, index));
            assert_eq!(
                (step.state, text(step.state_text).as_str()),
                (fulcrum_step_state::Committed, "committed")
            );
            assert!(step.problem.is_null() && step.attempt_count == 0 && !text(step.key).is_empty());
            let service = read!(fulcrum_service, fulcrum_order_read_service(order, index));
            assert_eq!((service.step, text(service.sku).as_str()), (index, "0012"));
            assert_eq!(text(service.provider), text(step.provider));
            assert_eq!(
                (service.status, text(service.status_text).as_str()),
                (fulcrum_service_status::Running, "running")
            );
            assert!(
                !text(service.id).is_empty() && text(service.country) == "DE" && text(service.region) == "r1"
            );
            for at in 0..service.attribute_count {
                let fact = read!(fulcrum_attribute, fulcrum_order_read_attribute(order, index, at));
                assert!(!text(fact.name).is_empty() && !fact.value.is_null());
            }
        }
        let mut events = null_mut();
        let (raw, length) = bytes(&id);
        assert_eq!(
            fulcrum_federation_events_json(market, raw, length, &raw mut events, null_mut()),
            FULCRUM_OK
        );
        let events = json(events);
        let events = events.as_array().expect("an array");
        assert!(events.len() > 4 && events.iter().all(|event| event["order"] == id.as_str()));

        let unknown = "018f0000-0000-7000-8000-000000000001";
        assert_eq!(load(market, unknown), Err(FULCRUM_LEDGER_NO_SUCH_ORDER));
        assert_eq!(load(market, ""), Err(FULCRUM_INVALID_ARGUMENT));
        let (raw, length) = bytes(unknown);
        let mut none = null_mut();
        let status = fulcrum_federation_events_json(market, raw, length, &raw mut none, null_mut());
        assert!(status == FULCRUM_LEDGER_NO_SUCH_ORDER && none.is_null());
        let mut found = null_mut();
        let (raw, length) = bytes(r#"{"orphans": "release"}"#);
        let status = fulcrum_federation_reconcile_json(market, raw, length, &raw mut found, null_mut());
        assert_eq!(status, FULCRUM_OK);
        let found = json(found);
        assert_eq!(found["findings"].as_array().map(Vec::len), Some(0), "{found}");
        assert_eq!(found["scanned"]["orders"], 1, "{found}");
        let (raw, length) = bytes(r#"{"orphans": "end"}"#);
        let mut none = null_mut();
        let status = fulcrum_federation_reconcile_json(market, raw, length, &raw mut none, null_mut());
        assert!(status == FULCRUM_DOCUMENT && none.is_null());
        fulcrum_order_free(order);
        fulcrum_plan_free(plan);
        fulcrum_federation_free(market);
    }
}

unsafe extern "C" fn ignore(_: *mut std::ffi::c_void, order: *mut fulcrum_order, error: *mut fulcrum_error) {
    // SAFETY: the handles are ours.
    unsafe {
        fulcrum_order_free(order);
        fulcrum_error_free(error);
    }
}

#[test]
fn what_was_resumed_can_be_read() {
    let folder = Folder::new();
    let market = folder.market(20_000);
    let plan = compose(market);
    // SAFETY: all pointers are valid.
    unsafe {
        let mut order = null_mut();
        let status = fulcrum_federation_purchase_async(
            market,
            plan,
            null(),
            0,
            null(),
            Some(ignore),
            null_mut(),
            &raw mut order,
            null_mut(),
        );
        assert_eq!(status, FULCRUM_OK);
        let id = text(fulcrum_order_id(order));
        fulcrum_order_free(order);
        fulcrum_plan_free(plan);
        fulcrum_federation_free(market);

        let market = folder.market(1);
        let (mut orders, mut error) = (null_mut(), null_mut());
        let mut ended = None;
        // The claim of the federation that was freed may have to run out first.
        for _ in 0..600 {
            let status = fulcrum_federation_resume(market, &raw mut orders, &raw mut error);
            assert_eq!(status, FULCRUM_OK, "{}", message(error));
            if fulcrum_orders_count(orders) > 0 {
                let mut order = null_mut();
                assert_eq!(fulcrum_orders_get(orders, 0, &raw mut order, null_mut()), FULCRUM_OK);
                let mut none = null_mut();
                let status = fulcrum_orders_get(orders, 1, &raw mut none, null_mut());
                assert!(status == FULCRUM_INVALID_ARGUMENT && none.is_null());
                ended = Some(order);
            }
            fulcrum_orders_free(orders);
            if ended.is_some() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        let order = ended.expect("it was taken up");
        assert_eq!(text(fulcrum_order_id(order)), id);
        fulcrum_order_free(order);
        assert_eq!(fulcrum_federation_resume(market, null_mut(), null_mut()), FULCRUM_OK);
        fulcrum_federation_free(market);
    }
}

#[test]
fn each_provider_says_how_it_answered() {
    let folder = Folder::new();
    let market = folder.market(1);
    // SAFETY: all pointers are valid.
    unsafe {
        let mut sources = null_mut();
        assert_eq!(fulcrum_federation_sources_json(market, &raw mut sources, null_mut()), FULCRUM_OK);
        let sources = json(sources);
        let sources = sources.as_array().expect("an array");
        assert_eq!(sources.len(), 2);
        assert!(
            sources.iter().all(|source| source["state"] == "fresh" && source["offers"] == 1),
            "{sources:?}"
        );
        fulcrum_federation_free(market);
    }
}

#[test]
fn statuses_have_the_numbers_of_the_core_and_names() {
    assert_eq!(ErrorKind::Ambiguous.code(), FULCRUM_PROVIDER_AMBIGUOUS);
    assert_eq!(ErrorKind::Unsupported.code(), FULCRUM_PROVIDER_UNSUPPORTED);
    assert_eq!(fulcrum_core::compose::ComposeError::Stopped { bound: None }.code(), FULCRUM_COMPOSE_STOPPED);
    let damaged = fulcrum_core::ledger::LedgerError::Damaged(String::new());
    assert_eq!(damaged.code(), FULCRUM_LEDGER_DAMAGED);
    let invalid = fulcrum_core::purchase::PurchaseError::InvalidPlan(String::new());
    assert_eq!(invalid.code(), FULCRUM_PURCHASE_INVALID_PLAN);
    // SAFETY: static text.
    let name = |status| unsafe { text(fulcrum_status_name(status)) };
    assert_eq!(name(FULCRUM_OK), "FULCRUM_OK");
    assert_eq!(name(903), "FULCRUM_FEDERATION_ENDED");
    assert_eq!(name(302), "FULCRUM_COMPOSE_INFEASIBLE");
    assert_eq!(name(101), "FULCRUM_PROVIDER_INVALID_REQUEST");
    assert_eq!(name(77), "");
}

/// What stood in the slot before must not be taken for an answer, and freed.
#[test]
fn an_output_is_null_where_a_call_fails_before_it_begins() {
    fn is_null<T>(call: impl FnOnce(*mut *mut T) -> fulcrum_status) {
        let mut slot = std::ptr::dangling_mut::<T>();
        assert_eq!(call(&raw mut slot), FULCRUM_INVALID_ARGUMENT);
        assert!(slot.is_null());
    }
    // SAFETY: NULL is refused.
    unsafe {
        is_null(|out| fulcrum_plan_json(null(), out, null_mut()));
        is_null(|out| fulcrum_order_json(null(), out, null_mut()));
        is_null(|out| fulcrum_order_sold_out_json(null(), out, null_mut()));
        is_null(|out| fulcrum_orders_get(null(), 0, out, null_mut()));
        is_null(|out| fulcrum_federation_sources_json(null(), out, null_mut()));
        is_null(|out| fulcrum_federation_events_json(null(), null(), 0, out, null_mut()));
    }
}
