//! Time to the proven optimum of each published deployment case, after parsing.
#![expect(missing_docs, reason = "the macro of criterion writes a public function without any")]

use criterion::{Criterion, criterion_group, criterion_main};
use fulcrum_benches::published;
use fulcrum_core::compose::{ComposeOptions, Signal, compose};

fn published_cases(criterion: &mut Criterion) {
    let Some(folder) = published::folder() else { return };
    let cases = published::cases(&folder).expect("readable instances");
    let mut group = criterion.benchmark_group("published");
    group.sample_size(20).warm_up_time(std::time::Duration::from_millis(200));
    group.measurement_time(std::time::Duration::from_millis(500));
    for case in &cases {
        group.bench_function(&case.name, |bencher| {
            bencher.iter(|| {
                compose(&case.catalogue, &case.blueprint, &ComposeOptions::default(), &mut |_| {
                    Signal::Continue
                })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, published_cases);
criterion_main!(benches);
