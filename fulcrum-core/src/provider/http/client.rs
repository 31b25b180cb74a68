//! The client of one API: address, credentials, throttle, redirects and errors.

use std::{sync::Arc, time::Duration};

use ::http::{
    Method, StatusCode,
    header::{AUTHORIZATION, CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, LOCATION, PRAGMA},
};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use tracing::Instrument;

use super::{
    ErrorMapper, HttpConfig, HttpConfigError, NetworkTransport, RawRequest, Recorder, Redactor, Request,
    Response, Secret, Signer, StatusOnly, Transport, TransportError,
    absence::{self, Absence, absence_of},
    dry_run::holds_back,
    identity::{AuthForm, Authentication, Identity},
    lenient::{self, RejectedRows},
    response::ListPage,
    sanitiser::request_texts,
    throttle::Throttle,
};
use crate::{
    model::ProviderId,
    provider::{ErrorContext, ErrorKind, ProviderError, RejectedRow, Result},
};

/// Redirects of one request that are followed, at most.
const MAX_REDIRECTS: usize = 5;

/// A client of one API, with address, credentials, throttle and error mapper. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    provider: ProviderId,
    base: url::Url,
    headers: HeaderMap,
    transport: Arc<dyn Transport>,
    errors: Arc<dyn ErrorMapper>,
    identity: Option<Arc<Identity>>,
    /// Secrets that are sent to its host.
    secrets: Vec<Secret>,
    has_own_authorities: bool,
    throttle: Arc<Throttle>,
    redactor: Redactor,
    rejected: RejectedRows,
    timeout: Duration,
}

impl Client {
    /// A client without credentials, for the API at `address` unless the configuration names another one.
    ///
    /// # Errors
    /// [`HttpConfigError`] names the invalid setting.
    pub fn new(provider: &ProviderId, address: &str, config: &HttpConfig) -> Result<Self, HttpConfigError> {
        let base = config.address(address)?;
        let redactor = Redactor::default();
        let live: Arc<dyn Transport> = Arc::new(NetworkTransport::new(config)?);
        let transport = match &config.record {
            None => live,
            Some(path) => {
                let io = |source| HttpConfigError::Io { path: path.clone(), source };
                Arc::new(Recorder::append(live, path, redactor.clone()).map_err(io)?)
            }
        };
        Ok(Self {
            provider: provider.clone(),
            base,
            headers: HeaderMap::new(),
            transport,
            errors: Arc::new(StatusOnly),
            identity: None,
            secrets: Vec::new(),
            has_own_authorities: config.ca_file.is_some(),
            throttle: Arc::default(),
            redactor,
            rejected: RejectedRows::default(),
            timeout: config.timeout(),
        })
    }

    /// A copy that uses another transport, such as a cassette.
    #[must_use]
    pub fn with_transport(self, transport: Arc<dyn Transport>) -> Self {
        Self { transport, ..self }
    }

    /// A copy that maps the API's own errors.
    #[must_use]
    pub fn with_error_mapper(self, errors: impl ErrorMapper + 'static) -> Self {
        Self { errors: Arc::new(errors), ..self }
    }

    /// A copy for an API with a leaky-bucket rate limit: requests are regained one by one, and the reset header tells when all
    /// are regained.
    #[must_use]
    pub fn leaky_bucket(self) -> Self {
        Self { throttle: Arc::new(Throttle::leaky_bucket()), ..self }
    }

    /// A copy whose requests are signed. `make` gets the secrets, and gets them again after a rotation.
    ///
    /// # Errors
    /// A secret may not be sent to this host.
    pub fn signed<S: Signer + 'static>(
        self,
        secrets: impl IntoIterator<Item = Secret>,
        make: impl Fn(&[SecretString]) -> S + Send + Sync + 'static,
    ) -> Result<Self, HttpConfigError> {
        self.with_identity(secrets.into_iter().collect(), move |values, _| {
            Ok(AuthForm::Signer(Box::new(make(values))))
        })
    }

    /// A copy without credentials, for a transport that adds them. Its secrets still go only to the hosts that may get them.
    #[must_use]
    pub fn unsigned(self) -> Self {
        Self { identity: None, ..self }
    }

    /// Adds secrets. All other methods that take secrets call this one.
    fn with_identity(
        mut self,
        secrets: Vec<Secret>,
        make: impl Fn(&[SecretString], &Redactor) -> Result<AuthForm, HttpConfigError> + Send + Sync + 'static,
    ) -> Result<Self, HttpConfigError> {
        self.secrets.extend(secrets.iter().cloned());
        self.check_destination()?;
        self.identity = Some(Arc::new(Identity::new(secrets, self.redactor.clone(), make)?));
        Ok(self)
    }

    fn check_destination(&self) -> Result<(), HttpConfigError> {
        self.secrets.iter().try_for_each(|secret| self.may_get(secret))
    }

    /// Succeeds if this API may get what is made from a secret.
    pub(crate) fn may_get(&self, secret: &Secret) -> Result<(), HttpConfigError> {
        let host = self.base.host_str().unwrap_or_default();
        Ok(secret.check_destination(host, self.has_own_authorities)?)
    }

    /// A copy for another address of the API, such as one service of a cloud. Credentials, throttle and secrets are shared.
    ///
    /// # Errors
    /// The address is not valid, would send credentials in the clear, or to a host that may not get them.
    pub fn with_base_url(&self, address: &str) -> Result<Self, HttpConfigError> {
        let base =
            HttpConfig { base_url: Some(address.to_owned()), ..HttpConfig::default() }.address(address)?;
        let client = Self { base, ..self.clone() };
        client.check_destination()?;
        Ok(client)
    }

    /// A copy that sends `Authorization: Bearer …`.
    ///
    /// # Errors
    /// The token is not a valid header value, or may not be sent to this host.
    pub fn bearer(self, token: impl Into<Secret>) -> Result<Self, HttpConfigError> {
        self.secret_header_of(AUTHORIZATION, token, |token| format!("Bearer {token}"))
    }

    /// A copy that sends name and password (Basic, RFC 7617).
    ///
    /// # Errors
    /// The password may not be sent to this host.
    pub fn basic(self, user: &str, password: impl Into<Secret>) -> Result<Self, HttpConfigError> {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let user = user.to_owned();
        self.with_identity(vec![password.into()], move |values, redactor| {
            let password = values.first().map(ExposeSecret::expose_secret).unwrap_or_default();
            let coded = STANDARD.encode(format!("{user}:{password}"));
            redactor.add_own(SecretString::from(coded.clone()));
            header(&AUTHORIZATION, format!("Basic {coded}"), redactor)
        })
    }

    /// A copy that sends a secret header, which is never shown.
    ///
    /// # Errors
    /// The value is not a valid header value, or may not be sent to this host.
    pub fn secret_header(self, name: HeaderName, value: impl Into<Secret>) -> Result<Self, HttpConfigError> {
        self.secret_header_of(name, value, str::to_owned)
    }

    /// A copy that sends a header made of a secret, which is never shown.
    ///
    /// # Errors
    /// The value is not a valid header value, or the secret may not be sent to this host.
    pub fn secret_header_of(
        self,
        name: HeaderName,
        secret: impl Into<Secret>,
        make: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Result<Self, HttpConfigError> {
        self.with_identity(vec![secret.into()], move |values, redactor| {
            let secret = values.first().map(ExposeSecret::expose_secret).unwrap_or_default();
            header(&name, make(secret), redactor)
        })
    }

    /// A copy that sends a header with each request.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }

    /// The provider of the API.
    pub fn provider(&self) -> &ProviderId {
        &self.provider
    }

    /// The API's address.
    pub fn base_url(&self) -> &url::Url {
        &self.base
    }

    /// Its transport, for an adapter that wraps it, such as with renewed tokens.
    pub fn transport(&self) -> Arc<dyn Transport> {
        self.transport.clone()
    }

    /// Removes this client's secrets from texts. Add tokens that the API issues.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Unreadable rows of the newest lists of offers.
    pub fn rejected(&self) -> Vec<RejectedRow> {
        self.rejected.all()
    }

    /// Sends a request and reads the whole response, whatever its status.
    ///
    /// # Errors
    /// Not sent, ambiguous, unavailable, or a protocol error, depending on how far the request came; rate limited if the
    /// throttle would delay it beyond its time-out.
    pub async fn send(&self, request: &Request) -> Result<Response> {
        let mut url = request.url(&self.base);
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send_to(request, url.clone()).await?;
            match self.redirect(request, &url, &response) {
                Some(next) => url = next,
                None => return Ok(response),
            }
        }
        let message = format!("the request was redirected more than {MAX_REDIRECTS} times; check `base_url`");
        Err(self.error(request, ErrorKind::Protocol { message }))
    }

    /// Sends a request that must succeed.
    ///
    /// # Errors
    /// As [`send`](Self::send), and what status and [`ErrorMapper`] say.
    pub async fn send_ok(&self, request: &Request) -> Result<Response> {
        let response = self.send(request).await?;
        self.check(&response)?;
        Ok(response)
    }

    /// Sends a request that must succeed, and parses the JSON response.
    ///
    /// # Errors
    /// As [`send_ok`](Self::send_ok), and a protocol error that names the place in the response.
    pub async fn json<T: DeserializeOwned>(&self, request: &Request) -> Result<T> {
        self.send_ok(request).await?.json()
    }

    /// Gets one resource; none if the API's own error code proves its absence.
    ///
    /// # Errors
    /// As [`json`](Self::json), and unavailable if the response is no proof of absence.
    pub async fn get_optional<T: DeserializeOwned>(&self, request: &Request) -> Result<Option<T>> {
        let unproven = self.error(
            request,
            ErrorKind::unavailable(
                "a proxy could have sent this not-found response; it is no proof of absence",
            ),
        );
        self.get_optional_with(request, async { Err(unproven) }).await
    }

    /// As [`get_optional`](Self::get_optional), for an API whose not-found response a proxy could have sent as well. Then
    /// `witness` sends another request, such as a list, whose response must be well-formed and must not name the resource.
    ///
    /// # Errors
    /// As [`get_optional`](Self::get_optional), and those of the witness.
    pub async fn get_optional_with<T: DeserializeOwned>(
        &self,
        request: &Request,
        witness: impl Future<Output = Result<()>> + Send,
    ) -> Result<Option<T>> {
        let response = self.send(request).await?;
        match self.check(&response) {
            Ok(()) => response.json().map(Some),
            Err(error) => self.absent(&response, error, witness).await.map(|()| None),
        }
    }

    /// Deletes one resource: true if the API accepts the request, false if its own error code proves the resource's absence.
    ///
    /// # Errors
    /// As [`send_ok`](Self::send_ok), and ambiguous if the response is no proof of absence.
    pub async fn delete_if_exists(&self, request: &Request) -> Result<bool> {
        let unproven = self.error(request, ErrorKind::Ambiguous);
        self.delete_if_exists_with(request, async { Err(unproven) }).await
    }

    /// As [`delete_if_exists`](Self::delete_if_exists), with a witness as in [`get_optional_with`](Self::get_optional_with).
    ///
    /// # Errors
    /// As [`delete_if_exists`](Self::delete_if_exists), and those of the witness.
    pub async fn delete_if_exists_with(
        &self,
        request: &Request,
        witness: impl Future<Output = Result<()>> + Send,
    ) -> Result<bool> {
        self.delete_for_response(request, witness).await.map(|accepted| accepted.is_some())
    }

    /// As [`delete_if_exists_with`](Self::delete_if_exists_with); returns the accepting response, which may name an operation.
    ///
    /// # Errors
    /// As [`delete_if_exists_with`](Self::delete_if_exists_with).
    pub async fn delete_for_response(
        &self,
        request: &Request,
        witness: impl Future<Output = Result<()>> + Send,
    ) -> Result<Option<Response>> {
        let response = self.send(request).await?;
        match self.check(&response) {
            Ok(()) => Ok(Some(response)),
            Err(error) => self.absent(&response, error, witness).await.map(|()| None),
        }
    }

    /// Succeeds if an error response proves absence, alone or with a witness; else returns the error.
    async fn absent(
        &self,
        response: &Response,
        error: ProviderError,
        witness: impl Future<Output = Result<()>> + Send,
    ) -> Result<()> {
        match absence_of(response, &*self.errors) {
            Absence::Proven => Ok(()),
            Absence::Weak => witness.await,
            Absence::Unproven => Err(error),
        }
    }

    /// The error that a response stands for, if it is not a success.
    ///
    /// # Errors
    /// The error of status and [`ErrorMapper`]. Absence needs the API's own error code; a refusal of a mutation is certain only
    /// with it. Otherwise a proxy, gateway or rate limiter may have answered although the request went through.
    pub fn check(&self, response: &Response) -> Result<()> {
        let Some(by_status) = response.kind_by_status() else { return Ok(()) };
        let worded = self.errors.kind_of(response).filter(|_| !response.is_html_page());
        let is_worded = worded.is_some();
        let kind = worded.unwrap_or(by_status);
        Err(response.error(match (&kind, absence_of(response, &*self.errors)) {
            (ErrorKind::NotFound { .. }, Absence::Proven) => kind,
            (ErrorKind::NotFound { .. }, Absence::Weak) if !response.mutates() => kind,
            (ErrorKind::NotFound { .. }, _) => {
                tracing::warn!(status = %response.status(), "a not-found response without the API's own error code is not taken for absence");
                absence::unproven(response)
            }
            // A protocol error already means that the effect is possible, and says more.
            _ if response.mutates() && !is_worded && !kind.may_have_happened() => ErrorKind::Ambiguous,
            _ => kind,
        }))
    }

    /// Sends a request, and sends it again if the API refused the credentials and these have been rotated since. A request that
    /// the API itself refuses so had no effect.
    async fn send_to(&self, request: &Request, url: url::Url) -> Result<Response> {
        let Some(identity) = &self.identity else { return self.send_as(request, url, None).await };
        let authentication = identity.current();
        let response = self.send_as(request, url.clone(), Some(&authentication)).await?;
        if !self.is_unauthorised(&response) {
            return Ok(response);
        }
        let Some(other) = identity.refreshed_after(&authentication) else { return Ok(response) };
        tracing::info!(provider = %self.provider, "the credentials were refused and have been rotated since; sending again");
        self.send_as(request, url, Some(&other)).await
    }

    fn is_unauthorised(&self, response: &Response) -> bool {
        // A request that only reads may be repeated even if a proxy refused it.
        (response.status() == StatusCode::UNAUTHORIZED && !response.mutates())
            || (response.status().is_client_error()
                && !response.is_html_page()
                && self.errors.kind_of(response) == Some(ErrorKind::Unauthorised))
    }

    async fn send_as(
        &self,
        request: &Request,
        url: url::Url,
        authentication: Option<&Arc<Authentication>>,
    ) -> Result<Response> {
        if request.mutates && holds_back() {
            return Err(self.error(request, ErrorKind::not_sent("this is a dry run")));
        }
        if let Err(wait) = self.throttle.wait(self.timeout).await {
            return Err(self.error(request, ErrorKind::RateLimited { retry_after: Some(wait) }));
        }
        let mut headers = self.headers.clone();
        // Decisions need the present state, not that of a cached response.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
        headers.extend(request.headers.clone());
        let mut address = url.clone();
        // In an API with a single path, the action tells the lists apart.
        address.set_query(request.parameter("Action"));
        let (address, is_first) = (address.to_string(), lenient::is_first_page(request));
        let mut wire =
            RawRequest { method: request.method.clone(), url, headers, body: request.body.clone() };
        if let Some(authentication) = authentication
            && let Err(error) = authentication.apply_to(&mut wire)
        {
            let cause = format!("the request cannot be signed ({error}); check the credentials");
            return Err(self.error(request, ErrorKind::not_sent(cause)).with_source(error));
        }
        let span = tracing::debug_span!(
            "fulcrum.http.request",
            http.request.method = %wire.method,
            server.address = wire.url.host_str(),
            url.path = wire.url.path(),
            http.response.status_code = tracing::field::Empty,
        );
        if let Some(body) = request.body.as_ref().filter(|_| request.mutates) {
            self.redactor.remember(request_texts(body, request.is_form()));
        }
        match self.transport.send(wire).instrument(span.clone()).await {
            Ok(wire) => {
                span.record("http.response.status_code", wire.status.as_u16());
                let list = ListPage { address, is_first, rejected: self.rejected.clone() };
                let response = Response::new(&self.provider, request, wire, &self.redactor).of_list(list);
                self.throttle.observe(&response);
                match response.staleness() {
                    None => Ok(response),
                    Some(_) if request.mutates => Err(response.error(ErrorKind::Ambiguous)),
                    Some(why) => {
                        let cause = format!("{why}; turn off caching in front of the API");
                        Err(response.error(ErrorKind::unavailable(cause)))
                    }
                }
            }
            Err(lost) => {
                span.in_scope(|| tracing::debug!(%lost, "no complete response"));
                let kind = match &lost {
                    TransportError::NotSent(why) => ErrorKind::not_sent(why.to_string()),
                    TransportError::OutcomeUnknown(_) | TransportError::TooLarge { .. }
                        if request.mutates =>
                    {
                        ErrorKind::Ambiguous
                    }
                    TransportError::OutcomeUnknown(why) => ErrorKind::unavailable(why.to_string()),
                    TransportError::TooLarge { .. } => ErrorKind::Protocol { message: lost.to_string() },
                };
                Err(self.error(request, kind).with_source(match lost {
                    TransportError::NotSent(why) | TransportError::OutcomeUnknown(why) => {
                        ErrorContext::wrap(why.to_string(), why)
                    }
                    TransportError::TooLarge { .. } => ErrorContext::new(lost.to_string()),
                }))
            }
        }
    }

    /// The target of a redirect that may be followed: of a GET, to the same scheme and host.
    fn redirect(&self, request: &Request, from: &url::Url, response: &Response) -> Option<url::Url> {
        let is_redirect = matches!(
            response.status(),
            StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT
        );
        if !is_redirect || request.method != Method::GET {
            return None;
        }
        let next = from.join(response.header(LOCATION.as_str())?).ok()?;
        (next.origin() == self.base.origin() && next.username().is_empty()).then_some(next)
    }

    fn error(&self, request: &Request, kind: ErrorKind) -> ProviderError {
        let kind = kind.with_texts(&|text: String| self.redactor.sanitised(&text, true));
        ProviderError::new(self.provider.clone(), request.call, kind)
    }
}

/// One secret header.
fn header(name: &HeaderName, value: String, redactor: &Redactor) -> Result<AuthForm, HttpConfigError> {
    let mut header = HeaderValue::from_str(&value).map_err(|_| {
        HttpConfigError::Credential(format!(
            "the value cannot be sent in the header {name}; check the credential for line breaks"
        ))
    })?;
    header.set_sensitive(true);
    redactor.add_own(SecretString::from(value));
    Ok(AuthForm::Headers(HeaderMap::from_iter([(name.clone(), header)])))
}
