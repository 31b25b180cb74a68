//! Who asks: made of secrets that are read again once an API refuses them, as they may have been rotated.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use ::http::header::HeaderMap;
use secrecy::SecretString;

use super::{HttpConfigError, RawRequest, Redactor, Secret, Signer, credential::is_same};
use crate::provider::BoxError;

/// What proves who asks, of the secrets as they were when it was made.
pub(super) struct Proof {
    values: Vec<SecretString>,
    made: Made,
}

/// In which form.
pub(super) enum Made {
    Headers(HeaderMap),
    Signer(Box<dyn Signer>),
}

impl Proof {
    /// Puts it on a request that is otherwise complete.
    pub(super) fn put_on(&self, request: &mut RawRequest) -> Result<(), BoxError> {
        match &self.made {
            Made::Headers(headers) => {
                for (name, value) in headers {
                    request.headers.insert(name, value.clone());
                }
                Ok(())
            }
            Made::Signer(signer) => signer.sign(request),
        }
    }
}

/// Makes a proof of secrets, and tells the redactor what it must not show.
type Make = Box<dyn Fn(&[SecretString], &Redactor) -> Result<Made, HttpConfigError> + Send + Sync>;

/// Who asks. Shared by all clients of one login.
pub(super) struct Identity {
    secrets: Vec<Secret>,
    make: Make,
    redactor: Redactor,
    present: RwLock<Arc<Proof>>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("secrets", &self.secrets).finish_non_exhaustive()
    }
}

impl Identity {
    pub(super) fn new(
        secrets: Vec<Secret>,
        redactor: Redactor,
        make: impl Fn(&[SecretString], &Redactor) -> Result<Made, HttpConfigError> + Send + Sync + 'static,
    ) -> Result<Self, HttpConfigError> {
        let make: Make = Box::new(make);
        let values = secrets.iter().map(|secret| secret.value().clone()).collect();
        let present = RwLock::new(Arc::new(proof(&make, &redactor, values)?));
        Ok(Self { secrets, make, redactor, present })
    }

    pub(super) fn present(&self) -> Arc<Proof> {
        self.present.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Another proof than one that was refused: what another request has found since, or of the secrets as they are now. None if
    /// they are the same, or cannot be read.
    pub(super) fn other_than(&self, refused: &Arc<Proof>) -> Option<Arc<Proof>> {
        let mut present = self.present.write().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&present, refused) {
            return Some(present.clone());
        }
        let values = self.secrets.iter().map(Secret::now).collect::<Option<Vec<_>>>()?;
        if values.iter().zip(&present.values).all(|(now, then)| is_same(now, then)) {
            return None;
        }
        *present = Arc::new(proof(&self.make, &self.redactor, values).ok()?);
        Some(present.clone())
    }
}

fn proof(make: &Make, redactor: &Redactor, values: Vec<SecretString>) -> Result<Proof, HttpConfigError> {
    values.iter().for_each(|value| redactor.add_own(value.clone()));
    let made = make(&values, redactor)?;
    Ok(Proof { values, made })
}
