use std::{
    ffi::c_void,
    ptr::{null, null_mut},
    sync::mpsc::{Receiver, Sender, channel},
    time::Duration,
};

use fulcrum::*;

use super::{Folder, compose, message, text};

/// What a callback needs, and what it says.
struct Call {
    market: *mut fulcrum_federation,
    plan: *mut fulcrum_plan,
    say: Sender<Said>,
}

#[derive(Debug, Default, PartialEq)]
struct Said {
    thread: Option<String>,
    is_committed: bool,
    code: fulcrum_status,
    message: String,
    /// What a call inside the callback returned.
    inner: fulcrum_status,
}

type Callback = unsafe extern "C" fn(*mut c_void, *mut fulcrum_order, *mut fulcrum_error);

/// Starts a purchase; answers the id of its order.
fn start(market: *mut fulcrum_federation, callback: Callback) -> (String, Receiver<Said>) {
    let (say, said) = channel();
    let plan = compose(market);
    let call = Box::into_raw(Box::new(Call { market, plan, say })).cast::<c_void>();
    let (mut order, mut error) = (null_mut(), null_mut());
    // SAFETY: all pointers are valid; the callback frees the userdata.
    unsafe {
        let status = fulcrum_federation_purchase_async(
            market,
            plan,
            null(),
            0,
            null(),
            Some(callback),
            call,
            &raw mut order,
            &raw mut error,
        );
        assert_eq!(status, FULCRUM_OK, "{}", message(error));
        let id = text(fulcrum_order_id(order));
        fulcrum_order_free(order);
        (id, said)
    }
}

fn wait(said: &Receiver<Said>) -> Said {
    let first = said.recv_timeout(Duration::from_secs(60)).expect("called back");
    assert!(said.recv_timeout(Duration::from_millis(50)).is_err(), "called back once");
    first
}

/// # Safety
/// As the library calls it.
unsafe fn hear(order: *mut fulcrum_order, error: *mut fulcrum_error) -> Said {
    // SAFETY: the handles are ours.
    unsafe {
        let said = Said {
            thread: std::thread::current().name().map(str::to_owned),
            is_committed: fulcrum_order_is_committed(order),
            code: fulcrum_error_code(error),
            message: message(error),
            inner: FULCRUM_OK,
        };
        fulcrum_order_free(order);
        fulcrum_error_free(error);
        said
    }
}

unsafe extern "C" fn buys_again(userdata: *mut c_void, order: *mut fulcrum_order, error: *mut fulcrum_error) {
    // SAFETY: made by `start`; everything is valid until it is freed here.
    unsafe {
        let call = Box::from_raw(userdata.cast::<Call>());
        let mut said = hear(order, error);
        let (mut order, mut error) = (null_mut(), null_mut());
        said.inner = fulcrum_federation_purchase(
            call.market,
            call.plan,
            null(),
            0,
            null(),
            &raw mut order,
            &raw mut error,
        );
        fulcrum_order_free(order);
        fulcrum_error_free(error);
        fulcrum_plan_free(call.plan);
        call.say.send(said).expect("somebody waits");
    }
}

unsafe extern "C" fn frees_the_market(
    userdata: *mut c_void,
    order: *mut fulcrum_order,
    error: *mut fulcrum_error,
) {
    // SAFETY: made by `start`; nobody uses the market any more.
    unsafe {
        let call = Box::from_raw(userdata.cast::<Call>());
        let said = hear(order, error);
        fulcrum_federation_free(call.market);
        fulcrum_plan_free(call.plan);
        call.say.send(said).expect("somebody waits");
    }
}

unsafe extern "C" fn tells(userdata: *mut c_void, order: *mut fulcrum_order, error: *mut fulcrum_error) {
    // SAFETY: made by `start`.
    unsafe {
        let call = Box::from_raw(userdata.cast::<Call>());
        let said = hear(order, error);
        fulcrum_plan_free(call.plan);
        call.say.send(said).expect("somebody waits");
    }
}

#[test]
fn a_callback_may_make_calls_that_wait() {
    let folder = Folder::new();
    let market = folder.market(1);
    let said = wait(&start(market, buys_again).1);
    assert!(said.is_committed, "{said:?}");
    assert_eq!((said.code, said.inner), (FULCRUM_OK, FULCRUM_OK));
    assert_eq!(said.thread.as_deref(), Some("fulcrum-reply"));
    // SAFETY: the callback has returned.
    unsafe { fulcrum_federation_free(market) };
}

#[test]
fn a_callback_may_free_the_federation() {
    let folder = Folder::new();
    let said = wait(&start(folder.market(1), frees_the_market).1);
    assert!(said.is_committed && said.code == FULCRUM_OK, "{said:?}");
}

#[test]
fn a_federation_that_is_freed_early_says_so_and_leaves_a_resumable_order() {
    let folder = Folder::new();
    let market = folder.market(20_000);
    let (id, said) = start(market, tells);
    // SAFETY: no call is under way.
    unsafe { fulcrum_federation_free(market) };
    let said = wait(&said);
    assert_eq!(said.code, FULCRUM_FEDERATION_ENDED);
    assert_eq!(FULCRUM_FEDERATION_ENDED, 903);
    assert!(said.message.contains("the federation ended first; resume takes the order up again"), "{said:?}");
    assert!(said.message.contains(&id) && !said.is_committed);
}

#[test]
fn a_purchase_that_cannot_start_is_never_called_back() {
    let folder = Folder::new();
    let market = folder.market(1);
    let plan = compose(market);
    let mut order = null_mut();
    // SAFETY: all pointers are valid.
    unsafe {
        let status = fulcrum_federation_purchase_async(
            market,
            plan,
            null(),
            0,
            null(),
            None,
            null_mut(),
            &raw mut order,
            null_mut(),
        );
        assert_eq!(status, FULCRUM_INVALID_ARGUMENT);
        assert!(order.is_null());
        fulcrum_plan_free(plan);
        fulcrum_federation_free(market);
    }
}
