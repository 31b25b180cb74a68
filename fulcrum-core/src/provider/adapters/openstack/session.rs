//! Tokens: asked for when the first is needed, kept, renewed before they expire, and once when one is refused.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use reqwest::header::CONTENT_TYPE;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{config::PasswordAuth, scope::Scope, wire};
use crate::provider::{
    BoxError, Call, ErrorKind, ProviderError, Result, Worded,
    http::{
        Client, HeaderMap, HeaderName, HeaderValue, Lost, Request, Signer, StatusCode, Transport, WireAnswer,
        WireRequest,
    },
};

const TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
/// A token is not used in its last minute, or its last quarter if it lives for less.
const MARGIN: Duration = Duration::from_secs(60);

/// Who asks.
#[derive(Debug, Clone)]
pub(super) enum Login {
    Password(PasswordAuth),
    ApplicationCredential { id: String },
}

impl Login {
    /// With its secret.
    pub(super) fn with(&self, secrets: &[SecretString]) -> LogIn {
        LogIn { login: self.clone(), secret: secrets.first().cloned().unwrap_or_default() }
    }
}

/// Writes the body of a request for a token.
pub(super) struct LogIn {
    login: Login,
    secret: SecretString,
}

impl fmt::Debug for LogIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogIn")
    }
}

impl Signer for LogIn {
    fn sign(&self, request: &mut WireRequest) -> Result<(), BoxError> {
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.body = Some(self.body().to_string().into());
        Ok(())
    }
}

impl LogIn {
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
        f.debug_struct("Session").field("keystone", &self.keystone.base().as_str()).finish_non_exhaustive()
    }
}

impl Session {
    pub(super) fn new(keystone: Client, scope: Scope) -> Arc<Self> {
        Arc::new(Self { keystone, scope, token: tokio::sync::Mutex::default() })
    }

    /// A client whose requests carry the token; without an address of its own.
    pub(super) fn client(self: &Arc<Self>) -> Client {
        let inner = self.keystone.transport();
        self.keystone.clone().unsigned().over(Arc::new(Tokened { inner, session: self.clone() }))
    }

    /// A token that is not about to expire.
    pub(super) async fn token(&self, call: Call) -> Result<Arc<Token>> {
        self.other_than(None, call).await
    }

    /// A token that is not the one that was refused.
    async fn other_than(&self, refused: Option<&Arc<Token>>, call: Call) -> Result<Arc<Token>> {
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
        let request = Request::post(call, ["auth", "tokens"]).only_reads();
        let answer = self.keystone.ask(&request).await?;
        let missing = || answer.nonsense("x-subject-token: there is no token");
        let secret = answer.header("x-subject-token").ok_or_else(missing)?.to_owned();
        let mut header = HeaderValue::from_str(&secret).map_err(|_| missing())?;
        header.set_sensitive(true);
        self.keystone.redactor().add(SecretString::from(secret));
        let wire::TokenAnswer { token } = answer.json()?;
        // By the cloud's clock alone: ours may be set differently.
        let life = Duration::try_from(token.expires_at.duration_since(token.issued_at)).unwrap_or_default();
        let project = token.project.ok_or_else(|| answer.nonsense("token.project: it is for no project"))?;
        let is_it = self.scope.check(&project, token.user.as_ref());
        is_it.map_err(|why| answer.error(ErrorKind::unavailable(why)))?;
        let project = project.id;
        Ok(Token {
            header,
            until: asked + life - MARGIN.min(life / 4),
            project,
            catalogue: token.catalog.into_iter().collect(),
        })
    }
}

/// Keystone's failure is that of each request that needs a token; its words say why.
fn no_token(error: ProviderError) -> Lost {
    Lost::NotSent(Worded::above(format!("no token: {}", error.kind), error).into())
}

/// Puts the token on each request. A refused one had no effect, so that the request is sent once more with another.
#[derive(Debug)]
struct Tokened {
    inner: Arc<dyn Transport>,
    session: Arc<Session>,
}

impl Tokened {
    async fn with(&self, token: &Token, request: &WireRequest) -> Result<WireAnswer, Lost> {
        let mut request = request.clone();
        request.headers.insert(TOKEN, token.header.clone());
        self.inner.send(request).await
    }
}

#[async_trait]
impl Transport for Tokened {
    async fn send(&self, request: WireRequest) -> Result<WireAnswer, Lost> {
        let token = match self.session.token(Call::Describe).await {
            Ok(token) => token,
            Err(error) if matches!(error.kind, ErrorKind::Unauthorised | ErrorKind::Forbidden) => {
                let (headers, body) = (HeaderMap::new(), Default::default());
                return Ok(WireAnswer { status: StatusCode::UNAUTHORIZED, headers, body });
            }
            Err(error) => return Err(no_token(error)),
        };
        let answer = self.with(&token, &request).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        tracing::debug!("the token was refused; asking for another");
        match self.session.other_than(Some(&token), Call::Describe).await {
            Ok(token) => self.with(&token, &request).await,
            Err(error) if matches!(error.kind, ErrorKind::Unauthorised | ErrorKind::Forbidden) => Ok(answer),
            Err(error) => Err(no_token(error)),
        }
    }
}
