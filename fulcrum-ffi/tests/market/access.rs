//! What opens a service, as C reads it.

use std::ptr::{null, null_mut};

use fulcrum::*;
use serde_json::json;

use super::{Folder, bytes, message, text};

#[test]
fn a_database_is_opened_and_a_machine_is_not() {
    let folder = Folder::new();
    let offer = |kind: &str, monthly: &str| {
        json!({
            "kind": kind, "sku": kind, "region": "r1", "vcpu": 2, "memory_mib": 4096, "disk_gib": 40, "monthly": monthly,
            "currency": "EUR", "tax": "net", "observed": "2026-11-01", "source": "a test",
        })
    };
    let provider = json!({
        "id": "alpha", "name": "alpha", "legal_name": "alpha", "country": "DE", "regions": [{"id": "r1", "country": "DE"}],
        "offers": [offer("database", "9"), offer("machine", "10")],
    });
    let catalogue = json!({ "format": "fulcrum-catalogue/1", "providers": [provider] });
    std::fs::write(folder.0.join("catalogue.json"), catalogue.to_string()).expect("written");
    let market = folder.market(1);
    let (mut plan, mut order, mut access, mut error) = (null_mut(), null_mut(), null_mut(), null_mut());
    // SAFETY: all pointers are valid, or NULL where that is what is tried.
    unsafe {
        let (blueprint, length) =
            bytes(r#"{"name": "app", "components": {"db": {"kind": "database"}, "web": {"vcpu": 2}}}"#);
        let status =
            fulcrum_federation_compose(market, blueprint, length, null(), &raw mut plan, &raw mut error);
        assert_eq!(status, FULCRUM_OK, "{}", message(error));
        let status =
            fulcrum_federation_purchase(market, plan, null(), 0, null(), &raw mut order, &raw mut error);
        assert_eq!(status, FULCRUM_OK, "{}", message(error));
        let id = text(fulcrum_order_id(order));
        let (id, id_length) = bytes(&id);
        let mut opened = Vec::new();
        for step in 0..3 {
            let status =
                fulcrum_federation_access(market, id, id_length, step, &raw mut access, &raw mut error);
            assert_eq!(status == FULCRUM_OK, !access.is_null());
            if status != FULCRUM_OK {
                opened.push(status);
                fulcrum_error_free(error);
                continue;
            }
            let names: Vec<String> =
                (0..fulcrum_access_count(access)).map(|at| text(fulcrum_access_name(access, at))).collect();
            assert_eq!(names, ["database", "host", "password", "port", "user"]);
            assert!(fulcrum_access_name(access, names.len()).is_null());
            let value = |name: &std::ffi::CStr| fulcrum_access_value(access, name.as_ptr());
            assert_eq!(text(value(c"user")), "admin");
            assert_eq!(text(value(c"password")).len(), 24);
            assert!(value(c"token").is_null() && fulcrum_access_value(access, null()).is_null());
            fulcrum_access_free(access);
        }
        opened.sort_unstable();
        let mut wanted = [FULCRUM_PURCHASE_NO_SERVICE, FULCRUM_PROVIDER_UNSUPPORTED];
        wanted.sort_unstable();
        assert_eq!(opened, wanted, "a machine has nothing, and there is no third step");
        assert_eq!(fulcrum_access_count(null()), 0);
        assert!(fulcrum_access_value(null(), c"user".as_ptr()).is_null());
        fulcrum_access_free(null_mut());
        fulcrum_order_free(order);
        fulcrum_plan_free(plan);
        fulcrum_federation_free(market);
    }
}
