//! A cache of price lists, revalidated by conditional requests.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use ::http::{
    StatusCode,
    header::{ETAG, LAST_MODIFIED},
};

use super::{Client, Request, Response};
use crate::provider::Result;

/// Responses that are kept, at most.
const MAX_CACHED_RESPONSES: usize = 256;

/// Caches responses to read requests by address, and revalidates them by ETag or Last-Modified (RFC 9110, section 13). In
/// memory; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Cache {
    responses: Arc<Mutex<BTreeMap<String, CachedResponse>>>,
}

#[derive(Debug, Clone)]
struct CachedResponse {
    response: Arc<Response>,
    /// When the provider last confirmed it.
    confirmed_at: Instant,
}

impl Cache {
    /// The response to a request, and its age: at most `fresh_for`, or just confirmed.
    ///
    /// # Errors
    /// As [`Client::send_ok`]; a stale response is never returned instead.
    pub async fn fetch(
        &self,
        client: &Client,
        request: &Request,
        fresh_for: Duration,
    ) -> Result<(Arc<Response>, Duration)> {
        let name = request.url(client.base_url()).to_string();
        let kept = self.responses.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
        let mut conditional = request.clone();
        if let Some(kept) = &kept {
            let age = kept.confirmed_at.elapsed();
            if age < fresh_for {
                return Ok((kept.response.clone(), age));
            }
            if let Some(tag) = kept.response.header(ETAG.as_str()) {
                conditional = conditional.header("if-none-match", tag);
            } else if let Some(date) = kept.response.header(LAST_MODIFIED.as_str()) {
                conditional = conditional.header("if-modified-since", date);
            }
        }
        let confirmed_at = Instant::now();
        let response = client.send(&conditional).await?;
        let response = match kept {
            Some(kept) if response.status() == StatusCode::NOT_MODIFIED => kept.response,
            _ => {
                client.check(&response)?;
                Arc::new(response)
            }
        };
        let mut all = self.responses.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_CACHED_RESPONSES && !all.contains_key(&name) {
            let oldest = all.iter().min_by_key(|(_, kept)| kept.confirmed_at).map(|(name, _)| name.clone());
            oldest.map(|name| all.remove(&name));
        }
        all.insert(name, CachedResponse { response: response.clone(), confirmed_at });
        Ok((response, confirmed_at.elapsed()))
    }
}
