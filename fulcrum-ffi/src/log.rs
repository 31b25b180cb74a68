//! What the library tells while it works, for the host's log. There is one callback for the process, as there is one library.

use std::{
    cell::Cell,
    ffi::{c_char, c_void},
    fmt::{self, Write as _},
    ptr::null_mut,
    sync::{
        OnceLock,
        atomic::{AtomicPtr, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer, Registry,
    filter::Targets,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
    reload,
};

use crate::{
    error::{fulcrum_error, fulcrum_status},
    guard::guard,
    process::Process,
    text::c_text,
};

/// How much an entry of the log matters.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum fulcrum_log_level {
    /// Something is lost.
    Error = 1,
    /// A call failed, or something was found that should not be.
    Warn = 2,
    /// What happens to orders.
    Info = 3,
    /// Calls to providers, and what is tried again.
    Debug = 4,
}

/// Takes one entry of the log. `target` is the part of the library, such as "fulcrum_core::purchase::drive"; `text` is one line
/// for people: what happened, its fields, and what it belongs to in brackets. Both end with NUL and are borrowed for the call.
/// No entry has a secret, or a body of a request or a response.
pub type fulcrum_log_callback = Option<
    unsafe extern "C" fn(
        userdata: *mut c_void,
        level: fulcrum_log_level,
        target: *const c_char,
        text: *const c_char,
    ),
>;

type Callback = unsafe extern "C" fn(*mut c_void, fulcrum_log_level, *const c_char, *const c_char);

/// The host's callback. It is never freed: a thread may look at it while it is replaced. So each one is kept, once.
struct Sink {
    callback: Callback,
    userdata: *mut c_void,
    /// That was made before it.
    before: *mut Sink,
    /// Threads that are in the callback, or look at it.
    users: AtomicUsize,
    process: Process,
}

static SINK: AtomicPtr<Sink> = AtomicPtr::new(null_mut());
/// The newest of all that were ever set.
static ALL: AtomicPtr<Sink> = AtomicPtr::new(null_mut());

impl Sink {
    /// The one of this callback.
    fn of(callback: Callback, userdata: *mut c_void) -> *mut Self {
        let process = Process::current();
        let mut at = ALL.load(SeqCst);
        // SAFETY: NULL, or one that is never freed and whose other members never change.
        while let Some(sink) = unsafe { at.as_ref() } {
            let is_same = std::ptr::fn_addr_eq(sink.callback, callback) && sink.userdata == userdata;
            if is_same && sink.process == process {
                return at;
            }
            at = sink.before;
        }
        let before = ALL.load(SeqCst);
        let new =
            Box::into_raw(Box::new(Self { callback, userdata, before, users: AtomicUsize::new(0), process }));
        while let Err(now) = ALL.compare_exchange(
            // SAFETY: made above, and given to nobody yet.
            unsafe { (*new).before },
            new,
            SeqCst,
            SeqCst,
        ) {
            // SAFETY: as above.
            unsafe { (*new).before = now };
        }
        new
    }
}

thread_local! {
    /// Whether this thread is in the callback.
    static IS_LOGGING: Cell<bool> = const { Cell::new(false) };
}

/// Uses the callback, if there is one. No lock is held: the process may fork meanwhile, and the callback may replace itself.
fn with_sink(call: impl Fn(&Sink)) {
    loop {
        let now = SINK.load(SeqCst);
        // SAFETY: NULL, or a callback that is never freed.
        let Some(sink) = (unsafe { now.as_ref() }) else { return };
        sink.users.fetch_add(1, SeqCst);
        // Who replaces it sees either this user, or is seen here.
        let is_current = SINK.load(SeqCst) == now;
        if is_current {
            IS_LOGGING.set(true);
            call(sink);
            IS_LOGGING.set(false);
        }
        sink.users.fetch_sub(1, SeqCst);
        if is_current {
            return;
        }
    }
}

/// Fields of an event or a span as `name=value`, the message in front.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    others: String,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.others, " {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

#[derive(Debug)]
struct HostLayer;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for HostLayer {
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
        // What the callback itself has the library do is not told: it would never end.
        if IS_LOGGING.get() {
            return;
        }
        with_sink(|sink| {
            let mut fields = Fields::default();
            event.record(&mut fields);
            let mut text = fields.message + &fields.others;
            for span in context.event_scope(event).into_iter().flatten() {
                let extensions = span.extensions();
                let others = extensions.get::<Fields>().map_or("", |fields| &fields.others);
                let _ = write!(text, " [{}{others}]", span.name());
            }
            let text = c_text(&text.replace(['\n', '\r'], " "));
            let target = c_text(event.metadata().target());
            // SAFETY: the host's callback with the host's userdata; both texts live for the call.
            unsafe {
                (sink.callback)(
                    sink.userdata,
                    level(*event.metadata().level()),
                    target.as_ptr(),
                    text.as_ptr(),
                );
            }
        });
    }
}

fn level(level: Level) -> fulcrum_log_level {
    match level {
        Level::ERROR => fulcrum_log_level::Error,
        Level::WARN => fulcrum_log_level::Warn,
        Level::INFO => fulcrum_log_level::Info,
        _ => fulcrum_log_level::Debug,
    }
}

/// What this library tells, and nothing of those that it is made of.
fn targets(max: LevelFilter) -> Targets {
    Targets::new().with_target("fulcrum", max)
}

type Filter = reload::Handle<Targets, Registry>;

/// Installed once for the process, which has this copy of `tracing` to itself.
fn filter() -> Result<&'static Filter, fulcrum_error> {
    static FILTER: OnceLock<Option<Filter>> = OnceLock::new();
    let filter = FILTER.get_or_init(|| {
        let (layer, handle) = reload::Layer::new(targets(LevelFilter::OFF));
        let subscriber = Registry::default().with(layer).with(HostLayer);
        tracing::subscriber::set_global_default(subscriber).is_ok().then_some(handle)
    });
    let taken =
        || fulcrum_error::argument("this program has installed a subscriber of `tracing` already; use that");
    filter.as_ref().ok_or_else(taken)
}

/// Sets the callback that gets the log of the library, for the whole process; NULL ends it. Before, and by default, nothing is
/// told and nothing is formatted.
///
/// The callback is called on whatever thread has something to tell, those of the library too, on several at once, and with the
/// signals of the library's threads blocked. It should be short: the work waits for it. It may call the library; what that tells
/// on the same thread is left out. It must not unwind. When this call returns, the callback before is not running any more, and
/// its userdata may be freed; but not if this call is made in the callback. Hold no lock here that the callback takes.
///
/// @param callback   called for each entry; NULL for none.
/// @param userdata   lent to the callback until another one is set; may be NULL.
/// @param max_level  the least important level that is wanted, a fulcrum_log_level.
/// @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Any thread may use `userdata` until the callback is replaced; `out_error` is valid for the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_set_log_callback(
    callback: fulcrum_log_callback,
    userdata: *mut c_void,
    max_level: i32,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        let max = match (callback, max_level) {
            (None, _) => LevelFilter::OFF,
            (Some(_), 1) => LevelFilter::ERROR,
            (Some(_), 2) => LevelFilter::WARN,
            (Some(_), 3) => LevelFilter::INFO,
            (Some(_), 4) => LevelFilter::DEBUG,
            (Some(_), other) => {
                let message = format!("max_level is {other}; write FULCRUM_LOG_LEVEL_INFO, or another level");
                return Err(fulcrum_error::argument(&message));
            }
        };
        let filter = filter()?;
        let sink = callback.map_or(null_mut(), |callback| Sink::of(callback, userdata));
        let before = SINK.swap(sink, SeqCst);
        // Fails only if the subscriber is gone, which is the process's.
        let _ = filter.reload(targets(max));
        // SAFETY: NULL, or a callback that is never freed.
        if let Some(before) = unsafe { before.as_ref() } {
            // In a forked process the other threads are the parent's.
            let is_replaced = !std::ptr::eq(before, sink);
            while is_replaced
                && before.users.load(SeqCst) > 0
                && before.process.is_current()
                && !IS_LOGGING.get()
            {
                thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard(out_error, call) }
}
