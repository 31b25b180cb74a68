//! An index of the candidates of a large market, by what they offer and by place class.

use std::collections::BTreeSet;

use crate::{
    compose::{
        deferred_drop::DeferredDrop,
        error::ComposeError,
        formulation::{
            ids::{ClassId, ComponentIx},
            problem::Problem,
        },
        id_vec::{Id, IdVec},
        interrupt::{InterruptCheck, OFFERS_PER_CHECK},
        presolve::{
            columns::{Column, push_nondominated},
            dominance::skyline,
            products::product_cost,
        },
    },
    model::OfferKind,
};

/// Machines by bucket and by place class, products by component.
#[derive(Debug)]
pub(crate) struct CandidateIndex {
    /// Positions in `problem.candidates`, grouped by bucket, the cheapest of each bucket first.
    by_bucket: DeferredDrop<u32>,
    bucket_starts: Vec<u32>,
    by_class: DeferredDrop<u32>,
    class_starts: Vec<u32>,
    /// Machines with a value of their own: they are in no bucket.
    pub(crate) special_machines: Vec<u32>,
    /// The place classes of special machines and products; plans are sought there too.
    pub(crate) special_classes: BTreeSet<ClassId>,
    /// For each component that is not a machine: the columns of one replica, by place class.
    products: IdVec<ComponentIx, DeferredDrop<Column>>,
}

/// Candidates of each bucket that are sorted.
const SORTED_PER_BUCKET: usize = 24;

impl CandidateIndex {
    /// Time: O(n) in the candidates.
    ///
    /// # Errors
    /// [`ComposeError::Stopped`].
    pub(crate) fn new(
        problem: &Problem<'_>,
        interrupt: &mut InterruptCheck<'_>,
    ) -> Result<Self, ComposeError> {
        let candidates = &problem.candidates;
        let mut machines = DeferredDrop::from(Vec::new());
        for (at, candidate) in candidates.iter().enumerate() {
            interrupt.charge(1)?;
            if problem.catalogue.kind(candidate.offer) == OfferKind::Machine {
                machines.push(at as u32);
            }
        }
        let (special_machines, alike): (Vec<u32>, Vec<u32>) =
            machines.iter().partition(|at| problem.has_own_value(&candidates[**at as usize]));
        let alike = DeferredDrop::from(alike);
        // Offers of one bucket differ in price and place only.
        let mut bucket_of_key = rustc_hash::FxHashMap::default();
        let buckets: DeferredDrop<u32> = alike
            .iter()
            .map(|at| {
                interrupt.charge(1)?;
                let candidate = &candidates[*at as usize];
                let next = bucket_of_key.len() as u32;
                let key = (candidate.allowed, candidate.shape, candidate.disk, candidate.metrics);
                Ok(*bucket_of_key.entry(key).or_insert(next))
            })
            .collect::<Result<Vec<u32>, ComposeError>>()?
            .into();
        let (mut by_bucket, bucket_starts) = sorted(&alike, &buckets, bucket_of_key.len());
        for range in bucket_starts.windows(2) {
            let bucket = &mut by_bucket[range[0] as usize..range[1] as usize];
            interrupt.charge(bucket.len())?;
            let key = |at: &u32| (candidates[*at as usize].base, candidates[*at as usize].offer);
            if bucket.len() > SORTED_PER_BUCKET {
                bucket.select_nth_unstable_by_key(SORTED_PER_BUCKET, key);
                bucket[..SORTED_PER_BUCKET].sort_unstable_by_key(key);
            } else {
                bucket.sort_unstable_by_key(key);
            }
        }
        let classes: Vec<u32> =
            machines.iter().map(|at| candidates[*at as usize].class.index() as u32).collect();
        let classes = DeferredDrop::from(classes);
        let (by_class, class_starts) = sorted(&machines, &classes, problem.places.classes());
        let products = problem
            .components
            .ids()
            .map(|component| products(problem, component, interrupt).map(DeferredDrop::from))
            .collect::<Result<IdVec<_, _>, _>>()?;
        let all_special = candidates.iter().filter(|candidate| problem.has_own_value(candidate));
        let special_classes = all_special.map(|candidate| candidate.class).collect();
        Ok(Self {
            by_bucket,
            bucket_starts,
            by_class,
            class_starts,
            special_machines,
            special_classes,
            products,
        })
    }

    /// The non-dominated machines in some place classes.
    pub(crate) fn in_classes(
        &self,
        problem: &Problem<'_>,
        classes: &[ClassId],
        interrupt: &mut InterruptCheck<'_>,
    ) -> Result<Vec<usize>, ComposeError> {
        let of = |class: &ClassId| {
            let (from, to) = (self.class_starts[class.index()], self.class_starts[class.index() + 1]);
            &self.by_class[from as usize..to as usize]
        };
        let all: Vec<usize> = classes.iter().flat_map(of).map(|at| *at as usize).collect();
        skyline(problem, all, interrupt)
    }

    /// The non-dominated machines in all other place classes. Of each bucket only the cheapest counts, and while its
    /// stock is limited the next.
    pub(crate) fn outside_classes(
        &self,
        problem: &Problem<'_>,
        is_here: &[bool],
        interrupt: &mut InterruptCheck<'_>,
    ) -> Result<Vec<usize>, ComposeError> {
        let mut heads = Vec::new();
        for range in self.bucket_starts.windows(2) {
            let bucket = &self.by_bucket[range[0] as usize..range[1] as usize];
            let (front, back) = bucket.split_at(bucket.len().min(SORTED_PER_BUCKET));
            interrupt.charge(1 + front.len() / 4)?;
            let is_outside = |at: &&u32| !is_here[problem.candidates[**at as usize].class.index()];
            let mut is_satisfied = false;
            for at in front.iter().filter(is_outside) {
                heads.push(*at as usize);
                if problem.candidates[*at as usize].stock().is_none() {
                    is_satisfied = true;
                    break;
                }
            }
            if !is_satisfied {
                interrupt.charge(back.len() / 4)?;
                heads.extend(back.iter().filter(is_outside).map(|at| *at as usize));
            }
        }
        let class = |at: u32| problem.candidates[at as usize].class;
        heads.extend(
            self.special_machines.iter().filter(|at| !is_here[class(**at).index()]).map(|at| *at as usize),
        );
        skyline(problem, heads, interrupt)
    }

    /// The columns of one replica of a component that is not a machine, in a place class.
    pub(crate) fn products(&self, component: ComponentIx, class: ClassId) -> &[Column] {
        let all = &self.products[component];
        let from = all.partition_point(|column| column.class < class);
        let to = all.partition_point(|column| column.class <= class);
        &all[from..to]
    }
}

/// The columns of one replica of a component that is not a machine, by place class.
fn products(
    problem: &Problem<'_>,
    component: ComponentIx,
    interrupt: &mut InterruptCheck<'_>,
) -> Result<Vec<Column>, ComposeError> {
    let spec = &problem.components[component];
    if spec.kind == OfferKind::Machine {
        return Ok(Vec::new());
    }
    let mut options = Vec::new();
    for part in problem.candidates.chunks(OFFERS_PER_CHECK) {
        interrupt.charge(part.len() / 4)?;
        let able = part.iter().filter(|candidate| problem.may_carry(candidate, component));
        options.extend(able.filter_map(|candidate| {
            let (cost, size_gib) = product_cost(problem, spec, candidate)?;
            Column::new(problem, candidate, vec![(component, 1)], cost, size_gib)
        }));
    }
    let mut columns = Vec::new();
    push_nondominated(problem, options, &mut columns);
    Ok(columns)
}

/// Items in the order of their keys, and the start of each key: a counting sort.
fn sorted(items: &[u32], keys: &[u32], count: usize) -> (DeferredDrop<u32>, Vec<u32>) {
    let mut starts = vec![0u32; count + 1];
    for key in keys {
        starts[*key as usize + 1] += 1;
    }
    for at in 1..starts.len() {
        starts[at] += starts[at - 1];
    }
    let mut next = starts.clone();
    let mut order = vec![0; items.len()];
    for (item, key) in items.iter().zip(keys) {
        order[next[*key as usize] as usize] = *item;
        next[*key as usize] += 1;
    }
    (order.into(), starts)
}
