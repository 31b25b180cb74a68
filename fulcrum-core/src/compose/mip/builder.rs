//! Builds the rows for numbers of replicas; `places`, `flows`, `measures` and `running` add theirs.

use std::rc::Rc;

use super::{
    model::{Mip, Role, Row, Var},
    place_scope::PlaceScope,
    row_terms::{RowTerm, StockKey},
};
use crate::{
    compose::{
        error::ComposeError,
        formulation::{ids::ComponentIx, place_classes::PartitionKey, problem::Problem},
        id_vec::{Id, IdVec},
        interrupt::InterruptCheck,
        presolve::columns::ColumnSet,
    },
    model::{Constraint, FailureDomain, Linear, Ratio},
};

/// Coefficients of a dense tableau: half a gibibyte.
pub(crate) const MAX_TABLEAU: usize = 64 << 20;

/// Leases of one column in a restricted master.
pub(crate) const MAX_LEASES: u32 = 1_000;

impl Mip {
    /// Builds the program for the places in a scope.
    ///
    /// With `big_m`, artificial variables stand for what only columns to come can give, at that cost each. The program
    /// is then never infeasible for want of columns, and its bound still holds.
    ///
    /// # Errors
    /// [`ComposeError::TooLarge`] if the tableau does not fit into memory or a value into 64 bits;
    /// [`ComposeError::Stopped`].
    pub(crate) fn new(
        problem: &Problem<'_>,
        column_set: &ColumnSet,
        scope: &PlaceScope,
        big_m: Option<i64>,
        interrupt: &mut InterruptCheck<'_>,
    ) -> Result<Self, ComposeError> {
        let mip = Self::of_any_size(problem, column_set, scope, big_m, interrupt)?;
        mip.check_size()?;
        Ok(mip)
    }

    /// Checks that a dense tableau of the program fits into memory.
    ///
    /// # Errors
    /// [`ComposeError::TooLarge`].
    pub(crate) fn check_size(&self) -> Result<(), ComposeError> {
        match self.size() > MAX_TABLEAU {
            false => Ok(()),
            true => Err(ComposeError::TooLarge(format!(
                "{} kinds of lease under {} conditions; narrow the places by `where`, or spread over regions or providers instead of zones",
                self.cost.len(),
                self.row_lower.len()
            ))),
        }
    }

    /// As [`new`](Self::new), also if it is too large for a dense tableau: its rows are looked at one by one, or most of its variables
    /// are fixed.
    pub(crate) fn of_any_size(
        problem: &Problem<'_>,
        column_set: &ColumnSet,
        scope: &PlaceScope,
        big_m: Option<i64>,
        interrupt: &mut InterruptCheck<'_>,
    ) -> Result<Self, ComposeError> {
        let mut builder = Builder::new(problem, column_set, scope, big_m, interrupt)?;
        // Each condition makes a few passes over the columns.
        let pass = column_set.columns.len() / 4;
        builder.one_of();
        for constraint in &problem.blueprint.constraints {
            builder.constraint(constraint);
            interrupt.charge(pass)?;
        }
        builder.together();
        interrupt.charge(pass)?;
        builder.stock();
        builder.fees();
        interrupt.charge(pass)?;
        builder.must_use();
        builder.running();
        interrupt.charge(pass)?;
        builder.flows(&mut || interrupt.charge(pass))?;
        builder.caps()?;
        Ok(builder.mip)
    }
}

pub(super) fn too_large() -> ComposeError {
    ComposeError::TooLarge(
        "a figure is beyond 64 bits; use smaller weights, prices or a shorter horizon".to_owned(),
    )
}

/// Variables by place.
pub(super) type VarsByPlace<P> = Rc<Vec<(P, Var)>>;

pub(super) struct Builder<'a> {
    pub(super) problem: &'a Problem<'a>,
    pub(super) column_set: &'a ColumnSet,
    pub(super) scope: &'a PlaceScope,
    pub(super) mip: Mip,
    /// The cost of artificial variables; set if columns are still to come.
    big_m: Option<i64>,
    pub(super) replicas: IdVec<ComponentIx, Var>,
    /// `None` for components that are always deployed.
    pub(super) deployed: IdVec<ComponentIx, Option<Var>>,
    /// Replicas of a component by place in one partition; made when first needed.
    pub(super) at: Vec<(PartitionKey, ComponentIx, VarsByPlace<usize>)>,
    /// Whether a place is used, by failure domain; made when first needed.
    pub(super) used: Vec<(FailureDomain, VarsByPlace<Option<usize>>)>,
}

impl<'a> Builder<'a> {
    fn new(
        problem: &'a Problem<'a>,
        column_set: &'a ColumnSet,
        scope: &'a PlaceScope,
        big_m: Option<i64>,
        interrupt: &mut InterruptCheck<'_>,
    ) -> Result<Self, ComposeError> {
        let mut mip = Mip::empty();
        mip.is_named = big_m.is_some();
        let replicas: IdVec<ComponentIx, Var> = problem
            .components
            .iter()
            .map(|(_, spec)| {
                let min = if spec.is_optional { 0 } else { spec.min };
                mip.add_var(Role::Replicas, 0, min.into(), spec.max.into())
            })
            .collect();
        let deployed = problem
            .components
            .iter()
            .map(|(_, spec)| spec.is_optional.then(|| mip.add_var(Role::Deployed, 0, 0, 1)))
            .collect();
        for (_, column) in column_set.columns.iter() {
            let most =
                column.members.iter().map(|(c, count)| problem.components[*c].max / count).min().unwrap_or(0);
            let most = column.stock.map_or(most, |stock| most.min(stock));
            // In a restricted master no upper bound of a single column may bind: bounds have no dual value, rows have
            // one.
            let most = if big_m.is_some() { MAX_LEASES } else { most };
            let var = mip.add_var(
                Role::Leases,
                column.objective(&problem.stage).ok_or_else(too_large)?,
                0,
                most.into(),
            );
            mip.leases.push(var);
        }
        let mut builder = Self {
            problem,
            column_set,
            scope,
            mip,
            big_m,
            replicas,
            deployed,
            at: Vec::new(),
            used: Vec::new(),
        };
        for component in problem.components.ids() {
            interrupt.charge(column_set.columns.len() / 8)?;
            let artificial = builder.artificial(problem.components[component].max.into());
            let total = (builder.replicas[component], -1);
            let terms: Vec<_> = builder.carriers(component).chain(artificial).chain([total]).collect();
            builder.mip.add_row(Some(0), Some(0), terms);
        }
        Ok(builder)
    }

    /// Whether this is a restricted master: then no bound may follow from the columns that are present.
    pub(super) fn has_columns_to_come(&self) -> bool {
        self.big_m.is_some()
    }

    /// An artificial variable of at most `most` for columns that are still to come.
    pub(super) fn artificial(&mut self, most: i64) -> Option<(Var, i64)> {
        self.big_m.map(|big_m| (self.mip.add_var(Role::Artificial, big_m, 0, most), 1))
    }

    /// The lease variables of the columns that carry a component, each with the replicas per lease.
    fn carriers(&self, component: ComponentIx) -> impl Iterator<Item = (Var, i64)> {
        self.column_set.columns.iter().filter_map(move |(id, column)| {
            let (_, count) = column.members.iter().find(|(c, _)| *c == component)?;
            Some((self.mip.leases[id], i64::from(*count)))
        })
    }

    /// An optional component has replicas only if it is deployed, and then at least its minimum.
    fn one_of(&mut self) {
        for (component, spec) in self.problem.components.iter() {
            if let Some(deployed) = self.deployed[component] {
                let replicas = self.replicas[component];
                self.mip.add_row(None, Some(0), [(replicas, 1), (deployed, -i64::from(spec.max))]);
                self.mip.add_row(Some(0), None, [(replicas, 1), (deployed, -i64::from(spec.min))]);
            }
        }
    }

    fn constraint(&mut self, constraint: &Constraint) {
        match constraint {
            Constraint::Count(count) => {
                let terms: Vec<_> = count.components.iter().map(|name| (self.of(name), 1)).collect();
                let low = count.exactly.or(count.min).map(i64::from);
                let high = count.exactly.or(count.max).map(i64::from);
                self.mip.add_row(low, high, terms);
            }
            Constraint::Ratio(serves) => self.serves(serves),
            Constraint::Linear(linear) => self.linear(linear),
            Constraint::OneOf(components) => {
                let ids: Vec<ComponentIx> =
                    components.iter().map(|name| self.problem.component(name)).collect();
                let terms: Vec<_> = ids.iter().filter_map(|&id| Some((self.deployed[id]?, 1))).collect();
                self.mip.add_row(Some(1), Some(1), terms);
            }
            Constraint::Spread(spread) => {
                for name in &spread.components {
                    let component = self.problem.component(name);
                    if let Some(k) = spread.at_least {
                        self.at_least(component, spread.over, k);
                    }
                    if let Some(percent) = spread.max_percent {
                        // Two decimals at most, as Blueprint::check has made sure.
                        let share = percent
                            .saturating_mul(rust_decimal::Decimal::ONE_HUNDRED)
                            .try_into()
                            .unwrap_or(10_000);
                        self.max_share(component, spread.over, share);
                    }
                }
            }
            Constraint::FaultTolerance(survive) => {
                for name in &survive.components {
                    let component = self.problem.component(name);
                    self.survive(component, survive.loss_of, survive.remaining);
                }
            }
            Constraint::MaxDistinct(distinct) => self.distinct(distinct.over, distinct.at_most),
            Constraint::Limit(limit) => self.limit(limit),
            // Patterns obey these constraints already.
            Constraint::Share(_)
            | Constraint::AntiAffinity(_)
            | Constraint::Affinity(_)
            | Constraint::FullDeployment(_) => {}
        }
    }

    fn of(&self, name: &crate::model::ComponentId) -> Var {
        self.replicas[self.problem.component(name)]
    }

    fn serves(&mut self, serves: &Ratio) {
        let (server, client) = (self.of(&serves.server), self.of(&serves.client));
        let clients = i64::from(serves.clients);
        let terms = vec![(server, clients), (client, -i64::from(serves.servers))];
        // No spare: with one server fewer, clients·(n(server) - 1) < servers·n(client).
        let high = serves.no_spare.then_some(clients - 1);
        self.conditional(terms, Some(0), high, serves.when.as_ref());
    }

    fn linear(&mut self, linear: &Linear) {
        let terms: Vec<_> = linear.terms.iter().map(|(name, factor)| (self.of(name), *factor)).collect();
        self.conditional(terms, linear.min, linear.max, linear.when.as_ref());
    }

    /// A row that holds only if a component is deployed: a big-M term relaxes it otherwise.
    pub(super) fn conditional(
        &mut self,
        terms: Vec<(Var, i64)>,
        low: Option<i64>,
        high: Option<i64>,
        when: Option<&crate::model::ComponentId>,
    ) {
        let switch = when.and_then(|name| self.deployed[self.problem.component(name)]);
        let Some(switch) = switch else {
            self.mip.add_row(low, high, terms);
            return;
        };
        let (least, most) = self.range(&terms);
        if let Some(low) = low {
            // least ≥ low - slack·(1 - switch)
            let slack = (low - least).max(0);
            self.mip.add_row(Some(low - slack), None, terms.iter().copied().chain([(switch, -slack)]));
        }
        if let Some(high) = high {
            let slack = (most - high).max(0);
            self.mip.add_row(None, Some(high + slack), terms.iter().copied().chain([(switch, slack)]));
        }
    }

    fn range(&self, terms: &[(Var, i64)]) -> (i64, i64) {
        terms.iter().fold((0, 0), |(least, most), &(var, factor)| {
            let (a, b) = (factor * self.mip.lower[var], factor * self.mip.upper[var]);
            (least + a.min(b), most + a.max(b))
        })
    }

    fn stock(&mut self) {
        // Running services take nothing from an offer's stock: their group is a stock of its own.
        let mut limited: Vec<(StockKey, u32, Var)> = self
            .column_set
            .columns
            .iter()
            .filter_map(|(id, column)| {
                Some(((column.offer, column.retained), column.stock?, self.mip.leases[id]))
            })
            .collect();
        limited.sort_by_key(|(stocked, _, var)| (*stocked, var.index()));
        for same in limited.chunk_by(|a, b| a.0 == b.0) {
            if same.len() > 1 || self.has_columns_to_come() {
                let row =
                    self.mip.add_row(None, Some(same[0].1.into()), same.iter().map(|(_, _, var)| (*var, 1)));
                self.mip.lease_rows.push((RowTerm::Stock(same[0].0), row));
            }
        }
    }

    fn must_use(&mut self) {
        if let Some(offer) = self.problem.stage.must_use {
            let artificial = self.artificial(1);
            self.lease_row((Some(1), None), RowTerm::MustUse(offer), artificial);
        }
    }

    /// A row over a term of each lease and over other variables.
    pub(super) fn lease_row(
        &mut self,
        (low, high): (Option<i64>, Option<i64>),
        term: RowTerm,
        others: impl IntoIterator<Item = (Var, i64)>,
    ) -> Row {
        let factor = |column| term.factor(self.problem, column);
        let columns = self.column_set.columns.iter();
        let leases: Vec<_> = columns.map(|(id, column)| (self.mip.leases[id], factor(column))).collect();
        let row = self.mip.add_row(low, high, leases.into_iter().chain(others));
        self.mip.lease_rows.push((term, row));
        row
    }
}
