"""Our answers on seeded random blueprints of medium size, against an integer program that HiGHS solves.

The program is built from the documents alone (`oracle_model.py`). Optima are compared in exact arithmetic, at most
1e-4 apart; infeasibility must agree. Our objective serves only to bound how often an offer can be leased.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import common
from linear import highs, versions
from oracle_model import Model, Unknown, kinds

TOLERANCE = Decimal("0.0001")


def judge(case: dict[str, Any], limit: float) -> tuple[str, str]:
    """The verdict on one case, `same`, `undecided` or `DIFFERENT`, and the words for it."""
    ours = case["answer"]
    if "error" in ours:
        return "DIFFERENT", f"ours is an error: {ours['error']}"
    value = None if "infeasible" in ours else Decimal(ours["objective"])
    model = Model(case["blueprint"], case["offers"], value)
    answer = highs(model.linear, limit)
    said = f"ours {'infeasible' if value is None else value}"
    if answer.status == "infeasible":
        if value is None:
            return "same", "infeasible"
        return "DIFFERENT", f"{said}, the program is infeasible"
    if answer.values is None:
        return "undecided", f"{said}, the program has no answer after {answer.seconds:.0f} s"
    if (row := model.linear.broken_row(answer.values)) is not None:
        return "undecided", f"{said}, the solver's answer breaks row {row} when rounded"
    found = model.objective(answer.values)
    said += f", the program {found}" + ("" if answer.status == "optimal" else f" after {answer.seconds:.0f} s")
    if value is None:
        return "DIFFERENT", said
    if found < Decimal(ours["bound"]) - TOLERANCE:
        return "DIFFERENT", f"{said}, our bound {ours['bound']}"
    if answer.status == "optimal":
        is_same = abs(found - value) <= TOLERANCE if ours["optimal"] else found <= value + TOLERANCE
        return ("same" if is_same else "DIFFERENT"), said
    if answer.bound is not None and Decimal(answer.bound) > value + TOLERANCE:
        return "DIFFERENT", f"{said}, its bound {answer.bound}"
    return "undecided", said


def main() -> int:
    """Runs the comparison; 1 on any difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="of the first case; each has its own, counted up (1)")
    parser.add_argument("--cases", type=int, default=100, metavar="N", help="how many (100)")
    parser.add_argument("--limit", type=float, default=60, metavar="S", help="seconds for each solve of HiGHS (60)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="write each case that differs to FOLDER")
    parser.add_argument("--verbose", action="store_true", help="a line for each case")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the counts to FILE")
    arguments = parser.parse_args()

    title = f"{versions()}; seed {arguments.seed}, {arguments.cases} cases; {common.machine()}"
    print(title, flush=True)
    verdicts: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for case in common.ours("medium", "--seed", str(arguments.seed), "--cases", str(arguments.cases)):
        try:
            verdict, words = judge(case, arguments.limit)
        except Unknown as unknown:
            verdict, words = "SKIPPED", f"the program does not know: {unknown}"
        verdicts[verdict] += 1
        if verdict == "same":
            seen.update(kinds(case["blueprint"], case["offers"]))
            outcomes["infeasible" if "infeasible" in case["answer"] else "feasible"] += 1
        if verdict != "same" or arguments.verbose:
            print(f"seed {case['seed']}: {verdict}: {words}", flush=True)
        if verdict == "DIFFERENT" and arguments.keep is not None:
            arguments.keep.mkdir(parents=True, exist_ok=True)
            (arguments.keep / f"{case['seed']}.json").write_text(json.dumps(case, indent=1))
    print("conditions in cases that agree: " + ", ".join(f"{kind} {count}" for kind, count in sorted(seen.items())))
    print(f"{verdicts['same']} agree ({outcomes['feasible']} optima, {outcomes['infeasible']} infeasible)", end="; ")
    print(f"{verdicts['DIFFERENT']} DIFFERENT, {verdicts['undecided']} undecided, {verdicts['SKIPPED']} SKIPPED")
    counts = {"verdicts": verdicts, "outcomes": outcomes, "conditions": seen}
    common.write_json(arguments.json, {"heading": title, **counts})
    # What the program does not know any more is not compared, and nobody would notice.
    return 1 if verdicts["DIFFERENT"] or verdicts["SKIPPED"] or verdicts["same"] == 0 else 0


if __name__ == "__main__":
    raise SystemExit(main())
