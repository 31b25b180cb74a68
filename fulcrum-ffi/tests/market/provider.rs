//! A provider that is written in the host's language: here with the C types.

use std::{
    collections::BTreeMap,
    ffi::{CStr, c_char, c_void},
    ptr::{null, null_mut},
    sync::Mutex,
};

use fulcrum::*;
use serde_json::{Value, json};

use super::{bytes, message, text};

/// Machines by name. The name is the key.
#[derive(Default)]
struct Rack {
    machines: Mutex<BTreeMap<String, Value>>,
    /// Loses the answer to the first purchase.
    loses: Mutex<bool>,
}

unsafe extern "C" fn call(
    userdata: *mut c_void,
    call: *const c_char,
    request: *const c_char,
    length: usize,
    answer: *mut fulcrum_reply,
) -> bool {
    // SAFETY: what the library promises of its callback, and the test of `userdata`.
    let (rack, call, request) = unsafe {
        (
            &*userdata.cast::<Rack>(),
            CStr::from_ptr(call).to_str().expect("UTF-8"),
            std::slice::from_raw_parts(request.cast::<u8>(), length),
        )
    };
    let ask: Value = serde_json::from_slice(request).expect("JSON");
    let name = |field: &str| ask[field].as_str().unwrap_or_default().to_owned();
    let mut machines = rack.machines.lock().expect("nobody panics");
    let told = match call {
        "offers" => json!({ "rows": [{ "kind": "machine", "sku": "blade", "region": "basement", "vcpu": 8,
            "memory_mib": 32768, "disk_gib": 500, "monthly": "39.00", "currency": "EUR", "tax": "net",
            "observed": "2026-11-25", "source": "a test" }] }),
        "provision" => {
            let key = name("key");
            machines.entry(key.clone()).or_insert_with(|| {
                json!({ "id": key, "key": key, "sku": "blade", "region": "basement", "status": "running" })
            });
            if std::mem::take(&mut *rack.loses.lock().expect("nobody panics")) {
                return false;
            }
            json!({ "operation": format!("make {key}") })
        }
        "find_by_key" => json!({ "service": machines.get(&name("key")) }),
        "describe" => json!({ "service": machines.get(&name("service")) }),
        "services" => json!({ "services": machines.values().collect::<Vec<_>>() }),
        "release" => {
            machines.remove(&name("service"));
            json!({ "operation": format!("end {}", name("service")) })
        }
        "poll" => match name("operation").split_once(' ') {
            Some(("make", machine)) => json!({ "status": "succeeded", "service": machines.get(machine) }),
            Some(("end", _)) => json!({ "status": "succeeded", "service": null }),
            _ => json!({ "error": { "kind": "not_found", "message": "no such operation" } }),
        },
        other => json!({ "error": { "kind": "unsupported", "message": other } }),
    };
    let told = told.to_string();
    // SAFETY: the answer of this callback.
    unsafe { fulcrum_reply_set(answer, told.as_ptr().cast(), told.len()) };
    true
}

fn description() -> String {
    json!({
        "provider": { "id": "rack", "name": "Rack", "legal_name": "Example GmbH", "country": "DE",
            "regions": [{ "id": "basement", "country": "DE" }] },
        "capabilities": {
            "calls": ["offers", "provision", "find_by_key", "describe", "services", "release", "poll"],
            "idempotency": { "provision": { "class": "natural" }, "release": { "class": "natural" } },
            "concurrency": null, "poll_interval_ms": 10,
        },
    })
    .to_string()
}

fn open(given: &[fulcrum_provider]) -> Result<*mut fulcrum_federation, String> {
    let (config, length) = bytes(r#"{"ledger": ":memory:", "providers": []}"#);
    let (mut market, mut error) = (null_mut(), null_mut());
    // SAFETY: all pointers are valid.
    unsafe {
        let status = fulcrum_federation_open_with(
            config,
            length,
            null(),
            0,
            null(),
            0,
            given.as_ptr().cast(),
            given.len(),
            &raw mut market,
            &raw mut error,
        );
        if status == FULCRUM_OK {
            return Ok(market);
        }
        let said = message(error);
        fulcrum_error_free(error);
        Err(said)
    }
}

#[test]
fn a_provider_of_the_host_keeps_every_promise_and_sells() {
    let rack = Rack::default();
    let description = description();
    let given = fulcrum_provider {
        size: size_of::<fulcrum_provider>(),
        description: description.as_ptr().cast(),
        description_length: description.len(),
        call: Some(call),
        userdata: (&raw const rack).cast_mut().cast(),
    };
    let market = open(&[given]).expect("opened");
    let (mut report, mut error) = (null_mut(), null_mut());
    // SAFETY: all pointers are valid.
    unsafe {
        let (name, sku) = ("rack", "blade");
        let status = fulcrum_federation_run_conformance_json(
            market,
            name.as_ptr().cast(),
            name.len(),
            sku.as_ptr().cast(),
            sku.len(),
            null(),
            0,
            5_000,
            &raw mut report,
            &raw mut error,
        );
        assert_eq!(status, FULCRUM_OK, "{}", message(error));
        let told: Value = serde_json::from_str(&text(fulcrum_text_data(report))).expect("JSON");
        assert_eq!(told["is_passed"], true, "{}", told["text"]);
        fulcrum_text_free(report);
        assert!(rack.machines.lock().expect("nobody panics").is_empty());

        // The answer to the first purchase is lost: nothing is bought twice.
        *rack.loses.lock().expect("nobody panics") = true;
        assert_eq!(fulcrum_federation_refresh(market, null_mut()), FULCRUM_OK);
        let (blueprint, length) =
            bytes(r#"{"name": "app", "components": {"web": {"vcpu": 8, "replicas": 2}}}"#);
        let (mut plan, mut order) = (null_mut(), null_mut());
        let status =
            fulcrum_federation_compose(market, blueprint, length, null(), &raw mut plan, &raw mut error);
        assert_eq!(status, FULCRUM_OK, "{}", message(error));
        let status =
            fulcrum_federation_purchase(market, plan, null(), 0, null(), &raw mut order, &raw mut error);
        assert_eq!(status, FULCRUM_OK, "{}", message(error));
        assert!(fulcrum_order_is_committed(order));
        assert_eq!(rack.machines.lock().expect("nobody panics").len(), 2);
        fulcrum_order_free(order);
        fulcrum_plan_free(plan);
        fulcrum_federation_free(market);
    }
}

#[test]
fn what_makes_no_provider_is_refused_with_what_to_write() {
    let text = description();
    let given = fulcrum_provider {
        size: size_of::<fulcrum_provider>(),
        description: text.as_ptr().cast(),
        description_length: text.len(),
        call: Some(call),
        userdata: null_mut(),
    };
    let broken = r#"{"provider": {"id": "rack"}}"#;
    for (given, word) in [
        (fulcrum_provider { size: 8, ..given }, "sizeof(fulcrum_provider)"),
        (fulcrum_provider { call: None, ..given }, "call is NULL"),
        (fulcrum_provider { description: null(), ..given }, "description is NULL"),
        (
            fulcrum_provider {
                description: broken.as_ptr().cast(),
                description_length: broken.len(),
                ..given
            },
            "provider",
        ),
    ] {
        let said = open(&[given]).expect_err("refused");
        assert!(said.contains(word), "{said}");
    }
    let twice = open(&[given, given]).expect_err("refused");
    assert!(twice.contains("rack"), "{twice}");
}
