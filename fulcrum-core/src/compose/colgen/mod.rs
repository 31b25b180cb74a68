//! Column generation, for problems whose columns are too many to enumerate.
//!
//! * `driver`: the search.
//! * `master`: the restricted master, and what is asked of it.
//! * `row_pool`: the conditions of a scope as rows over replicas.
//! * `compact_lp`: the master's linear program: columns, and the rows that they break.
//! * `initial_columns`: the columns that it starts with.
//! * `duals`, `pricing`, `knapsack`, `knapsack_items`, `knapsack_pairs`, `knapsack_table`: the pricing problem, one knapsack per machine.
//! * `candidate_index`: candidates by capacity and by place class.
//! * `column_selection`: columns for small programs.
//! * `dive`: plans from the master, by fixing leases.
//! * `branch_and_price`: the tree: parts of the plans, split by replicas in places and by pairs that share machines.
//! * `branch_costs`, `branch_rows`: where to split, and what bounds the parts.
//! * `closing`: the tree beside the dives, and parts with few columns left.
//! * `separation`: places whose conditions the master violates.
//! * `neighbourhood`: places and leases in which better plans are sought.

pub(crate) mod branch_and_price;
pub(crate) mod branch_costs;
pub(crate) mod branch_rows;
pub(crate) mod candidate_index;
pub(crate) mod closing;
pub(crate) mod column_selection;
pub(crate) mod compact_lp;
pub(crate) mod dive;
pub(crate) mod driver;
pub(crate) mod duals;
pub(crate) mod initial_columns;
pub(crate) mod knapsack;
pub(crate) mod knapsack_items;
pub(crate) mod knapsack_pairs;
pub(crate) mod knapsack_table;
pub(crate) mod master;
pub(crate) mod neighbourhood;
pub(crate) mod pricing;
pub(crate) mod row_pool;
pub(crate) mod separation;
