//! What the library counts, in the text format of Prometheus. Kept as counters and buckets, whose number does not grow with what is
//! counted: a host may read them often, or never.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    ptr::null_mut,
    sync::{
        Arc, Mutex, MutexGuard, Once, PoisonError,
        atomic::{AtomicPtr, Ordering::SeqCst},
    },
};

use fulcrum_core::telemetry;
use metrics::{
    Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};

use crate::{
    error::{fulcrum_error, fulcrum_status},
    guard::{guard_with_output, out},
    text::fulcrum_text,
};

/// Upper limits of the buckets of a time, in seconds: from a write to a purchase that waits for capacity.
const BUCKET_SECONDS: [f64; 14] =
    [0.001, 0.005, 0.02, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0];

/// One series: a counter, or a histogram.
#[derive(Debug, Default)]
struct Series {
    count: u64,
    /// Of a histogram: in each bucket, and all together.
    buckets: [u64; BUCKET_SECONDS.len()],
    sum: f64,
}

#[derive(Debug, Default)]
struct Family {
    help: String,
    is_histogram: bool,
    /// By their labels as they are written.
    series: BTreeMap<String, Arc<Shared>>,
}

#[derive(Debug, Default)]
struct Shared(Mutex<Series>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Series> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CounterFn for Shared {
    fn increment(&self, by: u64) {
        let mut series = self.lock();
        series.count = series.count.saturating_add(by);
    }

    fn absolute(&self, count: u64) {
        let mut series = self.lock();
        series.count = series.count.max(count);
    }
}

impl HistogramFn for Shared {
    fn record(&self, value: f64) {
        let mut series = self.lock();
        series.count = series.count.saturating_add(1);
        series.sum += value;
        for (limit, bucket) in BUCKET_SECONDS.into_iter().zip(&mut series.buckets) {
            *bucket = bucket.saturating_add(u64::from(value <= limit));
        }
    }
}

type Families = Mutex<BTreeMap<String, Family>>;

/// Those of this process; NULL before the first. Another thread may have had the lock when the process forked, so that a child
/// begins anew, with numbers of its own.
static FAMILIES: AtomicPtr<Families> = AtomicPtr::new(null_mut());

/// For the handler of forks: allocates nothing and takes no lock.
#[cfg(unix)]
pub(crate) fn forget_in_child() {
    FAMILIES.store(null_mut(), SeqCst);
}

fn families() -> MutexGuard<'static, BTreeMap<String, Family>> {
    let mut now = FAMILIES.load(SeqCst);
    if now.is_null() {
        let new = Box::into_raw(Box::<Families>::default());
        now = match FAMILIES.compare_exchange(null_mut(), new, SeqCst, SeqCst) {
            Ok(_) => new,
            Err(other) => {
                // SAFETY: made above, and given to nobody.
                drop(unsafe { Box::from_raw(new) });
                other
            }
        };
    }
    // SAFETY: it is never freed.
    let families: &'static Families = unsafe { &*now };
    families.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Labels as Prometheus reads them; empty without any.
fn labels(key: &Key) -> String {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let labels: Vec<String> =
        key.labels().map(|label| format!("{}=\"{}\"", label.key(), escaped(label.value()))).collect();
    labels.join(",")
}

#[derive(Debug)]
struct HostRecorder;

impl HostRecorder {
    fn series(key: &Key, is_histogram: bool) -> Arc<Shared> {
        let mut families = families();
        let family = families.entry(key.name().to_owned()).or_default();
        family.is_histogram = is_histogram;
        family.series.entry(labels(key)).or_default().clone()
    }

    fn describe(key: &KeyName, help: &SharedString, is_histogram: bool) {
        let mut families = families();
        let family = families.entry(key.as_str().to_owned()).or_default();
        (family.help, family.is_histogram) = (help.to_string(), is_histogram);
    }
}

impl Recorder for HostRecorder {
    fn describe_counter(&self, key: KeyName, _: Option<Unit>, help: SharedString) {
        Self::describe(&key, &help, false);
    }

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, key: KeyName, _: Option<Unit>, help: SharedString) {
        Self::describe(&key, &help, true);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Self::series(key, false))
    }

    /// The library has none.
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Self::series(key, true))
    }
}

/// Counts from now on; only the first call does something.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Another one may be there where the library is linked to a program in Rust: that one counts.
        let _ = metrics::set_global_recorder(HostRecorder);
    });
}

fn render() -> String {
    telemetry::describe();
    let mut text = String::new();
    for (name, family) in &*families() {
        let kind = if family.is_histogram { "histogram" } else { "counter" };
        let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {kind}", family.help);
        for (labels, series) in &family.series {
            let series = series.lock();
            let in_braces = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
            if !family.is_histogram {
                let _ = writeln!(text, "{name}{in_braces} {}", series.count);
                continue;
            }
            let comma = if labels.is_empty() { "" } else { "," };
            for (limit, bucket) in BUCKET_SECONDS.into_iter().zip(series.buckets) {
                let _ = writeln!(text, "{name}_bucket{{{labels}{comma}le=\"{limit}\"}} {bucket}");
            }
            let (count, sum) = (series.count, series.sum);
            let _ = writeln!(text, "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}");
            let _ = writeln!(text, "{name}_sum{in_braces} {sum}\n{name}_count{in_braces} {count}");
        }
    }
    text
}

/// Returns what this process has counted since its first federation was opened, in the text format of Prometheus: orders by
/// state, failed attempts, findings, and the time of orders, steps, calls to providers and writes. docs/orders.md lists
/// them. Nothing in it names an order, a service or a customer. A forked process begins anew.
///
/// @param out_text   receives a text that the caller owns and frees with fulcrum_text_free().
/// @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
///
/// # Safety
/// Pointers are valid for the call; no other thread uses the output slots during it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fulcrum_metrics_text(
    out_text: *mut *mut fulcrum_text,
    out_error: *mut *mut fulcrum_error,
) -> fulcrum_status {
    let call = || {
        // SAFETY: the helper rejects NULL; the rest is the caller's promise above.
        let out_text = unsafe { out(out_text, "out_text")? };
        install();
        *out_text = fulcrum_text::boxed(render());
        Ok(())
    };
    // SAFETY: the caller's promise above.
    unsafe { guard_with_output(out_text, out_error, call) }
}
