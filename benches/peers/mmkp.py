"""The ten published multiple-choice knapsack instances: value and bound after a time limit, ours and two solvers'.

Each runs on one thread, one after the other; the greatest value wins, of equal ones the first proven.
"""

from __future__ import annotations

import argparse
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import common
from linear import FREE, Answer, Linear, cp_sat, highs, versions

SCALE = 10  # values have one decimal at most
WIDTHS = [5, 8, 10, 10, 11, 9, 8, 7]


def model(path: Path) -> Linear:
    """One item of each group within the budgets, the greatest value; costs are tenths below zero."""
    numbers = iter(path.read_text().split())
    groups, items, resources = (int(next(numbers)) for _ in range(3))
    budgets = [int(Decimal(next(numbers))) for _ in range(resources)]
    linear = Linear()
    used: list[list[tuple[int, int]]] = [[] for _ in budgets]
    for _ in range(groups):
        next(numbers)  # the group's number
        group = []
        for _ in range(items):
            item = linear.boolean(-int(Decimal(next(numbers)) * SCALE))
            group.append((item, 1))
            for terms in used:
                terms.append((item, int(Decimal(next(numbers)))))
        linear.row(1, group, 1)
    for budget, terms in zip(budgets, used):
        linear.row(-FREE, terms, budget)
    return linear


def of_peer(answer: Answer) -> dict[str, Any]:
    """A solver's answer in the terms of the instance."""
    value = None if answer.value is None else -round(answer.value) / SCALE
    bound = None if answer.bound is None else -answer.bound / SCALE
    return {"value": value, "bound": bound, "seconds": answer.seconds, "proven": answer.status == "optimal"}


def of_ours(row: dict[str, Any]) -> dict[str, Any]:
    """The same of a line of ours."""
    numbers = {part: float(row[part]) for part in ("value", "bound", "seconds")}
    return {**numbers, "proven": row["proven"]}


def rank(result: dict[str, Any]) -> tuple[float, bool]:
    """What is compared to tell who is ahead."""
    return (-1.0 if result["value"] is None else result["value"], result["proven"])


def show(name: str, who: str, result: dict[str, Any], best: float) -> str:
    """A row of the table."""
    value, bound = result["value"], result["bound"]
    cells = [
        name,
        who,
        "none" if value is None else f"{value:g}" if value < 1e5 else f"{value:.1f}",
        "" if value is None else f"{(best - value) / best * 100:.4f}",
        "" if bound is None else f"{bound:.2f}",
        "" if value is None or bound is None else f"{(bound - value) / value * 100:.4f}",
        f"{result['seconds']:.2f}",
        "proven" if result["proven"] else "",
    ]
    return common.line(cells, WIDTHS)


def main() -> int:
    """Runs the comparison; 1 if an answer contradicts what is proven."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], metavar="CASE", help="such as I07; may be repeated")
    parser.add_argument("--limit", type=float, default=10, metavar="S", help="seconds for each solve, ours too (10)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to FILE")
    arguments = parser.parse_args()

    folder = common.INSTANCES / "mmkp"
    published = json.loads((folder / "best_known.json").read_text())
    title = f"{versions()}; limit {arguments.limit:g} s, one thread; {common.machine()}"
    print(title)
    print(common.line(["case", "who", "value", "behind %", "bound", "gap %", "s", ""], WIDTHS))
    wrong, rows = [], []
    ahead = {"ours": 0, "CP-SAT": 0, "HiGHS": 0}
    for line in common.ours("mmkp", "--json", f"{arguments.limit:g}", *arguments.only):
        name = line["case"]
        linear, known = model(folder / name), published[name]
        results = {
            "ours": of_ours(line),
            "CP-SAT": of_peer(cp_sat(linear, arguments.limit)),
            "HiGHS": of_peer(highs(linear, arguments.limit)),
        }
        top = max(map(rank, results.values()))
        leaders = [who for who, result in results.items() if rank(result) == top]
        for who in leaders:
            ahead[who] += 1
        for who, result in results.items():
            print(show(name, who, result, known["best_known"]), flush=True)
            value, bound = result["value"], result["bound"]
            if value is not None and value > known["upper_bound"] + 1e-6:
                wrong.append(f"{name}: {who} finds {value}, above the upper bound {known['upper_bound']}")
            if bound is not None and bound < known["best_known"] - 1e-6:
                wrong.append(f"{name}: {who} bounds by {bound}, below the best known {known['best_known']}")
        print(f"       ahead: {', '.join(leaders)}")
        rows.append({"case": name, "best_known": known["best_known"], **results})
    print("ahead or level: " + ", ".join(f"{who} {count} of {len(rows)}" for who, count in ahead.items()))
    common.write_json(arguments.json, {"heading": title, "limit_seconds": arguments.limit, "cases": rows})
    for message in wrong:
        print(f"WRONG: {message}")
    return 1 if wrong or not rows else 0


if __name__ == "__main__":
    raise SystemExit(main())
