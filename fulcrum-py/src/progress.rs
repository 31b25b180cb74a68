//! The progress callback of a search.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use fulcrum_core::compose::{ComposeError, Progress, Signal};
use pyo3::prelude::*;
use rust_decimal::Decimal;

use crate::{
    call_thread::{call_host, is_cancelled},
    error::raise,
    host::host_function,
    runtime::{SIGNAL_INTERVAL, attach, is_ending},
};

/// The progress callback of a search: stops it at the timeout, at Ctrl-C, when nobody waits any more, or when the host says so.
pub(crate) struct ProgressMonitor {
    end: Option<Instant>,
    progress: Option<Arc<Py<PyAny>>>,
    last_poll: Instant,
    incumbent: Option<Decimal>,
    failure: Option<PyErr>,
    /// Nobody awaits the search any more.
    pub(crate) is_left: Arc<AtomicBool>,
}

impl ProgressMonitor {
    pub(crate) fn new(timeout: Option<Duration>, progress: Option<Py<PyAny>>) -> Self {
        let now = Instant::now();
        let end = timeout.and_then(|timeout| now.checked_add(timeout));
        let progress = progress.map(Arc::new);
        Self { end, progress, last_poll: now, incumbent: None, failure: None, is_left: Arc::default() }
    }

    /// Runs a search under this monitor. An exception of the host's callback comes before an error of the search.
    pub(crate) fn run<T>(
        mut self,
        search: impl FnOnce(&mut dyn FnMut(&Progress) -> Signal) -> Result<T, ComposeError>,
    ) -> PyResult<T> {
        let outcome = search(&mut |now| self.poll(now));
        match self.failure {
            Some(failure) => Err(failure),
            None => outcome.map_err(raise),
        }
    }

    fn poll(&mut self, now: &Progress) -> Signal {
        if self.end.is_some_and(|end| Instant::now() >= end) {
            return Signal::Limit;
        }
        if is_ending() || is_cancelled() || self.is_left.load(Ordering::Relaxed) {
            return Signal::Cancel;
        }
        let Some(progress) = &self.progress else { return Signal::Continue };
        let is_news = now.incumbent != self.incumbent;
        if !is_news && self.last_poll.elapsed() < SIGNAL_INTERVAL {
            return Signal::Continue;
        }
        (self.last_poll, self.incumbent) = (Instant::now(), now.incumbent);
        let (progress, found) = (progress.clone(), (now.incumbent, now.bound, now.nodes));
        let (incumbent, bound, nodes) = found;
        let told = call_host(move |py| {
            let given = (&*progress, incumbent, bound, nodes).into_pyobject(py)?;
            Ok((host_function(py, "report_progress")?, given))
        });
        match told.and_then(|goes_on| attach(|py| goes_on.extract(py))) {
            Ok(true) => Signal::Continue,
            Ok(false) => Signal::Cancel,
            Err(failure) => {
                self.failure = Some(failure);
                Signal::Cancel
            }
        }
    }
}

/// What `progress` of a call means: nobody, the host's function, or one that moves a bar.
pub(crate) fn reporter(py: Python<'_>, progress: Option<Py<PyAny>>) -> PyResult<Option<Py<PyAny>>> {
    let Some(progress) = progress else { return Ok(None) };
    let made = py.import("fulcrum_market._progress")?.call_method1("reporter", (progress,))?;
    Ok((!made.is_none()).then(|| made.unbind()))
}
