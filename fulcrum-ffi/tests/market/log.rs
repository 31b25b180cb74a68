//! The log of the library and what it counts. There is one callback for the process, so that all of it is one test.

use std::{
    ffi::{c_char, c_void},
    ptr::{null, null_mut},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use fulcrum::*;

use super::{Folder, bytes, compose, text};

/// What a host has.
#[derive(Default)]
struct Log {
    entries: Mutex<Vec<(fulcrum_log_level, String, String)>>,
    /// Asked for something by the callback itself.
    market: Mutex<Option<usize>>,
    is_slow: AtomicBool,
    is_inside: AtomicUsize,
}

unsafe extern "C" fn entry(
    userdata: *mut c_void,
    level: fulcrum_log_level,
    target: *const c_char,
    line: *const c_char,
) {
    // SAFETY: what the library promises, and the test of `userdata`.
    let (log, target, line) = unsafe { (&*userdata.cast::<Log>(), text(target), text(line)) };
    log.is_inside.fetch_add(1, SeqCst);
    let market = log.market.lock().expect("nobody panics").take();
    if let Some(market) = market {
        let (id, length) = bytes("018f0000-0000-7000-8000-0000000000aa");
        let mut order = null_mut();
        // SAFETY: the market is live. It waits, and what it tells does not come here again.
        unsafe { fulcrum_federation_cancel(market as *const _, id, length, &raw mut order, null_mut()) };
        assert!(order.is_null());
    }
    if log.is_slow.load(SeqCst) {
        std::thread::sleep(Duration::from_millis(200));
    }
    log.entries.lock().expect("nobody panics").push((level, target, line));
    log.is_inside.fetch_sub(1, SeqCst);
}

fn set(log: &Log, max_level: i32) -> fulcrum_status {
    // SAFETY: the log lives until the callback is taken away.
    unsafe {
        fulcrum_set_log_callback(
            Some(entry),
            std::ptr::from_ref(log).cast_mut().cast(),
            max_level,
            null_mut(),
        )
    }
}

fn buy_and_cancel(market: *const fulcrum_federation, plan: *const fulcrum_plan) -> String {
    let (mut order, mut ended) = (null_mut(), null_mut());
    // SAFETY: all pointers are valid.
    unsafe {
        let status = fulcrum_federation_purchase(market, plan, null(), 0, null(), &raw mut order, null_mut());
        assert_eq!(status, FULCRUM_OK);
        let id = text(fulcrum_order_id(order));
        let (raw, length) = bytes(&id);
        assert_eq!(fulcrum_federation_cancel(market, raw, length, &raw mut ended, null_mut()), FULCRUM_OK);
        fulcrum_order_free(order);
        fulcrum_order_free(ended);
        id
    }
}

/// The value of a series.
fn value(metrics: &str, series: &str) -> u64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0, |value| value.parse().expect("a number"))
}

fn metrics() -> String {
    let mut told = null_mut();
    // SAFETY: all pointers are valid.
    unsafe {
        assert_eq!(fulcrum_metrics_text(&raw mut told, null_mut()), FULCRUM_OK);
        let metrics = text(fulcrum_text_data(told));
        fulcrum_text_free(told);
        metrics
    }
}

#[test]
fn a_host_gets_the_log_at_its_level_and_what_was_counted() {
    let folder = Folder::new();
    let market = folder.market(1);
    let plan = compose(market);
    let log = Log::default();
    let count = || log.entries.lock().expect("nobody panics").len();
    for wrong in [0, 5, -1] {
        assert_eq!(set(&log, wrong), FULCRUM_INVALID_ARGUMENT);
    }
    let before = metrics();
    buy_and_cancel(market, plan);
    assert_eq!(count(), 0, "nothing is told unless somebody listens");

    assert_eq!(set(&log, fulcrum_log_level::Info as i32), FULCRUM_OK);
    *log.market.lock().expect("nobody panics") = Some(market as usize);
    let id = buy_and_cancel(market, plan);
    let entries = std::mem::take(&mut *log.entries.lock().expect("nobody panics"));
    let of_ours: Vec<_> = entries.iter().filter(|(.., text)| text.contains(&id)).collect();
    assert!(
        of_ours.iter().any(|(level, target, text)| {
            *level == fulcrum_log_level::Info
                && target.starts_with("fulcrum_core::purchase")
                && text.contains("state=committed")
        }),
        "{of_ours:#?}"
    );
    assert!(entries.iter().all(|(level, ..)| *level as i32 <= fulcrum_log_level::Info as i32));
    assert!(entries.iter().all(|(_, target, text)| target.starts_with("fulcrum") && !text.contains('\n')));

    assert_eq!(set(&log, fulcrum_log_level::Debug as i32), FULCRUM_OK);
    buy_and_cancel(market, plan);
    let calls = std::mem::take(&mut *log.entries.lock().expect("nobody panics"));
    assert!(
        calls.iter().any(|(level, _, text)| {
            *level == fulcrum_log_level::Debug
                && text.contains("[fulcrum.provider.call provider=alpha call=provision]")
        }),
        "{calls:#?}"
    );

    // Once it is taken away, nobody is in it.
    log.is_slow.store(true, SeqCst);
    std::thread::scope(|scope| {
        let (market, plan) = (market as usize, plan as usize);
        scope.spawn(move || buy_and_cancel(market as *const _, plan as *const _));
        while log.is_inside.load(SeqCst) == 0 {
            std::thread::yield_now();
        }
        // SAFETY: NULL ends it.
        assert_eq!(unsafe { fulcrum_set_log_callback(None, null_mut(), 0, null_mut()) }, FULCRUM_OK);
        assert_eq!(log.is_inside.load(SeqCst), 0);
    });
    let at_end = count();
    buy_and_cancel(market, plan);
    assert_eq!(count(), at_end);

    // Other tests of this program count, too.
    let after = metrics();
    for series in [r#"fulcrum_orders_total{state="committed"}"#, r#"fulcrum_orders_total{state="ended"}"#] {
        assert!(value(&after, series) >= value(&before, series) + 5, "{series}: {before}\n{after}");
    }
    let series = r#"fulcrum_provider_call_seconds_count{provider="alpha",call="provision",outcome="ok"}"#;
    assert!(value(&after, series) >= value(&before, series) + 5, "{after}");
    let infinite =
        r#"fulcrum_provider_call_seconds_bucket{provider="alpha",call="provision",outcome="ok",le="+Inf"}"#;
    assert_eq!(value(&after, infinite), value(&after, series));
    for line in [
        "# TYPE fulcrum_orders_total counter",
        "# TYPE fulcrum_provider_call_seconds histogram",
        "# HELP fulcrum_orders_total orders that entered a state",
    ] {
        assert!(after.lines().any(|told| told == line), "{line}: {after}");
    }
    // SAFETY: both are live.
    unsafe {
        fulcrum_plan_free(plan);
        fulcrum_federation_free(market);
    }
}
