//! Tokens: asked for when the first is needed, kept, renewed before they expire, and once when one is refused.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use ::http::header::CONTENT_TYPE;
use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{
    config::PasswordAuth,
    errors::{refuses_token, unauthorised_reply},
    scope::Scope,
    wire,
};
use crate::provider::{
    BoxError, Call, ErrorContext, ErrorKind, ProviderError, Result,
    http::{
        Client, HeaderName, HeaderValue, Method, RawRequest, RawResponse, Request, Signer, StatusCode,
        Transport, TransportError,
    },
};

const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-auth-token");
/// A token is not used in its last minute, or its last quarter if it lives for less.
const RENEWAL_MARGIN: Duration = Duration::from_secs(60);

/// The login.
#[derive(Debug, Clone)]
pub(super) enum Login {
    Password(PasswordAuth),
    ApplicationCredential { id: String },
}

impl Login {
    /// With its secret.
    pub(super) fn with(&self, secrets: &[SecretString]) -> LoginRequest {
        LoginRequest { login: self.clone(), secret: secrets.first().cloned().unwrap_or_default() }
    }
}

/// Writes the body of a request for a token.
pub(super) struct LoginRequest {
    login: Login,
    secret: SecretString,
}

impl fmt::Debug for LoginRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogIn")
    }
}

impl Signer for LoginRequest {
    fn sign(&self, request: &mut RawRequest) -> Result<(), BoxError> {
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.body = Some(self.body().to_string().into());
        Ok(())
    }
}

impl LoginRequest {
    fn body(&self) -> Value {
        let secret = self.secret.expose_secret();
        match &self.login {
            Login::Password(auth) => {
                let scope = match &auth.project_id {
                    Some(id) => json!({ "id": id }),
                    None => json!({ "name": auth.project, "domain": { "name": auth.project_domain } }),
                };
                json!({ "auth": {
                    "identity": { "methods": ["password"], "password": { "user": {
                        "name": auth.user,
                        "domain": { "name": auth.user_domain },
                        "password": secret,
                    } } },
                    "scope": { "project": scope },
                } })
            }
            Login::ApplicationCredential { id } => json!({ "auth": { "identity": {
                "methods": ["application_credential"],
                "application_credential": { "id": id, "secret": secret },
            } } }),
        }
    }
}

/// A token with what it is good for.
pub(super) struct Token {
    header: HeaderValue,
    until: Instant,
    /// The project that it is for.
    pub project: String,
    /// The services that the cloud has.
    pub catalogue: Vec<wire::CatalogueEntry>,
}

/// All requests of one login. One token at a time is asked for, however many wait for it.
pub(super) struct Session {
    keystone: Client,
    scope: Scope,
    token: tokio::sync::Mutex<Option<Arc<Token>>>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("keystone", &self.keystone.base_url().as_str())
            .finish_non_exhaustive()
    }
}

impl Session {
    pub(super) fn new(keystone: Client, scope: Scope) -> Arc<Self> {
        Arc::new(Self { keystone, scope, token: tokio::sync::Mutex::default() })
    }

    /// A client whose requests carry the token; without an address of its own.
    pub(super) fn client(self: &Arc<Self>) -> Client {
        let inner = self.keystone.transport();
        self.keystone
            .clone()
            .unsigned()
            .with_transport(Arc::new(TokenTransport { inner, session: self.clone() }))
    }

    /// A token that is not about to expire.
    pub(super) async fn token(&self, call: Call) -> Result<Arc<Token>> {
        self.token_unless(None, call).await
    }

    /// A token that is not the one that was refused.
    async fn token_unless(&self, refused: Option<&Arc<Token>>, call: Call) -> Result<Arc<Token>> {
        let mut kept = self.token.lock().await;
        let is_good = |token: &&Arc<Token>| {
            Instant::now() < token.until && refused.is_none_or(|refused| !Arc::ptr_eq(refused, token))
        };
        if let Some(token) = kept.as_ref().filter(is_good) {
            return Ok(token.clone());
        }
        let token = Arc::new(self.log_in(call).await?);
        *kept = Some(token.clone());
        Ok(token)
    }

    async fn log_in(&self, call: Call) -> Result<Token> {
        let asked = Instant::now();
        let request = Request::post(call, ["auth", "tokens"]).read_only();
        let response = self.keystone.send_ok(&request).await?;
        let missing = || response.protocol_error("x-subject-token: the response has no token");
        let secret = response.header("x-subject-token").ok_or_else(missing)?.to_owned();
        let mut header = HeaderValue::from_str(&secret).map_err(|_| missing())?;
        header.set_sensitive(true);
        self.keystone.redactor().add(SecretString::from(secret));
        let wire::TokenReply { token } = response.json()?;
        // By the cloud's clock alone: ours may be set differently.
        let life = Duration::try_from(token.expires_at.duration_since(token.issued_at)).unwrap_or_default();
        let project = token.project.ok_or_else(|| {
            response.protocol_error("token.project: the token has no project; name one in `auth`")
        })?;
        let is_it = self.scope.check(&project, token.user.as_ref());
        is_it.map_err(|why| response.error(ErrorKind::unavailable(why)))?;
        let project = project.id;
        Ok(Token {
            header,
            until: asked + life - RENEWAL_MARGIN.min(life / 4),
            project,
            catalogue: token.catalog.into_iter().collect(),
        })
    }
}

/// Keystone's failure is that of each request that needs a token; its words say why.
fn no_token(error: ProviderError) -> BoxError {
    ErrorContext::wrap(format!("no token: {}", error.kind), error).into()
}

/// Puts the token on each request, and asks once more with another token where the first is refused. A request that changes
/// something is sent again only if the service itself says so: what stands before it may refuse the answer to a request that
/// has gone through.
#[derive(Debug)]
struct TokenTransport {
    inner: Arc<dyn Transport>,
    session: Arc<Session>,
}

impl TokenTransport {
    async fn with(&self, token: &Token, request: &RawRequest) -> Result<RawResponse, TransportError> {
        let mut request = request.clone();
        request.headers.insert(TOKEN_HEADER, token.header.clone());
        self.inner.send(request).await
    }
}

#[async_trait]
impl Transport for TokenTransport {
    async fn send(&self, request: RawRequest) -> Result<RawResponse, TransportError> {
        let token = match self.session.token(Call::Describe).await {
            Ok(token) => token,
            Err(error) if matches!(error.kind, ErrorKind::Unauthorised | ErrorKind::Forbidden) => {
                return Ok(unauthorised_reply());
            }
            Err(error) => return Err(TransportError::NotSent(no_token(error))),
        };
        let response = self.with(&token, &request).await?;
        if response.status != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let read_only = request.method == Method::GET || request.method == Method::HEAD;
        if !read_only && !refuses_token(&response) {
            tracing::warn!("a 401 that is not in the service's own words; a change is not sent again");
            return Ok(response);
        }
        tracing::debug!("the token was refused; requesting another");
        match self.session.token_unless(Some(&token), Call::Describe).await {
            Ok(token) => self.with(&token, &request).await,
            Err(error) if matches!(error.kind, ErrorKind::Unauthorised | ErrorKind::Forbidden) => {
                Ok(response)
            }
            // It was sent once, and is not sent again.
            Err(error) => Err(TransportError::OutcomeUnknown(no_token(error))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::{super::errors::OpenStackErrors, *};
    use crate::provider::http::{HeaderMap, HttpConfig};

    const WORDS: &str = r#"{"error": {"code": 401, "title": "Unauthorized", "message": "no"}}"#;

    /// Answers each order in turn so, and each login by a token until it has no more.
    #[derive(Debug)]
    struct Fake {
        orders: Mutex<Vec<(&'static str, &'static str)>>,
        tokens: Mutex<u32>,
        sent: Mutex<u32>,
    }

    #[async_trait]
    impl Transport for Fake {
        async fn send(&self, request: RawRequest) -> Result<RawResponse, TransportError> {
            let mut headers = HeaderMap::new();
            if request.url.path().ends_with("/auth/tokens") {
                let mut tokens = self.tokens.lock().expect("nobody panics");
                let Some(left) = tokens.checked_sub(1) else {
                    return Err(TransportError::NotSent("keystone is down".into()));
                };
                *tokens = left;
                headers.insert("x-subject-token", format!("token-{left}").parse().expect("a value"));
                let body = json!({ "token": {
                    "issued_at": "2026-11-28T20:00:00.000000Z", "expires_at": "2026-11-29T20:00:00.000000Z",
                    "project": { "id": "p" }, "catalog": [],
                } });
                return Ok(RawResponse {
                    status: StatusCode::CREATED,
                    headers,
                    body: body.to_string().into(),
                });
            }
            *self.sent.lock().expect("nobody panics") += 1;
            let (kind, body) = self.orders.lock().expect("nobody panics").remove(0);
            let status = if kind.is_empty() { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
            match kind {
                "" => {}
                "challenge" => {
                    let challenge = "Keystone uri=\"https://keystone.example\"";
                    headers.insert("www-authenticate", challenge.parse().expect("a value"));
                }
                kind => {
                    headers.insert(CONTENT_TYPE, kind.parse().expect("a value"));
                }
            }
            Ok(RawResponse { status, headers, body: body.into() })
        }
    }

    /// How an order ends, and how often it was sent.
    async fn ordered(orders: &[(&'static str, &'static str)], tokens: u32) -> (Option<ErrorKind>, u32) {
        let fake = Arc::new(Fake {
            orders: Mutex::new(orders.to_vec()),
            tokens: Mutex::new(tokens),
            sent: Mutex::default(),
        });
        let id = "acme".parse().expect("a name");
        let keystone = Client::new(&id, "https://keystone.example/v3", &HttpConfig::default());
        let keystone =
            keystone.expect("a client").with_transport(fake.clone()).with_error_mapper(OpenStackErrors);
        let auth = json!({ "password": { "user": "u", "project_id": "p" } });
        let scope = Scope::of(&serde_json::from_value(auth).expect("a login"));
        let client = Session::new(keystone, scope).client();
        let error = client.send_ok(&Request::post(Call::Provision, ["servers"])).await.err();
        let sent = *fake.sent.lock().expect("nobody panics");
        (error.map(|error| error.kind), sent)
    }

    #[tokio::test]
    async fn an_order_is_sent_again_only_if_the_service_itself_refuses_the_token() {
        let done = ("", "{}");
        for own in [("application/json", WORDS), ("challenge", "Authentication required")] {
            assert_eq!(ordered(&[own, done], 9).await, (None, 2), "{own:?}");
            // Without another token, nobody knows.
            assert_eq!(ordered(&[own, done], 1).await, (Some(ErrorKind::Ambiguous), 1), "{own:?}");
        }
        for other in [
            ("text/html", "<html>the session is over</html>"),
            ("text/plain", WORDS),
            ("application/json", "{}"),
            ("application/json", r#"{"message": "Unauthorized"}"#),
            ("application/json", r#"{"error": {"code": 403, "title": "x", "message": "no"}}"#),
        ] {
            assert_eq!(ordered(&[other, done], 9).await, (Some(ErrorKind::Ambiguous), 1), "{other:?}");
        }
        // Nothing is sent where no token can be had.
        let (error, sent) = ordered(&[done], 0).await;
        assert!(matches!(error, Some(ErrorKind::NotSent { .. })) && sent == 0, "{error:?}");
    }
}
