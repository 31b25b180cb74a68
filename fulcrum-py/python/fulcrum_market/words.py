"""The words of fixed lists, as enums whose members are str."""

from __future__ import annotations

from fulcrum_market._record import Word


class OfferKind(Word):
    """What sort of product an offer is."""

    MACHINE = "machine"
    BLOCK_STORAGE = "block_storage"
    OBJECT_STORAGE = "object_storage"
    DATABASE = "database"
    LOAD_BALANCER = "load_balancer"
    PUBLIC_IP = "public_ip"
    KUBERNETES = "kubernetes"
    NETWORK = "network"
    OTHER = "other"


class PricingCategory(Word):
    """How firmly capacity is sold."""

    ON_DEMAND = "on_demand"
    COMMITTED = "committed"
    SPOT = "spot"


class PriceAuthority(Word):
    """Who says that a price holds: the provider for one request, its list, or a dated table."""

    QUOTE = "quote"
    LISTING = "listing"
    TABLE = "table"


class LineKind(Word):
    """What a line of a lease pays for."""

    OFFER = "offer"
    DISK = "disk"
    SURCHARGE = "surcharge"


class Measure(Word):
    """A figure of a plan; lower is better."""

    COST = "cost"
    CARBON = "carbon"
    LATENCY = "latency"
    WORST_LATENCY = "worst_latency"
    PROVIDERS = "providers"
    SOVEREIGNTY = "sovereignty"


class StopReason(Word):
    """Why a search stopped."""

    OPTIMAL = "optimal"
    GAP_REACHED = "gap_reached"
    LIMIT = "limit"
    CANCELLED = "cancelled"


class OrderState(Word):
    """How far an order is. ``ENDED``, ``FAILED``, ``REFUSED`` and ``ABANDONED`` are over; ``STUCK`` needs a person."""

    ACCEPTED = "accepted"
    PROVISIONING = "provisioning"
    COMMITTED = "committed"
    CHANGING = "changing"
    COMPENSATING = "compensating"
    ENDED = "ended"
    FAILED = "failed"
    REFUSED = "refused"
    COMPENSATED = "compensated"
    STUCK = "stuck"
    ABANDONED = "abandoned"


class ServiceStatus(Word):
    """What a service does now, as its provider reports it."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPED = "stopped"
    FAILED = "failed"
    RELEASING = "releasing"
