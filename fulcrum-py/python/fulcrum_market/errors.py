"""What can go wrong. Each exception has a ``code`` that keeps its meaning for ever.

1xx a provider, 2xx a purchase, 3xx a composition, 4xx configuration and documents, 5xx the ledger, 9xx the library
itself and the process that it is in.
"""

from __future__ import annotations

import dataclasses
import json
from decimal import Decimal
from typing import Optional, Tuple

from fulcrum_market._record import Record


class FulcrumError(Exception):
    """Base of all; the text says what to do next. What is not known, or does not apply, is None."""

    code: int = 0
    #: Who failed.
    provider: str | None = None
    #: What the provider was asked for: offers, quote, dry_run, reserve, unreserve, provision, resume_operation, find_by_key, describe,
    #: services, act, access, release, poll or usage.
    call: str | None = None
    #: The provider's own number for the request, for its support.
    request_id: str | None = None
    #: Whether the same call may simply be sent again.
    retryable: bool | None = None


class ProviderError(FulcrumError):
    """A provider failed."""


class InvalidRequestError(ProviderError, ValueError):
    """The provider does not accept what was asked for."""


class UnauthorisedError(ProviderError, PermissionError):
    """The provider does not know the credentials."""


class ForbiddenError(ProviderError, PermissionError):
    """The provider knows the credentials, and they do not suffice."""


class NotFoundError(ProviderError, LookupError):
    """The provider has no such thing."""


class ConflictError(ProviderError):
    """The thing exists already, or is in another state."""


class QuotaError(ProviderError):
    """The account may not have more."""


class CapacityError(ProviderError):
    """Sold out."""


class RateLimitError(ProviderError):
    """Too many calls."""


class UnavailableError(ProviderError, ConnectionError):
    """The provider does not work at present; nothing was done."""


class NotSentError(ProviderError, ConnectionError):
    """The provider was not reached; nothing was done."""


class AmbiguousError(ProviderError, ConnectionError):
    """Nobody knows whether it was done; do not repeat it without a look."""


class ProtocolError(ProviderError):
    """The provider's response breaks its own API."""


class UnsupportedError(ProviderError, NotImplementedError):
    """The provider cannot do that."""


class PurchaseError(FulcrumError):
    """A purchase was refused before anything was bought."""


class ComposeError(FulcrumError):
    """There is no plan."""


@dataclasses.dataclass(frozen=True)
class WayOut(Record):
    """One condition to give up, and the best plan without it."""

    condition: str
    #: What is minimised, of that plan: where it is cost, a month with its share of the set-up fees.
    objective: Decimal
    #: Whether that plan is proven to be the best.
    is_proven: bool


class InfeasibleError(ComposeError, ValueError):
    """Nothing fits."""

    #: Those of the blueprint that clash, such as ``constraints[2].spread: …``.
    conditions: list[str]
    #: Whether each of them was shown to be necessary; False if the search was stopped early.
    is_minimal: bool
    #: A cause that can be named at once, or what the cheapest plan costs beside the budget.
    hint: str | None
    #: Single conditions whose removal leaves a plan, the best first.
    ways_out: tuple[WayOut, ...]

    @property
    def cheapest(self) -> Decimal | None:
        """What the cheapest plan costs a month, with its share of the set-up fees, if only the budget is in its way; else None."""
        return next((way.objective for way in self.ways_out if way.condition.startswith("budget: ")), None)


class StoppedError(ComposeError, TimeoutError):
    """Stopped before a plan was found."""


class DocumentError(FulcrumError, ValueError):
    """A document or a configuration is wrong; the text has path and line."""


class LedgerError(FulcrumError):
    """The ledger failed."""


class OrderBusyError(LedgerError):
    """Another host drives the order."""


class OrderNotFoundError(LedgerError, LookupError):
    """The ledger has no such order."""


class InternalError(FulcrumError):
    """A fault of the library; please report it. Nothing that was confirmed is lost."""


class HostError(FulcrumError, RuntimeError):
    """The process cannot carry the call: it may start no thread, it was forked, or it is ending."""


_BY_CODE: dict[int, type[FulcrumError]] = {
    101: InvalidRequestError,
    102: UnauthorisedError,
    103: ForbiddenError,
    104: NotFoundError,
    105: ConflictError,
    106: QuotaError,
    107: CapacityError,
    108: RateLimitError,
    109: UnavailableError,
    110: NotSentError,
    111: AmbiguousError,
    112: ProtocolError,
    113: UnsupportedError,
    301: DocumentError,
    302: InfeasibleError,
    303: StoppedError,
    501: OrderBusyError,
    502: OrderBusyError,
    503: OrderNotFoundError,
    902: InternalError,
    904: HostError,
    905: HostError,
    906: HostError,
}
_BY_HUNDRED: dict[int, type[FulcrumError]] = {
    1: ProviderError,
    2: PurchaseError,
    3: ComposeError,
    4: DocumentError,
    5: LedgerError,
}


_Circumstances = Tuple[Optional[str], Optional[str], Optional[str], Optional[bool]]


def _make(
    code: int, message: str, conflict: str | None, circumstances: _Circumstances = (None, None, None, None)
) -> FulcrumError:
    kind = _BY_CODE.get(code) or _BY_HUNDRED.get(code // 100, FulcrumError)
    error = kind(message)
    error.code = code
    error.provider, error.call, error.request_id, error.retryable = circumstances
    if isinstance(error, InfeasibleError):
        found = json.loads(conflict or "{}")
        error.conditions, error.hint = found.get("conditions", []), found.get("hint")
        error.is_minimal = found.get("is_minimal", False)
        error.ways_out = tuple(map(WayOut._of, found.get("relaxations", [])))
    return error
