//! Signature version 4.

use std::{fmt, time::SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
        UriPathNormalizationMode, sign,
    },
    sign::v4,
};
use secrecy::{ExposeSecret, SecretString};
use tracing::subscriber::{NoSubscriber, with_default};

use super::endpoints::ApiName;
use crate::provider::{
    BoxError,
    http::{HeaderName, HeaderValue, RawRequest, Signer},
};

/// Signs for one API in one region.
pub(super) struct V4 {
    region: String,
    api: ApiName,
    keys: Credentials,
}

impl fmt::Debug for V4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("V4").field("region", &self.region).field("api", &self.api).finish_non_exhaustive()
    }
}

impl V4 {
    /// With the access key, the secret key and, for temporary keys, the session token.
    pub(super) fn new(region: &str, api: ApiName, keys: &[SecretString]) -> Self {
        let key = |at: usize| keys.get(at).map(ExposeSecret::expose_secret);
        let (access, secret) = (key(0).unwrap_or_default(), key(1).unwrap_or_default());
        let session = key(2).map(str::to_owned);
        let keys = Credentials::new(access, secret, session, None, "fulcrum");
        Self { region: region.to_owned(), api, keys }
    }

    /// S3 escapes a path once, and wants the body's digest in a header.
    fn settings(&self) -> SigningSettings {
        let mut settings = SigningSettings::default();
        if self.api == ApiName::S3 {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        settings
    }

    fn sign_at(&self, request: &mut RawRequest, time: SystemTime) -> Result<(), BoxError> {
        let identity = self.keys.clone().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.api.name())
            .time(time)
            .settings(self.settings())
            .build()?
            .into();
        let mut headers = Vec::new();
        // A proxy may replace headers for caches.
        let is_for_caches = |name: &HeaderName| name == "cache-control" || name == "pragma";
        for (name, value) in request.headers.iter().filter(|(name, _)| !is_for_caches(name)) {
            headers.push((name.as_str(), value.to_str()?));
        }
        let body = SignableBody::Bytes(request.body.as_deref().unwrap_or_default());
        let (method, url) = (request.method.as_str(), request.url.as_str());
        let signable = SignableRequest::new(method, url, headers.into_iter(), body)?;
        // The crate logs what it signs, keys and tokens included.
        let silence = NoSubscriber::default();
        let signed = with_default(silence, || sign(signable, &parameters))?;
        let (signed, _) = signed.into_parts();
        let (headers, _) = signed.into_parts();
        for header in headers {
            let name = HeaderName::from_static(header.name());
            let mut value = HeaderValue::from_str(header.value())?;
            value.set_sensitive(true);
            request.headers.insert(name, value);
        }
        Ok(())
    }
}

impl Signer for V4 {
    fn sign(&self, request: &mut RawRequest) -> Result<(), BoxError> {
        self.sign_at(request, SystemTime::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::http::{HeaderMap, Method};

    /// Computed by the standard's steps, with openssl.
    #[test]
    fn a_request_is_signed_and_its_keys_are_not_shown() {
        let secret = |text: &str| SecretString::from(text);
        let keys = ["AKIDEXAMPLE", "canary-secret", "canary-session"].map(secret);
        let signer = V4::new("eu-west-3", ApiName::Ec2, &keys);
        let url =
            "https://ec2.example/?Version=2016-11-15&Action=DescribeInstances".parse().expect("an address");
        let mut request = RawRequest { method: Method::GET, url, headers: HeaderMap::new(), body: None };
        let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_795_593_600);
        signer.sign_at(&mut request, time).expect("signed");
        let value = |name: &str| request.headers[name].to_str().expect("text").to_owned();
        assert_eq!(value("x-amz-date"), "20261125T080000Z");
        assert_eq!(value("x-amz-security-token"), "canary-session");
        let signed = value("authorization");
        let head = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261125/eu-west-3/ec2/aws4_request, \
                    SignedHeaders=host;x-amz-date;x-amz-security-token, Signature=";
        assert_eq!(signed.strip_prefix(head).map(str::len), Some(64), "{signed}");
        assert!(!format!("{signer:?} {request:?}").contains("canary"));
    }
}
