//! What providers have against the ledger, now and on a schedule.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use fulcrum_core::{
    model::parse_yaml,
    purchase::{PurchaseError, Reconciliation, RepairPolicy},
};
use pyo3::{exceptions::PyValueError, prelude::*};

use crate::{
    convert::{document, duration, python},
    error::raise,
    federation::ended,
    owned::Market,
    runtime::attach,
};

pub(crate) fn read_repair(repair: Option<&Bound<'_, PyAny>>) -> PyResult<RepairPolicy> {
    repair.map_or(Ok(RepairPolicy::default()), |repair| parse_yaml(&document(repair)?).map_err(raise))
}

/// When to reconcile, and what to do about findings.
pub(crate) struct Schedule {
    interval: Duration,
    policy: RepairPolicy,
    timeout: Option<Duration>,
}

impl Schedule {
    pub(crate) fn new(
        interval: f64,
        repair: Option<&Bound<'_, PyAny>>,
        timeout: Option<f64>,
    ) -> PyResult<Self> {
        let interval = Duration::try_from_secs_f64(interval)
            .map_err(|_| PyValueError::new_err("interval: write seconds, zero or more"))?;
        Ok(Self { interval, policy: read_repair(repair)?, timeout: duration(timeout)? })
    }

    /// Until the time is over, or the host's function fails.
    pub(crate) async fn run(self, market: Market, report: Py<PyAny>) -> PyResult<()> {
        let failure = Mutex::new(None);
        let has_failed = tokio::sync::Notify::new();
        let stop = async {
            tokio::select! {
                () = ended(self.timeout) => {}
                () = has_failed.notified() => {}
            }
        };
        let tell = |outcome| {
            if let Err(failed) = tell(&report, outcome) {
                *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failed);
                has_failed.notify_one();
            }
        };
        market.reconcile_every(self.interval, &self.policy, stop, tell).await;
        failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }
}

fn tell(report: &Py<PyAny>, outcome: Result<Reconciliation, PurchaseError>) -> PyResult<()> {
    attach(|py| {
        let told = match outcome {
            Ok(outcome) => python(py, &outcome)?,
            Err(error) => raise(error).into_value(py).into_bound(py).into_any(),
        };
        report.call1(py, (told,)).map(drop)
    })
}
