//! Pagination, and the limits of every list.

use std::collections::BTreeSet;

use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};

use super::{Client, Request, Response};
use crate::{
    model::ProviderId,
    provider::{Call, ErrorKind, ProviderError, Result, StreamLimits},
};

/// Pages of one list, at most.
const MAX_PAGES: usize = 10_000;
/// Bytes of all pages of one list, at most.
const MAX_BYTES: usize = 256 << 20;

/// Limits of one paginated list, besides those of every list.
#[derive(Debug, Clone, Copy)]
struct Limits {
    pages: usize,
    bytes: usize,
}

const LIMITS: Limits = Limits { pages: MAX_PAGES, bytes: MAX_BYTES };

/// One page of a list, and the request for the next one.
#[derive(Debug)]
pub struct Page<T> {
    /// Its items.
    pub items: Vec<T>,
    /// The request for the next page; none after the last.
    pub next: Option<Request>,
}

/// All items of a paginated list, with one request for each page that is polled. The stream yields at most one error, and then
/// ends. A list that repeats a page, exceeds a limit or takes too long is an error.
pub fn paginate<T: Send + 'static>(
    client: Client,
    first: Request,
    read: impl Fn(&Request, &Response) -> Result<Page<T>> + Send + Sync + 'static,
) -> BoxStream<'static, Result<T>> {
    let (provider, call) = (client.provider().clone(), first.call());
    let state = Some((first, Seen::default()));
    let items = stream::unfold((state, client, read), move |(state, client, read)| async move {
        let (request, mut seen) = state?;
        let page = async {
            let broken = |message| protocol(client.provider(), request.call, message);
            seen.address(request.url(client.base_url()).to_string(), &LIMITS).map_err(broken)?;
            let response = client.send_ok(&request).await?;
            let page = read(&request, &response)?;
            if seen.pages.len() > 1 || page.next.is_some() {
                seen.body(response.body(), &LIMITS).map_err(broken)?;
            }
            Ok(page)
        };
        match page.await {
            Ok(Page { items, next }) => {
                let items: Vec<Result<T>> = items.into_iter().map(Ok).collect();
                Some((items, (next.map(|next| (next, seen)), client, read)))
            }
            Err(error) => Some((vec![Err(error)], (None, client, read))),
        }
    });
    bounded(&provider, call, items.map(stream::iter).flatten())
}

/// The pages of a list that were read so far.
#[derive(Default)]
struct Seen {
    /// Addresses of these pages, and digests of their bodies.
    pages: BTreeSet<String>,
    bodies: BTreeSet<[u8; 32]>,
    bytes: usize,
}

impl Seen {
    fn address(&mut self, url: String, limits: &Limits) -> Result<(), String> {
        if !self.pages.insert(url) {
            return Err(
                "the list does not end: it returned to an earlier page; report it to the provider".to_owned()
            );
        }
        if self.pages.len() > limits.pages {
            return Err(format!("the list has more than {} pages; report it to the provider", limits.pages));
        }
        Ok(())
    }

    fn body(&mut self, body: &[u8], limits: &Limits) -> Result<(), String> {
        self.bytes = self.bytes.saturating_add(body.len());
        if self.bytes > limits.bytes {
            return Err(format!(
                "the list has more than {} MiB; report it to the provider",
                limits.bytes >> 20
            ));
        }
        // Two pages of one list never have equal bodies.
        if !self.bodies.insert(*blake3::hash(body).as_bytes()) {
            return Err(
                "the list does not end: it repeated the same page; report it to the provider".to_owned()
            );
        }
        Ok(())
    }
}

/// A list with the limits of every list on items and time. Ends after its first error. An adapter passes each of its lists
/// through this function, also a list without pages or from several places.
pub fn bounded<T: Send + 'static>(
    provider: &ProviderId,
    call: Call,
    list: impl Stream<Item = Result<T>> + Send + 'static,
) -> BoxStream<'static, Result<T>> {
    StreamLimits::LIST.apply(provider, call, list)
}

fn protocol(provider: &ProviderId, call: Call, message: String) -> ProviderError {
    ProviderError::new(provider.clone(), call, ErrorKind::Protocol { message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_of_a_list_is_counted() {
        let limits = Limits { pages: 2, bytes: 2 << 20 };
        let mut seen = Seen::default();
        assert_eq!(seen.address("a".to_owned(), &limits), Ok(()));
        assert!(seen.address("a".to_owned(), &limits).expect_err("again").contains("an earlier page"));
        assert_eq!(seen.address("b".to_owned(), &limits), Ok(()));
        assert!(seen.address("c".to_owned(), &limits).expect_err("many").contains("more than 2 pages"));
        assert_eq!(seen.body(&[1; 1 << 20], &limits), Ok(()));
        assert!(seen.body(&[1; 1 << 20], &limits).expect_err("the same").contains("the same page"));
        assert!(seen.body(&[2], &limits).expect_err("large").contains("more than 2 MiB"));
    }
}
