//! The limits of every list: it must neither fill the memory nor hold a caller for ever.

use std::time::Duration;

use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use tokio::time::Instant;

use super::{Call, ErrorKind, ProviderError, Result};
use crate::model::ProviderId;

/// Items that are taken before others get their turn: a list that never waits would hold its thread, and its deadline.
const TURN: usize = 1024;

/// What one list may need. A list beyond that is a fault of its provider, or meant ill.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Things in it.
    pub(crate) items: usize,
    /// From when it is first asked for until its end.
    pub(crate) time: Duration,
}

impl Bounds {
    /// Of any list.
    pub(crate) const LIST: Self = Self { items: 100_000, time: Duration::from_secs(600) };
    /// Of what is long by nature: offers, which are products times places, and usage.
    pub(crate) const LONG_LIST: Self = Self { items: 1_000_000, ..Self::LIST };

    /// The list within these bounds. Ends after its first error.
    pub(crate) fn of<T: Send + 'static>(
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
                if count % TURN == TURN - 1 {
                    tokio::task::yield_now().await;
                }
                let fail = |message| {
                    Err(ProviderError::new(provider.clone(), call, ErrorKind::Protocol { message }))
                };
                let late = || fail(format!("its list takes longer than {} s", self.time.as_secs()));
                let item = match tokio::time::timeout_at(end, list.next()).await {
                    Err(_) => late(),
                    Ok(None) => return None,
                    Ok(Some(Ok(_))) if count >= self.items => {
                        fail(format!("its list has more than {} items", self.items))
                    }
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

    async fn told(list: BoxStream<'static, Result<u32>>) -> (usize, String) {
        let all: Vec<_> = list.collect().await;
        let error = all.last().and_then(|last| last.as_ref().err()).map(ToString::to_string);
        (all.len(), error.unwrap_or_default())
    }

    #[tokio::test(start_paused = true)]
    async fn no_list_is_longer_or_takes_longer_than_it_may() {
        let bounds = Bounds { items: 3, time: Duration::from_secs(10) };
        let list = |list| bounds.of(&id(), Call::Services, list);
        let (count, words) = told(list(stream::iter(0..3).map(Ok).boxed())).await;
        assert_eq!((count, words.as_str()), (3, ""));
        let (count, words) = told(list(stream::repeat(7).map(Ok).boxed())).await;
        assert!(count == 4 && words.contains("more than 3 items"), "{count} {words}");
        let (count, words) = told(list(stream::pending().boxed())).await;
        assert!(count == 1 && words.contains("longer than 10 s"), "{count} {words}");
        let broken = || {
            let kind = ErrorKind::Protocol { message: "no".to_owned() };
            Err(ProviderError::new(id(), Call::Services, kind))
        };
        let (count, _) = told(list(stream::iter([Ok(1), broken(), Ok(2)]).boxed())).await;
        assert_eq!(count, 2, "it ends after its first error");
    }

    #[tokio::test]
    async fn a_list_that_never_waits_meets_its_deadline_all_the_same() {
        let bounds = Bounds { items: usize::MAX, time: Duration::from_millis(50) };
        let mut list = bounds.of(&id(), Call::Offers, stream::repeat(7).map(Ok::<u32, _>));
        let error = loop {
            if let Some(Err(error)) = list.next().await {
                break error;
            }
        };
        assert!(error.to_string().contains("takes longer"), "{error}");
    }
}
