//! Fork and join: the same work on several threads, with a result that does not depend on their speed.

use std::{
    sync::{
        Mutex, PoisonError,
        mpsc::{SyncSender, sync_channel},
    },
    thread::Builder,
};

use crate::compose::options::Signal;

/// Reports progress (best value, bound, nodes) and receives whether to go on.
pub(crate) type Watch<'f> = dyn FnMut(Option<i128>, i128, u64) -> Signal + 'f;

/// Runs the work of each part and returns the results in the parts' order.
///
/// The first part runs on this thread. It alone asks `watch`, and the other parts see the answer when they ask. Each
/// part ends by itself or after a stop signal. If the system gives fewer threads than there are parts, a thread runs
/// several parts one after the other, with the same results.
pub(crate) fn run_lockstep<T: Send, R: Send>(
    parts: &mut [T],
    watch: &mut Watch<'_>,
    work: impl Fn(&mut T, &mut Watch<'_>) -> R + Sync,
) -> Vec<R> {
    run_lockstep_on(|| Builder::new().name("fulcrum-search".to_owned()), parts, watch, work)
}

fn run_lockstep_on<T: Send, R: Send>(
    thread: impl Fn() -> Builder,
    parts: &mut [T],
    watch: &mut Watch<'_>,
    work: impl Fn(&mut T, &mut Watch<'_>) -> R + Sync,
) -> Vec<R> {
    let Some((first, others)) = parts.split_first_mut() else { return Vec::new() };
    if others.is_empty() {
        return vec![work(first, watch)];
    }
    let helpers = others.len();
    let stop = StopBroadcast(Mutex::new(Signal::Continue));
    let waiting = Mutex::new(others.iter_mut().enumerate());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    // One tick that waits is enough: whoever has many would keep the watcher from being asked.
    let (tick, ticks) = sync_channel(1);
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..helpers)
            .map_while(|_| {
                let (tick, stop, work, next) = (tick.clone(), &stop, &work, &next);
                let help = move || {
                    let mut ask = |_: Option<i128>, _: i128, _: u64| stop.poll(&tick);
                    let mut results = Vec::new();
                    while let Some((at, part)) = next() {
                        results.push((at, work(part, &mut ask)));
                    }
                    results
                };
                thread().spawn_scoped(scope, help).ok()
            })
            .collect();
        drop(tick);
        let mut last = None;
        let mut asked = |incumbent: Option<i128>, bound: i128, nodes: u64| {
            last = Some((incumbent, bound, nodes));
            let signal = watch(incumbent, bound, nodes);
            stop.broadcast(signal);
            signal
        };
        let own = work(first, &mut asked);
        // The watcher only sees progress of the first part.
        let mut asked_again = |incumbent: Option<i128>, bound: i128, nodes: u64| {
            let (incumbent, bound, nodes) = last.unwrap_or((incumbent, bound, nodes));
            let signal = watch(incumbent, bound, nodes);
            stop.broadcast(signal);
            signal
        };
        let mut results = Vec::new();
        while running.len() < helpers
            && let Some((at, part)) = next()
        {
            results.push((at, work(part, &mut asked_again)));
        }
        // From here on the ticks of the other parts ask the watcher.
        while ticks.recv().is_ok() {
            if let Some((incumbent, bound, nodes)) = last
                && stop.signal() == Signal::Continue
            {
                stop.broadcast(watch(incumbent, bound, nodes));
            }
        }
        for handle in running {
            match handle.join() {
                Ok(more) => results.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results.sort_by_key(|(at, _)| *at);
        std::iter::once(own).chain(results.into_iter().map(|(_, result)| result)).collect()
    })
}

/// The last signal of the watcher, for the other threads.
struct StopBroadcast(Mutex<Signal>);

impl StopBroadcast {
    fn signal(&self) -> Signal {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn broadcast(&self, signal: Signal) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = signal;
    }

    fn poll(&self, tick: &SyncSender<()>) -> Signal {
        // One waits already, or the receiver is gone, as the first thread panics, which ends all.
        let _ = tick.try_send(());
        self.signal()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_parts() {
        let mut parts: Vec<u64> = (0..7).collect();
        let results = run_lockstep(&mut parts, &mut |_, _, _| Signal::Continue, |part, watch| {
            (0..(7 - *part) * 100).for_each(|_| {
                watch(None, 0, 0);
            });
            *part * 2
        });
        assert_eq!(results, [0, 2, 4, 6, 8, 10, 12]);
    }

    #[test]
    fn all_are_told_to_stop_even_after_the_first_has_ended() {
        let mut parts = [1, 2_000_000_000, 2_000_000_000];
        let mut asked = 0;
        let mut watch = |_: Option<i128>, _: i128, _: u64| {
            asked += 1;
            if asked > 50 { Signal::Cancel } else { Signal::Continue }
        };
        let stop = run_lockstep(&mut parts, &mut watch, |rounds, watch| {
            (0..*rounds).map(|_| watch(None, 0, 0)).find(|signal| *signal != Signal::Continue)
        });
        assert_eq!(stop, [None, Some(Signal::Cancel), Some(Signal::Cancel)]);
    }

    /// A stack that no address space holds, so that the system refuses the thread.
    #[cfg(target_pointer_width = "64")]
    fn refused() -> Builder {
        Builder::new().stack_size(1 << 47)
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn all_parts_are_done_in_their_order_where_no_thread_or_only_one_can_be_had() {
        assert!(refused().spawn(|| ()).is_err(), "this system gives any stack");
        for given in [0_u32, 1] {
            let left = std::cell::Cell::new(given);
            let thread = || match left.replace(left.get().saturating_sub(1)) {
                0 => refused(),
                _ => Builder::new(),
            };
            let mut parts: Vec<u64> = (0..7).collect();
            let mut asked = 0_u64;
            let mut watch = |_: Option<i128>, _: i128, _: u64| {
                asked += 1;
                Signal::Continue
            };
            let results = run_lockstep_on(thread, &mut parts, &mut watch, |part, watch| {
                watch(None, 0, 0);
                *part * 2
            });
            assert_eq!(results, [0, 2, 4, 6, 8, 10, 12]);
            assert!(given > 0 || asked == 7, "{asked}");
        }
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn a_search_without_threads_is_told_to_stop() {
        let stop = run_lockstep_on(refused, &mut [1, 2], &mut |_, _, _| Signal::Cancel, |_, watch| {
            watch(None, 0, 0)
        });
        assert_eq!(stop, [Signal::Cancel, Signal::Cancel]);
    }

    #[test]
    #[should_panic(expected = "the second")]
    fn a_panic_of_a_part_is_passed_on() {
        run_lockstep(&mut [1, 2], &mut |_, _, _| Signal::Continue, |part, _| {
            assert_eq!(*part, 1, "the second")
        });
    }
}
