//! Price lists that are asked for again only when they have changed.

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

/// Answers that are kept.
const MOST: usize = 256;

/// Keeps answers to requests that read, by their address, and asks again with what the provider gave to compare by (RFC
/// 9110, section 13). In memory; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Cache {
    kept: Arc<Mutex<BTreeMap<String, Kept>>>,
}

#[derive(Debug, Clone)]
struct Kept {
    response: Arc<Response>,
    /// When the provider last said that it is right.
    at: Instant,
}

impl Cache {
    /// The answer to a request, and how old it is: at most `fresh_for`, or confirmed just now.
    ///
    /// # Errors
    /// As [`Client::send_ok`]; an old answer is never given instead.
    pub async fn fetch(
        &self,
        client: &Client,
        request: &Request,
        fresh_for: Duration,
    ) -> Result<(Arc<Response>, Duration)> {
        let name = request.url(client.base_url()).to_string();
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
        let mut asked = request.clone();
        if let Some(kept) = &kept {
            let age = kept.at.elapsed();
            if age < fresh_for {
                return Ok((kept.response.clone(), age));
            }
            if let Some(tag) = kept.response.header(ETAG.as_str()) {
                asked = asked.header("if-none-match", tag);
            } else if let Some(date) = kept.response.header(LAST_MODIFIED.as_str()) {
                asked = asked.header("if-modified-since", date);
            }
        }
        let at = Instant::now();
        let response = client.send(&asked).await?;
        let response = match kept {
            Some(kept) if response.status() == StatusCode::NOT_MODIFIED => kept.response,
            _ => {
                client.check(&response)?;
                Arc::new(response)
            }
        };
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST && !all.contains_key(&name) {
            let oldest = all.iter().min_by_key(|(_, kept)| kept.at).map(|(name, _)| name.clone());
            oldest.map(|name| all.remove(&name));
        }
        all.insert(name, Kept { response: response.clone(), at });
        Ok((response, at.elapsed()))
    }
}
