"""Column generation in Python: a restricted master solved by HiGHS's simplex, exact pricing, and all columns in a gap.

Prices are whole micro-units: the dual values are rounded, made feasible for all but the columns, and the columns are
priced with them exactly. So the bound holds whatever the simplex says, and so does the choice of columns (a column
whose reduced cost exceeds the gap is in no better plan).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import highspy
import numpy as np
from midsize_market import Column, Market, Offer
from oracle_model import Unknown

Key = tuple[str | int, ...]  # names a row
Array = np.ndarray
FAR = np.int64(1) << 60  # worse than any cost
BATCH = 600  # columns that a round adds at most
ROUNDS = 2000


@dataclass
class Duals:
    """Whole dual values, and what follows from them."""

    value: int  # of the right sides
    worth: Array  # of a replica of each component in each region
    stock: dict[int, int]  # of an offer, not above zero


@dataclass
class Priced:
    """The machines of a region: sizes in steps, and what a lease costs before anything is on it."""

    region: int
    offers: list[Offer]
    vcpu: Array
    memory: Array
    cost: Array


@dataclass
class Knapsack:
    """What is shared by all regions: the components that machines carry, in steps of size."""

    parts: Array  # their numbers
    vcpu: Array
    memory: Array
    disk: Array
    included: int  # GiB of disk that each machine has
    light: Array = field(init=False)  # sets of components that need no further disk
    light_size: Array = field(init=False)

    def __post_init__(self) -> None:
        sets: list[tuple[int, ...]] = [()]
        for at, disk in enumerate(self.disk):
            sets += [(*chosen, at) for chosen in sets if sum(self.disk[list(chosen)]) + disk <= self.included]
        self.light = np.zeros((len(sets), len(self.parts)), dtype=np.int64)
        for row, chosen in enumerate(sets):
            self.light[row, list(chosen)] = 1
        self.light_size = self.light @ np.stack([self.vcpu, self.memory], axis=1)


class Generator:
    """The restricted master of a market, and pricing over all of it."""

    def __init__(self, market: Market) -> None:
        """Sets up rows for the components alone; others come when they are broken."""
        self.market = market
        self.regions = sorted({offer.region for offer in market.offers})
        self.region_number = {name: at for at, name in enumerate(self.regions)}
        self.knapsack, self.machines = self._sizes()
        self.columns: list[Column] = []
        self.known: set[tuple[int, tuple[int, ...]]] = set()
        self.in_region: dict[str, list[int]] = defaultdict(list)
        self.place_of: dict[int, int] = {}  # of each column the unknown in the program
        self.rows: dict[Key, int] = {}
        self.solver = highspy.Highs()
        self.solver.setOptionValue("output_flag", False)
        self.solver.setOptionValue("threads", 1)
        self.scale = 1 / (market.horizon * 1e6)
        self.unknown: dict[Key, int] = {}  # traffic that leaves, and what is above a tier
        self.unknowns = 0
        for at, body in enumerate(market.parts):
            self._row(("replicas", at), body.replicas, body.replicas, [])
            # A replica that nobody carries costs more than any lease.
            self._unknown(("missing", at), 10_000 * market.horizon * 10**6, [(self.rows["replicas", at], 1)])
        self._add(market.products)
        cheap = sorted((o for found in market.machines.values() for o in found), key=lambda o: o.cost)
        for at in self.knapsack.parts:
            body = market.parts[at]
            fits = [o for o in cheap if o.vcpu_milli >= body.vcpu_milli and o.memory_mib >= body.memory_mib]
            self._add(market.column(offer, (int(at),)) for offer in fits[:5])

    def _sizes(self) -> tuple[Knapsack, list[Priced]]:
        parts = [at for at, body in enumerate(self.market.parts) if body.kind == "machine"]
        if len(parts) > 63:
            raise Unknown("more than 63 components on machines")
        bodies = [self.market.parts[at] for at in parts]
        steps = [math.gcd(*(getattr(body, axis) for body in bodies)) for axis in ("vcpu_milli", "memory_mib")]
        included = {offer.disk_gib for found in self.market.machines.values() for offer in found}
        if len(included) != 1:
            raise Unknown("machines with different disks")
        knapsack = Knapsack(
            parts=np.array(parts),
            vcpu=np.array([body.vcpu_milli // steps[0] for body in bodies]),
            memory=np.array([body.memory_mib // steps[1] for body in bodies]),
            disk=np.array([body.disk_gib for body in bodies]),
            included=included.pop(),
        )
        most = knapsack.vcpu.sum(), knapsack.memory.sum()
        machines = []
        for region, offers in sorted(self.market.machines.items()):
            if len({offer.gib_cost for offer in offers}) != 1:
                raise Unknown("two prices of disk in a region")
            machines.append(
                Priced(
                    region=self.region_number[region],
                    offers=offers,
                    vcpu=np.array([min(offer.vcpu_milli // steps[0], most[0]) for offer in offers]),
                    memory=np.array([min(offer.memory_mib // steps[1], most[1]) for offer in offers]),
                    cost=np.array([offer.cost for offer in offers], dtype=np.int64),
                )
            )
        return knapsack, machines

    # --- the program

    def _row(self, key: Key, low: float, high: float, terms: list[tuple[int, int]]) -> None:
        self.rows[key] = len(self.rows)
        index = np.array([unknown for unknown, _ in terms], dtype=np.int32)
        self.solver.addRow(low, high, len(terms), index, np.array([factor for _, factor in terms], dtype=np.double))

    def _unknown(self, key: Key, cost: int, terms: list[tuple[int, int]]) -> int:
        self.unknown[key] = self.unknowns
        index = np.array([row for row, _ in terms], dtype=np.int32)
        values = np.array([factor for _, factor in terms], dtype=np.double)
        self.solver.addCol(cost * self.scale, 0.0, highspy.kHighsInf, len(terms), index, values)
        self.unknowns += 1
        return self.unknowns - 1

    def _add(self, columns: Iterable[Column]) -> int:
        """Adds columns that are new; returns how many there were."""
        added = 0
        for column in columns:
            if (name := name_of(column)) in self.known:
                continue
            self.known.add(name)
            terms = [(row, factor) for key, factor in self._entries(column) if (row := self.rows.get(key)) is not None]
            at = self._unknown(("column", len(self.columns)), column.cost, terms)
            self.place_of[len(self.columns)] = at
            self.in_region[column.offer.region].append(len(self.columns))
            self.columns.append(column)
            added += 1
        return added

    def _entries(self, column: Column) -> list[tuple[Key, int]]:
        """All rows that could count a column, with its factor in them."""
        market, region, members = self.market, column.offer.region, set(column.members)
        entries: dict[Key, int] = {("replicas", at): 1 for at in members}
        for at, ceiling in enumerate(market.ceilings):
            if ceiling.part in members:
                entries["ceiling", at, market.place(region, ceiling.level)] = 1
        for at, link in enumerate(market.links):
            factor = link.most * (link.receiver in members) - (link.sender in members)
            if factor:
                entries["link", at, region] = factor
        if column.offer.stock is not None:
            entries["stock", column.offer.number] = 1
        return list(entries.items())

    def _separate(self, values: Array) -> int:
        """Adds the rows that a solution breaks; returns how many there were."""
        market = self.market
        sums: dict[Key, float] = defaultdict(float)
        counted: dict[Key, list[tuple[int, int]]] = defaultdict(list)
        for at, column in enumerate(self.columns):
            unknown = self.place_of[at]
            for key, factor in self._entries(column):
                if key not in self.rows:
                    counted[key].append((unknown, factor))
                    sums[key] += factor * values[unknown]
        added = 0
        for key, total in sums.items():
            kind, at = key[0], int(key[1])
            if kind == "ceiling" and total > market.ceilings[at].most + 1e-7:
                self._row(key, -highspy.kHighsInf, market.ceilings[at].most, counted[key])
            elif kind == "stock" and total > (stock := market.documents[at]["stock"]) + 1e-7:
                self._row(key, -highspy.kHighsInf, stock, counted[key])
            elif kind == "link" and total < -1e-7:
                provider, link = market.provider[str(key[2])], market.links[at]
                tiers = [(row, -link.gib) for row in self._tiers(provider)]
                leaves = self._unknown(("leaves", at, key[2]), market.tariffs[provider][0][1] * link.gib, tiers)
                self._row(key, 0, highspy.kHighsInf, [*counted[key], (leaves, 1)])
            else:
                continue
            added += 1
        return added + self._separate_tiers(values)

    def _tiers(self, provider: str) -> list[int]:
        """The rows of a tariff that are there."""
        keys = (("tier", provider, at) for at in range(1, len(self.market.tariffs[provider])))
        return [self.rows[key] for key in keys if key in self.rows]

    def _separate_tiers(self, values: Array) -> int:
        """What is sent above the start of a tier costs the difference to the tier before."""
        market = self.market
        sent: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for key, unknown in self.unknown.items():
            if key[0] == "leaves":
                sent[market.provider[str(key[2])]].append((unknown, market.links[int(key[1])].gib))
        added = 0
        for provider, terms in sent.items():
            tiers = market.tariffs[provider]
            # Traffic that came in this round has no value yet.
            total = sum(gib * values[unknown] for unknown, gib in terms if unknown < len(values))
            for at in range(1, len(tiers)):
                key = ("tier", provider, at)
                if key not in self.rows and total > tiers[at][0] + 1e-6:
                    above = self._unknown(("above", provider, at), tiers[at][1] - tiers[at - 1][1], [])
                    self._row(key, -tiers[at][0], highspy.kHighsInf, [(above, 1), *((u, -gib) for u, gib in terms)])
                    added += 1
        return added

    # --- dual values and pricing

    def _duals(self, values: Array) -> Duals:
        """The dual values in whole numbers, feasible for traffic and tiers."""
        market = self.market
        whole = {key: round(values[row] / self.scale) for key, row in self.rows.items()}
        above: dict[str, int] = defaultdict(int)
        for key in (key for key in whole if key[0] == "tier"):
            tiers, at = market.tariffs[str(key[1])], int(key[2])
            whole[key] = min(max(whole[key], 0), tiers[at][1] - tiers[at - 1][1])
            above[str(key[1])] += whole[key]
        value, stock = 0, {}
        worth = np.zeros((len(market.parts), len(self.regions)), dtype=np.int64)
        provider_of = [market.provider[region] for region in self.regions]
        for key, dual in whole.items():
            at = 0 if key[0] == "tier" else int(key[1])
            if key[0] == "replicas":
                value += dual * market.parts[at].replicas
                worth[at] += dual
            elif key[0] == "ceiling":
                ceiling, dual = market.ceilings[at], min(dual, 0)
                value += dual * ceiling.most
                names = self.regions if ceiling.level == "region" else provider_of
                worth[ceiling.part, [name == key[2] for name in names]] += dual
            elif key[0] == "link":
                link, region = market.links[at], str(key[2])
                provider = market.provider[region]
                dual = min(max(dual, 0), link.gib * (market.tariffs[provider][0][1] + above[provider]))
                worth[link.sender, self.region_number[region]] -= dual
                worth[link.receiver, self.region_number[region]] += dual * link.most
            elif key[0] == "tier":
                value -= dual * market.tariffs[str(key[1])][int(key[2])][0]
            elif key[0] == "stock":
                stock[at] = min(dual, 0)
                value += stock[at] * market.documents[at]["stock"]
        return Duals(value, worth, stock)

    def reduced_cost(self, column: Column, duals: Duals) -> int:
        """What a lease costs above what it is worth."""
        worth = sum(int(duals.worth[at, self.region_number[column.offer.region]]) for at in column.members)
        return column.cost - worth - duals.stock.get(column.offer.number, 0)

    def _lease_costs(self, machines: Priced, duals: Duals) -> Array:
        return machines.cost - np.array([duals.stock.get(offer.number, 0) for offer in machines.offers])

    def _tables(self, worth: Array) -> Array:
        """For each item on, and each size: the greatest sum of worth of later items that fit. The last is of none."""
        knapsack = self.knapsack
        items = len(knapsack.parts)
        shape = tuple(max(int(size.max()) for size in sizes) + 1 for sizes in self._largest())
        tables = np.zeros((items + 1, *shape), dtype=np.int64)
        for at in reversed(range(items)):
            vcpu, memory, table = knapsack.vcpu[at], knapsack.memory[at], tables[at]
            table[:] = tables[at + 1]
            if worth[at] > 0 and vcpu < shape[0] and memory < shape[1]:
                rest = tables[at + 1, : shape[0] - vcpu, : shape[1] - memory] + worth[at]
                np.maximum(table[vcpu:, memory:], rest, out=table[vcpu:, memory:])
        return tables

    def _largest(self) -> tuple[list[Array], list[Array]]:
        return [machines.vcpu for machines in self.machines], [machines.memory for machines in self.machines]

    def _price(self, duals: Duals) -> tuple[list[Column], list[Priced]]:
        """Columns that cost less than they are worth, and the regions of which the table leaves some open."""
        knapsack = self.knapsack
        groups: dict[bytes, list[Priced]] = defaultdict(list)
        for machines in self.machines:
            worth = duals.worth[knapsack.parts, machines.region]
            groups[worth.tobytes() + bytes(str(machines.offers[0].gib_cost), "ascii")].append(machines)
        found: list[tuple[int, Column]] = []
        open_regions: list[Priced] = []
        for group in groups.values():
            worth = duals.worth[knapsack.parts, group[0].region]
            gib_cost = group[0].offers[0].gib_cost
            tables = self._tables(worth - gib_cost * knapsack.disk)
            light = knapsack.light @ worth
            best: list[tuple[int, Column]] = []
            for machines in group:
                cost = self._lease_costs(machines, duals)
                relaxed = cost - knapsack.included * gib_cost - tables[0, machines.vcpu, machines.memory]
                is_open = False
                for at in np.flatnonzero(relaxed < 0):
                    is_open = True
                    sizes = int(machines.vcpu[at]), int(machines.memory[at])
                    members = self._best(tables, worth - gib_cost * knapsack.disk, *sizes)
                    fits = (knapsack.light_size[:, 0] <= sizes[0]) & (knapsack.light_size[:, 1] <= sizes[1])
                    row = np.argmax(np.where(fits, light, -FAR))
                    for chosen in (members, np.flatnonzero(knapsack.light[row])):
                        column = self.market.column(machines.offers[at], tuple(int(knapsack.parts[i]) for i in chosen))
                        if column.members and (reduced := self.reduced_cost(column, duals)) < 0:
                            best.append((reduced, column))
                if is_open:
                    open_regions.append(machines)
            best.sort(key=lambda it: it[0])
            found += best[:60]
        found.sort(key=lambda it: it[0])
        return [column for _, column in found[:BATCH]], open_regions

    def _best(self, tables: Array, worth: Array, vcpu: int, memory: int) -> list[int]:
        """The items of the table's best set for a size."""
        chosen = []
        for at in range(len(worth)):
            if tables[at, vcpu, memory] != tables[at + 1, vcpu, memory]:
                chosen.append(at)
                vcpu, memory = vcpu - int(self.knapsack.vcpu[at]), memory - int(self.knapsack.memory[at])
        return chosen

    def within(self, machines: Priced, duals: Duals, most: int, limit: int) -> list[tuple[int, Column]] | None:
        """All columns of a region with a reduced cost up to `most`; `None` if they are more than `limit`.

        Item by item each set so far is kept if the table of the later items can bring it under `most`.
        """
        knapsack, gib_cost = self.knapsack, machines.offers[0].gib_cost
        worth = duals.worth[knapsack.parts, machines.region]
        net = worth - gib_cost * knapsack.disk
        tables = self._tables(net)
        cost = self._lease_costs(machines, duals)
        which, vcpu, memory = np.arange(len(cost)), machines.vcpu.copy(), machines.memory.copy()
        value = cost - knapsack.included * gib_cost  # as if all that is included were used
        mask = np.zeros(len(cost), dtype=np.uint64)
        for at in range(len(knapsack.parts)):
            stays = value - tables[at + 1, vcpu, memory] <= most
            fits = (vcpu >= knapsack.vcpu[at]) & (memory >= knapsack.memory[at])
            vcpu_after, memory_after = vcpu - knapsack.vcpu[at], memory - knapsack.memory[at]
            after = tables[at + 1, np.maximum(vcpu_after, 0), np.maximum(memory_after, 0)]
            takes = fits & (value - net[at] - after <= most)
            bit = np.uint64(1 << at)
            which = np.concatenate([which[stays], which[takes]])
            value = np.concatenate([value[stays], value[takes] - net[at]])
            mask = np.concatenate([mask[stays], mask[takes] | bit])
            vcpu = np.concatenate([vcpu[stays], vcpu_after[takes]])
            memory = np.concatenate([memory[stays], memory_after[takes]])
            if len(which) > limit:
                return None
        found = []
        for machine, bits in zip(which.tolist(), mask.tolist()):
            if bits:
                members = tuple(int(part) for at, part in enumerate(knapsack.parts) if bits >> at & 1)
                column = self.market.column(machines.offers[machine], members)
                if (reduced := self.reduced_cost(column, duals)) <= most:
                    found.append((reduced, column))
        return cheapest(found)

    # --- the whole

    def solve(self) -> tuple[Duals, int, int]:
        """Generates until nothing is missing: the dual values, the bound that they prove, and the rounds."""
        best = None
        for number in range(1, ROUNDS):
            self.solver.run()
            if (status := self.solver.getModelStatus()) != highspy.HighsModelStatus.kOptimal:
                raise RuntimeError(f"the master ends with {self.solver.modelStatusToString(status)}")
            solution = self.solver.getSolution()
            values, duals = np.array(solution.col_value), self._duals(np.array(solution.row_dual))
            rows = self._separate(values)
            columns, open_regions = self._price(duals)
            products = [(self.reduced_cost(column, duals), column) for column in self.market.products]
            least = min([0, *(reduced for reduced, _ in products)])
            added = self._add(columns)
            if added == 0:
                for machines in open_regions:
                    missing = self.within(machines, duals, -1, 100_000)
                    if missing is None:
                        raise RuntimeError("pricing leaves too many columns")
                    least = min([least, *(reduced for reduced, _ in missing)])
                    added += self._add([column for _, column in missing if name_of(column) not in self.known][:50])
                bound = duals.value + least * self.market.most_leases()
                if best is None or bound > best[1]:
                    best = (duals, bound)
                if added == 0 and rows == 0:
                    return *best, number
        raise RuntimeError("column generation does not end")

    def in_gap(self, duals: Duals, gap: int, limit: int) -> tuple[list[Column], bool]:
        """All columns that a plan within the gap may use, or the best `limit` of them; whether these are all."""
        share, kept = 64, []
        while True:
            found: list[tuple[int, Column]] | None = []
            for column in self.market.products:
                if (reduced := self.reduced_cost(column, duals)) <= gap // share:
                    found.append((reduced, column))
            for machines in self.machines:
                some = self.within(machines, duals, gap // share, 20 * limit)
                if some is None or len(found) + len(some) > 4 * limit:
                    found = None
                    break
                found += some
            if found is not None:
                kept = sorted(found, key=lambda it: (it[0], it[1].offer.number, it[1].members))
            if found is None or share == 1 or len(kept) > limit:
                return [column for _, column in kept[:limit]], found is not None and len(kept) <= limit
            share //= 2


def name_of(column: Column) -> tuple[int, tuple[int, ...]]:
    """Equal names mean the same lease."""
    return column.offer.number, column.members


def cheapest(found: list[tuple[int, Column]]) -> list[tuple[int, Column]]:
    """Of columns with the same components in a region the cheapest, and cheaper ones of limited stock."""
    kept, done = [], set()

    def order(priced: tuple[int, Column]) -> tuple[int, bool, int]:
        _, column = priced
        return column.cost, column.offer.stock is not None, column.offer.number

    for reduced, column in sorted(found, key=order):
        if column.members not in done:
            kept.append((reduced, column))
            if column.offer.stock is None:
                done.add(column.members)
    return sorted(kept, key=lambda it: it[0])
