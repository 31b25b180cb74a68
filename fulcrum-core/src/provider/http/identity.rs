//! The caller's identity: credentials on requests, read again when an API refuses them, as they may have been rotated.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use ::http::header::HeaderMap;
use secrecy::SecretString;

use super::{HttpConfigError, RawRequest, Redactor, Secret, credential::is_same};
use crate::provider::BoxError;

/// Signs a request that is otherwise complete.
pub trait Signer: fmt::Debug + Send + Sync {
    /// Adds the headers of the signature.
    ///
    /// # Errors
    /// The request cannot be signed. Nothing is sent then.
    fn sign(&self, request: &mut RawRequest) -> Result<(), BoxError>;
}

/// Credentials of a request, and the secret values that they were made of.
pub(super) struct Authentication {
    values: Vec<SecretString>,
    form: AuthForm,
}

/// Headers, or a signature made for each request.
pub(super) enum AuthForm {
    Headers(HeaderMap),
    Signer(Box<dyn Signer>),
}

impl Authentication {
    /// Adds the credentials to a request that is otherwise complete.
    pub(super) fn apply_to(&self, request: &mut RawRequest) -> Result<(), BoxError> {
        match &self.form {
            AuthForm::Headers(headers) => {
                for (name, value) in headers {
                    request.headers.insert(name, value.clone());
                }
                Ok(())
            }
            AuthForm::Signer(signer) => signer.sign(request),
        }
    }
}

/// Makes credentials of secrets, and registers derived secrets with the redactor.
type Make = Box<dyn Fn(&[SecretString], &Redactor) -> Result<AuthForm, HttpConfigError> + Send + Sync>;

/// The credentials of one login, shared by all its clients.
pub(super) struct Identity {
    secrets: Vec<Secret>,
    make: Make,
    redactor: Redactor,
    current: RwLock<Arc<Authentication>>,
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
        make: impl Fn(&[SecretString], &Redactor) -> Result<AuthForm, HttpConfigError> + Send + Sync + 'static,
    ) -> Result<Self, HttpConfigError> {
        let make: Make = Box::new(make);
        let values = secrets.iter().map(|secret| secret.value().clone()).collect();
        let current = RwLock::new(Arc::new(authentication(&make, &redactor, values)?));
        Ok(Self { secrets, make, redactor, current })
    }

    pub(super) fn current(&self) -> Arc<Authentication> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Credentials newer than the refused ones: those that another request has read since, or those made of the secrets read
    /// now. None if the secrets are unchanged or cannot be read.
    pub(super) fn refreshed_after(&self, refused: &Arc<Authentication>) -> Option<Arc<Authentication>> {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&current, refused) {
            return Some(current.clone());
        }
        let values = self.secrets.iter().map(Secret::now).collect::<Option<Vec<_>>>()?;
        if values.iter().zip(&current.values).all(|(now, then)| is_same(now, then)) {
            return None;
        }
        *current = Arc::new(authentication(&self.make, &self.redactor, values).ok()?);
        Some(current.clone())
    }
}

fn authentication(
    make: &Make,
    redactor: &Redactor,
    values: Vec<SecretString>,
) -> Result<Authentication, HttpConfigError> {
    values.iter().for_each(|value| redactor.add_own(value.clone()));
    let form = make(&values, redactor)?;
    Ok(Authentication { values, form })
}
