//! The library's counters and times, for `market.metrics()`.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use metrics::{
    Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use serde::Serialize;

use crate::owned::forks;

/// Name and labels.
type Series = (String, Vec<(String, String)>);

/// One for each generation of processes, as of [`super::logs`]: counts are of one process.
static KNOWN: [Mutex<BTreeMap<Series, Arc<Sum>>>; 8] = [const { Mutex::new(BTreeMap::new()) }; 8];

/// How often, and of times how much in all.
struct Sum {
    is_time: bool,
    count: AtomicU64,
    seconds: Mutex<f64>,
}

impl CounterFn for Sum {
    fn increment(&self, more: u64) {
        self.count.fetch_add(more, Ordering::Relaxed);
    }

    fn absolute(&self, count: u64) {
        self.count.store(count, Ordering::Relaxed);
    }
}

impl HistogramFn for Sum {
    fn record(&self, seconds: f64) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let mut sum = self.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        *sum += seconds;
    }
}

struct Keeper;

impl Recorder for Keeper {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(sum_of(key, false))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(sum_of(key, true))
    }
}

fn known() -> &'static Mutex<BTreeMap<Series, Arc<Sum>>> {
    let generation = usize::try_from(forks()).unwrap_or_default().checked_rem(KNOWN.len());
    KNOWN.get(generation.unwrap_or_default()).unwrap_or(&KNOWN[0])
}

fn sum_of(key: &Key, is_time: bool) -> Arc<Sum> {
    let labels = key.labels().map(|label| (label.key().to_owned(), label.value().to_owned()));
    let series = (key.name().to_owned(), labels.collect());
    let mut known = known().lock().unwrap_or_else(PoisonError::into_inner);
    let new = || Arc::new(Sum { is_time, count: AtomicU64::new(0), seconds: Mutex::new(0.0) });
    known.entry(series).or_insert_with(new).clone()
}

/// Counts from now on. An error says that somebody else does already.
pub(crate) fn install() {
    let _ = metrics::set_global_recorder(Keeper);
}

/// One series, as `fulcrum_market.Metric` has it.
#[derive(Serialize)]
pub(crate) struct Reading {
    name: String,
    labels: BTreeMap<String, String>,
    count: u64,
    /// Of times alone.
    seconds: Option<f64>,
}

/// All series of this process.
pub(crate) fn read() -> Vec<Reading> {
    let known = known().lock().unwrap_or_else(PoisonError::into_inner);
    let reading = |((name, labels), sum): (&Series, &Arc<Sum>)| Reading {
        name: name.clone(),
        labels: labels.iter().cloned().collect(),
        count: sum.count.load(Ordering::Relaxed),
        seconds: sum.is_time.then(|| *sum.seconds.lock().unwrap_or_else(PoisonError::into_inner)),
    };
    known.iter().map(reading).collect()
}
