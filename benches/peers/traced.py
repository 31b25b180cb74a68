"""The solvers with what they know on the way: each plan and bound, with the processor seconds since the start.

Processor time is that of this process, on all threads: what a busy machine takes away does not count. Each solver has
one thread, and stops when its processor time is up. Costs of the model are whole micro-units. Solvers in floating point
get them times `scale`, CP-SAT gets them divided by their greatest common divisor.
"""

from __future__ import annotations

import math
import tempfile
import threading
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import highspy
from linear import Linear, cp_sat_model, highs_model
from ortools.sat.python import cp_model
from pyscipopt import SCIP_EVENTTYPE, Eventhdlr
from pyscipopt import Model as Scip

WALL = 20  # times the limit on the wall, where a solver only knows that clock


@dataclass
class Trace:
    """What was known when."""

    told: list[tuple[float, float | None, float | None]] = field(default_factory=list)  # seconds, plan, bound
    seconds: float = 0
    proven: bool = False
    values: list[int] | None = None

    def tell(self, seconds: float, plan: float | None, bound: float | None) -> None:
        """Notes a plan and a bound if one is better than before."""
        plan = None if plan is None or not math.isfinite(plan) or plan > 1e15 else plan
        bound = None if bound is None or not math.isfinite(bound) or bound < -1e15 else bound
        _, last_plan, last_bound = self.told[-1] if self.told else (0, None, None)
        plan = min((value for value in (plan, last_plan) if value is not None), default=None)
        bound = max((value for value in (bound, last_bound) if value is not None), default=None)
        if (plan, bound) != (last_plan, last_bound):
            self.told.append((seconds, plan, bound))

    def at(self, seconds: float) -> tuple[float | None, float | None]:
        """Plan and bound after so many seconds."""
        known = [(plan, bound) for when, plan, bound in self.told if when <= seconds]
        return known[-1] if known else (None, None)

    @property
    def plan(self) -> float | None:
        """The last plan's cost."""
        return self.told[-1][1] if self.told else None

    @property
    def bound(self) -> float | None:
        """The last bound."""
        return self.told[-1][2] if self.told else None


def highs(model: Linear, limit: float, scale: float) -> Trace:
    """HiGHS, to a gap of zero."""
    solver, trace = highspy.Highs(), Trace()
    for option, value in {
        "output_flag": False,
        "threads": 1,
        "time_limit": WALL * float(limit),
        "mip_rel_gap": 0.0,
        "mip_abs_gap": 1e-7,
    }.items():
        solver.setOptionValue(option, value)
    solver.passModel(highs_model(model, scale))
    start = time.process_time()

    def ask(kind: Any, _message: str, out: Any, answer: Any, _data: Any) -> None:
        seconds = time.process_time() - start
        if kind != highspy.cb.HighsCallbackType.kCallbackSimplexInterrupt:
            trace.tell(seconds, out.mip_primal_bound, out.mip_dual_bound)
        answer.user_interrupt = seconds > limit

    solver.setCallback(ask, None)
    for kind in ("kCallbackMipInterrupt", "kCallbackSimplexInterrupt"):
        solver.startCallback(getattr(highspy.cb.HighsCallbackType, kind))
    solver.run()
    trace.seconds = time.process_time() - start
    info = solver.getInfo()
    trace.proven = solver.getModelStatus() == highspy.HighsModelStatus.kOptimal
    if solver.getModelStatus() == highspy.HighsModelStatus.kInfeasible:
        raise RuntimeError("HiGHS finds no solution")
    if info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible:
        trace.values = [round(value) for value in solver.getSolution().col_value]
        trace.tell(trace.seconds, info.objective_function_value, info.mip_dual_bound)
    else:
        trace.tell(trace.seconds, None, info.mip_dual_bound)
    return trace


class _Told(Eventhdlr):
    """Notes what SCIP knows after each node, each relaxation, and each plan."""

    KINDS = SCIP_EVENTTYPE.BESTSOLFOUND | SCIP_EVENTTYPE.NODESOLVED | SCIP_EVENTTYPE.LPSOLVED

    def __init__(self, trace: Trace, start: float) -> None:
        self.trace, self.start = trace, start

    def eventinit(self) -> None:
        self.model.catchEvent(self.KINDS, self)

    def eventexit(self) -> None:
        self.model.dropEvent(self.KINDS, self)

    def eventexec(self, _event: Any) -> None:
        seconds = time.process_time() - self.start
        self.trace.tell(seconds, self.model.getPrimalbound(), self.model.getDualbound())


def scip(model: Linear, limit: float, scale: float) -> Trace:
    """SCIP, to a gap of zero."""
    trace, solver = Trace(), Scip()
    solver.hideOutput()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.mps"
        writer = highspy.Highs()
        writer.setOptionValue("output_flag", False)
        lp = highs_model(model, scale)
        lp.col_names_ = [f"x{at}" for at in range(len(model.cost))]
        writer.passModel(lp)
        writer.writeModel(str(path))
        solver.readProblem(str(path))
    options = {"timing/clocktype": 1, "timing/reading": False, "limits/time": float(limit), "limits/gap": 0.0}
    for name, value in options.items():
        solver.setParam(name, value)
    start = time.process_time()
    solver.includeEventhdlr(_Told(trace, start), "told", "notes plans and bounds")
    solver.optimize()
    trace.seconds = time.process_time() - start
    trace.proven = solver.getStatus() == "optimal"
    plan = None
    if solver.getNSols() > 0:
        best, plan = solver.getBestSol(), solver.getPrimalbound()
        named = {unknown.name: round(best[unknown]) for unknown in solver.getVars()}
        trace.values = [named[f"x{at}"] for at in range(len(model.cost))]
    trace.tell(trace.seconds, plan, solver.getDualbound())
    return trace


class _Solutions(cp_model.CpSolverSolutionCallback):
    """Notes the plans of CP-SAT."""

    def __init__(self, trace: Trace, start: float, unit: float) -> None:
        super().__init__()
        self.trace, self.start, self.unit = trace, start, unit

    def on_solution_callback(self) -> None:
        """One was found."""
        seconds = time.process_time() - self.start
        self.trace.tell(seconds, self.objective_value * self.unit, self.best_objective_bound * self.unit)


def cp_sat(model: Linear, limit: float, scale: float) -> Trace:
    """CP-SAT, on one worker."""
    divisor = math.gcd(*(round(cost) for cost in model.cost)) or 1
    target, unknowns = cp_sat_model(model, divisor)
    unit = divisor * scale
    solver, trace = cp_model.CpSolver(), Trace()
    solver.parameters.num_workers = 1
    solver.parameters.max_time_in_seconds = WALL * limit
    start = time.process_time()
    solver.best_bound_callback = lambda bound: trace.tell(time.process_time() - start, None, bound * unit)
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            if time.process_time() - start > limit:
                solver.stop_search()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        status = solver.solve(target, _Solutions(trace, start, unit))
    finally:
        ended.set()
        watcher.join()
    trace.seconds = time.process_time() - start
    if status in (cp_model.INFEASIBLE, cp_model.MODEL_INVALID):
        raise RuntimeError(f"CP-SAT says {solver.status_name(status)} {target.validate()}")
    trace.proven = status == cp_model.OPTIMAL
    plan = None
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        plan = solver.objective_value * unit
        trace.values = [solver.value(unknown) for unknown in unknowns]
    trace.tell(trace.seconds, plan, solver.best_objective_bound * unit)
    return trace


SOLVERS = {"HiGHS": highs, "SCIP": scip, "CP-SAT": cp_sat}


def versions() -> str:
    """Which peers these are."""
    names = {"HiGHS": "highspy", "OR-Tools": "ortools", "PySCIPOpt": "pyscipopt"}
    found = ", ".join(f"{name} {version(package)}" for name, package in names.items())
    return f"{found} (SCIP {Scip().version():.1f})"
