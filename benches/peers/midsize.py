"""Generated markets of middle size: our search beside three solvers, on the same columns and on a compact model.

Our program makes the market and its application (`benches/src/market.rs`, all components may share). It composes on one
thread, and prints the documents. From them this comparison makes two integer programs.

* The pattern model. `midsize_columns` generates columns apart from our engine: HiGHS's simplex solves a restricted
  master, in which survival, spread, links, tiers of traffic and stock are rows once they are broken. A table over vCPU
  and memory prices, exactly at the end. Then all columns are listed that a plan as cheap as ours may use: their reduced
  cost is within the gap between our plan and the relaxation. So an optimum over them is one of the whole market, and a
  bound over them counts for it up to our plan. Above `--most-columns` the best of them and those of the relaxation are
  taken, and a bound counts for these alone. `--columns root` takes those of the relaxation alone.
* The compact model: whether each replica group stands on each slot of each offer, on the smallest market unless
  `--compact` says otherwise. An offer has as many slots as our plan uses of one offer, and two at least.

HiGHS, SCIP and CP-SAT solve both with one thread each. Times are processor seconds of the process, for all alike, so
a busy machine changes little. A peer's time is that of its solve alone. Our plan has narrowed its columns, and the
time to generate and list them is told beside. A cell shows plan, bound and gap as they were known then; the last
column is the time to the proof. `*` marks a bound that counts for these columns or slots alone.

Before all, two small markets show that the columns in a gap are all that exist, and that both models have one optimum
(`midsize_check`; run alone, it tries twenty). Each last plan is added up again from the documents, in whole numbers
and with all conditions (`midsize_market.audit`). No bound may be above a plan for which it counts. A contradiction
fails the run. Below each instance stands whether a solver on the same columns is ahead of us: with a better plan at
one of the times, or with an earlier proof.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import common
from midsize_check import check
from midsize_columns import Generator, name_of
from midsize_market import Column, Market, audit
from midsize_models import Compact, Leases, Pattern
from traced import SOLVERS, Trace, versions

LOOKS = (3, 12, 25)  # seconds, besides the limit
EQUAL = 1e-4  # main units a month, as floating point leaves it


@dataclass
class Result:
    """What one side knew when, and its last plan."""

    who: str
    trace: Trace
    leases: Leases | None
    covers: Callable[[Leases, float], bool]  # whether the bound counts for a plan
    is_whole: bool  # whether the bound counts for the whole market
    is_pattern: bool = False
    listing: float = 0  # seconds that its columns took here
    cost: float | None = None  # of the last plan, added up


@dataclass
class Table:
    """The columns of the table."""

    times: list[float]
    widths: list[int]

    def print(self, result: Result) -> None:
        """A row."""
        mark = "" if result.is_whole else "*"
        cells = [cell(result.trace.at(seconds), mark) for seconds in self.times]
        proof = f"{result.trace.seconds:.1f} s{mark}" if result.trace.proven else "none"
        print(common.line([f"  {result.who}", *cells, proof], self.widths), flush=True)


@dataclass
class Instance:
    """One market with one application."""

    market: Market
    ours: Result
    table: Table
    results: list[Result] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """Keeps and prints what one side says."""
        self.results.append(result)
        self.table.print(result)

    def note(self, words: str) -> None:
        """Keeps and prints how a model came to be."""
        self.notes.append(words)
        print(f"  {words}", flush=True)

    def contradictions(self) -> list[str]:
        """Plans that cost other than told or break a condition, and bounds above plans."""
        wrong = []
        for result in self.results:
            if result.leases is None:
                continue
            try:
                result.cost = self.market.monthly(audit(self.market, result.leases))
            except ValueError as error:
                wrong.append(f"{result.who}: its plan is none: {error}")
                continue
            told = result.trace.plan
            # A plan that is not the best may pay for a slot that it leaves empty.
            is_exact = result.trace.proven or result.who == "ours"
            if told is None or result.cost > told + EQUAL or (is_exact and result.cost < told - EQUAL):
                wrong.append(f"{result.who}: its plan costs {result.cost:.6f}, and it says {told}")
        for one in self.results:
            for other in self.results:
                if one.trace.bound is None or other.cost is None or other.leases is None:
                    continue
                if one.trace.bound > other.cost + EQUAL and one.covers(other.leases, other.cost):
                    wrong.append(f"{one.who} bounds by {one.trace.bound:.6f}, and {other.who} has {other.cost:.6f}")
        return wrong

    def ahead(self) -> list[str]:
        """Where a solver on the same columns is ahead of us."""
        found = []
        ours = self.ours.trace
        for result in self.results:
            if not result.is_pattern:
                continue
            for seconds in self.table.times:
                theirs, own = result.trace.at(seconds)[0], ours.at(seconds)[0]
                if theirs is not None and (own is None or theirs < own - EQUAL):
                    found.append(f"{result.who} has {theirs:.3f} at {seconds:g} s, we {shown(own)}")
            if result.is_whole and result.trace.proven:
                own = f"in {ours.seconds:.1f} s" if ours.proven else "not"
                alone = result.trace.seconds
                theirs = f"{alone:.1f} s ({result.listing + alone:.1f} s with its columns)"
                if not ours.proven or ours.seconds > result.trace.seconds:
                    found.append(f"{result.who} proves its plan in {theirs}, we {own}")
        return found


def shown(value: float | None) -> str:
    """An amount for people."""
    return "none" if value is None else f"{value:.3f}"


def cell(known: tuple[float | None, float | None], mark: str) -> str:
    """Plan, bound and gap."""
    plan, bound = known
    if plan is None or bound is None:
        return f"{shown(plan)} / {shown(bound)}{mark}"
    return f"{plan:.3f} / {bound:.3f}{mark} {max(0.0, plan - bound) / plan:.2%}"


def own_result(market: Market, search: dict[str, Any]) -> Result:
    """Our search as it was told."""
    trace = Trace(seconds=search["seconds"], proven=search["proven"])
    for told in search["told"]:
        amounts = [None if told[part] is None else float(Decimal(told[part])) for part in ("plan", "bound")]
        trace.tell(told["seconds"], *amounts)
    leases: Leases | None = None
    if search["plan"] is not None:
        number = {
            (offer["place"]["provider"], offer["place"]["region"], offer["sku"]): at
            for at, offer in enumerate(market.documents)
        }
        leases = Counter()
        for lease in search["plan"]["leases"]:
            names = [name for name, count in lease["replicas"].items() for _ in range(count)]
            leases[number[lease["place"]["provider"], lease["place"]["region"], lease["sku"]], tuple(names)] += 1
    return Result("ours", trace, leases, lambda *_: True, is_whole=True)


def patterns(instance: Instance, kinds: list[str], most: int) -> list[tuple[str, list[Column], bool, float]]:
    """Lists of columns, whether each is all that matters, and the seconds that it took."""
    market = instance.market
    start = time.process_time()
    generator = Generator(market)
    duals, bound, rounds = generator.solve()
    solved = time.process_time() - start
    root = Trace(told=[(solved, None, market.monthly(bound))])
    instance.results.append(Result("relaxation", root, None, lambda *_: True, is_whole=True))
    known = len(generator.columns)
    instance.note(
        f"relaxation {market.monthly(bound):.6f}, {known:,} columns after {rounds} rounds in {solved:.1f} s"
    )
    lists = []
    if "gap" in kinds and instance.ours.leases is not None:
        gap = audit(market, instance.ours.leases) - bound
        start = time.process_time()
        columns, are_all = generator.in_gap(duals, gap, most)
        spent = time.process_time() - start
        if not are_all:
            listed = {name_of(column) for column in columns}
            columns += [column for column in generator.columns if name_of(column) not in listed]
        words = "all" if are_all else "NOT all"
        instance.note(f"{len(columns):,} columns, {words} within {market.monthly(gap):.6f}, in {spent:.1f} s")
        lists.append(("", columns, are_all, solved + spent))
    if "root" in kinds or not lists:
        lists.append((" root", generator.columns, False, solved))
    return lists


def solve_patterns(instance: Instance, solvers: list[str], kinds: list[str], most: int, limit: float) -> None:
    """Adds what the solvers say of the pattern model."""
    market, ours = instance.market, instance.ours
    for name, columns, are_all, listing in patterns(instance, kinds, most):
        model = Pattern(market, columns)

        def covers(leases: Leases, cost: float, model: Pattern = model, are_all: bool = are_all) -> bool:
            # Each plan as cheap as ours is among these columns, or one for no more is.
            is_among = are_all and ours.cost is not None and cost <= ours.cost
            return is_among or model.covers(leases)

        for solver in solvers:
            trace = SOLVERS[solver](model.linear, limit, market.monthly(1))
            leases = None if trace.values is None else model.leases(trace.values)
            who = f"{solver} pattern{name}"
            instance.add(Result(who, trace, leases, covers, are_all, is_pattern=True, listing=listing))


def solve_compact(instance: Instance, solvers: list[str], limit: float) -> None:
    """Adds what the solvers say of the compact model."""
    market, used = instance.market, Counter[int]()
    for (number, _), count in (instance.ours.leases or Counter()).items():
        used[number] += count
    model = Compact(market, max([2, *used.values()]))
    unknowns, rows = len(model.linear.cost), len(model.linear.rows)
    instance.note(f"compact: {unknowns:,} unknowns, {rows:,} rows, {model.slots} slots of an offer")
    for solver in solvers:
        trace = SOLVERS[solver](model.linear, limit, market.monthly(1))
        leases = None if trace.values is None else model.leases(trace.values)
        covers = lambda leases, _, model=model: model.covers(leases)  # noqa: E731
        instance.add(Result(f"{solver} compact", trace, leases, covers, is_whole=False))


def as_json(name: str, instance: Instance, ahead: list[str]) -> dict[str, Any]:
    """The numbers of one instance."""
    results = [
        {
            "who": result.who,
            "told": [list(told) for told in result.trace.told],
            "seconds": result.trace.seconds,
            "proven": result.trace.proven,
            "whole": result.is_whole,
            "listing_seconds": result.listing,
            "cost": result.cost,
        }
        for result in instance.results
    ]
    return {"instance": name, "notes": instance.notes, "results": results, "ahead": ahead}


def numbers(text: str) -> list[int]:
    """Whole numbers between commas."""
    return [int(part) for part in text.split(",")]


def main() -> int:
    """Runs the comparison; 1 if somebody contradicts somebody."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes_of_markets = [1_000, 3_000, 10_000]
    parser.add_argument("--offers", type=numbers, default=sizes_of_markets, metavar="N,N", help="sizes of markets")
    parser.add_argument("--components", type=numbers, default=[40], metavar="N,N", help="sizes of applications (40)")
    parser.add_argument("--seed", type=numbers, default=[7], metavar="N,N", help="where chance starts (7)")
    parser.add_argument("--limit", type=float, default=60, metavar="S", help="processor seconds for each (60)")
    parser.add_argument("--columns", default="gap", metavar="KIND,KIND", help="gap, root or both (gap)")
    parser.add_argument("--most-columns", type=int, default=60_000, metavar="N", help="of the pattern model (60,000)")
    parser.add_argument("--compact", choices=["none", "smallest", "all"], default="smallest", help="where it is tried")
    parser.add_argument("--skip", action="append", default=[], choices=list(SOLVERS), help="leave a solver out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to FILE")
    arguments = parser.parse_args()

    solvers = [name for name in SOLVERS if name not in arguments.skip]
    times = [seconds for seconds in LOOKS if seconds < arguments.limit] + [arguments.limit]
    title = f"{versions()}; limit {arguments.limit:g} s of one thread; {common.machine()}"
    table = Table(times, [20, *([30] * len(times)), 9])
    for number in range(2):
        check(number)
    print(title)
    heads = [f"plan / bound gap, {seconds:g} s" for seconds in times]
    print(common.line(["instance, who", *heads, "proof"], table.widths))
    smallest = min(arguments.offers), min(arguments.components)
    wrong, behind, rows = [], 0, []
    sizes = [(s, o, c) for s in arguments.seed for o in arguments.offers for c in arguments.components]
    for seed, offers, components in sizes:
        options = {"--seed": seed, "--offers": offers, "--components": components, "--limit": arguments.limit}
        words = [str(word) for option in options.items() for word in option]
        (line,) = list(common.ours("midsize", *words))  # whole, so that nothing else runs meanwhile
        name = f"{offers:,} × {components}, seed {seed}"
        market = Market(line["blueprint"], line["offers"])
        ours = own_result(market, line["search"])
        instance = Instance(market, ours, table)
        print(name, flush=True)
        instance.add(ours)
        solve_patterns(instance, solvers, arguments.columns.split(","), arguments.most_columns, arguments.limit)
        if arguments.compact == "all" or (arguments.compact == "smallest" and (offers, components) == smallest):
            solve_compact(instance, solvers, arguments.limit)
        wrong += [f"{name}: {message}" for message in instance.contradictions()]
        ahead = instance.ahead()
        behind += bool(ahead)
        print("  " + ("; ".join(f"AHEAD: {words}" for words in ahead) or "no solver on the same columns is ahead"))
        rows.append(as_json(name, instance, ahead))
    print(f"{len(rows)} instances; a solver on the same columns is ahead of us on {behind}")
    common.write_json(arguments.json, {"heading": title, "limit_seconds": arguments.limit, "instances": rows})
    for message in wrong:
        print(f"WRONG: {message}")
    return 1 if wrong or not rows else 0


if __name__ == "__main__":
    raise SystemExit(main())
