//! Limits of every list on items and time, so that no list fills the memory or blocks its caller for ever.

use std::time::Duration;

use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use tokio::time::Instant;

use super::{Call, ErrorKind, ProviderError, Result};
use crate::model::ProviderId;

/// Items after which the stream yields to the scheduler: a list that never waits would block its thread and its deadline.
const YIELD_EVERY_ITEMS: usize = 1024;

/// Limits of one list. A longer list is a fault of its provider, or an attack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StreamLimits {
    /// Items, at most.
    pub(crate) items: usize,
    /// Time from the first request to the last item.
    pub(crate) time: Duration,
}

impl StreamLimits {
    /// For most lists.
    pub(crate) const LIST: Self = Self { items: 100_000, time: Duration::from_secs(600) };
    /// For offers, which are products times places, and for usage.
    pub(crate) const LONG_LIST: Self = Self { items: 1_000_000, ..Self::LIST };

    /// The list within these limits. Ends after its first error.
    pub(crate) fn apply<T: Send + 'static>(
        self,
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
                let end = match end {
                    Some(end) => end,
                    None => Instant::now().checked_add(self.time)?,
                };
                if count % YIELD_EVERY_ITEMS == YIELD_EVERY_ITEMS - 1 {
                    tokio::task::yield_now().await;
                }
                let fail = |message| {
                    Err(ProviderError::new(provider.clone(), call, ErrorKind::Protocol { message }))
                };
                let late = || {
                    fail(format!(
                        "the list takes longer than {} s; report it to the provider",
                        self.time.as_secs()
                    ))
                };
                let item = match tokio::time::timeout_at(end, list.next()).await {
                    Err(_) => late(),
                    Ok(None) => return None,
                    Ok(Some(Ok(_))) if count >= self.items => fail(format!(
                        "the list has more than {} items; report it to the provider",
                        self.items
                    )),
                    Ok(Some(Ok(_))) if Instant::now() > end => late(),
                    Ok(Some(item)) => item,
                };
                let list = item.is_ok().then_some(list);
                Some((item, (list, count.saturating_add(1), Some(end))))
            }
        })
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> ProviderId {
        ProviderId::new("acme").expect("a name")
    }

    async fn collected(list: BoxStream<'static, Result<u32>>) -> (usize, String) {
        let all: Vec<_> = list.collect().await;
        let error = all.last().and_then(|last| last.as_ref().err()).map(ToString::to_string);
        (all.len(), error.unwrap_or_default())
    }

    #[tokio::test(start_paused = true)]
    async fn no_list_is_longer_or_takes_longer_than_it_may() {
        let limits = StreamLimits { items: 3, time: Duration::from_secs(10) };
        let list = |list| limits.apply(&id(), Call::Services, list);
        let (count, words) = collected(list(stream::iter(0..3).map(Ok).boxed())).await;
        assert_eq!((count, words.as_str()), (3, ""));
        let (count, words) = collected(list(stream::repeat(7).map(Ok).boxed())).await;
        assert!(count == 4 && words.contains("more than 3 items"), "{count} {words}");
        let (count, words) = collected(list(stream::pending().boxed())).await;
        assert!(count == 1 && words.contains("longer than 10 s"), "{count} {words}");
        let broken = || {
            let kind = ErrorKind::Protocol { message: "no".to_owned() };
            Err(ProviderError::new(id(), Call::Services, kind))
        };
        let (count, _) = collected(list(stream::iter([Ok(1), broken(), Ok(2)]).boxed())).await;
        assert_eq!(count, 2, "it ends after its first error");
    }

    #[tokio::test]
    async fn a_list_that_never_waits_meets_its_deadline_all_the_same() {
        let limits = StreamLimits { items: usize::MAX, time: Duration::from_millis(50) };
        let mut list = limits.apply(&id(), Call::Offers, stream::repeat(7).map(Ok::<u32, _>));
        let error = loop {
            if let Some(Err(error)) = list.next().await {
                break error;
            }
        };
        assert!(error.to_string().contains("takes longer"), "{error}");
    }
}
