//! What a TCP proxy cannot do: refusals, gateway errors and garbage, by chance.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use fulcrum_core::provider::http::{
    HeaderMap, RawRequest, RawResponse, StatusCode, Transport, TransportError,
};
use rand::{Rng, SeedableRng, rngs::StdRng};

/// Between a client and the network: every so often a request is answered by a gateway that never passed it on, or that
/// passed it on and broke the answer.
#[derive(Debug)]
pub struct Stormy {
    inner: Arc<dyn Transport>,
    state: Mutex<(StdRng, f64)>,
}

/// What happens to one request.
enum Weather {
    Fair,
    TooMany,
    Gateway { passes: bool, status: StatusCode },
    Garbage,
    Half,
}

impl Stormy {
    /// Fair until [`set`](Self::set).
    pub fn over(inner: Arc<dyn Transport>) -> Arc<Self> {
        Arc::new(Self { inner, state: Mutex::new((StdRng::seed_from_u64(0), 0.0)) })
    }

    /// Starts chance anew; so often (0 to 1) something goes wrong.
    pub fn set(&self, seed: u64, often: f64) {
        *self.state.lock().expect("nobody panics") = (StdRng::seed_from_u64(seed), often);
    }

    fn draw(&self) -> Weather {
        let mut state = self.state.lock().expect("nobody panics");
        let often = state.1;
        if !state.0.random_bool(often) {
            return Weather::Fair;
        }
        let passes = state.0.random_bool(0.5);
        match state.0.random_range(0..6) {
            0 => Weather::TooMany,
            1 => Weather::Gateway { passes, status: StatusCode::BAD_GATEWAY },
            2 => Weather::Gateway { passes, status: StatusCode::SERVICE_UNAVAILABLE },
            3 => Weather::Gateway { passes, status: StatusCode::GATEWAY_TIMEOUT },
            4 => Weather::Garbage,
            _ => Weather::Half,
        }
    }
}

#[async_trait]
impl Transport for Stormy {
    async fn send(&self, request: RawRequest) -> Result<RawResponse, TransportError> {
        let page = |status| RawResponse {
            status,
            headers: HeaderMap::new(),
            body: "<html><body>the gateway is sorry</body></html>".into(),
        };
        match self.draw() {
            Weather::Fair => self.inner.send(request).await,
            Weather::TooMany => Ok(page(StatusCode::TOO_MANY_REQUESTS)),
            Weather::Gateway { passes, status } => {
                if passes {
                    let _ = self.inner.send(request).await;
                }
                Ok(page(status))
            }
            Weather::Garbage => {
                let answer = self.inner.send(request).await?;
                Ok(RawResponse { body: vec![0xff, 0x00, b'{', b'['].into(), ..answer })
            }
            Weather::Half => {
                let answer = self.inner.send(request).await?;
                let half = answer.body.slice(..answer.body.len() / 2);
                Ok(RawResponse { body: half, ..answer })
            }
        }
    }
}
