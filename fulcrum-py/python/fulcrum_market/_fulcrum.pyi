from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from os import PathLike
from typing import Any, Optional, Union, final

from .errors import FulcrumError
from .provider import Provider

_Path = Union[str, PathLike[str]]
# YAML or JSON text, the path of such a file, or what it says.
_Document = Union[str, PathLike[str], dict[str, Any]]
# Incumbent and bound (per month, in the blueprint's currency), nodes done; False stops the search.
_Progress = Callable[[Optional[Decimal], Optional[Decimal], int], Optional[bool]]

__all__ = [
    "AsyncFederation", "Catalogue", "Events", "Federation", "Order", "Plan", "Timeline", "__version__", "_to_json", "verify_archive",
]  # fmt: skip
__version__: str

def _to_json(value: Any) -> str: ...
def verify_archive(archive: _Document) -> None:
    """Checks what Federation.export answered, without a ledger: no event was changed, removed or added, the order is where
    its events lead, and plan, policy, keys and leases are those of its first event. Raises LedgerError if not.
    """

@final
class Catalogue:
    """A snapshot of all offers. Thread-safe."""

    @property
    def digest(self) -> str:
        """BLAKE3 of the offers."""
    @property
    def sources(self) -> list[dict[str, Any]]:
        """For each provider: whether its offers are fresh, stale or missing, and why."""
    @property
    def quarantined(self) -> list[dict[str, Any]]:
        """Offers that were left out for zero or absurd prices, and why."""
    def query(self, query: Optional[_Document] = None) -> list[dict[str, Any]]:
        """Offers, cheapest first: kinds, where, at_least, max_monthly, currency, offset, limit …"""
    def __len__(self) -> int: ...

@final
class Plan:
    """Which offers, where, how many, and what they cost; amounts are net and Decimal."""

    @classmethod
    def from_json(cls, text: str) -> Plan: ...
    def approval_digest(self, policy: Optional[_Document] = None) -> str:
        """The digest of this plan and a policy: have it approved, and name it to ``purchase(approved=…)``."""
    def to_json(self) -> str: ...
    def to_dict(self) -> dict[str, Any]: ...
    @property
    def leases(self) -> list[dict[str, Any]]: ...
    @property
    def currency(self) -> str:
        """ISO 4217."""
    @property
    def monthly(self) -> Decimal: ...
    @property
    def once(self) -> Decimal: ...
    @property
    def objective(self) -> Decimal:
        """What was minimised: a month's cost with its share of the set-up fees."""
    @property
    def bound(self) -> Decimal:
        """No plan is below it, proven."""
    @property
    def gap_percent(self) -> Decimal: ...
    @property
    def is_optimal(self) -> bool: ...
    def _repr_html_(self) -> str: ...
    def __len__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class Order:
    """The durable purchase of a plan, as it was when this object was made."""

    @property
    def id(self) -> str: ...
    @property
    def state(self) -> str:
        """accepted, provisioning, committed, changing, compensating, ended, failed, refused, stuck or abandoned."""
    @property
    def is_committed(self) -> bool: ...
    @property
    def reason(self) -> Optional[str]: ...
    @property
    def plan(self) -> Plan: ...
    @property
    def monthly(self) -> Optional[Decimal]:
        """What a month costs at the prices that were last checked, without set-up fees."""
    @property
    def once(self) -> Optional[Decimal]:
        """What was paid at the start, at the prices that were last checked."""
    @property
    def services(self) -> list[dict[str, Any]]: ...
    @property
    def sold_out(self) -> set[str]:
        """Offers that could not be had: pass them to compose(exclude=…) and buy the new plan."""
    def to_json(self) -> str: ...
    def to_dict(self) -> dict[str, Any]: ...

@final
class Events:
    """Events of one order, for both ``for`` and ``async for``: those of the past first, until the order is final."""

    def __iter__(self) -> Events: ...
    def __next__(self) -> dict[str, Any]:
        """Waits for the next one; other threads run meanwhile, and Ctrl-C ends the wait."""
    def __aiter__(self) -> Events: ...
    def __anext__(self) -> Coroutine[Any, Any, dict[str, Any]]: ...

@final
class Timeline:
    """What has happened to an order, in words: ``str()`` has a head line and one line for each event."""

    def to_dict(self) -> dict[str, Any]:
        """``fulcrum-timeline/1``: order, state, start, and entries with at, since_start_ms, subject, text."""
    def __len__(self) -> int: ...

@final
class Federation:
    """Several providers as one market. Thread-safe; calls release the interpreter, and Ctrl-C ends them.

    It belongs to the process that opened it: in a forked child its methods raise HostError, and the child opens one of its
    own.
    """

    def __new__(
        cls,
        config: _Document,
        *,
        base: Optional[_Path] = None,
        providers: Optional[Sequence[Provider]] = None,
        reach: Optional[_Document] = None,
    ) -> Federation:
        """Opens a federation from a configuration that anybody may have written.

        It reads and writes files below ``base``, or the working folder, and sends each secret only to the public API that it is for.
        ``reach`` lets it do more: ``{"trusted": True}``, or ``folders``, ``credentials`` and ``ledgers``; see docs/python.md.
        A file of your own is opened by open(). ``providers`` are clouds of your own, besides those of the configuration; see
        fulcrum_market.provider.
        """
    def check(
        self,
        provider: str,
        *,
        sku: Optional[str] = None,
        settings: Optional[dict[str, Any]] = None,
        patience: float = 60.0,
    ) -> dict[str, Any]:
        """Runs the conformance suite at a provider: ``checks`` with name and outcome, ``is_passed``, and all as ``text``.

        With a ``sku`` it is bought a few times and ended again; at a real cloud that costs money.
        """
    @classmethod
    def open(cls, path: _Path) -> Federation:
        """Opens a federation from a configuration file of the operator's, which is trusted; relative paths start at its folder."""
    @property
    def catalogue(self) -> Catalogue:
        """The present catalogue; empty before the first refresh()."""
    @property
    def sources(self) -> list[dict[str, Any]]:
        """How each provider answered the last refresh(): provider, state (fresh, stale or missing, and why), offers."""
    def refresh(self) -> Catalogue:
        """Asks all providers for their offers. A provider that fails leaves the others usable."""
    def compose(
        self,
        blueprint: _Document,
        *,
        timeout: Optional[float] = None,
        gap_percent: Union[Decimal, float, str, None] = None,
        threads: int = 1,
        exclude: Optional[Iterable[str]] = None,
        exclude_providers: Optional[Iterable[str]] = None,
        progress: Optional[_Progress] = None,
    ) -> Plan:
        """The cheapest plan. After ``timeout`` seconds the best so far, or StoppedError.

        Searches on so many ``threads``, up to 64; for the same number the answer is the same each time.

        ``progress`` is called now and then on this thread; if it returns False the best so far is the answer, and an
        exception in it ends the search and comes out here.
        """
    def explain(
        self,
        blueprint: _Document,
        plan: Plan,
        *,
        timeout: Optional[float] = None,
        progress: Optional[_Progress] = None,
    ) -> dict[str, Any]:
        """Why a plan is as it is: ``binding`` (what each condition costs), ``runners_up`` (the best plan without each
        provider), ``entries`` (at what discount another provider would get in), and all of it as ``text``.
        """
    def why_not(
        self,
        blueprint: _Document,
        plan: Plan,
        offer: str,
        *,
        timeout: Optional[float] = None,
        progress: Optional[_Progress] = None,
    ) -> dict[str, Any]:
        """Why an offer is not in a plan: ``reasons``, and how much ``more`` the best plan with it costs."""
    def pareto(
        self,
        blueprint: _Document,
        measures: tuple[str, str],
        *,
        step: Union[Decimal, float, str, None] = None,
        timeout: Optional[float] = None,
        progress: Optional[_Progress] = None,
    ) -> list[Plan]:
        """All trade-offs between two measures such as ``("cost", "carbon")``, from the best in the first to the best in
        the second, at least ``step`` apart in the second.
        """
    def purchase(
        self,
        plan: Plan,
        policy: Optional[_Document] = None,
        *,
        id: Optional[str] = None,
        approved: Optional[str] = None,
    ) -> Order:
        """Buys all of a plan or nothing. With an ``id`` repeating the call is safe; ``approved`` is what
        ``Plan.approval_digest`` said of the plan and policy that somebody has approved: nothing else is bought."""
    def accept(
        self,
        plan: Plan,
        policy: Optional[_Document] = None,
        *,
        id: Optional[str] = None,
        approved: Optional[str] = None,
    ) -> Order:
        """Writes an order down without buying yet; see drive()."""
    def drive(self, id: str) -> Order: ...
    def resume(self) -> list[Order]:
        """Takes up every order that an earlier run left unfinished. Call it once at the start."""
    def cancel(self, id: str, *, who: Optional[str] = None, why: Optional[str] = None) -> Order:
        """Ends all services of an order, or stops one that is under way."""
    def retry(self, id: str, *, who: str, why: str) -> Order:
        """Tries once more to undo a stuck order; ``who`` and ``why`` are recorded."""
    def abandon(self, id: str, *, who: str, why: str) -> Order:
        """Gives a stuck order up, though something of it may be left at a provider and cost money."""
    def settle(self, id: str, step: int, *, who: str, why: str, evidence: str) -> Order:
        """Says that nothing is left of a stuck step, and by which evidence; with the last one the order is over."""
    def act(self, id: str, step: int, action: Union[str, dict[str, Any]], *, who: str, why: str) -> Order:
        """Does something to one service of a committed order: ``"start"``, ``"stop"``, ``{"resize": {"sku": "…"}}`` or
        ``{"other": {"name": "…"}}``. What is as wanted already is left alone. If the provider refuses, the order's
        reason says so.
        """
    def release(self, id: str, step: int, *, who: str, why: str) -> Order:
        """Ends one service of a committed order; with the last one the order is over."""
    def serve(self, *, at_once: int = 16, timeout: Optional[float] = None) -> None:
        """Drives whatever orders wait in the ledger, side by side with other hosts, for ``timeout`` seconds or until
        Ctrl-C. What is under way then is left as it is, for another host or a later run.
        """
    def order(self, id: str) -> Optional[Order]:
        """An order as it is in the ledger; None if it is not there."""
    def events(self, id: str) -> list[dict[str, Any]]:
        """What has happened to an order so far, oldest first; see follow()."""
    def follow(self, id: str) -> Events:
        """The order's events, those of the past first, then as they happen, until it is final.

        Raises OrderNotFoundError if the ledger has no such order.
        """
    def reconcile(self, repair: Optional[_Document] = None) -> dict[str, Any]:
        """Compares what the providers have with what the ledger holds.

        ``findings`` are dicts with ``kind`` (orphan, duplicate, missing, drifted or unknown), ``provider``, ``service``,
        ``order``, ``step`` and ``evidence``. Without ``repair`` nothing is changed. With it, as in ``{"orphans":
        "release", "duplicates": "release", "missing": "record", "drifted": "record"}``, services too many are ended
        (``repaired``, or ``unrepaired`` with a ``reason``) and others written into their order (``recorded``).

        A provider that fails is in ``failed`` and one that cannot be listed in ``unlisted``; neither ends the call.
        """
    def reconcile_every(
        self,
        interval: float,
        report: Callable[[Union[dict[str, Any], FulcrumError]], object],
        *,
        repair: Optional[_Document] = None,
        timeout: Optional[float] = None,
    ) -> None:
        """Reconciles at once and then again ``interval`` seconds after each end, for ``timeout`` seconds or until Ctrl-C.

        ``report`` gets what reconcile() answers, or the exception with which it failed; what it raises ends this call.
        """
    def export(self, id: str) -> dict[str, Any]:
        """An order with all that ever happened to it, as a document that proves itself; see verify_archive()."""
    def forget(self, before: datetime) -> int:
        """Removes the orders that are ended, failed or refused and to which nothing has happened since ``before``; answers how many.
        Orders of which something exists, or may exist, stay.
        """
    def timeline(self, id: str) -> Timeline: ...
    def deliver(
        self, name: str, sink: Callable[[list[dict[str, Any]]], object], *, timeout: Optional[float] = None
    ) -> None:
        """Gives the events of all orders to ``sink``, in batches and in order, for ``timeout`` seconds or until Ctrl-C.

        How far it has come is kept in the ledger under ``name``: a later run goes on there. A batch counts as delivered
        when ``sink`` returns. If it raises an Exception the batch comes again after a pause. It comes again, too, where
        this process dies before the ledger knows: remember the highest ``sequence`` that was dealt with, and skip what is
        not above it.
        """

@final
class AsyncFederation:
    """As Federation, awaited. Cancelling a purchase leaves an order that resume() takes up, and so does the end of
    ``asyncio.run``, which cancels what is under way.
    """

    @classmethod
    def create(
        cls,
        config: _Document,
        *,
        base: Optional[_Path] = None,
        providers: Optional[Sequence[Provider]] = None,
        reach: Optional[_Document] = None,
    ) -> Coroutine[Any, Any, AsyncFederation]: ...
    def check(
        self,
        provider: str,
        *,
        sku: Optional[str] = None,
        settings: Optional[dict[str, Any]] = None,
        patience: float = 60.0,
    ) -> Coroutine[Any, Any, dict[str, Any]]: ...
    @classmethod
    def open(cls, path: _Path) -> Coroutine[Any, Any, AsyncFederation]: ...
    @property
    def catalogue(self) -> Catalogue: ...
    @property
    def sources(self) -> list[dict[str, Any]]: ...
    def refresh(self) -> Coroutine[Any, Any, Catalogue]: ...
    def compose(
        self,
        blueprint: _Document,
        *,
        timeout: Optional[float] = None,
        gap_percent: Union[Decimal, float, str, None] = None,
        threads: int = 1,
        exclude: Optional[Iterable[str]] = None,
        exclude_providers: Optional[Iterable[str]] = None,
        progress: Optional[_Progress] = None,
    ) -> Coroutine[Any, Any, Plan]:
        """As Federation.compose. ``progress`` is a plain function, called on a thread of the library's: to touch what
        belongs to the event loop, hand it over with ``loop.call_soon_threadsafe``. Cancelling ends the search.
        """
    def explain(
        self,
        blueprint: _Document,
        plan: Plan,
        *,
        timeout: Optional[float] = None,
        progress: Optional[_Progress] = None,
    ) -> Coroutine[Any, Any, dict[str, Any]]: ...
    def why_not(
        self,
        blueprint: _Document,
        plan: Plan,
        offer: str,
        *,
        timeout: Optional[float] = None,
        progress: Optional[_Progress] = None,
    ) -> Coroutine[Any, Any, dict[str, Any]]: ...
    def pareto(
        self,
        blueprint: _Document,
        measures: tuple[str, str],
        *,
        step: Union[Decimal, float, str, None] = None,
        timeout: Optional[float] = None,
        progress: Optional[_Progress] = None,
    ) -> Coroutine[Any, Any, list[Plan]]: ...
    def purchase(
        self,
        plan: Plan,
        policy: Optional[_Document] = None,
        *,
        id: Optional[str] = None,
        approved: Optional[str] = None,
    ) -> Coroutine[Any, Any, Order]: ...
    def accept(
        self,
        plan: Plan,
        policy: Optional[_Document] = None,
        *,
        id: Optional[str] = None,
        approved: Optional[str] = None,
    ) -> Coroutine[Any, Any, Order]: ...
    def drive(self, id: str) -> Coroutine[Any, Any, Order]: ...
    def resume(self) -> Coroutine[Any, Any, list[Order]]: ...
    def cancel(
        self, id: str, *, who: Optional[str] = None, why: Optional[str] = None
    ) -> Coroutine[Any, Any, Order]: ...
    def retry(self, id: str, *, who: str, why: str) -> Coroutine[Any, Any, Order]: ...
    def abandon(self, id: str, *, who: str, why: str) -> Coroutine[Any, Any, Order]: ...
    def settle(self, id: str, step: int, *, who: str, why: str, evidence: str) -> Coroutine[Any, Any, Order]: ...
    def act(
        self, id: str, step: int, action: Union[str, dict[str, Any]], *, who: str, why: str
    ) -> Coroutine[Any, Any, Order]: ...
    def release(self, id: str, step: int, *, who: str, why: str) -> Coroutine[Any, Any, Order]: ...
    def serve(self, *, at_once: int = 16, timeout: Optional[float] = None) -> Coroutine[Any, Any, None]: ...
    def order(self, id: str) -> Coroutine[Any, Any, Optional[Order]]: ...
    def events(self, id: str) -> Coroutine[Any, Any, list[dict[str, Any]]]: ...
    def follow(self, id: str) -> Events:
        """The order's events, those of the past first, then as they happen, until it is final.

        The first one that is awaited raises OrderNotFoundError if the ledger has no such order by then.
        """
    def reconcile(self, repair: Optional[_Document] = None) -> Coroutine[Any, Any, dict[str, Any]]: ...
    def reconcile_every(
        self,
        interval: float,
        report: Callable[[Union[dict[str, Any], FulcrumError]], object],
        *,
        repair: Optional[_Document] = None,
        timeout: Optional[float] = None,
    ) -> Coroutine[Any, Any, None]:
        """As Federation.reconcile_every. ``report`` is a plain function, called on a thread of the library's: to touch what
        belongs to the event loop, hand it over with ``loop.call_soon_threadsafe``. Cancelling ends it.
        """
    def export(self, id: str) -> Coroutine[Any, Any, dict[str, Any]]: ...
    def forget(self, before: datetime) -> Coroutine[Any, Any, int]: ...
    def timeline(self, id: str) -> Coroutine[Any, Any, Timeline]: ...
    def deliver(
        self, name: str, sink: Callable[[list[dict[str, Any]]], object], *, timeout: Optional[float] = None
    ) -> Coroutine[Any, Any, None]:
        """As Federation.deliver. ``sink`` is a coroutine function, run in the present event loop, or a plain function,
        called on a thread of the library's. Cancelling ends it, and a coroutine of ``sink``; that batch comes again.
        """
