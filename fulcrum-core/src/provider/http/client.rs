//! One API with its address and credentials.

use std::{fmt, sync::Arc, time::Duration};

use ::http::{
    Method, StatusCode,
    header::{AUTHORIZATION, CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, LOCATION, PRAGMA},
};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tracing::Instrument;

use super::{
    AbsenceRule, HttpConfig, HttpConfigError, NetworkTransport, RawRequest, Recorder, Redactor, Request,
    Response, Secret, Transport, TransportError, ValueMatch,
    absence::{self, Absence, absence_of},
    identity::{Identity, Made, Proof},
    lenient::{self, RejectedRows},
    response::ListAt,
    sieve::withheld,
    throttle::Throttle,
};
use crate::{
    model::ProviderId,
    provider::{BoxError, ErrorKind, ProviderError, RejectedRow, Result, Worded},
};

/// Redirects of one request that are followed.
const MAX_REDIRECTS: usize = 5;

/// How one kind of API says what is wrong, beyond the status.
pub trait ErrorMapper: fmt::Debug + Send + Sync {
    /// The kind of an error that the API itself words; none if the answer is not in the API's own form. Asked for every answer
    /// that is no success. A refusal of a request that changes something is certain only if it is so worded: without, the
    /// status may be that of something in front of the API. What it calls not found is only believed in the words below.
    fn kind_of(&self, response: &Response) -> Option<ErrorKind>;

    /// The words by which the API, and nothing else, says that something does not exist.
    fn absence_rules(&self) -> &'static [AbsenceRule] {
        &[]
    }

    /// Words of the API for the same that a proxy could use as well: they prove nothing alone; see
    /// [`Client::get_optional_with`].
    fn weak_absence_rules(&self) -> &'static [AbsenceRule] {
        &[]
    }

    /// What stands at a place of an answer's error document: at a JSON pointer, unless the API speaks otherwise.
    fn error_field(&self, response: &Response, at: &str) -> Option<Value> {
        absence::in_json(response, at)
    }
}

/// An API whose status says all, beside any JSON object. Its absence is never proven by that alone.
#[derive(Debug)]
pub struct StatusOnly;

impl ErrorMapper for StatusOnly {
    fn kind_of(&self, response: &Response) -> Option<ErrorKind> {
        response.try_json::<serde_json::Map<String, Value>>().and_then(|_| response.kind_by_status())
    }

    fn weak_absence_rules(&self) -> &'static [AbsenceRule] {
        const { &[AbsenceRule::new(404, "", ValueMatch::Object), AbsenceRule::new(410, "", ValueMatch::Object)] }
    }
}

/// Puts what proves the caller's identity on a request that is otherwise complete.
pub trait Signer: fmt::Debug + Send + Sync {
    /// Adds headers.
    ///
    /// # Errors
    /// It cannot be signed. Nothing is sent then.
    fn sign(&self, request: &mut RawRequest) -> Result<(), BoxError>;
}

/// One API: where it is, who asks, how fast, and how its errors read. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    provider: ProviderId,
    base: url::Url,
    headers: HeaderMap,
    transport: Arc<dyn Transport>,
    errors: Arc<dyn ErrorMapper>,
    identity: Option<Arc<Identity>>,
    /// What is sent to its host.
    secrets: Vec<Secret>,
    has_own_authorities: bool,
    throttle: Arc<Throttle>,
    redactor: Redactor,
    rejected: RejectedRows,
    timeout: Duration,
}

impl Client {
    /// A client without credentials, of an API at `address` unless the configuration names another one.
    ///
    /// # Errors
    /// [`HttpConfigError`] names the setting that is wrong.
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

    /// The same over another transport, such as a recording.
    #[must_use]
    pub fn with_transport(self, transport: Arc<dyn Transport>) -> Self {
        Self { transport, ..self }
    }

    /// The same with an API's way to say what is wrong.
    #[must_use]
    pub fn with_error_mapper(self, errors: impl ErrorMapper + 'static) -> Self {
        Self { errors: Arc::new(errors), ..self }
    }

    /// For an API whose rate limit lets requests come back one by one (a leaky bucket): its reset is when all are back, not
    /// when the next one is.
    #[must_use]
    pub fn leaky_bucket(self) -> Self {
        Self { throttle: Arc::new(Throttle::leaky_bucket()), ..self }
    }

    /// The same with requests signed by what `make` makes of the secrets, as they are given or as they are read again later.
    ///
    /// # Errors
    /// A secret is not for this host.
    pub fn signed<S: Signer + 'static>(
        self,
        secrets: impl IntoIterator<Item = Secret>,
        make: impl Fn(&[SecretString]) -> S + Send + Sync + 'static,
    ) -> Result<Self, HttpConfigError> {
        self.with_identity(secrets.into_iter().collect(), move |values, _| {
            Ok(Made::Signer(Box::new(make(values))))
        })
    }

    /// The same without who asks, for a transport that puts that on; its secrets are still sent to no host that they are not for.
    #[must_use]
    pub fn unsigned(self) -> Self {
        Self { identity: None, ..self }
    }

    /// The one place in which a client gets secrets.
    fn with_identity(
        mut self,
        secrets: Vec<Secret>,
        make: impl Fn(&[SecretString], &Redactor) -> Result<Made, HttpConfigError> + Send + Sync + 'static,
    ) -> Result<Self, HttpConfigError> {
        self.secrets.extend(secrets.iter().cloned());
        self.check_sent()?;
        self.identity = Some(Arc::new(Identity::new(secrets, self.redactor.clone(), make)?));
        Ok(self)
    }

    fn check_sent(&self) -> Result<(), HttpConfigError> {
        let host = self.base.host_str().unwrap_or_default();
        for secret in &self.secrets {
            secret.check_sent(host, self.has_own_authorities)?;
        }
        Ok(())
    }

    /// The same for another address of the API, such as one service of a cloud; credentials, pace and secrets are shared.
    ///
    /// # Errors
    /// It is no address, would send credentials in the clear, or to a host that they are not for.
    pub fn with_base_url(&self, address: &str) -> Result<Self, HttpConfigError> {
        let base =
            HttpConfig { base_url: Some(address.to_owned()), ..HttpConfig::default() }.address(address)?;
        let client = Self { base, ..self.clone() };
        client.check_sent()?;
        Ok(client)
    }

    /// With `Authorization: Bearer …`.
    ///
    /// # Errors
    /// The token holds what cannot stand in a header, or is not for this host.
    pub fn bearer(self, token: impl Into<Secret>) -> Result<Self, HttpConfigError> {
        self.secret_header_of(AUTHORIZATION, token, |token| format!("Bearer {token}"))
    }

    /// With name and password (RFC 7617).
    ///
    /// # Errors
    /// The password is not for this host.
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

    /// With a header that is never shown.
    ///
    /// # Errors
    /// The value cannot stand in a header, or is not for this host.
    pub fn secret_header(self, name: HeaderName, value: impl Into<Secret>) -> Result<Self, HttpConfigError> {
        self.secret_header_of(name, value, str::to_owned)
    }

    /// With a header that is made of a secret, and never shown.
    ///
    /// # Errors
    /// The value cannot stand in a header, or the secret is not for this host.
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

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }

    /// Whose API it is.
    pub fn provider(&self) -> &ProviderId {
        &self.provider
    }

    /// Where it is.
    pub fn base_url(&self) -> &url::Url {
        &self.base
    }

    /// What carries its requests out, for an adapter that puts something between, such as tokens that are renewed.
    pub fn transport(&self) -> Arc<dyn Transport> {
        self.transport.clone()
    }

    /// Takes this client's secrets out of texts; tell it tokens that the API hands out.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// What the newest lists of offers left out, as it could not be read.
    pub fn rejected(&self) -> Vec<RejectedRow> {
        self.rejected.all()
    }

    /// Sends a request and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// Not sent, ambiguous, unavailable, or a protocol error, by where it broke; rate limited if its turn would not come in
    /// time.
    pub async fn send(&self, request: &Request) -> Result<Response> {
        let mut url = request.url(&self.base);
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send_to(request, url.clone()).await?;
            match self.redirect(request, &url, &response) {
                Some(next) => url = next,
                None => return Ok(response),
            }
        }
        let message = "it is redirected in a circle".to_owned();
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

    /// Sends a request that must succeed and be answered in JSON.
    ///
    /// # Errors
    /// As [`send_ok`](Self::send_ok), and a protocol error that names the place in the answer.
    pub async fn json<T: DeserializeOwned>(&self, request: &Request) -> Result<T> {
        self.send_ok(request).await?.json()
    }

    /// Sends a request about one thing; none if the API proves by its own words that it does not exist.
    ///
    /// # Errors
    /// As [`json`](Self::json), and unavailable where the answer is no proof.
    pub async fn get_optional<T: DeserializeOwned>(&self, request: &Request) -> Result<Option<T>> {
        let thin = self.error(request, ErrorKind::unavailable("its word for absence is that of any proxy"));
        self.get_optional_with(request, async { Err(thin) }).await
    }

    /// As [`get_optional`](Self::get_optional), of an API whose word for absence is as thin as a proxy's page: then `witness` asks it something
    /// else, such as a list, which must be answered well-formed and must not name the thing.
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

    /// Asks for the end of one thing: true if that was accepted, false if the API proves by its own words that it does not
    /// exist.
    ///
    /// # Errors
    /// As [`send_ok`](Self::send_ok), and ambiguous where the answer is no proof.
    pub async fn delete_if_exists(&self, request: &Request) -> Result<bool> {
        let thin = self.error(request, ErrorKind::Ambiguous);
        self.delete_if_exists_with(request, async { Err(thin) }).await
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

    /// As [`delete_if_exists_with`](Self::delete_if_exists_with), with the answer by which it was accepted: it may name an operation.
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

    /// Whether an error's answer proves absence, alone or with a witness; else the error.
    async fn absent(
        &self,
        response: &Response,
        error: ProviderError,
        witness: impl Future<Output = Result<()>> + Send,
    ) -> Result<()> {
        match absence_of(response, &*self.errors) {
            Absence::Proven => Ok(()),
            Absence::Thin => witness.await,
            Absence::Unproven => Err(error),
        }
    }

    /// Whether an answer is a success, or which error it is.
    ///
    /// # Errors
    /// What status and [`ErrorMapper`] say. Not found is what the API itself words, and nothing else; nor is anything else than the
    /// API's own words a certain refusal of a request that changes something, whatever its status: who lets one in, counts
    /// requests or guards the way may have put its answer in the place of the API's, when the request has gone through.
    pub fn check(&self, response: &Response) -> Result<()> {
        let Some(by_status) = response.kind_by_status() else { return Ok(()) };
        let worded = self.errors.kind_of(response).filter(|_| !response.is_html_page());
        let is_worded = worded.is_some();
        let kind = worded.unwrap_or(by_status);
        Err(response.error(match (&kind, absence_of(response, &*self.errors)) {
            (ErrorKind::NotFound { .. }, Absence::Proven) => kind,
            (ErrorKind::NotFound { .. }, Absence::Thin) if !response.mutates() => kind,
            (ErrorKind::NotFound { .. }, _) => {
                tracing::warn!(status = %response.status(), "not found, but not in the API's own words; not believed");
                absence::unproven(response)
            }
            // What is a protocol error may have happened anyway, and says more.
            _ if response.mutates() && !is_worded && !kind.may_have_happened() => ErrorKind::Ambiguous,
            _ => kind,
        }))
    }

    /// Sends a request, and once more if it was refused for the secrets and these have been rotated since: that the API itself
    /// refuses who asks means that nothing was done.
    async fn send_to(&self, request: &Request, url: url::Url) -> Result<Response> {
        let Some(identity) = &self.identity else { return self.send_as(request, url, None).await };
        let proof = identity.present();
        let response = self.send_as(request, url.clone(), Some(&proof)).await?;
        if !self.refuses_who_asks(&response) {
            return Ok(response);
        }
        let Some(other) = identity.other_than(&proof) else { return Ok(response) };
        tracing::info!(provider = %self.provider, "who asks was refused, and the secrets have changed; asking again");
        self.send_as(request, url, Some(&other)).await
    }

    fn refuses_who_asks(&self, response: &Response) -> bool {
        // Of what only reads, anybody's word is enough.
        (response.status() == StatusCode::UNAUTHORIZED && !response.mutates())
            || (response.status().is_client_error()
                && !response.is_html_page()
                && self.errors.kind_of(response) == Some(ErrorKind::Unauthorised))
    }

    async fn send_as(
        &self,
        request: &Request,
        url: url::Url,
        proof: Option<&Arc<Proof>>,
    ) -> Result<Response> {
        if let Err(wait) = self.throttle.wait(self.timeout).await {
            return Err(self.error(request, ErrorKind::RateLimited { retry_after: Some(wait) }));
        }
        let mut headers = self.headers.clone();
        // What is decided by an answer must be so now, not when somebody on the way asked last.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
        headers.extend(request.headers.clone());
        let mut address = url.clone();
        // Of an API with one address the action says which list it is.
        address.set_query(request.parameter("Action"));
        let (address, is_first) = (address.to_string(), lenient::is_first_page(request));
        let mut wire =
            RawRequest { method: request.method.clone(), url, headers, body: request.body.clone() };
        if let Some(proof) = proof
            && let Err(error) = proof.put_on(&mut wire)
        {
            let cause = format!("the request cannot be signed: {error}");
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
            self.redactor.remember(withheld(body, request.is_form()));
        }
        match self.transport.send(wire).instrument(span.clone()).await {
            Ok(wire) => {
                span.record("http.response.status_code", wire.status.as_u16());
                let list = ListAt { address, is_first, rejected: self.rejected.clone() };
                let response = Response::new(&self.provider, request, wire, &self.redactor).of_list(list);
                self.throttle.observe(&response);
                match response.staleness() {
                    None => Ok(response),
                    Some(_) if request.mutates => Err(response.error(ErrorKind::Ambiguous)),
                    Some(why) => {
                        let cause = format!("{why}; let what stands before the API keep none of its answers");
                        Err(response.error(ErrorKind::unavailable(cause)))
                    }
                }
            }
            Err(lost) => {
                span.in_scope(|| tracing::debug!(%lost, "no answer"));
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
                        Worded::above(why.to_string(), why)
                    }
                    TransportError::TooLarge { .. } => Worded::new(lost.to_string()),
                }))
            }
        }
    }

    /// Where a redirect leads, if it may be followed: reading only, and to the same host by the same scheme.
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
        ProviderError::new(self.provider.clone(), request.call, kind)
    }
}

/// One header that is never shown.
fn header(name: &HeaderName, value: String, redactor: &Redactor) -> Result<Made, HttpConfigError> {
    let mut header = HeaderValue::from_str(&value)
        .map_err(|_| HttpConfigError::Credential(format!("it cannot stand in the header {name}")))?;
    header.set_sensitive(true);
    redactor.add_own(SecretString::from(value));
    Ok(Made::Headers(HeaderMap::from_iter([(name.clone(), header)])))
}
