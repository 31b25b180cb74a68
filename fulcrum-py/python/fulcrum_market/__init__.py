"""A federated cloud market inside your program.

    >>> import fulcrum_market
    >>> market = fulcrum_market.Federation.open("federation.yaml")     # doctest: +SKIP
    >>> market.refresh()                                        # doctest: +SKIP
    >>> plan = market.compose(open("shop.yaml").read())         # doctest: +SKIP
    >>> order = market.purchase(plan)                           # doctest: +SKIP

``AsyncFederation`` has the same methods as coroutines.
"""

from fulcrum_market._fulcrum import (
    Access,
    AsyncFederation,
    Catalogue,
    Events,
    Federation,
    Order,
    Plan,
    Timeline,
    __version__,
    verify_archive,
)
from fulcrum_market.errors import (
    AmbiguousError,
    CapacityError,
    ComposeError,
    ConflictError,
    DocumentError,
    ForbiddenError,
    FulcrumError,
    HostError,
    InfeasibleError,
    InternalError,
    InvalidRequestError,
    LedgerError,
    NotFoundError,
    NotSentError,
    OrderBusyError,
    OrderNotFoundError,
    ProtocolError,
    ProviderError,
    PurchaseError,
    QuotaError,
    RateLimitError,
    StoppedError,
    UnauthorisedError,
    UnavailableError,
    UnsupportedError,
)

from fulcrum_market.provider import Provider

__all__ = [
    "Access",
    "AmbiguousError",
    "AsyncFederation",
    "CapacityError",
    "Catalogue",
    "ComposeError",
    "ConflictError",
    "DocumentError",
    "Events",
    "Federation",
    "ForbiddenError",
    "FulcrumError",
    "HostError",
    "InfeasibleError",
    "InternalError",
    "InvalidRequestError",
    "LedgerError",
    "NotFoundError",
    "NotSentError",
    "Order",
    "OrderBusyError",
    "OrderNotFoundError",
    "Plan",
    "ProtocolError",
    "Provider",
    "ProviderError",
    "PurchaseError",
    "QuotaError",
    "RateLimitError",
    "StoppedError",
    "Timeline",
    "UnauthorisedError",
    "UnavailableError",
    "UnsupportedError",
    "__version__",
    "verify_archive",
]
