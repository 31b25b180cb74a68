//! The Python module `fulcrum_market._fulcrum`: a thin skin over `fulcrum-core`. What users see is described in the stub
//! `python/fulcrum_market/_fulcrum.pyi`.
#![cfg(feature = "extension-module")]
#![deny(unsafe_code)]
#![deny(clippy::arithmetic_side_effects)]

mod access;
mod arguments;
mod arrow;
mod async_federation;
mod call_thread;
mod calls;
mod convert;
mod coroutine;
mod error;
mod events;
mod explain;
mod federation;
mod guard;
mod history;
mod host;
mod interpreter;
mod logs;
mod metrics;
mod offers;
mod owned;
mod progress;
mod reconcile;
mod runtime;
mod values;
mod workers;

use pyo3::prelude::*;

/// Names of the module; `fulcrum_market/__init__.py` exports them.
#[pymodule]
mod _fulcrum {
    #[pymodule_export]
    use super::access::Access;
    #[pymodule_export]
    use super::arrow::arrow_stream;
    #[pymodule_export]
    use super::async_federation::AsyncFederation;
    #[pymodule_export]
    use super::convert::to_json;
    #[pymodule_export]
    use super::events::Events;
    #[pymodule_export]
    use super::federation::Federation;
    #[pymodule_export]
    use super::history::verify_archive;
    #[pymodule_export]
    use super::values::{Catalogue, Order, Plan};

    use super::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        if interpreter::is_first_time(module.py())? {
            let shutdown = wrap_pyfunction!(runtime::shutdown, module)?;
            module.py().import("atexit")?.call_method1("register", (shutdown,))?;
            #[cfg(unix)]
            runtime::register_at_fork(module)?;
            logs::install();
            metrics::install();
        }
        #[cfg(debug_assertions)]
        module.setattr("_panic_after", wrap_pyfunction!(guard::planted::panic_after, module)?)?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
