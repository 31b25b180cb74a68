//! The library's events for Python's `logging`: logger `fulcrum_market`, levels as they are, secrets as redacted as they come.
//!
//! An event may come on any thread and under any lock, so it is only written down. Handlers are functions of the host's: they
//! run on the thread that waits for a call, at its end at the latest, or on one of Python's own.

use std::{
    cell::Cell,
    fmt::{Debug, Write},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI32, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use pyo3::{prelude::*, sync::PyOnceLock, types::PyDict};
use tokio::runtime::Handle;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::Interest,
};
use tracing_subscriber::{
    Layer, Registry,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

use crate::{
    call_thread::{call_host, has_waiting_caller},
    host::{host_function, is_daemon},
    owned::forks,
};

/// Events that wait for a handler at most; further ones are counted.
const MAX_WAITING: usize = 10_000;
/// Above all levels.
const NO_LEVEL: i32 = i32::MAX;

/// The least level that the logger takes, as it was last seen.
static LEVEL: AtomicI32 = AtomicI32::new(NO_LEVEL);
static IS_SCHEDULED: AtomicBool = AtomicBool::new(false);
/// One for each generation of processes: a thread of the parent's may hold the lock that a forked child inherits.
static WAITING: [Mutex<Waiting>; 8] = [const { Mutex::new(Waiting { events: Vec::new(), lost: 0 }) }; 8];

thread_local! {
    static IS_FLUSHING: Cell<bool> = const { Cell::new(false) };
}

struct Waiting {
    events: Vec<Written>,
    lost: usize,
}

/// An event that nobody has seen yet.
struct Written {
    level: i32,
    message: String,
    /// Seconds since 1970.
    at: f64,
    fields: Fields,
}

/// Names with values, in the order in which they came.
#[derive(Default)]
struct Fields {
    message: String,
    values: Vec<(&'static str, String)>,
}

impl Fields {
    fn set(&mut self, name: &'static str, value: String) {
        match self.values.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.values.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            name => self.set(name, value.to_owned()),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        match field.name() {
            "message" => self.message = text,
            name => self.set(name, text),
        }
    }
}

/// Hands the library's events over, for as long as the process lives. An error says that somebody else does already.
pub(crate) fn install() {
    let _ = tracing::subscriber::set_global_default(Registry::default().with(Bridge));
}

/// Looks how much the logger takes. It holds the interpreter.
pub(crate) fn look(py: Python<'_>) {
    static LOGGER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let logger = LOGGER.get_or_try_init(py, || {
        let logger = py.import("logging")?.call_method1("getLogger", ("fulcrum_market",))?;
        PyResult::Ok(logger.unbind())
    });
    // Without a handler Python would write warnings to `stderr`, which is the host's.
    let level = logger.and_then(|logger| match logger.call_method0(py, "hasHandlers")?.extract(py)? {
        true => logger.call_method0(py, "getEffectiveLevel")?.extract(py),
        false => Ok(NO_LEVEL),
    });
    LEVEL.store(level.unwrap_or(NO_LEVEL), Ordering::Relaxed);
}

/// Gives the logger what waits, on this thread. What a handler raises is its own affair, as with each logger.
pub(crate) fn flush(py: Python<'_>) {
    // A handler may call the library, and on a thread that Python does not wait for it must not run above this code.
    if IS_FLUSHING.get() || is_daemon(py) {
        return;
    }
    let (events, lost) = take();
    if events.is_empty() && lost == 0 {
        return;
    }
    IS_FLUSHING.set(true);
    let wrote = arguments(py, events, lost).and_then(|(function, given)| function.call1(given));
    IS_FLUSHING.set(false);
    drop(wrote);
}

/// The same on a thread that Python may end when it likes.
fn flush_aside() {
    IS_SCHEDULED.store(false, Ordering::Relaxed);
    let (events, lost) = take();
    if !events.is_empty() || lost > 0 {
        drop(call_host(move |py| arguments(py, events, lost)));
    }
}

fn arguments<'py>(
    py: Python<'py>,
    events: Vec<Written>,
    lost: usize,
) -> PyResult<(Bound<'py, PyAny>, Bound<'py, pyo3::types::PyTuple>)> {
    let mut list = Vec::with_capacity(events.len());
    for event in events {
        let fields = PyDict::new(py);
        for (name, value) in event.fields.values {
            fields.set_item(name, value)?;
        }
        list.push((event.level, event.message, event.at, fields));
    }
    Ok((host_function(py, "write_logs")?, (list, lost).into_pyobject(py)?))
}

fn waiting() -> &'static Mutex<Waiting> {
    let generation = usize::try_from(forks()).unwrap_or_default().checked_rem(WAITING.len());
    WAITING.get(generation.unwrap_or_default()).unwrap_or(&WAITING[0])
}

fn take() -> (Vec<Written>, usize) {
    let mut waiting = waiting().lock().unwrap_or_else(PoisonError::into_inner);
    (std::mem::take(&mut waiting.events), std::mem::take(&mut waiting.lost))
}

fn number(level: Level) -> i32 {
    match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        Level::DEBUG => 10,
        Level::TRACE => 5,
    }
}

struct Bridge;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Bridge {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // What other libraries tell may hold what must not be told.
        if metadata.target().starts_with("fulcrum_core") { Interest::sometimes() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target().starts_with("fulcrum_core")
            && (metadata.is_span() || number(*metadata.level()) >= LEVEL.load(Ordering::Relaxed))
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(around) = span.extensions().get::<Fields>() {
                around.values.iter().for_each(|(name, value)| fields.set(name, value.clone()));
            }
        }
        event.record(&mut fields);
        let mut message = std::mem::take(&mut fields.message);
        for (name, value) in &fields.values {
            let _ = write!(message, " {name}={value}");
        }
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let mut waiting = waiting().lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.events.len() >= MAX_WAITING {
            waiting.lost = waiting.lost.saturating_add(1);
            return;
        }
        waiting.events.push(Written { level: number(*event.metadata().level()), message, at, fields });
        drop(waiting);
        // Whoever awaits a call has no thread that waits for it.
        if !has_waiting_caller()
            && let Ok(handle) = Handle::try_current()
            && !IS_SCHEDULED.swap(true, Ordering::Relaxed)
        {
            drop(handle.spawn_blocking(flush_aside));
        }
    }
}
