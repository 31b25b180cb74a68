//! Request signatures by the API's documentation ("API request signature"): an HMAC over method, path, body, the values of the
//! parameters in the order of their names, and the expiry.

use std::{collections::BTreeMap, fmt};

use ::http::header::{AUTHORIZATION, HeaderValue};
use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};

use crate::provider::{
    BoxError,
    http::{RawRequest, Signer},
};

/// How long a signature is valid, in seconds.
const SIGNATURE_LIFETIME_S: i64 = 600;

/// Signs with one key.
pub(super) struct Exo2 {
    key: SecretString,
    secret: hmac::Key,
}

impl fmt::Debug for Exo2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exo2")
    }
}

impl Exo2 {
    /// With the key and its secret.
    pub(super) fn new(keys: &[SecretString]) -> Self {
        let key = keys.first().cloned().unwrap_or_default();
        let secret = keys.get(1).map(ExposeSecret::expose_secret).unwrap_or_default();
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        Self { key, secret }
    }

    fn sign_until(&self, request: &mut RawRequest, expires: i64) -> Result<(), BoxError> {
        let mut parameters: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in request.url.query_pairs() {
            parameters.entry(name.into_owned()).or_default().push(value.into_owned());
        }
        // A parameter that occurs more than once is not signed.
        parameters.retain(|_, values| values.len() == 1);
        let values: String = parameters.values().flatten().map(String::as_str).collect();
        let mut context = hmac::Context::with_key(&self.secret);
        context.update(format!("{} {}\n", request.method, request.url.path()).as_bytes());
        context.update(request.body.as_deref().unwrap_or_default());
        context.update(format!("\n{values}\n\n{expires}").as_bytes());
        let signature = STANDARD.encode(context.sign());
        let names: Vec<&str> = parameters.keys().map(String::as_str).collect();
        let names =
            if names.is_empty() { String::new() } else { format!(",signed-query-args={}", names.join(";")) };
        let key = self.key.expose_secret();
        let value =
            format!("EXO2-HMAC-SHA256 credential={key}{names},expires={expires},signature={signature}");
        let mut value = HeaderValue::from_str(&value)?;
        value.set_sensitive(true);
        request.headers.insert(AUTHORIZATION, value);
        Ok(())
    }
}

impl Signer for Exo2 {
    fn sign(&self, request: &mut RawRequest) -> Result<(), BoxError> {
        self.sign_until(request, Timestamp::now().as_second() + SIGNATURE_LIFETIME_S)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::http::{HeaderMap, Method};

    /// Computed by the documentation's steps, with openssl.
    #[test]
    fn a_request_is_signed_and_its_keys_are_not_shown() {
        let signer = Exo2::new(&["EXOcanary", "canary-secret"].map(SecretString::from));
        let signed = |method: Method, url: &str, body: Option<&'static str>| {
            let url = url.parse().expect("an address");
            let body = body.map(Into::into);
            let mut request = RawRequest { method, url, headers: HeaderMap::new(), body };
            signer.sign_until(&mut request, 1_795_593_600).expect("signed");
            assert!(!format!("{signer:?} {request:?} {:?}", request.headers).contains("canary"));
            request.headers["authorization"].to_str().expect("text").to_owned()
        };
        assert_eq!(
            signed(Method::GET, "https://api-ch-gva-2.exoscale.com/v2/zone?b=2&a=1", None),
            "EXO2-HMAC-SHA256 credential=EXOcanary,signed-query-args=a;b,expires=1795593600,signature=1ykL7+rxDG80C+hCeLRb0PXzdEpAbgH7DFaN0dtIrJE="
        );
        assert_eq!(
            signed(Method::POST, "https://api-ch-gva-2.exoscale.com/v2/instance", Some(r#"{"name":"web"}"#)),
            "EXO2-HMAC-SHA256 credential=EXOcanary,expires=1795593600,signature=hreWCSMrhgn8A5wl8eZYuWblyyTsC9vfKTFYm2ddnAU="
        );
    }
}
