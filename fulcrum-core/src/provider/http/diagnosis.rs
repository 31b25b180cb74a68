//! Why a request failed on the network, and what to do: the network's own errors name neither host nor remedy.

use std::{error::Error, io};

use rustls::CertificateError;

/// The route of a request, for the message of its failure.
#[derive(Debug, Clone)]
pub(super) struct Route {
    /// Host and port of the API.
    pub(super) api: String,
    /// Host and port of the proxy; none if there is none.
    pub(super) proxy: Option<String>,
    /// Whether any certificate authority is known here.
    pub(super) has_authorities: bool,
    /// The time-out of the whole request.
    pub(super) timeout_s: f32,
}

impl Route {
    /// The cause and the remedy of a network error, by its chain of sources.
    pub(super) fn diagnose(&self, error: &reqwest::Error) -> String {
        let causes: Vec<&(dyn Error + 'static)> = chain(error).collect();
        let tls = causes.iter().find_map(|cause| cause.downcast_ref::<rustls::Error>());
        let io = causes.iter().rev().find_map(|cause| cause.downcast_ref::<io::Error>());
        let says = |words: &str| causes.iter().any(|cause| cause.to_string().starts_with(words));
        let last = causes.last().map(ToString::to_string).unwrap_or_default();
        let (api, place, setting) = match &self.proxy {
            Some(proxy) => {
                (&self.api, format!("the proxy {proxy}"), "the proxy's address (`proxy`, HTTPS_PROXY)")
            }
            None => (&self.api, self.api.clone(), "`base_url`, and whether the service runs"),
        };
        if let Some(tls) = tls {
            return self.diagnose_tls(tls);
        }
        if says("tunnel error: proxy authorization required") {
            return format!(
                "{place} wants a login; write it into the proxy's address (`proxy`, HTTPS_PROXY)"
            );
        }
        if says("tunnel error: ") && !says("tunnel error: failed to create underlying connection") {
            return format!(
                "{place} does not let through to {api} ({last}); ask who runs it, or name {api} in NO_PROXY"
            );
        }
        if says("dns error") {
            return format!(
                "the name of {place} cannot be resolved ({last}); check {setting}, and this machine's DNS"
            );
        }
        match io.map(io::Error::kind) {
            Some(io::ErrorKind::ConnectionRefused) => {
                format!("{place} refused the connection; check {setting}")
            }
            Some(io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable) => {
                format!("there is no way to {place} ({last}); check this machine's network")
            }
            _ if error.is_timeout() && error.is_connect() => {
                format!("{place} did not take the connection in time; check {setting}, and firewalls")
            }
            _ if error.is_timeout() => format!("{api} did not answer within {} s", self.timeout_s),
            _ if error.is_connect() => format!("no connection to {place} ({last}); check {setting}"),
            Some(
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof,
            ) => {
                format!("{api} closed the connection before its response was complete ({last})")
            }
            _ => format!("no complete response from {api} ({last})"),
        }
    }

    fn diagnose_tls(&self, error: &rustls::Error) -> String {
        let api = &self.api;
        let host = api.rsplit_once(':').map_or(api.as_str(), |(host, _)| host);
        match error {
            rustls::Error::InvalidCertificate(why) => match why {
                CertificateError::UnknownIssuer if !self.has_authorities => {
                    "this machine has no certificate authorities; install them (the package ca-certificates), or name a \
                     file of them in SSL_CERT_FILE or `ca_file`"
                        .to_owned()
                }
                CertificateError::UnknownIssuer => format!(
                    "the certificate of {host} is of an authority that is not trusted here; name the authority's file in \
                     `ca_file`, or look whether somebody stands between"
                ),
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
                    "the certificate is not for the name {host}; write the name that it is for into `base_url`"
                ),
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    format!("the certificate of {host} has expired; check this machine's clock, or tell who runs it")
                }
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    format!("the certificate of {host} is not valid yet; check this machine's clock")
                }
                CertificateError::Revoked => format!("the certificate of {host} was revoked; tell who runs it"),
                other => format!("the certificate of {host} is not valid ({other}); tell who runs it"),
            },
            rustls::Error::InvalidMessage(_) => {
                format!("{api} does not speak TLS; check the port of `base_url`")
            }
            rustls::Error::AlertReceived(alert) => format!("{host} refused TLS ({alert:?}); ask who runs it"),
            other => format!("TLS with {host} failed ({other})"),
        }
    }
}

/// An error and all its sources, also those inside an I/O error.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
        Some(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(has_authorities: bool) -> Route {
        Route { api: "cloud.example:443".to_owned(), proxy: None, has_authorities, timeout_s: 1.0 }
    }

    #[test]
    fn a_machine_without_authorities_is_told_from_an_unknown_one() {
        let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let words = route(false).diagnose_tls(&unknown);
        assert!(words.contains("no certificate authorities") && words.contains("ca-certificates"), "{words}");
        let words = route(true).diagnose_tls(&unknown);
        assert!(words.contains("cloud.example is of an authority") && words.contains("`ca_file`"), "{words}");
    }

    #[test]
    fn each_fault_of_a_certificate_has_its_words() {
        let words = |why| route(true).diagnose_tls(&rustls::Error::InvalidCertificate(why));
        assert!(words(CertificateError::NotValidForName).contains("not for the name cloud.example"));
        assert!(words(CertificateError::Expired).contains("has expired"));
        assert!(words(CertificateError::NotValidYet).contains("this machine's clock"));
        assert!(words(CertificateError::BadSignature).contains("is not valid (BadSignature)"));
    }
}
