"""A generated market and its application, read from the documents: what the models of `midsize` and its audit share.

Only what these documents use is known; anything else raises `Unknown`, so that nothing is left out silently. Amounts
are whole micro-units over the horizon, rounded as `oracle_model` does and `model::money` states.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from oracle_model import HOURS, Document, Unknown, admits, known, micros, net, over_horizon, place_key

LEVELS = ("provider", "region")


@dataclass(frozen=True)
class Part:
    """A component."""

    name: str
    kind: str
    vcpu_milli: int
    memory_mib: int
    disk_gib: int
    replicas: int


@dataclass(frozen=True)
class Offer:
    """An offer that the application may use."""

    number: int  # in the documents
    kind: str
    region: str
    vcpu_milli: int
    memory_mib: int
    disk_gib: int
    cost: int  # of one machine, without further disk
    gib_cost: int  # of a GiB of further disk
    stock: int | None


@dataclass(frozen=True)
class Ceiling:
    """The most replicas of a component in one place: survival and spread leave some elsewhere."""

    part: int
    level: str
    most: int


@dataclass(frozen=True)
class Link:
    """Each replica of `sender` sends so much a month, for nothing where its region has a receiver."""

    sender: int
    receiver: int
    gib: int
    most: int  # replicas of the sender that one region can hold


@dataclass(frozen=True)
class Column:
    """A lease of an offer with one replica each of some components."""

    offer: Offer
    members: tuple[int, ...]  # rising
    cost: int


class Market:
    """What the models are made of."""

    def __init__(self, blueprint: Document, offers: list[Document]) -> None:
        """Reads the documents."""
        known(
            blueprint, "name", "currency", "horizon_months", "components", "where", "constraints", "links", "objective",
        )  # fmt: skip
        if blueprint.get("objective", "cost") not in ("cost", ["cost"]) or blueprint.get("currency", "EUR") != "EUR":
            raise Unknown("objective or currency")
        self.horizon: int = blueprint.get("horizon_months", 12)
        self.documents = offers
        self.parts = [part(name, body) for name, body in blueprint["components"].items()]
        self.number = {body.name: at for at, body in enumerate(self.parts)}
        self.ceilings: list[Ceiling] = []
        constraints = blueprint.get("constraints") or []
        if {"share": "all"} not in constraints:
            raise Unknown("components that may not share")
        for constraint in constraints:
            ((kind, body),) = constraint.items()
            self._condition(kind, body)
        self.links = [self._link(link) for link in blueprint.get("links") or []]
        rule = blueprint.get("where") or {}
        self.offers = [self._offer(at, body) for at, body in enumerate(offers) if admits(body, rule, [])]
        self.provider = {offer.region: offers[offer.number]["place"]["provider"] for offer in self.offers}
        self.tariffs = self._tariffs()
        machines, self.products = self._by_region()
        self.machines = {region: undominated(found) for region, found in machines.items()}

    def _condition(self, kind: str, body: Any) -> None:
        if kind == "share":
            return
        if kind == "survive":
            known(body, "components", "loss_of", "remaining")
            level, elsewhere = body["loss_of"], body.get("remaining", 1)
        elif kind == "spread":
            known(body, "components", "over", "at_least")
            level, elsewhere = body["over"], 1
            if body["at_least"] != 2:
                raise Unknown("a spread over other than two places")
        else:
            raise Unknown(kind)
        if level not in LEVELS:
            raise Unknown(f"over {level}")
        for name in body["components"]:
            at = self.number[name]
            self.ceilings.append(Ceiling(at, level, self.parts[at].replicas - elsewhere))

    def _link(self, link: Document) -> Link:
        known(link, "from", "to", "traffic_gib")
        sender = self.number[link["from"]]
        # A region lies in one provider.
        ceilings = [ceiling.most for ceiling in self.ceilings if ceiling.part == sender]
        most = min([self.parts[sender].replicas, *ceilings])
        return Link(sender, self.number[link["to"]], link.get("traffic_gib", 0), max(most, 1))

    def _offer(self, number: int, body: Document) -> Offer:
        known(
            body, "sku", "kind", "place", "capacity", "elastic_disk", "attributes", "price", "egress", "stock",
            "seller", "provenance",
        )  # fmt: skip
        capacity = known(body["capacity"], "vcpu_milli", "memory_mib", "disk_gib", "gpu", "named")
        is_machine, disk = body["kind"] == "machine", body.get("elastic_disk")
        if is_machine != (disk is not None) or body["price"].get("term_months", 0) > 0:
            raise Unknown("disk or term")
        gib_cost = over_horizon(disk["price"], 1, self.horizon) if disk else 0
        if disk and over_horizon(disk["price"], 1000, self.horizon) != 1000 * gib_cost:
            raise Unknown("a price of disk that is not linear")
        return Offer(
            number=number,
            kind=body["kind"],
            region=place_key(body["place"], "region"),
            vcpu_milli=capacity.get("vcpu_milli", 0),
            memory_mib=capacity.get("memory_mib", 0),
            disk_gib=capacity.get("disk_gib", 0),
            cost=over_horizon(body["price"], 0, self.horizon) if is_machine else 0,
            gib_cost=gib_cost,
            stock=body.get("stock"),
        )

    def _tariffs(self) -> dict[str, list[tuple[int, int]]]:
        """For each provider the tiers of its tariff: from which GiB on, and micro-units of one over the horizon."""
        tariffs: dict[str, list[tuple[int, int]]] = {}
        for offer in self.offers:
            tiers = tariff(self.documents[offer.number].get("egress"), self.horizon)
            if tariffs.setdefault(self.provider[offer.region], tiers) != tiers:
                raise Unknown("two tariffs of one provider")
            if any(later[1] < before[1] for before, later in zip(tiers, tiers[1:])):
                raise Unknown("a tariff that falls")
        return tariffs

    def _by_region(self) -> tuple[dict[str, list[Offer]], list[Column]]:
        """The machines of each region, and a column for each product that carries a component."""
        machines: dict[str, list[Offer]] = defaultdict(list)
        products: list[Column] = []
        for offer in self.offers:
            if offer.kind == "machine":
                machines[offer.region].append(offer)
                continue
            price = self.documents[offer.number]["price"]
            is_by_size = "per_unit" in price["charge"]
            for at, body in enumerate(self.parts):
                if body.kind == offer.kind and not body.vcpu_milli and not body.memory_mib:
                    if is_by_size != (body.disk_gib > 0):
                        raise Unknown("a size without a price")
                    cost = over_horizon(price, body.disk_gib, self.horizon)
                    products.append(Column(offer, (at,), cost))
        return machines, products

    def place(self, region: str, level: str) -> str:
        """The place of a level in which a region is."""
        return region if level == "region" else self.provider[region]

    def column(self, offer: Offer, members: tuple[int, ...]) -> Column:
        """A machine with these on it, and what that costs."""
        disk = sum(self.parts[at].disk_gib for at in members)
        return Column(offer, members, offer.cost + offer.gib_cost * max(0, disk - offer.disk_gib))

    def monthly(self, cost: int) -> float:
        """Micro-units over the horizon as main units a month."""
        return cost / (self.horizon * 1e6)

    def most_leases(self) -> int:
        """No plan has more: each lease carries a replica."""
        return sum(body.replicas for body in self.parts)


def part(name: str, body: Document) -> Part:
    """Reads a component."""
    known(body, "kind", "vcpu", "memory_mib", "disk_gib", "gpu", "replicas", "per_machine")
    replicas = body.get("replicas", 1)
    if isinstance(replicas, dict):
        if replicas["min"] != replicas.get("max"):
            raise Unknown("a range of replicas")
        replicas = replicas["min"]
    if body.get("per_machine", 1) != 1 or body.get("gpu", 0):
        raise Unknown("per_machine or gpu")
    milli = Decimal(str(body.get("vcpu", 0))) * 1000
    if milli != int(milli):
        raise Unknown("a part of a thousandth of a vCPU")
    kind = body.get("kind", "machine")
    return Part(name, kind, int(milli), body.get("memory_mib", 0), body.get("disk_gib", 0), replicas)


def tariff(egress: Document | None, horizon: int) -> list[tuple[int, int]]:
    """A tariff in whole GiB and micro-units over the horizon, as `catalogue::TrafficTariff` rounds it."""
    if egress is None:
        raise Unknown("traffic without a price")
    rate = known(known(egress["charge"], "per_unit")["per_unit"], "unit", "tiers")
    units = Decimal(2**30) / 10**9 if rate["unit"].startswith("GB") else Decimal(1)
    times = HOURS if rate["unit"].endswith("hour") else 1
    return [
        (
            int((Decimal(str(tier["from"])) / units).to_integral_value(ROUND_FLOOR)),
            micros(net(egress, Decimal(str(tier["price"])) * units * times)) * horizon,
        )
        for tier in rate["tiers"]
    ]


def undominated(machines: list[Offer]) -> list[Offer]:
    """The machines of a region that no other of unlimited stock replaces for no more."""
    kept: list[Offer] = []
    for offer in sorted(machines, key=lambda it: (it.cost, -it.vcpu_milli, -it.memory_mib, it.stock or 0, it.number)):
        if not any(is_replaced_by(offer, other) for other in kept):
            kept.append(offer)
    return kept


def is_replaced_by(offer: Offer, other: Offer) -> bool:
    """Whether `other`, of unlimited stock, does what `offer` does for no more."""
    return (
        other.stock is None
        and other.region == offer.region
        and other.vcpu_milli >= offer.vcpu_milli
        and other.memory_mib >= offer.memory_mib
        and other.disk_gib >= offer.disk_gib
        and other.cost <= offer.cost
        and other.gib_cost <= offer.gib_cost
    )


def audit(market: Market, leases: Counter[tuple[int, tuple[str, ...]]]) -> int:
    """What a plan costs, from the documents alone; `ValueError` names the first condition that it breaks.

    `leases` counts the offers, by their number in the documents, with the names of what is on each.
    """
    documents, parts = market.documents, {body.name: body for body in market.parts}
    at: Counter[tuple[str, str]] = Counter()  # replicas by component and region
    bought: Counter[int] = Counter()
    admitted = {offer.number for offer in market.offers}
    cost = 0
    for (number, names), count in leases.items():
        offer, carried = documents[number], [parts[name] for name in names]
        if number not in admitted or any(body.kind != offer["kind"] for body in carried) or len({*names}) != len(names):
            raise ValueError(f"offer {number} may not carry {names}")
        disk = sum(body.disk_gib for body in carried)
        if offer["kind"] == "machine":
            capacity = offer["capacity"]
            for axis in ("vcpu_milli", "memory_mib"):
                if sum(getattr(body, axis) for body in carried) > capacity[axis]:
                    raise ValueError(f"offer {number} is too small for {names}")
            further = max(0, disk - capacity.get("disk_gib", 0))
            each = over_horizon(offer["price"], 0, market.horizon)
            if further:
                each += over_horizon(offer["elastic_disk"]["price"], further, market.horizon)
        else:
            if len(names) != 1:
                raise ValueError(f"offer {number} is no machine, and is shared")
            each = over_horizon(offer["price"], disk, market.horizon)
        cost += each * count
        bought[number] += count
        for name in names:
            at[name, place_key(offer["place"], "region")] += count
    for number, count in bought.items():
        if (stock := documents[number].get("stock")) is not None and count > stock:
            raise ValueError(f"offer {number} is bought {count} times of {stock}")
    for body in market.parts:
        if (total := sum(count for (name, _), count in at.items() if name == body.name)) != body.replicas:
            raise ValueError(f"{body.name} has {total} replicas")
    for ceiling in market.ceilings:
        there: Counter[str] = Counter()
        for (name, region), count in at.items():
            if name == market.parts[ceiling.part].name:
                there[region if ceiling.level == "region" else region.split("/")[0]] += count
        if max(there.values()) > ceiling.most:
            raise ValueError(f"{market.parts[ceiling.part].name} is lost with one {ceiling.level}")
    sent: Counter[str] = Counter()
    for link in market.links:
        sender, receiver = market.parts[link.sender].name, market.parts[link.receiver].name
        for (name, region), count in at.items():
            if name == sender and not at[receiver, region]:
                sent[region.split("/")[0]] += count * link.gib
    for provider, gib in sent.items():
        tiers = market.tariffs[provider]
        ends = [start for start, _ in tiers[1:]] + [gib]
        cost += sum(max(0, min(gib, end) - start) * price for (start, price), end in zip(tiers, ends))
    return cost
