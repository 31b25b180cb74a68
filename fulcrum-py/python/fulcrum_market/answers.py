"""What plans, orders and explanations consist of: objects with Decimal, datetime and enums.

``to_dict()`` of each is its document, as ``fulcrum_market.documents`` describes it.
"""

from __future__ import annotations

import dataclasses
import datetime
import typing
from decimal import Decimal

from fulcrum_market import _fulcrum, _tables
from fulcrum_market._record import Record
from fulcrum_market.offers import NoMatch, Offer, Offers, UnmetCondition
from fulcrum_market.words import LineKind, Measure, OfferKind, OrderState, PricingCategory, ServiceStatus

__all__ = [
    "Binding", "EntryDiscount", "Explanation", "FeeLine", "Frontier", "Lease", "Metric", "MoveLine", "NoMatch", "Offer", "Offers",
    "Place", "PriceLine", "Rejection", "RunnerUp", "Service", "Timeline", "TimelineEntry", "TrafficLine", "UnmetCondition",
]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Place(Record):
    """Where an offer is."""

    provider: str
    region: str
    #: ISO 3166-1.
    country: str
    #: The failure domain in the region; None if the product is sold for the region as a whole.
    zone: typing.Optional[str] = None

    def __str__(self) -> str:
        return "/".join(filter(None, (self.provider, self.region, self.zone)))


@dataclasses.dataclass(frozen=True)
class PriceLine(Record):
    """One line of a lease's cost; amounts are net, in the plan's currency."""

    sku: str
    #: How the figure comes about.
    text: str
    monthly: Decimal
    #: Of a commitment each time that it is renewed.
    once: Decimal
    #: All that is paid over the blueprint's horizon.
    total: Decimal
    kind: LineKind = LineKind.OFFER


@dataclasses.dataclass(frozen=True)
class Lease(Record):
    """One instance of an offer, and what runs on it."""

    offer: str
    sku: str
    kind: OfferKind
    place: Place
    #: How many replicas of which components are on it.
    replicas: typing.Dict[str, int]
    #: GiB of storage that are bought with it or as it; 0 if its size is fixed.
    size_gib: int
    lines: typing.Tuple[PriceLine, ...]
    pricing_category: PricingCategory = PricingCategory.ON_DEMAND
    #: Months that must be paid at least.
    term_months: int = 0
    #: The block storage product of its disk, if that is bought with it.
    disk_sku: typing.Optional[str] = None
    #: The running service that it is; None if it is to be bought.
    keeps: typing.Optional[str] = None
    #: What it is made with.
    settings: typing.Dict[str, typing.Any] = dataclasses.field(default_factory=dict)
    #: Components that must be there before it is bought.
    after: typing.Tuple[str, ...] = ()
    #: Positions of the leases with which it is made, by relation.
    partners: typing.Dict[str, typing.Tuple[int, ...]] = dataclasses.field(default_factory=dict)

    @classmethod
    def _of(cls, document: typing.Dict[str, typing.Any]) -> Lease:
        option = document.get("purchase_option", "on_demand")
        category = option if isinstance(option, str) else next(iter(option))
        made = super()._of({**document, "pricing_category": category})
        object.__setattr__(made, "_document", document)
        return made

    @property
    def provider(self) -> str:
        """Who sells it."""
        return self.place.provider

    @property
    def monthly(self) -> Decimal:
        """What a month of it costs: the sum of its lines."""
        return sum((line.monthly for line in self.lines), Decimal(0))

    @property
    def once(self) -> Decimal:
        """What is paid for it at the start."""
        return sum((line.once for line in self.lines), Decimal(0))


@dataclasses.dataclass(frozen=True)
class TrafficLine(Record):
    """What all traffic costs that leaves a provider under one tariff."""

    provider: str
    tariff: str
    #: A month.
    gib: int
    monthly: Decimal


@dataclasses.dataclass(frozen=True)
class FeeLine(Record):
    """What a provider costs besides what is bought from it."""

    provider: str
    monthly: Decimal
    once: Decimal


@dataclasses.dataclass(frozen=True)
class MoveLine(Record):
    """What it costs to move replicas that run already."""

    component: str
    replicas: int
    once: Decimal


@dataclasses.dataclass(frozen=True)
class Service(Record):
    """What an order has made at a provider."""

    id: str
    provider: str
    sku: str
    place: Place
    status: ServiceStatus
    #: The idempotency key of the request that made it.
    key: typing.Optional[str] = None
    #: Addresses and other facts that an application needs; no secrets.
    attributes: typing.Dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class TimelineEntry(Record):
    """One event of an order, in words."""

    at: datetime.datetime
    #: Milliseconds since the order was accepted.
    since_start_ms: int
    #: ``order``, or a step such as ``step 2 at gamma``.
    subject: str
    text: str


@dataclasses.dataclass(frozen=True)
class Timeline(Record):
    """What has happened to an order. ``str()`` has a head line and a line for each event."""

    order: str
    state: OrderState
    #: When it was accepted.
    start: datetime.datetime
    entries: typing.Tuple[TimelineEntry, ...]
    _text: str = ""

    @classmethod
    def _of(cls, document: typing.Dict[str, typing.Any]) -> Timeline:
        text = document.pop("text")
        made = super()._of(document)
        object.__setattr__(made, "_text", text)
        return made

    def __str__(self) -> str:
        return self._text

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> typing.Iterator[TimelineEntry]:
        return iter(self.entries)

    def __getitem__(self, at: int) -> TimelineEntry:
        return self.entries[at]

    def _repr_html_(self) -> str:
        table = _tables.Table(["after", "about", "what"])
        for entry in self.entries:
            table.add(f"{entry.since_start_ms / 1000:,.3f} s", entry.subject, entry.text)
        table.notes.append(f"order {self.order} is {self.state}; accepted at {self.start.isoformat()}")
        return table.html()


@dataclasses.dataclass(frozen=True)
class Binding(Record):
    """A condition without which a better plan exists."""

    condition: str
    #: How much better, in the unit of the explanation.
    costs: Decimal
    #: Whether ``costs`` is exact; otherwise it is a lower bound.
    is_proven: bool


@dataclasses.dataclass(frozen=True)
class RunnerUp(Record):
    """The best plan without one provider."""

    #: The provider.
    without: str
    #: How much worse; None if there is no plan without it.
    more: typing.Optional[Decimal]
    #: That plan, for a blueprint that denies the provider.
    plan: typing.Optional[_fulcrum.Plan] = None

    @classmethod
    def _of(cls, document: typing.Dict[str, typing.Any]) -> RunnerUp:
        made = super()._of({name: value for name, value in document.items() if name != "plan"})
        plan = document["plan"] and _fulcrum.Plan.from_json(_fulcrum._to_json(document["plan"]))
        object.__setattr__(made, "plan", plan)
        object.__setattr__(made, "_document", document)
        return made


@dataclasses.dataclass(frozen=True)
class EntryDiscount(Record):
    """A provider outside the plan, and the discount that would bring it in; None if no discount is enough."""

    provider: str
    discount_percent: typing.Optional[Decimal]


@dataclasses.dataclass(frozen=True)
class Explanation(Record):
    """Why a plan is as it is. ``str()`` says it in words."""

    #: Of ``costs`` and ``more``: a currency a month, if cost is minimised.
    unit: str
    #: What costs something, the dearest first.
    binding: typing.Tuple[Binding, ...]
    #: The nearest first.
    runners_up: typing.Tuple[RunnerUp, ...]
    #: The nearest first; empty unless cost alone is minimised.
    entry_discounts: typing.Tuple[EntryDiscount, ...]
    #: Whether all questions were answered before the search was stopped.
    is_complete: bool
    text: str

    @classmethod
    def _of(cls, document: typing.Dict[str, typing.Any]) -> Explanation:
        made = super()._of({**document, "entry_discounts": document["entries"]})
        object.__setattr__(made, "_document", document)
        return made

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        table = _tables.Table(["what", f"{self.unit} a month"])
        for binding in self.binding:
            about = "costs" if binding.is_proven else "costs at least"
            table.add(f"{binding.condition} {about}", binding.costs)
        for other in self.runners_up:
            table.add(f"the best plan without {other.without} costs more", other.more)
        for entry in self.entry_discounts:
            if entry.discount_percent is not None:
                table.notes.append(f"{entry.provider} would get in at {entry.discount_percent} % less")
        if not self.is_complete:
            table.notes.append("stopped before all questions were answered")
        return table.html()


@dataclasses.dataclass(frozen=True)
class Rejection(Record):
    """Why an offer is not in a plan. ``str()`` says it in words."""

    offer: str
    #: What excludes it for each component, or what using it costs; never empty.
    reasons: typing.Tuple[str, ...]
    #: How much worse the best plan with it is, in the unit of the first objective; None if there is none.
    more: typing.Optional[Decimal]

    def __str__(self) -> str:
        return f"{self.offer}: {'; '.join(self.reasons)}"


@dataclasses.dataclass(frozen=True)
class Metric(Record):
    """A counter or a time of the library's, since this process began."""

    #: As Prometheus would have it, such as ``fulcrum_orders_total`` or ``fulcrum_provider_call_seconds``.
    name: str
    #: Such as ``provider``, ``call`` and ``outcome``.
    labels: typing.Dict[str, str]
    #: How often.
    count: int
    #: Of times: all of them together.
    seconds: typing.Optional[float]


@dataclasses.dataclass(frozen=True)
class Frontier(typing.Sequence[_fulcrum.Plan]):
    """The best trade-offs between two measures: no plan beats one of these in both. A sequence of plans, from the best
    in the first measure to the best in the second.
    """

    plans: typing.Tuple[_fulcrum.Plan, ...]
    measures: typing.Tuple[Measure, Measure]
    #: Whether these are all, down to the step that was asked for, and each is proven. False if a timeout ended the search.
    is_complete: bool

    @classmethod
    def _of(cls, found: typing.Tuple[typing.List[_fulcrum.Plan], typing.Tuple[str, str], bool]) -> Frontier:
        plans, (one, other), is_complete = found
        return cls(tuple(plans), (Measure(one), Measure(other)), is_complete)

    def __len__(self) -> int:
        return len(self.plans)

    @typing.overload
    def __getitem__(self, at: int) -> _fulcrum.Plan: ...
    @typing.overload
    def __getitem__(self, at: slice) -> typing.Tuple[_fulcrum.Plan, ...]: ...
    def __getitem__(
        self, at: typing.Union[int, slice]
    ) -> typing.Union[_fulcrum.Plan, typing.Tuple[_fulcrum.Plan, ...]]:
        return self.plans[at]

    def values(self, plan: _fulcrum.Plan) -> typing.Tuple[typing.Optional[Decimal], typing.Optional[Decimal]]:
        """What a plan of it has in the two measures; None of one that a search which was stopped did not come to."""
        one, other = self.measures
        return plan.measures.get(one), plan.measures.get(other)

    def __repr__(self) -> str:
        return self._table().text()

    def _repr_html_(self) -> str:
        return self._table().html()

    def _table(self) -> _tables.Table:
        currency = self.plans[0].currency if self.plans else ""
        table = _tables.Table([*(f"{it} ({_UNITS.get(it, currency)})" for it in self.measures), "leases", "providers"])
        for plan in self.plans:
            sellers = sorted({lease.provider for lease in plan.leases})
            values = [
                value if measure is Measure.COST or value is None else float(value)
                for measure, value in zip(self.measures, self.values(plan))
            ]
            table.add(*values, len(plan), ", ".join(sellers))
        if not self.is_complete:
            table.notes.append("not complete: the search was stopped, or a plan is not proven; there may be more trade-offs")
        return table


#: Of each measure but cost, which is in the plan's currency.
_UNITS = {
    Measure.CARBON: "kg CO2e a month",
    Measure.LATENCY: "ms × GiB a month",
    Measure.WORST_LATENCY: "ms",
    Measure.PROVIDERS: "number",
    Measure.SOVEREIGNTY: "points",
}


def _plan_table(plan: _fulcrum.Plan) -> _tables.Table:
    """All that a plan costs. Its rows add up to its foot."""
    table = _tables.Table(["place", "product", "carries", "price", f"{plan.currency} a month", f"{plan.currency} once"])
    for lease in plan.leases:
        carries = ", ".join(f"{count} × {name}" for name, count in lease.replicas.items())
        if lease.keeps:
            carries += " (runs already)"
        price = "; ".join(line.text for line in lease.lines)
        table.add(f"{lease.place} ({lease.place.country})", lease.sku, carries, price, lease.monthly, lease.once)
    for traffic in plan.traffic:
        table.add(traffic.provider, "traffic", "", f"{traffic.gib:,} GiB: {traffic.tariff}", traffic.monthly, Decimal(0))
    for fee in plan.fees:
        table.add(fee.provider, "fee", "", "what the provider costs besides", fee.monthly, fee.once)
    for move in plan.moves:
        table.add("", "move", f"{move.replicas} × {move.component}", "what runs already moves", Decimal(0), move.once)
    table.foot = ["total, net", "", "", "", plan.monthly, plan.once]
    table.notes.append(_proof(plan))
    return table


def _proof(plan: _fulcrum.Plan) -> str:
    """The objective under its own name and unit, and how good it is."""
    measure = plan.objective_measure
    if measure is Measure.COST:
        name, unit = f"cost over {_tables.count(plan.horizon_months or 1, 'month')}, set-up fees spread", plan.currency
        unit += " a month"
    elif measure is None:
        name, unit = "weighted objective", ""
    else:
        name, unit = measure.replace("_", " "), _UNITS[measure]
    said = f"minimised: {name}: {plan.objective:,f} {unit}".rstrip()
    if plan.is_optimal:
        return f"{said}; proven best"
    return f"{said}; no plan is below {plan.bound:,f} (gap {plan.gap_percent:f} %)"


def _order_table(order: _fulcrum.Order) -> _tables.Table:
    plan = order.plan
    table = _tables.Table(["step", "place", "product", "state", "service", "facts"])
    for step in order.to_dict()["steps"]:
        lease = Lease._of(typing.cast(typing.Dict[str, typing.Any], step["lease"]))
        state = typing.cast(typing.Dict[str, typing.Any], step["state"])
        service = state.get("service") or {}
        facts = ", ".join(f"{name} {value}" for name, value in service.get("attributes", {}).items())
        word = state.get("state") or next(iter(state))
        table.add(int(step["index"]), str(lease.place), lease.sku, word, service.get("id", ""), facts)
    monthly = "unknown" if order.monthly is None else f"{order.monthly:,f}"
    table.notes.append(f"order {order.id} is {order.state}: {monthly} {plan.currency} a month, net")
    if order.reason:
        table.notes.append(order.reason)
    return table
