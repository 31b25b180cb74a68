//! Lists that come in pages.

use std::collections::BTreeSet;

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};

use super::{Answer, Client, Request};
use crate::provider::{ErrorKind, ProviderError, Result};

/// Pages of one list; a list that does not end is a fault of its provider.
const MAX_PAGES: usize = 10_000;

/// One page of a list, and the request for the next one.
#[derive(Debug)]
pub struct Page<T> {
    /// What stands on it.
    pub items: Vec<T>,
    /// How to get the next one; none after the last.
    pub next: Option<Request>,
}

/// All items of a list, one request for each page that is polled. Ends, or yields one error and then ends: a list that comes
/// back to a page that was there, or has more than 10,000, is an error.
pub fn pages<T: Send + 'static>(
    client: Client,
    first: Request,
    read: impl Fn(&Request, &Answer) -> Result<Page<T>> + Send + Sync + 'static,
) -> BoxStream<'static, Result<T>> {
    let state = Some((first, BTreeSet::new()));
    let items = stream::unfold((state, client, read), |(state, client, read)| async move {
        let (request, mut seen) = state?;
        let page = async {
            let url = request.url(client.base()).to_string();
            if !seen.insert(url) || seen.len() > MAX_PAGES {
                let message = "its list does not end".to_owned();
                let kind = ErrorKind::Protocol { message };
                return Err(ProviderError::new(client.provider().clone(), request.call, kind));
            }
            read(&request, &client.ask(&request).await?)
        };
        match page.await {
            Ok(Page { items, next }) => {
                let items: Vec<Result<T>> = items.into_iter().map(Ok).collect();
                Some((items, (next.map(|next| (next, seen)), client, read)))
            }
            Err(error) => Some((vec![Err(error)], (None, client, read))),
        }
    });
    items.map(stream::iter).flatten().boxed()
}
