"""Linear models over integers, and the two solvers that the comparisons hand them to."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import version

import highspy
import numpy as np
from ortools.sat.python import cp_model

Term = tuple[int, int]  # a variable and its factor
FREE = math.inf


@dataclass
class Linear:
    """Integer unknowns between bounds, rows `low ≤ Σ factor · unknown ≤ high`, and the least of a linear cost."""

    low: list[int] = field(default_factory=list)
    high: list[int] = field(default_factory=list)
    cost: list[float] = field(default_factory=list)
    rows: list[tuple[float, list[Term], float]] = field(default_factory=list)

    def integer(self, low: int, high: int, cost: float = 0) -> int:
        """A new unknown."""
        self.low.append(low)
        self.high.append(high)
        self.cost.append(cost)
        return len(self.cost) - 1

    def boolean(self, cost: float = 0) -> int:
        """A new unknown that is 0 or 1."""
        return self.integer(0, 1, cost)

    def row(self, low: float, terms: Iterable[Term], high: float = FREE) -> None:
        """A new row; an unknown that is named several times counts with the sum of its factors."""
        total: dict[int, int] = {}
        for variable, factor in terms:
            total[variable] = total.get(variable, 0) + factor
        self.rows.append((low, [term for term in total.items() if term[1] != 0], high))

    def broken_row(self, values: list[int]) -> int | None:
        """The first row that whole values break, in exact arithmetic."""
        for at, (low, terms, high) in enumerate(self.rows):
            if not low <= sum(factor * values[variable] for variable, factor in terms) <= high:
                return at
        return None


@dataclass
class Answer:
    """What a solver says after its time."""

    status: str  # optimal, infeasible, or limit
    seconds: float  # of the solver alone: building the model is not counted
    value: float | None = None  # of the best solution, if there is one
    bound: float | None = None  # no solution is below
    values: list[int] | None = None

    def shown_seconds(self) -> str:
        """The time, or that it was not enough."""
        return f">{self.seconds:.0f} s" if self.status == "limit" else shown(self.seconds)


def shown(seconds: float) -> str:
    """A time for people."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def highs_model(model: Linear, scale: float = 1) -> highspy.HighsLp:
    """A model for HiGHS, with costs times `scale`."""
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(model.cost), len(model.rows)
    lp.col_cost_ = scale * np.array(model.cost, dtype=np.double)
    lp.col_lower_ = np.array(model.low, dtype=np.double)
    lp.col_upper_ = np.array(model.high, dtype=np.double)
    lp.row_lower_ = np.array([row[0] for row in model.rows], dtype=np.double)
    lp.row_upper_ = np.array([row[2] for row in model.rows], dtype=np.double)
    lp.integrality_ = [highspy.HighsVarType.kInteger] * len(model.cost)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = np.cumsum([0] + [len(terms) for _, terms, _ in model.rows], dtype=np.int32)
    lp.a_matrix_.index_ = np.array([v for _, terms, _ in model.rows for v, _ in terms], dtype=np.int32)
    lp.a_matrix_.value_ = np.array([f for _, terms, _ in model.rows for _, f in terms], dtype=np.double)
    return lp


def highs(model: Linear, limit: float) -> Answer:
    """The HiGHS branch-and-cut solver, on one thread, to a gap of zero."""
    if not model.cost:  # which HiGHS calls empty, whatever the rows say
        return Answer("infeasible", 0) if model.broken_row([]) is not None else Answer("optimal", 0, 0, 0, [])
    solver = highspy.Highs()
    for option, value in {
        "output_flag": False,
        "threads": 1,
        "time_limit": float(limit),
        "mip_rel_gap": 0.0,
        "mip_abs_gap": 1e-9,
    }.items():
        solver.setOptionValue(option, value)
    solver.passModel(highs_model(model))
    start = time.perf_counter()
    solver.run()
    seconds = time.perf_counter() - start
    status, info = solver.getModelStatus(), solver.getInfo()
    if status == highspy.HighsModelStatus.kInfeasible:
        return Answer("infeasible", seconds)
    if status not in (highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kTimeLimit):
        raise RuntimeError(f"HiGHS stops with {solver.modelStatusToString(status)}")
    answer = Answer("optimal" if status == highspy.HighsModelStatus.kOptimal else "limit", seconds)
    if info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible:
        answer.value = info.objective_function_value
        answer.values = [round(value) for value in solver.getSolution().col_value]
    if math.isfinite(info.mip_dual_bound):
        answer.bound = info.mip_dual_bound
    return answer


def cp_sat_model(model: Linear, divisor: int = 1) -> tuple[cp_model.CpModel, list[cp_model.IntVar]]:
    """A model for CP-SAT and its unknowns; costs are whole, and divided by a divisor of all."""
    target = cp_model.CpModel()
    unknowns = [
        target.new_bool_var(str(at)) if (low, high) == (0, 1) else target.new_int_var(low, high, str(at))
        for at, (low, high) in enumerate(zip(model.low, model.high))
    ]
    for low, terms, high in model.rows:
        total = cp_model.LinearExpr.weighted_sum([unknowns[v] for v, _ in terms], [f for _, f in terms])
        target.add_linear_expression_in_domain(
            total,
            cp_model.Domain(
                cp_model.INT_MIN if low == -FREE else int(low), cp_model.INT_MAX if high == FREE else int(high)
            ),
        )
    target.minimize(cp_model.LinearExpr.weighted_sum(unknowns, [round(cost) // divisor for cost in model.cost]))
    return target, unknowns


def cp_sat(model: Linear, limit: float) -> Answer:
    """OR-Tools CP-SAT, on one worker. Costs must be whole."""
    target, unknowns = cp_sat_model(model)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.max_time_in_seconds = limit
    start = time.perf_counter()
    status = solver.solve(target)
    seconds = time.perf_counter() - start
    if status == cp_model.INFEASIBLE:
        return Answer("infeasible", seconds)
    if status == cp_model.MODEL_INVALID:
        raise RuntimeError(f"CP-SAT refuses the model: {target.validate()}")
    answer = Answer("optimal" if status == cp_model.OPTIMAL else "limit", seconds)
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        answer.value = solver.objective_value
        answer.values = [solver.value(unknown) for unknown in unknowns]
    answer.bound = solver.best_objective_bound
    return answer


def versions() -> str:
    """Which peers these are."""
    return f"OR-Tools {version('ortools')}, HiGHS {version('highspy')}"
