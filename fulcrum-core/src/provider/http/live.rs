//! The network.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::{HttpConfig, HttpConfigError, Lost, Transport, WireAnswer, WireRequest};

/// Sends requests over the network, by TLS unless to this machine itself.
#[derive(Debug)]
pub struct Live {
    http: reqwest::Client,
    max_answer_bytes: usize,
}

impl Live {
    /// As configured. Does not connect yet.
    ///
    /// # Errors
    /// [`HttpConfigError`]: the file of authorities cannot be read, or the proxy is no address.
    pub fn new(config: &HttpConfig) -> Result<Self, HttpConfigError> {
        let setting = |error: reqwest::Error| HttpConfigError::Setting(error.to_string());
        let ours = concat!("fulcrum/", env!("CARGO_PKG_VERSION"));
        let user_agent =
            config.user_agent.as_ref().map_or_else(|| ours.to_owned(), |theirs| format!("{theirs} {ours}"));
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(config)?)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(Duration::from_millis(config.connect_timeout_ms.max(1)))
            .timeout(config.timeout())
            .user_agent(user_agent);
        if let Some(proxy) = &config.proxy {
            builder = builder.proxy(reqwest::Proxy::all(proxy).map_err(setting)?);
        }
        if !config.keep_alive {
            builder = builder.pool_max_idle_per_host(0);
        }
        Ok(Self { http: builder.build().map_err(setting)?, max_answer_bytes: config.max_answer_bytes })
    }
}

/// The system's authorities and those of the configuration.
fn tls(config: &HttpConfig) -> Result<rustls::ClientConfig, HttpConfigError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = &config.ca_file {
        let pem = std::fs::read(path).map_err(|source| HttpConfigError::Io { path: path.clone(), source })?;
        let wrong = |why: String| HttpConfigError::Setting(format!("{}: {why}", path.display()));
        let mut count = 0;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
            count += 1;
        }
        if count == 0 {
            return Err(wrong("no certificate in PEM is in it".to_owned()));
        }
    }
    let mut config =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| HttpConfigError::Setting(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

#[async_trait]
impl Transport for Live {
    async fn send(&self, request: WireRequest) -> Result<WireAnswer, Lost> {
        let is_out = Arc::new(AtomicBool::new(false));
        let has_body = request.body.as_ref().is_some_and(|body| !body.is_empty());
        let mut builder = self.http.request(request.method, request.url).headers(request.headers);
        if let Some(body) = request.body {
            builder = builder.body(reqwest::Body::wrap(Watched { body: Some(body), is_out: is_out.clone() }));
        }
        let mut answer = builder.send().await.map_err(|error| {
            // A server cannot act on a request whose body never left.
            let is_safe =
                error.is_connect() || error.is_builder() || (has_body && !is_out.load(Ordering::Acquire));
            let error = Box::new(error.without_url());
            if is_safe { Lost::NotSent(error) } else { Lost::Unknown(error) }
        })?;
        let limit = self.max_answer_bytes;
        let mut body = Vec::new();
        while let Some(chunk) =
            answer.chunk().await.map_err(|error| Lost::Unknown(Box::new(error.without_url())))?
        {
            if chunk.len() > limit - body.len() {
                return Err(Lost::TooLarge { limit });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(WireAnswer {
            status: answer.status(),
            headers: std::mem::take(answer.headers_mut()),
            body: body.into(),
        })
    }
}

/// A body that tells whether anybody has begun to send it.
#[derive(Debug)]
struct Watched {
    body: Option<Bytes>,
    is_out: Arc<AtomicBool>,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.is_out.store(true, Ordering::Release);
        Poll::Ready(self.body.take().map(|body| Ok(Frame::data(body))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.body.as_ref().map_or(0, |body| body.len() as u64))
    }
}
