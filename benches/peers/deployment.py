"""The 52 published deployment cases: ours, and general solvers on two models of the same problem.

Times of the peers are those of the solver alone, without the building of the model in Python; ours is the whole call
after parsing. Each runs on one thread, one after the other.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable
from pathlib import Path

import common
from deployment_models import Case, by_patterns, cases, direct
from linear import Answer, cp_sat, highs, shown, versions

WIDTHS = [24, 8, 10, 22, 22, 22]


# The order of the machines helps CP-SAT and hinders HiGHS, which looks for symmetries itself.
ORDER = {"cp-sat": True, "highs": False}


def peers(is_ordered: dict[str, bool]) -> dict[str, Callable[[Case, float], Answer]]:
    """Who is compared, by column."""
    return {
        "CP-SAT": lambda case, limit: cp_sat(direct(case, is_ordered["cp-sat"]), limit),
        "HiGHS direct": lambda case, limit: highs(direct(case, is_ordered["highs"]), limit),
        "HiGHS pattern": lambda case, limit: highs(by_patterns(case), limit),
    }


def cell(answer: Answer, seconds: float) -> str:
    """A time and how often ours goes into it."""
    more = ">" if answer.status == "limit" else ""
    return f"{answer.shown_seconds()} ({more}{answer.seconds / seconds:,.0f}×)"


def median(answers: list[Answer], ratios: list[float]) -> str:
    """The median of the ratios; as a lower limit where a time-out decides it."""
    least = statistics.median(ratios)
    unlimited = [math.inf if answer.status == "limit" else ratio for answer, ratio in zip(answers, ratios)]
    return f"{'' if statistics.median(unlimited) == least else '>'}{least:,.0f}×"


def main() -> int:
    """Runs the comparison; 1 if an answer is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose name contains TEXT, such as 'on 40'")
    parser.add_argument("--limit", type=float, default=60, metavar="S", help="seconds for each solve of a peer (60)")
    parser.add_argument("--repeat", type=int, default=21, metavar="N", help="our calls, of which the median counts (21)")
    parser.add_argument("--skip", action="append", default=[], metavar="PEER", help="leave out, such as 'HiGHS direct'")
    parser.add_argument("--order", choices=["both", "neither"], help="machines of the direct models in order of price")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to FILE")
    arguments = parser.parse_args()

    order = ORDER if arguments.order is None else dict.fromkeys(ORDER, arguments.order == "both")
    chosen = {name: run for name, run in peers(order).items() if name not in arguments.skip}
    known = {case.name: case for case in cases(common.INSTANCES / "deployment")}
    title = f"{versions()}; limit {arguments.limit:g} s, one thread; {common.machine()}"
    print(title)
    print(common.line(["case", "optimum", "ours", *chosen], WIDTHS))
    wrong: list[str] = []
    rows = []
    answers: dict[str, list[Answer]] = {name: [] for name in chosen}
    ratios: dict[str, list[float]] = {name: [] for name in chosen}
    ours = list(common.ours("published", "--repeat", str(arguments.repeat), "--only", arguments.only))
    for own in ours:
        case, seconds = known[own["case"]], own["micros"] / 1e6
        if float(own["objective"]) != case.optimum or not own["proven"]:
            wrong.append(f"{case.name}: ours is {own['objective']}, proven: {own['proven']}")
        cells, row = [], {"case": case.name, "optimum": case.optimum, "ours_seconds": seconds}
        for name, run in chosen.items():
            answer = run(case, arguments.limit)
            if answer.status != "limit" and (answer.value is None or round(answer.value) != case.optimum):
                wrong.append(f"{case.name}: {name} says {answer.status} {answer.value}")
            answers[name].append(answer)
            ratios[name].append(answer.seconds / seconds)
            cells.append(cell(answer, seconds))
            row[name] = {"seconds": answer.seconds, "status": answer.status, "value": answer.value}
        rows.append(row)
        print(common.line([case.name, str(case.optimum), shown(seconds), *cells], WIDTHS), flush=True)
    if not rows:
        raise SystemExit(f"no case is called {arguments.only!r}")

    total = sum(row["ours_seconds"] for row in rows)
    middle = statistics.median(row["ours_seconds"] for row in rows)
    sums = {name: sum(answer.seconds for answer in answers[name]) for name in chosen}
    late = {name: sum(answer.status == "limit" for answer in answers[name]) for name in chosen}
    more = {name: ">" if late[name] else "" for name in chosen}
    print(common.line(["median ratio", "", shown(middle), *(median(answers[n], ratios[n]) for n in chosen)], WIDTHS))
    whole = [f"{more[n]}{shown(sums[n])} ({more[n]}{sums[n] / total:,.0f}×)" for n in chosen]
    print(common.line(["total", "", shown(total), *whole], WIDTHS))
    print(common.line(["not proven in time", "", "0", *(str(late[n]) for n in chosen)], WIDTHS))
    common.write_json(arguments.json, {"heading": title, "limit_seconds": arguments.limit, "cases": rows})
    for message in wrong:
        print(f"WRONG: {message}")
    print(f"{len(rows)} cases; " + ("some answers differ" if wrong else "all proven answers equal the published optima"))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
