"""The published deployment cases as integer programs: the direct assignment model, and the pattern model.

The direct model is that of the benchmark's own papers: a fixed row of machines, each leased as one of the offers or
not at all, and for each component and machine whether it is placed there. The pattern model counts machines by the
set of components that they carry, each set at the cheapest offer that holds it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

from linear import FREE, Linear, Term

AXES = ("cpu", "memory", "storage")


@dataclass
class Case:
    """One application with its parameters on one list of offers."""

    name: str
    components: dict[str, dict[str, Any]]
    constraints: list[dict[str, Any]]
    offers: list[dict[str, Any]]
    optimum: int

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        """The constraints of one type."""
        return [constraint for constraint in self.constraints if constraint["type"] == kind]

    @cached_property
    def alternatives(self) -> set[str]:
        """Components that may be left out."""
        return {name for group in self.of_type("exactly_one_deployed") for name in group["components"]}

    def can_share(self, names: tuple[str, ...]) -> bool:
        """Whether a machine may carry exactly these components."""
        carried = set(names)
        for constraint in self.constraints:
            match constraint["type"]:
                case "conflict":
                    if constraint["component"] in carried and carried & set(constraint["with"]):
                        return False
                case "colocate":
                    if carried & set(constraint["components"]) not in (set(), set(constraint["components"])):
                        return False
                case "full_deployment":
                    if not carried & {constraint["component"], *constraint["unless"]}:
                        return False
        return True

    def cheapest_offer(self, names: tuple[str, ...]) -> int | None:
        """The least price of an offer that holds one of each of these components."""
        needs = [sum(self.components[name][axis] for name in names) for axis in AXES]
        fitting = (o["price"] for o in self.offers if all(o[axis] >= need for axis, need in zip(AXES, needs)))
        return min(fitting, default=None)

    @cached_property
    def patterns(self) -> list[tuple[tuple[str, ...], int]]:
        """All sets of components that may share a machine and fit an offer, with the least price of one."""
        sets = (names for size in range(1, len(self.components) + 1) for names in combinations(self.components, size))
        priced = ((names, self.cheapest_offer(names)) for names in sets if self.can_share(names))
        return [(names, price) for names, price in priced if price is not None]

    def most_machines(self) -> int:
        """Machines that some best plan does not exceed.

        A best plan stays best when instances above the least numbers that the counts and ratios ask for are taken
        away, clients before those who serve them, and when machines that carry only what a full deployment puts
        everywhere are given back. So at least one instance that is needed for its own sake is on each machine, and the
        sum of the least numbers is enough. It is taken for the dearest choice of alternatives. The table shows when
        this is wrong: a peer would then prove a value above the optimum.
        """
        choices = [set(self.components)]
        for group in self.of_type("exactly_one_deployed"):
            members = set(group["components"])
            choices = [chosen - members | {name} for chosen in choices for name in sorted(members)]
        return max(self._least_instances(chosen) for chosen in choices)

    def _least_instances(self, chosen: set[str]) -> int:
        least = {name: int(name in chosen) for name in self.components}
        everywhere = {constraint["component"] for constraint in self.of_type("full_deployment")}
        for constraint in self.of_type("colocate"):
            if everywhere & set(constraint["components"]):
                everywhere |= set(constraint["components"])
        groups: dict[tuple[str, ...], int] = {}
        while True:
            before = dict(least)
            for constraint in self.constraints:
                match constraint["type"]:
                    case "min_count" | "exact_count":
                        names = tuple(constraint["components"])
                        if len(names) == 1:
                            least[names[0]] = max(least[names[0]], constraint["value"])
                        else:
                            groups[names] = constraint["value"]
                    case "ratio" if constraint.get("when_deployed", constraint["right"]) in chosen:
                        needed = constraint["times_left"] * least[constraint["left"]]
                        right = constraint["right"]
                        least[right] = max(least[right], -(-needed // constraint["times_right"]))
                    case "serves":
                        clients = least[constraint["client"]]
                        if constraint["client"] in everywhere:
                            clients = self._total(least, groups, everywhere)
                        server = constraint["server"]
                        least[server] = max(least[server], clients // constraint["capacity"] + 1)
            if least == before:
                return self._total(least, groups, everywhere)

    @staticmethod
    def _total(least: dict[str, int], groups: dict[tuple[str, ...], int], everywhere: set[str]) -> int:
        total = sum(number for name, number in least.items() if name not in everywhere)
        return total + sum(max(0, value - sum(least[name] for name in names)) for names, value in groups.items())


def cases(folder: Path) -> list[Case]:
    """All published cases."""

    def read(name: str) -> Any:
        return json.loads((folder / name).read_text())

    found = []
    for row in read("optima.json")["cases"]:
        parameters: dict[str, int] = row.get("parameters", {})
        application = read(f"app_{row['application']}.json")
        constraints = application["constraints"]
        for constraint in constraints:
            if isinstance(constraint.get("value"), str):
                constraint["value"] = parameters[constraint["value"]]
        found.append(
            Case(
                name=f"{row['application']}{''.join(f'-{value}' for value in parameters.values())} on {row['offers']}",
                components={component["name"]: component for component in application["components"]},
                constraints=constraints,
                offers=read(f"offers_{row['offers']}.json")["offers"],
                optimum=row["optimum"],
            )
        )
    return found


def counts(case: Case, model: Linear, instances: Callable[[str], list[Term]], most: int) -> None:
    """The conditions on numbers of instances, which both models share; `most` is the most of any component."""

    def n(name: str, factor: int = 1) -> list[Term]:
        return [(variable, factor * times) for variable, times in instances(name)]

    is_deployed = {name: model.boolean() for name in sorted(case.alternatives)}
    for name in case.components:
        if name in is_deployed:
            model.row(0, [*n(name), (is_deployed[name], -1)])
            model.row(-FREE, [*n(name), (is_deployed[name], -most)], 0)
        else:
            model.row(1, n(name))
    for constraint in case.constraints:
        match constraint["type"]:
            case "min_count" | "max_count" | "exact_count" as kind:
                total = [term for name in constraint["components"] for term in n(name)]
                low = -FREE if kind == "max_count" else constraint["value"]
                model.row(low, total, FREE if kind == "min_count" else constraint["value"])
            case "exactly_one_deployed":
                model.row(1, [(is_deployed[name], 1) for name in constraint["components"]], 1)
            case "ratio":
                left, right = constraint["times_left"], constraint["times_right"]
                terms = [*n(constraint["left"], left), *n(constraint["right"], -right)]
                when = constraint.get("when_deployed")
                # Not deployed: as many as there may be at most.
                slack = left * most if when else 0
                model.row(-FREE, terms + ([(is_deployed[when], slack)] if when else []), slack)
            case "serves":
                capacity = constraint["capacity"]
                model.row(1, [*n(constraint["server"], capacity), *n(constraint["client"], -1)], capacity)
            case "conflict" | "colocate" | "full_deployment":
                pass  # on what shares a machine
            case other:
                raise ValueError(f"unknown constraint {other}")


def direct(case: Case, is_ordered: bool) -> Linear:
    """Machines × offers × placement. `is_ordered`: machines in order of falling price, against symmetric plans."""
    model = Linear()
    slots = range(case.most_machines())
    leased = [[model.boolean(offer["price"]) for offer in case.offers] for _ in slots]
    placed = {name: [model.boolean() for _ in slots] for name in case.components}
    for slot in slots:
        is_used = [(variable, 1) for variable in leased[slot]]
        model.row(-FREE, is_used, 1)
        for axis in AXES:
            held = [(variable, -offer[axis]) for variable, offer in zip(leased[slot], case.offers)]
            model.row(-FREE, [(placed[name][slot], part[axis]) for name, part in case.components.items()] + held, 0)
        for constraint in case.constraints:
            match constraint["type"]:
                case "conflict":
                    for other in constraint["with"]:
                        model.row(-FREE, [(placed[constraint["component"]][slot], 1), (placed[other][slot], 1)], 1)
                case "colocate":
                    first, *others = constraint["components"]
                    for other in others:
                        model.row(0, [(placed[first][slot], 1), (placed[other][slot], -1)], 0)
                case "full_deployment":
                    names = [constraint["component"], *constraint["unless"]]
                    unused = [(variable, -1) for variable in leased[slot]]
                    model.row(0, [(placed[name][slot], 1) for name in names] + unused)
        if is_ordered and slot > 0:
            before, here = leased[slot - 1], leased[slot]
            falling = [(variable, offer["price"]) for variable, offer in zip(before, case.offers)]
            falling += [(variable, -offer["price"]) for variable, offer in zip(here, case.offers)]
            model.row(0, falling)
    counts(case, model, lambda name: [(variable, 1) for variable in placed[name]], len(slots))
    return model


def by_patterns(case: Case) -> Linear:
    """Machines counted by the set of components that they carry."""
    model = Linear()
    most = case.most_machines()
    number = [model.integer(0, most, price) for _, price in case.patterns]
    carrying = {
        name: [(variable, 1) for variable, (names, _) in zip(number, case.patterns) if name in names]
        for name in case.components
    }
    counts(case, model, lambda name: carrying[name], most)
    return model
