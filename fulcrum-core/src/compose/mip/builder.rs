//! From the blueprint's conditions to rows: everything about numbers of replicas; places are in `places`.

use std::rc::Rc;

use super::{
    model::{Program, Role, Row, Var},
    place_scope::Scope,
    row_terms::{Stocked, Term},
};
use crate::{
    compose::{
        error::ComposeError,
        formulation::{ids::CompId, place_classes::Cut, problem::Problem},
        id_vec::{Id, IdVec},
        interrupt::Looks,
        presolve::columns::Reduced,
    },
    model::{Constraint, Linear, Over, Serves},
};

/// Entries of a dense tableau beyond which memory would run out: half a gibibyte.
pub(crate) const MAX_TABLEAU: usize = 64 << 20;

/// Leases of one kind, in a program whose columns are made on demand.
pub(crate) const MAX_LEASES: u32 = 1_000;

impl Program {
    /// Builds the program for the places in a scope. With a penalty, replicas that no column carries can be had for
    /// it, and so can whatever else only leases give: then the program is never infeasible for want of columns, and its
    /// bound still holds.
    ///
    /// # Errors
    /// [`ComposeError::TooLarge`] if its tableau would not fit into memory, or a figure into 64 bits;
    /// [`ComposeError::Stopped`].
    pub(crate) fn new(
        problem: &Problem<'_>,
        reduced: &Reduced,
        scope: &Scope,
        penalty: Option<i64>,
        looks: &mut Looks<'_>,
    ) -> Result<Self, ComposeError> {
        let program = build(problem, reduced, scope, penalty, looks)?;
        if program.size() > MAX_TABLEAU {
            return Err(ComposeError::TooLarge(format!(
                "{} kinds of lease under {} conditions; narrow the places by `where`, or spread over regions or providers instead of zones",
                program.cost.len(),
                program.row_low.len()
            )));
        }
        Ok(program)
    }
}

/// Builds the program.
fn build(
    problem: &Problem<'_>,
    reduced: &Reduced,
    scope: &Scope,
    penalty: Option<i64>,
    looks: &mut Looks<'_>,
) -> Result<Program, ComposeError> {
    let mut builder = Builder::new(problem, reduced, scope, penalty, looks)?;
    // A pass over the columns, as each condition makes a few.
    let pass = reduced.columns.len() / 4;
    builder.one_of();
    for constraint in &problem.blueprint.constraints {
        builder.constraint(constraint);
        looks.after(pass)?;
    }
    builder.stock();
    builder.fees();
    looks.after(pass)?;
    builder.must_use();
    builder.running();
    looks.after(pass)?;
    builder.flows(&mut || looks.after(pass))?;
    builder.caps()?;
    Ok(builder.program)
}

pub(super) fn too_large() -> ComposeError {
    ComposeError::TooLarge(
        "a figure is beyond 64 bits; use smaller weights, prices or a shorter horizon".to_owned(),
    )
}

/// Unknowns by place.
pub(super) type Shared<P> = Rc<Vec<(P, Var)>>;

pub(super) struct Builder<'a> {
    pub(super) problem: &'a Problem<'a>,
    pub(super) reduced: &'a Reduced,
    pub(super) scope: &'a Scope,
    pub(super) program: Program,
    /// What is missing can be had for it, where columns are still to come.
    penalty: Option<i64>,
    pub(super) replicas: IdVec<CompId, Var>,
    /// Only of optional components.
    pub(super) deployed: IdVec<CompId, Option<Var>>,
    /// Replicas of a component at one level, by place; made when first needed.
    pub(super) at: Vec<(Cut, CompId, Shared<usize>)>,
    /// Whether a place is used at all, by level; made when first needed.
    pub(super) used: Vec<(Over, Shared<Option<usize>>)>,
}

impl<'a> Builder<'a> {
    fn new(
        problem: &'a Problem<'a>,
        reduced: &'a Reduced,
        scope: &'a Scope,
        penalty: Option<i64>,
        looks: &mut Looks<'_>,
    ) -> Result<Self, ComposeError> {
        let mut program = Program::empty();
        let replicas: IdVec<CompId, Var> = problem
            .components
            .iter()
            .map(|(_, comp)| {
                let min = if comp.is_optional { 0 } else { comp.min };
                program.var(Role::Replicas, 0, min.into(), comp.max.into())
            })
            .collect();
        let deployed = problem
            .components
            .iter()
            .map(|(_, comp)| comp.is_optional.then(|| program.var(Role::Deployed, 0, 0, 1)))
            .collect();
        for (_, column) in reduced.columns.iter() {
            let most =
                column.members.iter().map(|(c, count)| problem.components[*c].max / count).min().unwrap_or(0);
            let most = column.stock.map_or(most, |stock| most.min(stock));
            // Where columns are made on demand no limit of a single one may bind: rows have prices, limits have none.
            let most = if penalty.is_some() { MAX_LEASES } else { most };
            let var = program.var(
                Role::Leases,
                column.objective(&problem.aim).ok_or_else(too_large)?,
                0,
                most.into(),
            );
            program.leases.push(var);
        }
        let mut builder = Self {
            problem,
            reduced,
            scope,
            program,
            penalty,
            replicas,
            deployed,
            at: Vec::new(),
            used: Vec::new(),
        };
        for component in problem.components.ids() {
            looks.after(reduced.columns.len() / 8)?;
            let missing = builder.missing(problem.components[component].max.into());
            let total = (builder.replicas[component], -1);
            let terms: Vec<_> = builder.carriers(component).chain(missing).chain([total]).collect();
            builder.program.row(Some(0), Some(0), terms);
        }
        Ok(builder)
    }

    /// Whether columns are made on demand: then no limit may follow from those that are there.
    pub(super) fn has_columns_to_come(&self) -> bool {
        self.penalty.is_some()
    }

    /// Where columns are still to come, an unknown for what they do not give yet, which is at most `most`.
    pub(super) fn missing(&mut self, most: i64) -> Option<(Var, i64)> {
        self.penalty.map(|penalty| (self.program.var(Role::Missing, penalty, 0, most), 1))
    }

    /// The lease unknowns whose columns carry a component, each with how many it carries.
    fn carriers(&self, component: CompId) -> impl Iterator<Item = (Var, i64)> {
        self.reduced.columns.iter().filter_map(move |(id, column)| {
            let (_, count) = column.members.iter().find(|(c, _)| *c == component)?;
            Some((self.program.leases[id], i64::from(*count)))
        })
    }

    /// An optional component has replicas only if it is deployed, and then at least its minimum.
    fn one_of(&mut self) {
        for (component, comp) in self.problem.components.iter() {
            if let Some(deployed) = self.deployed[component] {
                let replicas = self.replicas[component];
                self.program.row(None, Some(0), [(replicas, 1), (deployed, -i64::from(comp.max))]);
                self.program.row(Some(0), None, [(replicas, 1), (deployed, -i64::from(comp.min))]);
            }
        }
    }

    fn constraint(&mut self, constraint: &Constraint) {
        match constraint {
            Constraint::Count(count) => {
                let terms: Vec<_> = count.components.iter().map(|name| (self.of(name), 1)).collect();
                let low = count.exactly.or(count.min).map(i64::from);
                let high = count.exactly.or(count.max).map(i64::from);
                self.program.row(low, high, terms);
            }
            Constraint::Serves(serves) => self.serves(serves),
            Constraint::Linear(linear) => self.linear(linear),
            Constraint::OneOf(components) => {
                let ids: Vec<CompId> = components.iter().map(|name| self.problem.component(name)).collect();
                let terms: Vec<_> = ids.iter().filter_map(|&id| Some((self.deployed[id]?, 1))).collect();
                self.program.row(Some(1), Some(1), terms);
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
            Constraint::Survive(survive) => {
                for name in &survive.components {
                    let component = self.problem.component(name);
                    self.survive(component, survive.loss_of, survive.remaining);
                }
            }
            Constraint::Distinct(distinct) => self.distinct(distinct.over, distinct.at_most),
            Constraint::Limit(limit) => self.limit(limit),
            // These say what may share a machine: the patterns obey them already.
            Constraint::Conflict(_) | Constraint::Colocate(_) | Constraint::Everywhere(_) => {}
        }
    }

    fn of(&self, name: &crate::model::ComponentId) -> Var {
        self.replicas[self.problem.component(name)]
    }

    fn serves(&mut self, serves: &Serves) {
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

    /// A row that holds only if a component is deployed: otherwise it is loosened by as much as it can be off.
    pub(super) fn conditional(
        &mut self,
        terms: Vec<(Var, i64)>,
        low: Option<i64>,
        high: Option<i64>,
        when: Option<&crate::model::ComponentId>,
    ) {
        let switch = when.and_then(|name| self.deployed[self.problem.component(name)]);
        let Some(switch) = switch else {
            self.program.row(low, high, terms);
            return;
        };
        let (least, most) = self.range(&terms);
        if let Some(low) = low {
            // least ≥ low - slack·(1 - switch)
            let slack = (low - least).max(0);
            self.program.row(Some(low - slack), None, terms.iter().copied().chain([(switch, -slack)]));
        }
        if let Some(high) = high {
            let slack = (most - high).max(0);
            self.program.row(None, Some(high + slack), terms.iter().copied().chain([(switch, slack)]));
        }
    }

    fn range(&self, terms: &[(Var, i64)]) -> (i64, i64) {
        terms.iter().fold((0, 0), |(least, most), &(var, factor)| {
            let (a, b) = (factor * self.program.low[var], factor * self.program.high[var]);
            (least + a.min(b), most + a.max(b))
        })
    }

    fn stock(&mut self) {
        // What runs already takes nothing of an offer's stock: it is one of its own.
        let mut limited: Vec<(Stocked, u32, Var)> = self
            .reduced
            .columns
            .iter()
            .filter_map(|(id, column)| {
                Some(((column.offer, column.keeps), column.stock?, self.program.leases[id]))
            })
            .collect();
        limited.sort_by_key(|(stocked, _, var)| (*stocked, var.index()));
        for same in limited.chunk_by(|a, b| a.0 == b.0) {
            if same.len() > 1 || self.has_columns_to_come() {
                let row =
                    self.program.row(None, Some(same[0].1.into()), same.iter().map(|(_, _, var)| (*var, 1)));
                self.program.lease_rows.push((Term::Stock(same[0].0), row));
            }
        }
    }

    fn must_use(&mut self) {
        if let Some(offer) = self.problem.aim.must_use {
            let missing = self.missing(1);
            self.lease_row((Some(1), None), Term::Used(offer), missing);
        }
    }

    /// A row over what a term counts of each lease, and other unknowns.
    pub(super) fn lease_row(
        &mut self,
        (low, high): (Option<i64>, Option<i64>),
        term: Term,
        others: impl IntoIterator<Item = (Var, i64)>,
    ) -> Row {
        let factor = |column| term.factor(self.problem, column);
        let columns = self.reduced.columns.iter();
        let leases: Vec<_> = columns.map(|(id, column)| (self.program.leases[id], factor(column))).collect();
        let row = self.program.row(low, high, leases.into_iter().chain(others));
        self.program.lease_rows.push((term, row));
        row
    }
}
