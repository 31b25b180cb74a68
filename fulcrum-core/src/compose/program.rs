//! The integer program: how many of each kind of lease, under the blueprint's conditions as rows.

use super::{
    error::ComposeError,
    id_vec::{Id, IdVec, id_type},
    problem::{ClassId, CompId, Cost, Level, Problem},
    reduce::{ColumnId, Reduced},
};
use crate::model::{Constraint, Linear, Over, Serves};

id_type!(
    /// A whole-numbered unknown.
    Var
);
id_type!(
    /// A linear condition.
    Row
);

/// What an unknown stands for; the order is that in which the search decides them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Whether an optional component is deployed.
    Deployed,
    /// Whether a place is used, or holds a component.
    Place,
    /// Replicas of a component.
    Replicas,
    /// Replicas of a component in one place.
    ReplicasAt,
    /// Leases of one kind.
    Leases,
}

/// Minimise `cost · x` with `low ≤ x ≤ high` and `row_low ≤ A x ≤ row_high`, all whole numbers.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) cost: IdVec<Var, Cost>,
    pub(crate) low: IdVec<Var, i64>,
    pub(crate) high: IdVec<Var, i64>,
    pub(crate) role: IdVec<Var, Role>,
    /// Entries of each column of `A`, at most one a row.
    pub(crate) entries: IdVec<Var, Vec<(Row, i64)>>,
    pub(crate) row_low: IdVec<Row, Option<i64>>,
    pub(crate) row_high: IdVec<Row, Option<i64>>,
    /// The unknown that counts the leases of each column.
    pub(crate) leases: IdVec<ColumnId, Var>,
}

/// Entries of a dense tableau beyond which memory would run out: half a gibibyte.
const MAX_TABLEAU: usize = 64 << 20;

impl Program {
    /// Builds the program.
    ///
    /// # Errors
    /// [`ComposeError::TooLarge`] if its tableau would not fit into memory.
    pub(crate) fn new(problem: &Problem<'_>, reduced: &Reduced) -> Result<Self, ComposeError> {
        let mut builder = Builder::new(problem, reduced);
        builder.one_of();
        for constraint in &problem.blueprint.constraints {
            builder.constraint(constraint);
        }
        builder.stock();
        let program = builder.program;
        let size = program.cost.len().saturating_mul(program.row_low.len());
        if size > MAX_TABLEAU {
            return Err(ComposeError::TooLarge(format!(
                "{} kinds of lease under {} conditions; narrow the places by `where`, or spread over regions or providers instead of zones",
                program.cost.len(),
                program.row_low.len()
            )));
        }
        Ok(program)
    }

    /// The cost of an assignment, if it meets every row and limit.
    pub(crate) fn check(&self, values: &IdVec<Var, i64>) -> Option<i128> {
        let mut sums: IdVec<Row, i128> = self.row_low.ids().map(|_| 0).collect();
        let mut cost = 0i128;
        for (var, &value) in values.iter() {
            if value < self.low[var] || value > self.high[var] {
                return None;
            }
            cost += i128::from(value) * i128::from(self.cost[var]);
            for &(row, factor) in &self.entries[var] {
                sums[row] += i128::from(value) * i128::from(factor);
            }
        }
        let is_met = |row: Row| {
            self.row_low[row].is_none_or(|low| sums[row] >= low.into())
                && self.row_high[row].is_none_or(|high| sums[row] <= high.into())
        };
        self.row_low.ids().all(is_met).then_some(cost)
    }

    fn var(&mut self, role: Role, cost: Cost, low: i64, high: i64) -> Var {
        self.cost.push(cost);
        self.low.push(low);
        self.high.push(high.max(low));
        self.role.push(role);
        self.entries.push(Vec::new())
    }

    fn row(&mut self, low: Option<i64>, high: Option<i64>, terms: impl IntoIterator<Item = (Var, i64)>) {
        self.row_low.push(low);
        let row = self.row_high.push(high);
        for (var, factor) in terms {
            if factor == 0 {
                continue;
            }
            let entries = &mut self.entries[var];
            match entries.last_mut() {
                Some((last, sum)) if *last == row => *sum += factor,
                _ => entries.push((row, factor)),
            }
        }
    }
}

struct Builder<'a> {
    problem: &'a Problem<'a>,
    reduced: &'a Reduced,
    program: Program,
    replicas: IdVec<CompId, Var>,
    /// Only of optional components.
    deployed: IdVec<CompId, Option<Var>>,
    /// Replicas of a component at one level, place by place; made when first needed.
    at: Vec<(Over, CompId, Vec<Var>)>,
}

impl<'a> Builder<'a> {
    fn new(problem: &'a Problem<'a>, reduced: &'a Reduced) -> Self {
        let mut program = Program {
            cost: IdVec::new(),
            low: IdVec::new(),
            high: IdVec::new(),
            role: IdVec::new(),
            entries: IdVec::new(),
            row_low: IdVec::new(),
            row_high: IdVec::new(),
            leases: IdVec::new(),
        };
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
            let var = program.var(Role::Leases, column.cost, 0, most.into());
            program.leases.push(var);
        }
        let mut builder = Self { problem, reduced, program, replicas, deployed, at: Vec::new() };
        for component in problem.components.ids() {
            let total = (builder.replicas[component], -1);
            let terms: Vec<_> = builder.carriers(component, |_| true).chain([total]).collect();
            builder.program.row(Some(0), Some(0), terms);
        }
        builder
    }

    /// The lease unknowns whose columns carry a component in some classes, each with how many it carries.
    fn carriers(
        &self,
        component: CompId,
        is_in: impl Fn(ClassId) -> bool,
    ) -> impl Iterator<Item = (Var, i64)> {
        self.reduced.columns.iter().filter(move |(_, column)| is_in(column.class)).filter_map(
            move |(id, column)| {
                let (_, count) = column.members.iter().find(|(c, _)| *c == component)?;
                Some((self.program.leases[id], i64::from(*count)))
            },
        )
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
                        let share =
                            (percent * rust_decimal::Decimal::ONE_HUNDRED).try_into().unwrap_or(10_000);
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
    fn conditional(
        &mut self,
        terms: Vec<(Var, i64)>,
        low: Option<i64>,
        high: Option<i64>,
        when: Option<&crate::model::ComponentId>,
    ) {
        let switch = when.and_then(|name| self.deployed[self.problem.component(name)]);
        let Some(switch) = switch else {
            return self.program.row(low, high, terms);
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

    fn level(&self, over: Over) -> &'a Level {
        let level = self.problem.levels.iter().find(|level| level.over == over);
        level.expect("the problem has a level for each constraint")
    }

    /// Replicas of a component in each place of a level.
    fn replicas_at(&mut self, component: CompId, over: Over) -> Vec<Var> {
        if let Some((_, _, vars)) = self.at.iter().find(|(o, c, _)| *o == over && *c == component) {
            return vars.clone();
        }
        let level = self.level(over);
        let max = self.problem.components[component].max;
        let mut vars = Vec::with_capacity(level.places);
        for place in 0..level.places {
            let terms: Vec<_> = self.carriers(component, |class| level.place_of[class] == place).collect();
            let most = if terms.is_empty() { 0 } else { max };
            let var = self.program.var(Role::ReplicasAt, 0, 0, most.into());
            if !terms.is_empty() {
                self.program.row(Some(0), Some(0), terms.into_iter().chain([(var, -1)]));
            }
            vars.push(var);
        }
        self.at.push((over, component, vars.clone()));
        vars
    }

    /// A number that a deployed component needs: the bound of a row whose left side gets the returned terms.
    fn if_deployed(&self, component: CompId, number: i64) -> (i64, Option<(Var, i64)>) {
        match self.deployed[component] {
            None => (number, None),
            Some(deployed) => (0, Some((deployed, -number))),
        }
    }

    fn at_least(&mut self, component: CompId, over: Over, k: u32) {
        let (need, switch) = self.if_deployed(component, k.into());
        let mut terms: Vec<_> = switch.into_iter().collect();
        for replicas in self.replicas_at(component, over) {
            if self.program.high[replicas] == 0 {
                continue;
            }
            let is_used = self.program.var(Role::Place, 0, 0, 1);
            self.program.row(Some(0), None, [(replicas, 1), (is_used, -1)]);
            terms.push((is_used, 1));
        }
        // Fewer replicas than places would not do.
        let total = self.replicas[component];
        self.program.row(Some(need), None, switch.into_iter().chain([(total, 1)]));
        self.program.row(Some(need), None, terms);
    }

    /// `10000 · n(c, place) ≤ share · n(c)`.
    fn max_share(&mut self, component: CompId, over: Over, share: i64) {
        let total = self.replicas[component];
        for replicas in self.replicas_at(component, over) {
            self.program.row(None, Some(0), [(replicas, 10_000), (total, -share)]);
        }
    }

    /// `n(c) - n(c, place) ≥ remaining` for each place.
    fn survive(&mut self, component: CompId, over: Over, remaining: u32) {
        let total = self.replicas[component];
        let (need, switch) = self.if_deployed(component, remaining.into());
        for replicas in self.replicas_at(component, over) {
            self.program.row(Some(need), None, [(total, 1), (replicas, -1)].into_iter().chain(switch));
        }
        // What one place may lose, the others must hold: one more than remains, wherever they are.
        let (need, switch) = self.if_deployed(component, i64::from(remaining) + 1);
        if remaining > 0 {
            self.program.row(Some(need), None, [(total, 1)].into_iter().chain(switch));
        }
    }

    fn distinct(&mut self, over: Over, at_most: u32) {
        let places = self.level(over).places;
        let used: Vec<Var> = (0..places).map(|_| self.program.var(Role::Place, 0, 0, 1)).collect();
        for component in self.problem.components.ids() {
            let max = i64::from(self.problem.components[component].max);
            for (place, replicas) in self.replicas_at(component, over).into_iter().enumerate() {
                if self.program.high[replicas] > 0 {
                    self.program.row(None, Some(0), [(replicas, 1), (used[place], -max)]);
                }
            }
        }
        self.program.row(None, Some(at_most.into()), used.into_iter().map(|var| (var, 1)));
    }

    fn stock(&mut self) {
        let mut limited: Vec<(crate::catalogue::OfferIx, u32, Var)> = self
            .reduced
            .columns
            .iter()
            .filter_map(|(id, column)| Some((column.offer, column.stock?, self.program.leases[id])))
            .collect();
        limited.sort_by_key(|(offer, _, var)| (*offer, var.index()));
        for same in limited.chunk_by(|a, b| a.0 == b.0) {
            if same.len() > 1 {
                self.program.row(None, Some(same[0].1.into()), same.iter().map(|(_, _, var)| (*var, 1)));
            }
        }
    }
}
