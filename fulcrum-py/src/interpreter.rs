//! The interpreter that the library belongs to.

use pyo3::{exceptions::PyImportError, prelude::*, sync::PyOnceLock};

/// The `sys` of the first interpreter, which is kept for ever, so that no other can be taken for it.
static FIRST: PyOnceLock<Py<PyModule>> = PyOnceLock::new();

/// Whether nobody has imported the module before. Threads, classes and the end of all are the process's: a second interpreter,
/// one beside the first or one after its end, is refused before it takes anything from the first.
pub(crate) fn is_first_time(py: Python<'_>) -> PyResult<bool> {
    let sys = py.import("sys")?;
    match FIRST.get(py) {
        Some(first) if first.is(&sys) => Ok(false),
        Some(_) => Err(PyImportError::new_err(
            "fulcrum_market belongs to the interpreter of this process that has imported it first; do not import it in a subinterpreter, \
             nor after Py_Finalize",
        )),
        None => Ok(FIRST.set(py, sys.unbind()).is_ok()),
    }
}
