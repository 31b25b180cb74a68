//! Presolve: from offers to columns, and from an integer program to a smaller one.
//!
//! * `dominance`: removes dominated machines.
//! * `pattern_rules`, `patterns`, `products`: what one lease may carry.
//! * `columns`: the cheapest offers for each pattern.
//! * `enumerate`: all columns of a problem.
//! * `row_presolve`: fixes variables and removes redundant rows.

pub(crate) mod columns;
pub(crate) mod dominance;
pub(crate) mod enumerate;
pub(crate) mod pattern_rules;
pub(crate) mod patterns;
pub(crate) mod products;
pub(crate) mod row_presolve;
