"""What the library's dicts say, for editors and type checkers. At run time they are plain dicts.

Made from schemas/answers.json by scripts/python-documents: change the types in Rust, then run ``make schemas``.
A later version may write more fields, and more words where there is a choice.
"""

from __future__ import annotations

from typing import Any, Literal, Optional, TypedDict, Union, final


# Digests of an accepted order, in its first event: the chain of events proves them.
class Acceptance(TypedDict):
    # Of plan and policy: `Plan::approval_digest`.
    approval: str
    # When.
    created: str
    # Whether the caller named that digest: somebody has approved it.
    is_approved: bool
    # Of the steps: their keys, providers and leases.
    steps: str


# Change to another SKU.
@final
class ActionResize(TypedDict):
    resize: ActionResizeResize


class ActionResizeResize(TypedDict):
    # The new SKU.
    sku: SkuId


# Any other, by the provider's name for it.
@final
class ActionOther(TypedDict):
    other: ActionOtherOther


class ActionOtherOther(TypedDict):
    # The name.
    name: str


# Names that are allowed, and names that are not.
class Allow(TypedDict, total=False):
    # Names that may be used; empty for all of them.
    allow: list[ProviderId]
    # Names that may not be used.
    deny: list[ProviderId]


# Names that are allowed, and names that are not.
class Allow2(TypedDict, total=False):
    # Names that may be used; empty for all of them.
    allow: list[SkuId]
    # Names that may not be used.
    deny: list[SkuId]


# Names that are allowed, and names that are not.
class Allow3(TypedDict, total=False):
    # Names that may be used; empty for all of them.
    allow: list[RegionId]
    # Names that may not be used.
    deny: list[RegionId]


# Names that are allowed, and names that are not.
class Allow4(TypedDict, total=False):
    # Names that may be used; empty for all of them.
    allow: list[ZoneId]
    # Names that may not be used.
    deny: list[ZoneId]


# Names that are allowed, and names that are not.
class Allow5(TypedDict, total=False):
    # Names that may be used; empty for all of them.
    allow: list[CountryCode]
    # Names that may not be used.
    deny: list[CountryCode]


# A level that somebody with a name has assessed.
class Assessment(TypedDict):
    # 0 to 4.
    seal: int
    # Who says so, and where.
    source: str


class _Assume(TypedDict):
    # How round trips are estimated where none was measured.
    latency: LatencyModel


# Assumptions of a blueprint; part of it, so that a plan can be checked against them.
class Assume(_Assume, total=False):
    # How much is emitted; needed by the measure `carbon`.
    carbon: Optional[CarbonModel]


class _Attempt(TypedDict):
    # When.
    at: str
    # The error, without secrets.
    error: str


# One failed attempt.
class Attempt(_Attempt, total=False):
    # Why the lease cannot be bought at this provider, if that is so.
    shortage: Optional[Shortage]


# A condition without which a better plan exists.
class Binding(TypedDict):
    # The condition, as in an `InfeasibleSet`.
    condition: str
    # How much better the best plan without the condition is.
    costs: str
    # Whether `costs` is exact; otherwise it is a lower bound.
    is_proven: bool


class _Blueprint(TypedDict):
    # The parts of the application, by name.
    components: dict[str, Component]
    # The currency in which costs are added up and compared, as an ISO 4217 code; EUR if it is left out.
    currency: str
    # Months over which set-up fees are spread, and the longest minimum term that is accepted; 1 to 120. A committed
    # price whose term is shorter is renewed until the end of the horizon.
    horizon_months: int
    # The name of the application, for people; it is part of the names of what is bought.
    name: str
    # What is minimised: a measure, several in turn, or a weighted sum; cost if it is left out.
    objective: Objective
    # Conditions on the offers that may be used, for all components.
    where: Filter


# What the customer wants: components, conditions, and what is best.
class Blueprint(_Blueprint, total=False):
    # What is assumed of round trips and emissions, which no price list tells.
    assume: Assume
    # The most that a month may cost, net, in `currency`.
    budget: Optional[str]
    # Conditions on the plan as a whole.
    constraints: list[Constraint]
    # Traffic from one component to another, with its price and its longest round trip.
    links: list[Link]
    # What it costs to have a provider at all, whatever is bought there.
    provider_fees: ProviderFees
    # Services that run already; a plan keeps of them what is worth keeping.
    running: Running


# The provider is working on it; the operation handle survives a restart.
@final
class CallProgressRunning(TypedDict):
    running: str


# The cancellation of an order by its customer.
class Cancellation(TypedDict):
    # When the ledger recorded it; none if an older version did.
    at: Optional[str]
    # Who cancelled, and why; none if nobody said.
    by: Optional[Operator]


# Emissions of what is leased: power by size, times the hours of a month, times the grid's intensity.
class CarbonModel(TypedDict):
    # Grams CO₂e for each kWh, by country. An offer in another country cannot be used where carbon counts.
    g_per_kwh: dict[str, Any]
    # Power usage effectiveness of the data centres (ISO/IEC 30134-2); 1 or more.
    pue: str
    # Watts of one GiB of memory.
    watts_per_gib_memory: str
    # Watts of one graphics processor.
    watts_per_gpu: str
    # Watts of one TiB of disk or storage.
    watts_per_tib_disk: str
    # Watts of one virtual CPU.
    watts_per_vcpu: str


class _Certification(TypedDict):
    # As the scheme writes it, such as `ISO 27001` or `SecNumCloud 3.2`.
    name: str


# A certificate that a provider holds.
class Certification(_Certification, total=False):
    # The day on which it was read.
    observed: Optional[str]
    # The page or document that names the certificate.
    source: Optional[str]
    # The last day on which it holds; none when the source tells none.
    valid_until: Optional[str]


# Every hour.
@final
class ChargeHourly(TypedDict):
    hourly: str


# Every month.
@final
class ChargeMonthly(TypedDict):
    monthly: str


# Every hour, but at most so much a month.
@final
class ChargeHourlyCapped(TypedDict):
    hourly_capped: ChargeHourlyCappedHourlyCapped


class ChargeHourlyCappedHourlyCapped(TypedDict):
    # Per hour.
    hourly: str
    # The most that a month costs.
    monthly: str


# By quantity, in graduated tiers: each part of the quantity at the price of its own tier.
@final
class ChargePerUnit(TypedDict):
    per_unit: ChargePerUnitPerUnit


class ChargePerUnitPerUnit(TypedDict):
    # At least one; see `Tier`.
    tiers: list[Tier]
    # What is counted.
    unit: Unit


class _CheckedPrice(TypedDict):
    # When.
    at: str
    # Which step.
    index: int
    # A month.
    monthly: str
    # At the start.
    once: str
    # Over the horizon, renewals included.
    total: str


# A step's price check, in an event.
class CheckedPrice(_CheckedPrice, total=False):
    # Who says so; none: nobody, and the plan's own price stands.
    authority: Optional[PriceAuthority]
    # The day of the table's row, or of the listing.
    day: Optional[str]
    # Until when a quote holds, if it says so.
    valid_until: Optional[str]


# On each machine all of the components, in equal numbers, or none.
@final
class Colocate(TypedDict):
    # The components that are on the same machines, in equal numbers.
    components: list[ComponentId]


class _Component(TypedDict):
    # GiB of disk, or of storage, that one replica needs.
    disk_gib: int
    # Graphics processors that one replica needs.
    gpu: int
    # The kind of product that it runs on; a machine if it is left out. Only machines are shared.
    kind: OfferKind
    # MiB of memory that one replica needs.
    memory_mib: int
    # How many of its own replicas may share one machine; 1 if it is left out.
    per_machine: int
    # How many replicas there are: a number, or a range from which the engine chooses.
    replicas: Replicas
    # Conditions on the offers that may carry it, besides the blueprint's own `where`.
    where: Filter


# One part of an application.
class Component(_Component, total=False):
    # Components that must be there before it is bought, such as the network of a machine.
    after: list[ComponentId]
    # Of block storage or a public address: the machine component to which it is attached. Each replica of that one has
    # a replica of this one for itself, in its zone, or in its region if this one is sold for a region as a whole.
    attach: Optional[ComponentId]
    # The network component in which it is. There is one in each region in which its members are, and in no other.
    network: Optional[ComponentId]
    # Of a machine: the Kubernetes component of which it is a node. There is one in each region in which its nodes are,
    # and in no other.
    nodes_of: Optional[ComponentId]
    # Further needs of one replica by name, such as `power_w: 40`, held by the offers' `capacity.named`.
    resources: dict[str, int]
    # What its services are made with: `image: debian-13`. No secrets. What stands under a provider's name reaches that
    # provider only: `hetzner: { placement_group: 12 }`. Components that give one setting different values share no
    # machine. `${network.id}` stands for what a component named under `after` has become: its id, or another attribute;
    # `${network.range|raw}` for one that is no plain word. `$${` is the text `${`; all else, such as `${HOME}`, stays
    # as it is.
    settings: dict[str, Any]
    # Of a load balancer: the machine component to which it forwards. It is in each region in which that one is, and in
    # no other.
    targets: Optional[ComponentId]
    # Groups of people who use it, each at a location, with their traffic and longest round trip.
    users: list[UserGroup]
    # Virtual CPUs that one replica needs, in steps of a thousandth.
    vcpu: str


# `component` never shares a machine with any of `with`.
Conflict = TypedDict(
    "Conflict",
    {
        # The component that keeps away from the others.
        "component": "ComponentId",
        # The components with which it never shares a machine.
        "with": "list[ComponentId]",
    },
)


# Bounds on the number of replicas of some components together.
@final
class ConstraintCount(TypedDict):
    count: Count


# How many replicas of one component serve how many of another one.
@final
class ConstraintServes(TypedDict):
    serves: Serves


# Bounds on a weighted sum of replicas: the general form of `count` and `serves`.
@final
class ConstraintLinear(TypedDict):
    linear: Linear


# Exactly one of these components is deployed, the others not at all.
@final
class ConstraintOneOf(TypedDict):
    one_of: list[ComponentId]


# Components that may share machines. Without it a machine carries replicas of one component.
@final
class ConstraintShare(TypedDict):
    share: Share


# Components that never share a machine, whatever else permits it.
@final
class ConstraintConflict(TypedDict):
    conflict: Conflict


# On each machine all of these components, in equal numbers, or none.
@final
class ConstraintColocate(TypedDict):
    colocate: Colocate


# A component, such as a monitoring agent, that is on every machine.
@final
class ConstraintEverywhere(TypedDict):
    everywhere: Everywhere


# Replicas in several places: at least so many places, or at most a share in one.
@final
class ConstraintSpread(TypedDict):
    spread: Spread


# Any one provider, region, zone or country may vanish, and enough replicas remain.
@final
class ConstraintSurvive(TypedDict):
    survive: Survive


# At most so many providers, regions, zones or countries for the whole plan.
@final
class ConstraintDistinct(TypedDict):
    distinct: Distinct


# An upper limit on a measure, or on a named resource, of the whole plan.
@final
class ConstraintLimit(TypedDict):
    limit: Limit


# A point on the globe, in degrees (WGS 84); north and east are positive.
class Coordinates(TypedDict):
    # -90 to 90.
    latitude: str
    # -180 to 180.
    longitude: str


class _Count(TypedDict):
    # The components whose replicas are added up.
    components: list[ComponentId]


# `min ≤ Σ n(components) ≤ max`.
class Count(_Count, total=False):
    # The exact number of replicas together, in place of `min` and `max`.
    exactly: Optional[int]
    # The greatest number of replicas together; leave it out if `exactly` is set.
    max: Optional[int]
    # The least number of replicas together; leave it out if `exactly` is set.
    min: Optional[int]


class _DeclaredSetting(TypedDict):
    # Its name in a component's `settings`.
    name: str
    # The type of its value.
    type: SettingType


# A setting that a provider takes.
class DeclaredSetting(_DeclaredSetting, total=False):
    # What it does, for people.
    about: str
    # The kinds of product that take it; empty for all.
    kinds: list[OfferKind]
    # Whether it means the same at each provider that takes it.
    portable: bool
    # Whether nothing is bought without it.
    required: bool


# The whole plan uses at most so many places, to keep the number of contracts small.
class Distinct(TypedDict):
    # The greatest number of places that the plan uses.
    at_most: int
    # What counts as one place: a provider, region, zone or country.
    over: Over


# What a purchase of a plan would be refused for now. Empty if nothing is known that speaks against it.
class DryRun(TypedDict):
    # What would be refused.
    refusals: list[DryRunFinding]
    # What could not be found out.
    unchecked: list[DryRunFinding]


# Some leases of one provider, and why they would be refused or could not be checked.
class DryRunFinding(TypedDict):
    # `price`, or the kind of the error that the purchase would have, such as `quota_exceeded`.
    kind: str
    # The positions of the leases in the plan.
    leases: list[int]
    # Their offers, each once.
    offers: list[OfferId]
    # The provider; none if it is about the plan as a whole.
    provider: Optional[ProviderId]
    # Why, for people.
    reason: str


# Disk that a machine gets beyond what is included, bought with it by size.
class ElasticDisk(TypedDict):
    # Charged per unit.
    price: Price
    # The block storage product.
    sku: SkuId


# A provider outside the plan, and the discount that would bring it in.
class EntryDiscount(TypedDict):
    # The discount on all its prices for leases, in per cent rounded up to four decimals, at which the best plan that
    # uses it costs no more than the present one. `None` if no discount is enough.
    discount_percent: Optional[str]
    # The provider.
    provider: ProviderId


# `component` is on every leased machine that carries none of `unless`.
class Everywhere(TypedDict):
    # The component that is on every machine.
    component: ComponentId
    # Components whose machines need not carry it.
    unless: list[ComponentId]


# Why a plan is as it is, with the lines for people.
class Explanation(TypedDict):
    # Binding conditions, the dearest first.
    binding: list[Binding]
    # Break-even discounts of providers outside the plan, the nearest first. Empty unless cost alone is minimised.
    entries: list[EntryDiscount]
    # Whether all questions were answered before the caller stopped the search.
    is_complete: bool
    # The best plan without each provider of the plan, the nearest first.
    runners_up: list[RunnerUp]
    # All of it in words, a line each.
    text: str
    # The unit of the objective: a currency, if it is money.
    unit: str


# Another plan for what cannot be had: sold out, over quota, or at a provider that does not answer for longer than a
# step may take. What is bought by then stays and is part of every plan; a sold-out offer, and a provider that has no
# quota left or does not answer, are not asked again.
class FailOver(TypedDict):
    # The blueprint that the plan was made for.
    blueprint: Blueprint
    # How much dearer than the first plan they may be over the horizon, in per cent. The blueprint's budget holds
    # anyway, what was paid once for what stays included.
    max_rise_percent: str
    # So many other plans at most.
    rounds: int
    # How long one search may take, in seconds; then the best plan so far is taken.
    search_timeout_s: int


# One fail-over: what could not be bought, and the plan before it.
class FailOverRound(TypedDict):
    # When the new plan was written down.
    at: str
    # Offers that are excluded from now on.
    offers: list[OfferId]
    # The plan before.
    plan: Plan
    # Providers that are excluded from now on.
    providers: list[ProviderId]
    # For people.
    reason: str
    # Steps that the new plan replaces.
    replaced: list[int]


# What a provider costs besides what is bought from it.
class FeeLine(TypedDict):
    # Net, per month.
    monthly: str
    # Net, once.
    once: str
    # Whom.
    provider: ProviderId


# Conditions on an offer that do not depend on the rest of the plan. Empty admits everything that is sold on demand.
class Filter(TypedDict, total=False):
    # Attributes that the offer must have, with these values; `architecture` is one of them. An offer's value may be a
    # set, `postgresql+mysql`: it has each of its members.
    attributes: dict[str, str]
    # Certificates that the seller must hold on the day of the catalogue, such as `ISO 27001`.
    certifications: list[str]
    # Countries in which the machines may or may not stand, as ISO 3166-1 codes such as DE.
    countries: Allow5
    # The area of law that the place, the seller and all who control it must be in.
    jurisdiction: Optional[Jurisdiction]
    # How it may be sold: `on_demand`, `committed`, `spot`; empty for on demand only.
    markets: list[Market]
    # The greatest age of a price in days, counted back from the day of the catalogue.
    max_age_days: Optional[int]
    # Providers that may or may not sell, by their ids in the federation.
    providers: Allow
    # Regions that may or may not be used, by the providers' names of them.
    regions: Allow3
    # Products that may or may not be used, by the providers' own codes.
    skus: Allow2
    # The least that the offer must show of the EU's Cloud Sovereignty Framework.
    sovereignty: Optional[SovereigntyFloor]
    # A circle in which the place must be.
    within: Optional[Within]
    # Zones that may or may not be used; an offer without a zone passes only if none is allowed by name.
    zones: Allow4


# A service that does not fit, and how that is known.
class Finding(TypedDict):
    # What the provider and the ledger say of it; for people. The same words as long as both say the same.
    evidence: str
    # In which way.
    kind: FindingKind
    # Whose, as its key tells.
    order: OrderId
    # Where.
    provider: ProviderId
    # The provider's name for it.
    service: ServiceId
    # Of which step, as its key tells.
    step: int


_Flow = TypedDict(
    "_Flow",
    {
        # Who sends.
        "from": "ComponentId",
        # From where, as `provider/region`.
        "from_region": "str",
        # GiB that leave the region in a month, all replicas together.
        "gib": "int",
        # How many replicas send; of users how many groups are served: 1.
        "replicas": "int",
        # To whom.
        "to": "FlowTarget",
    },
)


# Replicas of a component in one region and under one egress tariff, and whom they talk to.
class Flow(_Flow, total=False):
    # Microseconds there and back; none if not known.
    round_trip_us: Optional[int]
    # What they cost, such as `0 up to 100 GiB, then 0.085`; none if not known.
    tariff: Optional[str]


# A component, along a link of the blueprint.
@final
class FlowTargetLink(TypedDict):
    link: FlowTargetLinkLink


class FlowTargetLinkLink(TypedDict):
    # Position in the blueprint's `links`, from 0.
    link: int
    # Where the receiving replicas are, as `provider/region`.
    region: str


# The component's user group of this name.
@final
class FlowTargetUsers(TypedDict):
    users: str


class _LatencyModel(TypedDict):
    # Microseconds of every round trip that leaves a region.
    base_us: int
    # Microseconds inside one region.
    local_us: int
    # Microseconds for each kilometre of the great circle.
    us_per_km: int


# Round trips: measured ones where there are any, else derived from the distance.
class LatencyModel(_LatencyModel, total=False):
    # Measured round trips; they come before those derived.
    pairs: list[MeasuredLatency]


class _Lease(TypedDict):
    # Its kind.
    kind: OfferKind
    # What it costs, line by line.
    lines: list[PriceLine]
    # Which offer.
    offer: OfferId
    # Where it is.
    place: Place
    # How it is sold.
    purchase_option: PurchaseOption
    # How many replicas of which components are on it.
    replicas: dict[str, int]
    # GiB of storage that are bought with it or as it; 0 if its size is fixed.
    size_gib: int
    # Its SKU.
    sku: SkuId


# One instance of an offer.
class Lease(_Lease, total=False):
    # Components of which all leases with a lower rank must be there before this one is bought.
    after: list[ComponentId]
    # In an order's step: the price as it was last checked.
    checked: Optional[PriceCheck]
    # The block storage product of that size, if it is bought with a machine.
    disk_sku: Optional[SkuId]
    # The running service that it is, if the blueprint named one that stays; else it is to be bought.
    keeps: Optional[ServiceId]
    # For each of `attach`, `targets`, `network` and `nodes_of` the leases with which it is made, by their positions in
    # the plan.
    partners: dict[str, list[int]]
    # The greatest rank of its components: how many must be there one after the other before it.
    rank: int
    # What it is made with: the settings of its components.
    settings: dict[str, Any]
    # Months that must be paid at least; 0 for none.
    term_months: int


# A company and the country whose law governs it.
class LegalEntity(TypedDict):
    # The country whose law governs the company, as ISO 3166-1 code.
    country: CountryCode
    # The name of the company, as registered.
    name: str


class _Limit(TypedDict):
    # The greatest value, in the unit of the measure or resource.
    max: str


# An upper limit on a measure, or on a named resource that the leased offers use up, added over all leases.
class Limit(_Limit, total=False):
    # The components whose leases count; empty for all. Only with `resource`.
    components: list[ComponentId]
    # The measure that is limited; or write `resource`.
    measure: Optional[Measure]
    # The name of the resource that is limited; or write `measure`.
    resource: Optional[str]


class _Linear(TypedDict):
    # The factor of each component, -1,000,000 to 1,000,000.
    terms: dict[str, int]


# `min ≤ Σ factor · n(component) ≤ max`.
class Linear(_Linear, total=False):
    # The greatest value of the sum.
    max: Optional[int]
    # The least value of the sum.
    min: Optional[int]
    # The component that must be deployed for the condition to hold.
    when: Optional[ComponentId]


_Link = TypedDict(
    "_Link",
    {
        # The component that sends. Answers are a link of their own.
        "from": "ComponentId",
        # The component that receives.
        "to": "ComponentId",
        # GiB that each replica of `from` sends in a month.
        "traffic_gib": "int",
    },
)


# Traffic from one component to another. Each replica of `from` talks to replicas of `to` in one place, which the plan
# names. What stays inside a region is free; what leaves it pays the egress price of the offer that it leaves from. A
# link between optional components holds only if both are deployed.
class Link(_Link, total=False):
    # The longest round trip, in milliseconds.
    max_ms: Optional[int]


# One measured round trip, in both directions.
class MeasuredLatency(TypedDict):
    # A region as `provider/region`, or the name of a user group.
    a: str
    # The other end of the round trip, in the same form.
    b: str
    # The round trip in microseconds.
    us: int


# An exact amount in one currency (ISO 4217).
class Money(TypedDict):
    # In main units of the currency.
    amount: str
    # ISO 4217.
    currency: str


# Replicas of one component that move: they run now, and in the plan as many run elsewhere. Ending a replica that is not
# needed any more is no move.
class MoveLine(TypedDict):
    # Whose.
    component: ComponentId
    # What that costs, net, once.
    once: str
    # How many.
    replicas: int


class _Offer(TypedDict):
    # Free attributes, such as `architecture: x86_64`.
    attributes: dict[str, str]
    # How much it holds.
    capacity: Resources
    # Its name among all offers.
    id: OfferId
    # What sort of product.
    kind: OfferKind
    # Where.
    place: Place
    # What it costs.
    price: Price
    # Where these figures come from.
    provenance: Provenance
    # Who sells it.
    seller: Seller
    # The provider's product code.
    sku: SkuId


# An offer with its id, as queries answer.
class Offer(_Offer, total=False):
    # What traffic from it to the internet costs, per unit; none if unknown.
    egress: Optional[Price]
    # How disk beyond the capacity is bought; none if it cannot be.
    elastic_disk: Optional[ElasticDisk]
    # What it can be made with, where it says so itself; otherwise what its provider declares holds.
    settings: Optional[DeclaredSettings]
    # How many can still be had; none if not told.
    stock: Optional[int]
    # What must be paid with each of it.
    surcharges: list[Surcharge]


# A person who does something about an order.
class Operator(TypedDict):
    # A name by which others find that person.
    who: str
    # The reason, in a sentence.
    why: str


# Let it be undone once more.
class OperatorActionRetry(TypedDict):
    action: Literal["retry"]


# Wanted something done to one service.
class OperatorActionAct(TypedDict):
    action: Literal["act"]
    # Of which step.
    index: int
    # What; none: ended.
    wanted: Optional[Action]


# Gave up: nobody will look for what may be left.
class OperatorActionAbandon(TypedDict):
    action: Literal["abandon"]


# Said that nothing of a step is left at its provider.
class OperatorActionSettle(TypedDict):
    action: Literal["settle"]
    # How that is known.
    evidence: str
    # Which step.
    index: int


class _Order(TypedDict):
    # When the order was accepted.
    created: str
    # UUID of version 7.
    id: OrderId
    # The plan that is bought; after a fail-over the newest one.
    plan: Plan
    # The policy under which the plan is bought.
    policy: Policy
    # Why the order does not go on as planned; for people.
    reason: Optional[str]
    # Fail-overs so far.
    rounds: list[FailOverRound]
    # The state of the purchase.
    state: OrderState
    # One step for each lease of the first plan that is bought, in the plan's order; then the steps of each fail-over.
    steps: list[Step]


# The durable purchase of a plan.
class Order(_Order, total=False):
    # The customer's cancellation, if there is one.
    cancellation: Optional[Cancellation]
    # In an order that was just accepted: whether the caller named the approved digest of plan and policy. Later the
    # first event tells.
    is_approved: bool
    # The namespace of the steps' idempotency keys, which is that of the accepting ledger. None in orders from before
    # plan format 4.
    namespace: Optional[KeyNamespace]


# An order with all that ever happened to it, as a document that is kept outside of the ledger.
class OrderArchive(TypedDict):
    # From the first to the last.
    events: list[OrderEvent]
    # `OrderArchive::FORMAT`.
    format: str
    # The hash of the last event. Kept elsewhere too, it tells whether the whole archive was written anew.
    head: str
    # As it was when it was exported.
    order: Order


# Something that happened to an order, in the order in which it happened.
class OrderEvent(TypedDict):
    # When.
    at: str
    # Over this event and the one before it, in hexadecimal: `ledger::verify_events`.
    hash: str
    # What.
    kind: OrderEventKind
    # Counts the order's events from 1; none is missing.
    number: int
    # Whose.
    order: OrderId
    # Rises within a ledger; some numbers may be missing.
    sequence: int


class _OrderEventKindOrder(TypedDict):
    event: Literal["order"]
    # Why, if not as planned.
    reason: Optional[str]
    # The new state.
    state: OrderState


# The order changed its state.
class OrderEventKindOrder(_OrderEventKindOrder, total=False):
    # What was accepted; in the first event of orders since plan format 4.
    accepted: Optional[Acceptance]


# A step changed its state.
class OrderEventKindStep(TypedDict):
    event: Literal["step"]
    # Which.
    index: int
    # Who is asked.
    provider: ProviderId
    # The new state.
    step: StepState


# A call failed and is tried again or given up.
class OrderEventKindAttempt(TypedDict):
    # What came back.
    error: str
    event: Literal["attempt"]
    # Which step.
    index: int
    # Who was asked.
    provider: ProviderId


# Another plan was made for what cannot be had.
class OrderEventKindFailedOver(TypedDict):
    event: Literal["failed_over"]
    # The plan from now on.
    plan: Plan
    # What could not be had, and the plan before.
    round: FailOverRound


# A person has done something about the order.
class OrderEventKindOperator(TypedDict):
    # What.
    action: OperatorAction
    # Who, and why.
    by: Operator
    event: Literal["operator"]


# A scan of the providers found something that does not fit, and something was done about it.
class OrderEventKindReconciled(TypedDict):
    # What was done.
    action: RepairAction
    event: Literal["reconciled"]
    # What was found.
    finding: Finding


class _OrderEventKindCancellationRequested(TypedDict):
    event: Literal["cancellation_requested"]


# The customer wants the order undone.
class OrderEventKindCancellationRequested(_OrderEventKindCancellationRequested, total=False):
    # Who cancelled, and why; none if nobody said.
    by: Optional[Operator]


# A host could not drive the order; the order waits before a host tries again.
class OrderEventKindDriveFailed(TypedDict):
    # How often in a row, this time included.
    count: int
    event: Literal["drive_failed"]
    # What went wrong.
    reason: str


class _OrderEventKindPricesChecked(TypedDict):
    # At the prices now.
    current: Money
    event: Literal["prices_checked"]
    # At the plan's prices.
    planned: Money


# Prices were compared with the plan's, over the horizon. Steps whose price nobody could check are not in it.
class OrderEventKindPricesChecked(_OrderEventKindPricesChecked, total=False):
    # Who said so, of each step.
    checks: list[CheckedPrice]


# The price of a step could be checked nowhere, and the policy allows to buy it all the same.
class OrderEventKindPriceUnchecked(TypedDict):
    event: Literal["price_unchecked"]
    # Which step.
    index: int
    # What the plan says that it costs over the horizon.
    planned: Money
    # At whom.
    provider: ProviderId


# Something that only a later version knows; its text is in `RecordedKind::text`.
class OrderEventKindUnknown(TypedDict):
    event: Literal["unknown"]


class _Place(TypedDict):
    # Where the machines stand.
    country: CountryCode
    # Who sells there.
    provider: ProviderId
    # The provider's area.
    region: RegionId


# All of where an offer is.
class Place(_Place, total=False):
    # Where in that country, as far as it is published.
    coordinates: Optional[Coordinates]
    # The failure domain in it; none when the product is sold for the region as a whole.
    zone: Optional[ZoneId]


class _Plan(TypedDict):
    # The blueprint's name.
    blueprint: str
    # BLAKE3 of the blueprint.
    blueprint_digest: str
    # A value that no plan can be below, proven.
    bound: str
    # BLAKE3 of the catalogue snapshot.
    catalogue_digest: str
    # Of all amounts here; ISO 4217.
    currency: str
    # `fulcrum-plan/4`; a later minor version, `fulcrum-plan/4.1`, may have more fields.
    format: str
    # `(objective - bound) / objective`, in per cent, rounded up to two decimals; 0 means proven optimal.
    gap_percent: str
    # What is bought.
    leases: list[Lease]
    # Every measure that the objective or a limit looks at, and the cost; lower is better. Of an objective in turn those
    # that the search came to.
    measures: dict[str, str]
    # Net cost of a month, without set-up fees.
    monthly: str
    # What was minimised: one measure or a weighted sum; of several in turn the first.
    objective: str
    # Net cost at the start.
    once: str
    # How much work it was.
    statistics: Statistics
    # Why the search stopped.
    stop: StopReason


# Which offers, where, how many, what runs on what, what it costs, and how good that is.
class Plan(_Plan, total=False):
    # What the providers cost besides.
    fees: list[FeeLine]
    # Who talks to whom.
    flows: list[Flow]
    # Months over which the cost was minimised; none in plans of format 3.
    horizon_months: Optional[int]
    # What moving replicas that run already costs.
    moves: list[MoveLine]
    # Whether only orderable offers took part, or all.
    offers: Optional[OfferMode]
    # The day of the exchange rates with which amounts were converted; none if none were.
    rates_date: Optional[str]
    # What was minimised after that, in turn.
    then: list[Stage]
    # What traffic costs.
    traffic: list[TrafficLine]


class _Policy(TypedDict):
    # How long a compensation is tried before the order is stuck, in seconds.
    compensation_timeout_s: int
    # Calls under way at once, per order.
    concurrency: int
    # What to do when something cannot be had; none: everything is undone.
    fail_over: Optional[FailOver]
    # How old the row of a price table may be, in days, to be bought by.
    max_table_age_days: int
    # Whether to buy what nobody can check: no quote, no listing, no table.
    may_buy_unchecked: bool
    # Whether to buy from a provider that takes no key, label or name. Purchases there run one at a time. The account is
    # listed before and after, and what is new counts as the order's own. Allow it only where nobody else buys.
    may_buy_unkeyed: bool
    # Components that the order may do without: a service that only serves such may be missing in the end.
    may_miss: list[str]
    # How long the whole order may take from its acceptance until all is there, in seconds; what is not committed by
    # then is undone. None for no limit.
    order_timeout_s: Optional[int]
    # How much a price may have risen since the plan, in per cent, before the order refuses to buy. It applies to a
    # month, to the start and to the horizon, each by itself.
    price_tolerance_percent: str
    # How long one step may take before the order is compensated, in seconds.
    step_timeout_s: int
    # The moment after which the plan's prices no longer hold; none for no limit.
    valid_until: Optional[str]


# What an order may do on its own.
class Policy(_Policy, total=False):
    # The highest cost over the horizon, net of tax, in the plan's currency: services, traffic, fees and renewals. None
    # for no limit.
    max_total: Optional[str]


class _Price(TypedDict):
    # How it is charged.
    charge: Charge
    # ISO 4217.
    currency: str
    # On demand, spot, or committed for so many months.
    purchase_option: PurchaseOption
    # Net or gross.
    tax: Tax
    # Months that must be paid at least; 0 for none. Of a commitment its own term.
    term_months: int


# A published price.
class Price(_Price, total=False):
    # Set-up fee or one-off price, in main units.
    once: str


class _PriceCheck(TypedDict):
    # When.
    at: str
    # A month.
    monthly: str
    # At the start.
    once: str
    # Over the horizon, renewals included.
    total: str


# The price of a step as it was last checked, net, in the plan's currency.
class PriceCheck(_PriceCheck, total=False):
    # Who says so; none: nobody, and the plan's own price stands.
    authority: Optional[PriceAuthority]
    # The day of the table's row, or of the listing.
    day: Optional[str]
    # Until when a quote holds, if it says so.
    valid_until: Optional[str]


class _PriceLine(TypedDict):
    # Net, per month, in the plan's currency, rounded to micro-units.
    monthly: str
    # Net, once; of a commitment each time that it is renewed.
    once: str
    # What is paid for, by its product code: the offer, its disk, or a surcharge.
    sku: SkuId
    # For people: how the figure comes about.
    text: str
    # Net, all that is paid over the blueprint's horizon, renewals included.
    total: str


# One line of a lease's cost.
class PriceLine(_PriceLine, total=False):
    # Which of these.
    kind: LineKind


class _Provenance(TypedDict):
    # When it was read or published.
    observed: str
    # A public address, a repository and path, or the API call that answered.
    source: str


# Where a figure comes from.
class Provenance(_Provenance, total=False):
    # Whether the provider's API says so, or a table.
    authority: PriceAuthority
    # The last day on which it holds; none when the source tells none.
    valid_until: Optional[str]


# A fee for each provider that a plan uses, net, in the blueprint's currency.
class ProviderFee(TypedDict):
    # The fee of every month.
    monthly: str
    # The fee that is paid once.
    once: str


# What a contract with a provider costs besides what is bought: onboarding, a minimum fee, one's own work.
class ProviderFees(TypedDict, total=False):
    # The fee of each provider that is not named under `providers`.
    default: Optional[ProviderFee]
    # The fees of single providers, by their ids in the federation.
    providers: dict[str, ProviderFee]


# For so many months at least; renewed until it is released.
@final
class PurchaseOptionCommitted(TypedDict):
    committed: int


# An offer that is left out of a catalogue.
class Quarantined(TypedDict):
    # The place.
    place: str
    # The provider.
    provider: ProviderId
    # The reason.
    reason: str
    # The SKU.
    sku: SkuId


# The outcome of a scan.
class Reconciliation(TypedDict):
    # Providers that answered with an error. What was found there before it stands; nothing else is concluded.
    failed: dict[str, str]
    # What does not fit, by provider and service; also what was repaired since.
    findings: list[Finding]
    # What this scan has written into its order, and none before it.
    recorded: list[Finding]
    # Services of the findings that are proven to be gone by now, ended by this scan.
    repaired: list[Finding]
    # How much was looked at.
    scanned: Scanned
    # Providers that can sell but not list, and those of an order that are not here: nothing is concluded about them.
    unlisted: list[ProviderId]
    # What the policy says to end, and why it still exists.
    unrepaired: list[Unrepaired]


# A row of a provider's list that was left out by itself.
class RejectedRow(TypedDict):
    # Why it was left out.
    reason: str
    # Its SKU and place, if they can be read; else its position in the list.
    row: str


# Why an offer is not in a plan.
class Rejection(TypedDict):
    # How much worse the best plan with the offer is, in the unit of the first objective. `None` if there is no such
    # plan, or the search ended before one was found.
    more: Optional[str]
    # The offer.
    offer: OfferId
    # What excludes the offer, for each component; or the cost of using it. Never empty.
    reasons: list[str]


# It was written down.
class RepairActionRecorded(TypedDict):
    action: Literal["recorded"]


# The provider is about to be asked to end the service. Written before the call: a host that dies then leaves it to the
# next scan.
class RepairActionReleasing(TypedDict):
    action: Literal["releasing"]


# The provider has proven that the service is gone.
class RepairActionReleased(TypedDict):
    action: Literal["released"]


# It still exists; the next scan tries again.
class RepairActionFailed(TypedDict):
    action: Literal["failed"]
    # What came back.
    reason: str


class ReplicasMax(TypedDict, total=False):
    # The greatest number; if it is left out the engine tries up to 250, or the minimum if that is more.
    max: Optional[int]
    # The least number, if the component is deployed at all.
    min: int


class _Resources(TypedDict):
    # GiB of disk.
    disk_gib: int
    # The number of graphics processors.
    gpu: int
    # MiB of main memory.
    memory_mib: int
    # Thousandths of a virtual CPU.
    vcpu_milli: int


# An amount on every axis. Absent axes are zero.
class Resources(_Resources, total=False):
    # Other axes by name.
    named: dict[str, int]


# The best plan without one provider.
class RunnerUp(TypedDict):
    # How much worse the plan is; `None` if there is no plan without the provider.
    more: Optional[str]
    # The plan, for a blueprint that denies the provider.
    plan: Optional[Plan]
    # The provider that the plan does not use.
    without: ProviderId


class _Running(TypedDict):
    # What it costs, once and net, in the blueprint's currency, to move one replica: copying, testing, downtime.
    move_cost: str
    # The services that run now, each with what is on it.
    services: list[RunningService]


# Services that run now. A plan may keep each of them, with what is on it or with something else, or end it.
class Running(_Running, total=False):
    # The greatest number of replicas that move; no limit if it is left out.
    max_moves: Optional[int]
    # The same for single components, where it differs.
    move_costs: dict[str, str]


class _RunningService(TypedDict):
    # Its name; a plan that keeps it says so by this name.
    id: ServiceId
    # Which offer it is an instance of.
    offer: OfferId
    # Whether it must stay, with all that is on it.
    pinned: bool
    # How many replicas of which components are on it.
    replicas: dict[str, int]
    # GiB of storage that were bought with it or as it.
    size_gib: int


# One service that runs, and what is on it.
class RunningService(_RunningService, total=False):
    # Of a disk or an address: the running service to which it is attached; one that is not listed here counts as gone.
    attach: Optional[ServiceId]


# How much a scan has looked at.
class Scanned(TypedDict):
    # Orders that hold services, or may be about to.
    orders: int
    # Providers that were listed to the end.
    providers: int
    # Services with a key of this library's form. All others are somebody else's and not looked at.
    services: int
    # Orders that could not be read: damaged, or written by a later version. Nothing is concluded of them.
    unreadable: int


class _Seller(TypedDict):
    # What it is certified for.
    certifications: list[Certification]
    # Who owns that company, upwards, as far as it is published.
    control_chain: list[LegalEntity]
    # The company that sells and invoices.
    owner: LegalEntity


# The company behind a provider: who owns it, whose law reaches it, what it is certified for.
class Seller(_Seller, total=False):
    # Sovereignty levels that somebody has assessed; they come before those computed.
    assessments: dict[str, Assessment]


class _Serves(TypedDict):
    # The component that is served.
    client: ComponentId
    # How many replicas of `client` that many servers can serve.
    clients: int
    # Whether no server may be superfluous: with one fewer the clients would not be served.
    no_spare: bool
    # The component that serves.
    server: ComponentId
    # How many replicas of `server` serve `clients` replicas of `client`; 1 if it is left out.
    servers: int


# `servers` replicas of `server` serve at most `clients` replicas of `client`: `servers · n(client) ≤ clients ·
# n(server)`.
class Serves(_Serves, total=False):
    # The component that must be deployed for the condition to hold; for components in a `one_of`.
    when: Optional[ComponentId]


# One running thing at a provider that somebody pays for.
class Service(TypedDict):
    # Addresses and other facts that the application needs; no secrets.
    attributes: dict[str, str]
    # The provider's name for it.
    id: ServiceId
    # The key of the intent that made it; none if somebody else made it.
    key: Optional[IdempotencyKey]
    # Where.
    place: Place
    # Who runs it.
    provider: ProviderId
    # What was bought.
    sku: SkuId
    # What it does now.
    status: ServiceStatus


# This truth alone: the provider does not have the other one.
@final
class SettingTypeAlways(TypedDict):
    always: bool


# One of these words.
@final
class SettingTypeChoice(TypedDict):
    choice: list[str]


# A list, also as text with commas between its members.
@final
class SettingTypeList(TypedDict):
    list: SettingType


# The outcome of one provider's listing.
class SourceReport(TypedDict):
    # When its offers were listed.
    listed_at: Optional[str]
    # Its offers in the snapshot.
    offers: int
    # The provider.
    provider: ProviderId
    # The first hundred rejected rows of its list, and rows that only blueprints in their own currency can use.
    rejected: list[RejectedRow]
    # The number of all such rows.
    rejected_count: int
    # The state of its offers.
    state: SourceState


# The provider failed; its offers are those of the previous snapshot.
@final
class SourceStateStale(TypedDict):
    stale: SourceStateStaleStale


class SourceStateStaleStale(TypedDict):
    # The failure.
    reason: str


# The provider failed and its previous offers are too old or unknown: the snapshot has none.
@final
class SourceStateMissing(TypedDict):
    missing: SourceStateMissingMissing


class SourceStateMissingMissing(TypedDict):
    # The failure.
    reason: str


# What an offer must show, as a condition in `where`.
class SovereigntyFloor(TypedDict, total=False):
    # The least level in single objectives.
    levels: dict[str, int]
    # The least weighted score, 0 to 100.
    score: Optional[int]
    # The least level in every objective, 0 to 4.
    seal: Optional[int]


class _Spread(TypedDict):
    # The components that are spread, each by itself.
    components: list[ComponentId]
    # What counts as one place: a provider, region, zone or country.
    over: Over


# Each of the components, if deployed, is in at least so many places, and at most a share of its replicas is in any one.
class Spread(_Spread, total=False):
    # The least number of places with a replica.
    at_least: Optional[int]
    # The largest share of the replicas in one place, in per cent.
    max_percent: Optional[str]


# A measure that was minimised among the plans that are best in all before it.
class Stage(TypedDict):
    # What no plan that is as good in all before can be below.
    bound: str
    # Which.
    measure: Measure
    # Its value.
    value: str


class _Statistics(TypedDict):
    # Offers that some component may use.
    eligible: int
    # Nodes of the search tree.
    nodes: int
    # Offers in the catalogue.
    offers: int
    # Sets of replicas that fit some offer.
    patterns: int
    # Steps of the simplex method.
    pivots: int
    # Rows of the integer program.
    rows: int
    # Variables of the integer program.
    variables: int


# How much work a search was; counts only, so that plans stay comparable byte for byte.
class Statistics(_Statistics, total=False):
    # Pricing problems of column generation that ended at a limit: they count with a bound, which the proof allows for.
    inexact_pricing: int


# The purchase of one lease.
class Step(TypedDict):
    # Failed attempts, newest last; at most the last ten.
    attempts: list[Attempt]
    # Position in the plan, from 0.
    index: int
    # The idempotency key, which never changes; the provider has it as key, label or name.
    key: IdempotencyKey
    # The lease that is bought.
    lease: Lease
    # The provider that sells the lease.
    provider: ProviderId
    # The state of the purchase.
    state: StepState


# Nothing was sent.
class StepStatePlanned(TypedDict):
    state: Literal["planned"]


# A reservation was requested and may exist. No service exists, and nothing costs money.
class StepStateReserving(TypedDict):
    # When the intent was written.
    since: str
    state: Literal["reserving"]


# The provider has reserved the capacity.
class StepStateReserved(TypedDict):
    state: Literal["reserved"]
    # When the reservation ends by itself.
    until: str


class _StepStateProvisioning(TypedDict):
    # The claim under which the intent was written: a driver with another one must look before it asks again.
    claim: ClaimId
    # What is known of the outcome.
    progress: CallProgress
    # When the intent was written.
    since: str
    state: Literal["provisioning"]


# The provider may have been asked to make the service.
class StepStateProvisioning(_StepStateProvisioning, total=False):
    # The handle of an operation that its provider no longer knows. It is polled once more before absence is believed.
    operation: Optional[str]


# The service exists.
class StepStateProvisioned(TypedDict):
    # As the provider reported it.
    service: OwnService
    state: Literal["provisioned"]


# The service exists and the whole order is done.
class StepStateCommitted(TypedDict):
    # As the provider reported it.
    service: OwnService
    state: Literal["committed"]


# An action runs on the service of a committed order.
class StepStateActing(TypedDict):
    # What.
    action: Action
    # The claim under which the intent was written: a driver with another one must look before it asks again. None until
    # a driver takes the action up; stored as an empty text then.
    claim: str
    # What is known of the outcome.
    progress: CallProgress
    # As the provider last reported it.
    service: OwnService
    # When it was wanted; with it the call's key is made.
    since: str
    state: Literal["acting"]


# The service, if there is one, is being released.
class StepStateCompensating(TypedDict):
    # The operation handle of the release under way. Before the service is known: that of the operation that was to make
    # it, if one began.
    operation: Optional[str]
    # Whether the provider may have been asked to make what the compensation looks for.
    sent: RequestSent
    # The service that is known to exist; none if a look-up must find it first.
    service: Optional[ServiceId]
    # When compensation began.
    since: str
    state: Literal["compensating"]


# It is proven that no service exists.
class StepStateCompensated(TypedDict):
    state: Literal["compensated"]


class _StepStateStuck(TypedDict):
    # What to look at, and why.
    reason: str
    state: Literal["stuck"]


# A person must look.
class StepStateStuck(_StepStateStuck, total=False):
    # The operation handle of the release that was under way. It may be the only way to parts that outlive the service,
    # such as disks.
    operation: Optional[str]
    # The service that was known to exist, if any.
    service: Optional[ServiceId]


# What must be paid with an offer though it is another line of the price list: an IPv4 address, a licence.
class Surcharge(TypedDict):
    # What one of it costs; never a price per unit.
    price: Price
    # The other line of the price list.
    sku: SkuId


# Of each of the components, if deployed, `remaining` replicas are left whichever one place vanishes.
class Survive(TypedDict):
    # The components that survive, each by itself.
    components: list[ComponentId]
    # What may vanish: any one provider, region, zone or country.
    loss_of: Over
    # How many replicas must be left of each; 1 if it is left out.
    remaining: int


# With value added tax of so many per cent inside.
@final
class TaxGross(TypedDict):
    gross: TaxGrossGross


class TaxGrossGross(TypedDict):
    # Per cent of the net price.
    vat_percent: str


# A price per unit from a quantity upwards, until the next tier begins.
Tier = TypedDict(
    "Tier",
    {
        # In the price's unit; the first tier starts at zero, later ones rise.
        "from": "str",
        # Per unit.
        "price": "str",
    },
)


# An order from its start to now, one line for each event. Displays as plain text and serialises as `fulcrum-
# timeline/1`. The words may change from version to version: programs read events.
class Timeline(TypedDict):
    # From the first to the last.
    entries: list[TimelineEntry]
    # `Timeline::FORMAT`.
    format: str
    # Whose.
    order: OrderId
    # When it was accepted.
    start: str
    # How far it is.
    state: OrderState


# One event in words. Displays as one line.
class TimelineEntry(TypedDict):
    # When.
    at: str
    # Milliseconds since the order was accepted.
    since_start_ms: int
    # What it is about: `order`, or a step such as `step 2 at gamma`.
    subject: str
    # What happened; one line.
    text: str


# What all traffic that leaves one provider under one tariff costs.
class TrafficLine(TypedDict):
    # GiB a month.
    gib: int
    # Net, per month, in the plan's currency.
    monthly: str
    # Who charges.
    provider: ProviderId
    # The price of a GiB, tier by tier.
    tariff: str


# Something that the policy says to end or to record, and that was left.
class Unrepaired(TypedDict):
    # What.
    finding: Finding
    # Why, and what to do.
    reason: str


class _UserGroup(TypedDict):
    # The location of the group.
    at: Coordinates
    # The name of the group, for people and for the table of round trips.
    name: str
    # GiB that are sent to them in a month; pays the egress price of the offer that it leaves from.
    traffic_gib: int


# People who use a component from one location. Together they are served by replicas in one place, which the plan names.
class UserGroup(_UserGroup, total=False):
    # The longest round trip, in milliseconds.
    max_ms: Optional[int]


# A circle on the globe. A place whose coordinates are not known is outside.
class Within(TypedDict):
    # Its radius along the surface, in kilometres.
    km: int
    # The centre of the circle.
    of: Coordinates


# A lifecycle action.
Action = Union[Literal["start", "stop"], ActionResize, ActionOther]
# A declaration as it may be written.
AnyDeclaration = Union[str, DeclaredSetting]
# What is known of a call that makes or changes something.
CallProgress = Union[Literal["intent_only", "outcome_unknown"], CallProgressRunning]
# How an offer is charged.
Charge = Union[Literal["once"], ChargeHourly, ChargeMonthly, ChargeHourlyCapped, ChargePerUnit]
# A claim as steps remember it: its fencing token, as text.
ClaimId = str
ComponentId = str
# One condition, written as `- spread: { components: [db], over: provider, at_least: 2 }`.
Constraint = Union[ConstraintCount, ConstraintServes, ConstraintLinear, ConstraintOneOf, ConstraintShare, ConstraintConflict, ConstraintColocate, ConstraintEverywhere, ConstraintSpread, ConstraintSurvive, ConstraintDistinct, ConstraintLimit]
CountryCode = str
# All settings that a provider takes.
DeclaredSettings = list[AnyDeclaration]
# In which way a service does not fit.
FindingKind = Literal["orphan", "duplicate", "missing", "drifted", "unknown"]
# The receiving end of a `Flow`.
FlowTarget = Union[FlowTargetLink, FlowTargetUsers]
IdempotencyKey = str
Jurisdiction = str
KeyNamespace = str
# What a line of a lease pays for.
LineKind = Literal["offer", "disk", "surcharge"]
# How firmly capacity is sold, as a filter names it; an offer says it as a `PurchaseOption`.
Market = Literal["on_demand", "committed", "spot"]
# A figure of a plan; lower is better.
Measure = Literal["cost", "carbon", "latency", "worst_latency", "providers", "sovereignty"]
# A measure; a list of measures, each best among the best of those before it; or measures with weights.
Objective = Union[Measure, list[Measure], dict[str, Union[float, str]]]
OfferId = str
# What sort of product an offer is.
OfferKind = Literal["machine", "block_storage", "object_storage", "database", "load_balancer", "public_ip", "kubernetes", "network", "other"]
# Which offers a search may use.
OfferMode = Literal["orderable", "all"]
# What a person has done about an order.
OperatorAction = Union[OperatorActionRetry, OperatorActionAct, OperatorActionAbandon, OperatorActionSettle]
# What happened.
OrderEventKind = Union[OrderEventKindOrder, OrderEventKindStep, OrderEventKindAttempt, OrderEventKindFailedOver, OrderEventKindOperator, OrderEventKindReconciled, OrderEventKindCancellationRequested, OrderEventKindDriveFailed, OrderEventKindPricesChecked, OrderEventKindPriceUnchecked, OrderEventKindUnknown]
OrderId = str
# The state of an order. In parentheses: the TM Forum 622 state.
OrderState = Literal["accepted", "provisioning", "committed", "compensating", "ended", "failed", "refused", "compensated", "stuck", "changing", "abandoned"]
# What is counted as one place.
Over = Literal["provider", "region", "zone", "country"]
# A service that belongs to a step: at its provider, under its key, and the one that was asked about. Only `check` makes
# one; ledgers and archives store it.
OwnService = Service
# Who says that a price holds.
PriceAuthority = Literal["quote", "listing", "table"]
ProviderId = str
# How firmly capacity is sold, and for how long: `on_demand`, `spot` or `{ committed: 12 }`.
PurchaseOption = Union[Literal["on_demand", "spot"], PurchaseOptionCommitted]
RegionId = str
# What was done about a finding.
RepairAction = Union[RepairActionRecorded, RepairActionReleasing, RepairActionReleased, RepairActionFailed]
# A number of replicas: `3`, or `{ min: 2, max: 6 }`. Without a max the engine tries up to 250, or the minimum if that
# is more.
Replicas = Union[int, ReplicasMax]
# Whether a provider may have been asked to make a step's service. Stored as a time, as ever: none if the service was
# known when compensation began, the Unix epoch if nothing was sent.
RequestSent = Optional[str]
ServiceId = str
# What a service does right now, as its provider reports it.
ServiceStatus = Literal["starting", "running", "stopped", "failed", "releasing"]
# The type of a setting's value.
SettingType = Union[Literal["any", "text", "number", "boolean", "reference", "public_key", "labels", "hostname", "firewall_rules"], SettingTypeAlways, SettingTypeChoice, SettingTypeList]
# Which components may share machines: a list of them, or all.
Share = Union[Literal["all"], list[ComponentId]]
# Why a lease cannot be bought at one provider, though perhaps at another one.
Shortage = Literal["sold_out", "quota", "unavailable"]
SkuId = str
# The state of a provider's offers.
SourceState = Union[Literal["fresh"], SourceStateStale, SourceStateMissing]
# How far one step is. Every state is written before the call that it stands for.
StepState = Union[StepStatePlanned, StepStateReserving, StepStateReserved, StepStateProvisioning, StepStateProvisioned, StepStateCommitted, StepStateActing, StepStateCompensating, StepStateCompensated, StepStateStuck]
# Why a search stopped.
StopReason = Literal["optimal", "gap_reached", "limit", "cancelled"]
# Whether a price contains value added tax.
Tax = Union[Literal["net"], TaxGross]
# What a price per unit counts, over one month.
Unit = Literal["GB-month", "GiB-month", "GB-hour", "GiB-hour", "GB", "GiB"]
ZoneId = str
