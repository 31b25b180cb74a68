//! Time until the problem is compiled and until the first plan, in a generated market. `make curves` has more sizes.
#![expect(missing_docs, reason = "the macro of criterion writes a public function without any")]

use criterion::{Criterion, criterion_group, criterion_main};
use fulcrum_benches::market::{self, Size};
use fulcrum_core::compose::{ComposeOptions, Progress, Signal, compose};

const COMPONENTS: usize = 20;

/// Whether what is waited for is there.
type IsReached = fn(&Progress) -> bool;

const MARKS: [(&str, IsReached); 2] = [
    ("reduced", |progress| progress.bound.is_some()),
    ("first plan", |progress| progress.incumbent.is_some()),
];

fn markets(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("market");
    group.sample_size(10).warm_up_time(std::time::Duration::from_millis(500));
    let blueprint = market::blueprint(7, COMPONENTS, true).expect("a blueprint");
    for offers in [10_000, 100_000] {
        let catalogue = market::catalogue(7, Size::of(offers)).expect("a market");
        for (mark, is_reached) in MARKS {
            group.bench_function(format!("{mark}, {offers} offers"), |bencher| {
                bencher.iter(|| {
                    let mut watch = |progress: &Progress| {
                        if is_reached(progress) { Signal::Limit } else { Signal::Continue }
                    };
                    compose(&catalogue, &blueprint, &ComposeOptions::default(), &mut watch)
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, markets);
criterion_main!(benches);
