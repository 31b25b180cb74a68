"""Tries what `midsize` relies on, on small markets of which everything can be written down.

The columns in a gap are compared with all that exist, and both models with each other, the bound and the audit.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import combinations

from midsize_columns import Generator, Priced, cheapest, name_of
from midsize_market import Column, Market, audit
from midsize_models import Compact, Pattern
from oracle_model import Document
from traced import highs

GAP = 5  # main units a month, within which all columns are listed
SLOTS = 14  # as many as there may be replicas


def small_market(seed: int) -> Market:
    """Three providers in two regions each, and six components with all conditions that `midsize` knows."""
    chance = random.Random(seed)
    offers = []
    for provider in range(3):
        egress = per_unit("GB", chance.choice([[("0", "0.05")], [("0", "0"), ("100", "0.09")]]))
        disk = {"sku": "disk", "price": per_unit("GiB-month", [("0", f"0.{chance.randint(40, 120):03}")])}
        for region in range(2):
            for number in range(8):
                vcpu = chance.choice([1, 2, 4, 8])
                gib = vcpu * chance.choice([2, 4, 8])
                cents = (300 * vcpu + 100 * gib) * chance.randint(70, 150) // 100
                offers.append(
                    {
                        "sku": f"machine-{number}",
                        "kind": "machine",
                        "place": {"provider": f"p{provider}", "region": f"r{region}", "country": "DE"},
                        "capacity": {"vcpu_milli": vcpu * 1000, "memory_mib": gib * 1024, "disk_gib": 40},
                        "elastic_disk": disk,
                        "attributes": {},
                        "price": {"charge": {"monthly": f"{cents // 100}.{cents % 100:02}"}, "currency": "EUR"},
                        "egress": egress,
                        "stock": chance.choice([None, None, 1, 2]),
                        "seller": {"owner": {"country": "DE"}},
                    }
                )
    components = {
        f"c{at}": {
            "vcpu": chance.choice(["0.5", "1", "2"]),
            "memory_mib": 1024 * chance.choice([1, 2, 4]),
            "disk_gib": chance.randint(5, 60),
            "replicas": 1 if at in (2, 4) else chance.randint(2, 3),  # one receiver, so that some must send
        }
        for at in range(6)
    }
    blueprint = {
        "name": "small",
        "horizon_months": 12,
        "components": components,
        "where": {"jurisdiction": "EU"},
        "links": [{"from": f"c{at}", "to": f"c{at + 1}", "traffic_gib": chance.randint(50, 150)} for at in (1, 3)],
        "constraints": [
            {"share": "all"},
            {"survive": {"components": ["c1"], "loss_of": "provider"}},
            {"spread": {"components": ["c3"], "over": "region", "at_least": 2}},
        ],
    }
    return Market(blueprint, offers)


def per_unit(unit: str, tiers: list[tuple[str, str]]) -> Document:
    """A price for a unit, by tiers."""
    steps = [{"from": start, "price": price} for start, price in tiers]
    return {"charge": {"per_unit": {"unit": unit, "tiers": steps}}, "currency": "EUR"}


def all_columns(market: Market, machines: Priced) -> Iterator[Column]:
    """Everything that a machine of a region can hold."""
    parts = range(len(market.parts))
    for offer in machines.offers:
        for members in (chosen for size in range(1, len(parts) + 1) for chosen in combinations(parts, size)):
            bodies = [market.parts[at] for at in members]
            vcpu, memory = sum(body.vcpu_milli for body in bodies), sum(body.memory_mib for body in bodies)
            if vcpu <= offer.vcpu_milli and memory <= offer.memory_mib:
                yield market.column(offer, members)


def check(seed: int) -> None:
    """Raises if something differs."""
    market = small_market(seed)
    generator = Generator(market)
    duals, bound, _ = generator.solve()
    gap = GAP * market.horizon * 10**6
    for machines in generator.machines:
        priced = [(generator.reduced_cost(column, duals), column) for column in all_columns(market, machines)]
        least = min(reduced for reduced, _ in priced)
        if duals.value + min(0, least) * market.most_leases() < bound:
            raise AssertionError(f"seed {seed}: a column is missing in the bound")
        wanted = cheapest([(reduced, column) for reduced, column in priced if reduced <= gap])
        found = generator.within(machines, duals, gap, 1_000_000) or []
        if {name_of(column) for _, column in found} != {name_of(column) for _, column in wanted}:
            raise AssertionError(f"seed {seed}: {len(found)} columns in the gap, not {len(wanted)}")
    columns, are_all = generator.in_gap(duals, gap, 1_000_000)
    costs = []
    for model in (Pattern(market, columns), Compact(market, SLOTS)):
        trace = highs(model.linear, 60, market.monthly(1))
        if not trace.proven or trace.values is None or trace.plan is None:
            raise AssertionError(f"seed {seed}: no optimum")
        costs.append(audit(market, model.leases(trace.values)))
        if abs(market.monthly(costs[-1]) - trace.plan) > 1e-4:
            raise AssertionError(f"seed {seed}: {trace.plan} is {market.monthly(costs[-1])}")
    if not are_all or not 0 <= min(costs) - bound <= gap or abs(costs[0] - costs[1]) > 1200:
        raise AssertionError(f"seed {seed}: the models cost {costs}, the bound is {bound}")


if __name__ == "__main__":
    for number in range(20):
        check(number)
        print(f"seed {number} agrees", flush=True)
