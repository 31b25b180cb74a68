//! Calls that are made in the background: a main loop waits for them by a file descriptor, steps them, or cancels them.

use std::{
    cell::RefCell,
    ffi::c_int,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use fulcrum_core::model::{Order, Plan};

use crate::{
    call_thread::STACK_BYTES,
    compose::fulcrum_progress,
    error::{fulcrum_error, fulcrum_status},
    federation::OpenFederation,
    guard::{Outcome, borrow, fill_struct, free, guard, guard_with_output, out},
    interrupt::Interrupts,
    order::{fulcrum_order, fulcrum_orders},
    plan::fulcrum_plan,
    process::Process,
    readiness::Readiness,
    signals::SignalsBlocked,
    text::fulcrum_text,
};

/// A call that is made in the background. Opaque; freed by fulcrum_task_free(); shareable between threads.
#[derive(Debug)]
pub struct fulcrum_task {
    state: Arc<TaskState>,
    process: Process,
}

/// What the call of a task returns.
#[derive(Debug)]
pub(crate) enum TaskOutput {
    Nothing,
    Plan(Box<Plan>),
    Order(Box<Order>),
    Orders(Vec<Order>),
    Text(String),
}

impl TaskOutput {
    fn word(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Plan(_) => "a plan",
            Self::Order(_) => "an order",
            Self::Orders(_) => "orders",
            Self::Text(_) => "a text",
        }
    }
}

/// Between the thread that makes the call and the host's.
#[derive(Debug, Default)]
struct TaskState {
    /// None while it runs; then what it returns, until that is taken, or the error.
    outcome: Mutex<Option<Outcome<Option<TaskOutput>>>>,
    is_done: Condvar,
    is_cancelled: AtomicBool,
    progress: Mutex<Option<fulcrum_progress>>,
    readiness: Readiness,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TaskState {
    fn finish(&self, outcome: Outcome<TaskOutput>) {
        *lock(&self.outcome) = Some(outcome.map(Some));
        self.readiness.set(true);
        self.is_done.notify_all();
    }

    /// Waits until the call is done; whether it is.
    fn wait(&self, timeout: Option<Duration>) -> bool {
        let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut outcome = lock(&self.outcome);
        while outcome.is_none() {
            let left =
                end.map_or(Duration::from_secs(3600), |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return false;
            }
            outcome = self.is_done.wait_timeout(outcome, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// What the call returns, if it is of this sort; who asks for another takes nothing.
    fn take<T>(&self, wanted: &str, pick: impl FnOnce(TaskOutput) -> Result<T, TaskOutput>) -> Outcome<T> {
        self.wait(None);
        let mut outcome = lock(&self.outcome);
        let answer = match &mut *outcome {
            Some(Ok(answer)) => answer,
            Some(Err(error)) => return Err(error.clone()),
            None => return Err(fulcrum_error::interrupted()),
        };
        let Some(had) = answer.take() else {
            return Err(fulcrum_error::argument("what this task returns was taken already"));
        };
        pick(had).map_err(|had| {
            let message = format!("this task returns {}, not {wanted}", had.word());
            *answer = Some(had);
            fulcrum_error::argument(&message)
        })
    }
}

thread_local! {
    /// The task whose call this thread makes.
    static CURRENT: RefCell<Option<Arc<TaskState>>> = const { RefCell::new(None) };
}

/// Whether the call that this thread makes is that of a task which was cancelled.
pub(crate) fn is_cancelled() -> bool {
    CURRENT.with_borrow(|task| task.as_ref().is_some_and(|task| task.is_cancelled.load(SeqCst)))
}

/// Keeps how far the search of a task is.
pub(crate) fn note_progress(progress: fulcrum_progress) {
    CURRENT.with_borrow(|task| {
        if let Some(task) = task {
            *lock(&task.progress) = Some(progress);
        }
    });
}

/// The threads of tasks that may still run.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Mutex<Vec<JoinHandle<()>>>);

impl Tasks {
    /// Ends all of them and waits for that.
    pub(crate) fn end(&self, interrupts: &Interrupts) {
        let threads = std::mem::take(&mut *lock(&self.0));
        interrupts.interrupt();
        for thread in threads {
            let _ = thread.join();
        }
    }
}

/// Begins a call that ends with an order.
pub(crate) fn start_order(
    market: Arc<OpenFederation>,
    call: impl FnOnce(&OpenFederation) -> Outcome<Order> + Send + 'static,
) -> Outcome<*mut fulcrum_task> {
    start(market, |market| Ok(TaskOutput::Order(Box::new(call(market)?))))
}

/// Begins a call.
pub(crate) fn start(
    market: Arc<OpenFederation>,
    call: impl FnOnce(&OpenFederation) -> Outcome<TaskOutput> + Send + 'static,
) -> Outcome<*mut fulcrum_task> {
    let state = Arc::new(TaskState::default());
    let (own, shared) = (state.clone(), market.clone());
    let work = move || {
        CURRENT.set(Some(own.clone()));
        let outcome = catch_unwind(AssertUnwindSafe(|| call(&shared)))
            .unwrap_or_else(|panic| Err(fulcrum_error::panic(&*panic)));
        CURRENT.take();
        drop(shared);
        own.finish(outcome);
    };
    let blocked = SignalsBlocked::new();
    let thread = thread::Builder::new().name("fulcrum-task".to_owned()).stack_size(STACK_BYTES).spawn(work);
    drop(blocked);
    let thread = thread.map_err(|error| fulcrum_error::no_thread(&error))?;
    let mut threads = lock(&market.tasks.0);
    threads.retain(|thread| !thread.is_finished());
    threads.push(thread);
    drop(threads);
    Ok(Box::into_raw(Box::new(fulcrum_task { state, process: Process::current() })))
}

/// # Safety
/// The pointer is NULL or points to a live task for as long as the result is used.
unsafe fn borrow_task<'a>(task: *const fulcrum_task) -> Outcome<&'a TaskState> {
    // SAFETY: the caller's promise.
    let task = unsafe { borrow(task, "task")? };
    if task.process.is_current() { Ok(&task.state) } else { Err(task.process.forked_error()) }
}

/// Returns whether the call is done, so that nothing waits any more. True for NULL.
///
/// @param task  borrowed; may be NULL.
///
/// # Safety
/// `task` is NULL or was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_task_is_done(task: *const fulcrum_task) -> bool {
    // SAFETY: the caller's promise above.
    unsafe { borrow_task(task) }.map_or(true, |task| task.wait(Some(Duration::ZERO)))
}

/// Waits until the call is done, at most so long, and returns whether it is. True for NULL.
///
/// @param task        borrowed; may be NULL.
/// @param timeout_ms  in milliseconds.
///
/// # Safety
/// `task` is NULL or was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_task_wait(task: *const fulcrum_task, timeout_ms: u64) -> bool {
    // SAFETY: the caller's promise above.
    unsafe { borrow_task(task) }.map_or(true, |task| task.wait(Some(Duration::from_millis(timeout_ms))))
}

/// Returns a file descriptor that is readable once the call is done: for poll(), epoll or the main loop of a toolkit. Never read
/// it. It belongs to the task, which closes it. -1 for NULL, where no descriptor can be had, and on Windows.
///
/// @param task  borrowed; may be NULL.
///
/// # Safety
/// `task` is NULL or was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_task_fd(task: *const fulcrum_task) -> c_int {
    // SAFETY: the caller's promise above.
    unsafe { borrow_task(task) }.map_or(-1, |task| task.readiness.fd())
}

/// Asks the call to end, and returns at once. Within some 20 ms it fails with FULCRUM_INTERRUPTED; a search ends with its best
/// plan so far. An order that was under way stays in the ledger: fulcrum_federation_resume() takes it up, and
/// fulcrum_federation_cancel_start() ends it.
///
/// @param task  borrowed; may be NULL.
///
/// # Safety
/// `task` is NULL or was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_task_cancel(task: *const fulcrum_task) {
    // SAFETY: the caller's promise above.
    if let Ok(task) = unsafe { borrow_task(task) } {
        task.is_cancelled.store(true, SeqCst);
    }
}

/// Reads how far the search of a task is.
///
/// @param task          borrowed.
/// @param out_progress  the caller's, with its `size` set; filled on success, else as it was. Where no search has begun,
///                      `incumbent_micros` and `bound_micros` are -1 and `nodes` is 0.
/// @param out_error     may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call, `out_progress` for `size` bytes; no other thread uses the outputs during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_task_read_progress(
    task: *const fulcrum_task,
    out_progress: *mut fulcrum_progress,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helper rejects NULL; the rest is the caller's promise above.
        let task = unsafe { borrow_task(task)? };
        let none = fulcrum_progress {
            size: size_of::<fulcrum_progress>(),
            incumbent_micros: -1,
            bound_micros: -1,
            nodes: 0,
        };
        let progress = lock(&task.progress).unwrap_or(none);
        // SAFETY: the caller's promise above.
        unsafe { fill_struct(out_progress, progress, "out_progress") }
    };
    // SAFETY: the caller's promise above.
    unsafe { guard(out_error, call) }
}

/// Waits until the call is done, and returns its status and its error. For a task that returns nothing, such as that of
/// fulcrum_federation_refresh_start().
///
/// @param task       borrowed.
/// @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slot during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_task_result(
    task: *const fulcrum_task,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helper rejects NULL; the rest is the caller's promise above.
        let task = unsafe { borrow_task(task)? };
        task.wait(None);
        match &*lock(&task.outcome) {
            Some(Err(error)) => Err(error.clone()),
            _ => Ok(()),
        }
    };
    // SAFETY: the caller's promise above.
    unsafe { guard(out_error, call) }
}

/// Waits until the call is done, and returns its plan, once.
///
/// @param task       borrowed; of fulcrum_federation_compose_start().
/// @param out_plan   receives a plan that the caller owns and frees with fulcrum_plan_free().
/// @param out_error  may be NULL; else NULL on success, or the call's error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_task_take_plan(
    task: *const fulcrum_task,
    out_plan: *mut *mut fulcrum_plan,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (task, out_plan) = unsafe { (borrow_task(task)?, out(out_plan, "out_plan")?) };
        let plan = task.take("a plan", |answer| match answer {
            TaskOutput::Plan(plan) => Ok(plan),
            other => Err(other),
        })?;
        *out_plan = fulcrum_plan::boxed(*plan);
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_with_output(out_plan, out_error, call) }
}

/// Waits until the call is done, and returns its order, once.
///
/// @param task       borrowed; of fulcrum_federation_drive_start(), `_cancel_start` or `_operate_start`.
/// @param out_order  receives an order that the caller owns and frees with fulcrum_order_free().
/// @param out_error  may be NULL; else NULL on success, or the call's error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_task_take_order(
    task: *const fulcrum_task,
    out_order: *mut *mut fulcrum_order,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (task, out_order) = unsafe { (borrow_task(task)?, out(out_order, "out_order")?) };
        let order = task.take("an order", |answer| match answer {
            TaskOutput::Order(order) => Ok(order),
            other => Err(other),
        })?;
        *out_order = fulcrum_order::boxed(*order);
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_with_output(out_order, out_error, call) }
}

/// Waits until the call is done, and returns its orders, once.
///
/// @param task        borrowed; of fulcrum_federation_resume_start().
/// @param out_orders  receives orders that the caller owns and frees with fulcrum_orders_free().
/// @param out_error   may be NULL; else NULL on success, or the call's error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_task_take_orders(
    task: *const fulcrum_task,
    out_orders: *mut *mut fulcrum_orders,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (task, out_orders) = unsafe { (borrow_task(task)?, out(out_orders, "out_orders")?) };
        let orders = task.take("orders", |answer| match answer {
            TaskOutput::Orders(orders) => Ok(orders),
            other => Err(other),
        })?;
        *out_orders = fulcrum_orders::boxed(orders);
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_with_output(out_orders, out_error, call) }
}

/// Waits until the call is done, and returns its JSON, once.
///
/// @param task       borrowed; of fulcrum_federation_explain_start() or `_reconcile_start`.
/// @param out_text   receives a text that the caller owns and frees with fulcrum_text_free().
/// @param out_error  may be NULL; else NULL on success, or the call's error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_task_take_text(
    task: *const fulcrum_task,
    out_text: *mut *mut fulcrum_text,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (task, out_text) = unsafe { (borrow_task(task)?, out(out_text, "out_text")?) };
        let text = task.take("a text", |answer| match answer {
            TaskOutput::Text(text) => Ok(text),
            other => Err(other),
        })?;
        *out_text = fulcrum_text::boxed(text);
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_with_output(out_text, out_error, call) }
}

/// Frees a task; NULL is fine. A call that is not done is cancelled; this does not wait for it.
///
/// @param task  given up by the caller.
///
/// # Safety
/// `task` is NULL or was not freed yet, and no other call with it is under way.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_task_free(task: *mut fulcrum_task) {
    // SAFETY: the caller's promise above. In a forked process the call is the parent's, and may have a lock.
    unsafe {
        if borrow_task(task).is_ok() {
            fulcrum_task_cancel(task);
            free(task);
        }
    }
}
