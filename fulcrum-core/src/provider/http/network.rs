//! The network transport: TLS, proxies, and whether a request was sent.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
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
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::{
    HttpConfig, HttpConfigError, RawRequest, RawResponse, Transport, TransportError,
    config::{is_local_name, is_loopback, is_proxy_here},
    diagnosis::Route,
    transport::MAX_ERROR_BODY_BYTES,
};
use crate::{
    files::read_regular,
    provider::{BoxError, ErrorContext},
};

/// Bytes of a file of certificate authorities: ten times the public ones.
const MAX_PEM_BYTES: u64 = 4 << 20;

/// Sends requests over the network, by TLS unless the API is on this machine.
///
/// Requests to this machine bypass the environment's proxy: cleartext must not leave the machine.
#[derive(Debug)]
pub struct NetworkTransport {
    http: reqwest::Client,
    /// For APIs on this machine.
    here: reqwest::Client,
    max_answer_bytes: usize,
    has_authorities: bool,
    proxy: Option<String>,
    timeout: Duration,
}

impl NetworkTransport {
    /// A transport with these settings. Does not connect yet.
    ///
    /// # Errors
    /// [`HttpConfigError`]: the file of authorities cannot be read, or the proxy is not a valid address.
    pub fn new(config: &HttpConfig) -> Result<Self, HttpConfigError> {
        let setting = |error: reqwest::Error| HttpConfigError::Setting(error.to_string());
        let ours = concat!("fulcrum/", env!("CARGO_PKG_VERSION"));
        let user_agent =
            config.user_agent.as_ref().map_or_else(|| ours.to_owned(), |theirs| format!("{theirs} {ours}"));
        let (tls, has_authorities) = tls(config)?;
        let client = |is_here: bool| {
            let mut builder = reqwest::Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .connect_timeout(Duration::from_millis(config.connect_timeout_ms.max(1)))
                .timeout(config.timeout())
                .user_agent(&user_agent);
            if is_here {
                builder = builder.no_proxy().dns_resolver(Arc::new(LoopbackResolver));
            }
            if let Some(proxy) = config.proxy.as_ref().filter(|proxy| !is_here || is_proxy_here(proxy)) {
                builder = builder.proxy(reqwest::Proxy::all(proxy).map_err(setting)?);
            }
            if !config.keep_alive {
                builder = builder.pool_max_idle_per_host(0);
            }
            builder.build().map_err(setting)
        };
        Ok(Self {
            http: client(false)?,
            here: client(true)?,
            max_answer_bytes: config.checked_max_answer_bytes()?,
            has_authorities,
            proxy: config.proxy.clone(),
            timeout: config.timeout(),
        })
    }
}

/// Resolves names of this machine without the network.
#[derive(Debug)]
struct LoopbackResolver;

impl Resolve for LoopbackResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            if !is_local_name(name.as_str()) {
                return Err(format!("{} is not a name of this machine", name.as_str()).into());
            }
            let here = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
            let addresses: Addrs = Box::new(here.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

/// The environment's proxy for a host; none for hosts in `NO_PROXY`.
fn environment_proxy(host: &str) -> Option<String> {
    let named =
        |names: [&str; 2]| names.iter().find_map(|name| std::env::var(name).ok()).filter(|it| !it.is_empty());
    let no_proxy = named(["NO_PROXY", "no_proxy"]).unwrap_or_default();
    let is_bypassed = no_proxy
        .split(',')
        .map(|name| name.trim().trim_start_matches('.'))
        .any(|name| name == "*" || name == host || (!name.is_empty() && host.ends_with(&format!(".{name}"))));
    named(["HTTPS_PROXY", "https_proxy"])
        .or_else(|| named(["ALL_PROXY", "all_proxy"]))
        .filter(|_| !is_bypassed)
}

/// Host and port of an address, without a login.
fn host_and_port(url: &url::Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// TLS with the certificate authorities of the system and the configuration, and whether there are any.
fn tls(config: &HttpConfig) -> Result<(rustls::ClientConfig, bool), HttpConfigError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = &config.ca_file {
        let io = |source| HttpConfigError::Io { path: path.clone(), source };
        let pem = read_regular(path, MAX_PEM_BYTES).map_err(io)?;
        let wrong = |why: String| HttpConfigError::Setting(format!("{}: {why}", path.display()));
        let mut count = 0;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
            count += 1;
        }
        if count == 0 {
            return Err(wrong("the file has no certificate in PEM; name another `ca_file`".to_owned()));
        }
    }
    let has_authorities = !roots.is_empty();
    let mut config =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| HttpConfigError::Setting(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((config, has_authorities))
}

impl NetworkTransport {
    fn route(&self, url: &url::Url) -> Route {
        let host = url.host_str().unwrap_or_default();
        let proxy = match is_loopback(url) {
            true => self.proxy.clone().filter(|proxy| is_proxy_here(proxy)),
            false => self.proxy.clone().or_else(|| environment_proxy(host)),
        };
        // A bare name is one as well.
        let proxy = proxy.map(|proxy| if proxy.contains("://") { proxy } else { format!("http://{proxy}") });
        Route {
            api: host_and_port(url),
            proxy: proxy.and_then(|proxy| url::Url::parse(&proxy).ok()).map(|proxy| host_and_port(&proxy)),
            has_authorities: self.has_authorities,
            timeout_s: self.timeout.as_secs_f32(),
        }
    }
}

#[async_trait]
impl Transport for NetworkTransport {
    async fn send(&self, request: RawRequest) -> Result<RawResponse, TransportError> {
        let route = self.route(&request.url);
        let describe = |error: reqwest::Error| -> BoxError {
            ErrorContext::wrap(route.diagnose(&error), error.without_url()).into()
        };
        let was_polled = Arc::new(AtomicBool::new(false));
        let has_body = request.body.as_ref().is_some_and(|body| !body.is_empty());
        let http = if is_loopback(&request.url) { &self.here } else { &self.http };
        let mut builder = http.request(request.method, request.url).headers(request.headers);
        if let Some(body) = request.body {
            builder = builder
                .body(reqwest::Body::wrap(TrackedBody { body: Some(body), was_polled: was_polled.clone() }));
        }
        let mut response = builder.send().await.map_err(|error| {
            // A server cannot act on a request whose body was never sent.
            let was_not_sent =
                error.is_connect() || error.is_builder() || (has_body && !was_polled.load(Ordering::Acquire));
            let error = describe(error);
            if was_not_sent { TransportError::NotSent(error) } else { TransportError::OutcomeUnknown(error) }
        })?;
        let limit = self.max_answer_bytes;
        // An error body is read up to one byte more than its limit: then it is too long, but its status still counts.
        let is_error = !response.status().is_success();
        let limit = if is_error { limit.min(MAX_ERROR_BODY_BYTES + 1) } else { limit };
        let mut body = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|error| TransportError::OutcomeUnknown(describe(error)))?
        {
            let room = limit - body.len();
            if chunk.len() > room && !is_error {
                return Err(TransportError::TooLarge { limit });
            }
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if is_error && body.len() == limit {
                break;
            }
        }
        Ok(RawResponse {
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body: body.into(),
        })
    }
}

/// A request body that records whether the HTTP stack has begun to send it.
#[derive(Debug)]
struct TrackedBody {
    body: Option<Bytes>,
    was_polled: Arc<AtomicBool>,
}

impl http_body::Body for TrackedBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.was_polled.store(true, Ordering::Release);
        Poll::Ready(self.body.take().map(|body| Ok(Frame::data(body))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.body.as_ref().map_or(0, |body| body.len() as u64))
    }
}
