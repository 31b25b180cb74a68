//! The events of one order, as they happen.

use std::{
    collections::VecDeque,
    ffi::{CString, c_char, c_int},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use fulcrum_core::{
    federation::Federation,
    model::{Order, OrderEvent, OrderEventKind, OrderId},
    purchase::TimelineEntry,
};
use futures::StreamExt;
use tokio::{sync::Notify, task::AbortHandle};

use crate::{
    error::{FULCRUM_FEDERATION_ENDED, fulcrum_error, fulcrum_status},
    federation::{borrow_federation, fulcrum_federation},
    guard::{Outcome, borrow, fill_struct, free, guard, guard_on_call_thread, guard_with_output, out, utf8},
    interrupt::{Interrupts, POLL_INTERVAL},
    operate::order_id,
    process::Process,
    readiness::Readiness,
    text::{c_text, fulcrum_text},
};

/// Events that wait to be read; then the ledger is not asked for more.
const MAX_WAITING: usize = 256;

/// The events of one order, those of the past first, then as they happen. Opaque; freed by fulcrum_events_free(); for one thread
/// at a time.
#[derive(Debug)]
pub struct fulcrum_events {
    feed: Arc<Feed>,
    interrupts: Arc<Interrupts>,
    process: Process,
    pump: AbortHandle,
    /// What fulcrum_events_next() has lent.
    read: Option<Event>,
}

/// Between the task that reads the ledger and the host's thread.
#[derive(Debug, Default)]
struct Feed {
    queue: Mutex<Queue>,
    arrived: Condvar,
    has_room: Notify,
    readiness: Readiness,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Outcome<Event>>,
    has_ended: bool,
}

#[derive(Debug)]
struct Event {
    sequence: u64,
    at: CString,
    kind: CString,
    subject: CString,
    text: CString,
    json: CString,
}

impl Event {
    fn new(order: &Order, event: &OrderEvent) -> Self {
        let entry = TimelineEntry::new(order, event);
        let json = serde_json::to_value(event).unwrap_or_default();
        let kind = json["kind"]["event"].as_str().unwrap_or("unknown").to_owned();
        Self {
            sequence: event.sequence,
            at: c_text(&event.at.to_string()),
            kind: c_text(&kind),
            subject: c_text(&entry.subject),
            text: c_text(&entry.text),
            json: c_text(&json.to_string()),
        }
    }
}

impl Feed {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn push(&self, event: Outcome<Event>) {
        loop {
            let has_room = self.has_room.notified();
            if self.lock().waiting.len() < MAX_WAITING {
                break;
            }
            has_room.await;
        }
        self.lock().waiting.push_back(event);
        self.announce();
    }

    fn end(&self, last: Option<fulcrum_error>) {
        let mut queue = self.lock();
        if !queue.has_ended {
            queue.has_ended = true;
            queue.waiting.extend(last.map(Err));
            drop(queue);
            self.announce();
        }
    }

    fn announce(&self) {
        self.readiness.set(true);
        self.arrived.notify_all();
    }

    /// The next event; none if none comes in time, or none comes any more.
    fn next(&self, timeout: Duration, interrupts: &Interrupts) -> Outcome<Option<Event>> {
        let (begin, end) = (interrupts.count(), Instant::now().checked_add(timeout));
        let mut queue = self.lock();
        loop {
            if let Some(event) = queue.waiting.pop_front() {
                self.has_room.notify_one();
                // At its end it stays ready: the host learns of the end.
                if queue.waiting.is_empty() && !queue.has_ended {
                    self.readiness.set(false);
                }
                return event.map(Some);
            }
            let left = end.map_or(POLL_INTERVAL, |end| end.saturating_duration_since(Instant::now()));
            if queue.has_ended || left.is_zero() {
                return Ok(None);
            }
            if interrupts.is_newer_than(begin) {
                return Err(fulcrum_error::interrupted());
            }
            let waited = self.arrived.wait_timeout(queue, left.min(POLL_INTERVAL));
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Tells the host if the task is dropped with the federation.
struct Ended(Arc<Feed>);

impl Drop for Ended {
    fn drop(&mut self) {
        let message = "the federation ended; open one, and follow the order again";
        self.0.end(Some(fulcrum_error::new(FULCRUM_FEDERATION_ENDED, message)));
    }
}

/// Reads the events of an order until it is final.
async fn pump(market: Arc<Federation>, mut order: Order, feed: Arc<Feed>) {
    let ended = Ended(feed);
    let mut events = market.follow(&order.id);
    while let Some(event) = events.next().await {
        if let Ok(event) = &event
            && matches!(*event.kind, OrderEventKind::FailedOver { .. })
            && let Ok(Some(now)) = market.ledger().load(&order.id).await
        {
            // It has other steps.
            order = now;
        }
        let event = event.map(|event| Event::new(&order, &event)).map_err(Into::into);
        ended.0.push(event).await;
    }
    ended.0.end(None);
}

/// An event of an order. Set `size` to sizeof(fulcrum_event) before it is read. Text belongs to the events and lives until the
/// next one is read. Later versions append members and know the older sizes.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct fulcrum_event {
    /// sizeof(fulcrum_event) as the caller knows it.
    pub size: usize,
    /// Rises within a ledger; 0 if there is no event.
    pub sequence: u64,
    /// When, such as "2026-11-25T10:00:00Z"; borrowed from the events; NULL if there is no event.
    pub at: *const c_char,
    /// What, such as "order", "step", "attempt" or "failed_over"; borrowed from the events; NULL if there is no event.
    pub kind: *const c_char,
    /// What it is about, for people: "order", or "step 0 at hetzner"; borrowed from the events; NULL if there is no event.
    pub subject: *const c_char,
    /// What happened, for people, in one line; borrowed from the events; NULL if there is no event.
    pub text: *const c_char,
    /// All of it as a JSON object; borrowed from the events; NULL if there is no event.
    pub json: *const c_char,
    /// Whether the order is final and each of its events was read: no other comes.
    pub has_ended: bool,
}

impl fulcrum_event {
    fn new(event: Option<&Event>, has_ended: bool) -> Self {
        let text = |of: fn(&Event) -> &CString| event.map_or(std::ptr::null(), |event| of(event).as_ptr());
        Self {
            size: size_of::<Self>(),
            sequence: event.map_or(0, |event| event.sequence),
            at: text(|event| &event.at),
            kind: text(|event| &event.kind),
            subject: text(|event| &event.subject),
            text: text(|event| &event.text),
            json: text(|event| &event.json),
            has_ended,
        }
    }
}

/// Follows an order: its events of the past, and then those that happen, until it is final. Fails with
/// FULCRUM_LEDGER_NO_SUCH_ORDER if the ledger has no such order.
///
/// @param federation     borrowed; if it is freed, the events end with FULCRUM_FEDERATION_ENDED.
/// @param id, id_length  borrowed; the order's id, see fulcrum_order_id().
/// @param out_events     receives events that the caller owns and frees with fulcrum_events_free().
/// @param out_error      may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_federation_follow(
    federation: *const fulcrum_federation,
    id: *const c_char,
    id_length: usize,
    out_events: *mut *mut fulcrum_events,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (federation, id, out_events) = unsafe {
            (borrow_federation(federation)?, utf8(id, id_length, "id")?, out(out_events, "out_events")?)
        };
        let id: OrderId = order_id(id)?;
        let order = federation.load(&id)?;
        let feed = Arc::<Feed>::default();
        let task = federation.runtime.spawn(pump(federation.inner.clone(), order, feed.clone()));
        *out_events = Box::into_raw(Box::new(fulcrum_events {
            feed,
            interrupts: federation.interrupts.clone(),
            process: Process::current(),
            pump: task.abort_handle(),
            read: None,
        }));
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_on_call_thread(out_events, out_error, call) }
}

impl fulcrum_events {
    fn next(&self, timeout_ms: u64) -> Outcome<Option<Event>> {
        if !self.process.is_current() {
            return Err(self.process.forked_error());
        }
        self.feed.next(Duration::from_millis(timeout_ms), &self.interrupts)
    }

    fn has_ended(&self) -> bool {
        let queue = self.feed.lock();
        queue.has_ended && queue.waiting.is_empty()
    }
}

/// # Safety
/// The pointer is NULL, or points to live events that nobody else uses.
unsafe fn borrow_events<'a>(events: *mut fulcrum_events) -> Outcome<&'a mut fulcrum_events> {
    // SAFETY: the caller's promise.
    unsafe { events.as_mut() }.ok_or_else(|| fulcrum_error::argument("events is NULL"))
}

/// Waits for the next event and reads it. Where none comes in time, or none comes any more, the call succeeds and `text` is NULL.
///
/// @param events      borrowed; owns the text of the event, until the next call.
/// @param timeout_ms  how long to wait, in milliseconds; 0 not at all.
/// @param out_event   the caller's, with its `size` set; filled on success, else as it was.
/// @param out_error   may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call, `out_event` for `size` bytes; no other thread uses the events or the outputs during it; the
/// text is used no longer than until the next call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_events_next(
    events: *mut fulcrum_events,
    timeout_ms: u64,
    out_event: *mut fulcrum_event,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helper rejects NULL; the rest is the caller's promise above.
        let events = unsafe { borrow_events(events)? };
        // A structure of another size must not cost an event.
        // SAFETY: the caller's promise above.
        unsafe { fill_struct(out_event, fulcrum_event::new(None, false), "out_event")? };
        events.read = events.next(timeout_ms)?;
        let has_ended = events.read.is_none() && events.has_ended();
        // SAFETY: the caller's promise above.
        unsafe { fill_struct(out_event, fulcrum_event::new(events.read.as_ref(), has_ended), "out_event") }
    };
    // SAFETY: the caller's promise above.
    unsafe { guard(out_error, call) }
}

/// Waits for the next event and returns it as a JSON object. Where none comes in time, or none comes any more, the call succeeds
/// and the text is NULL: fulcrum_events_has_ended() tells which.
///
/// @param events      borrowed.
/// @param timeout_ms  how long to wait, in milliseconds; 0 not at all.
/// @param out_json    receives NULL, or a text that the caller owns and frees with fulcrum_text_free().
/// @param out_error   may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the events or the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_events_next_json(
    events: *mut fulcrum_events,
    timeout_ms: u64,
    out_json: *mut *mut fulcrum_text,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helpers reject NULL; the rest is the caller's promise above.
        let (events, out_json) = unsafe { (borrow_events(events)?, out(out_json, "out_json")?) };
        if let Some(event) = events.next(timeout_ms)? {
            *out_json = fulcrum_text::from_c(event.json);
        }
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_with_output(out_json, out_error, call) }
}

/// Returns whether the order is final and each of its events was read: no other comes. False for NULL.
///
/// @param events  borrowed; may be NULL.
///
/// # Safety
/// `events` is NULL or was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_events_has_ended(events: *const fulcrum_events) -> bool {
    // SAFETY: the caller's promise above.
    unsafe { borrow(events, "events") }.is_ok_and(|events| events.process.is_current() && events.has_ended())
}

/// Returns a file descriptor that is readable while an event waits, and from the end on: for poll(), epoll or the main loop of
/// a toolkit. Read the events then with the timeout 0; never read the descriptor. It belongs to the events, which close it. -1
/// for NULL, where no descriptor can be had, and on Windows.
///
/// @param events  borrowed; may be NULL.
///
/// # Safety
/// `events` is NULL or was not freed yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_events_fd(events: *const fulcrum_events) -> c_int {
    // SAFETY: the caller's promise above.
    let events = unsafe { borrow(events, "events") };
    events.map_or(-1, |events| if events.process.is_current() { events.feed.readiness.fd() } else { -1 })
}

/// Frees events, and with them the text that was read from them; NULL is fine. Never waits.
///
/// @param events  given up by the caller.
///
/// # Safety
/// `events` is NULL or was not freed yet, and no other call with it is under way.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_events_free(events: *mut fulcrum_events) {
    // SAFETY: the caller's promise above. In a forked process the task is the parent's, and may have a lock.
    unsafe {
        if events.as_ref().is_some_and(|events| events.process.is_current()) {
            (*events).pump.abort();
            free(events);
        }
    }
}
