//! The same on several threads at once, so that the outcome does not depend on which is faster.

use std::sync::{
    Mutex, PoisonError,
    mpsc::{Sender, channel},
};

use crate::compose::options::Signal;

/// What a search tells while it goes on, and what it is told: the best value so far, a bound, nodes.
pub(super) type Watch<'f> = dyn FnMut(Option<i128>, i128, u64) -> Signal + 'f;

/// Does each part's work, the first on this thread, which alone asks `watch`; what it answers is passed on to the
/// others when they ask. Each part ends by itself or because it was told to; then all that came of them is given back,
/// in their order.
pub(super) fn together<T: Send, R: Send>(
    parts: &mut [T],
    watch: &mut Watch<'_>,
    work: impl Fn(&mut T, &mut Watch<'_>) -> R + Sync,
) -> Vec<R> {
    let Some((first, others)) = parts.split_first_mut() else { return Vec::new() };
    if others.is_empty() {
        return vec![work(first, watch)];
    }
    let told = Told(Mutex::new(Signal::Continue));
    let (tick, ticks) = channel();
    std::thread::scope(|scope| {
        let running: Vec<_> = others
            .iter_mut()
            .map(|part| {
                let (tick, told, work) = (tick.clone(), &told, &work);
                scope.spawn(move || work(part, &mut |_, _, _| told.ask(&tick)))
            })
            .collect();
        drop(tick);
        let mut last = None;
        let mut asked = |incumbent: Option<i128>, bound: i128, nodes: u64| {
            last = Some((incumbent, bound, nodes));
            let signal = watch(incumbent, bound, nodes);
            told.tell(signal);
            signal
        };
        let mut results = vec![work(first, &mut asked)];
        // What was asked in the meantime is answered; then the watcher is asked whenever one of the others asks.
        ticks.try_iter().for_each(drop);
        while ticks.recv().is_ok() {
            if let Some((incumbent, bound, nodes)) = last
                && told.signal() == Signal::Continue
            {
                told.tell(watch(incumbent, bound, nodes));
            }
        }
        for handle in running {
            match handle.join() {
                Ok(result) => results.push(result),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    })
}

/// What the others are told.
struct Told(Mutex<Signal>);

impl Told {
    fn signal(&self) -> Signal {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, signal: Signal) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = signal;
    }

    fn ask(&self, tick: &Sender<()>) -> Signal {
        // No one listens any more only if the first thread panics, which ends all.
        let _ = tick.send(());
        self.signal()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_parts() {
        let mut parts: Vec<u64> = (0..7).collect();
        let results = together(&mut parts, &mut |_, _, _| Signal::Continue, |part, watch| {
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
        let told = together(&mut parts, &mut watch, |rounds, watch| {
            (0..*rounds).map(|_| watch(None, 0, 0)).find(|signal| *signal != Signal::Continue)
        });
        assert_eq!(told, [None, Some(Signal::Cancel), Some(Signal::Cancel)]);
    }

    #[test]
    #[should_panic(expected = "the second")]
    fn a_panic_of_a_part_is_passed_on() {
        together(&mut [1, 2], &mut |_, _, _| Signal::Continue, |part, _| assert_eq!(*part, 1, "the second"));
    }
}
