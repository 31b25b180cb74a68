//! Lists that come in pages, and the limits of every list.

use std::{collections::BTreeSet, time::Duration};

use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use tokio::time::Instant;

use super::{Answer, Client, Request};
use crate::{
    model::ProviderId,
    provider::{Call, ErrorKind, ProviderError, Result},
};

/// Pages of one list.
const MAX_PAGES: usize = 10_000;
/// Bytes of all pages of one list.
const MAX_BYTES: usize = 256 << 20;
/// Things in one list.
const MAX_ITEMS: usize = 100_000;
/// The longest time that one list may take.
const MAX_TIME: Duration = Duration::from_secs(600);

/// What one list may need. A list beyond that is a fault of its provider, or meant ill: it must neither fill the memory nor
/// hold a caller for ever.
#[derive(Debug, Clone, Copy)]
struct Limits {
    pages: usize,
    bytes: usize,
    items: usize,
    time: Duration,
}

const LIMITS: Limits = Limits { pages: MAX_PAGES, bytes: MAX_BYTES, items: MAX_ITEMS, time: MAX_TIME };

/// One page of a list, and the request for the next one.
#[derive(Debug)]
pub struct Page<T> {
    /// What stands on it.
    pub items: Vec<T>,
    /// How to get the next one; none after the last.
    pub next: Option<Request>,
}

/// All items of a list, one request for each page that is polled. Ends, or yields one error and then ends: a list that comes
/// back to a page that was there, or that has too many pages, bytes or items or takes too long, is an error.
pub fn pages<T: Send + 'static>(
    client: Client,
    first: Request,
    read: impl Fn(&Request, &Answer) -> Result<Page<T>> + Send + Sync + 'static,
) -> BoxStream<'static, Result<T>> {
    pages_within(LIMITS, client, first, read)
}

/// What was read of a list so far.
#[derive(Default)]
struct Seen {
    /// The addresses of its pages, and digests of what stood there.
    pages: BTreeSet<String>,
    bodies: BTreeSet<[u8; 32]>,
    bytes: usize,
}

impl Seen {
    fn address(&mut self, url: String, limits: &Limits) -> Result<(), String> {
        if !self.pages.insert(url) {
            return Err("its list does not end: it comes back to a page that was there".to_owned());
        }
        if self.pages.len() > limits.pages {
            return Err(format!("its list does not end: it has more than {} pages", limits.pages));
        }
        Ok(())
    }

    fn body(&mut self, body: &[u8], limits: &Limits) -> Result<(), String> {
        self.bytes = self.bytes.saturating_add(body.len());
        if self.bytes > limits.bytes {
            return Err(format!("its list has more than {} MiB", limits.bytes >> 20));
        }
        // What stands on a page differs from what stood on all others.
        if !self.bodies.insert(*blake3::hash(body).as_bytes()) {
            return Err("its list does not end: it says the same page again".to_owned());
        }
        Ok(())
    }
}

fn pages_within<T: Send + 'static>(
    limits: Limits,
    client: Client,
    first: Request,
    read: impl Fn(&Request, &Answer) -> Result<Page<T>> + Send + Sync + 'static,
) -> BoxStream<'static, Result<T>> {
    let (provider, call) = (client.provider().clone(), first.call());
    let state = Some((first, Seen::default()));
    let items = stream::unfold((state, client, read), move |(state, client, read)| async move {
        let (request, mut seen) = state?;
        let page = async {
            let broken = |message| protocol(client.provider(), request.call, message);
            seen.address(request.url(client.base()).to_string(), &limits).map_err(broken)?;
            let answer = client.ask(&request).await?;
            let page = read(&request, &answer)?;
            if seen.pages.len() > 1 || page.next.is_some() {
                seen.body(answer.body(), &limits).map_err(broken)?;
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
    within(limits, &provider, call, items.map(stream::iter).flatten())
}

/// A list with the limits of every list: so many items, so much time. Ends after its first error. Whatever an adapter lists,
/// also what comes in no pages or from several places, goes through this.
pub fn bounded<T: Send + 'static>(
    provider: &ProviderId,
    call: Call,
    list: impl Stream<Item = Result<T>> + Send + 'static,
) -> BoxStream<'static, Result<T>> {
    within(LIMITS, provider, call, list)
}

fn within<T: Send + 'static>(
    limits: Limits,
    provider: &ProviderId,
    call: Call,
    list: impl Stream<Item = Result<T>> + Send + 'static,
) -> BoxStream<'static, Result<T>> {
    let provider = provider.clone();
    let state = (Some(list.boxed()), 0_usize, None::<Instant>);
    stream::unfold(state, move |(list, count, end)| {
        let provider = provider.clone();
        async move {
            let mut list = list?;
            // From when it is first asked for.
            let end = match end {
                Some(end) => end,
                None => Instant::now().checked_add(limits.time)?,
            };
            let next = tokio::time::timeout_at(end, list.next());
            let item = match next.await {
                Err(_) => {
                    let message = format!("its list takes longer than {} s", limits.time.as_secs());
                    Err(protocol(&provider, call, message))
                }
                Ok(None) => return None,
                Ok(Some(Ok(_))) if count >= limits.items => {
                    let message = format!("its list has more than {} items", limits.items);
                    Err(protocol(&provider, call, message))
                }
                Ok(Some(item)) => item,
            };
            let list = item.is_ok().then_some(list);
            Some((item, (list, count.saturating_add(1), Some(end))))
        }
    })
    .boxed()
}

fn protocol(provider: &ProviderId, call: Call, message: String) -> ProviderError {
    ProviderError::new(provider.clone(), call, ErrorKind::Protocol { message })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> ProviderId {
        ProviderId::new("acme").expect("a name")
    }

    async fn told(list: BoxStream<'static, Result<u32>>) -> (usize, String) {
        let all: Vec<_> = list.collect().await;
        let error = all.last().and_then(|last| last.as_ref().err()).map(ToString::to_string);
        (all.len(), error.unwrap_or_default())
    }

    #[tokio::test(start_paused = true)]
    async fn no_list_is_longer_or_takes_longer_than_it_may() {
        let limits = Limits { items: 3, time: Duration::from_secs(10), ..LIMITS };
        let list = |list| within(limits, &id(), Call::Services, list);
        let (count, words) = told(list(stream::iter(0..3).map(Ok).boxed())).await;
        assert_eq!((count, words.as_str()), (3, ""));
        let (count, words) = told(list(stream::repeat(7).map(Ok).boxed())).await;
        assert!(count == 4 && words.contains("more than 3 items"), "{count} {words}");
        let (count, words) = told(list(stream::pending().boxed())).await;
        assert!(count == 1 && words.contains("longer than 10 s"), "{count} {words}");
        let broken = || Err(protocol(&id(), Call::Services, "no".to_owned()));
        let (count, _) = told(list(stream::iter([Ok(1), broken(), Ok(2)]).boxed())).await;
        assert_eq!(count, 2, "it ends after its first error");
    }

    #[test]
    fn what_was_read_of_a_list_is_counted() {
        let limits = Limits { pages: 2, bytes: 2 << 20, ..LIMITS };
        let mut seen = Seen::default();
        assert_eq!(seen.address("a".to_owned(), &limits), Ok(()));
        assert!(seen.address("a".to_owned(), &limits).expect_err("again").contains("was there"));
        assert_eq!(seen.address("b".to_owned(), &limits), Ok(()));
        assert!(seen.address("c".to_owned(), &limits).expect_err("many").contains("more than 2 pages"));
        assert_eq!(seen.body(&[1; 1 << 20], &limits), Ok(()));
        assert!(seen.body(&[1; 1 << 20], &limits).expect_err("the same").contains("the same page"));
        assert!(seen.body(&[2], &limits).expect_err("large").contains("more than 2 MiB"));
    }
}
