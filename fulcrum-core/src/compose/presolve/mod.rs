//! From offers to columns, and from a program to a smaller one.

pub(crate) mod columns;
pub(crate) mod dominance;
pub(crate) mod enumerate;
pub(crate) mod pattern_rules;
pub(crate) mod patterns;
pub(crate) mod products;
pub(crate) mod row_presolve;
