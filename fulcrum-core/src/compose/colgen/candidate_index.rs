//! The candidates of a large market, by what they offer and by where they are.

use std::collections::BTreeSet;

use crate::{
    compose::{
        deferred_drop::Aside,
        error::ComposeError,
        formulation::{
            ids::{ClassId, CompId},
            problem::Problem,
        },
        id_vec::{Id, IdVec},
        interrupt::{BETWEEN_LOOKS, Looks},
        presolve::{
            columns::{Column, keep_cheapest},
            dominance::skyline,
            products::product_cost,
        },
    },
    model::OfferKind,
};

/// Machines by bucket and by class, products by component.
#[derive(Debug)]
pub(crate) struct Pool {
    /// Positions in `problem.candidates`, those of equal buckets together, the cheapest of each bucket first.
    by_bucket: Aside<u32>,
    bucket_starts: Vec<u32>,
    by_class: Aside<u32>,
    class_starts: Vec<u32>,
    /// Machines that have a worth of their own: they are in no bucket.
    pub(crate) apart: Vec<u32>,
    /// Where they and products of that sort are: plans are sought there too.
    pub(crate) classes_apart: BTreeSet<ClassId>,
    /// For each component that is no machine what one replica may run on, by class.
    products: IdVec<CompId, Aside<Column>>,
}

/// How many of each bucket are in order.
const SORTED: usize = 24;

impl Pool {
    /// Time: O(n) in the candidates.
    ///
    /// # Errors
    /// [`ComposeError::Stopped`].
    pub(crate) fn new(problem: &Problem<'_>, looks: &mut Looks<'_>) -> Result<Self, ComposeError> {
        let candidates = &problem.candidates;
        let mut machines = Aside::from(Vec::new());
        for (at, candidate) in candidates.iter().enumerate() {
            looks.after(1)?;
            if problem.catalogue.kind(candidate.offer) == OfferKind::Machine {
                machines.push(at as u32);
            }
        }
        let (apart, alike): (Vec<u32>, Vec<u32>) =
            machines.iter().partition(|at| problem.is_apart(&candidates[**at as usize]));
        let alike = Aside::from(alike);
        // Offers of one bucket differ in price and place only.
        let mut bucket_of_key = rustc_hash::FxHashMap::default();
        let buckets: Aside<u32> = alike
            .iter()
            .map(|at| {
                looks.after(1)?;
                let candidate = &candidates[*at as usize];
                let next = bucket_of_key.len() as u32;
                let key = (candidate.allowed, candidate.shape, candidate.disk, candidate.figures);
                Ok(*bucket_of_key.entry(key).or_insert(next))
            })
            .collect::<Result<Vec<u32>, ComposeError>>()?
            .into();
        let (mut by_bucket, bucket_starts) = sorted(&alike, &buckets, bucket_of_key.len());
        for range in bucket_starts.windows(2) {
            let bucket = &mut by_bucket[range[0] as usize..range[1] as usize];
            looks.after(bucket.len())?;
            let key = |at: &u32| (candidates[*at as usize].base, candidates[*at as usize].offer);
            if bucket.len() > SORTED {
                bucket.select_nth_unstable_by_key(SORTED, key);
                bucket[..SORTED].sort_unstable_by_key(key);
            } else {
                bucket.sort_unstable_by_key(key);
            }
        }
        let classes: Vec<u32> =
            machines.iter().map(|at| candidates[*at as usize].class.index() as u32).collect();
        let classes = Aside::from(classes);
        let (by_class, class_starts) = sorted(&machines, &classes, problem.sites.classes());
        let products = problem
            .components
            .ids()
            .map(|component| products(problem, component, looks).map(Aside::from))
            .collect::<Result<IdVec<_, _>, _>>()?;
        let all_apart = candidates.iter().filter(|candidate| problem.is_apart(candidate));
        let classes_apart = all_apart.map(|candidate| candidate.class).collect();
        Ok(Self { by_bucket, bucket_starts, by_class, class_starts, apart, classes_apart, products })
    }

    /// Machines in some classes that are not dominated there.
    pub(crate) fn in_classes(
        &self,
        problem: &Problem<'_>,
        classes: &[ClassId],
        looks: &mut Looks<'_>,
    ) -> Result<Vec<usize>, ComposeError> {
        let of = |class: &ClassId| {
            let (from, to) = (self.class_starts[class.index()], self.class_starts[class.index() + 1]);
            &self.by_class[from as usize..to as usize]
        };
        let all: Vec<usize> = classes.iter().flat_map(of).map(|at| *at as usize).collect();
        skyline(problem, all, looks)
    }

    /// Machines in all other classes that are not dominated there. Of each bucket only the cheapest counts, and
    /// while those are limited in stock the next.
    pub(crate) fn elsewhere(
        &self,
        problem: &Problem<'_>,
        is_here: &[bool],
        looks: &mut Looks<'_>,
    ) -> Result<Vec<usize>, ComposeError> {
        let mut heads = Vec::new();
        for range in self.bucket_starts.windows(2) {
            let bucket = &self.by_bucket[range[0] as usize..range[1] as usize];
            let (front, back) = bucket.split_at(bucket.len().min(SORTED));
            looks.after(1 + front.len() / 4)?;
            let is_elsewhere = |at: &&u32| !is_here[problem.candidates[**at as usize].class.index()];
            let mut is_satisfied = false;
            for at in front.iter().filter(is_elsewhere) {
                heads.push(*at as usize);
                if problem.candidates[*at as usize].stock().is_none() {
                    is_satisfied = true;
                    break;
                }
            }
            if !is_satisfied {
                looks.after(back.len() / 4)?;
                heads.extend(back.iter().filter(is_elsewhere).map(|at| *at as usize));
            }
        }
        let class = |at: u32| problem.candidates[at as usize].class;
        heads.extend(self.apart.iter().filter(|at| !is_here[class(**at).index()]).map(|at| *at as usize));
        skyline(problem, heads, looks)
    }

    /// What one replica of a component that is no machine may run on in a class.
    pub(crate) fn products(&self, component: CompId, class: ClassId) -> &[Column] {
        let all = &self.products[component];
        let from = all.partition_point(|column| column.class < class);
        let to = all.partition_point(|column| column.class <= class);
        &all[from..to]
    }
}

/// What one replica of a component that is no machine may run on, by class.
fn products(
    problem: &Problem<'_>,
    component: CompId,
    looks: &mut Looks<'_>,
) -> Result<Vec<Column>, ComposeError> {
    let comp = &problem.components[component];
    if comp.kind == OfferKind::Machine {
        return Ok(Vec::new());
    }
    let mut options = Vec::new();
    for part in problem.candidates.chunks(BETWEEN_LOOKS) {
        looks.after(part.len() / 4)?;
        let able = part.iter().filter(|candidate| problem.may_carry(candidate, component));
        options.extend(able.filter_map(|candidate| {
            let (cost, size_gib) = product_cost(problem, comp, candidate)?;
            Column::new(problem, candidate, vec![(component, 1)], cost, size_gib)
        }));
    }
    let mut columns = Vec::new();
    keep_cheapest(problem, options, &mut columns);
    Ok(columns)
}

/// Items in the order of their keys, and where each key starts: a counting sort.
fn sorted(items: &[u32], keys: &[u32], count: usize) -> (Aside<u32>, Vec<u32>) {
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
