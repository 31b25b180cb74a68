//! Reconciliation of the providers' services with the ledger, once and on a schedule.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fulcrum_core::{
    model::parse_yaml,
    purchase::{PurchaseError, Reconciliation, RepairPolicy},
};
use pyo3::prelude::*;

use crate::{
    arguments::Seconds,
    call_thread::call_host,
    calls::until_timeout,
    convert::{duration, optional, python, read_or_default},
    error::raise,
    host::host_function,
    owned::OpenFederation,
};

pub(crate) async fn read_repair(repair: Option<String>) -> PyResult<RepairPolicy> {
    read_or_default(repair, parse_yaml).await
}

/// When to reconcile, and what to do about findings.
pub(crate) struct Schedule {
    interval: Duration,
    repair: Option<String>,
    timeout: Option<Duration>,
}

impl Schedule {
    pub(crate) fn new(
        interval: Seconds,
        repair: Option<&Bound<'_, PyAny>>,
        timeout: Option<Seconds>,
    ) -> PyResult<Self> {
        let (interval, timeout) = (interval.duration("interval")?, duration(timeout)?);
        Ok(Self { interval, repair: optional(repair)?, timeout })
    }

    /// Reconciles until the timeout, or until the host's function fails.
    pub(crate) async fn run(self, market: OpenFederation, report: Py<PyAny>) -> PyResult<()> {
        let (policy, report) = (read_repair(self.repair).await?, Arc::new(report));
        let failure = Mutex::new(None);
        let has_failed = tokio::sync::Notify::new();
        let stop = async {
            tokio::select! {
                () = until_timeout(self.timeout) => {}
                () = has_failed.notified() => {}
            }
        };
        let tell = |outcome| {
            if let Err(failed) = told(report.clone(), outcome) {
                let before = failure.lock().unwrap_or_else(PoisonError::into_inner).replace(failed);
                drop(before);
                has_failed.notify_one();
            }
        };
        market.reconcile_every(self.interval, &policy, stop, tell).await;
        failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }
}

fn told(report: Arc<Py<PyAny>>, outcome: Result<Reconciliation, PurchaseError>) -> PyResult<()> {
    call_host(move |py| {
        let outcome = match outcome {
            Ok(outcome) => python(py, &outcome)?,
            Err(error) => raise(error).into_value(py).into_bound(py).into_any(),
        };
        Ok((host_function(py, "report_reconciliation")?, (&*report, outcome).into_pyobject(py)?))
    })
    .map(drop)
}
