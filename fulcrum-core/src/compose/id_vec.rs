//! Vectors with typed indices.

use std::{
    fmt,
    marker::PhantomData,
    ops::{Index, IndexMut},
};

/// A position in an [`IdVec`].
pub(crate) trait Id: Copy + Eq + Ord + fmt::Debug {
    fn from_index(index: usize) -> Self;
    fn index(self) -> usize;
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) struct $name(u32);
        impl $crate::compose::id_vec::Id for $name {
            fn from_index(index: usize) -> Self {
                Self(index as u32) // all columns are bounded far below 2^32 by the engine's limits
            }
            fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}
pub(crate) use id_type;

/// A vector with one value for each id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdVec<I, T> {
    values: Vec<T>,
    id: PhantomData<I>,
}

impl<I: Id, T> IdVec<I, T> {
    pub(crate) fn new() -> Self {
        Self { values: Vec::new(), id: PhantomData }
    }

    pub(crate) fn push(&mut self, value: T) -> I {
        self.values.push(value);
        I::from_index(self.values.len() - 1)
    }

    pub(crate) fn into_inner(self) -> Vec<T> {
        self.values
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    pub(crate) fn ids(&self) -> impl ExactSizeIterator<Item = I> + use<I, T> {
        (0..self.values.len()).map(I::from_index)
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (I, &T)> {
        self.values.iter().enumerate().map(|(index, value)| (I::from_index(index), value))
    }
}

impl<I: Id, T> FromIterator<T> for IdVec<I, T> {
    fn from_iter<A: IntoIterator<Item = T>>(values: A) -> Self {
        Self { values: values.into_iter().collect(), id: PhantomData }
    }
}

impl<I: Id, T> Index<I> for IdVec<I, T> {
    type Output = T;
    fn index(&self, id: I) -> &T {
        &self.values[id.index()]
    }
}

impl<I: Id, T> IndexMut<I> for IdVec<I, T> {
    fn index_mut(&mut self, id: I) -> &mut T {
        &mut self.values[id.index()]
    }
}
