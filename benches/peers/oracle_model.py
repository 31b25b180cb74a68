"""A blueprint and a list of offers as one plain integer program, from the documents alone.

Every offer has so many slots, every component a number of replicas on each slot; no patterns, no reductions. What the
documents say is read strictly: a field that is not known here raises `Unknown`, so that nothing is left out silently.
Costs are whole micro-units over the horizon, rounded as `model::money` states.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal
from itertools import combinations
from typing import Any

from linear import FREE, Linear, Term

Document = dict[str, Any]
EU = set("AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK".split())
AREAS = {"EU": EU, "EEA": EU | {"IS", "LI", "NO"}}
HOURS = 730
RELATIONS = ("attach", "targets", "network")
MANY = 250  # replicas where the blueprint sets no limit


class Unknown(Exception):
    """A part of a document that this model does not know."""


def known(document: Document, *fields: str) -> Document:
    """The document, if it has no other fields than these."""
    others = {name for name, value in document.items() if value not in (None, [], {})} - set(fields)
    if others:
        raise Unknown(", ".join(sorted(others)))
    return document


def micros(amount: Decimal) -> int:
    """Whole millionths, halves to even."""
    return int((amount * 1_000_000).quantize(Decimal(1), ROUND_HALF_EVEN))


def net(price: Document, amount: Decimal) -> Decimal:
    """Without the tax that is inside."""
    tax = price.get("tax", "net")
    if tax == "net":
        return amount
    return amount * 100 / (100 + Decimal(str(tax["gross"]["vat_percent"])))


def flat(price: Document, gib: int) -> Decimal:
    """A month of so many GiB, net, for a price per unit without tiers."""
    rate = known(known(price["charge"], "per_unit")["per_unit"], "unit", "tiers")
    if len(rate["tiers"]) != 1:
        raise Unknown("tiers")
    quantity = Decimal(gib)
    if rate["unit"].startswith("GB"):
        quantity *= Decimal(2**30) / 10**9
    each = Decimal(str(rate["tiers"][0]["price"])) * (HOURS if rate["unit"].endswith("hour") else 1)
    return net(price, quantity * each)


def month(price: Document, gib: int) -> Decimal:
    """What a month costs, net."""
    charge = price["charge"]
    match charge:
        case {"hourly": hourly}:
            return net(price, Decimal(str(hourly)) * HOURS)
        case {"monthly": monthly}:
            return net(price, Decimal(str(monthly)))
        case {"hourly_capped": {"hourly": hourly, "monthly": monthly}}:
            return net(price, min(Decimal(str(hourly)) * HOURS, Decimal(str(monthly))))
        case {"per_unit": _}:
            return flat(price, gib)
    raise Unknown(f"charge {charge}")


def market(price: Document) -> str:
    """The pricing category: `on_demand`, `spot`, or `committed`, which has a term."""
    option = price.get("purchase_option", "on_demand")
    return option if isinstance(option, str) else next(iter(known(option, "committed")))


def over_horizon(price: Document, gib: int, horizon: int) -> int:
    """A price line over the horizon: terms are renewed until its end."""
    known(price, "charge", "once", "currency", "tax", "purchase_option", "term_months")
    if price["currency"] != "EUR":
        raise Unknown("currency")
    months, payments = horizon, 1
    term = price.get("term_months", 0)
    if term > 0:
        terms = max(1, -(-horizon // term))
        months = terms * term
        payments = terms if market(price) == "committed" else 1
    once = net(price, Decimal(str(price.get("once", 0))))
    return micros(month(price, gib)) * months + micros(once) * payments


def place_key(place: Document, over: str) -> str:
    """Equal keys mean the same place."""
    zone = place.get("zone")
    match over:
        case "provider":
            return str(place["provider"])
        case "region":
            return f"{place['provider']}/{place['region']}"
        case "zone":
            return f"{place['provider']}/{place['region']}" + (f"/{zone}" if zone else "")
        case "country":
            return str(place["country"])
    raise Unknown(f"over {over}")


def admits(offer: Document, rule: Document, markets: list[str]) -> bool:
    """Whether a filter lets an offer pass; the markets are settled before."""
    known(rule, "jurisdiction", "attributes", "markets")
    if market(offer["price"]) not in (markets or ["on_demand"]):
        return False
    if area := rule.get("jurisdiction"):
        inside = AREAS.get(area, {area})
        seller = offer["seller"]
        entities = [seller["owner"], *seller.get("control_chain", [])]
        if offer["place"]["country"] not in inside or any(entity["country"] not in inside for entity in entities):
            return False
    return all(offer["attributes"].get(name) == value for name, value in rule.get("attributes", {}).items())


@dataclass
class Slot:
    """One lease that may be bought, and what it may carry."""

    offer: Document
    leased: int
    replicas: dict[str, int] = field(default_factory=dict)
    present: dict[str, int] = field(default_factory=dict)  # at least 1 where a replica is


class Model:
    """The whole program of one instance."""

    def __init__(self, blueprint: Document, offers: list[Document], cap: Decimal | None) -> None:
        """`cap`: only plans up to this cost a month matter; it bounds the slots of each offer."""
        self.blueprint = known(
            blueprint, "name", "horizon_months", "components", "where", "constraints", "budget", "links",
            "provider_fees",
        )  # fmt: skip
        self.horizon: int = blueprint["horizon_months"]
        self.parts: dict[str, Document] = blueprint["components"]
        self.constraints: list[Document] = blueprint.get("constraints") or []
        self.linear = Linear()
        self.costs: list[Term] = []
        self.slots: list[Slot] = []
        self.holds: dict[tuple[str, str, str], int] = {}
        self.optional = self.not_needed()
        self.deployed = {name: self.linear.boolean() for name in sorted(self.optional)}
        # The cap was rounded to micro-units of a month.
        most = None if cap is None else int(cap * self.horizon * 1_000_000) + self.horizon
        for offer in offers:
            self.add_offer(offer, most)
        self.number_of_replicas()
        for constraint in self.constraints:
            ((kind, body),) = constraint.items()
            self.condition(kind, body)
        self.relations()
        self.traffic()
        self.fees()
        if (budget := blueprint.get("budget")) is not None:
            self.linear.row(-FREE, self.costs, int(Decimal(str(budget)) * self.horizon * 1_000_000))
        for variable, cost in self.costs:
            # In main units a month, as solvers like small numbers.
            self.linear.cost[variable] += cost / (self.horizon * 1e6)

    def not_needed(self) -> set[str]:
        """The components of a `one_of`, parts of such ones, and what serves such ones alone."""
        optional = {name for c in self.constraints for name in c.get("one_of", [])}
        members: dict[str, set[str]] = defaultdict(set)
        for name in self.parts:
            made_with = self.made_with(name)
            for word in ("attach", "targets"):
                if word in made_with:
                    members[name].add(made_with[word])
            if "network" in made_with:
                members[made_with["network"]].add(name)
        while more := {name for name, of in members.items() if of <= optional} - optional:
            optional |= more
        return optional

    def objective(self, values: list[int]) -> Decimal:
        """The cost a month of whole values, exact."""
        return Decimal(sum(cost * values[variable] for variable, cost in self.costs)) / (self.horizon * 1_000_000)

    def limits(self, name: str) -> tuple[int, int]:
        """The least and most replicas, if deployed."""
        replicas = self.parts[name].get("replicas", 1)
        if isinstance(replicas, int):
            return replicas, replicas
        known(replicas, "min", "max")
        low = replicas.get("min", 1)
        return low, replicas.get("max") or max(MANY, low)

    def may_carry(self, offer: Document, name: str) -> bool:
        part, whole = self.parts[name], self.blueprint.get("where") or {}
        own = part.get("where") or {}
        markets = own.get("markets") or whole.get("markets") or []
        return offer["kind"] == part.get("kind", "machine") and all(admits(offer, r, markets) for r in (whole, own))

    def made_with(self, name: str) -> dict[str, str]:
        """The components that it names."""
        return {word: self.parts[name][word] for word in RELATIONS if word in self.parts[name]}

    def may_share(self, one: str, other: str) -> bool:
        """Whether two components may stand on one machine: beside one of several that are always together, beside all."""
        wants, others = self.made_with(one), self.made_with(other)
        if any(word in others and others[word] != wants[word] for word in wants):
            return False
        groups = self.always_together(one), self.always_together(other)
        return other in groups[0] or any(self.is_permitted(a, b) for a in groups[0] for b in groups[1])

    def always_together(self, name: str) -> set[str]:
        """The component, and those that are on each machine of it."""
        group, found = {name}, True
        while found:
            lists = [set(c["colocate"]["components"]) for c in self.constraints if "colocate" in c]
            more = {other for names in lists if names & group for other in names} - group
            group, found = group | more, bool(more)
        return group

    def is_permitted(self, one: str, other: str) -> bool:
        """Whether a condition itself lets these two share."""
        for constraint in self.constraints:
            ((kind, body),) = constraint.items()
            pair = {one, other}
            if kind == "share" and (body == "all" or pair <= set(body)):
                return True
            if kind == "everywhere" and body["component"] in pair and one != other:
                (rest,) = pair - {body["component"]}
                if rest not in body.get("unless", []):
                    return True
        return False

    # --- what is leased, and what fits on it

    def demand(self, name: str) -> dict[str, int]:
        part = known(
            self.parts[name], "kind", "vcpu", "memory_mib", "disk_gib", "replicas", "per_machine", "where", "users",
            "attach", "targets", "network",
        )  # fmt: skip
        milli = (Decimal(str(part.get("vcpu", 0))) * 1000).to_integral_value(ROUND_CEILING)
        return {
            "vcpu_milli": int(milli),
            "memory_mib": part.get("memory_mib", 0),
            "disk_gib": part.get("disk_gib", 0),
        }

    def add_offer(self, offer: Document, most: int | None) -> None:
        known(
            offer, "sku", "kind", "place", "capacity", "elastic_disk", "attributes", "price", "egress", "stock",
            "seller", "provenance",
        )  # fmt: skip
        carried = [name for name in self.parts if self.may_carry(offer, name)]
        if not carried or offer["price"].get("term_months", 0) > self.horizon:
            return
        if offer["kind"] == "machine":
            cost = over_horizon(offer["price"], 0, self.horizon)
            self.add_slots(offer, carried, cost, most)
            return
        for name in carried:  # one replica on each, of its own size
            demand = self.demand(name)
            is_by_size = "per_unit" in offer["price"]["charge"]
            short = [axis for axis, need in demand.items() if need > offer["capacity"].get(axis, 0)]
            if short and not (is_by_size and short == ["disk_gib"]):
                continue
            self.add_slots(offer, [name], over_horizon(offer["price"], demand["disk_gib"], self.horizon), most)
        if (stock := offer.get("stock")) is not None:
            self.linear.row(-FREE, [(slot.leased, 1) for slot in self.slots if slot.offer is offer], stock)

    def add_slots(self, offer: Document, carried: list[str], cost: int, most: int | None) -> None:
        number = sum(self.limits(name)[1] for name in carried)
        if most is not None:
            number = min(number, most // cost)
        if (stock := offer.get("stock")) is not None:
            number = min(number, stock)
        linear = self.linear
        for at in range(number):
            slot = Slot(offer, linear.boolean())
            self.costs.append((slot.leased, cost))
            for name in carried:
                each = self.parts[name].get("per_machine", 1)
                count = linear.integer(0, min(each, self.limits(name)[1]))
                slot.replicas[name] = count
                slot.present[name] = count
                if each > 1:
                    slot.present[name] = linear.boolean()
                    linear.row(-FREE, [(count, 1), (slot.present[name], -each)], 0)
                    linear.row(0, [(count, 1), (slot.present[name], -1)])
                linear.row(-FREE, [(slot.present[name], 1), (slot.leased, -1)], 0)
            linear.row(0, [(count, 1) for count in slot.replicas.values()] + [(slot.leased, -1)])
            if offer["kind"] == "machine":
                self.fits(slot)
                for one, other in combinations(carried, 2):
                    if not self.may_share(one, other):
                        linear.row(-FREE, [(slot.present[one], 1), (slot.present[other], 1)], 1)
            if at > 0:  # the slots of an offer are alike
                linear.row(0, [(self.slots[-1].leased, 1), (slot.leased, -1)])
            self.slots.append(slot)

    def fits(self, slot: Slot) -> None:
        capacity = known(slot.offer["capacity"], "vcpu_milli", "memory_mib", "disk_gib", "gpu", "named")
        demands = {name: self.demand(name) for name in slot.replicas}
        for axis in ("vcpu_milli", "memory_mib", "disk_gib"):
            terms = [(slot.replicas[name], demand[axis]) for name, demand in demands.items()]
            terms.append((slot.leased, -capacity.get(axis, 0)))
            disk = slot.offer.get("elastic_disk")
            if axis == "disk_gib" and disk:
                each = over_horizon(disk["price"], 1, self.horizon)
                if over_horizon(disk["price"], 1000, self.horizon) != 1000 * each:
                    raise Unknown("a price of disk that is not linear")
                room = sum(demand[axis] * self.parts[name].get("per_machine", 1) for name, demand in demands.items())
                bought = self.linear.integer(0, room)
                self.costs.append((bought, each))
                self.linear.row(-FREE, [(bought, 1), (slot.leased, -room)], 0)
                terms.append((bought, -1))
            self.linear.row(-FREE, terms, 0)

    # --- numbers of replicas

    def n(self, name: str, factor: int = 1, slots: Iterable[Slot] | None = None) -> list[Term]:
        """The replicas of a component, everywhere or on some slots."""
        chosen = self.slots if slots is None else slots
        return [(slot.replicas[name], factor) for slot in chosen if name in slot.replicas]

    def if_deployed(self, name: str, number: int) -> list[Term]:
        """To be added to `… ≥ number`: lifts the demand where the component is left out. Low bound becomes 0."""
        return [(self.deployed[name], -number)] if name in self.deployed else []

    def need(self, name: str, number: int, terms: list[Term]) -> None:
        """`terms ≥ number`, if the component is deployed."""
        self.linear.row(0 if name in self.deployed else number, terms + self.if_deployed(name, number))

    def number_of_replicas(self) -> None:
        for name in self.parts:
            low, high = self.limits(name)
            self.need(name, low, self.n(name))
            if name in self.deployed:
                self.linear.row(-FREE, [*self.n(name), (self.deployed[name], -high)], 0)
            else:
                self.linear.row(-FREE, self.n(name), high)

    def sites(self, name: str, over: str) -> dict[str, list[Slot]]:
        """The slots that may carry a component, by place."""
        sites: dict[str, list[Slot]] = defaultdict(list)
        for slot in self.slots:
            if name in slot.replicas:
                sites[place_key(slot.offer["place"], over)].append(slot)
        return sites

    def is_held(self, name: str, over: str, place: str) -> int:
        """An unknown that is 1 only if a replica is in the place."""
        key = (name, over, place)
        if key not in self.holds:
            self.holds[key] = self.linear.boolean()
            slots = self.sites(name, over).get(place, [])
            self.linear.row(0, [*self.n(name, 1, slots), (self.holds[key], -1)])
        return self.holds[key]

    # --- conditions

    def condition(self, kind: str, body: Any) -> None:
        linear = self.linear
        match kind:
            case "share":
                pass  # at the slots
            case "count":
                known(body, "components", "min", "max", "exactly")
                total = [term for name in body["components"] for term in self.n(name)]
                exactly = body.get("exactly")
                low = body.get("min") if exactly is None else exactly
                high = body.get("max") if exactly is None else exactly
                linear.row(-FREE if low is None else low, total, FREE if high is None else high)
            case "serves":
                known(body, "server", "servers", "client", "clients", "no_spare")
                servers, clients = body.get("servers", 1), body["clients"]
                spare = [*self.n(body["server"], clients), *self.n(body["client"], -servers)]
                linear.row(0, spare, clients - 1 if body.get("no_spare") else FREE)
            case "linear":
                known(body, "terms", "min", "max")
                total = [term for name, factor in body["terms"].items() for term in self.n(name, factor)]
                low, high = body.get("min"), body.get("max")
                linear.row(-FREE if low is None else low, total, FREE if high is None else high)
            case "one_of":
                linear.row(1, [(self.deployed[name], 1) for name in body], 1)
            case "conflict":
                known(body, "component", "with")
                for slot in self.slots:
                    for other in body["with"]:
                        if body["component"] in slot.present and other in slot.present:
                            linear.row(-FREE, [(slot.present[body["component"]], 1), (slot.present[other], 1)], 1)
            case "colocate":
                first, *others = known(body, "components")["components"]
                for slot in self.slots:
                    for other in others:
                        linear.row(0, self.n(first, 1, [slot]) + self.n(other, -1, [slot]), 0)
            case "everywhere":
                known(body, "component", "unless")
                for slot in self.slots:
                    if slot.offer["kind"] == "machine":
                        names = [body["component"], *body.get("unless", [])]
                        carried = [term for name in names for term in self.n(name, 1, [slot])]
                        linear.row(0, [*carried, (slot.leased, -1)])
            case "spread":
                self.spread(known(body, "components", "over", "at_least", "max_percent"))
            case "survive":
                known(body, "components", "loss_of", "remaining")
                for name in body["components"]:
                    for slots in self.sites(name, body["loss_of"]).values():
                        self.need(name, body.get("remaining", 1), self.n(name) + self.n(name, -1, slots))
            case "distinct":
                known(body, "over", "at_most")
                used = [(variable, 1) for variable in self.used(body["over"]).values()]
                linear.row(-FREE, used, body["at_most"])
            case "limit":
                self.limit(known(body, "resource", "components", "max"))
            case other:
                raise Unknown(other)

    def relations(self) -> None:
        """What is attached, serves or is in a network stands with what it names."""
        members: dict[str, list[str]] = defaultdict(list)
        for name in self.parts:
            made_with = self.made_with(name)
            if "targets" in made_with:
                members[name].append(made_with["targets"])
            if "network" in made_with:
                members[made_with["network"]].append(name)
            if "attach" in made_with:
                self.attached(name, made_with["attach"])
        for hub, names in members.items():
            hubs = self.sites(hub, "region")
            sites = {name: self.sites(name, "region") for name in names}
            for region in set(hubs).union(*sites.values()):
                here = hubs.get(region, [])
                there = [(name, sites[name].get(region, [])) for name in names]
                for name, slots in there:
                    _, most = self.limits(name)
                    self.linear.row(-FREE, self.n(name, 1, slots) + self.n(hub, -most, here), 0)
                _, most = self.limits(hub)
                served = [term for name, slots in there for term in self.n(name, -most, slots)]
                self.linear.row(-FREE, self.n(hub, 1, here) + served, 0)
                if self.parts[hub].get("kind") == "network":
                    self.linear.row(-FREE, self.n(hub, 1, here), 1)

    def attached(self, part: str, whole: str) -> None:
        """One for each replica: in its region, and in its zone where it is sold for one."""
        for over in ("region", "zone"):
            parts, wholes = self.sites(part, over), self.sites(whole, over)
            for place in set(parts) | set(wholes):
                here, there = parts.get(place, []), wholes.get(place, [])
                if over == "region":
                    self.linear.row(0, self.n(part, 1, here) + self.n(whole, -1, there), 0)
                elif any(slot.offer["place"].get("zone") for slot in here):
                    self.linear.row(-FREE, self.n(part, 1, here) + self.n(whole, -1, there), 0)

    def spread(self, body: Document) -> None:
        for name in body["components"]:
            sites = self.sites(name, body["over"])
            if (least := body.get("at_least")) is not None:
                self.need(name, least, [(self.is_held(name, body["over"], place), 1) for place in sites])
            if (percent := body.get("max_percent")) is not None:
                share = int(Decimal(str(percent)) * 100)
                for slots in sites.values():
                    self.linear.row(-FREE, self.n(name, 10_000, slots) + self.n(name, -share), 0)

    def used(self, over: str) -> dict[str, int]:
        """For each place an unknown that is 1 if anything is leased there."""
        used: dict[str, int] = {}
        for slot in self.slots:
            place = place_key(slot.offer["place"], over)
            if place not in used:
                used[place] = self.linear.boolean()
            self.linear.row(-FREE, [(slot.leased, 1), (used[place], -1)], 0)
        return used

    def limit(self, body: Document) -> None:
        terms = []
        for slot in self.slots:
            figure = slot.offer["capacity"].get("named", {}).get(body["resource"], 0)
            names = [name for name in body.get("components", []) if name in slot.present]
            counted = slot.leased
            if body.get("components"):
                counted = self.linear.boolean()
                for name in names:
                    self.linear.row(-FREE, [(slot.present[name], 1), (counted, -1)], 0)
            terms.append((counted, figure))
        self.linear.row(-FREE, terms, int(Decimal(str(body["max"]))))

    # --- money besides leases

    def tariff(self, offer: Document) -> int | None:
        """Micro-units for a GiB that leaves."""
        egress = offer.get("egress")
        return None if egress is None else micros(flat(egress, 1))

    def by_tariff(self, name: str) -> dict[tuple[str, int | None], list[Slot]]:
        """The slots that may carry a component, by region and tariff."""
        sites: dict[tuple[str, int | None], list[Slot]] = defaultdict(list)
        for slot in self.slots:
            if name in slot.replicas:
                sites[(place_key(slot.offer["place"], "region"), self.tariff(slot.offer))].append(slot)
        return sites

    def traffic(self) -> None:
        """Replicas stay in their region if the receiver is there, else they pay; none send to who is not deployed."""
        for link in self.blueprint.get("links") or []:
            known(link, "from", "to", "traffic_gib")
            gib, to, most = link.get("traffic_gib", 0), link["to"], self.limits(link["from"])[1]
            if gib == 0:
                continue
            regions = self.sites(to, "region")
            for (region, price), slots in self.by_tariff(link["from"]).items():
                accounted = self.n(link["from"], -1, slots)
                if region in regions:
                    stays = self.linear.integer(0, most)
                    self.linear.row(-FREE, [(stays, 1), (self.is_held(to, "region", region), -most)], 0)
                    accounted.append((stays, 1))
                if price is not None:
                    leaves = self.linear.integer(0, most)
                    self.costs.append((leaves, price * gib * self.horizon))
                    accounted.append((leaves, 1))
                if to in self.deployed:
                    idle = self.linear.integer(0, most)
                    self.linear.row(-FREE, [(idle, 1), (self.deployed[to], most)], most)
                    accounted.append((idle, 1))
                self.linear.row(0, accounted, 0)
        for name, part in self.parts.items():
            for group in part.get("users", []):
                known(group, "name", "at", "traffic_gib")
                gib = group.get("traffic_gib", 0)
                serving = []
                for (_, price), slots in self.by_tariff(name).items():
                    if price is None and gib > 0:
                        continue
                    serves = self.linear.boolean()
                    self.linear.row(0, [*self.n(name, 1, slots), (serves, -1)])
                    self.costs.append((serves, (price or 0) * gib * self.horizon))
                    serving.append((serves, 1))
                self.need(name, 1, serving)

    def fees(self) -> None:
        """Each provider that is used costs its fee."""
        fees = known(self.blueprint.get("provider_fees") or {}, "default", "providers")
        if not fees:
            return
        for provider, variable in self.used("provider").items():
            fee = fees.get("providers", {}).get(provider, fees.get("default")) or {}
            known(fee, "monthly", "once")
            monthly, once = (micros(Decimal(str(fee.get(part, 0)))) for part in ("monthly", "once"))
            self.costs.append((variable, monthly * self.horizon + once))


def kinds(blueprint: Document, offers: list[Document]) -> set[str]:
    """The kinds of condition in an instance, for counting."""
    found = set()
    for constraint in blueprint.get("constraints") or []:
        ((kind, body),) = constraint.items()
        if kind == "spread":
            found |= {f"spread.{part}" for part in ("at_least", "max_percent") if part in body}
        else:
            found.add(kind)
    rules = [blueprint.get("where") or {}, *(part.get("where") or {} for part in blueprint["components"].values())]
    found |= {f"where.{name}" for rule in rules for name in rule}
    found |= {name for name in ("budget", "links", "provider_fees") if blueprint.get(name)}
    found |= {word for word in RELATIONS for part in blueprint["components"].values() if word in part}
    found |= {"users" for part in blueprint["components"].values() if part.get("users")}
    if any(offer.get("stock") is not None for offer in offers):
        found.add("stock")
    return found
