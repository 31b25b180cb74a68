"""A federated cloud market inside your program.

    >>> import fulcrum
    >>> market = fulcrum.Federation.open("federation.yaml")     # doctest: +SKIP
    >>> market.refresh()                                        # doctest: +SKIP
    >>> plan = market.compose(open("shop.yaml").read())         # doctest: +SKIP
    >>> order = market.purchase(plan)                           # doctest: +SKIP

``AsyncFederation`` has the same methods as coroutines.
"""

from fulcrum._fulcrum import (
    AsyncFederation,
    Catalogue,
    Federation,
    Order,
    Plan,
    __version__,
)
from fulcrum.errors import (
    CapacityError,
    ComposeError,
    DocumentError,
    FulcrumError,
    InfeasibleError,
    LedgerError,
    OrderBusyError,
    ProviderError,
    PurchaseError,
)

__all__ = [
    "AsyncFederation",
    "CapacityError",
    "Catalogue",
    "ComposeError",
    "DocumentError",
    "Federation",
    "FulcrumError",
    "InfeasibleError",
    "LedgerError",
    "Order",
    "OrderBusyError",
    "Plan",
    "ProviderError",
    "PurchaseError",
    "__version__",
]
