"""The integer programs of `midsize`: the pattern model over given columns, and the compact model.

Both share the rows over places (`conditions`), which take the replicas of a component in a region as a sum of unknowns.
Costs are whole micro-units over the horizon.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from linear import FREE, Linear, Term
from midsize_market import Column, Market, Offer, is_replaced_by

Leases = Counter[tuple[int, tuple[str, ...]]]  # by offer and what is on it
Replicas = dict[tuple[int, str], list[Term]]  # of a component in a region


@dataclass
class Pattern:
    """How often each column is leased."""

    market: Market
    columns: list[Column]
    linear: Linear = field(default_factory=Linear)

    def __post_init__(self) -> None:
        market, linear = self.market, self.linear
        replicas: Replicas = defaultdict(list)
        stock: dict[int, list[Term]] = defaultdict(list)
        for column in self.columns:
            most = min(market.parts[at].replicas for at in column.members)
            if column.offer.stock is not None:
                most = min(most, column.offer.stock)
            unknown = linear.integer(0, most, column.cost)
            for at in column.members:
                replicas[at, column.offer.region].append((unknown, 1))
            if column.offer.stock is not None:
                stock[column.offer.number].append((unknown, 1))
        for number, terms in stock.items():
            linear.row(-FREE, terms, market.documents[number]["stock"])
        conditions(market, linear, replicas)

    def leases(self, values: list[int]) -> Leases:
        """The plan of whole values."""
        names = [body.name for body in self.market.parts]
        found: Leases = Counter()
        for column, count in zip(self.columns, values):
            if count:
                found[column.offer.number, tuple(names[at] for at in column.members)] += count
        return found

    def covers(self, leases: Leases) -> bool:
        """Whether a plan is among the solutions."""
        number = {body.name: at for at, body in enumerate(self.market.parts)}
        known = {(column.offer.number, column.members) for column in self.columns}
        return all((offer, tuple(sorted(number[name] for name in names))) in known for offer, names in leases)


@dataclass
class Compact:
    """Whether each replica group stands on each slot of each offer; the slots of an offer are so many."""

    market: Market
    slots: int
    linear: Linear = field(default_factory=Linear)
    held: list[tuple[Offer, dict[int, int]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        market, linear = self.market, self.linear
        replicas: Replicas = defaultdict(list)
        for column in market.products:
            most = market.parts[column.members[0]].replicas
            if column.offer.stock is not None:
                most = min(most, column.offer.stock)
            unknown = linear.integer(0, most, column.cost)
            self.held.append((column.offer, {column.members[0]: unknown}))
            replicas[column.members[0], column.offer.region].append((unknown, 1))
        by_product: dict[int, list[Term]] = defaultdict(list)
        for offer, unknowns in self.held:
            if offer.stock is not None:
                by_product[offer.number] += [(unknown, 1) for unknown in unknowns.values()]
        for number, terms in by_product.items():
            linear.row(-FREE, terms, market.documents[number]["stock"])
        for offers in market.machines.values():
            for offer in offers:
                before = None
                for _ in range(self.slots if offer.stock is None else min(self.slots, offer.stock)):
                    leased = self._slot(offer, replicas)
                    if before is not None:  # the slots of an offer are alike
                        linear.row(0, [(before, 1), (leased, -1)])
                    before = leased
        conditions(market, linear, replicas)

    def _slot(self, offer: Offer, replicas: Replicas) -> int:
        linear, parts = self.linear, self.market.parts
        leased = linear.boolean(offer.cost)
        carried = {}
        for at, body in enumerate(parts):
            is_small = body.vcpu_milli <= offer.vcpu_milli and body.memory_mib <= offer.memory_mib
            if body.kind == "machine" and is_small:
                carried[at] = linear.boolean()
                linear.row(-FREE, [(carried[at], 1), (leased, -1)], 0)
                replicas[at, offer.region].append((carried[at], 1))
        for axis in ("vcpu_milli", "memory_mib"):
            terms = [(unknown, getattr(parts[at], axis)) for at, unknown in carried.items()]
            linear.row(-FREE, [*terms, (leased, -getattr(offer, axis))], 0)
        disk = [(unknown, parts[at].disk_gib) for at, unknown in carried.items()]
        further = linear.integer(0, sum(gib for _, gib in disk), offer.gib_cost)
        linear.row(-FREE, [*disk, (leased, -offer.disk_gib), (further, -1)], 0)
        self.held.append((offer, carried))
        return leased

    def leases(self, values: list[int]) -> Leases:
        """The plan of whole values."""
        found: Leases = Counter()
        for offer, unknowns in self.held:
            if offer.kind != "machine":
                for at, unknown in unknowns.items():
                    if values[unknown]:
                        found[offer.number, (self.market.parts[at].name,)] += values[unknown]
            elif names := tuple(self.market.parts[at].name for at, unknown in unknowns.items() if values[unknown]):
                found[offer.number, names] += 1
        return found

    def covers(self, leases: Leases) -> bool:
        """Whether a plan that costs no more is among the solutions: no offer has too many leases."""
        used: Counter[int] = Counter()
        offers = {offer.number: offer for offer in self.market.offers}
        for (number, _), count in leases.items():
            offer = offers[number]
            if offer.kind == "machine":
                kept = self.market.machines[offer.region]
                number = number if offer in kept else next(o.number for o in kept if is_replaced_by(offer, o))
                used[number] += count
        return max(used.values(), default=0) <= self.slots


def conditions(market: Market, linear: Linear, replicas: Replicas) -> None:
    """Numbers of replicas, what one place may hold, and traffic with its tiers."""
    in_part: dict[int, dict[str, list[Term]]] = defaultdict(dict)
    for (at, region), terms in replicas.items():
        in_part[at][region] = terms
    for at, body in enumerate(market.parts):
        terms = [term for found in in_part[at].values() for term in found]
        linear.row(body.replicas, terms, body.replicas)
    for ceiling in market.ceilings:
        places: dict[str, list[Term]] = defaultdict(list)
        for region, terms in in_part[ceiling.part].items():
            places[market.place(region, ceiling.level)] += terms
        for terms in places.values():
            linear.row(-FREE, terms, ceiling.most)
    sent: dict[str, list[Term]] = defaultdict(list)
    for link in market.links:
        most = market.parts[link.sender].replicas
        for region, terms in in_part[link.sender].items():
            provider = market.provider[region]
            leaves = linear.integer(0, most, market.tariffs[provider][0][1] * link.gib)
            here = [(unknown, factor * link.most) for unknown, factor in in_part[link.receiver].get(region, [])]
            linear.row(0, [(leaves, 1), *((unknown, -factor) for unknown, factor in terms), *here])
            sent[provider].append((leaves, link.gib))
    for provider, terms in sent.items():
        tiers = market.tariffs[provider]
        most = sum(gib * linear.high[unknown] for unknown, gib in terms)
        for (_, before), (start, price) in zip(tiers, tiers[1:]):
            if start < most:
                # What is above a tier's start costs the difference to the tier before.
                above = linear.integer(0, most - start, price - before)
                linear.row(-start, [(above, 1), *((unknown, -gib) for unknown, gib in terms)])
