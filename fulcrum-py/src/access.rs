//! What opens a bought service, as a Python object that shows no secret by itself.

use fulcrum_core::provider;
use fulcrum_py_macros::{documented, guarded};
use pyo3::{exceptions::PyKeyError, prelude::*};
use secrecy::ExposeSecret;

/// Names and secrets; `reveal` alone gives a secret away.
#[documented]
#[pyclass(frozen, module = "fulcrum_market")]
pub(crate) struct Access(pub(crate) provider::Access);

#[guarded]
impl Access {
    #[getter]
    fn names(&self) -> Vec<String> {
        self.0.names().map(str::to_owned).collect()
    }

    fn reveal(&self, name: &str) -> PyResult<String> {
        let value = self.0.get(name).ok_or_else(|| PyKeyError::new_err(name.to_owned()))?;
        Ok(value.expose_secret().to_owned())
    }

    fn __len__(&self) -> usize {
        self.0.names().count()
    }

    fn __contains__(&self, name: &str) -> bool {
        self.0.get(name).is_some()
    }

    fn __repr__(&self) -> String {
        format!("<fulcrum_market.Access to {}>", self.0.names().collect::<Vec<_>>().join(", "))
    }
}
